// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.time.Duration;

/** A lease that is bound to nothing but its ttl: renew it, and release it, from anywhere. */
public final class DetachedLease extends BaseLease {
    private final Detached core;
    private final Connection connection;

    DetachedLease(Detached core, Connection connection) {
        super(core);
        this.core = core;
        this.connection = connection;
    }

    /** Extends it by the server's default. */
    public Duration renew() {
        return renew(Duration.ZERO);
    }

    /** Extends it to the ttl from now; never cuts it short. */
    public Duration renew(Duration ttl) {
        int ttlMs = Lock.milliseconds("ttl", ttl);
        Loop.await(connection.loop.submit(() -> core.renew(connection, ttlMs)));
        return validFor();
    }

    public void release() {
        Loop.awaitBounded(connection.loop.submit(() -> core.release(connection)));
    }
}
