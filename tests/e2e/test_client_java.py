# SPDX-License-Identifier: Apache-2.0
"""The README of the Java library as pasted, and its examples, against a real server."""
import os
import pathlib

import pytest

from pasted import Program, code_blocks
from waiting import FACTOR

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "client/java"
README = (SOURCES / "README.md").read_text()
JAVA = pathlib.Path(os.environ["HOLDFAST_JAVA"])
PACKAGE = pathlib.Path(os.environ["HOLDFAST_JAVA_PACKAGE"])


def blocks(language):
    return code_blocks(README, language)


@pytest.fixture
def start_program(server, directory, actors):
    def start(*command):
        environment = dict(HOLDFAST_SERVER=server.unix, PATH=f"{JAVA.parent}:{os.environ['PATH']}")
        program = Program(directory, [*map(str, command)], **environment)
        actors.callback(program.close)
        return program

    return start


@pytest.fixture
def start_example(start_program):
    """The examples are compiled with the package."""
    return lambda name, *words: start_program(JAVA, f"@{PACKAGE}/target/arguments", name, *words)


def test_the_first_minute_works_as_pasted(start_program, directory):
    """In a directory where the package is where the README's reader has it."""
    (directory / "client").mkdir()
    (directory / "client/java").symlink_to(PACKAGE)
    worker, = [block for block in blocks("java") if "class Worker" in block]
    (directory / "Worker.java").write_text(worker)
    commands = "".join(block for block in blocks("sh") if "mvn" not in block)
    pasted = start_program("sh", "-c", commands + "wait")
    alice = pasted.says(r"alice works, with fence (\d+)")
    bob = pasted.says(r"bob works, with fence (\d+)")
    assert int(bob[1]) > int(alice[1])
    assert not [line for line in pasted.since("bob works") if "alice works" in line]
    assert not [line for line in pasted.lines if "Exception" in line]


def test_the_example_is_what_the_readme_shows():
    example = (SOURCES / "examples/Worker.java").read_text().split("\n", 1)[1]
    assert example in blocks("java")


def test_a_lost_lease_ends_the_worker_with_an_error(start_example, redis):
    worker = start_example("Worker", "carol")
    worker.says("carol works")
    assert redis("DEL", "lock:nightly-report") == 1
    assert worker.popen.wait(30 * FACTOR) == 1
    worker.says("io.holdfast.LeaseLostException: the lease was lost: taken")


def test_leaders_follow_each_other(start_example):
    first = start_example("Leader", "one")
    first.says("one leads")
    second = start_example("Leader", "two")
    second.says("the leader is at one")
    first.close()
    second.says("two leads")
    second.says("the leader is at two")


def test_a_lost_server_is_survived_by_those_who_stand(start_example, server):
    leader = start_example("Leader", "one")
    first = leader.says(r"one leads, with fence (\d+)")
    server.kill()
    leader.says("not known")
    leader.says("leads no more")
    server.start()
    leader.says(rf"one leads, with fence (?!{first[1]}\b)")
    assert not [line for line in leader.lines if "Exception" in line]
