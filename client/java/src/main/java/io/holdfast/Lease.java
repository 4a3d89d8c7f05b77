// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A lease that lives as long as its connection, kept alive by the library. */
public final class Lease extends BaseLease implements AutoCloseable {
    private final Hold hold;
    private final Connection connection;
    private final AtomicBoolean isReleased = new AtomicBoolean();

    Lease(Hold hold, Connection connection) {
        super(hold);
        this.hold = hold;
        this.connection = connection;
    }

    /**
     * Calls the listener once with the reason when the lease is lost, or now if it was; never after a release. It
     * may block: nothing but other callbacks waits for it.
     */
    public Lease onLost(Consumer<Loss> listener) {
        connection.loop.execute(
                () -> hold.hear(loss -> connection.loop.tell(() -> listener.accept(loss))));
        return this;
    }

    /** Asks the server for how long it is certainly valid. (It is kept alive anyway.) */
    public Duration renew() {
        Loop.awaitBounded(connection.loop.submit(
                () -> hold.renew().orTimeout(connection.timeout, TimeUnit.NANOSECONDS)));
        return validFor();
    }

    /**
     * Returns when the lock is free; also in an interrupted thread.
     *
     * @throws NotHeldException when the lease was lost before
     */
    public void release() {
        Loop.awaitBounded(release(Runnable::run));
    }

    public CompletableFuture<Void> releaseAsync() {
        return release(connection.loop::tell);
    }

    private CompletableFuture<Void> release(Executor teller) {
        isReleased.set(true);
        return connection.loop.submit(hold::release, nothing -> {}, teller);
    }

    /**
     * Ends a block that held it, unless it was released. What was done in the block was done under a valid lease
     * unless it is lost, so that the server goes away during the release is no failure of the block.
     *
     * @throws LeaseLostException when it was lost in the block
     */
    @Override
    public void close() {
        if (isReleased.get()) {
            return;
        }
        try {
            release();
        } catch (ServerAwayException | TimedOutException away) {
            return;
        } catch (HoldfastException failure) {
            throw loss().<HoldfastException>map(LeaseLostException::new).orElse(failure);
        }
    }

    /** Releases it in the background, without a word. */
    void abandon() {
        connection.loop.execute(hold::abandon);
    }
}
