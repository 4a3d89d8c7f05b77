#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripts a newcomer types: help on request, and wrong words refused before anything is done."""
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ("tests/run", "deploy/quickstart", "deploy/install-packages")


def run(script, *words):
    return subprocess.run([ROOT / script, *words], capture_output=True, text=True, timeout=10)


class ScriptsTest(unittest.TestCase):
    def test_help_is_shown(self):
        for script in SCRIPTS:
            for word in ("--help", "-h"):
                with self.subTest(script=script, word=word):
                    done = run(script, word)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.assertTrue(done.stdout.startswith(f"usage: {script}"), done.stdout)
                    self.assertNotIn("set -", done.stdout)

    def test_a_wrong_word_is_refused_by_name(self):
        for script in SCRIPTS:
            with self.subTest(script=script):
                done = run(script, "nonsense")
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("'nonsense'", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_every_label_is_known_to_tests_run(self):
        listed = run("tests/run", "nonsense").stderr.split("labels: ")[1].split()
        folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
        self.assertEqual(set(listed), folders)


if __name__ == "__main__":
    unittest.main()
