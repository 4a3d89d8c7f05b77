// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksOuterClass.HoldLost;
import java.util.Locale;

/** Why a lease ended. */
public enum Loss {
    /** No renewal was confirmed before its deadline. */
    EXPIRED,
    /** Somebody else has the lock, or deleted or released it. */
    TAKEN,
    /** The server missed our heartbeat. */
    HEARTBEAT,
    /** The server shut down. */
    SHUTDOWN,
    /** The connection dropped, and within a grace did not come back. */
    CONNECTION,
    /** It was held for its longest hold. */
    MAX_HOLD,
    /** Somebody resumed it with its token. */
    RESUMED;

    /** The name as all of Holdfast writes it. */
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }

    static Loss of(HoldLost message) {
        return switch (message.getReason()) {
            case REASON_EXPIRED -> EXPIRED;
            case REASON_TAKEN -> TAKEN;
            case REASON_HEARTBEAT_MISSED -> HEARTBEAT;
            case REASON_SHUTDOWN -> SHUTDOWN;
            case REASON_MAX_HOLD -> MAX_HOLD;
            case REASON_RESUMED -> RESUMED;
            default -> CONNECTION;
        };
    }
}
