// SPDX-License-Identifier: Apache-2.0
package interop;

import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The answers of a streaming call, asked for one at a time: what is not asked for stays with the server.
 *
 * @param <Q> what is sent
 * @param <A> what is received
 */
final class Events<Q, A> implements ClientResponseObserver<Q, A> {
    private final LinkedBlockingQueue<Object> heard = new LinkedBlockingQueue<>();
    ClientCallStreamObserver<Q> call;

    @Override
    public void beforeStart(ClientCallStreamObserver<Q> call) {
        this.call = call;
        call.disableAutoRequestWithInitial(0);
    }

    @Override
    public void onNext(A event) {
        heard.add(event);
    }

    @Override
    public void onError(Throwable problem) {
        heard.add(Status.fromThrowable(problem));
    }

    @Override
    public void onCompleted() {
        heard.add(Status.OK);
    }

    private Object receive() throws InterruptedException {
        call.request(1);
        Object event = heard.poll(60, TimeUnit.SECONDS);
        Probe.must(event != null, "heard nothing");
        return event;
    }

    @SuppressWarnings("unchecked")
    A next() throws InterruptedException {
        Object event = receive();
        Probe.must(!(event instanceof Status), "heard " + event);
        return (A) event;
    }

    /** What the call ends with; events that come before that are passed over. */
    Status end() throws InterruptedException {
        Object event = receive();
        while (!(event instanceof Status)) {
            event = receive();
        }
        return (Status) event;
    }

    void abandon() throws InterruptedException {
        call.cancel("enough", null);
        Probe.mustBe(Status.Code.CANCELLED, end());
    }
}
