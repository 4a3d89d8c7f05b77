# SPDX-License-Identifier: Apache-2.0
"""What is published: a wheel, also by way of a source distribution, with messages and types."""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[3]


def build(kind, source, target):
    """The name of the built file."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy, for setuptools writes where it reads."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PROJECT / "proto", root / "proto")
    shutil.copytree(PROJECT / "client/python", root / "client/python", ignore=shutil.ignore_patterns("tests"))
    return root / "client/python"


def check_wheel(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
        names = set(archive.namelist())
    assert {"holdfast/py.typed", "holdfast/v1/locks_pb2.py", "holdfast/v1/locks_pb2.pyi"} <= names
    assert not [name for name in names if name.startswith(("tests", "examples"))]
    code = "import holdfast; print(holdfast.__file__, holdfast.__version__)"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=target, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path, version = done.stdout.split()
    assert path.startswith(str(target))
    assert version == wheel.name.split("-")[1] == os.environ.get("HOLDFAST_VERSION", version)


def test_a_wheel_from_the_checkout(checkout, tmp_path):
    check_wheel(build("wheel", checkout, tmp_path), tmp_path / "installed")


def test_a_wheel_from_the_source_distribution(checkout, tmp_path):
    sdist = build("sdist", checkout, tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert (unpacked / "src/holdfast/v1/locks_pb2.py").exists()
    check_wheel(build("wheel", unpacked, tmp_path), tmp_path / "installed")
