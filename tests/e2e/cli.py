# SPDX-License-Identifier: Apache-2.0
"""A running command, most often holdfast, and a shell on a terminal to start it from."""
import os
import pty
import signal
import subprocess

from process import Process
from server import HOLDFAST
from waiting import FACTOR, eventually


class Cli(Process):
    """A running holdfast, or another program; its output goes to files, which are there to be read at any time."""

    def __init__(self, directory, words, stdin, env, program=HOLDFAST, **options):
        self.out_path, self.err_path = directory / "out", directory / "err"
        directory.mkdir()
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.popen = subprocess.Popen(
                [program, *map(str, words)], stdin=stdin, stdout=out, stderr=err, env=env, **options
            )

    @property
    def out(self):
        return self.out_path.read_text()

    @property
    def err(self):
        return self.err_path.read_text()

    def end(self, seconds=20):
        """The exit code; end of input first where it reads from us."""
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        return self.wait(seconds * FACTOR)

    def wait_for(self, text):
        eventually(lambda: text in self.out, what=f"{text!r} on stdout (stderr: {self.err})")

    def tell(self, text):
        self.popen.stdin.write(text.encode())
        self.popen.stdin.flush()

    def close(self):
        if self.is_running():
            self.thaw()
            self.kill()
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        print(f"--- {self.popen.args}\n{self.out}\n{self.err}")
        assert "Sanitizer" not in self.err and "runtime error" not in self.err, self.err


class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self, environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {**environment, "PS1": "shell$ ", "TERM": "dumb", "PATH": os.environ["PATH"]}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        os.set_blocking(self.fd, False)
        self.expect("shell$ ")

    def read(self):
        try:
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            pass
        return self.text

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text):
        """Waits for it and forgets what came up to it."""
        try:
            eventually(lambda: text in self.read(), what=f"{text!r} on the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {self.text!r}") from None
        before, self.text = self.text.split(text, 1)
        return before

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
