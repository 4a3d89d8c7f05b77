// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** One question and its answer. Where that may be repeated, a lost answer is asked for again. */
final class Call<Q, R> implements Living {
    /** Before a question whose answer was lost is asked again; by then it is known whether the connection was. */
    private static final long REPEAT_PAUSE = 100 * Clock.MILLISECOND;

    /** Cancelling it cancels the call. */
    final CompletableFuture<Answer<R>> answer = new CompletableFuture<>();

    private final Connection connection;
    private final MethodDescriptor<Q, R> method;
    private final Supplier<Q> message;
    private final long until;
    private final boolean isRepeated;
    private final Runnable start = this::start;
    private ClientCall<Q, R> call;
    private Future<?> timer;

    Call(
            Connection connection,
            MethodDescriptor<Q, R> method,
            Supplier<Q> message,
            long until,
            boolean isRepeated) {
        this.connection = connection;
        this.method = method;
        this.message = message;
        this.until = until;
        this.isRepeated = isRepeated;
        connection.enter(this);
        begin(Math.min(until - Clock.now(), connection.timeout));
        answer.whenComplete((told, error) -> end());
    }

    private void begin(long patience) {
        timer = connection.loop.after(patience, () -> fail(new ServerAwayException(connection.down())));
        connection.whenUp(start);
    }

    private void start() {
        if (answer.isDone()) {
            return;
        }
        timer.cancel(false);
        Attempt attempt = new Attempt(Clock.now(), connection.drops());
        long left = Math.max(Clock.MILLISECOND, until - attempt.sentAt);
        CallOptions options =
                CallOptions.DEFAULT.withWaitForReady().withDeadlineAfter(left, TimeUnit.NANOSECONDS);
        call = connection.channel().newCall(method, options);
        ClientCalls.asyncUnaryCall(call, message.get(), attempt);
    }

    private void fail(Throwable error) {
        answer.completeExceptionally(error);
    }

    private void end() {
        connection.leave(this);
        connection.forget(start);
        timer.cancel(false);
        if (call != null && answer.isCompletedExceptionally()) {
            call.cancel("nobody waits for the answer", null);
        }
    }

    @Override
    public void close() {
        fail(Connection.closed());
    }

    private final class Attempt implements StreamObserver<R> {
        private final long sentAt;
        private final int drops;

        Attempt(long sentAt, int drops) {
            this.sentAt = sentAt;
            this.drops = drops;
        }

        @Override
        public void onNext(R told) {
            answer.complete(new Answer<>(sentAt, told));
        }

        @Override
        public void onError(Throwable error) {
            if (answer.isDone()) {
                return;
            }
            if (Failures.is(error, Status.Code.DEADLINE_EXCEEDED) && !connection.isUp()) {
                fail(new ServerAwayException(connection.down()));
            } else if (isRepeated && Failures.isDisconnected(error)) {
                timer = connection.loop.after(REPEAT_PAUSE, () -> repeat(error));
            } else {
                fail(Failures.of(error));
            }
        }

        /** Unless the server itself said that it is not available. */
        private void repeat(Throwable error) {
            if (drops == connection.drops() && connection.isUp()) {
                fail(Failures.of(error));
            } else {
                begin(until - Clock.now());
            }
        }

        @Override
        public void onCompleted() {
            fail(Failures.of(null));
        }
    }
}
