# SPDX-License-Identifier: Apache-2.0
"""What every process that a test starts can do and suffer."""
import os
import pathlib
import signal
import subprocess

from waiting import eventually


def state_of(pid):
    """The letter that /proc shows, or None when there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid):
    return state_of(pid) not in (None, "Z", "X")


def children_of(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A child process; `popen` is set by whoever starts it."""

    popen = None

    @property
    def pid(self):
        return self.popen.pid

    def signal(self, number):
        self.popen.send_signal(number)

    def freeze(self):
        """SIGSTOP; returns when the process has really stopped."""
        self.signal(signal.SIGSTOP)
        eventually(lambda: state_of(self.pid) == "T", what=f"stopping process {self.pid}", every=0.001)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        self.popen.kill()
        self.popen.wait()

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def wait(self, seconds):
        """The exit code; kills the process and fails when it does not end in time."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGCONT)
            self.kill()
            raise AssertionError(f"process {self.pid} did not end within {seconds} s") from None
