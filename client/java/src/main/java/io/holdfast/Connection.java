// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * The gRPC channel to one server: made when it is first used, kept up, and known to be up or not. Everything is
 * called in the loop.
 */
final class Connection {
    /** How long a question about why there is no connection may take; it is answered at once. */
    private static final long PROBE_TIMEOUT = Clock.SECOND;

    /** Between two attempts to connect: gRPC's own pauses begin at a second and grow to minutes. */
    private static final long RECONNECT_PAUSE_FIRST = 100 * Clock.MILLISECOND;

    private static final long RECONNECT_PAUSE_LAST = 2 * Clock.SECOND;
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private static volatile boolean isWarm; // this process has made a call

    final Address address;
    final Loop loop;
    final long timeout;
    private final SslContext tls;
    private final Metadata metadata = new Metadata();
    private final Set<Living> living = new LinkedHashSet<>();
    private final Set<Runnable> waiting = new LinkedHashSet<>(); // for the connection
    private Channels channels;
    private Channel channel; // adds the metadata
    private boolean wasUp;
    private boolean isClosed;
    private int drops;
    private String down;
    private long pause = RECONNECT_PAUSE_FIRST;

    Connection(Address address, SslContext tls, Loop loop, long timeout, String bearerToken) {
        this.address = address;
        this.tls = tls;
        this.loop = loop;
        this.timeout = timeout;
        this.down = "no connection to " + address.url() + " yet";
        if (bearerToken != null) {
            metadata.put(AUTHORIZATION, "Bearer " + bearerToken);
        }
    }

    // Being up

    boolean isUp() {
        return channels != null && channels.channel().getState(false) == ConnectivityState.READY;
    }

    /** How often the connection was lost. */
    int drops() {
        return drops;
    }

    /** Why it is not up. */
    String down() {
        return down;
    }

    /** In a later turn, once there is a connection, however long that takes. */
    void whenUp(Runnable work) {
        if (channels == null) {
            open();
        }
        if (isUp() && isWarm) {
            loop.execute(work);
        } else {
            waiting.add(work);
        }
    }

    void forget(Runnable work) {
        waiting.remove(work);
    }

    private void open() {
        channels = Channels.open(address, tls, loop);
        channel = ClientInterceptors.intercept(
                channels.channel(), MetadataUtils.newAttachHeadersInterceptor(metadata));
        watch();
    }

    /** Connects, again whenever that is lost, and learns why it fails. */
    private void watch() {
        ConnectivityState state = channels.channel().getState(true);
        switch (state) {
            case READY -> noteUp();
            case TRANSIENT_FAILURE -> noteFailure();
            case SHUTDOWN -> {
                return;
            }
            default -> {}
        }
        channels.channel().notifyWhenStateChanged(state, this::onChange);
    }

    /** It may be up again by now. */
    private void onChange() {
        noteDown();
        watch();
    }

    private void noteUp() {
        wasUp = true;
        pause = RECONNECT_PAUSE_FIRST;
        if (isWarm) {
            wakeWaiting();
        } else {
            warmUp();
        }
    }

    /**
     * The first call of a process loads hundreds of classes, which may take longer than a short lease lasts: let it
     * be one that holds nothing. Its answer does not matter.
     */
    private void warmUp() {
        Grant.warmUp();
        probe(() -> {
            isWarm = true;
            if (isUp()) {
                wakeWaiting();
            }
        });
    }

    private void wakeWaiting() {
        List<Runnable> ready = new ArrayList<>(waiting);
        waiting.clear();
        ready.forEach(loop::execute);
    }

    private void noteDown() {
        if (wasUp) {
            wasUp = false;
            drops++;
            down = "the connection to " + address.url() + " was lost";
        }
    }

    private void noteFailure() {
        probe(() -> {});
        loop.after(pause, channels.channel()::resetConnectBackoff);
        pause = Math.min(2 * pause, RECONNECT_PAUSE_LAST);
    }

    /** A call that does not wait for a connection tells what is wrong with it. */
    private void probe(Runnable onEnd) {
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(PROBE_TIMEOUT, TimeUnit.NANOSECONDS);
        ClientCall<HealthCheckRequest, HealthCheckResponse> call =
                channels.channel().newCall(HealthGrpc.getCheckMethod(), options);
        ClientCalls.asyncUnaryCall(call, HealthCheckRequest.getDefaultInstance(), new Probe(onEnd));
    }

    private final class Probe implements StreamObserver<HealthCheckResponse> {
        private final Runnable onEnd;

        Probe(Runnable onEnd) {
            this.onEnd = onEnd;
        }

        @Override
        public void onNext(HealthCheckResponse answer) {}

        @Override
        public void onError(Throwable error) {
            down = "no connection to " + address.url() + ": " + Failures.text(Status.fromThrowable(error));
            onEnd.run();
        }

        @Override
        public void onCompleted() {
            onEnd.run();
        }
    }

    // Calls

    /** For streams; the calls of a channel wait for its connection if they are told to. */
    Channel channel() {
        return channel;
    }

    <Q, R> CompletableFuture<Answer<R>> ask(MethodDescriptor<Q, R> method, Q message) {
        return new Call<>(this, method, () -> message, Clock.now() + timeout, false).answer;
    }

    /** Asked again when the connection was lost, which must do no harm. */
    <Q, R> CompletableFuture<Answer<R>> askRepeatedly(
            MethodDescriptor<Q, R> method, Supplier<Q> message, long until) {
        return new Call<>(this, method, message, until, true).answer;
    }

    CompletableFuture<Void> checkHealth() {
        return ask(HealthGrpc.getCheckMethod(), HealthCheckRequest.getDefaultInstance())
                .thenAccept(answer -> {
                    if (answer.message().getStatus() != HealthCheckResponse.ServingStatus.SERVING) {
                        throw new ServerAwayException(
                                "the server does not serve: it is draining, or Redis is away");
                    }
                });
    }

    // Its end

    void enter(Living one) {
        if (isClosed) {
            throw closed();
        }
        living.add(one);
    }

    void leave(Living one) {
        living.remove(one);
    }

    static CancelledException closed() {
        return new CancelledException("the client was closed");
    }

    /** Ends every call, and all that goes on. */
    void close() {
        isClosed = true;
        new ArrayList<>(living).forEach(Living::close);
        waiting.clear();
        if (channels != null) {
            channels.channel().shutdownNow();
        }
    }

    /** In the thread that closes the client. */
    void awaitEnd(long patience) {
        if (channels == null) {
            return;
        }
        try {
            channels.channel().awaitTermination(patience, TimeUnit.NANOSECONDS);
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
        }
        channels.io().shutdownGracefully(0, patience, TimeUnit.NANOSECONDS);
    }
}
