// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * What the application has of a lease: whether it is valid, and the fences to hand on. Any thread may ask.
 *
 * <p>A lease is not mutual exclusion against a paused process: hand its fence to the resource that it protects.
 */
public abstract class BaseLease {
    private final Source source;

    BaseLease(Source source) {
        this.source = source;
    }

    /**
     * Throws unless the lease is valid now. Call it right before you act.
     *
     * @throws LeaseLostException when it was lost
     * @throws NotHeldException after a release
     */
    public void check() {
        source.check();
    }

    /** For how long the lease is certainly valid; zero when it is not. Never throws. */
    public Duration validFor() {
        return Duration.ofNanos(source.term().left(Clock.now()));
    }

    /** Never throws. */
    public boolean isValid() {
        return source.term().left(Clock.now()) > 0;
    }

    /** Why it was lost; empty when it was not. */
    public Optional<Loss> loss() {
        return Optional.ofNullable(source.term().loss());
    }

    /** With several locks: the first in the order of their names. */
    public String key() {
        return source.grant().key();
    }

    /**
     * Rises with every grant of the lock; for the protected resource to compare. Checks the lease. With several
     * locks: that of key().
     */
    public long fence() {
        return fences().get(key());
    }

    /** The fence of each lock, by its key. Checks the lease. */
    public Map<String, Long> fences() {
        check();
        return source.grant().fences();
    }

    /** A secret: whoever has it can release or resume the lease. Never throws. */
    public byte[] token() {
        return source.grant().token().toByteArray();
    }

    public Duration ttl() {
        return Duration.ofNanos(source.term().ttl());
    }

    @Override
    public String toString() {
        return getClass().getSimpleName() + " " + key() + " valid for " + validFor().toMillis() + " ms";
    }
}
