# SPDX-License-Identifier: Apache-2.0
"""Waiting without sleeping: for a condition, with a deadline, or for as long as it must stay true."""
import os
import threading
import time

# Sanitizer builds and slow machines multiply every deadline.
FACTOR = float(os.environ.get("HOLDFAST_TIME_FACTOR", "1"))

_pause = threading.Event()


def deadline_in(seconds):
    return time.monotonic() + seconds * FACTOR


def eventually(condition, seconds=10, what="the condition", every=0.005):
    """The first true value of `condition`; fails after `seconds` (times the factor)."""
    end = deadline_in(seconds)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds * FACTOR:g} s"
        _pause.wait(every)


def always(condition, seconds, what="the condition", every=0.02):
    """`condition` must be true now and for all of `seconds` (real time, no factor)."""
    end = time.monotonic() + seconds
    while True:
        assert condition(), f"{what} stopped being true"
        if time.monotonic() >= end:
            return
        _pause.wait(every)


def wait_until(moment, condition=lambda: True):
    """Until `moment` of time.monotonic(), during which `condition` must stay true."""
    always(condition, max(0.0, moment - time.monotonic()))
