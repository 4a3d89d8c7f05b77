# SPDX-License-Identifier: Apache-2.0
"""A load generator: it gets ready, begins when told, says what it did, and stays until it is let go."""
import json
import re
import select
import statistics
import subprocess
import tempfile

from process import Process, cpu_seconds

READY_S = 60

# What clients send; the other commands in Redis' statistics are those inside the scripts.
SCRIPTS = ("eval", "evalsha", "evalsha_ro", "eval_ro")


class DriverError(Exception):
    pass


class Driver(Process):
    def __init__(self, command):
        self.errors = tempfile.TemporaryFile()
        self.popen = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        try:
            if self._line(READY_S) != "ready":
                raise DriverError(f"it did not get ready: {self._why()}")
        except DriverError:
            self.close()
            raise

    def _why(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][-200:] if lines else "it said nothing"

    def _line(self, seconds):
        readable, _, _ = select.select([self.popen.stdout], [], [], seconds)
        line = self.popen.stdout.readline().decode().strip() if readable else ""
        if not line:
            raise DriverError(f"it gave no answer: {self._why()}")
        return line

    def begin(self):
        self.popen.stdin.write(b"go\n")
        self.popen.stdin.flush()

    def result(self, seconds):
        return json.loads(self._line(seconds))

    def close(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        self.popen.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def commands_sent(redis, also=()):
    """Calls of what clients send themselves: scripts, and the commands named by `also`."""
    stats = redis("INFO", "commandstats")
    text = stats if isinstance(stats, str) else stats.decode()
    calls = re.findall(r"^cmdstat_([\w|]+):calls=(\d+)", text, re.MULTILINE)
    return sum(int(count) for name, count in calls if name in SCRIPTS or name in also)


def measure(command, seconds, redis=None, processes=None, also=()):
    """One run: rates, durations, and what each operation cost every process, from /proc and Redis."""
    processes = processes or {}
    with Driver(command) as driver:
        watched = {**processes, "client": [driver.pid]}
        before = {name: sum(map(cpu_seconds, pids)) for name, pids in watched.items()}
        sent = commands_sent(redis, also) if redis else 0
        driver.begin()
        result = driver.result(seconds * 3 + 60)
        after = {name: sum(map(cpu_seconds, pids)) for name, pids in watched.items()}
        sent = commands_sent(redis, also) - sent if redis else 0
    done = max(1, result["operations"])
    handed = max(1, result.get("hand_offs", 0))
    figures = {name: value for name, value in result.items() if name.endswith("_us")}
    figures["refused"] = result.get("refused", 0)
    figures["rate"] = result["operations"] / result["seconds"]
    figures["hand_offs"] = result.get("hand_offs", 0) / result["seconds"]
    if redis:
        figures["commands"] = sent / done
        figures["commands_per_hand_off"] = sent / handed
    for name in watched:
        figures[f"{name}_cpu_us"] = (after[name] - before[name]) / done * 1e6
    return figures


def medians(runs):
    """Of each figure that all runs have."""
    names = set(runs[0]).intersection(*runs)
    return {name: statistics.median(run[name] for run in runs) for name in sorted(names)}
