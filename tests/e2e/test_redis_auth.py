# SPDX-License-Identifier: Apache-2.0
"""AUTH and SELECT: right, wrong, and put right later."""
import pathlib

import pytest

from holdfast.v1 import locks_pb2
from server import run_holdfastd
from waiting import always, eventually

PASSWORD = "s3cret:/@ %pw"
ENCODED = "s3cret%3A%2F%40%20%25pw"


@pytest.fixture
def guarded(start_redis):
    """A redis with a password, and a user `app` with a password of its own."""
    redis = start_redis("--requirepass", PASSWORD, tcp=True, password=PASSWORD)
    redis("ACL", "SETUSER", "app", "on", ">app-" + PASSWORD, "~*", "&*", "+@all")
    return redis


@pytest.fixture
def password_file(directory):
    path = directory / "password"

    def write(text):
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


def assert_works(server, redis):
    lease = server.connect().lease("k")
    assert redis.holds("k")
    assert lease.fence > 0
    assert PASSWORD not in server.log() and ENCODED not in server.log()


def test_password_in_the_url(guarded, start_server):
    server = start_server(f"redis://:{ENCODED}@127.0.0.1:{guarded.port}")
    assert_works(server, guarded)


def test_user_and_password_in_the_url(guarded, start_server):
    server = start_server(f"redis://app:app-{ENCODED}@127.0.0.1:{guarded.port}/0")
    assert_works(server, guarded)
    clients = guarded("CLIENT", "LIST").decode()
    assert "user=app" in clients


@pytest.mark.parametrize("ending", ["", "\n"])
def test_password_file(guarded, start_server, password_file, ending):
    server = start_server(guarded, redis_password_file=password_file(PASSWORD + ending))
    assert_works(server, guarded)


def test_user_and_password_file(guarded, start_server, password_file):
    server = start_server(
        guarded, redis_user="app", redis_password_file=password_file("app-" + PASSWORD)
    )
    assert_works(server, guarded)
    assert "user=app" in guarded("CLIENT", "LIST").decode()


@pytest.mark.parametrize("given", ["wrong", None])
def test_a_wrong_password_is_not_ready_until_it_is_right(
    guarded, start_server, password_file, given
):
    """The log says what is wrong, never the password; the file is read again at every attempt."""
    path = password_file(given or "")
    options = {"redis_password_file": path} if given else {}
    server = start_server(guarded, wait=False, **options)
    word = "WRONGPASS" if given else "NOAUTH"
    eventually(lambda: word in server.log(), 10, "a clear log line")
    always(lambda: not server.find_events("ready"), 0.5, "not ready")
    attempts = server.log().count(word)
    assert attempts < 20
    assert not given or '"wrong"' not in server.log()
    if given:
        password_file(PASSWORD)
    else:
        guarded("CONFIG", "SET", "requirepass", "")
        guarded("ACL", "SETUSER", "default", "nopass")
    server.wait_event("ready")
    assert_works(server, guarded)


