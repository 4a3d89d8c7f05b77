# SPDX-License-Identifier: Apache-2.0
"""The simulation's model of Redis (sim_model.c), asked what the script and the model were asked."""

import os
import subprocess

VERBS = {"acquire": 0, "renew": 1, "release": 2, "resume": 3}


class Simulated:
    def __init__(self, keys, servers):
        self.keys, self.servers = keys, servers
        self._process = subprocess.Popen([os.environ["HOLDFAST_SIM_MODEL"]], text=True, bufsize=1,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _ask(self, *words):
        words = [word.hex() if isinstance(word, bytes) else str(word) for word in words]
        self._process.stdin.write(" ".join(words) + "\n")
        answer = self._process.stdout.readline()
        assert answer, f"the simulation's model has no answer to {words}"
        return answer.split()

    def at(self, now_us):
        self._ask("at", now_us)

    def hear(self, listening):
        for number, server in enumerate(self.servers):
            self._ask("hear", number, int(server in listening))

    def foreign(self, key):
        self._ask("foreign", self.keys.index(key))

    def other_type(self, key):
        self._ask("other", self.keys.index(key))

    def put(self, key, mode, grant):
        self._ask("hold", self.keys.index(key), mode, grant.tenure, grant.token, grant.fence,
                  grant.since_ms, grant.until_us, int(grant.is_closed))

    def delete(self, key):
        self._ask("delete", self.keys.index(key))

    def end(self, key, grant):
        self._ask("end", self.keys.index(key), grant.token)

    def adopt(self, register, locks):
        """The fences that the script gave, which depend on what else its call might have given."""
        self._ask("register", register)
        for key, lock in locks.items():
            for grant in lock.grants:
                if not grant.is_closed:
                    self._ask("fence", self.keys.index(key), grant.token, grant.fence)

    def run(self, verb, key, server, tenure, token, mode=0, ttl_ms=0, limit=0, wants_queue=False,
            block=0, fence=0, since_ms=0, delay_ms=0, grant_ms=1000, keeps_lock=False):
        """The word, how many others wait, who was told what, whether a change was published."""
        said = self._ask(
            "op", VERBS[verb], self.keys.index(key), self.servers.index(server), tenure, token, mode,
            ttl_ms, limit, int(wants_queue), block, fence, since_ms, delay_ms, grant_ms,
            int(keeps_lock))
        told, is_changed = [], False
        while (what := said.pop(0)) != "answer":
            if what == "changed":
                is_changed = True
            else:
                told.append((self.servers[int(said.pop(0))], bytes.fromhex(said.pop(0)), key))
        word, waiting = said
        return word, int(waiting), told, is_changed

    def lock(self, key):
        """Kind and mode; the holders as (tenure, token, fence, since_ms, until_us, is_closed); who
        waits as (server, tenure)."""
        kind, mode, *rest = self._ask("lock", self.keys.index(key))
        holds, entries = [], []
        while rest:
            if rest.pop(0) == "hold":
                tenure, token, *numbers, is_closed = (rest.pop(0) for _ in range(6))
                holds.append((bytes.fromhex(tenure), bytes.fromhex(token), *map(int, numbers),
                              is_closed == "1"))
            else:
                entries.append((self.servers[int(rest.pop(0))], bytes.fromhex(rest.pop(0))))
        return kind, int(mode), holds, entries

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
