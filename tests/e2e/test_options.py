# SPDX-License-Identifier: Apache-2.0
"""Options: flag before environment before file before default; clear refusals; exit codes."""
import re

import pytest

from server import clean_environment, run_holdfastd


@pytest.fixture
def config(directory):
    """config(text): a YAML file with that text."""

    def write(text, name="holdfast.yaml"):
        path = directory / name
        path.write_text(text)
        return path

    return write


def default_ttl_of(server):
    return server.connect().lease("k").ttl_ms


# Precedence, by behaviour


def test_default(redis, start_server):
    assert default_ttl_of(start_server(redis)) == 10000


def test_file_before_default(redis, start_server, config):
    path = config("default-ttl: 4s\n")
    assert default_ttl_of(start_server(redis, config=path)) == 4000


def test_environment_before_file(redis, start_server, config):
    path = config("default-ttl: 4s\n")
    env = clean_environment(HOLDFAST_DEFAULT_TTL="5s")
    assert default_ttl_of(start_server(redis, config=path, env=env)) == 5000


def test_flag_before_environment(redis, start_server, config):
    path = config("default-ttl: 4s\n")
    env = clean_environment(HOLDFAST_DEFAULT_TTL="5s")
    assert default_ttl_of(start_server(redis, config=path, env=env, default_ttl="6s")) == 6000


def test_the_file_may_come_from_the_environment(redis, start_server, config):
    env = clean_environment(HOLDFAST_CONFIG=config("default-ttl: 4s\n"))
    assert default_ttl_of(start_server(redis, env=env)) == 4000


def test_lists_in_a_file_and_in_the_environment(redis, start_server, config, directory):
    paths = [f"unix://{directory}/a.sock", f"unix://{directory}/b.sock"]
    file = config("listen:\n" + "".join(f"  - {path}\n" for path in paths))
    server = start_server(redis, config=file, listen=[])
    assert [event["address"] for event in server.find_events("listen")] == paths
    assert server.stop() == 0
    env = clean_environment(HOLDFAST_LISTEN=",".join(paths))
    server = start_server(redis, env=env, listen=[])
    assert [event["address"] for event in server.find_events("listen")] == paths


# --check-config


def check(*arguments, env=None):
    return run_holdfastd("--check-config", *arguments, env=env)


def test_a_valid_configuration(config):
    result = check("--config", config("default-ttl: 4s\nmax-leases: 10\n"), "--max-connections=5")
    assert (result.returncode, result.stderr) == (0, "")


