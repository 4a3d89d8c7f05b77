# SPDX-License-Identifier: Apache-2.0
"""What Holdfast is measured by: each row has a figure, a bound, and whether it holds."""
import collections

GRPC_CPU_MAX = 2.5  # of what the same pairs cost the server over ttRPC

# `value` None: not measured in this run.
Row = collections.namedtuple("Row", "what value bound holds note")


def at_most(what, value, bound, note=""):
    return Row(what, value, f"<= {bound:g}", None if value is None else value <= bound, note)


def at_least(what, value, bound, note=""):
    return Row(what, value, f">= {bound:g}", None if value is None else value >= bound, note)


def _pairs(found):
    by_count = {point["connections"]: point for point in found["pairs"]}
    one, many = by_count[1], by_count[200]
    ratio = many["holdfast"]["redis_cpu_us"] / many["direct"]["redis_cpu_us"]
    yield at_most("Redis CPU per pair, 200 connections, of direct", ratio, 0.18)
    ratio = many["holdfast"]["rate"] / many["direct"]["rate"]
    yield at_least("pairs per second, 200 connections, of direct", ratio, 1.5)
    for count, point in by_count.items():
        if count >= 50:
            ratio = point["holdfast"]["pair_p50_us"] / point["direct"]["pair_p50_us"]
            yield at_most(f"p50 of a pair, {count} connections, of direct", ratio, 1)
    ratio = one["holdfast"]["acquire_p50_us"] / one["direct"]["acquire_p50_us"]
    yield at_most("p50 of an acquire, one connection, of direct", ratio, 1.5)
    yield at_most("server CPU per pair, 200 connections (us)", many["holdfast"]["server_cpu_us"], 12)
    count, ratio = dearest_grpc(found)
    yield at_most(
        "server CPU per pair over gRPC, of ttRPC", ratio, GRPC_CPU_MAX, f"with {count}, the worst of them"
    )


def dearest_grpc(found):
    """(connections, ratio) of the point where gRPC costs the server most beside ttRPC."""
    ratios = [
        (point["connections"], point["grpc"]["server_cpu_us"] / point["holdfast"]["server_cpu_us"])
        for point in found["pairs"]
    ]
    return max(ratios, key=lambda pair: pair[1])


def best_poller(found):
    """(name, hand-offs a second) of the polling client library that does best."""
    rates = [
        (name, mixes["hot"]["hand_offs"])
        for name, mixes in found["competitors"].items()
        if mixes["polls"]
    ]
    return max(rates, key=lambda pair: pair[1], default=(None, None))


def _hot(found):
    points = {point["waiters"]: point for point in found["scaling"]["waiters"]}
    hot = points[100]
    yield at_most(
        "Redis commands per hand-off, 100 waiters on 4 servers",
        hot["four"]["commands_per_hand_off"], 0.2,
    )
    name, rate = best_poller(found)
    ratio = None if not rate else hot["one"]["hand_offs"] / rate
    yield at_least(
        "hand-offs per second, 100 waiters on one server, of a polling library", ratio, 10,
        f"of {name}, the best of them" if name else "no polling library here",
    )


def _scale(found):
    most = max(found["scaling"]["leases"], key=lambda point: point["leases"])
    note = "" if most["leases"] == 1_000_000 else f"with {most['leases']} leases, in proportion"
    part = 1_000_000 / most["leases"]
    yield at_most("a million leases: cores of holdfastd", most["server_share"] * part, 0.15, note)
    yield at_most("a million leases: cores of Redis", most["redis_share"] * part, 0.25, note)
    yield at_most("leases lost of a million", most["lost"], 0, note)
    key = len("bench-12345-10-5000")
    yield at_most(
        "bytes of holdfastd for a lease, beyond its key", most["server_bytes"] - key, 300, note
    )
    many = max(found["scaling"]["connections"], key=lambda point: point["connections"])
    yield at_most(
        "bytes of holdfastd for an idle connection", many["idle_bytes"], 4096,
        f"with {many['connections']}",
    )


def judge(found):
    return [*_pairs(found), *_hot(found), *_scale(found)]
