// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The lease is not held any more, or never was. */
public class NotHeldException extends HoldfastException {
    private static final long serialVersionUID = 1;

    NotHeldException(String text) {
        super(text);
    }
}