def test_check_config_starts_nothing(config, directory):
    result = check("--listen", f"unix://{directory}/x.sock")
    assert result.returncode == 0
    assert not (directory / "x.sock").exists()


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("default-ttl: soon\n", 1, ["default-ttl", "soon"]),
        ("# a comment\n\ndefault-ttl: 10\n", 3, ["default-ttl"]),
        ("default-ttl: 1ms\n", 1, ["default-ttl", "100ms"]),
        ("max-leases: 5\nmax-connections: many\n", 2, ["max-connections", "many"]),
        ("max-connections: -1\n", 1, ["max-connections"]),
        ("no-such-option: 1\n", 1, ["no-such-option", "--help"]),
        ("no-such-option-either: 1\n", 1, ["no-such-option-either", "--help"]),
        ("defualt-ttl: 1s\n", 1, ["defualt-ttl", "default-ttl"]),
        ("default-ttl: 4s\ndefault-ttl: 5s\n", 2, ["default-ttl", "twice"]),
        ("default-ttl: [4s]\n", 1, ["default-ttl", "a single value"]),
        ("listen: {a: b}\n", 1, ["listen", "[one, two]"]),
        ("log-level: loud\n", 1, ["log-level", "loud", "debug"]),
        ("require-noeviction: perhaps\n", 1, ["require-noeviction", "true nor false"]),
        ("default-ttl: 4s\n  broken: [\n", 1, ["default-ttl", "250ms"]),
        ("log-level: info\nlisten: [\n", 3, ["not valid YAML"]),
        ("- a\n- b\n", 1, ["name: value"]),
        # What only the server's own checks find.
        ("# one\nlisten: [localhost]\n", 2, ["listen", "localhost", "tcp://HOST:PORT"]),
        ("log-level: info\nlisten:\n  - tcp://*:1\n  - tcp://*:x\n", 2, ["listen", "0 to 65535"]),
        ("unix-mode: '0999'\n", 1, ["unix-mode", "0999", "0000 to 0777"]),
        ("\nredis: http://localhost\n", 2, ["redis", "redis://"]),
        ("key-prefix: holdfast:x\n", 1, ["key-prefix", "holdfast:"]),
        ("keepalive: 1500ms\n", 1, ["keepalive", "whole seconds"]),
        ("\nredis-user: me\n", 2, ["redis-user", "redis"]),
        ("log-level: info\nlisten: ['tls://*:1']\n", 2, ["listen", "tls-cert and tls-key"]),
        ("tls-cert: /dev/null\n", 1, ["tls-cert", "tls-key"]),
        ("tls-cert: /no\ntls-key: /dev/null\n", 1, ["tls-cert", "/no"]),
        ("tls-cert: /dev/null\ntls-key: /dev/null\n", 1, ["tls-cert", "PEM"]),
    ],
)
def test_errors_in_the_file_name_file_line_and_key(config, text, line, words):
    """And what is allowed, all in one line."""
    path = config(text)
    result = check("--config", path)
    assert result.returncode == 2
    assert re.fullmatch(rf"holdfastd: {re.escape(str(path))}:{line}: .*\n", result.stderr), result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--default-ttl", "soon"], ["--default-ttl", "soon"]),
        (["--default-ttl"], ["--default-ttl"]),
        (["--default-ttl="], ["--default-ttl"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--max-connections", "1x"], ["--max-connections", "1x"]),
        (["--max-connections", "99999999999999999999"], ["--max-connections"]),
        (["word"], ["word"]),
        (["-x"], ["-x"]),
        (["--redis", "http://localhost"], ["redis"]),
        (["--redis-program", "/does/not/exist"], ["redis-program", "/does/not/exist"]),
        (["--redis", "redis://:secret-password@host:port"], ["redis"]),
    ],
)
def test_errors_in_flags_name_the_flag(arguments, words):
    result = check(*arguments)
    assert result.returncode == 2, result.stderr
    for word in words:
        assert word in result.stderr
    assert "secret-password" not in result.stderr + result.stdout
    assert run_holdfastd(*arguments).returncode == 2


def test_errors_in_the_environment_name_the_variable():
    result = check(env=clean_environment(HOLDFAST_DEFAULT_TTL="soon"))
    assert result.returncode == 2 and "HOLDFAST_DEFAULT_TTL" in result.stderr
    result = check(env=clean_environment(HOLDFAST_LISTEN="here"))
    assert result.returncode == 2 and "environment variable HOLDFAST_LISTEN: here" in result.stderr


def test_a_missing_file_is_named(directory):
    result = check("--config", directory / "nothing.yaml")
    assert result.returncode == 2 and "nothing.yaml" in result.stderr


# What only prints


def test_help_names_every_option():
    result = run_holdfastd("--help")
    assert result.returncode == 0 and result.stderr == ""
    for word in ("--listen", "--redis", "--config", "--default-ttl", "HOLDFAST_LISTEN"):
        assert word in result.stdout


def test_version():
    result = run_holdfastd("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"holdfastd \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("flag", ["--version", "--sample-config", "--markdown-options"])
@pytest.mark.parametrize("other", ["--foo", "word", "--log-level=debug"])
def test_what_only_prints_stands_alone(flag, other):
    for arguments in ([flag, other], [other, flag]):
        result = run_holdfastd(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == f"holdfastd: {flag}: no other argument is allowed beside it\n"


def test_help_may_end_any_command_line():
    result = run_holdfastd("--log-level", "debug", "--help")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_sample_file_is_valid_as_it_is_and_without_its_comment_signs(config):
    sample = run_holdfastd("--sample-config").stdout
    assert check("--config", config(sample)).returncode == 0
    options = re.findall(r"^#([a-z][a-z0-9-]*:.*)$", sample, re.M)
    named = {line.split(":")[0] for line in options}
    in_help = set(re.findall(r"^\s*--(?!no-)([a-z][a-z0-9-]+)", run_holdfastd("--help").stdout, re.M))
    only_flags = {"config", "help", "version", "check-config", "sample-config", "markdown-options"}
    assert in_help - only_flags <= named
    given = [line for line in options if not line.rstrip().endswith(":")]
    result = check("--config", config("\n".join(given) + "\n", "given.yaml"))
    assert result.returncode == 0, result.stderr
