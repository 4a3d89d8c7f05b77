# SPDX-License-Identifier: Apache-2.0
"""The batch script's call and the record it keeps, in the words of server/redis/lua/head.lua."""

import os
import struct
import subprocess
from dataclasses import dataclass, replace

REGISTER = "holdfast:register"
LIMIT = 2**53
# Fields that follow a word, but for OK, which depends on the operation.
FIELDS = {"BUSY": 6, "QUEUED": 6, "HELD": 8, "FREE": 1, "NOT_HELD": 0, "RECOVERING": 1,
          "EXPIRED": 0, "WRONG_TYPE": 1, "ERROR": 1}
FOR_EVER_US = LIMIT - 1
EXCLUSIVE, SHARED = 0, 1
CONTENDED, CLOSED = 1, 2
# Flags of a holder.
FOREIGN, IS_CLOSED, IS_SHARED = 1, 2, 4
SERVER = "5e" * 16


def load_script():
    program = os.environ["HOLDFAST_PRINT_SCRIPT"]
    return subprocess.run([program], check=True, capture_output=True).stdout


@dataclass(frozen=True)
class Record:
    """The record of a grant."""

    tenure: bytes
    token: bytes
    fence: int = 0
    since_ms: int = 0
    label: bytes = b""
    data: bytes = b""
    flags: int = 0
    version: int = 1

    def owner(self):
        return bytes([self.version]) + self.tenure

    def value(self):
        return (self.owner() + bytes([self.flags]) + self.token
                + struct.pack(">QQ", self.fence, self.since_ms) + self.tail())

    def tail(self):
        return bytes([len(self.label)]) + self.label + self.data

    def granted(self, fence, since_ms):
        return replace(self, fence=fence, since_ms=since_ms)


def read_record(value):
    fence, since_ms, length = struct.unpack(">QQB", value[34:51])
    return Record(value[1:17], value[18:34], fence, since_ms, value[51:51 + length],
                  value[51 + length:], value[17], value[0])


REGISTER_FIELDS = ("fence", "mark", "until_us", "window_us", "watched_until_us",
                   "queued_until_us")


def read_register(client):
    """Its fields by name; none when there is no register."""
    value = client("GET", REGISTER)
    if value is None:
        return {}
    fields = dict(zip(REGISTER_FIELDS, map(int, struct.unpack(">dddddd", value[1:49]))))
    return {"v": value[0], "run": value[49:], **fields}


def write_register(client, **changes):
    """Changes fields of the register, which is made if there is none."""
    fields = {"v": 1, "run": b"run-1", **dict.fromkeys(REGISTER_FIELDS, 0),
              **read_register(client), **changes}
    numbers = struct.pack(">dddddd", *(fields[name] for name in REGISTER_FIELDS))
    client("SET", REGISTER, bytes([fields["v"]]) + numbers + fields["run"])


def beside(kind, key):
    """The name of a key of ours beside a lock's."""
    key = key.encode() if isinstance(key, str) else key
    opened = key.find(b"{")
    closed = key.find(b"}", opened)
    if opened >= 0 and closed > opened + 1:
        return b"holdfast:%s::%s" % (kind.encode(), key)
    return b"holdfast:%s:{%s}" % (kind.encode(), key)


# A call of one operation: its lock, its arguments, and how many fields an OK has.


def acquire(key, record, ttl_ms=5000, mode=EXCLUSIVE, limit=0, wants_queue=False, block=0,
            grant_ms=1000):
    options = b""
    if mode == SHARED or wants_queue or block:
        options = struct.pack(">BBIII", mode, wants_queue, limit, block, grant_ms)
    head = record.owner() + b"\0" + record.token
    return key, [b"A" + options, head, record.tail(), ttl_ms], 4 if block else 2


