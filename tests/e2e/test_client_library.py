# SPDX-License-Identifier: Apache-2.0
"""The behaviour cases of clients/cases.yaml, with the client library that HOLDFAST_DRIVER starts."""
import pathlib
import time

import pytest
import yaml

from client_driver import Driver, matches
from relay import Relay
from waiting import FACTOR, eventually

CASES = yaml.safe_load((pathlib.Path(__file__).parent.parent / "clients/cases.yaml").read_text())


class Play:
    """One case being played: who takes part, and what they have been told so far."""

    def __init__(self, directory, redis, start_server, certificates, actors):
        self.directory = directory
        self.redis = redis
        self.start_server = start_server
        self.certificates = certificates
        self.actors = actors
        self.servers = {}
        self.relay = None
        self.drivers = {}
        self.waits = {}
        self.leases = {}
        self.heard = {}

    # Who takes part

    def server(self, name="server"):
        if name not in self.servers:
            certificate, key = self.certificates.issue(name)
            self.servers[name] = self.start_server(
                self.redis,
                listen=[f"unix://{self.directory}/{name}.sock", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
                tls_cert=certificate,
                tls_key=key,
            )
        return self.servers[name]

    def address(self, scheme, name="server"):
        return self.relayed(name) if scheme == "relay" else self.server(name).address(scheme)

    def relayed(self, name):
        if self.relay is None:
            path = self.server(name).address("unix").removeprefix("unix://")
            self.relay = Relay(self.directory / "relay.sock", path)
            self.actors.callback(self.relay.close)
        return self.relay.url

    def start_driver(self, name):
        driver = Driver(self.directory, name)
        self.actors.callback(driver.close)
        self.drivers[name] = driver
        return driver

    def driver(self, name):
        """Started and connected when it is first spoken of."""
        if name not in self.drivers:
            self.open(name, {"server": self.address("unix")})
        return self.drivers[name]

    def open(self, name, options):
        driver = self.start_driver(name)
        opened = driver.answer(driver.send({"do": "open", **options}))
        assert opened["result"] == "ok", opened

    def start(self, step):
        scheme = step.get("over", "unix")
        options = {"server": step.get("at") or self.address(scheme, step["of"])}
        if scheme == "tls":
            options["ca_file"] = str(self.certificates.authority)
        self.open(step["start"], options)

    # Steps

    def play(self, step):
        kind, *_ = [word for word in STEPS if word in step] or ["tell"]
        getattr(self, kind)(step)

    def tell(self, step):
        (name, request), = [item for item in step.items() if item[0] not in ("answer", "as", "until")]
        driver = self.driver(name)
        if "until" in step:
            eventually(lambda: matches(self.ask(driver, request), step["until"]), what=str(step))
        elif "as" in step:
            self.waits[step["as"]] = (driver, driver.send(self.filled(request)), request)
        else:
            self.check(self.ask(driver, request), step["answer"], request)

    def ask(self, driver, request):
        return driver.answer(driver.send(self.filled(request)))

    def filled(self, request):
        """$token.LEASE and $wait.NAME stand for what is known by then."""
        filled = {}
        for field, value in request.items():
            if isinstance(value, str) and value.startswith("$"):
                what, _, which = value[1:].partition(".")
                value = self.known(what, which)
            filled[field] = value
        return filled

    def known(self, what, which):
        return self.leases[which]["token"] if what == "token" else self.waits[which][1]

    def check(self, answer, pattern, request):
        assert matches(answer, pattern), f"{request}: {answer} is not {pattern}"
        if request.get("lease") and "fence" in answer:
            self.leases[request["lease"]] = answer

    def wait(self, step):
        driver, number, request = self.waits.pop(step["wait"])
        self.check(driver.answer(number), step["answer"], request)

    def hears(self, step):
        after = self.moment(step["after"]) if "after" in step else 0
        line = self.driver(step["by"]).heard({**step["hears"], "at": {"above": after}})
        if "as" in step:
            self.heard[step["as"]] = line

    def never(self, step):
        """What must not have been said, looked for when later steps have shown that time passed."""
        said = self.driver(step["by"]).said
        assert not [line for line in said if matches(line, step["never"])], said

    def rising(self, step):
        fences = [self.leases[name]["fence"] for name in step["rising"]]
        assert fences == sorted(set(fences)), fences

    def order(self, step):
        moments = [self.moment(name) for name in step["order"]]
        assert moments == sorted(moments), dict(zip(step["order"], moments))

    def moment(self, name):
        return self.heard[name]["at"] if name in self.heard else self.leases[name]["at"]

    def within(self, step):
        """Milliseconds from the first moment to the second."""
        first, second = map(self.moment, step["of"])
        passed_ms = (second - first) * 1000
        assert passed_ms < step["within"] * FACTOR, f"{passed_ms:.1f} ms"

    def held(self, step):
        eventually(lambda: self.redis.holds(step["held"]), what=f"{step['held']} held")

    def free(self, step):
        eventually(lambda: not self.redis.holds(step["free"]), what=f"{step['free']} free")

    def fault(self, step):
        verb, *who = step["fault"].split()
        actor = self.actor(who[0])
        if verb == "del":
            assert self.redis("DEL", "lock:" + who[1]) == 1
        elif verb == "drain":
            assert actor.stop() == 0
        else:
            getattr(actor, {"stop": "freeze", "cont": "thaw"}.get(verb, verb))()
        self.heard[step.get("as", step["fault"])] = {"at": time.monotonic()}

    def actor(self, name):
        if name in ("redis", "relay"):
            return getattr(self, name)
        return self.server(name) if name.startswith("server") else self.driver(name)


STEPS = ("start", "wait", "hears", "never", "rising", "order", "within", "held", "free", "fault")


@pytest.fixture
def play(directory, redis, start_server, certificates, actors):
    return Play(directory, redis, start_server, certificates, actors)


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """Those that the driver says it has, and the empty one."""
    driver = Driver(tmp_path_factory.mktemp("driver"), "features")
    driver.close()
    return {"", *driver.ready["features"]}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, play, features):
    if case.get("needs", "") not in features:
        pytest.skip(f"the library has no {case['needs']}")
    for step in case["steps"]:
        play.play(step)
