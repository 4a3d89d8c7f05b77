# SPDX-License-Identifier: Apache-2.0
"""What is written down: addresses, durations, and the lease's arithmetic of time."""
import math
from datetime import timedelta

import pytest

from holdfast import InvalidRequest, Loss, __version__, address
from holdfast.ask import Ask, check_token, milliseconds
from holdfast.term import Term
from holdfast.v1 import locks_pb2


@pytest.mark.parametrize(
    "url, target, is_tls",
    [
        ("unix:///run/holdfast.sock", "unix:///run/holdfast.sock", False),
        ("unix:///run/a b%.sock", "unix:///run/a%20b%25.sock", False),
        ("tcp://localhost:1234", "dns:///localhost:1234", False),
        ("tcp://localhost", "dns:///localhost:7420", False),
        ("tcp://[::1]:1", "dns:///[::1]:1", False),
        ("tls://holdfast.example", "dns:///holdfast.example:7420", True),
    ],
)
def test_an_address_is_understood(url, target, is_tls):
    parsed = address.parse(url)
    assert (parsed.target, parsed.is_tls) == (target, is_tls)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:1", "http://x", "unix://relative", "unix:///", "unix:///" + 107 * "x",
        "tcp://", "tcp://:1", "tcp://h:0", "tcp://h:65536", "tcp://h:x", "tcp://::1:1", "tcp://u@h:1",
        "tcp://h:1/", "tcp://[::1", "tls://a b:1",
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused_by_name(url):
    with pytest.raises(InvalidRequest, match="server address"):
        address.parse(url)


def test_the_environment_and_then_the_default_tell_the_address(monkeypatch):
    monkeypatch.setenv("HOLDFAST_SERVER", "unix:///run/x.sock")
    assert address.parse(None).url == "unix:///run/x.sock"
    assert address.parse("tcp://h:1").url == "tcp://h:1"
    monkeypatch.setenv("HOLDFAST_SERVER", "")
    assert address.parse(None).url == "tcp://127.0.0.1:7420"


def test_certificates_are_for_tls_and_readable(tmp_path):
    plain, tls = address.parse("tcp://h"), address.parse("tls://h")
    with pytest.raises(InvalidRequest, match="not tls://"):
        address.credentials(plain, "ca.pem", None, None)
    with pytest.raises(InvalidRequest, match="nothing.pem"):
        address.credentials(tls, str(tmp_path / "nothing.pem"), None, None)
    with pytest.raises(InvalidRequest, match="key_file"):
        address.credentials(tls, None, "cert.pem", None)


@pytest.mark.parametrize(
    "value, expected",
    [(None, 0), (0, 0), (1.5, 1500), (0.3, 300), (0.0001, 1), (86400, 86400000), (timedelta(minutes=1), 60000)],
)
def test_durations_are_seconds_and_never_rounded_to_nothing(value, expected):
    assert milliseconds("ttl", value) == expected


@pytest.mark.parametrize("value", [-1, -0.001, 86400.1, math.inf, math.nan, timedelta(days=2)])
def test_durations_out_of_bounds_are_refused_by_name(value):
    with pytest.raises(InvalidRequest, match="ttl: .*a day"):
        milliseconds("ttl", value)


@pytest.mark.parametrize("token", [b"", b"short", 16 * "x", None])
def test_tokens_are_sixteen_bytes(token):
    with pytest.raises(InvalidRequest, match="16 bytes"):
        check_token(token)


def test_an_ask_becomes_the_messages_of_the_protocol():
    ask = Ask(keys=("k",), ttl_ms=1, shared=True, limit=3, grace_ms=5, heartbeat_ms=200, value=b"v")
    hold = ask.hold_message(9).ask
    assert (hold.key, list(hold.keys), hold.wait_ms, hold.mode) == ("k", [], 9, locks_pb2.MODE_SHARED)
    assert (hold.limit, hold.grace_ms, hold.heartbeat_ms, hold.value) == (3, 5, 200, b"v")
    both = Ask(keys=("b", "a")).hold_message(0).ask
    assert (both.key, list(both.keys), both.mode) == ("", ["b", "a"], locks_pb2.MODE_EXCLUSIVE)
    resumed = ask.resume_message(16 * b"t").ask
    assert (resumed.key, resumed.resume_token, resumed.grace_ms) == ("k", 16 * b"t", 5)
    assert (resumed.wait_ms, resumed.mode, resumed.limit, resumed.value) == (0, 0, 0, b"")
    detached = ask.acquire_message(16 * b"t", 0)
    assert (detached.detached, detached.token, detached.limit) == (True, 16 * b"t", 3)
    with pytest.raises(InvalidRequest, match="key"):
        Ask(keys=())


# The clock of these is in the test's hand.


def confirmed(ttl=9.0, valid_for=9.0, **options):
    term = Term()
    term.start(ttl, **options)
    term.confirm(100.0, valid_for, 100.5)
    return term


def test_a_lease_is_valid_from_the_sending_of_its_question():
    term = confirmed()
    assert term.left(100.5) == 8.5
    assert term.left(109.0) == 0


@pytest.mark.parametrize(
    "now, options, due",
    [
        (100.5, {}, 103.5),  # a third of the ttl
        (100.5, {"heartbeat": 0.3}, 100.6),
        (100.5, {"heartbeat": 30.0}, 103.5),
        (107.0, {}, 108.0),  # halfway to the end
        (108.9, {}, 108.9 + 3 / 8),  # but not in a hurry without end
    ],
)
def test_pings_are_planned(now, options, due):
    term = confirmed(**options)
    term.plan_ping(now)
    assert term.due == pytest.approx(due)


def test_a_warning_comes_once_and_again_after_a_recovery():
    term = confirmed()
    term.plan_ping(200.0)
    assert term.wakes_at() == 109.0 - 1.5
    assert not term.must_warn(107.4)
    assert term.must_warn(107.5)
    term.is_warned = True
    assert not term.must_warn(108.0)
    assert term.wakes_at() == 109.0
    term.confirm(108.0, 2.0, 108.0)
    term.note_recovery(108.0)
    assert term.is_warned, "little is left still"
    term.confirm(108.0, 9.0, 108.0)
    term.note_recovery(108.0)
    assert not term.is_warned


def test_who_ends_it_is_told_by_the_longest_hold():
    assert confirmed(max_hold_until=200.0).loss_by_time() is Loss.EXPIRED
    assert confirmed(max_hold_until=109.5).loss_by_time() is Loss.MAX_HOLD
    assert confirmed(max_hold_until=109.6).loss_by_time() is Loss.EXPIRED
    assert confirmed().loss_by_time() is Loss.EXPIRED


def test_a_grace_only_shortens():
    term = confirmed()
    term.limit(200.0)
    assert term.deadline == 109.0
    term.limit(103.0)
    assert term.deadline == 103.0


def test_the_version_is_a_version():
    assert __version__.count(".") == 2
