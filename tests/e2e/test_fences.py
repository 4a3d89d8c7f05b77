# SPDX-License-Identifier: Apache-2.0
"""Fences rise with every grant of a lock, whatever happens to Redis and its clock."""
import struct
import time

from load import Load

LIMIT = 2**53


def test_they_rise_over_grants_of_every_kind(server, redis):
    one, two = server.connect(), server.connect()
    fences = []
    for number in range(60):
        client = (one, two)[number % 2]
        if number % 3 == 0:
            stream = client.held("k")
            fences.append(stream.lease.fence)
            stream.release()
        else:
            lease = client.lease("k", detached=number % 3 == 1)
            fences.append(lease.fence)
            assert client.release("k", lease.token)
    assert fences == sorted(set(fences))
    assert 0 < fences[0] and fences[-1] < LIMIT


def test_they_rise_between_servers(redis, start_server):
    clients = [start_server(redis).connect() for _ in range(3)]
    fences = []
    for number in range(30):
        client = clients[number % 3]
        lease = client.lease("k")
        fences.append(lease.fence)
        client.release("k", lease.token)
    assert fences == sorted(set(fences))


def test_they_rise_across_empty_restarts_of_redis(client, redis):
    fences = []
    for _ in range(3):
        lease = client.lease("k")
        fences.append(lease.fence)
        assert client.release("k", lease.token)
        redis.restart()
    fences.append(client.lease("k", timeout_s=10.0).fence)
    assert fences == sorted(set(fences))


def test_they_rise_when_the_register_is_ahead_of_the_clock(client, redis):
    """As after Redis' clock was set back: the register alone carries them on."""
    client.lease("warm")
    ahead = int((time.time() + 3600) * 1e6)
    redis("SETRANGE", "holdfast:register", 1, struct.pack(">d", ahead))
    fences = []
    for _ in range(5):
        lease = client.lease("k")
        fences.append(lease.fence)
        client.release("k", lease.token)
    assert fences[0] > ahead
    assert fences == sorted(set(fences))
    assert fences[-1] < ahead + 1000


def test_they_rise_under_load_from_two_servers(redis, start_server):
    loads = [Load(start_server(redis), workers=2, depth=4, keys=3) for _ in range(2)]
    end = time.monotonic() + 2
    while time.monotonic() < end and not any(load.errors for load in loads):
        loads[0].stopping.wait(0.05)
    for load in loads:
        load.stop()
    first = loads[0]
    first.grants += loads[1].grants
    assert all(load.count() > 50 for load in loads)
    first.check()


def test_a_renewal_keeps_the_fence(client, redis):
    stream = client.held("k", 600)
    before = redis.value("k")
    for _ in range(3):
        redis.freshly_renewed("k", 600)
    assert client.inspect("k").fence == stream.lease.fence
    assert redis.value("k") == before
