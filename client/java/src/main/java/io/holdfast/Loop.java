// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The library's thread, in which everything happens and nothing waits; and another one for what the
 * application wants to be told, in order, which may block without harm to its leases.
 */
final class Loop implements Executor {
    private final ScheduledThreadPoolExecutor turns = new ScheduledThreadPoolExecutor(1, daemons("holdfast"));
    private final ExecutorService callbacks = Executors.newSingleThreadExecutor(daemons("holdfast-callbacks"));

    Loop() {
        turns.setRemoveOnCancelPolicy(true);
        turns.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    private static ThreadFactory daemons(String name) {
        return work -> {
            Thread thread = new Thread(work, name);
            thread.setDaemon(true);
            return thread;
        };
    }

    /** A turn of the loop, from any thread. After its end nothing happens. */
    @Override
    public void execute(Runnable work) {
        try {
            turns.execute(work);
        } catch (RejectedExecutionException closed) {
            return;
        }
    }

    Future<?> after(long delay, Runnable work) {
        try {
            return turns.schedule(work, delay, TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException closed) {
            return CompletableFuture.completedFuture(null);
        }
    }

    /** Calls the application. */
    void tell(Runnable callback) {
        try {
            callbacks.execute(callback);
        } catch (RejectedExecutionException closed) {
            return;
        }
    }

    void stop() {
        turns.shutdown();
        callbacks.shutdown();
    }

    /**
     * What the work comes to, known in this thread at once or told by `teller`. Cancelling it cancels the work; a
     * result that comes just then is undone.
     */
    <T> CompletableFuture<T> submit(
            Supplier<CompletableFuture<T>> work, Consumer<T> undo, Executor teller) {
        CompletableFuture<T> told = new CompletableFuture<>();
        Runnable turn = () -> {
            CompletableFuture<T> done = start(work);
            told.whenComplete((result, error) -> {
                if (told.isCancelled()) {
                    execute(() -> done.cancel(false));
                }
            });
            done.whenComplete((result, error) -> teller.execute(() -> pass(result, error, told, undo)));
        };
        try {
            turns.execute(turn);
        } catch (RejectedExecutionException closed) {
            told.completeExceptionally(new CancelledException("the client was closed"));
        }
        return told;
    }

    static <T> CompletableFuture<T> start(Supplier<CompletableFuture<T>> work) {
        try {
            return work.get();
        } catch (RuntimeException error) {
            return CompletableFuture.failedFuture(error);
        }
    }

    private <T> void pass(T result, Throwable error, CompletableFuture<T> told, Consumer<T> undo) {
        if (error != null) {
            told.completeExceptionally(Failures.of(error));
        } else if (!told.complete(result)) {
            execute(() -> undo.accept(result));
        }
    }

    <T> CompletableFuture<T> submit(Supplier<CompletableFuture<T>> work) {
        return submit(work, result -> {}, Runnable::run);
    }

    /** Waits. An interrupt takes the question back and stays set. */
    static <T> T await(CompletableFuture<T> told) {
        try {
            return told.get();
        } catch (InterruptedException interrupt) {
            boolean isAnswered = !told.cancel(false) && !told.isCompletedExceptionally();
            Thread.currentThread().interrupt();
            if (isAnswered) {
                return told.join();
            }
            throw new CancelledException("the thread was interrupted");
        } catch (ExecutionException | CancellationException error) {
            throw raised(error);
        }
    }

    /** Waits for what takes a timeout at most, also in an interrupted thread. */
    static <T> T awaitBounded(CompletableFuture<T> told) {
        try {
            return told.join();
        } catch (CompletionException | CancellationException error) {
            throw raised(error);
        }
    }

    /** With the stack of whoever waited. */
    private static HoldfastException raised(Exception error) {
        HoldfastException failure = Failures.of(error);
        failure.fillInStackTrace();
        return failure;
    }
}
