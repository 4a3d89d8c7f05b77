# SPDX-License-Identifier: Apache-2.0
"""The README of the Node library and its example, against a real server, as its readers use them."""
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from server import clean_environment
from waiting import eventually

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "client/node"
PACKAGE = pathlib.Path(os.environ["HOLDFAST_NODE_PACKAGE"])

# What the README's programs take from their surroundings.
DECLARED = """
    declare function readToken(): string;
    declare const url: string;
    declare const store: { write(data: unknown, options: { fence: number }): Promise<void> };
    declare const signal: AbortSignal;
    declare function serve(options: { signal: AbortSignal }): Promise<void>;
"""


def blocks(language):
    """The README's pieces of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (SOURCES / "README.md").read_text(), re.DOTALL)


class Terminal:
    """A shell; what is printed in it is collected."""

    def __init__(self, project, server):
        self.printed = ""
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=project,
            env=clean_environment(HOLDFAST_SERVER=server.unix),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.shell.stdout:
            self.printed += line

    def paste(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def shows(self, text):
        try:
            eventually(lambda: text in self.printed, 30, text)
        except AssertionError as error:
            raise AssertionError(f"{error}; printed: {self.printed}") from None

    def close(self):
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()
        self.reader.join()


@pytest.fixture
def project(directory):
    """A directory with the package installed."""
    (directory / "project/node_modules").mkdir(parents=True)
    (directory / "project/node_modules/holdfast").symlink_to(PACKAGE)
    return directory / "project"


@pytest.fixture
def terminal(actors, project, server):
    opened = Terminal(project, server)
    actors.callback(opened.close)
    return opened


def test_two_workers_one_lock_kill_one(terminal, project):
    (worker,) = blocks("js")
    (project / "worker.mjs").write_text(worker)
    lines = [line.split("#") for block in blocks("sh") for line in block.splitlines() if "worker.mjs" in block]
    assert len(lines) == 3
    for command, shown in lines:
        assert shown.strip() not in terminal.printed
        terminal.paste(command)
        terminal.shows(shown.strip())


def test_the_example_is_the_one_of_the_readme():
    (worker,) = blocks("js")
    example = (SOURCES / "examples/worker.mjs").read_text()
    assert example == "// SPDX-License-Identifier: Apache-2.0\n" + worker


TRUST = """
    import { Client } from "holdfast";
    const [server, caFile] = process.argv.slice(2);
    const client = new Client({ server, timeoutMs: 2_000, ...(caFile && { caFile }) });
    console.log(await client.inspect("k").catch(({ kind, message }) => `${kind}: ${message}`));
    await client.close();
"""


def test_a_certificate_that_is_not_trusted_is_named(project, certificates, redis, start_server):
    certificate, key = certificates.issue("node")
    server = start_server(redis, listen=["tls://127.0.0.1:0", "tls://127.0.0.2:0"], tls_cert=certificate, tls_key=key)
    (project / "trust.mjs").write_text(TRUST)

    def inspect(url, *authority):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = ["node", "trust.mjs", url, *authority]
        return subprocess.run(command, cwd=project, env=clean_environment(), **options).stdout

    named, other = [event["address"] for event in server.find_events("listen")]
    by_name = named.replace("127.0.0.1", "localhost")
    assert inspect(named, certificates.authority) == inspect(by_name, certificates.authority) == "null\n"
    for url, authority in ((named, []), (by_name, [certificates.stranger]), (other, [certificates.authority])):
        assert re.match(r"away: no connection to tls://\S+: .*certificate", inspect(url, *authority))


def test_a_project_checks_its_types_against_the_package(project):
    """What the README shows in TypeScript compiles, as ESM and as CommonJS, in the strictest way."""
    shown = "\n".join(blocks("ts")).replace('import { Client } from "holdfast";', "")
    program = f"""
        import {{ Client }} from "holdfast";
        {DECLARED}
        export async function main(): Promise<void> {{ {shown} }}
    """
    for name in ("program.mts", "program.cts"):
        (project / name).write_text(program)
    (project / "node_modules/@types").symlink_to(PACKAGE / "node_modules/@types")
    words = "--noEmit --strict --exactOptionalPropertyTypes --module node16 --target es2022 --types node"
    checked = subprocess.run(
        [PACKAGE / "node_modules/.bin/tsc", *words.split(), "--lib", "es2022,esnext.disposable,dom"]
        + ["program.mts", "program.cts"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
