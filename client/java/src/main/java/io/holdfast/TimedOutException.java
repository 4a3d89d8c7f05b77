// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The server did not answer within the client's timeout. */
public class TimedOutException extends HoldfastException {
    private static final long serialVersionUID = 1;

    TimedOutException(String text) {
        super(text);
    }
}
