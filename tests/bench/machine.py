# SPDX-License-Identifier: Apache-2.0
"""The machine that figures are of, and what its processes use."""
import os
import pathlib
import platform
import re
import subprocess

from redis_server import PROGRAM

CORES = 2  # that load, servers and Redis share


def pin():
    """This process and all it starts share the first two cores. Returns how many there are."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[:CORES])
    return min(CORES, len(allowed))


def _first(path, pattern, default="unknown"):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.MULTILINE)
    except OSError:
        return default
    return found.group(1) if found else default


def describe(cores_used):
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "cores": os.cpu_count(),
        "cores_used": cores_used,
        "processor": _first("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "memory_gib": round(int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0")) / 2**20),
        "kernel": re.match(r"[\d.]+", platform.release()).group(0),
        "system": _first("/etc/os-release", r'^PRETTY_NAME="(.*)"$'),
        "redis": re.search(r"v=([\d.]+)", version).group(1),
        "load_before": os.getloadavg()[0],
    }


def memory_bytes(pid):
    """What is resident and its own."""
    return int(_first(f"/proc/{pid}/status", r"^RssAnon:\s+(\d+)", "0")) * 1024


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
