// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The server or its Redis cannot be reached. */
public class ServerAwayException extends HoldfastException {
    private static final long serialVersionUID = 1;

    ServerAwayException(String text) {
        super(text);
    }
}
