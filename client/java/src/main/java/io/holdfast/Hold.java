// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import com.google.protobuf.ByteString;
import holdfast.v1.LocksOuterClass;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.HoldLost;
import holdfast.v1.LocksOuterClass.HoldRenewed;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.function.BiFunction;
import java.util.function.Consumer;

/**
 * A lease on the Hold stream, from its grant to its end: kept alive, resumed, warned of, lost, released.
 *
 * <p>Everything but check runs in the loop and nothing waits: the stream and one timer tell what happened, futures
 * tell whoever waits.
 */
final class Hold implements Stream.Owner, Source, Living {
    private enum State {
        CONFIRMING, // the application does not have it yet
        HELD,
        RESUMING, // the connection dropped, and its grace is not over
        RELEASING,
        OVER
    }

    /** Releases by key and token, in the background. */
    interface GiveUp extends BiFunction<String, ByteString, CompletableFuture<Void>> {}

    private final Connection connection;
    private final Ask ask;
    private final Grant grant;
    private final GiveUp giveUp;
    private final Term term = new Term();
    private final Pings pings = new Pings();
    private final List<Consumer<Loss>> hearers = new ArrayList<>();
    private final CompletableFuture<Void> released = new CompletableFuture<>();
    private volatile State state = State.CONFIRMING;
    private Stream stream;
    private long askedAt; // to resume it
    private Future<?> timer;

    Hold(Connection connection, Ask ask, Grant grant, Stream stream, GiveUp giveUp) {
        this.connection = connection;
        this.ask = ask;
        this.grant = grant;
        this.stream = stream;
        this.giveUp = giveUp;
        connection.enter(this);
    }

    // Its beginning

    void startTerm(LocksOuterClass.Lease message, long since) {
        long maxHold = ask.message().getMaxHoldMs() * Clock.MILLISECOND;
        term.start(
                message.getTtlMs() * Clock.MILLISECOND,
                ask.message().getHeartbeatMs() * Clock.MILLISECOND);
        if (maxHold != 0) {
            term.endsAt(since + maxHold);
        }
        term.confirm(since, message.getValidForMs() * Clock.MILLISECOND, Clock.now());
    }

    CompletableFuture<Void> confirm() {
        CompletableFuture<Void> waiter = new CompletableFuture<>();
        ping(waiter);
        return waiter;
    }

    /** The application has it from now on, unless it is over. */
    boolean settle() {
        if (state == State.CONFIRMING) {
            keep();
        }
        return state == State.HELD;
    }

    private void keep() {
        state = State.HELD;
        term.planPing(Clock.now());
        setTimer();
    }

