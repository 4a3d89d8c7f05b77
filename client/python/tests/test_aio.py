# SPDX-License-Identifier: Apache-2.0
"""The asyncio client, with a server that is played by hand."""
import asyncio

import grpc
import pytest

import holdfast
from fake import TOKEN, Server, eventually, plays
from holdfast import Loss, aio, clock
from holdfast.hold import State
from holdfast.question import Question
from holdfast.v1 import locks_pb2


async def granted(server, lock, **grant):
    """The lease, and the server's end of it."""
    asking = asyncio.create_task(lock.acquire())
    stream = await server.stream()
    await stream.ask()
    stream.grant(**grant)
    return await asking, stream


async def inside(lock, entered, work=None):
    async with lock as lease:
        entered.set_result(lease)
        await (work or asyncio.Event().wait())


async def enter(server, lock, work=None):
    """A task in the lock's block, its lease, and the server's end of it."""
    entered = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(inside(lock, entered, work))
    stream = await server.stream()
    await stream.ask()
    stream.grant()
    return task, await entered, stream


@plays
async def test_a_block_holds_the_lock_and_releases_it():
    async with Server() as server, aio.Client(server.url, bearer_token="secret") as client:
        done = asyncio.Event()
        task, lease, stream = await enter(server, client.lock("k"), done.wait())
        assert lease.fence == 7 and lease.key == "k" and lease.token == TOKEN
        assert 8 < lease.valid_for <= 9
        assert server.metadata["authorization"] == "Bearer secret"
        assert "secret" not in repr(client) and repr(TOKEN) not in repr(lease)
        done.set()
        assert await stream.next() is None, "half-closed"
        stream.release()
        await task
        assert lease.valid_for == 0 and lease.loss is None
        with pytest.raises(holdfast.NotHeld):
            lease.check()


@plays
async def test_the_task_in_the_block_is_cancelled_when_the_lease_is_lost():
    async with Server() as server, aio.Client(server.url) as client:
        heard = []
        task, lease, stream = await enter(server, client.lock("k", on_lost=heard.append))
        stream.lose(locks_pb2.HoldLost.REASON_TAKEN)
        with pytest.raises(holdfast.LeaseLost) as lost:
            await task
        assert lost.value.loss is Loss.TAKEN and heard == [Loss.TAKEN]
        assert not task.cancelled() and task.cancelling() == 0
        with pytest.raises(holdfast.LeaseLost):
            lease.fence


@plays
async def test_a_block_that_takes_no_notice_of_the_cancel_fails_at_its_end():
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    async with Server() as server, aio.Client(server.url) as client:
        task, _, stream = await enter(server, client.lock("k"), stubborn())
        stream.lose(locks_pb2.HoldLost.REASON_MAX_HOLD)
        with pytest.raises(holdfast.LeaseLost):
            await task


@plays
async def test_who_is_cancelled_from_outside_releases_and_stays_cancelled():
    async with Server() as server, aio.Client(server.url) as client:
        task, _, stream = await enter(server, client.lock("k"))
        task.cancel()
        assert await stream.next() is None
        stream.release()
        with pytest.raises(asyncio.CancelledError):
            await task


@plays
async def test_an_error_of_the_block_is_not_hidden_by_a_loss():
    async def fail_when_cancelled():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("of the block") from None

    async with Server() as server, aio.Client(server.url) as client:
        task, _, stream = await enter(server, client.lock("k"), fail_when_cancelled())
        stream.lose(locks_pb2.HoldLost.REASON_EXPIRED)
        with pytest.raises(ValueError, match="of the block"):
            await task


@plays
async def test_a_server_that_dies_ends_the_block_at_once():
    async with Server() as server, aio.Client(server.url) as client:
        task, lease, _ = await enter(server, client.lock("k"))
        await server.stop()
        with pytest.raises(holdfast.LeaseLost) as lost:
            await task
        assert lost.value.loss is Loss.CONNECTION and lease.valid_for == 0


