# SPDX-License-Identifier: Apache-2.0
"""gRPC libraries of other people: a probe, which HOLDFAST_PROBE starts, checks a server with one of
them and prints a line for each check. Only what a client cannot do is done here."""
import os
import pathlib
import shlex
import signal
import subprocess

import pytest

from admin import most_calls
from cli import Cli
from grpc_client import target_of
from server import clean_environment
from waiting import FACTOR, eventually

PROBE = shlex.split(os.environ["HOLDFAST_PROBE"])
PROTO = pathlib.Path(__file__).parents[2] / "proto"

CHECKS = [
    "reflection", "health", "unary", "watch", "hold", "cancel", "deadline", "large request",
    "error text", "two thousand calls", "slow reader", "drain",
]
CALLS = 2000  # in flight at once, on one connection


def asks(probe, question):
    """Waits until the probe asks to have something done; whether it does."""
    eventually(lambda: question in probe.out or not probe.is_running(), 120)
    return probe.is_running()


@pytest.mark.parametrize("scheme", ["unix", "tcp", "tls"])
def test_every_check_is_passed(redis, start_server, certificates, actors, directory, scheme):
    certificate, key = certificates.issue("server")
    server = start_server(
        redis,
        listen=[f"unix://{directory}/h.sock", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        tls_cert=certificate,
        tls_key=key,
        max_calls_per_connection=3000,
        drain_timeout="20s",
    )
    words = [*PROBE[1:], target_of(server.address(scheme)), PROTO]
    if scheme == "tls":
        words.append(certificates.authority)
    environment = clean_environment(HOLDFAST_TIME_FACTOR=FACTOR)
    probe = Cli(directory / "probe", words, subprocess.PIPE, environment, program=PROBE[0])
    actors.callback(probe.close)
    if asks(probe, "calls?"):
        operator = server.connect(server.address("unix"))
        eventually(lambda: most_calls(operator) == CALLS, 60)
        probe.tell("\n")
    if asks(probe, "drain?"):
        server.signal(signal.SIGTERM)
        server.wait_event("drain.begin")
        probe.tell("\n")
    code = probe.end(60)
    results = [line for line in probe.out.splitlines() if line not in ("calls?", "drain?")]
    assert results == [f"{check}: ok" for check in CHECKS]
    assert code == 0
    assert server.wait(5 * FACTOR) == 0
    assert not server.find_events("connection.refused")