    // What is asked of it

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
        if (term.loss() != null || state == State.HELD || state == State.RESUMING) {
            throw new LeaseLostException(term.loss() != null ? term.loss() : lossByTime());
        }
        throw new NotHeldException("the lease was released");
    }

    CompletableFuture<Void> renew() {
        checkHeld();
        if (pings.areMany()) {
            throw new LimitReachedException("too many renewals wait for the server");
        }
        return confirm();
    }

    CompletableFuture<Void> release() {
        checkHeld();
        if (state == State.RESUMING) {
            end(null);
            return giveUp.apply(grant.key(), grant.token());
        }
        state = State.RELEASING;
        term.end();
        pings.drop(new NotHeldException("the lease is being released"));
        stream.halfClose();
        setTimer();
        return released;
    }

    private void checkHeld() {
        if (!isHeld()) {
            throw new NotHeldException("the lease was lost or released before");
        }
    }

    /** Gives it up without a word. */
    void abandon() {
        if (state == State.RESUMING) {
            giveUp.apply(grant.key(), grant.token());
        }
        end(null);
    }

    /** At once, when it is lost, or if it was. */
    void hear(Consumer<Loss> hearer) {
        if (term.loss() != null) {
            hearer.accept(term.loss());
        } else if (state != State.OVER) {
            hearers.add(hearer);
        }
    }

    /** Nobody hears of it, but whoever waits. */
    @Override
    public void close() {
        end(Connection.closed());
    }

    private void end(HoldfastException error) {
        state = State.OVER;
        term.end();
        connection.leave(this);
        if (error == null) {
            released.complete(null);
        } else {
            released.completeExceptionally(error);
        }
        pings.drop(error != null ? error : new NotHeldException("the lease ended"));
        if (timer != null) {
            timer.cancel(false);
        }
        if (stream != null) {
            stream.leave();
            stream = null;
        }
    }

    // Its end by itself

    private boolean isHeld() {
        return isInTime() && (state == State.HELD || state == State.RESUMING);
    }

    private boolean isInTime() {
        boolean isHeld = state == State.HELD || state == State.RESUMING;
        if (isHeld && term.left(Clock.now()) <= 0) {
            lose(lossByTime());
        }
        return state != State.OVER;
    }

    private Loss lossByTime() {
        return state == State.RESUMING ? Loss.CONNECTION : term.lossByTime();
    }

    private void lose(Loss loss) {
        term.lose(loss);
        end(new LeaseLostException(loss));
        hearers.forEach(hearer -> hearer.accept(loss));
    }

    private void warn() {
        if (term.warn() && ask.onAtRisk() != null) {
            connection.loop.tell(this::tellAtRisk);
        }
    }

    private void tellAtRisk() {
        long left = term.left(Clock.now());
        if (left > 0) {
            ask.onAtRisk().accept(Duration.ofNanos(left));
        }
    }

    // Pings and the timer

    /** null: nobody waits for the answer. */
    private void ping(CompletableFuture<Void> waiter) {
        pings.add(Clock.now(), waiter);
        if (stream != null && state != State.RESUMING) {
            stream.send(Pings.MESSAGE);
        }
    }

    private void setTimer() {
        if (timer != null) {
            timer.cancel(false);
        }
        long delay = state == State.RELEASING ? connection.timeout : term.wakesAt() - Clock.now();
        timer = connection.loop.after(delay, this::onTimer);
    }

    /** Timers run on a clock that stands still while the machine is suspended, and may be early. */
    private void onTimer() {
        if (state == State.RELEASING) {
            end(new TimedOutException("the server did not answer in time"));
            return;
        }
        if (!isHeld()) {
            return;
        }
        long now = Clock.now();
        if (term.mustWarn(now)) {
            warn();
        }
        if (term.isDue(now)) {
            doWhatIsDue(now);
        }
        setTimer();
    }

    private void doWhatIsDue(long now) {
        if (state == State.RESUMING) {
            tryToResume(now);
            return;
        }
        if (!pings.areMany()) {
            ping(null);
        }
        term.planPing(now);
    }

    // Resuming

    /**
     * The server began to count the grace when it noticed, which may have been before us; but it cannot have let
     * the lock go before the deadline that it confirmed itself, unless the grace is shorter. Pings that
     * somebody waits for wait on: coming back answers them as well.
     */
    private void beginResuming(long now) {
        state = State.RESUMING;
        term.limit(now + ask.message().getGraceMs() * Clock.MILLISECOND);
        pings.dropUnheard();
        tryToResume(now);
        setTimer();
    }

    private void tryToResume(long now) {
        term.planResume(now);
        if (stream == null) {
            stream = new Stream(connection, this);
        }
    }

    @Override
    public void onReady() {
        askedAt = Clock.now();
        stream.send(ask.resumeMessage(grant.token()));
    }

    // What the stream tells

    @Override
    public void onEvent(HoldEvent event) {
        if (!isInTime()) {
            return;
        }
        switch (event.getEventCase()) {
            case RENEWED -> takeRenewed(event.getRenewed());
            case AT_RISK -> takeAtRisk();
            case LOST -> takeLost(event.getLost());
            case RELEASED -> takeReleased();
            case GRANTED -> takeResumed(event.getGranted());
            default -> {}
        }
    }

    private void takeAtRisk() {
        if (state == State.HELD) {
            warn();
            setTimer();
        }
    }

    private void takeReleased() {
        if (state == State.RELEASING) {
            end(null);
        }
    }

    /** Answers come in the order of the pings. One that crossed our release says nothing new. */
    private void takeRenewed(HoldRenewed renewed) {
        boolean isAnswer = (state == State.HELD || state == State.CONFIRMING) && !pings.areNone();
        if (!isAnswer) {
            return;
        }
        long now = Clock.now();
        Pings.Ping ping = pings.next();
        term.confirm(ping.sentAt(), renewed.getValidForMs() * Clock.MILLISECOND, now);
        if (term.left(now) <= 0) {
            ping.fail(new TimedOutException("the lease had expired when it was confirmed"));
            isInTime();
            return;
        }
        ping.answer();
        term.noteRecovery(now);
        if (state == State.HELD) {
            keep();
        }
    }

    /** Ours again, with the fence it had: whoever waited for news of it has them. */
    private void takeResumed(LocksOuterClass.Lease message) {
        if (state != State.RESUMING) {
            return;
        }
        Grant again = Grant.of(message, ask.keys(), grant.token());
        if (again == null || !again.fences().equals(grant.fences())) {
            lose(Loss.CONNECTION);
            return;
        }
        startTerm(message, askedAt);
        if (isInTime()) {
            pings.answerAll();
            keep();
        }
    }

    private void takeLost(HoldLost lost) {
        Loss loss = Loss.of(lost);
        if (state == State.RELEASING) {
            term.lose(loss);
            end(new NotHeldException("the lease was lost before it could be released"));
        } else if (state == State.CONFIRMING) {
            end(new NotHeldException("the lease was lost before it could be used"));
        } else {
            lose(state == State.RESUMING ? Loss.CONNECTION : loss);
        }
    }

    @Override
    public void onEnd(Throwable error) {
        stream = null;
        boolean isDisconnected = Failures.isDisconnected(error);
        if (state == State.CONFIRMING || state == State.RELEASING) {
            endUnheld(error);
        } else if (!isInTime()) {
            return;
        } else if (isDisconnected && ask.hasGrace() && state == State.HELD) {
            beginResuming(Clock.now());
        } else if (state == State.RESUMING && Failures.isPassing(error)) {
            term.planResume(Clock.now());
            setTimer();
        } else {
            lose(Loss.CONNECTION);
        }
    }

    /** A lease with a grace outlives the connection, also one that the application does not want. */
    private void endUnheld(Throwable error) {
        if (ask.hasGrace() && Failures.isDisconnected(error)) {
            giveUp.apply(grant.key(), grant.token());
        }
        end(Failures.of(error));
    }
}