@plays
async def test_who_was_frozen_takes_no_old_grant_for_new(monkeypatch):
    """What came long ago is read late: the grant may be as old as the question."""
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k", wait=60).acquire())
        stream = await server.stream()
        await stream.ask()
        later = clock.now() + 5
        monkeypatch.setattr(clock, "now", lambda: later)
        stream.tell(queued=locks_pb2.HoldQueued(position=1))
        stream.grant(ttl_ms=9_000, valid_for_ms=8_900)
        lease = await asking
        assert 0 < lease.valid_for < 4
        monkeypatch.undo()


@plays
async def test_a_cancelled_wait_is_taken_back():
    async with Server() as server, aio.Client(server.url) as client:
        positions = []
        lock = client.lock("k", wait=60, on_queued=lambda position, holder: positions.append(position))
        asking = asyncio.create_task(lock.acquire())
        stream = await server.stream()
        assert 59_000 < (await stream.ask()).wait_ms <= 60_000
        stream.tell(queued=locks_pb2.HoldQueued(position=2))
        await eventually(lambda: positions == [2])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stream.is_left()  # so that a late grant is given up


@plays
async def test_a_grant_that_crosses_the_cancel_is_given_up():
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        await stream.ask()
        asking.cancel()
        stream.grant(ttl_ms=60_000, valid_for_ms=60_000)
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stream.is_left()


@plays
async def test_a_cancel_at_the_moment_of_the_grant_gives_it_up(monkeypatch):
    async with Server() as server, aio.Client(server.url) as client:
        settle = Question._settle

        def settle_and_cancel(question, hold):
            settle(question, hold)
            asking.cancel()

        monkeypatch.setattr(Question, "_settle", settle_and_cancel)
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        await stream.ask()
        stream.grant(ttl_ms=60_000, valid_for_ms=60_000)
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stream.is_left()


@plays
async def test_a_cancel_while_the_grant_is_confirmed_gives_it_up():
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k", wait=60).acquire())
        stream = await server.stream()
        await stream.ask()
        stream.grant(valid_for_ms=50)
        await stream.ping()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await stream.is_left()


@plays
async def test_busy_tells_the_holder():
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        stream.tell(busy=locks_pb2.Holder(label="me", holders=1, remaining_ms=-1, fence=3))
        with pytest.raises(holdfast.Busy) as busy:
            await asking
        assert (busy.value.holder.label, busy.value.holder.remaining, busy.value.holder.since) == ("me", None, None)
        stream.end()


@pytest.mark.parametrize(
    "code, kind",
    [
        (grpc.StatusCode.INVALID_ARGUMENT, holdfast.InvalidRequest),
        (grpc.StatusCode.UNAVAILABLE, holdfast.ServerAway),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, holdfast.LimitReached),
        (grpc.StatusCode.ABORTED, holdfast.Deadlock),
        (grpc.StatusCode.DEADLINE_EXCEEDED, holdfast.TimedOut),
        (grpc.StatusCode.FAILED_PRECONDITION, holdfast.Refused),
        (grpc.StatusCode.UNAUTHENTICATED, holdfast.Refused),
    ],
)
@plays
async def test_each_refusal_has_its_kind_and_the_servers_text(code, kind):
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        stream.end(code, "ask.key: blåbær")
        with pytest.raises(kind, match="^key: blåbær$") as refusal:
            await asking
        assert type(refusal.value) is kind


@pytest.mark.parametrize(
    "nonsense",
    [{"key": "other"}, {"fence": 0}, {"token": b"short"}, {"ttl_ms": 0}],
)
@plays
async def test_a_grant_that_makes_no_sense_is_refused_and_given_up(nonsense):
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        await stream.ask()
        stream.grant(**nonsense)
        with pytest.raises(holdfast.Refused):
            await asking
        assert await stream.next() is None
        stream.end()


