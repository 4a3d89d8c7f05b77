// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksOuterClass.HoldAsk;
import holdfast.v1.LocksOuterClass.Mode;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * A lock to be held, and how. Nothing is asked for before it is acquired, which may be done again and again.
 * Durations are at most a day; not thread-safe.
 */
public final class Lock {
    private static final Duration DAY = Duration.ofDays(1);

    private final HoldfastClient client;
    private final List<String> keys;
    private final HoldAsk.Builder message = HoldAsk.newBuilder().setMode(Mode.MODE_EXCLUSIVE);
    private int waitMs;
    private BiConsumer<Integer, Optional<Holder>> onQueued;
    private Consumer<Duration> onAtRisk;
    private Consumer<Loss> onLost;

    Lock(HoldfastClient client, String... keys) {
        if (keys.length == 0) {
            throw new InvalidRequestException("key: missing");
        }
        this.client = client;
        this.keys = List.of(keys);
        if (keys.length == 1) {
            message.setKey(keys[0]);
        } else {
            message.addAllKeys(this.keys);
        }
    }

    /** Of a lease that is taken over by its token. */
    Lock(HoldfastClient client, String key, ByteString token) {
        this(client, key);
        message.setMode(Mode.MODE_UNSPECIFIED).setResumeToken(token);
    }

    // How

    /** How long to wait for it; else, Busy at once. The client's timeout counts on top. */
    public Lock wait(Duration wait) {
        waitMs = milliseconds("wait", wait);
        return this;
    }

    /** How long Redis keeps the lock if the server dies; else, the server's default. */
    public Lock ttl(Duration ttl) {
        message.setTtlMs(milliseconds("ttl", ttl));
        return this;
    }

    /** Who is asking, shown to whoever finds the lock busy. */
    public Lock label(String label) {
        message.setLabel(label);
        return this;
    }

    /** For whoever inspects or watches the lock. */
    public Lock value(byte[] value) {
        message.setValue(ByteString.copyFrom(value));
        return this;
    }

    /** Together with other shared holders (readers). */
    public Lock shared() {
        message.setMode(Mode.MODE_SHARED);
        return this;
    }

    /** Together with other shared holders, at most so many (a semaphore). */
    public Lock shared(int limit) {
        if (limit < 1) {
            throw new InvalidRequestException("limit: must be 1 or more, not " + limit);
        }
        message.setLimit(limit);
        return shared();
    }

    /**
     * A dropped connection ends the lease only after this time, in which the client reconnects and resumes it. Not
     * with several keys.
     */
    public Lock grace(Duration grace) {
        message.setGraceMs(milliseconds("grace", grace));
        return this;
    }

    /** How long the lock stays closed after its holder was lost. */
    public Lock lockDelay(Duration lockDelay) {
        message.setLockDelayMs(milliseconds("lockDelay", lockDelay));
        return this;
    }

    /** The lease ends at the latest that long after its grant. */
    public Lock maxHold(Duration maxHold) {
        message.setMaxHoldMs(milliseconds("maxHold", maxHold));
        return this;
    }

    /** The server revokes the lease when it hears nothing from this process for so long. */
    public Lock heartbeat(Duration heartbeat) {
        message.setHeartbeatMs(milliseconds("heartbeat", heartbeat));
        return this;
    }

    /** Called with the position in the queue (1: the next) and with who is in the way. */
    public Lock onQueued(BiConsumer<Integer, Optional<Holder>> listener) {
        onQueued = Objects.requireNonNull(listener);
        return this;
    }

    /** Called with what is left, when the lease could not be confirmed for long. */
    public Lock onAtRisk(Consumer<Duration> listener) {
        onAtRisk = Objects.requireNonNull(listener);
        return this;
    }

    /** Called once with the reason, never after a release. Lease.onLost does the same later. */
    public Lock onLost(Consumer<Loss> listener) {
        onLost = Objects.requireNonNull(listener);
        return this;
    }

    // Acquiring it

    /**
     * The lease is the caller's to close or release. Interrupting the thread takes the question back.
     *
     * @throws BusyException when somebody else holds it, with who
     * @throws HoldfastException what else went wrong
     */
    public Lease acquire() {
        return Loop.await(client.acquire(ask(), Runnable::run));
    }

    /** Cancelling the future takes the question back. */
    public CompletableFuture<Lease> acquireAsync() {
        return client.acquire(ask(), client.loop()::tell);
    }

    /** A lease that survives this client. What may have been granted without an answer is given up. */
    public DetachedLease acquireDetached() {
        return Loop.await(client.acquireDetached(detachedAsk(), null));
    }

    /**
     * With a token of your own (16 random bytes) asking again is the same acquire: after ServerAway, TimedOut or
     * an interrupt the lock may have been obtained; ask again, or release it by that token.
     */
    public DetachedLease acquireDetached(byte[] token) {
        return Loop.await(client.acquireDetached(detachedAsk(), token(token)));
    }

    /**
     * Stands for leadership, and again after each lost term, until it is closed: the value tells whoever watches
     * the lock where the leader is.
     *
     * @param onElected called with the lease of each term; if it throws, the candidacy is over
     * @param onDeposed called when a term was lost
     */
    public Election elect(Consumer<Lease> onElected, Runnable onDeposed) {
        Ask ask = new Ask(keys, message.build(), milliseconds("wait", DAY), onQueued, onAtRisk, onLost);
        return client.elect(ask, Objects.requireNonNull(onElected), Objects.requireNonNull(onDeposed));
    }

    private Ask ask() {
        return new Ask(keys, message.build(), waitMs, onQueued, onAtRisk, onLost);
    }

    private Ask detachedAsk() {
        if (message.getHeartbeatMs() != 0 || !message.getResumeToken().isEmpty()) {
            throw new InvalidRequestException("a detached lease has no heartbeat and is not resumed");
        }
        if (onQueued != null || onAtRisk != null || onLost != null) {
            throw new InvalidRequestException("nothing is heard of a detached lease");
        }
        return ask();
    }

    /** Rounded up: a short time must not become 0, which means something else. */
    static int milliseconds(String name, Duration duration) {
        if (duration.isNegative() || duration.compareTo(DAY) > 0) {
            throw new InvalidRequestException(name + ": must be 0 to 24 hours, not " + duration);
        }
        return (int) duration.plusNanos(Clock.MILLISECOND - 1).toMillis();
    }

    static ByteString token(byte[] token) {
        if (token.length != Grant.TOKEN_SIZE) {
            throw new InvalidRequestException("token: must be " + Grant.TOKEN_SIZE + " bytes");
        }
        return ByteString.copyFrom(token);
    }
}
