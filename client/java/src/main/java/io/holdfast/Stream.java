// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import holdfast.v1.LocksGrpc;
import holdfast.v1.LocksOuterClass.HoldEvent;
import holdfast.v1.LocksOuterClass.HoldRequest;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.StreamObserver;

/** One call of Hold: starts when there is a connection, and tells its owner what arrives, in order. */
final class Stream implements StreamObserver<HoldEvent> {
    /** How long a stream that nobody wants any more may take to end by itself. */
    private static final long LEAVE_TIMEOUT = 5 * Clock.SECOND;

    interface Owner {
        /** The first message may be sent. */
        void onReady();

        void onEvent(HoldEvent event);

        /** null: the server ended it well. */
        void onEnd(Throwable error);
    }

    private final Connection connection;
    private final Runnable start = this::start;
    private Owner owner;
    private ClientCallStreamObserver<HoldRequest> requests;
    private boolean isHalfClosed;
    private boolean isOver;

    Stream(Connection connection, Owner owner) {
        this.connection = connection;
        this.owner = owner;
        connection.whenUp(start);
    }

    private void start() {
        if (owner == null) {
            return;
        }
        requests = (ClientCallStreamObserver<HoldRequest>)
                LocksGrpc.newStub(connection.channel()).withWaitForReady().hold(this);
        owner.onReady();
    }

    boolean isStarted() {
        return requests != null;
    }

    void passTo(Owner next) {
        owner = next;
    }

    /** The owner limits how many messages may be under way. */
    void send(HoldRequest message) {
        if (requests != null && !isHalfClosed && !isOver) {
            requests.onNext(message);
        }
    }

    void halfClose() {
        if (requests != null && !isHalfClosed && !isOver) {
            isHalfClosed = true;
            requests.onCompleted();
        }
    }

    /**
     * Gives up what the stream has or may still get: half-closing it does, and is acknowledged. (Cancelling it
     * would be a dropped connection, which a grace outlives.)
     */
    void leave() {
        owner = null;
        connection.forget(start);
        halfClose();
        if (requests != null && !isOver) {
            connection.loop.after(LEAVE_TIMEOUT, this::cancel);
        }
    }

    private void cancel() {
        if (!isOver) {
            requests.cancel("nobody wants it any more", null);
        }
    }

    @Override
    public void onNext(HoldEvent event) {
        if (owner != null) {
            owner.onEvent(event);
        }
    }

    @Override
    public void onError(Throwable error) {
        end(error);
    }

    @Override
    public void onCompleted() {
        end(null);
    }

    private void end(Throwable error) {
        isOver = true;
        Owner last = owner;
        owner = null;
        if (last != null) {
            last.onEnd(error);
        }
    }
}
