// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The request was taken back, its thread was interrupted, or the client was closed. */
public class CancelledException extends HoldfastException {
    private static final long serialVersionUID = 1;

    CancelledException(String text) {
        super(text);
    }
}
