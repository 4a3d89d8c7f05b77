// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** Waiting would close a circle, which the text spells out. */
public class DeadlockException extends HoldfastException {
    private static final long serialVersionUID = 1;

    DeadlockException(String text) {
        super(text);
    }
}