def renew(key, record, ttl_ms=5000, mode=EXCLUSIVE, block=0):
    options = b""
    if mode == SHARED or block:
        options = struct.pack(">BI", mode, block)
    fields = (1 if record.fence == 0 else 0) + (2 if block else 0)
    return key, [b"N" + options, record.value(), ttl_ms], fields


def release(key, record, wants_queue=False, delay_ms=0, shared=False):
    options = b""
    if wants_queue or delay_ms or shared:
        options = struct.pack(">BI", wants_queue, delay_ms) + record.token
    return key, [b"R" + options, record.owner() + b"\0"], 0


def leave(key, record):
    """Leaves the queue alone."""
    options = struct.pack(">BI", 2, 0) + record.token
    return key, [b"R" + options, record.owner() + b"\0"], 0


def resume(key, tenure, token, ttl_ms=5000):
    return key, ["S", tenure, token, ttl_ms], 5


def inspect(key):
    return key, ["I"], 0


def times(not_after_us, window_us=0, watch_us=0, px_ms=0):
    return struct.pack(">dddd", not_after_us, window_us, watch_us, px_ms)


def shorten(operations):
    """What operations have in common, ttl and tail, and their arguments with what is told in short."""
    plain = [parts for _, parts, _ in operations if parts[0] in (b"A", b"N")]
    grants = [parts for parts in plain if parts[0] == b"A"]
    px_ms = (grants or plain or [[0]])[0][-1]
    tail = grants[0][2] if grants else b"\0"
    told = []
    for _, parts, _ in operations:
        verb, *rest = parts
        if verb == b"R" or (verb == b"N" and rest[-1] == px_ms) or (
                verb == b"A" and rest[1:] == [tail, px_ms]):
            parts = rest[:1]
        told += parts
    return px_ms, tail, told


def _take_results(operations, fields, now_us):
    results = []
    while len(results) < len(operations):
        if not isinstance(fields[0], int) or fields[0] >= 0:
            results.append(_take_result(operations[len(results)][2], fields, now_us))
            continue
        row = operations[len(results):len(results) - fields.pop(0)]
        fence = None
        for _, _, ok_fields in row:
            if ok_fields == 2:
                fence = fields.pop(0) if fence is None else fence + 1
                results.append(["OK", fence, now_us // 1000])
            else:
                assert ok_fields == 0
                results.append(["OK"])
    assert fields == []
    return results


def _take_result(ok_fields, fields, now_us):
    if isinstance(fields[0], int) and ok_fields == 2:
        return ["OK", fields.pop(0), now_us // 1000]
    word = fields.pop(0).decode()
    count = ok_fields if word == "OK" else FIELDS[word]
    return [word, *(fields.pop(0) for _ in range(count))]


class Batches:
    """Runs batches on one connection. The run_id and the window may be set to play a restart."""

    def __init__(self, client, script, run_id="run-1", window_us=0, watch_us=0,
                 server=SERVER, in_short=True):
        self.client = client
        self.in_short = in_short
        self._script = script
        self.run_id = run_id
        self.window_us = window_us
        self.watch_us = watch_us
        self.server = server

    def send(self, *operations, not_after_us=FOR_EVER_US):
        keys = [operation[0] for operation in operations]
        px_ms, tail, arguments = shorten(operations)
        if not self.in_short:
            px_ms, arguments = 0, [part for _, parts, _ in operations for part in parts]
        self.client.send("EVAL", self._script, 1 + len(keys), REGISTER, *keys, self.run_id,
                         self.server, times(not_after_us, self.window_us, self.watch_us, px_ms),
                         tail, *arguments)

    def run(self, *operations, **options):
        """Returns Redis' clock and the list of results, words as str."""
        self.send(*operations, **options)
        now_us, *fields = self.client.receive()
        if not operations:
            (self.window_left_us,) = fields
            return now_us, []
        return now_us, _take_results(operations, fields, now_us)

    def one(self, operation, **options):
        return self.run(operation, **options)[1][0]

    def register(self):
        return read_register(self.client)

    def fence(self):
        return self.register()["fence"]
