# SPDX-License-Identifier: Apache-2.0
"""The batch script's call and the record it keeps, in the words of server/redis/lua/head.lua."""

import os
import struct
import subprocess
from dataclasses import dataclass, replace

REGISTER = "holdfast:register"
LIMIT = 2**53
# Fields that follow a word.
FIELDS = {"OK": 0, "BUSY": 5, "HELD": 5, "FREE": 0, "NOT_HELD": 0, "RECOVERING": 1, "EXPIRED": 0,
          "WRONG_TYPE": 1, "ERROR": 1}
GRANT_FIELDS = 2
FOR_EVER_US = LIMIT - 1


def load_script():
    program = os.environ["HOLDFAST_PRINT_SCRIPT"]
    return subprocess.run([program], check=True, capture_output=True).stdout


@dataclass(frozen=True)
class Record:
    """The value of a lock."""

    tenure: bytes
    token: bytes
    fence: int = 0
    since_ms: int = 0
    label: bytes = b""
    version: int = 1

    def owner(self):
        return bytes([self.version]) + self.tenure

    def head(self):
        return self.owner() + self.token

    def value(self):
        return self.head() + struct.pack(">QQ", self.fence, self.since_ms) + self.label

    def granted(self, fence, since_ms):
        return replace(self, fence=fence, since_ms=since_ms)


def read_record(value):
    fence, since_ms = struct.unpack(">QQ", value[33:49])
    return Record(value[1:17], value[17:33], fence, since_ms, value[49:], value[0])


def acquire(key, record, ttl_ms=5000):
    return key, ["ACQUIRE", record.head(), record.label, ttl_ms]


def renew(key, record, ttl_ms=5000):
    return key, ["RENEW", record.value(), record.fence, ttl_ms]


def release(key, record):
    return key, ["RELEASE", record.owner()]


def inspect(key):
    return key, ["INSPECT"]


def _take_result(parts, fields):
    word = fields.pop(0).decode()
    count = FIELDS[word]
    if (parts[0], word) == ("ACQUIRE", "OK"):
        count = GRANT_FIELDS
    elif (parts[0], word) == ("RENEW", "OK") and parts[2] == 0:
        count = 1
    return [word, *(fields.pop(0) for _ in range(count))]


class Batches:
    """Runs batches on one connection. The run_id and the window may be set to play a restart."""

    def __init__(self, client, script, run_id="run-1", window_us=0):
        self.client = client
        self._script = script
        self.run_id = run_id
        self.window_us = window_us

    def send(self, *operations, not_after_us=FOR_EVER_US):
        keys = [key for key, _ in operations]
        arguments = [part for _, parts in operations for part in parts]
        self.client.send("EVAL", self._script, 1 + len(keys), REGISTER, *keys, self.run_id,
                         not_after_us, self.window_us, *arguments)

    def run(self, *operations, **options):
        """Returns Redis' clock and the list of results, words as str."""
        self.send(*operations, **options)
        now_us, *fields = self.client.receive()
        if not operations:
            (self.window_left_us,) = fields
            return now_us, []
        results = [_take_result(parts, fields) for _, parts in operations]
        assert fields == []
        return now_us, results

    def one(self, operation, **options):
        return self.run(operation, **options)[1][0]

    def register(self):
        fields = self.client("HGETALL", REGISTER)
        names = [name.decode() for name in fields[::2]]
        return dict(zip(names, fields[1::2]))

    def fence(self):
        return int(self.register()["fence"])
