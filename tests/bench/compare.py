#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holdfast beside scripts driven directly, in one run on one machine, as ratios.

    compare.py [--seconds N] [--rounds N]

Each round runs the sides one after the other against a Redis of its own; medians are shown. The
load, the server and Redis share the processors. Exits 1 only when Holdfast is absurdly slow: the
figures are for reading.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from process import cpu_seconds
from redis_server import Redis
from server import BIN_DIR, Server

CONNECTIONS = (1, 50, 200)
ABSURD = 0.1  # of the direct side's pairs per second
BENCH = BIN_DIR / "bench"


def measure(side, socket, connections, seconds, processes):
    """Figures of one run: pairs per second, latencies, CPU per pair of each process."""
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    output = subprocess.run(
        [BENCH, side, str(socket), str(connections), str(seconds)],
        check=True, capture_output=True, text=True,
    ).stdout
    result = json.loads(output)
    figures = {
        "rate": result["pairs"] / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
    }
    for name, pid in processes.items():
        figures[f"{name}_us"] = (cpu_seconds(pid) - before[name]) / result["pairs"] * 1e6
    return figures


def median(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def compare(directory, connections, seconds, rounds):
    redis = Redis(directory / "redis")
    server = Server(directory / "server", redis)
    direct, held, grpc = [], [], []
    try:
        for _ in range(rounds):
            direct.append(
                measure("redis", redis.socket, connections, seconds, {"redis": redis.pid})
            )
            processes = {"redis": redis.pid, "server": server.pid}
            held.append(measure("ttrpc", server.socket, connections, seconds, processes))
            grpc.append(measure("grpc", server.socket, connections, seconds, processes))
    finally:
        server.close_clients()
        server.stop()
        redis.close()
    return median(direct), median(held), median(grpc)


def show(connections, direct, held, grpc):
    print(f"{connections:4d} connections   {'direct':>10} {'holdfast':>10} {'ratio':>7}")
    for name, unit in (
        ("rate", "pairs/s"), ("p50_us", "p50 us"), ("p99_us", "p99 us"),
        ("redis_us", "Redis CPU us/pair"),
    ):
        ratio = held[name] / direct[name] if direct[name] else float("nan")
        print(f"  {unit:18} {direct[name]:10.1f} {held[name]:10.1f} {ratio:7.2f}")
    print(f"  {'server CPU us/pair':18} {'':10} {held['server_us']:10.1f}")
    ratio = grpc["server_us"] / held["server_us"]
    print(f"  {'the same, gRPC':18} {'':10} {grpc['server_us']:10.1f} {ratio:7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, medians of {arguments.rounds} rounds")
    is_absurd = False
    for connections in CONNECTIONS:
        with tempfile.TemporaryDirectory(prefix="hf-") as name:
            direct, held, grpc = compare(
                pathlib.Path(name), connections, arguments.seconds, arguments.rounds
            )
        show(connections, direct, held, grpc)
        is_absurd = is_absurd or held["rate"] < ABSURD * direct["rate"]
    return 1 if is_absurd else 0


if __name__ == "__main__":
    sys.exit(main())
