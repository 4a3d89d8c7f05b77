// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** Somebody else holds the lock (still, after the wait). */
public class BusyException extends HoldfastException {
    private static final long serialVersionUID = 1;

    private final transient Holder holder;

    BusyException(String text, Holder holder) {
        super(text);
        this.holder = holder;
    }

    public Holder holder() {
        return holder;
    }
}
