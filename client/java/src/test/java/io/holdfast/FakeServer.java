// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.AcquireRequest;
import holdfast.v1.LocksOuterClass.AcquireResponse;
import holdfast.v1.LocksOuterClass.HoldAsk;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.HoldLost;
import holdfast.v1.LocksOuterClass.HoldQueued;
import holdfast.v1.LocksOuterClass.HoldReleased;
import holdfast.v1.LocksOuterClass.HoldRenewed;
import holdfast.v1.LocksOuterClass.HoldRequest;
import holdfast.v1.LocksOuterClass.ReleaseRequest;
import holdfast.v1.LocksOuterClass.ReleaseResponse;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioServerSocketChannel;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A gRPC server whose Hold streams are played by hand, so that each order of events can be had. */
final class FakeServer implements AutoCloseable {
    static final ByteString TOKEN = ByteString.copyFrom(new byte[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    private static final int PATIENCE_S = 20;
    private static final HoldRequest HALF_CLOSED = HoldRequest.newBuilder().build();
    private static final HoldRequest GONE = HoldRequest.newBuilder().build();

    final BlockingQueue<String> authorizations = new LinkedBlockingQueue<>();
    final BlockingQueue<ReleaseRequest> releases = new LinkedBlockingQueue<>();
    final BlockingQueue<Acquiring> acquires = new LinkedBlockingQueue<>();
    private final BlockingQueue<Played> streams = new LinkedBlockingQueue<>();
    private final int port;
    private final EventLoopGroup listening = new NioEventLoopGroup(1);
    private EventLoopGroup connections;
    private Server server;

    FakeServer() throws IOException {
        server = start(0);
        port = server.getPort();
    }

    String url() {
        return "tcp://127.0.0.1:" + port;
    }

    private Server start(int at) throws IOException {
        connections = new NioEventLoopGroup(1);
        return NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", at))
                .bossEventLoopGroup(listening)
                .workerEventLoopGroup(connections)
                .channelType(NioServerSocketChannel.class)
                .addService(new Locks())
                .intercept(new Listener())
                .build()
                .start();
    }

    /** Its connections are dropped without a word. */
    void stop() throws InterruptedException {
        server.shutdown();
        connections.shutdownGracefully(0, 0, TimeUnit.SECONDS).sync();
    }

    void startAgain() throws IOException {
        server = start(port);
    }

    @Override
    public void close() {
        server.shutdown();
        connections.shutdownGracefully(0, 0, TimeUnit.SECONDS);
        listening.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }

    /** The next Hold that a client begins. */
    Played stream() throws InterruptedException {
        return next(streams);
    }

    static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        T one = queue.poll(PATIENCE_S, TimeUnit.SECONDS);
        assertNotNull(one, "nothing came");
        return one;
    }

    /** One Hold call, seen from the server. */
    static final class Played implements StreamObserver<HoldRequest> {
        private final BlockingQueue<HoldRequest> received = new LinkedBlockingQueue<>();
        private final StreamObserver<HoldEvent> output;

        Played(StreamObserver<HoldEvent> output) {
            this.output = output;
        }

        @Override
        public void onNext(HoldRequest message) {
            received.add(message);
        }

        @Override
        public void onError(Throwable error) {
            received.add(GONE);
        }

        @Override
        public void onCompleted() {
            received.add(HALF_CLOSED);
        }

        HoldAsk ask() throws InterruptedException {
            HoldRequest message = next(received);
            assertTrue(message.hasAsk(), message.toString());
            return message.getAsk();
        }

        void ping() throws InterruptedException {
            HoldRequest message = next(received);
            assertTrue(message.hasPing(), message.toString());
        }

        /** It may have pinged before. */
        void halfClose() throws InterruptedException {
            while (next(received) != HALF_CLOSED) {
                continue;
            }
        }

        void tell(HoldEvent.Builder event) {
            output.onNext(event.build());
        }

        void queued(int position) {
            tell(HoldEvent.newBuilder().setQueued(HoldQueued.newBuilder().setPosition(position)));
        }

        void grant() {
            grant(7, 9000);
        }

        void grant(long fence, int validForMs) {
            LocksOuterClass.Lease.Builder lease = LocksOuterClass.Lease.newBuilder()
                    .setKey("k")
                    .setToken(TOKEN)
                    .setFence(fence)
                    .setTtlMs(9000)
                    .setValidForMs(validForMs);
            tell(HoldEvent.newBuilder().setGranted(lease));
        }

        void renewed(int validForMs) {
            tell(HoldEvent.newBuilder().setRenewed(HoldRenewed.newBuilder().setValidForMs(validForMs)));
        }

        void lose(HoldLost.Reason reason) {
            tell(HoldEvent.newBuilder().setLost(HoldLost.newBuilder().setReason(reason)));
            output.onCompleted();
        }

        void release() {
            tell(HoldEvent.newBuilder().setReleased(HoldReleased.getDefaultInstance()));
            output.onCompleted();
        }

        void fail(Status status) {
            output.onError(status.asException());
        }
    }

    /** An Acquire that is not answered yet. */
    record Acquiring(AcquireRequest request, StreamObserver<AcquireResponse> output) {
        void grant() {
            LocksOuterClass.Lease.Builder lease = LocksOuterClass.Lease.newBuilder()
                    .setKey(request.getKey())
                    .setToken(request.getToken())
                    .setFence(7)
                    .setTtlMs(9000)
                    .setValidForMs(9000);
            output.onNext(AcquireResponse.newBuilder().setLease(lease).build());
            output.onCompleted();
        }

        void fail(Status status) {
            output.onError(status.asException());
        }
    }

    private final class Locks extends LocksGrpc.LocksImplBase {
        @Override
        public StreamObserver<HoldRequest> hold(StreamObserver<HoldEvent> output) {
            Played played = new Played(output);
            streams.add(played);
            return played;
        }

        @Override
        public void acquire(AcquireRequest request, StreamObserver<AcquireResponse> output) {
            acquires.add(new Acquiring(request, output));
        }

        @Override
        public void release(ReleaseRequest request, StreamObserver<ReleaseResponse> output) {
            releases.add(request);
            output.onNext(ReleaseResponse.newBuilder()
                    .setOutcome(ReleaseResponse.Outcome.OUTCOME_RELEASED)
                    .build());
            output.onCompleted();
        }
    }

    private final class Listener implements ServerInterceptor {
        @Override
        public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
            String told = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
            if (told != null) {
                authorizations.add(told);
            }
            return next.startCall(call, headers);
        }
    }
}
