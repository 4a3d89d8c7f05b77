// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;

/**
 * Leader election is a lock with a value: whoever holds it leads, and shows where it can be reached. Stands for the
 * lock, and again after each lost term, until it resigns.
 */
public final class Election implements AutoCloseable {
    /** Between two candidacies where the first came to nothing at once. */
    private static final long PAUSE_FIRST = 100 * Clock.MILLISECOND;

    private static final long PAUSE_LAST = 2 * Clock.SECOND;

    private final Connection connection;
    private final Ask ask;
    private final Hold.GiveUp giveUp;
    private final Consumer<Lease> onElected;
    private final Runnable onDeposed;
    private final Living living = () -> end(null);
    private final CompletableFuture<Void> over = new CompletableFuture<>(); // in the loop
    private final CompletableFuture<Void> done = new CompletableFuture<>(); // for the application
    private CompletableFuture<Hold> candidacy;
    private Future<?> timer;
    private long pause = PAUSE_FIRST;
    private boolean isOver;
    private volatile Hold hold; // while it leads

    Election(
            Connection connection,
            Ask ask,
            Hold.GiveUp giveUp,
            Consumer<Lease> onElected,
            Runnable onDeposed) {
        this.connection = connection;
        this.ask = ask;
        this.giveUp = giveUp;
        this.onElected = onElected;
        this.onDeposed = onDeposed;
    }

    public boolean isLeading() {
        Hold term = hold;
        return term != null && term.term().left(Clock.now()) > 0;
    }

    /**
     * Does not stand any more; returns when the lock is free.
     *
     * @throws HoldfastException what ended the candidacy before, if something did
     */
    public void resign() {
        Loop.awaitBounded(connection.loop.submit(() -> {
            resignNow();
            return over;
        }));
    }

    /** Resigns, whatever went wrong before. */
    @Override
    public void close() {
        connection.loop.execute(this::resignNow);
        over.handle((nothing, error) -> nothing).join();
    }

    /** Ends with the candidacy; exceptionally with what ended it, if something did. */
    public CompletableFuture<Void> done() {
        return done.copy();
    }

    // In the loop

    CompletableFuture<Election> start() {
        connection.enter(living);
        stand();
        return CompletableFuture.completedFuture(this);
    }

    private void stand() {
        if (!isOver) {
            candidacy = new Question(connection, ask, giveUp).answer;
            candidacy.whenComplete(this::take);
        }
    }

    private void take(Hold granted, Throwable error) {
        if (error == null) {
            lead(granted);
        } else if (isOver) {
            return;
        } else if (isPassing(Failures.of(error))) {
            long delay = ThreadLocalRandom.current().nextLong(pause / 2, pause);
            timer = connection.loop.after(delay, this::stand);
            pause = Math.min(2 * pause, PAUSE_LAST);
        } else {
            end(Failures.of(error));
        }
    }

    /** Standing again may come to something else. */
    private static boolean isPassing(HoldfastException failure) {
        return Failures.isPassing(failure)
                || failure instanceof BusyException
                || failure instanceof NotHeldException
                || failure instanceof DeadlockException;
    }

    private void lead(Hold granted) {
        pause = PAUSE_FIRST;
        hold = granted;
        Lease lease = new Lease(granted, connection);
        if (ask.onLost() != null) {
            lease.onLost(ask.onLost());
        }
        connection.loop.tell(() -> tellElected(granted, lease));
        granted.hear(this::takeLost);
    }

    private void tellElected(Hold granted, Lease lease) {
        try {
            onElected.accept(lease);
        } catch (RuntimeException error) {
            connection.loop.execute(() -> takeFailure(granted, error));
        }
    }

    /** That its lease was lost ends a term only. */
    private void takeFailure(Hold granted, RuntimeException error) {
        boolean isLoss = error instanceof LeaseLostException && granted.term().loss() != null;
        if (!isLoss) {
            end(error);
        }
    }

    private void takeLost(Loss loss) {
        hold = null;
        connection.loop.tell(onDeposed);
        stand();
    }

    private void resignNow() {
        if (isOver) {
            return;
        }
        Hold term = hold;
        if (term == null) {
            end(null);
            return;
        }
        isOver = true;
        Loop.start(term::release).whenComplete((nothing, error) -> end(null));
    }

    /** Idempotent; gives up the lock if it has it. */
    private void end(RuntimeException error) {
        isOver = true;
        connection.leave(living);
        candidacy.cancel(false);
        if (timer != null) {
            timer.cancel(false);
        }
        if (hold != null) {
            hold.abandon();
            hold = null;
        }
        complete(over, error);
        connection.loop.tell(() -> complete(done, error));
    }

    private static void complete(CompletableFuture<Void> future, RuntimeException error) {
        if (error == null) {
            future.complete(null);
        } else {
            future.completeExceptionally(error);
        }
    }
}
