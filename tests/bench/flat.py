# SPDX-License-Identifier: Apache-2.0
"""
Whether something stays as it is: the first quarter of the samples is for warming up (tables and the
allocator grow to the size that the load needs); of the rest, the median of the last third may exceed
that of the first third by a small part, or by a small amount where that is more.
"""
import statistics

WARM_UP = 0.25
SAMPLES_MIN = 12


def thirds(samples):
    """The medians of the first and of the last third after warming up."""
    kept = samples[int(len(samples) * WARM_UP):]
    third = len(kept) // 3
    return statistics.median(kept[:third]), statistics.median(kept[-third:])


def growth(samples, part, amount):
    """None when flat, otherwise what is wrong. Shrinking is fine."""
    if len(samples) < SAMPLES_MIN:
        return f"{len(samples)} samples are too few to tell"
    before, after = thirds(samples)
    if after - before <= max(before * part, amount):
        return None
    return f"grew from {before:.0f} to {after:.0f}"
