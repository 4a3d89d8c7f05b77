# SPDX-License-Identifier: Apache-2.0
"""How cost grows with leases, connections and waiters: points, and the exponent that fits them."""
import math
import resource
import time

from driver import Driver, DriverError, measure, medians
from machine import memory_bytes
from process import cpu_seconds
from rig import Rig
from waiting import always

LEASES = (1_000, 10_000, 100_000, 1_000_000)
CONNECTIONS = (1, 10, 100, 1_000, 5_000, 15_000)
WAITERS = (2, 10, 100, 1_000)
RATES = (1_000, 2_000, 5_000, 10_000, 20_000, 40_000)
TTL_S = 30  # of the generator's leases: each is renewed every ten seconds
POLL_MS = 100
OTHER_FILES = 200

# Leases taken a second: so many that a million takes a minute, so few that their renewals, which
# come in the same rhythm ten seconds later, leave room for more.
TAKEN_PER_S = 20_000


def exponent(points):
    """b of the y = a x^b that fits best (least squares of the logarithms); None without two points."""
    known = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(known) < 2:
        return None
    mean_x = sum(x for x, _ in known) / len(known)
    mean_y = sum(y for _, y in known) / len(known)
    spread = sum((x - mean_x) ** 2 for x, _ in known)
    return sum((x - mean_x) * (y - mean_y) for x, y in known) / spread if spread > 0 else None


def _redis_memory(redis):
    text = redis("INFO", "memory")
    text = text if isinstance(text, str) else text.decode()
    return int(text.split("used_memory:")[1].split()[0])


def hold_leases(count, seconds):
    """`count` leases on up to 100 connections: what they cost to take, to keep and to remember."""
    connections = min(100, count)
    with Rig() as rig:
        server, redis = rig.servers[0], rig.redis
        words = [f"leases={count // connections}", f"rate={TAKEN_PER_S}"]
        with Driver(rig.holdfast("hold", connections, 1, *words)) as driver:
            memory, store = memory_bytes(server.pid), _redis_memory(redis)
            driver.begin()
            taking = driver.result(60 + 3 * count / TAKEN_PER_S)
            used = cpu_seconds(server.pid), cpu_seconds(redis.pid)
            started = time.monotonic()
            always(driver.is_running, seconds, "holding", every=0.1)
            took = time.monotonic() - started
            figures = {
                "leases": count,
                "in_redis": redis("DBSIZE"),
                "taken_per_s": taking["operations"] / taking["seconds"],
                "server_share": (cpu_seconds(server.pid) - used[0]) / took,
                "redis_share": (cpu_seconds(redis.pid) - used[1]) / took,
                "server_bytes": (memory_bytes(server.pid) - memory) / count,
                "redis_bytes": (_redis_memory(redis) - store) / count,
                "refused": taking["refused"],
                "lost": len(server.find_events("lease.lost")),
            }
            driver.kill()  # the locks need not be given up one by one
    return figures


def idle_connections(count):
    """Bytes of holdfastd for one that says nothing."""
    with Rig() as rig:
        server = rig.servers[0]
        before = memory_bytes(server.pid)
        with Driver(rig.holdfast("hold", count, 1, "leases=0")):
            return (memory_bytes(server.pid) - before) / count


def possible(counts, left_out):
    """Those for which a process may open as many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for count in counts:
        if count + OTHER_FILES > most:
            left_out[f"{count} connections"] = f"a process may open {most} files (ulimit -Hn)"
    return [count for count in counts if count + OTHER_FILES <= most]


def connections(rounds, seconds, counts=CONNECTIONS):
    points = []
    for count in counts:
        with Rig() as rig:
            direct, held = [], []
            for _ in range(rounds):
                one = {"redis": [rig.redis.pid]}
                direct.append(measure(rig.direct("pairs", count, seconds), seconds, processes=one))
                held.append(measure(rig.holdfast("pairs", count, seconds), seconds, processes=rig.processes))
        points.append({
            "connections": count, "direct": medians(direct), "holdfast": medians(held),
            "idle_bytes": idle_connections(count),
        })
    return points


def waiters(rounds, seconds, counts=WAITERS):
    """One hot lock: on one server, on four, and polled for with the scripts themselves."""
    points = []
    for count in counts:
        runs = {"one": [], "four": [], "polling": []}
        with Rig() as rig, Rig(servers=4) as four:
            for _ in range(rounds):
                for name, where in (("one", rig), ("four", four)):
                    command = where.holdfast("hot", count, seconds)
                    runs[name].append(measure(command, seconds, where.redis, where.processes))
                command = rig.direct("hot", count, seconds, f"poll={POLL_MS}")
                processes = {"redis": [rig.redis.pid]}
                runs["polling"].append(measure(command, seconds, rig.redis, processes))
        points.append({"waiters": count, **{name: medians(some) for name, some in runs.items()}})
    return points


def latency_against_load(rounds, seconds, rates=RATES, connections=50):
    """Open loop: pairs start by the clock."""
    points = []
    with Rig() as rig:
        for rate in rates:
            direct, held = [], []
            for _ in range(rounds):
                direct.append(measure(rig.direct("pairs", connections, seconds, f"rate={rate}"), seconds))
                held.append(measure(rig.holdfast("pairs", connections, seconds, f"rate={rate}"), seconds))
            points.append({"rate": rate, "direct": medians(direct), "holdfast": medians(held)})
    return points


def leases(seconds, left_out, counts=LEASES):
    points = []
    for count in counts:
        try:
            points.append(hold_leases(count, seconds))
        except DriverError as error:
            left_out[f"{count} leases"] = str(error)
    return points


def fits(scaling):
    """{what: (exponent, what it should be about)}."""
    held, made, hot = scaling["leases"], scaling["connections"], scaling["waiters"]
    big = [point for point in held if point["leases"] >= 10_000] or held
    return {
        "holdfastd memory against leases": (
            exponent([(p["leases"], p["server_bytes"] * p["leases"]) for p in big]), 1),
        "holdfastd CPU against leases": (
            exponent([(p["leases"], p["server_share"]) for p in big]), 1),
        "Redis CPU against leases": (exponent([(p["leases"], p["redis_share"]) for p in big]), 1),
        "memory against idle connections": (
            exponent([(p["connections"], p["idle_bytes"] * p["connections"])
                      for p in made if p["connections"] >= 100]), 1),
        "holdfastd CPU per pair against connections": (
            exponent([(p["connections"], p["holdfast"]["server_cpu_us"])
                      for p in made if p["connections"] >= 100]), 0),
        "holdfastd CPU per hand-off against waiters": (
            exponent([(p["waiters"], p["one"]["server_cpu_us"])
                      for p in hot if p["waiters"] >= 10]), 0),
    }
