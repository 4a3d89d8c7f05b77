// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.v1.LocksOuterClass.HoldAsk;
import holdfast.v1.LocksOuterClass.HoldLost.Reason;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A lease against a server that is played by hand. */
@Timeout(60)
class HoldTest {
    private final BlockingQueue<Loss> losses = new LinkedBlockingQueue<>();
    private FakeServer server;
    private HoldfastClient client;

    @BeforeEach
    void start() throws IOException {
        server = new FakeServer();
        client = HoldfastClient.builder()
                .server(server.url())
                .bearerToken("secret")
                .timeout(Duration.ofSeconds(10))
                .build();
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    private Lock lock() {
        return client.lock("k").onLost(losses::add);
    }

    /** A lease and its stream, as the server grants it. */
    private record Held(Lease lease, FakeServer.Played stream) {}

    private Held hold(Lock lock) throws InterruptedException {
        return hold(lock, 9000);
    }

    private Held hold(Lock lock, int validForMs) throws InterruptedException {
        CompletableFuture<Lease> asked = lock.acquireAsync();
        FakeServer.Played stream = server.stream();
        stream.ask();
        stream.grant(7, validForMs);
        return new Held(asked.join(), stream);
    }

    @Test
    void aBlockReleasesWhatItHeld() throws InterruptedException {
        Held held = hold(lock());
        try (Lease lease = held.lease()) {
            assertEquals(7, lease.fence());
            assertTrue(lease.validFor().toMillis() > 5000);
            CompletableFuture.runAsync(() -> answerRelease(held.stream()));
        }
        assertEquals(Duration.ZERO, held.lease().validFor());
        assertThrows(NotHeldException.class, held.lease()::check);
        assertThrows(NotHeldException.class, held.lease()::release);
        assertTrue(losses.isEmpty());
    }

    private static void answerRelease(FakeServer.Played stream) {
        try {
            stream.halfClose();
            stream.release();
        } catch (InterruptedException interrupt) {
            throw new IllegalStateException(interrupt);
        }
    }

    @Test
    void whatIsAskedForIsWhatWasSaid() throws InterruptedException {
        client.lock("a", "b")
                .wait(Duration.ofSeconds(3))
                .ttl(Duration.ofSeconds(4))
                .label("me")
                .value(new byte[] {1})
                .shared(2)
                .lockDelay(Duration.ofSeconds(5))
                .maxHold(Duration.ofSeconds(6))
                .heartbeat(Duration.ofSeconds(7))
                .acquireAsync();
        HoldAsk ask = server.stream().ask();
        assertEquals(2, ask.getKeysCount());
        assertTrue(ask.getWaitMs() > 2900 && ask.getWaitMs() <= 3000);
        assertEquals(4000, ask.getTtlMs());
        assertEquals("me", ask.getLabel());
        assertEquals(2, ask.getLimit());
        assertEquals(5000, ask.getLockDelayMs());
        assertEquals(6000, ask.getMaxHoldMs());
        assertEquals(7000, ask.getHeartbeatMs());
        assertEquals("Bearer secret", FakeServer.next(server.authorizations));
        assertFalse(client.toString().contains("secret"));
    }

    @Test
    void aLossIsToldOnceAndEveryUseFails() throws InterruptedException {
        Held held = hold(lock());
        held.stream().lose(Reason.REASON_TAKEN);
        assertEquals(Loss.TAKEN, FakeServer.next(losses));
        assertEquals(
                Loss.TAKEN, assertThrows(LeaseLostException.class, held.lease()::fence).loss());
        assertThrows(LeaseLostException.class, held.lease()::close);
        BlockingQueue<Loss> late = new LinkedBlockingQueue<>();
        held.lease().onLost(late::add);
        assertEquals(Loss.TAKEN, FakeServer.next(late));
        assertTrue(losses.isEmpty());
    }

    @Test
    void theErrorOfABlockIsNotHiddenByItsLoss() throws InterruptedException {
        Held held = hold(lock());
        held.stream().lose(Reason.REASON_EXPIRED);
        FakeServer.next(losses);
        IllegalStateException error = assertThrows(IllegalStateException.class, () -> {
            try (Lease lease = held.lease()) {
                throw new IllegalStateException("of the block, with " + lease.key());
            }
        });
        assertTrue(error.getSuppressed()[0] instanceof LeaseLostException);
    }

    @Test
    void aDroppedConnectionIsALossAtOnce() throws InterruptedException {
        Held held = hold(lock());
        server.stop();
        assertEquals(Loss.CONNECTION, FakeServer.next(losses));
        assertEquals(Duration.ZERO, held.lease().validFor());
    }

    @Test
    void aLeaseThatIsNotConfirmedIsWarnedOfAndExpires() throws InterruptedException {
        BlockingQueue<Duration> warnings = new LinkedBlockingQueue<>();
        Held held = hold(lock().onAtRisk(warnings::add), 2000);
        held.stream().ping();
        assertTrue(FakeServer.next(warnings).toMillis() <= 1500);
        assertEquals(Loss.EXPIRED, FakeServer.next(losses));
        assertTrue(warnings.isEmpty());
        assertFalse(held.lease().isValid());
    }

    @Test
    void theLongestHoldIsNamed() throws InterruptedException {
        hold(lock().maxHold(Duration.ofMillis(300)), 300);
        assertEquals(Loss.MAX_HOLD, FakeServer.next(losses));
    }

    @Test
    void pingsKeepItAliveAndRenewAsks() throws InterruptedException {
        Held held = hold(lock().heartbeat(Duration.ofMillis(300)), 1000);
        held.stream().ping();
        held.stream().renewed(9000);
        CompletableFuture<Duration> renewed = CompletableFuture.supplyAsync(held.lease()::renew);
        while (!renewed.isDone()) {
            held.stream().ping();
            held.stream().renewed(8000);
        }
        assertTrue(renewed.join().toMillis() > 5000);
    }

    @Test
    void aShortGrantAfterAWaitIsConfirmedFirst() throws InterruptedException {
        BlockingQueue<Integer> positions = new LinkedBlockingQueue<>();
        CompletableFuture<Lease> asked = lock()
                .wait(Duration.ofSeconds(30))
                .onQueued((position, holder) -> positions.add(position))
                .acquireAsync();
        FakeServer.Played stream = server.stream();
        stream.ask();
        stream.queued(3);
        assertEquals(3, FakeServer.next(positions));
        stream.grant(7, 2900);
        stream.ping();
        assertFalse(asked.isDone());
        stream.renewed(9000);
        assertTrue(asked.join().validFor().toMillis() > 3000);
    }

    @Test
    void aWaitGoesOnWhenTheConnectionWasLost() throws Exception {
        CompletableFuture<Lease> asked = lock().wait(Duration.ofSeconds(30)).acquireAsync();
        FakeServer.Played stream = server.stream();
        int waited = stream.ask().getWaitMs();
        stream.queued(1);
        Thread.yield();
        stream.fail(Status.UNAVAILABLE.withDescription("gone"));
        FakeServer.Played again = server.stream();
        assertTrue(again.ask().getWaitMs() <= waited);
        again.grant();
        again.ping();
        assertEquals(7, asked.join().fence());
    }

    @Test
    void aCancelTakesTheQuestionBack() throws InterruptedException {
        CompletableFuture<Lease> asked = lock().wait(Duration.ofSeconds(30)).acquireAsync();
        FakeServer.Played stream = server.stream();
        stream.ask();
        assertTrue(asked.cancel(true));
        stream.halfClose();
        stream.grant();
        stream.release();
        assertTrue(losses.isEmpty());
    }

    @Test
    void anInterruptTakesTheQuestionBackAndStaysSet() throws InterruptedException {
        CompletableFuture<Boolean> wasInterrupted = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            assertThrows(CancelledException.class, lock().wait(Duration.ofSeconds(30))::acquire);
            wasInterrupted.complete(Thread.currentThread().isInterrupted());
        });
        thread.start();
        FakeServer.Played stream = server.stream();
        stream.ask();
        thread.interrupt();
        stream.halfClose();
        assertTrue(wasInterrupted.join());
    }

    @Test
    void anInterruptedThreadStillReleases() throws InterruptedException {
        Held held = hold(lock());
        CompletableFuture.runAsync(() -> answerRelease(held.stream()));
        Thread.currentThread().interrupt();
        held.lease().close();
        assertTrue(Thread.interrupted());
        assertThrows(NotHeldException.class, held.lease()::check);
    }

    @Test
    void aCallbackThatBlocksHarmsNoLease() throws InterruptedException {
        CountDownLatch unblocked = new CountDownLatch(1);
        Held first = hold(client.lock("k"));
        first.lease().onLost(loss -> await(unblocked));
        first.stream().lose(Reason.REASON_TAKEN);
        CompletableFuture<Lease> second = CompletableFuture.supplyAsync(client.lock("k")::acquire);
        FakeServer.Played stream = server.stream();
        stream.ask();
        stream.grant();
        assertEquals(7, second.join().fence());
        unblocked.countDown();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException interrupt) {
            throw new IllegalStateException(interrupt);
        }
    }

    // With a grace

    @Test
    void aGraceOutlivesTheConnection() throws Exception {
        Held held = hold(lock().grace(Duration.ofSeconds(20)));
        held.stream().fail(Status.UNAVAILABLE);
        FakeServer.Played again = server.stream();
        assertEquals(FakeServer.TOKEN, again.ask().getResumeToken());
        assertTrue(held.lease().isValid());
        again.grant();
        CompletableFuture<Duration> renewed = CompletableFuture.supplyAsync(held.lease()::renew);
        again.ping();
        again.renewed(9000);
        assertTrue(renewed.join().toMillis() > 5000);
        assertEquals(7, held.lease().fence());
        assertTrue(losses.isEmpty());
    }

    @Test
    void anotherFenceIsAnotherLease() throws InterruptedException {
        Held held = hold(lock().grace(Duration.ofSeconds(20)));
        held.stream().fail(Status.UNAVAILABLE);
        FakeServer.Played again = server.stream();
        again.ask();
        again.grant(8, 9000);
        assertEquals(Loss.CONNECTION, FakeServer.next(losses));
    }

    @Test
    void aGraceEnds() throws InterruptedException {
        Held held = hold(lock().grace(Duration.ofMillis(200)));
        server.stop();
        assertEquals(Loss.CONNECTION, FakeServer.next(losses));
        assertFalse(held.lease().isValid());
    }

    @Test
    void whatIsLetGoWhileItIsResumedIsReleasedByItsToken() throws InterruptedException {
        Held held = hold(lock().grace(Duration.ofSeconds(20)));
        held.stream().fail(Status.UNAVAILABLE);
        server.stream().ask();
        held.lease().release();
        assertEquals(FakeServer.TOKEN, FakeServer.next(server.releases).getToken());
    }

    // The client

    @Test
    void closingTheClientEndsWhatWaits() throws InterruptedException {
        Held held = hold(lock());
        CompletableFuture<Lease> asked =
                CompletableFuture.supplyAsync(client.lock("k").wait(Duration.ofSeconds(30))::acquire);
        server.stream().ask();
        client.close();
        Throwable error = assertThrows(Exception.class, asked::join).getCause();
        assertSame(CancelledException.class, error.getClass());
        assertFalse(held.lease().isValid());
        assertTrue(losses.isEmpty());
        assertThrows(CancelledException.class, () -> client.inspect("k"));
        assertThrows(CancelledException.class, client.lock("k")::acquire);
        client.close();
    }

    @Test
    void aServerThatIsAwayIsNamed() throws InterruptedException {
        server.stop();
        try (HoldfastClient hasty = HoldfastClient.builder()
                .server(server.url())
                .timeout(Duration.ofMillis(500))
                .build()) {
            Exception error = assertThrows(ServerAwayException.class, hasty.lock("k")::acquire);
            assertTrue(error.getMessage().contains("refused"), error.getMessage());
            assertThrows(ServerAwayException.class, () -> hasty.inspect("k"));
        }
    }

    @Test
    void misuseIsRefusedBeforeItIsSent() {
        assertThrows(InvalidRequestException.class, client::lock);
        assertThrows(InvalidRequestException.class, () -> client.lock("k").wait(Duration.ofDays(2)));
        assertThrows(InvalidRequestException.class, () -> client.lock("k").shared(0));
        assertThrows(InvalidRequestException.class, () -> client.resume("k", new byte[3]));
        assertThrows(InvalidRequestException.class, lock()::acquireDetached);
        assertThrows(
                InvalidRequestException.class,
                client.lock("k").heartbeat(Duration.ofSeconds(1))::acquireDetached);
    }
}
