# SPDX-License-Identifier: Apache-2.0
"""The clock that deadlines are measured with: it goes on while the machine is suspended."""
import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    return time.clock_gettime(_CLOCK)
