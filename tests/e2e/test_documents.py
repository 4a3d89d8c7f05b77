# SPDX-License-Identifier: Apache-2.0
"""What the documentation says of the running program."""
import pathlib
import re

import pytest

from server import run_holdfastd
from ttrpc import RpcError

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
