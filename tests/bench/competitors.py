# SPDX-License-Identifier: Apache-2.0
"""Other ways to lock, as programs use them: built where their tools are, left out where not."""
import collections
import pathlib
import shutil
import subprocess
import sys

from rig import Etcd

SOURCES = pathlib.Path(__file__).resolve().parent / "competitors"
BUILD_S = 600

# `polls`: it waits by trying again and again. `also`: commands that it sends besides scripts.
Competitor = collections.namedtuple("Competitor", "name command polls also store")


class LeftOut(Exception):
    """Why a competitor cannot be measured here."""


def _copy(language, build):
    directory = build / language
    (directory / "driver").unlink(missing_ok=True)
    shutil.copytree(SOURCES / language, directory, dirs_exist_ok=True)
    return directory


def _run(words, directory):
    try:
        result = subprocess.run(
            words, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_S
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"`{' '.join(words)}` took too long") from None
    if result.returncode != 0:
        said = (result.stderr + result.stdout).strip().splitlines()
        raise LeftOut(f"`{' '.join(words)}` failed: {said[0] if said else 'no word why'}")


def _tool(name):
    if shutil.which(name) is None:
        raise LeftOut(f"{name} is not installed")


def _node(build):
    _tool("node"), _tool("npm")
    directory = _copy("node", build)
    if not (directory / "node_modules/redlock").exists():
        _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], directory)
    for name, also in (("redlock", ()), ("ioredis", ("set",))):
        yield Competitor(name, ["node", directory / "driver.js", name], True, also, "redis")


def _python(build):
    driver = SOURCES / "python/driver.py"
    if subprocess.run([sys.executable, "-c", "import redis"], capture_output=True).returncode != 0:
        raise LeftOut("python3-redis is not installed")
    yield Competitor("redis-py", [sys.executable, driver, "redis-py"], True, ("set",), "redis")


def _go(build):
    _tool("go")
    directory = _copy("go", build)
    _run(["go", "build", "-mod=mod", "-o", "driver", "."], directory)
    yield Competitor("redsync", [directory / "driver", "redsync"], True, ("set", "setnx"), "redis")


def _etcd(build):
    if Etcd.PROGRAM is None:
        raise LeftOut("etcd is not installed")
    driver = build / "go/driver"
    if not driver.exists():
        raise LeftOut("its driver is Go, and that could not be built")
    yield Competitor("etcd", [driver, "etcd"], False, (), "etcd")


def _java(build):
    _tool("java"), _tool("mvn")
    directory = _copy("java", build)
    source, built = directory / "src/main/java/Driver.java", directory / "target/classes/Driver.class"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        _run(["mvn", "-q", "-B", "package", "dependency:copy-dependencies"], directory)
    path = f"{directory}/target/classes:{directory}/target/dependency/*"
    sends = ("publish", "subscribe", "unsubscribe")
    yield Competitor("Redisson", ["java", "-cp", path, "Driver", "redisson"], False, sends, "tcp")


PREPARERS = {
    "redlock and ioredis": _node,
    "redis-py": _python,
    "redsync": _go,
    "etcd": _etcd,
    "Redisson": _java,
}


def prepare(build):
    """(competitors, {name: why it is left out}); what is built stays in `build`."""
    found, left_out = [], {}
    build.mkdir(parents=True, exist_ok=True)
    for name, preparer in PREPARERS.items():
        print(f"preparing {name}", flush=True)
        try:
            found += preparer(build)
        except LeftOut as error:
            left_out[name] = str(error)
    return found, left_out
