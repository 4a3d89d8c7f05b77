// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.HoldQueued;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;

/**
 * Asking for a lease on the Hold stream: until it is granted, refused, or taken back.
 *
 * <p>Nothing in here waits: the stream and a timer tell what happened, and a future tells whoever asked.
 */
final class Question implements Stream.Owner, Living {
    /** Cancelling it takes the question back. */
    final CompletableFuture<Hold> answer = new CompletableFuture<>();

    private final Connection connection;
    private final Ask ask;
    private final Hold.GiveUp giveUp;
    private final Newest<HoldQueued> queued;
    private Stream stream;
    private Future<?> timer;
    private boolean isAsked;
    private long waitUntil;
    private long unheldAt; // the last moment at which the lease was not granted
    private boolean wasQueued;
    private Hold hold; // granted, and not certain enough yet

    Question(Connection connection, Ask ask, Hold.GiveUp giveUp) {
        this.connection = connection;
        this.ask = ask;
        this.giveUp = giveUp;
        this.queued = new Newest<>(connection.loop, this::tellQueued);
        connection.enter(this);
        start();
        answer.whenComplete((granted, error) -> end(error != null));
    }

    private void start() {
        stream = new Stream(connection, this);
        setTimer(connection.timeout);
    }

    private void setTimer(long delay) {
        if (timer != null) {
            timer.cancel(false);
        }
        timer = connection.loop.after(delay, this::onTimeout);
    }

    // Its end

    /** Whatever was not handed over is given up. */
    private void end(boolean hasFailed) {
        connection.leave(this);
        timer.cancel(false);
        if (hasFailed && hold != null) {
            hold.abandon();
        } else if (hasFailed) {
            stream.leave();
        }
    }

    @Override
    public void close() {
        fail(Connection.closed());
    }

    private void settle() {
        if (answer.isDone()) {
            return;
        }
        if (hold.settle()) {
            answer.complete(hold);
        } else {
            fail(new NotHeldException("the lease was lost before it could be used"));
        }
    }

    private void fail(HoldfastException error) {
        answer.completeExceptionally(error);
    }

    private void onTimeout() {
        fail(stream.isStarted()
                ? new TimedOutException("the server did not answer in time")
                : new ServerAwayException(connection.down()));
    }

    // What the stream tells

    /** The wait began when the server heard of it first. */
    @Override
    public void onReady() {
        long now = Clock.now();
        unheldAt = now;
        if (ask.isResume()) {
            stream.send(ask.holdMessage(ask.waitMs()));
            return;
        }
        if (!isAsked) {
            isAsked = true;
            waitUntil = now + ask.waitMs() * Clock.MILLISECOND;
        }
        long wait = Math.max(0, waitUntil - now);
        stream.send(ask.holdMessage((int) (wait / Clock.MILLISECOND)));
        setTimer(wait + connection.timeout);
    }

    @Override
    public void onEvent(HoldEvent event) {
        switch (event.getEventCase()) {
            case QUEUED -> takeQueued(event.getQueued());
            case GRANTED -> takeGranted(event.getGranted());
            case BUSY -> takeBusy(event.getBusy());
            case LOST -> fail(
                    ask.isResume() ? new NotHeldException("the lease has ended meanwhile") : nonsense());
            case EVENT_NOT_SET -> {}
            default -> fail(nonsense());
        }
    }

    private static RefusedException nonsense() {
        return new RefusedException("the server's answer makes no sense");
    }

    /**
     * Where the connection was lost during the wait nothing is held: it is asked anew, with what is left of the
     * wait.
     */
    @Override
    public void onEnd(Throwable error) {
        boolean isWaiting = wasQueued && Clock.now() < waitUntil;
        if (isWaiting && Failures.isDisconnected(error)) {
            start();
        } else {
            fail(Failures.of(error));
        }
    }

    private void takeQueued(HoldQueued told) {
        unheldAt = Clock.now();
        wasQueued = true;
        if (ask.onQueued() != null) {
            queued.set(told);
        }
    }

    /** Never after the answer. */
    private void tellQueued(HoldQueued told) {
        if (!answer.isDone()) {
            Optional<LocksOuterClass.Holder> holder =
                    told.hasHolder() ? Optional.of(told.getHolder()) : Optional.empty();
            ask.onQueued().accept(told.getPosition(), holder.map(Holder::of));
        }
    }

    private void takeBusy(LocksOuterClass.Holder holder) {
        String text = holder.getClosed()
                ? "the lock is closed for a while after its holder was lost"
                : "somebody else holds the lock";
        fail(new BusyException(text, Holder.of(holder)));
    }

    private void takeGranted(LocksOuterClass.Lease message) {
        Grant grant = Grant.of(message, ask.keys(), ask.message().getResumeToken());
        if (grant == null) {
            fail(new RefusedException("the server's grant makes no sense"));
            return;
        }
        hold = new Hold(connection, ask, grant, stream, giveUp);
        hold.startTerm(message, unheldAt);
        stream.passTo(hold);
        if (ask.waitMs() != 0) {
            confirm();
        } else if (hold.term().left(Clock.now()) > 0) {
            settle();
        } else {
            fail(new TimedOutException("the lease had expired when its grant was read"));
        }
    }

    /**
     * After a wait the grant may be any age up to what we know: a ping tells. Where enough is left to go on with,
     * nobody has to wait for its answer.
     */
    private void confirm() {
        CompletableFuture<Void> confirmed = hold.confirm();
        if (hold.term().left(Clock.now()) > 2 * hold.term().atRisk()) {
            settle();
        } else {
            setTimer(connection.timeout);
        }
        confirmed.whenComplete((nothing, error) -> {
            if (error == null) {
                settle();
            } else {
                fail(Failures.of(error));
            }
        });
    }
}