@plays
async def test_several_locks_have_each_a_fence():
    async with Server() as server, aio.Client(server.url) as client:
        locks = [locks_pb2.LockFence(key="a", fence=1), locks_pb2.LockFence(key="b", fence=2)]
        lease, _ = await granted(server, client.lock("b", "a"), key="a", fence=1, locks=locks)
        assert dict(lease.fences) == {"a": 1, "b": 2} and (lease.key, lease.fence) == ("a", 1)


@plays
async def test_pings_keep_the_lease_and_their_answers_count_from_their_sending():
    async with Server() as server, aio.Client(server.url) as client:
        lease, stream = await granted(server, client.lock("k"), ttl_ms=600, valid_for_ms=600)
        for _ in range(4):
            await stream.ping()
            sent_before = clock.now()
            stream.renewed(600)
            await eventually(lambda: lease.valid_for > 0.5)
            assert clock.now() + lease.valid_for <= sent_before + 0.6


@plays
async def test_silence_is_a_warning_and_then_a_loss():
    async with Server() as server, aio.Client(server.url) as client:
        heard = []
        lock = client.lock("k", on_at_risk=heard.append, on_lost=heard.append)
        lease, _ = await granted(server, lock, ttl_ms=600, valid_for_ms=600)
        await eventually(lambda: len(heard) == 2)
        assert 0 < heard[0] <= 0.1 and heard[1] is Loss.EXPIRED
        assert lease.valid_for == 0


@plays
async def test_a_sleep_of_the_machine_ends_the_lease_before_any_timer(monkeypatch):
    async with Server() as server, aio.Client(server.url) as client:
        lease, stream = await granted(server, client.lock("k"))
        then = clock.now() + 60
        monkeypatch.setattr(clock, "now", lambda: then)
        assert lease.valid_for == 0
        with pytest.raises(holdfast.LeaseLost):
            lease.check()
        stream.renewed(9000)
        await eventually(lambda: lease.loss is Loss.EXPIRED)
        assert lease.valid_for == 0, "an answer from before does not revive it"


@plays
async def test_a_grant_of_unknown_age_is_confirmed_before_it_is_handed_over():
    async with Server() as server, aio.Client(server.url) as client:
        asking = asyncio.create_task(client.lock("k", wait=60).acquire())
        stream = await server.stream()
        await stream.ask()
        stream.grant(ttl_ms=9000, valid_for_ms=50)
        await stream.ping()
        assert not asking.done()
        stream.renewed(9000)
        assert (await asking).valid_for > 8


@plays
async def test_a_server_that_does_not_answer_is_told_from_one_that_is_away():
    async with Server() as server, aio.Client(server.url, timeout=0.5) as client:
        asking = asyncio.create_task(client.lock("k").acquire())
        stream = await server.stream()
        await stream.ask()
        with pytest.raises(holdfast.TimedOut):
            await asking
        await stream.is_left()
        await server.stop()
        with pytest.raises(holdfast.ServerAway):
            await client.lock("k").acquire()


@plays
async def test_a_lost_connection_during_the_wait_asks_again_with_what_is_left():
    async with Server() as server, aio.Client(server.url) as client:
        queued = []
        lock = client.lock("k", wait=60, on_queued=lambda *what: queued.append(what))
        asking = asyncio.create_task(lock.acquire())
        stream = await server.stream()
        await stream.ask()
        stream.tell(queued=locks_pb2.HoldQueued(position=1))
        await eventually(lambda: queued)
        await server.stop()
        await server.start()
        stream = await server.stream()
        assert 0 < (await stream.ask()).wait_ms < 60_000
        stream.grant()
        assert (await asking).fence == 7


