// SPDX-License-Identifier: Apache-2.0
package interop;

import static interop.Probe.must;
import static interop.Probe.seconds;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass.AcquireRequest;
import holdfast.v1.LocksOuterClass.AcquireResponse;
import holdfast.v1.LocksOuterClass.HoldAsk;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.HoldEvent.EventCase;
import holdfast.v1.LocksOuterClass.HoldPing;
import holdfast.v1.LocksOuterClass.HoldRequest;
import holdfast.v1.LocksOuterClass.InspectRequest;
import holdfast.v1.LocksOuterClass.Lease;
import holdfast.v1.LocksOuterClass.ReleaseRequest;
import holdfast.v1.LocksOuterClass.ReleaseResponse.Outcome;
import holdfast.v1.LocksOuterClass.WatchEvent;
import holdfast.v1.LocksOuterClass.WatchRequest;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import java.io.File;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/** A connection of its own, and what is asked over it. */
final class Client implements AutoCloseable {
    private static final EpollEventLoopGroup SOCKETS = new EpollEventLoopGroup(1);
    final ManagedChannel channel;

    Client(String target, String caFile) throws IOException {
        if (target.startsWith("unix:")) {
            channel = NettyChannelBuilder.forAddress(new DomainSocketAddress(target.substring(5)))
                    .channelType(EpollDomainSocketChannel.class)
                    .eventLoopGroup(SOCKETS)
                    .usePlaintext()
                    .build();
        } else {
            ChannelCredentials credentials = caFile == null
                    ? InsecureChannelCredentials.create()
                    : TlsChannelCredentials.newBuilder().trustManager(new File(caFile)).build();
            channel = Grpc.newChannelBuilder(target, credentials).build();
        }
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }

    LocksGrpc.LocksBlockingStub locks() {
        return LocksGrpc.newBlockingStub(channel).withDeadlineAfter(seconds(20), TimeUnit.SECONDS);
    }

    LocksGrpc.LocksFutureStub later() {
        return LocksGrpc.newFutureStub(channel).withDeadlineAfter(seconds(60), TimeUnit.SECONDS);
    }

    Lease acquire(String key) {
        AcquireResponse answer = locks().acquire(AcquireRequest.newBuilder().setKey(key).build());
        must(answer.hasLease(), key + ": " + answer);
        return answer.getLease();
    }

    void release(Lease lease) {
        ReleaseRequest request =
                ReleaseRequest.newBuilder().setKey(lease.getKey()).setToken(lease.getToken()).build();
        Outcome outcome = locks().release(request).getOutcome();
        must(outcome == Outcome.OUTCOME_RELEASED, outcome.toString());
    }

    boolean isHeld(String key) {
        return locks().inspect(InspectRequest.newBuilder().setKey(key).build()).hasHeld();
    }

    Events<WatchRequest, WatchEvent> watch(String key) {
        Events<WatchRequest, WatchEvent> events = new Events<>();
        LocksGrpc.newStub(channel).watch(WatchRequest.newBuilder().setKey(key).build(), events);
        return events;
    }

    Hold hold(HoldAsk.Builder ask) {
        Hold hold = new Hold();
        LocksGrpc.newStub(channel).hold(hold.events);
        hold.events.call.onNext(HoldRequest.newBuilder().setAsk(ask).build());
        return hold;
    }

    Hold held(String key) throws InterruptedException {
        Hold hold = hold(HoldAsk.newBuilder().setKey(key));
        hold.expect(EventCase.GRANTED);
        return hold;
    }

    Hold wait(String key) {
        return hold(HoldAsk.newBuilder().setKey(key).setWaitMs(60000));
    }

    static HoldAsk.Builder large(int size) {
        return HoldAsk.newBuilder().setKey("large").setValue(ByteString.copyFrom(new byte[size]));
    }

    /** One Hold. */
    static final class Hold {
        final Events<HoldRequest, HoldEvent> events = new Events<>();

        void ping() {
            events.call.onNext(HoldRequest.newBuilder().setPing(HoldPing.getDefaultInstance()).build());
        }

        void expect(EventCase kind) throws InterruptedException {
            EventCase heard = events.next().getEventCase();
            while (heard == EventCase.QUEUED && kind != EventCase.QUEUED) {
                heard = events.next().getEventCase();
            }
            must(heard == kind, "heard " + heard + ", not " + kind);
        }

        void release() throws InterruptedException {
            events.call.onCompleted();
            expect(EventCase.RELEASED);
            Probe.mustBe(Status.Code.OK, events.end());
        }
    }
}
