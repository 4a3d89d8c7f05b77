# SPDX-License-Identifier: Apache-2.0
"""What the documentation says of the running program."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import textwrap

import pytest
import yaml

from server import HOLDFAST, clean_environment, run_holdfastd
from ttrpc import RpcError
from waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]


def document(name):
    return (ROOT / "docs" / name).read_text()


def logged_events():
    """The names of all events that the server may log above debug."""
    sources = "\n".join(path.read_text() for path in (ROOT / "server").glob("*/**/*.c"))
    calls = re.findall(r"LOG_(?:INFO|WARN|ERROR|AT)\(([^;]*?)LOG_MESSAGE", sources, re.DOTALL)
    return {name for call in calls for name in re.findall(r'"([a-z_.]+)"', call)}


def documented_events():
    table = document("operations.md").split("| event | level | when |")[1].split("\n\n")[0]
    names = []
    for row in table.splitlines()[2:]:
        for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1]):
            names.append(names[-1].split(".")[0] + name if name.startswith(".") else name)
    return set(names)


def test_every_event_is_documented_and_exists():
    assert documented_events() == logged_events()


def test_every_option_that_is_named_exists():
    known = run_holdfastd("--help").stdout
    pages = [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
    server_pages = [page for page in pages if page.name in ("operations.md", "failures.md", "redis.md")]
    assert len(server_pages) == 3
    for page in server_pages:
        for option in set(re.findall(r"`(--[a-z-]+)", page.read_text())):
            spelled = (option, option.replace("--", "--[no-]", 1))
            assert any(text in known for text in spelled), f"{page.name}: {option}"


def commands_side_by_side():
    """What docs/probing.md says of `holdfast` and, in the same row, of grpcurl; of holdfast only."""
    table = document("probing.md").split("|---|---|---|")[1].split("\n\n")[0]
    return [shlex.split(re.findall(r"`(holdfast [^`]*)`", row)[0])[1:] for row in table.strip().splitlines()]


@pytest.mark.parametrize("words", commands_side_by_side(), ids=" ".join)
def test_what_is_said_of_probing_works(run, words):
    cli = run(*words)
    if words[-1] == "-":  # nothing comes from the input of this test
        assert (cli.code, cli.out) == (64, "")
        assert "no request message" in cli.err
    else:
        assert (cli.code, cli.err) == (0, "")
        assert cli.out


def test_what_is_said_of_hold_works(shell):
    (line,) = re.findall(r"^.*; sleep 60\) \| holdfast call Locks/Hold -$", document("probing.md"), re.M)
    shell.send(line.replace("sleep 60", "sleep 1") + "; echo code $?\n")
    shell.expect("echo code $?")
    for event in ("granted", "released"):
        shell.expect('{"' + event)
    shell.expect("code 0")


def test_the_rights_that_redis_must_give_are_enough(start_redis, start_server):
    redis = start_redis(tcp=True)
    (rights,) = re.findall(r"^ACL SETUSER holdfast .*$", document("redis.md"), re.MULTILINE)
    redis(*rights.replace(">PASSWORD", ">pw").split())
    server = start_server(f"redis://holdfast:pw@127.0.0.1:{redis.port}")
    client = server.connect()
    lease = client.lease("k", detached=True)
    assert client.inspect("k").fence == lease.fence
    client.renew("k", lease.token)
    client.release("k", lease.token)
    redis("RPUSH", "lock:list", "x")
    with pytest.raises(RpcError, match="list"):
        client.acquire("list")
    redis("SET", "lock:foreign", "x")
    assert client.acquire("foreign").busy.foreign
    redis("SCRIPT", "FLUSH")
    client.lease("another")
    denied = redis("ACL", "LOG")
    assert denied == []


def test_the_foreign_release_that_is_documented_works(redis, client):
    redis("SET", "lock:backup", "3f6c0a", "NX", "PX", "30000")
    assert client.acquire("backup").busy.foreign
    (script, arguments) = re.findall(r'^EVAL "(.*)" (1 .*)$', document("redis.md"), re.MULTILINE)[0]
    assert redis("EVAL", script, *arguments.split()) == 1
    client.lease("backup")


def kubernetes():
    """The pieces of YAML in docs/probing.md, as one."""
    pieces = re.findall(r"^```yaml\n(.*?)^```$", document("probing.md"), re.DOTALL | re.MULTILINE)
    found = [yaml.safe_load(textwrap.dedent(piece)) for piece in pieces]
    assert len(found) == 3
    return found


def test_the_sidecar_of_kubernetes_starts_as_written():
    sidecar = kubernetes()[0]["initContainers"][0]
    checked = run_holdfastd("--check-config", *sidecar["args"])
    assert checked.returncode == 0, checked.stderr
    port = sidecar["ports"][0]["containerPort"]
    assert f"tcp://0.0.0.0:{port}" in sidecar["args"]
    assert {sidecar[probe]["grpc"]["port"] for probe in ("startupProbe", "readinessProbe")} == {port}
    assert kubernetes()[1]["livenessProbe"]["tcpSocket"]["port"] == port


def test_the_probe_by_command_follows_redis(redis, server):
    command = kubernetes()[2]["readinessProbe"]["exec"]["command"]
    path = f"{HOLDFAST.parent}:{os.environ['PATH']}"
    environment = clean_environment(HOLDFAST_SERVER=server.unix, PATH=path)

    def is_ready():
        return subprocess.run(command, env=environment, timeout=60).returncode == 0

    assert is_ready()
    redis.kill()
    eventually(lambda: not is_ready())
    redis.start()
    eventually(is_ready)
    server.kill()
    assert not is_ready()
    server.start()


def stub_commands():
    return [
        block
        for block in re.findall(r"^```sh\n(.*?)^```$", document("clients.md"), re.DOTALL | re.MULTILINE)
        if "protoc -I" in block
    ]


@pytest.mark.parametrize("command", stub_commands())
def test_the_commands_that_generate_stubs_run(command, tmp_path):
    for plugin in re.findall(r"command -v (\w+)", command):
        if shutil.which(plugin) is None:
            pytest.skip(f"no {plugin} here")
    (tmp_path / "proto").symlink_to(ROOT / "proto")
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, timeout=60)
    assert len(list(tmp_path.glob("gen/**/*.*"))) > 0