@plays
async def test_a_grace_survives_a_dropped_connection_with_the_same_fence():
    async with Server() as server, aio.Client(server.url) as client:
        heard = []
        lease, _ = await granted(server, client.lock("k", grace=30, on_lost=heard.append))
        await server.stop()
        assert lease.is_valid
        await server.start()
        stream = await server.stream()
        ask = await stream.ask()
        assert (ask.key, ask.resume_token, ask.grace_ms) == ("k", TOKEN, 30_000)
        stream.grant(valid_for_ms=8000)
        await eventually(lambda: lease.valid_for < 8)
        assert lease.is_valid and not heard
        releasing = asyncio.create_task(lease.release())
        assert await stream.next() is None
        stream.release()
        await releasing


@plays
async def test_a_renewal_is_answered_by_the_resumption():
    async with Server() as server, aio.Client(server.url) as client:
        lease, stream = await granted(server, client.lock("k", grace=30))
        renewing = asyncio.create_task(lease.renew())
        await stream.ping()
        await server.stop()
        await server.start()
        stream = await server.stream()
        await stream.ask()
        stream.grant(valid_for_ms=5000)
        assert 4 < await renewing <= 5


@plays
async def test_a_release_while_the_connection_is_away_is_by_token():
    async with Server() as server, aio.Client(server.url) as client:

        async def release(request, context):
            return locks_pb2.ReleaseResponse(outcome=locks_pb2.ReleaseResponse.OUTCOME_RELEASED)

        server.answers["Release"] = release
        heard = []
        lease, _ = await granted(server, client.lock("k", grace=30, on_lost=heard.append))
        await server.stop()
        await eventually(lambda: lease.source.state is State.RESUMING)
        releasing = asyncio.create_task(lease.release())
        await eventually(lambda: not lease.is_valid)
        await server.start()
        await releasing
        (_, asked), = server.asked
        assert (asked.key, asked.token) == ("k", TOKEN) and not heard


@plays
async def test_a_release_that_crosses_the_resumption_ends_it():
    async with Server() as server, aio.Client(server.url) as client:
        lease, _ = await granted(server, client.lock("k", grace=30))
        await server.stop()
        await server.start()
        stream = await server.stream()
        await stream.ask()
        releasing = asyncio.create_task(lease.release())
        assert await stream.next() is None
        stream.grant()
        stream.release()
        await releasing
        assert not lease.is_valid and not server.asked


@plays
async def test_a_token_resumes_its_own_lease_only():
    async with Server() as server, aio.Client(server.url) as client:
        lock = client.resume("k", 16 * b"x")
        with pytest.raises(holdfast.Refused):
            await granted(server, lock)
        asking = asyncio.create_task(lock.acquire())
        stream = await server.stream()
        stream.lose(locks_pb2.HoldLost.REASON_TAKEN)
        with pytest.raises(holdfast.NotHeld):
            await asking


@plays
async def test_a_lease_that_cannot_be_resumed_is_lost():
    async with Server() as server, aio.Client(server.url) as client:
        task, _, _ = await enter(server, client.lock("k", grace=30))
        await server.stop()
        await server.start()
        stream = await server.stream()
        stream.lose(locks_pb2.HoldLost.REASON_TAKEN)
        with pytest.raises(holdfast.LeaseLost) as lost:
            await task
        assert lost.value.loss is Loss.CONNECTION


@plays
async def test_a_grace_that_passes_is_a_lost_connection():
    async with Server() as server, aio.Client(server.url) as client:
        entered = clock.now()
        task, lease, _ = await enter(server, client.lock("k", grace=0.3))
        await server.stop()
        await eventually(lambda: lease.valid_for <= 0.3)
        assert clock.now() < entered + 5, "long before its ttl"
        with pytest.raises(holdfast.LeaseLost) as lost:
            await task
        assert lost.value.loss is Loss.CONNECTION


@plays
async def test_a_lock_object_is_in_one_block_at_a_time():
    async with Server() as server, aio.Client(server.url) as client:
        lock = client.lock("k")
        task, _, stream = await enter(server, lock)
        with pytest.raises(RuntimeError, match="in use"):
            async with lock:
                pass
        task.cancel()
        stream.release()
        with pytest.raises(asyncio.CancelledError):
            await task
        task, _, stream = await enter(server, lock)
        task.cancel()
        stream.release()


