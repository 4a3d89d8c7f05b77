// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** A limit of the server, which the text names. */
public class LimitReachedException extends HoldfastException {
    private static final long serialVersionUID = 1;

    LimitReachedException(String text) {
        super(text);
    }
}