def test_a_rotated_password_is_picked_up(guarded, start_server, password_file):
    server = start_server(guarded, redis_password_file=password_file(PASSWORD))
    stream = server.connect().held("k", 10000)
    guarded("CONFIG", "SET", "requirepass", "next")
    guarded.password = "next"
    guarded("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: "WRONGPASS" in server.log(), 10)
    password_file("next")
    guarded.disconnect()
    guarded.freshly_renewed("k", 10000)
    assert "lost" not in [stream.next()[0] for _ in iter(stream.has_heard, False)]
    stream.release()


def test_a_user_without_the_rights_is_named(guarded, start_server, password_file):
    guarded("ACL", "SETUSER", "poor", "on", ">poor-pw", "~*", "+ping")
    server = start_server(
        guarded, wait=False, redis_user="poor", redis_password_file=password_file("poor-pw")
    )
    eventually(lambda: "NOPERM" in server.log(), 10, "a clear log line")
    always(lambda: not server.find_events("ready"), 0.5)
    assert "poor-pw" not in server.log()


def test_a_missing_password_file_is_named(guarded, directory):
    path = directory / "no-such-file"
    result = run_holdfastd("--redis", guarded.url, "--redis-password-file", path)
    assert result.returncode == 2 and str(path) in result.stderr


def test_a_password_file_that_vanishes_is_named(guarded, start_server, password_file):
    """It is needed at every connect; the server waits for it to come back."""
    path = password_file(PASSWORD)
    server = start_server(guarded, redis_password_file=path)
    stream = server.connect().held("k", 10000)
    path.unlink()
    guarded("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: str(path) in server.log(), 10, "a log line that names the file")
    password_file(PASSWORD)
    guarded.disconnect()
    guarded.freshly_renewed("k", 10000)
    stream.release()


@pytest.mark.parametrize("scheme", ["unix", "redis"])
def test_select(start_redis, start_server, scheme):
    redis = start_redis(tcp=True)
    url = f"{redis.url}?db=3" if scheme == "unix" else f"{redis.tcp_url}/3"
    server = start_server(url)
    server.connect().lease("k")
    assert not redis.holds("k")
    redis("SELECT", 3)
    assert redis.holds("k")


def test_a_database_that_does_not_exist_is_named(redis, start_server):
    server = start_server(f"{redis.url}?db=99", wait=False)
    eventually(lambda: "99" in server.log() and "DB index" in server.log(), 10, "a clear log line")
    assert not server.find_events("ready")


def test_redis_that_comes_late(directory, start_server, start_redis):
    """The server waits for it, and says so."""
    server = start_server(f"unix://{directory}/redis0/redis.sock", wait=False)
    server.wait_event("listen")
    always(lambda: not server.find_events("ready"), 0.3)
    redis = start_redis()
    server.wait_event("ready")
    assert server.connect().lease("k").fence > 0
    assert redis.holds("k")


def test_a_password_on_the_command_line_is_not_shown_by_check_config():
    result = run_holdfastd("--check-config", "--redis", f"redis://:{ENCODED}@127.0.0.1:1")
    assert result.returncode == 0
    assert PASSWORD not in result.stdout + result.stderr
    assert ENCODED not in result.stdout + result.stderr


def test_the_rights_that_are_documented_are_enough(guarded, start_server, password_file):
    """Everything that scripts do, under the very line of docs/redis.md."""
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "redis.md"
    line = next(x for x in page.read_text().splitlines() if x.startswith("ACL SETUSER"))
    guarded(*[word.replace("PASSWORD", "sesame") for word in line.split(" ")])
    path = password_file("sesame")
    one, two = (
        start_server(guarded, redis_user="holdfast", redis_password_file=path) for _ in range(2)
    )
    client, other = one.connect(), two.connect()
    watch = client.watch("k")
    assert watch.receive().HasField("free")
    for fields in ({}, {"mode": locks_pb2.MODE_SHARED}, {"mode": locks_pb2.MODE_SHARED, "limit": 1}):
        held = client.held("k", label="me", value=b"v", lock_delay_ms=1, **fields)
        while watch.receive().held.value != b"v":
            pass  # those before it, or nobody
        waiter = other.hold("k", wait_ms=60_000)
        waiter.expect("queued")
        held.release()
        waiter.expect("granted")
        waiter.release()
    lease = client.lease("r", grace_ms=60_000)
    assert other.resume("r", lease.token) is not None
    shared = other.lease("s", mode=locks_pb2.MODE_SHARED, detached=True, ttl_ms=60_000)
    assert client.renew("s", shared.token, 60_000) is not None
    assert client.release("s", shared.token)
    for server in (one, two):
        assert not server.find_events("redis.refused")
        assert not server.find_events("redis.unsubscribed")
        assert not server.find_events("redis.untold")
