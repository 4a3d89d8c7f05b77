// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** The lease ended before its owner let it go. Stop; somebody else may have the lock soon. */
public class LeaseLostException extends HoldfastException {
    private static final long serialVersionUID = 1;

    private final Loss loss;

    LeaseLostException(Loss loss) {
        super("the lease was lost: " + loss.word());
        this.loss = loss;
    }

    public Loss loss() {
        return loss;
    }
}
