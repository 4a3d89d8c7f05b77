// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A lost answer does not tell whether the lock was granted. */
@Timeout(60)
class DetachedTest {
    private static final byte[] TOKEN = FakeServer.TOKEN.toByteArray();

    private FakeServer server;
    private HoldfastClient client;

    @BeforeEach
    void start() throws IOException {
        server = new FakeServer();
        client = HoldfastClient.connect(server.url());
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    private static Throwable failure(CompletableFuture<?> asked) {
        return assertThrows(Exception.class, asked::join).getCause();
    }

    @Test
    void aLostAnswerIsAskedForAgainWithTheSameToken() throws Exception {
        CompletableFuture<DetachedLease> asked =
                CompletableFuture.supplyAsync(client.lock("k")::acquireDetached);
        FakeServer.Acquiring first = FakeServer.next(server.acquires);
        server.stop();
        server.startAgain();
        FakeServer.Acquiring second = FakeServer.next(server.acquires);
        assertEquals(first.request().getToken(), second.request().getToken());
        second.grant();
        DetachedLease lease = asked.join();
        assertArrayEquals(second.request().getToken().toByteArray(), lease.token());
        assertEquals(7, lease.fence());
        lease.release();
        assertThrows(NotHeldException.class, lease::check);
    }

    @Test
    void aRefusalIsNotAskedAgainAndWhatMayBeHeldIsGivenUp() throws InterruptedException {
        CompletableFuture<DetachedLease> asked =
                CompletableFuture.supplyAsync(client.lock("k")::acquireDetached);
        FakeServer.Acquiring first = FakeServer.next(server.acquires);
        first.fail(Status.UNAVAILABLE.withDescription("Redis is away"));
        assertEquals("Redis is away", failure(asked).getMessage());
        assertEquals(first.request().getToken(), FakeServer.next(server.releases).getToken());
        assertTrue(server.acquires.isEmpty());
    }

    @Test
    void aTokenOfOnesOwnIsOnesOwnToRelease() throws InterruptedException {
        CompletableFuture<DetachedLease> asked =
                CompletableFuture.supplyAsync(() -> client.lock("k").acquireDetached(TOKEN));
        FakeServer.Acquiring first = FakeServer.next(server.acquires);
        assertEquals(FakeServer.TOKEN, first.request().getToken());
        first.fail(Status.ABORTED.withDescription("a -> b -> a"));
        assertSame(DeadlockException.class, failure(asked).getClass());
        client.release("other", TOKEN);
        assertEquals("other", FakeServer.next(server.releases).getKey());
    }

    @Test
    void anInterruptGivesUpWhatMayBeHeld() throws InterruptedException {
        Thread thread = new Thread(
                () -> assertThrows(CancelledException.class, client.lock("k")::acquireDetached));
        thread.start();
        FakeServer.Acquiring first = FakeServer.next(server.acquires);
        thread.interrupt();
        assertEquals(first.request().getToken(), FakeServer.next(server.releases).getToken());
        thread.join();
    }
}
