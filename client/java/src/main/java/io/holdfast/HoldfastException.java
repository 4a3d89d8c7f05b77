// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** Whatever this library throws. Nothing is held by the request that threw it. */
public abstract class HoldfastException extends RuntimeException {
    private static final long serialVersionUID = 1;

    HoldfastException(String text) {
        super(text);
    }
}
