// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** An argument is out of its bounds, or the server's address makes no sense. */
public class InvalidRequestException extends HoldfastException {
    private static final long serialVersionUID = 1;

    InvalidRequestException(String text) {
        super(text);
    }
}
