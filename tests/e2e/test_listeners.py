# SPDX-License-Identifier: Apache-2.0
"""Listeners: unix, TCP, TLS, several at once; certificates that change under way."""
import os
import shutil
import signal
import socket
import ssl
import stat

import pytest

from server import run_holdfastd
from ttrpc import ConnectionGone
from waiting import always, eventually


def serial(client):
    return client.sock.getpeercert()["serialNumber"]


@pytest.fixture
def tls(certificates, directory):
    """Paths of a certificate and a key that a test may replace."""
    certificate, key = certificates.issue("first")
    paths = directory / "server.pem", directory / "server.key"
    shutil.copy(certificate, paths[0])
    shutil.copy(key, paths[1])
    return paths


def start_tls(start_server, redis, tls, **options):
    return start_server(
        redis, listen="tls://127.0.0.1:0", tls_cert=tls[0], tls_key=tls[1], **options
    )


# TLS


def test_tls_works(redis, start_server, certificates, tls):
    server = start_tls(start_server, redis, tls)
    client = server.connect(
        server.address("tls"), context=certificates.trusting(certificates.authority)
    )
    assert client.sock.version() in ("TLSv1.2", "TLSv1.3")
    stream = client.held("k", 2000)
    assert redis.holds("k")
    always(lambda: redis.holds("k"), 2.5)
    stream.release()
    calls = [client.start_acquire(f"k{n}") for n in range(500)]
    assert all(call.result().HasField("lease") for call in calls)
    client.close()
    eventually(lambda: redis("KEYS", "lock:*") == [], 3)


def test_a_wrong_authority_is_refused(redis, start_server, certificates, tls):
    server = start_tls(start_server, redis, tls)
    with pytest.raises(ssl.SSLCertVerificationError):
        server.connect(server.address("tls"), context=certificates.trusting(certificates.stranger))


def test_old_tls_versions_are_refused(redis, start_server, certificates, tls):
    server = start_tls(start_server, redis, tls)
    context = certificates.trusting(certificates.authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.connect(server.address("tls"), context=context)


def test_plain_bytes_on_a_tls_port_are_closed(redis, start_server, certificates, tls):
    server = start_tls(start_server, redis, tls)
    client = server.connect(server.address("tls").replace("tls://", "tcp://"))
    with pytest.raises((ConnectionGone, AssertionError)):
        client.inspect("k")
    again = server.connect(
        server.address("tls"), context=certificates.trusting(certificates.authority)
    )
    assert again.inspect("k") is None


def test_half_a_handshake_is_closed_in_time(redis, start_server, tls):
    server = start_tls(start_server, redis, tls, handshake_timeout="300ms")
    client = server.connect(server.address("tls").replace("tls://", "tcp://"))
    client.send_raw(b"\x16\x03\x01")
    client.wait_closed(timeout=5)


def test_client_certificates(redis, start_server, certificates, tls):
    server = start_tls(start_server, redis, tls, tls_client_ca=certificates.authority)
    good = certificates.trusting(certificates.authority, *certificates.issue("client"))
    assert server.connect(server.address("tls"), context=good).lease("k").fence > 0
    for bad in (
        certificates.trusting(certificates.authority),
        certificates.trusting(certificates.authority, *certificates.issue("evil", "stranger")),
    ):
        with pytest.raises((ConnectionGone, ssl.SSLError, ConnectionError)):
            server.connect(server.address("tls"), context=bad).inspect("k")


def test_a_new_certificate_after_sighup(redis, start_server, certificates, tls):
    """New connections see the new one; old connections go on."""
    server = start_tls(start_server, redis, tls)
    context = certificates.trusting(certificates.authority)
    old = server.connect(server.address("tls"), context=context)
    stream = old.held("k", 2000)
    certificate, key = certificates.issue("second")
    shutil.copy(certificate, tls[0])
    shutil.copy(key, tls[1])
    server.signal(signal.SIGHUP)

    def is_new():
        new = server.connect(server.address("tls"), context=context)
        return serial(new) != serial(old) and new.inspect("k") is not None

    eventually(is_new, 5, "the new certificate")
    always(lambda: redis.holds("k"), 1.5)
    stream.ping()
    stream.expect("renewed")


@pytest.mark.parametrize("broken", ["garbage", "missing", "mismatch"])
def test_a_broken_reload_keeps_the_old_certificate(redis, start_server, certificates, tls, broken):
    server = start_tls(start_server, redis, tls)
    context = certificates.trusting(certificates.authority)
    old = server.connect(server.address("tls"), context=context)
    seen = len(server.events)
    if broken == "garbage":
        tls[0].write_text("not a certificate\n")
    elif broken == "missing":
        tls[1].unlink()
    else:
        shutil.copy(certificates.issue("other")[1], tls[1])
    server.signal(signal.SIGHUP)
    name = {"garbage": "server.pem", "missing": "server.key", "mismatch": "server."}[broken]
    eventually(
        lambda: any(
            event["level"] in ("warn", "error") and name in str(event)
            for event in server.events[seen:]
        ),
        5,
        "a complaint that names the file",
    )
    new = server.connect(server.address("tls"), context=context)
    assert serial(new) == serial(old)
    assert new.inspect("k") is None and old.inspect("k") is None


def test_sighup_without_tls_changes_nothing(server, client):
    stream = client.held("k")
    server.signal(signal.SIGHUP)
    always(lambda: server.is_running(), 0.3)
    stream.ping()
    stream.expect("renewed")


@pytest.mark.parametrize("missing", ["tls_cert", "tls_key"])
def test_tls_without_its_files_does_not_start(redis, tls, missing):
    options = {"tls_cert": ["--tls-cert", tls[0]], "tls_key": ["--tls-key", tls[1]]}
    del options[missing]
    result = run_holdfastd(
        "--redis", redis.url, "--listen", "tls://127.0.0.1:0", *sum(options.values(), [])
    )
    assert result.returncode == 2
    assert missing.replace("_", "-") in result.stderr


def test_an_unreadable_certificate_is_named(redis, tls, directory):
    result = run_holdfastd(
        "--redis", redis.url, "--listen", "tls://127.0.0.1:0",
        "--tls-cert", directory / "nothing.pem", "--tls-key", tls[1],
    )
    assert result.returncode == 2 and "nothing.pem" in result.stderr


# Unix sockets


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_the_mode_of_the_socket(redis, start_server, mode):
    server = start_server(redis, unix_mode=mode)
    assert mode_of(server.socket) == int(mode, 8)
    assert server.connect().inspect("k") is None


def test_the_socket_is_not_for_everybody_by_default(server):
    assert mode_of(server.socket) & 0o007 == 0


def test_the_socket_is_removed_at_the_end(server):
    assert server.socket.exists()
    assert server.stop() == 0
    assert not server.socket.exists()


def test_a_stale_socket_is_replaced(redis, start_server):
    server = start_server(redis)
    server.kill()
    assert server.socket.exists()
    server.start()
    assert server.connect().inspect("k") is None


def test_a_live_socket_is_left_to_its_owner(server, redis):
    result = run_holdfastd("--redis", redis.url, "--listen", server.unix)
    assert result.returncode == 1
    assert str(server.socket) in result.stderr
    assert server.connect().inspect("k") is None


def test_a_file_that_is_no_socket_is_left_alone(redis, directory):
    path = directory / "precious"
    path.write_text("data")
    result = run_holdfastd("--redis", redis.url, "--listen", f"unix://{path}")
    assert result.returncode == 1 and str(path) in result.stderr
    assert path.read_text() == "data"


def test_a_directory_that_is_missing_is_named(redis, directory):
    result = run_holdfastd("--redis", redis.url, "--listen", f"unix://{directory}/no/where.sock")
    assert result.returncode == 1 and "no/where.sock" in result.stderr
    assert f"the directory {directory}/no does not exist; create it" in result.stderr


def test_a_path_that_is_too_long_is_refused(redis, directory):
    """By the length alone, whatever number the process has."""
    longest = f"{directory}/{'x' * 95}"[:95]
    result = run_holdfastd("--redis", redis.url, "--listen", f"unix://{longest}x")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"holdfastd: --listen: unix://{longest}"[:100])
    assert "the path has 96 bytes; at most 95 are allowed" in result.stderr


