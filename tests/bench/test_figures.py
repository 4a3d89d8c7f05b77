# SPDX-License-Identifier: Apache-2.0
"""The arithmetic behind the figures: fits, flatness, medians, and rows that fail when they should."""
import random

import pytest

import driver
import flat
import rows
import scaling

MIB = 2**20


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_exponent_of_a_power_law_is_found(power):
    points = [(x, 7 * x**power * noise) for x, noise in zip((1, 10, 100, 1000), (1.02, 0.98, 0.99, 1.01))]
    assert scaling.exponent(points) == pytest.approx(power, abs=0.02)


def test_there_is_no_exponent_without_two_points():
    assert scaling.exponent([(1, 2)]) is None
    assert scaling.exponent([(1, 2), (10, 0)]) is None
    assert scaling.exponent([(3, 2), (3, 5)]) is None


def wobbling(count, rise=0.0, seed=1):
    """Around 20 MiB, growing by `rise` bytes a sample, after a steep start."""
    noise = random.Random(seed)
    start = [10 * MIB + i * MIB for i in range(count // 10)]
    return start + [20 * MIB + i * rise + noise.uniform(-1, 1) * 0.3 * MIB for i in range(count)]


def test_a_wobble_is_flat_and_a_leak_is_not():
    assert flat.growth(wobbling(1200), 0.02, MIB) is None
    # 2 KiB a second: some 2 MiB in twenty minutes.
    assert "grew" in flat.growth(wobbling(1200, rise=3000), 0.02, MIB)


def test_one_descriptor_a_minute_is_found():
    assert flat.growth([40] * 1200, 0.05, 3) is None
    assert "grew" in flat.growth([40 + i // 60 for i in range(1200)], 0.05, 3)


def test_shrinking_is_flat_and_too_few_samples_are_not():
    assert flat.growth([100 - i for i in range(60)], 0.02, 1) is None
    assert "too few" in flat.growth([1] * 11, 0.02, 1)


def test_medians_are_of_what_all_runs_have():
    assert driver.medians([{"a": 1, "b": 5}, {"a": 3}, {"a": 2, "b": 7}]) == {"a": 2}


def test_rows_hold_at_their_bound_and_not_beyond():
    assert rows.at_most("x", 0.18, 0.18).holds and not rows.at_most("x", 0.1801, 0.18).holds
    assert rows.at_least("x", 10, 10).holds and not rows.at_least("x", 9.99, 10).holds
    assert rows.at_least("x", None, 10).holds is None


def test_the_best_polling_library_counts():
    found = {"competitors": {
        "a": {"polls": True, "hot": {"hand_offs": 10}},
        "b": {"polls": True, "hot": {"hand_offs": 30}},
        "c": {"polls": False, "hot": {"hand_offs": 99}},
    }}
    assert rows.best_poller(found) == ("b", 30)
    assert rows.best_poller({"competitors": {}}) == (None, None)


def test_grpc_is_judged_where_it_costs_most():
    def point(connections, grpc):
        return {"connections": connections, "holdfast": {"server_cpu_us": 10}, "grpc": {"server_cpu_us": grpc}}

    found = {"pairs": [point(1, 11), point(50, 26), point(200, 16)]}
    assert rows.dearest_grpc(found) == (50, 2.6)
