# SPDX-License-Identifier: Apache-2.0
"""The client for threads: what it adds to the asyncio client. The server runs in a thread of its own."""
import asyncio
import threading

import pytest

import holdfast
from fake import PATIENCE, Server
from holdfast import Loss
from holdfast.background import Background
from holdfast.v1 import locks_pb2


@pytest.fixture
def play():
    """play(coroutine): in the server's thread."""
    loop = asyncio.new_event_loop()
    # gRPC wakes this loop for the client's events, too.
    loop.set_exception_handler(lambda loop, context: None)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(2 * PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def server(play):
    async def create():
        server = Server()
        await server.start()
        return server

    made = play(create())
    yield made
    play(made.stop())
    made.directory.cleanup()


@pytest.fixture
def client(server):
    with holdfast.Client(server.url) as made:
        yield made


@pytest.fixture
def answering(server, play):
    """answering(**grant): the next Hold is granted, by another thread; its stream when asked."""

    async def grant(fields):
        stream = await server.stream()
        await stream.ask()
        stream.grant(**fields)
        return stream

    def answer(**fields):
        streams = []
        thread = threading.Thread(target=lambda: streams.append(play(grant(fields))))
        thread.start()

        def joined():
            thread.join()
            return streams[0]

        return joined

    return answer


def lose(play, stream, reason):
    async def tell():
        stream.lose(reason)

    play(tell())


@pytest.fixture
def releasing(play):
    """releasing(stream): confirms the release, when it is asked for, by another thread."""
    threads = []

    async def confirm(stream):
        while await stream.next() is not None:
            pass
        stream.release()

    def start(stream):
        thread = threading.Thread(target=lambda: play(confirm(stream)))
        threads.append(thread)
        thread.start()

    yield start
    for thread in threads:
        thread.join()


def test_a_block_holds_the_lock_and_releases_it(client, answering, releasing):
    stream = answering()
    with client.lock("k", label="me") as lease:
        assert lease.fence == 7 and lease.is_valid
        releasing(stream())
    assert not lease.is_valid and lease.loss is None


def test_a_lost_lease_raises_on_its_next_use_and_calls_back(client, answering, play):
    stream = answering()
    lost = threading.Event()
    heard = []

    def on_lost(loss):
        heard.append((loss, threading.current_thread()))
        lost.set()

    with pytest.raises(holdfast.LeaseLost) as failure:
        with client.lock("k", on_lost=on_lost) as lease:
            lease.check()
            lose(play, stream(), locks_pb2.HoldLost.REASON_TAKEN)
            assert lost.wait(PATIENCE)
            for use in (lease.check, lambda: lease.fence, lambda: lease.fences):
                with pytest.raises(holdfast.LeaseLost):
                    use()
            with pytest.raises(holdfast.NotHeld):
                lease.renew()
    assert failure.value.loss is Loss.TAKEN
    assert heard[0][0] is Loss.TAKEN and heard[0][1] is not threading.current_thread()


def test_a_block_that_fails_keeps_its_error(client, answering, releasing):
    stream = answering()
    with pytest.raises(ValueError, match="of the block"):
        with client.lock("k"):
            releasing(stream())
            raise ValueError("of the block")


def test_a_wait_is_cancelled_by_another_thread(client, server, play):
    lock = client.lock("k", wait=60, on_queued=lambda *what: threading.Thread(target=lock.cancel).start())

    async def queue():
        stream = await server.stream()
        await stream.ask()
        stream.tell(queued=locks_pb2.HoldQueued(position=1))
        assert await stream.next() is None
        stream.release()

    player = threading.Thread(target=play, args=[queue()])
    player.start()
    with pytest.raises(holdfast.Cancelled):
        lock.acquire()
    player.join()


def test_a_cancel_after_the_answer_changes_nothing(client, answering, releasing):
    stream = answering()
    lock = client.lock("k")
    lock.cancel()
    lease = lock.acquire()
    lock.cancel()
    assert lease.is_valid
    releasing(stream())
    lease.release()


def test_what_is_done_at_the_moment_of_the_cancel_is_undone():
    background = Background()
    cancels = []
    undone = threading.Event()

    async def work():
        while not cancels:
            await asyncio.sleep(0)
        cancels[0]()
        return "a lease"

    with pytest.raises(holdfast.Cancelled):
        background.run(work, lambda result: undone.set() if result == "a lease" else None, cancels.append)
    assert undone.wait(PATIENCE)
    background.stop()


def test_a_callback_cannot_call_what_waits(client, answering, play):
    failures = []

    def on_lost(loss):
        try:
            client.inspect("k")
        except RuntimeError as error:
            failures.append(error)
        told.set()

    told = threading.Event()
    stream = answering()
    lease = client.lock("k", on_lost=on_lost).acquire()
    lose(play, stream(), locks_pb2.HoldLost.REASON_TAKEN)
    assert told.wait(PATIENCE)
    assert "callback" in str(failures[0])
    assert lease.loss is Loss.TAKEN


def test_close_ends_what_other_threads_wait_for(server):
    client = holdfast.Client(server.url)
    results = []

    def wait():
        try:
            client.lock("k", wait=60).acquire()
        except holdfast.HoldfastError as error:
            results.append(type(error))

    waiter = threading.Thread(target=wait)
    waiter.start()
    client.close()
    waiter.join(PATIENCE)
    assert results == [holdfast.Cancelled]
    with pytest.raises(holdfast.Cancelled):
        client.inspect("k")
    client.close()


def test_an_address_without_a_server_is_away_and_says_why():
    with holdfast.Client("unix:///nonexistent/holdfast.sock", timeout=0.5) as client:
        with pytest.raises(holdfast.ServerAway, match="No such file"):
            client.inspect("k")
        with pytest.raises(ConnectionError):
            client.lock("k").acquire()
