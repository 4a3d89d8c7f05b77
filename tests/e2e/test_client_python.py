# SPDX-License-Identifier: Apache-2.0
"""The Python library's README as pasted, and its examples, against a real server."""
import pathlib
import sys

import pytest

from pasted import Program, code_blocks

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "client/python"
README = (LIBRARY / "README.md").read_text()


def blocks(language):
    return code_blocks(README, language)


@pytest.fixture
def start_program(server, directory, actors):
    def start(*command):
        environment = dict(HOLDFAST_SERVER=server.unix)
        program = Program(directory, [*map(str, command)], **environment)
        actors.callback(program.close)
        return program

    return start


def test_the_first_minute_works_as_pasted(start_program, directory):
    worker, = [block for block in blocks("python") if "sys.argv" in block]
    commands, = [block for block in blocks("sh") if "worker.py" in block]
    (directory / "worker.py").write_text(worker)
    pasted = start_program("sh", "-c", commands.replace("python3", sys.executable) + "wait")
    alice = pasted.says(r"alice works, with fence (\d+)")
    bob = pasted.says(r"bob works, with fence (\d+)")
    assert int(bob[1]) > int(alice[1])
    assert not [line for line in pasted.since("bob works") if "alice works" in line]
    assert "Traceback" not in pasted.printed


def test_the_example_is_what_the_readme_shows():
    example = (LIBRARY / "examples/worker.py").read_text().split("\n", 1)[1]
    assert example in blocks("python")


def test_a_lost_lease_ends_the_worker_with_an_error(start_program, redis):
    worker = start_program(sys.executable, LIBRARY / "examples/worker.py", "carol")
    worker.says("carol works")
    assert redis("DEL", "lock:nightly-report") == 1
    assert worker.popen.wait(30) == 1
    worker.says("holdfast.errors.LeaseLost: the lease was lost: taken")


def test_leaders_follow_each_other(start_program):
    first = start_program(sys.executable, LIBRARY / "examples/leader.py", "one")
    first.says("one leads")
    second = start_program(sys.executable, LIBRARY / "examples/leader.py", "two")
    second.says("the leader is at one")
    first.close()
    second.says("two leads")
    second.says("the leader is at two")


def test_a_lost_server_is_survived_by_those_who_stand(start_program, server):
    leader = start_program(sys.executable, LIBRARY / "examples/leader.py", "one")
    first = leader.says(r"one leads, with fence (\d+)")
    server.kill()
    leader.says("not known")
    server.start()
    leader.says(rf"one leads, with fence (?!{first[1]}\b)")
    assert "Traceback" not in leader.printed