@plays
async def test_nobody_is_left_waiting_by_close():
    async with Server() as server:
        heard = []
        client = aio.Client(server.url)
        lease, _ = await granted(server, client.lock("k", on_lost=heard.append))
        waiting = asyncio.create_task(client.lock("l", wait=60).acquire())
        await (await server.stream()).ask()
        await client.close()
        with pytest.raises(holdfast.Cancelled):
            await waiting
        assert lease.valid_for == 0 and not heard
        with pytest.raises(holdfast.Cancelled):
            await client.inspect("k")


@plays
async def test_a_detached_acquire_whose_answer_is_lost_is_asked_again_with_its_token():
    async with Server() as server, aio.Client(server.url) as client:
        asked = asyncio.Event()

        async def never(request, context):
            asked.set()
            await asyncio.Event().wait()

        async def lease(request, context):
            granted = locks_pb2.Lease(
                key="k", token=request.token, fence=1, ttl_ms=9000, valid_for_ms=9000
            )
            return locks_pb2.AcquireResponse(lease=granted)

        server.answers["Acquire"] = never
        acquiring = asyncio.create_task(client.acquire_detached("k"))
        await asked.wait()
        await server.stop()
        server.answers["Acquire"] = lease
        await server.start()
        assert (await acquiring).fence == 1
        tokens = {request.token for _, request in server.asked}
        assert len(server.asked) >= 2 and len(tokens) == 1 and len(tokens.pop()) == 16


@plays
async def test_a_detached_acquire_that_is_cancelled_is_given_up_by_its_token():
    async with Server() as server, aio.Client(server.url) as client:
        asked, released = asyncio.Event(), asyncio.Event()

        async def never(request, context):
            asked.set()
            await asyncio.Event().wait()

        async def release(request, context):
            released.set()
            return locks_pb2.ReleaseResponse(outcome=locks_pb2.ReleaseResponse.OUTCOME_RELEASED)

        server.answers.update({"Acquire": never, "Release": release})
        acquiring = asyncio.create_task(client.acquire_detached("k"))
        await asked.wait()
        acquiring.cancel()
        await asyncio.wait_for(released.wait(), 10)
        assert server.asked[0][1].token == server.asked[1][1].token


@plays
async def test_a_leader_is_cancelled_when_deposed_and_stands_again():
    async with Server() as server, aio.Client(server.url) as client:
        heard = []

        async def lead(lease):
            heard.append(lease.fence)
            await asyncio.Event().wait()

        election = client.elect("k", lead, lambda: heard.append("deposed"), value=b"here")
        async with election:
            stream = await server.stream()
            assert (await stream.ask()).value == b"here"
            stream.grant(fence=1)
            await eventually(lambda: election.is_leading)
            stream.lose(locks_pb2.HoldLost.REASON_EXPIRED)
            stream = await server.stream()
            await stream.ask()
            assert heard == [1, "deposed"] and not election.is_leading
            stream.grant(fence=2)
            await eventually(lambda: heard == [1, "deposed", 2])
            resigning = asyncio.create_task(election.resign())
            while await stream.next() is not None:
                pass
            stream.release()
            await resigning
        assert heard == [1, "deposed", 2], "who resigns is not deposed"


@plays
async def test_an_election_ends_with_its_leaders_error():
    async with Server() as server, aio.Client(server.url) as client:

        async def lead(lease):
            raise ValueError("cannot lead")

        with pytest.raises(ValueError, match="cannot lead"):
            async with client.elect("k", lead) as election:
                stream = await server.stream()
                await stream.ask()
                stream.grant()
                while await stream.next() is not None:
                    pass
                stream.release()
                await election.wait()
