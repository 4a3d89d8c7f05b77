// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass.InspectRequest;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/**
 * One connection to a server, made when it is first used and again whenever it drops. Any number of threads may use
 * it.
 *
 * <p>A lease is valid until a deadline that only moves while the server confirms it. When the connection drops, its
 * leases are lost at that moment and the library says so.
 */
public final class HoldfastClient implements AutoCloseable {
    /** What is left of a closed channel ends within a moment. */
    private static final long CLOSE_TIMEOUT = Clock.SECOND;

    private final Loop loop = new Loop();
    private final Connection connection;

    private HoldfastClient(Address address, SslContext tls, Duration timeout, String bearerToken) {
        connection = new Connection(address, tls, loop, timeout.toNanos(), bearerToken);
    }

    /** To $HOLDFAST_SERVER, else tcp://127.0.0.1:7420. */
    public static HoldfastClient connect() {
        return builder().build();
    }

    /** To unix:///path, tcp://host:port or tls://host:port. */
    public static HoldfastClient connect(String server) {
        return builder().server(server).build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** What a client is made of. */
    public static final class Builder {
        private String server;
        private Path ca;
        private Path certificate;
        private Path key;
        private Duration timeout = Duration.ofSeconds(5);
        private String bearerToken;

        private Builder() {}

        /** unix:///path, tcp://host:port or tls://host:port; else, $HOLDFAST_SERVER or tcp://127.0.0.1:7420. */
        public Builder server(String url) {
            server = url;
            return this;
        }

        /** tls: PEM of the authorities to trust; else, Java's. */
        public Builder trust(Path pem) {
            ca = pem;
            return this;
        }

        /** tls: our certificate, if the server asks, and its key; PEM. */
        public Builder certificate(Path pem, Path keyPem) {
            certificate = pem;
            key = keyPem;
            return this;
        }

        /** For connecting and for each request; 5 seconds unless told. */
        public Builder timeout(Duration duration) {
            Lock.milliseconds("timeout", duration);
            timeout = duration;
            return this;
        }

        /** Sent with each call as "authorization: Bearer ...". */
        public Builder bearerToken(String token) {
            bearerToken = token;
            return this;
        }

        public HoldfastClient build() {
            Address address = Address.parse(server);
            SslContext tls = Channels.check(address, new Channels.Tls(ca, certificate, key));
            return new HoldfastClient(address, tls, timeout, bearerToken);
        }
    }

    public String server() {
        return connection.address.url();
    }

    /** Leases still held are lost, without onLost; what other threads wait for throws CancelledException. */
    @Override
    public void close() {
        CompletableFuture<Void> closed = loop.submit(() -> {
            connection.close();
            return CompletableFuture.completedFuture(null);
        });
        closed.handle((nothing, error) -> nothing).join();
        connection.awaitEnd(CLOSE_TIMEOUT);
        loop.stop();
    }

    // Locks

    /** A lock; or several, which are taken all or none. */
    public Lock lock(String... keys) {
        return new Lock(this, keys);
    }

    /**
     * The lock of a lease that is taken over by its token, within its grace, with the fence it had. Whoever held it has
     * lost it. Acquiring throws NotHeldException when it has ended.
     */
    public Lock resume(String key, byte[] token) {
        return new Lock(this, key, Lock.token(token));
    }

    /** Extends the detached lease of another process. Its fence is 0 where the server does not tell. */
    public DetachedLease renew(String key, byte[] token, Duration ttl) {
        ByteString secret = Lock.token(token);
        int ttlMs = Lock.milliseconds("ttl", ttl);
        return new DetachedLease(
                Loop.await(loop.submit(() -> Detached.renewToken(connection, key, secret, ttlMs))), connection);
    }

    /** Releases the lease of another process, detached or not. Throws NotHeldException when it is gone. */
    public void release(String key, byte[] token) {
        ByteString secret = Lock.token(token);
        Loop.awaitBounded(loop.submit(() -> Detached.releaseToken(connection, key, secret)));
    }

    /** Who holds the lock; empty when it is free. */
    public Optional<Holder> inspect(String key) {
        InspectRequest request = InspectRequest.newBuilder().setKey(key).build();
        return Loop.await(loop.submit(() -> connection.ask(LocksGrpc.getInspectMethod(), request)
                .thenApply(answer -> answer.message().hasHeld()
                        ? Optional.of(Holder.of(answer.message().getHeld()))
                        : Optional.<Holder>empty())));
    }

    /** Tells who holds the lock now, and whenever that changes; who is slow to listen hears the newest state only. */
    public Watch watch(String key, Consumer<WatchState> listener) {
        Watch watch = new Watch(connection, Objects.requireNonNull(key), Objects.requireNonNull(listener));
        return Loop.await(loop.submit(watch::start));
    }

    /** Throws ServerAwayException unless the server serves: it is up, not draining, and its Redis is there. */
    public void checkHealth() {
        Loop.await(loop.submit(connection::checkHealth));
    }

    // For the library

    Loop loop() {
        return loop;
    }

    CompletableFuture<Lease> acquire(Ask ask, Executor teller) {
        return loop.submit(() -> hold(ask), Lease::abandon, teller);
    }

    private CompletableFuture<Lease> hold(Ask ask) {
        CompletableFuture<Hold> answer = new Question(connection, ask, this::giveUp).answer;
        CompletableFuture<Lease> lease = answer.thenApply(hold -> new Lease(hold, connection));
        lease.whenComplete((told, error) -> answer.cancel(false));
        if (ask.onLost() != null) {
            lease.thenAccept(told -> told.onLost(ask.onLost()));
        }
        return lease;
    }

    /** null: a token of our own, and what may have been obtained with it is given up when this fails. */
    CompletableFuture<DetachedLease> acquireDetached(Ask ask, ByteString token) {
        ByteString own = token != null ? token : Detached.randomToken();
        Runnable undo = () -> {
            if (token == null) {
                giveUp(ask.keys().get(0), own);
            }
        };
        return loop.submit(
                () -> {
                    CompletableFuture<Detached> asked = Detached.acquire(connection, ask, own);
                    CompletableFuture<DetachedLease> lease =
                            asked.thenApply(core -> new DetachedLease(core, connection));
                    lease.whenComplete((told, error) -> asked.cancel(false));
                    asked.whenComplete((told, error) -> {
                        if (error != null && !(Failures.of(error) instanceof BusyException)) {
                            undo.run();
                        }
                    });
                    return lease;
                },
                lease -> undo.run(),
                Runnable::run);
    }

    Election elect(Ask ask, Consumer<Lease> onElected, Runnable onDeposed) {
        Election election = new Election(connection, ask, this::giveUp, onElected, onDeposed);
        return Loop.await(loop.submit(election::start));
    }

    private CompletableFuture<Void> giveUp(String key, ByteString token) {
        return Loop.start(() -> Detached.releaseToken(connection, key, token));
    }

    @Override
    public String toString() {
        return "HoldfastClient " + server();
    }
}
