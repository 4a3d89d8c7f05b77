// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksOuterClass.AcquireRequest;
import holdfast.v1.LocksOuterClass.HoldAsk;
import holdfast.v1.LocksOuterClass.HoldRequest;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * What is asked for, and who wants to hear of it.
 *
 * @param keys a lock or several
 * @param message all but the wait; with a token: take this lease over instead
 * @param onQueued null: nobody wants to hear of it; likewise the others
 */
record Ask(
        List<String> keys,
        HoldAsk message,
        int waitMs,
        BiConsumer<Integer, Optional<Holder>> onQueued,
        Consumer<Duration> onAtRisk,
        Consumer<Loss> onLost) {

    boolean isResume() {
        return !message.getResumeToken().isEmpty();
    }

    boolean hasGrace() {
        return message.getGraceMs() != 0;
    }

    HoldRequest holdMessage(int leftMs) {
        return HoldRequest.newBuilder().setAsk(message.toBuilder().setWaitMs(leftMs)).build();
    }

    /** To take it over again, with what is not kept from before. */
    HoldRequest resumeMessage(ByteString token) {
        HoldAsk.Builder ask = HoldAsk.newBuilder()
                .setKey(keys.get(0))
                .setResumeToken(token)
                .setTtlMs(message.getTtlMs())
                .setGraceMs(message.getGraceMs())
                .setLockDelayMs(message.getLockDelayMs())
                .setMaxHoldMs(message.getMaxHoldMs())
                .setHeartbeatMs(message.getHeartbeatMs());
        return HoldRequest.newBuilder().setAsk(ask).build();
    }

    /** What a detached lease cannot have is passed on: the server says so. */
    AcquireRequest acquireMessage(ByteString token, int leftMs) {
        return AcquireRequest.newBuilder()
                .setDetached(true)
                .setToken(token)
                .setKey(message.getKey())
                .addAllKeys(message.getKeysList())
                .setWaitMs(leftMs)
                .setTtlMs(message.getTtlMs())
                .setLabel(message.getLabel())
                .setValue(message.getValue())
                .setMode(message.getMode())
                .setLimit(message.getLimit())
                .setGraceMs(message.getGraceMs())
                .setLockDelayMs(message.getLockDelayMs())
                .setMaxHoldMs(message.getMaxHoldMs())
                .build();
    }
}
