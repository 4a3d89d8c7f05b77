# SPDX-License-Identifier: Apache-2.0
"""A client library under test: its driver program, told what to do in lines of JSON (clients/drivers/README.md)."""
import itertools
import json
import os
import shlex
import subprocess
import threading
import time

from process import Process
from server import clean_environment
from waiting import FACTOR, eventually


class Driver(Process):
    """One process that uses the library; what it says is stamped with the time of its arrival."""

    def __init__(self, directory, name):
        directory.mkdir(exist_ok=True)
        self.name = name
        self.said = []
        self.ids = itertools.count(1)
        self.error_path = directory / f"driver-{name}.err"
        with self.error_path.open("wb") as errors:
            self.popen = subprocess.Popen(
                shlex.split(os.environ["HOLDFAST_DRIVER"]),
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready = self.heard({"event": "ready"}, seconds=60)

    def _read(self):
        for line in self.popen.stdout:
            self.said.append({**json.loads(line), "at": time.monotonic()})

    def send(self, request):
        """Returns the id to wait for."""
        number = next(self.ids)
        self.popen.stdin.write(json.dumps({**request, "id": number}).encode() + b"\n")
        self.popen.stdin.flush()
        return number

    def heard(self, pattern, seconds=20):
        """The first line that matches, waiting for it."""

        def look():
            for line in list(self.said):
                if matches(line, pattern):
                    return line
            assert self.popen.poll() is None, f"the driver ended: {self.error_path.read_text()}"
            return None

        try:
            return eventually(look, seconds, f"{pattern} from {self.name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it said {self.said}") from None

    def answer(self, number):
        found = [line for line in self.said if line.get("id") == number and "result" in line]
        assert len(found) <= 1, f"answered twice: {found}"
        return self.heard({"id": number, "result": ANY}) if not found else found[0]

    def close(self):
        if self.is_running():
            self.thaw()
            self.popen.stdin.close()
            code = self.wait(20 * FACTOR)
            self.reader.join()
        else:
            code = None
        errors = self.error_path.read_text()
        print(f"--- driver {self.name} ended with {code}\n{errors}")
        assert code in (0, None), f"the driver ended with {code}: {errors}"
        assert "Sanitizer" not in errors and "runtime error" not in errors, errors
        answered = [line["id"] for line in self.said if "result" in line]
        assert len(answered) == len(set(answered)), "a request was answered twice"


ANY = object()


def matches(value, pattern):
    """Whether `value` has all that `pattern` has; {above: n} and {below: n} compare numbers."""
    if pattern is ANY:
        return value is not None
    if isinstance(pattern, dict) and pattern.keys() & {"above", "below"}:
        bounds = isinstance(value, (int, float)) and not isinstance(value, bool)
        return bounds and value > pattern.get("above", value - 1) and value < pattern.get("below", value + 1)
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and matches(value[key], part) for key, part in pattern.items()
        )
    return value == pattern
