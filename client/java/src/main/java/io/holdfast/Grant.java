// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.LockFence;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the server grants, as far as it makes sense.
 *
 * @param fences by key, in the order of their names
 */
record Grant(ByteString token, Map<String, Long> fences) {
    static final int TOKEN_SIZE = 16;

    /**
     * null: it makes no sense.
     *
     * @param token that it must have; empty: any
     */
    static Grant of(LocksOuterClass.Lease message, List<String> keys, ByteString token) {
        Grant grant = ofOldLease(message, keys, token);
        return grant != null && !grant.fences.containsValue(0L) ? grant : null;
    }

    /** As `of`; but the fence of a lease that another process has is not always told. */
    static Grant ofOldLease(LocksOuterClass.Lease message, List<String> keys, ByteString token) {
        Map<String, Long> fences = new LinkedHashMap<>();
        for (LockFence lock : message.getLocksList()) {
            fences.put(lock.getKey(), lock.getFence());
        }
        if (fences.isEmpty()) {
            fences.put(message.getKey(), message.getFence());
        }
        boolean isRight = message.getToken().size() == TOKEN_SIZE
                && (token.isEmpty() || token.equals(message.getToken()));
        boolean isWhole = fences.keySet().equals(new HashSet<>(keys)) && message.getTtlMs() > 0;
        return isRight && isWhole ? new Grant(message.getToken(), Collections.unmodifiableMap(fences)) : null;
    }

    /** Loads what grants are made of, and the messages that ask for them. */
    static void warmUp() {
        LocksOuterClass.Lease lease =
                LocksOuterClass.Lease.newBuilder().setKey("k").setTtlMs(1).build();
        HoldEvent granted = HoldEvent.newBuilder().setGranted(lease).build();
        try {
            HoldEvent read = HoldEvent.parseFrom(granted.toByteString());
            of(read.getGranted(), List.of("k"), ByteString.EMPTY);
            Pings.MESSAGE.toByteString();
            LocksGrpc.getServiceDescriptor();
        } catch (InvalidProtocolBufferException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    String key() {
        return fences.keySet().iterator().next();
    }

    /** The token is a secret. */
    @Override
    public String toString() {
        return "Grant" + fences;
    }
}
