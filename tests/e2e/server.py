# SPDX-License-Identifier: Apache-2.0
"""holdfastd under test, and the clients that a test connects to it."""
import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

from process import Process, state_of
from ttrpc import Client
from waiting import FACTOR, eventually

BIN_DIR = pathlib.Path(os.environ.get("HOLDFAST_BIN_DIR", "bin")).absolute()
HOLDFASTD = BIN_DIR / "holdfastd"
HOLDFAST = BIN_DIR / "holdfast"

# What must never stand in a server's output, whatever a test did to it.
BUGS = re.compile(
    r"CHECK\(|Sanitizer|runtime error|Assertion|bug: |SUMMARY:|free\(\): |corrupted"
)


def clean_environment(**extra):
    """The environment without HOLDFAST_* settings of whoever runs the tests."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")
    }
    environment.update({name: str(value) for name, value in extra.items()})
    return environment


def flags(options):
    """{"default_ttl": "3s", "listen": [a, b], "quiet": True} as command line arguments."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is True:
                words.append(flag)
            elif item is not None:
                words += [flag, str(item)]
    return words


def run_holdfastd(*arguments, env=None, seconds=20):
    """Runs holdfastd to its end: for --help, --check-config and starts that must fail."""
    return subprocess.run(
        [HOLDFASTD, *map(str, arguments)],
        env=env or clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds * FACTOR,
    )


class Server(Process):
    """
    A running holdfastd. Options are its flags with '_' for '-'; by default it listens on a unix
    socket and on a free TCP port, it is quick to forgive a Redis that is new to it, and to drain
    (None for an option: the server's own default). `prefix` is a command that runs it (ip netns exec ...).
    """

    def __init__(self, directory, redis=None, prefix=(), env=None, wait=True, **options):
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.socket = directory / "holdfast.sock"
        if redis is not None and "redis" not in options:
            options["redis"] = getattr(redis, "url", redis)
        options.setdefault("listen", [f"unix://{self.socket}", "tcp://127.0.0.1:0"])
        options.setdefault("failover_grace", "50ms")
        options.setdefault("drain_timeout", "1s")
        self.command = [*prefix, str(HOLDFASTD), *flags(options)]
        self.environment = env or clean_environment()
        self.lines = []
        self.events = []
        self.tokens = set()
        self.clients = []
        self.start(wait)

    def start(self, wait=True):
        self.news = threading.Condition()
        self.events = []
        self.popen = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.reader = threading.Thread(target=self._read, args=[self.popen.stderr], daemon=True)
        self.reader.start()
        if wait:
            self.wait_event("ready")

    def _read(self, stream):
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self.news:
                self.lines.append(line)
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self.events.append(event)
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    # Its log

    def find_events(self, name, **fields):
        with self.news:
            return [
                event
                for event in self.events
                if event.get("event") == name
                and all(event.get(field) == value for field, value in fields.items())
            ]

    def wait_event(self, name, seconds=15, count=1, **fields):
        """The count-th event of that name (and fields) in the log of this run."""

        def look():
            found = self.find_events(name, **fields)
            if len(found) >= count:
                return found[count - 1]
            assert self.popen.poll() is None or self.reader.is_alive(), (
                f"holdfastd ended with {self.popen.poll()} before it logged {name}:\n{self.log()}"
            )
            return None

        return eventually(look, seconds, f"the log event {name}")

    def log(self):
        with self.news:
            return "\n".join(self.lines)

    # Its addresses

    @property
    def unix(self):
        return f"unix://{self.socket}"

    def address(self, scheme):
        """The address with the port really used."""
        for event in self.find_events("listen"):
            if event["address"].startswith(scheme + "://"):
                return event["address"]
        raise AssertionError(f"not listening on {scheme}:\n{self.log()}")

    @property
    def tcp(self):
        return self.address("tcp")

    def connect(self, address=None, **arguments):
        """A client; it is closed when the server is stopped."""
        client = Client(address or self.unix, on_token=self.tokens.add, **arguments)
        self.clients.append(client)
        return client

    # Its end

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def stop(self, seconds=15):
        """SIGTERM; the exit code."""
        is_frozen = state_of(self.pid) == "T"
        self.signal(signal.SIGTERM)
        if is_frozen:  # only then: a SIGCONT in its last moments hangs LeakSanitizer
            self.thaw()
        code = self.wait(seconds * FACTOR)
        self.reader.join()
        return code

    def kill(self):
        super().kill()
        self.reader.join()

    def restart(self):
        """SIGTERM unless it is gone already, then the same command again."""
        self.close_clients()
        if self.is_running():
            assert self.stop() == 0
        self.start()

    def close(self):
        """Ends it in order and checks what it leaves; prints its log, shown if the test failed."""
        self.close_clients()
        try:
            code = self.stop() if self.is_running() else 0
        finally:
            self.reader.join()
            print(f"--- {' '.join(map(str, self.command))}\n{self.log()}")
        assert code == 0, f"holdfastd ended with {code} on SIGTERM"
        self.check_log(self.log())

    def check_log(self, log):
        found = [line for line in log.splitlines() if BUGS.search(line)]
        assert not found, "a bug of holdfastd: " + "\n".join(found)
        for token in self.tokens:
            for secret in (token.hex(), base64.b64encode(token).decode().rstrip("=")):
                assert secret.lower() not in log.lower(), "a token in the log"
