# SPDX-License-Identifier: Apache-2.0
"""Adds the messages that protoc makes of the server's .proto to what is built and to what is published."""
import pathlib
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def generate(target):
    """A source distribution has them, and no .proto."""
    source = PROTO / "holdfast/v1/locks.proto"
    if source.exists():
        outputs = [f"--python_out={target}", f"--pyi_out={target}"]
        subprocess.run(["protoc", *outputs, "-I", str(PROTO), str(source)], check=True)


class BuildWithMessages(build_py):
    def run(self):
        super().run()
        generate(self.build_lib)


class SdistWithMessages(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        generate(pathlib.Path(base_dir) / "src")


setup(cmdclass={"build_py": BuildWithMessages, "sdist": SdistWithMessages})
