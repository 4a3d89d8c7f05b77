# SPDX-License-Identifier: Apache-2.0
"""Detached leases live by their ttl alone; and secrets stay secret."""
import os
import time

import pytest

from ttrpc import RpcError, Status
from waiting import FACTOR, always, eventually


def test_it_survives_its_connection_and_is_not_renewed(server, redis):
    client = server.connect()
    client.lease("k", 2000, detached=True)
    client.close()
    started = time.monotonic()
    always(lambda: redis.holds("k"), 1.5, "holding")
    eventually(lambda: not redis.holds("k"), 2, "the end of the ttl")
    assert time.monotonic() - started < 2 + 0.5 * FACTOR


def test_a_retry_with_the_same_token_is_the_same_acquire(server, redis):
    token = os.urandom(16)
    first = server.connect().lease("k", 60000, detached=True, token=token)
    assert first.token == token
    again = server.connect().lease("k", 60000, detached=True, token=token)
    assert (again.token, again.fence) == (token, first.fence)
    assert server.connect().acquire("k", detached=True, token=os.urandom(16)).HasField("busy")


def test_retries_at_once_are_one_acquire(server):
    token = os.urandom(16)
    client = server.connect()
    calls = [client.start_acquire("k", 60000, detached=True, token=token) for _ in range(20)]
    leases = [call.result().lease for call in calls]
    assert {(lease.token, lease.fence) for lease in leases} == {(token, leases[0].fence)}


def test_renew_and_release_on_another_server(redis, start_server):
    one, two = start_server(redis), start_server(redis)
    lease = one.connect().lease("k", 2000, detached=True)
    two.tokens.add(lease.token)
    client = two.connect()
    renewed = client.renew("k", lease.token, ttl_ms=60000)
    assert (renewed.fence, renewed.ttl_ms) == (lease.fence, 60000)
    assert 50000 < redis.pttl("k") <= 60000
    assert client.release("k", lease.token)
    assert not redis.holds("k")
    assert client.renew("k", lease.token, ttl_ms=60000) is None
    assert not one.connect().release("k", lease.token)


def test_renew_and_release_after_a_restart(redis, server):
    lease = server.connect().lease("k", 60000, detached=True, label="before")
    server.restart()
    client = server.connect()
    assert client.inspect("k").label == "before"
    assert client.renew("k", lease.token, ttl_ms=90000).fence == lease.fence
    assert 80000 < redis.pttl("k") <= 90000
    assert client.release("k", lease.token)


def test_renew_with_the_default_ttl(client, redis):
    lease = client.lease("k", 60000, detached=True)
    renewed = client.renew("k", lease.token)
    assert (renewed.ttl_ms, renewed.valid_for_ms <= 10000) == (10000, True)
    assert redis.pttl("k") > 50000  # a renewal never cuts a lock short


def test_renew_after_the_end_is_not_held(client, redis):
    lease = client.lease("k", 300, detached=True)
    eventually(lambda: not redis.holds("k"), 3)
    assert client.renew("k", lease.token, ttl_ms=60000) is None
    assert not redis.holds("k")


def test_a_wrong_token_does_nothing(client, redis):
    lease = client.lease("k", 60000, detached=True)
    expiry = redis.expires_at_ms("k")
    wrong = bytes([lease.token[0] ^ 1]) + lease.token[1:]
    assert client.renew("k", wrong, ttl_ms=1000) is None
    assert not client.release("k", wrong)
    assert redis.expires_at_ms("k") == expiry


def test_inspect_never_shows_a_token(client):
    bound = client.lease("bound", label="b")
    detached = client.lease("detached", detached=True, label="d")
    held = client.held("held", label="h").lease
    for lease in (bound, detached, held):
        holder = client.inspect(lease.key)
        seen = holder.SerializeToString() + client.acquire(lease.key).SerializeToString()
        assert lease.token not in seen
        assert lease.token.hex().encode() not in seen


def test_no_token_in_the_log_whatever_goes_wrong(redis, start_server):
    """The server's log is searched for every token of the test at its end; debug level, errors."""
    server = start_server(redis, log_level="debug")
    client = server.connect()
    lease = client.lease("k", 2000, label="label")
    detached = client.lease("d", 60000, detached=True)
    stream = client.held("h", 1500)
    for token in (lease.token, os.urandom(16)):
        server.tokens.add(token)
        client.release("k", token)
    with pytest.raises(RpcError):
        client.renew("", detached.token)
    with pytest.raises(RpcError):
        client.release("k" * 600, detached.token)
    redis("SET", "lock:h", "theirs")
    assert stream.expect("lost").reason
    redis("CLIENT", "KILL", "TYPE", "normal")
    client.lease("after", timeout_s=5.0)
    assert len(server.tokens) >= 5
    assert len(server.log()) > 200


def test_the_holder_in_inspect(client, redis):
    before = int(time.time() * 1000)
    lease = client.lease("k", 60000, label="who")
    holder = client.inspect("k")
    assert (holder.label, holder.fence, holder.foreign) == ("who", lease.fence, False)
    assert before - 5 <= holder.since_ms <= time.time() * 1000 + 5
    assert 50000 < holder.remaining_ms <= 60000
    assert client.inspect("nobody") is None


def test_a_token_must_be_wanted(client):
    """Half of the fields make no sense without `detached`."""
    with pytest.raises(RpcError) as caught:
        client.acquire("k", token=os.urandom(16))
    assert caught.value.code == Status.INVALID_ARGUMENT