def test_the_longest_path_works(redis, start_server, directory):
    longest = f"{directory}/{'x' * 95}"[:95]
    server = start_server(redis, listen=f"unix://{longest}")
    assert server.connect(f"unix://{longest}").inspect("k") is None


# TCP


def test_a_port_in_use_is_named(server, redis):
    result = run_holdfastd("--redis", redis.url, "--listen", server.tcp)
    assert result.returncode == 1 and server.tcp.rsplit(":", 1)[1] in result.stderr
    assert "another program listens there; stop it or choose another --listen" in result.stderr


def test_a_port_in_use_is_found_before_anything_is_started(server):
    result = run_holdfastd("--listen", server.tcp)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "another program listens there" in result.stderr


def test_several_listeners_at_once(redis, start_server, certificates, tls, directory):
    """All lead to the same locks."""
    paths = [directory / "one.sock", directory / "two.sock"]
    server = start_server(
        redis,
        listen=[f"unix://{paths[0]}", f"unix://{paths[1]}", "tcp://127.0.0.1:0", "tcp://localhost:0",
                "tls://127.0.0.1:0"],
        tls_cert=tls[0],
        tls_key=tls[1],
    )
    context = certificates.trusting(certificates.authority)
    addresses = [event["address"] for event in server.find_events("listen")]
    assert len(addresses) == len(set(addresses)) == 5
    clients = [server.connect(address, context=context) for address in addresses]
    fence = clients[0].lease("k").fence
    assert [client.inspect("k").fence for client in clients] == [fence] * 5
    assert all(client.acquire("k").busy.fence == fence for client in clients[1:])


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6(redis, start_server):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    server = start_server(redis, listen="tcp://[::1]:0")
    assert server.connect(server.tcp).inspect("k") is None


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1", "tcp://127.0.0.1:70000", "tcp://127.0.0.1:x", "ftp://127.0.0.1:1",
            "unix://", "127.0.0.1:7420", ""],
)
def test_bad_listen_urls_are_refused(redis, url):
    result = run_holdfastd("--redis", redis.url, "--listen", url)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "listen" in result.stderr and url in result.stderr


def test_a_host_that_is_unknown_is_named(redis):
    """Names may be known later: the options are right, but the server cannot start."""
    result = run_holdfastd("--redis", redis.url, "--listen", "tcp://no.such.host.invalid:0")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "no.such.host.invalid: cannot find this host" in result.stderr
