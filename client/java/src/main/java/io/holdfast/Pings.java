// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksOuterClass.HoldPing;
import holdfast.v1.LocksOuterClass.HoldRequest;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;

/** The pings of one lease that the server has not answered yet. */
final class Pings {
    static final HoldRequest MESSAGE =
            HoldRequest.newBuilder().setPing(HoldPing.getDefaultInstance()).build();

    /** More would not wake the server. */
    private static final int MAX = 64;

    private final ArrayDeque<Ping> sent = new ArrayDeque<>();

    /** One ping; null: nobody waits for its answer. */
    record Ping(long sentAt, CompletableFuture<Void> waiter) {
        void answer() {
            if (waiter != null) {
                waiter.complete(null);
            }
        }

        void fail(HoldfastException error) {
            if (waiter != null) {
                waiter.completeExceptionally(error);
            }
        }
    }

    void add(long sentAt, CompletableFuture<Void> waiter) {
        sent.add(new Ping(sentAt, waiter));
    }

    boolean areMany() {
        return sent.size() >= MAX;
    }

    boolean areNone() {
        return sent.isEmpty();
    }

    /** The one that is answered now. */
    Ping next() {
        return sent.remove();
    }

    void dropUnheard() {
        sent.removeIf(ping -> ping.waiter() == null);
    }

    void answerAll() {
        while (!sent.isEmpty()) {
            sent.remove().answer();
        }
    }

    void drop(HoldfastException error) {
        while (!sent.isEmpty()) {
            sent.remove().fail(error);
        }
    }
}
