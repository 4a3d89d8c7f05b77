// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.AcquireResponse;
import holdfast.v1.LocksOuterClass.ReleaseRequest;
import holdfast.v1.LocksOuterClass.ReleaseResponse;
import holdfast.v1.LocksOuterClass.RenewRequest;
import holdfast.v1.LocksOuterClass.RenewResponse;
import java.security.SecureRandom;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * Leases that are bound to nothing but their ttl, and what is done by key and token. All in the loop, but check.
 */
final class Detached implements Source {
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Grant grant;
    private final Term term = new Term();
    private volatile boolean isReleased;

    private Detached(Grant grant) {
        this.grant = grant;
    }

    /** null grant: it makes no sense. */
    private static Detached of(Grant grant, LocksOuterClass.Lease message, long sentAt) {
        if (grant == null) {
            throw nonsense();
        }
        Detached lease = new Detached(grant);
        lease.confirm(message, sentAt);
        if (lease.term.left(Clock.now()) <= 0) {
            throw tooLate();
        }
        return lease;
    }

    private static RefusedException nonsense() {
        return new RefusedException("the server's answer makes no sense");
    }

    private static TimedOutException tooLate() {
        return new TimedOutException("the lease had expired when its grant was read");
    }

    static ByteString randomToken() {
        byte[] token = new byte[Grant.TOKEN_SIZE];
        RANDOM.nextBytes(token);
        return ByteString.copyFrom(token);
    }

    /** The answer to a renewal must not revive a lease that is being released meanwhile. */
    private void confirm(LocksOuterClass.Lease message, long sentAt) {
        if (isReleased) {
            throw new NotHeldException("the lease is being released");
        }
        term.start(message.getTtlMs() * Clock.MILLISECOND, 0);
        term.confirm(sentAt, message.getValidForMs() * Clock.MILLISECOND, Clock.now());
    }

    @Override
    public Grant grant() {
        return grant;
    }

    @Override
    public Term term() {
        return term;
    }

    @Override
    public void check() {
        if (term.left(Clock.now()) > 0) {
            return;
        }
        if (isReleased) {
            throw new NotHeldException("the lease was released");
        }
        throw new LeaseLostException(term.loss() != null ? term.loss() : Loss.EXPIRED);
    }

    // Acquire

    /** With the same token it is the same acquire, so a lost answer is asked for again. */
    static CompletableFuture<Detached> acquire(Connection connection, Ask ask, ByteString token) {
        long waitUntil = Clock.now() + ask.waitMs() * Clock.MILLISECOND;
        CompletableFuture<Answer<AcquireResponse>> asked = connection.askRepeatedly(
                LocksGrpc.getAcquireMethod(),
                () -> ask.acquireMessage(token, leftMs(waitUntil)),
                waitUntil + connection.timeout);
        CompletableFuture<Detached> granted =
                asked.thenCompose(answer -> take(connection, ask, token, answer));
        granted.whenComplete((lease, error) -> asked.cancel(false));
        return granted;
    }

    private static int leftMs(long until) {
        return (int) (Math.max(0, until - Clock.now()) / Clock.MILLISECOND);
    }

    private static CompletableFuture<Detached> take(
            Connection connection, Ask ask, ByteString token, Answer<AcquireResponse> answer) {
        AcquireResponse message = answer.message();
        if (message.hasBusy()) {
            throw new BusyException("somebody else holds the lock", Holder.of(message.getBusy()));
        }
        Grant grant = Grant.of(message.getLease(), ask.keys(), token);
        if (ask.waitMs() == 0 || grant == null) {
            return CompletableFuture.completedFuture(of(grant, message.getLease(), answer.sentAt()));
        }
        return confirm(connection, grant, ask.message().getTtlMs());
    }

    /** Counted from our question the lease may be over, although it was granted only now. */
    private static CompletableFuture<Detached> confirm(Connection connection, Grant grant, int ttlMs) {
        RenewRequest request = request(grant.key(), grant.token(), ttlMs);
        return connection
                .askRepeatedly(
                        LocksGrpc.getRenewMethod(), () -> request, Clock.now() + connection.timeout)
                .thenApply(answer -> {
                    if (!answer.message().hasLease()) {
                        throw tooLate();
                    }
                    return of(grant, answer.message().getLease(), answer.sentAt());
                });
    }

    // Renew

    private static RenewRequest request(String key, ByteString token, int ttlMs) {
        return RenewRequest.newBuilder().setKey(key).setToken(token).setTtlMs(ttlMs).build();
    }

    private static LocksOuterClass.Lease leaseOf(RenewResponse message) {
        return switch (message.getResultCase()) {
            case LEASE -> message.getLease();
            case NOT_HELD -> throw new NotHeldException("the lease is not held any more");
            default -> throw nonsense();
        };
    }

    CompletableFuture<Void> renew(Connection connection, int ttlMs) {
        RenewRequest request = request(grant.key(), grant.token(), ttlMs);
        return connection.ask(LocksGrpc.getRenewMethod(), request).thenAccept(answer -> {
            if (answer.message().hasNotHeld() && !isReleased) {
                term.lose(Loss.TAKEN);
            }
            confirm(leaseOf(answer.message()), answer.sentAt());
        });
    }

    static CompletableFuture<Detached> renewToken(
            Connection connection, String key, ByteString token, int ttlMs) {
        return connection
                .ask(LocksGrpc.getRenewMethod(), request(key, token, ttlMs))
                .thenApply(answer -> {
                    LocksOuterClass.Lease lease = leaseOf(answer.message());
                    return of(Grant.ofOldLease(lease, List.of(key), token), lease, answer.sentAt());
                });
    }

    // Release

    CompletableFuture<Void> release(Connection connection) {
        isReleased = true;
        term.end();
        return releaseToken(connection, grant.key(), grant.token());
    }

    static CompletableFuture<Void> releaseToken(Connection connection, String key, ByteString token) {
        ReleaseRequest request =
                ReleaseRequest.newBuilder().setKey(key).setToken(token).build();
        return connection.ask(LocksGrpc.getReleaseMethod(), request).thenAccept(answer -> {
            if (answer.message().getOutcome() == ReleaseResponse.Outcome.OUTCOME_NOT_HELD) {
                throw new NotHeldException("the lease is not held any more");
            }
            if (answer.message().getOutcome() != ReleaseResponse.Outcome.OUTCOME_RELEASED) {
                throw nonsense();
            }
        });
    }
}
