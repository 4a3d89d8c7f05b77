# SPDX-License-Identifier: Apache-2.0
"""The Python library's README as pasted, and its examples, against a real server."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import pytest

from server import clean_environment
from waiting import eventually

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "client/python"
README = (LIBRARY / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


class Program:
    """A process group, and the lines it has written so far."""

    def __init__(self, server, directory, *command):
        self.errors = directory / f"{command[-1].replace('/', '_')[:20]}.err"
        self.lines = []
        with self.errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                command,
                cwd=directory,
                env=clean_environment(HOLDFAST_SERVER=server.unix),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stdout), daemon=True)
        self.reader.start()

    def says(self, pattern, seconds=30):
        def look():
            found = [re.search(pattern, line) for line in list(self.lines)]
            return next((match for match in found if match), None)

        return eventually(look, seconds, f"{pattern!r} in {self.lines}")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self.reader.join()
        print(f"--- {self.popen.args}\n{''.join(self.lines)}{self.errors.read_text()}")


@pytest.fixture
def start_program(server, directory, actors):
    def start(*command):
        program = Program(server, directory, *map(str, command))
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
    assert "Traceback" not in pasted.errors.read_text()


def test_the_example_is_what_the_readme_shows():
    example = (LIBRARY / "examples/worker.py").read_text().split("\n", 1)[1]
    assert example in blocks("python")


def test_a_lost_lease_ends_the_worker_with_an_error(start_program, redis):
    worker = start_program(sys.executable, LIBRARY / "examples/worker.py", "carol")
    worker.says("carol works")
    assert redis("DEL", "lock:nightly-report") == 1
    assert worker.popen.wait(30) == 1
    assert "holdfast.errors.LeaseLost: the lease was lost: taken" in worker.errors.read_text()


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
    assert "Traceback" not in leader.errors.read_text()
