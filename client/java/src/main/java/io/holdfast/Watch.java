// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass.WatchEvent;
import holdfast.v1.LocksOuterClass.WatchRequest;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.function.Consumer;

/**
 * Watching a lock: its state now, and again whenever that changes, across lost connections. That the state is not
 * known is told once, and the watch goes on by itself.
 */
public final class Watch implements AutoCloseable {
    /** Until the server is asked again, when it says "not now". */
    private static final long RETRY_PAUSE = 250 * Clock.MILLISECOND;

    private final Connection connection;
    private final String key;
    private final Newest<WatchState> news;
    private final CompletableFuture<Void> done = new CompletableFuture<>();
    private final Runnable ask = this::ask;
    private final Living living = () -> end(null);
    private volatile boolean isOver;
    private ClientCall<WatchRequest, WatchEvent> call;
    private Future<?> timer; // when the state is not known, or to ask again
    private boolean isUnknown; // and the application knows

    Watch(Connection connection, String key, Consumer<WatchState> listener) {
        this.connection = connection;
        this.key = key;
        this.news = new Newest<>(connection.loop, state -> {
            if (!isOver) {
                listener.accept(state);
            }
        });
    }

    /** Nothing is told any more once it returns, but what is being told. */
    @Override
    public void close() {
        isOver = true;
        connection.loop.execute(() -> end(null));
    }

    /** Ends with the watch; exceptionally when the server refused it. */
    public CompletableFuture<Void> done() {
        return done.copy();
    }

    // In the loop

    CompletableFuture<Watch> start() {
        connection.enter(living);
        await();
        return CompletableFuture.completedFuture(this);
    }

    private void end(HoldfastException error) {
        isOver = true;
        connection.leave(living);
        connection.forget(ask);
        setTimer(0, () -> {});
        if (call != null) {
            call.cancel("nobody watches any more", null);
        }
        connection.loop.tell(() -> {
            if (error == null) {
                done.complete(null);
            } else {
                done.completeExceptionally(error);
            }
        });
    }

    private void await() {
        setTimer(connection.timeout, () -> tellUnknown(connection.down()));
        connection.whenUp(ask);
    }

    private void setTimer(long delay, Runnable work) {
        if (timer != null) {
            timer.cancel(false);
        }
        timer = connection.loop.after(delay, work);
    }

    private void ask() {
        if (isOver) {
            return;
        }
        setTimer(connection.timeout, () ->
                tellUnknown("the server did not answer in time; perhaps its Redis is away"));
        WatchRequest request = WatchRequest.newBuilder().setKey(key).build();
        call = connection.channel().newCall(
                LocksGrpc.getWatchMethod(), CallOptions.DEFAULT.withWaitForReady());
        ClientCalls.asyncServerStreamingCall(call, request, new Events());
    }

    private void tellUnknown(String why) {
        if (!isUnknown && !isOver) {
            isUnknown = true;
            news.set(WatchState.unknown(why));
        }
    }

    private void tell(WatchState state) {
        isUnknown = false;
        news.set(state);
    }

    private final class Events implements StreamObserver<WatchEvent> {
        @Override
        public void onNext(WatchEvent event) {
            if (isOver) {
                return;
            }
            timer.cancel(false);
            switch (event.getStateCase()) {
                case HELD -> tell(WatchState.held(Holder.of(event.getHeld())));
                case FREE -> tell(WatchState.free());
                default -> {}
            }
        }

        @Override
        public void onError(Throwable error) {
            HoldfastException failure = Failures.of(error);
            if (isOver) {
                return;
            }
            if (Failures.isDisconnected(error)) {
                askAgain(failure.getMessage());
            } else {
                end(failure);
            }
        }

        @Override
        public void onCompleted() {
            if (!isOver) {
                askAgain("the server ended the watch");
            }
        }

        private void askAgain(String why) {
            tellUnknown(why);
            setTimer(RETRY_PAUSE, Watch.this::await);
        }
    }
}
