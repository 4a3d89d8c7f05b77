# SPDX-License-Identifier: Apache-2.0
"""What a README shows, run as somebody would who pastes it."""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading

from server import clean_environment
from waiting import eventually


def code_blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


class Program:
    """A process group, and the lines it has written so far."""

    def __init__(self, directory, command, **environment):
        self.lines = []
        self.popen = subprocess.Popen(
            command,
            cwd=directory,
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stdout), daemon=True)
        self.reader.start()

    @property
    def printed(self):
        return "".join(self.lines)

    def says(self, pattern, seconds=60):
        def look():
            found = [re.search(pattern, line) for line in list(self.lines)]
            return next((match for match in found if match), None)

        return eventually(look, seconds, f"{pattern!r} in {self.lines}")

    def since(self, text):
        """The lines from the first with that text on."""
        return list(itertools.dropwhile(lambda line: text not in line, list(self.lines)))

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self.reader.join()
        print(f"--- {self.popen.args}\n{self.printed}")
