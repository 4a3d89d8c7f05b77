# SPDX-License-Identifier: Apache-2.0
"""The README of the Go library and its example, against a real server, as its readers use them."""
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from server import clean_environment
from waiting import eventually

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "client/go"
MODULE = pathlib.Path(os.environ["HOLDFAST_GO_MODULE"])


def blocks(language):
    """The README's pieces of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (SOURCES / "README.md").read_text(), re.DOTALL)


class Terminal:
    """A shell; what is printed in it is collected."""

    def __init__(self, project, server):
        self.printed = ""
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=project,
            env=clean_environment(HOLDFAST_SERVER=server.unix, GOFLAGS="-buildvcs=false"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.shell.stdout:
            self.printed += line

    def paste(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def shows(self, text, seconds=30):
        try:
            eventually(lambda: text in self.printed, seconds, text)
        except AssertionError as error:
            raise AssertionError(f"{error}; printed: {self.printed}") from None

    def close(self):
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()
        self.reader.join()


@pytest.fixture
def terminal(actors, directory, server):
    (directory / "worker").mkdir()
    opened = Terminal(directory / "worker", server)
    actors.callback(opened.close)
    return opened


def build(terminal, directory):
    """The README's program, built by its commands."""
    (directory / "worker/main.go").write_text(blocks("go")[0])
    (commands,) = [block for block in blocks("sh") if "go build" in block]
    terminal.paste(commands.replace("/path/to/holdfast/build/go", str(MODULE)) + "echo built: $?")
    terminal.shows("built: 0", 240)


def test_two_workers_one_lock_kill_one(terminal, directory):
    build(terminal, directory)
    lines = [line.split("#") for block in blocks("sh") for line in block.splitlines() if " # " in line]
    assert len(lines) == 3
    for command, shown in lines:
        assert shown.strip() not in terminal.printed
        terminal.paste(command)
        terminal.shows(shown.strip())


def test_a_worker_that_lost_says_why(terminal, directory, redis):
    build(terminal, directory)
    terminal.paste("./worker three; echo ended: $?")
    terminal.shows("three: works")
    assert redis("DEL", "lock:nightly-report") == 1
    terminal.shows("the lease was lost: taken")
    terminal.shows("ended: 0")


def test_the_example_is_the_one_of_the_readme():
    example = (SOURCES / "examples/worker/main.go").read_text()
    assert example == "// SPDX-License-Identifier: Apache-2.0\n\n" + blocks("go")[0]
