// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The server refused for another reason; see the text. */
public class RefusedException extends HoldfastException {
    private static final long serialVersionUID = 1;

    RefusedException(String text) {
        super(text);
    }
}
