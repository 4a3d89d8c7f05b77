# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a link that can be cut in several ways."""
import itertools
import os
import shutil
import subprocess

_numbers = itertools.count()


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Network:
    """`near` (where a test puts the server) and `far` (the client), with their addresses."""

    near_address = "198.18.0.1"
    far_address = "198.18.0.2"

    def __init__(self):
        stem = f"hf{os.getpid()}-{next(_numbers)}"
        self.near, self.far = f"{stem}n", f"{stem}f"
        self.made = []
        try:
            for name in (self.near, self.far):
                run("ip", "netns", "add", name)
                self.made.append(name)
            run("ip", "link", "add", "link0", "netns", self.near, "type", "veth",
                "peer", "name", "link0", "netns", self.far)
            for name, address in ((self.near, self.near_address), (self.far, self.far_address)):
                run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "link0")
                run("ip", "-n", name, "link", "set", "link0", "up")
                run("ip", "-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            self.close()
            raise

    @staticmethod
    def why_not():
        """A reason why this machine has no namespaces for us, or None."""
        for program in ("ip", "nft"):
            if shutil.which(program) is None:
                return f"no `{program}` here (packages iproute2, nftables)"
        name = f"hf{os.getpid()}probe"
        try:
            run("ip", "netns", "add", name)
            try:
                run("ip", "-n", name, "link", "set", "lo", "up")
            finally:
                run("ip", "netns", "del", name)
        except subprocess.CalledProcessError as error:
            return f"no network namespaces: {error.stderr.strip()}"
        return None

    def inside(self, name):
        """The prefix of a command that runs in a namespace."""
        return ["ip", "netns", "exec", name]

    def drop_packets(self):
        """The far side neither hears nor is heard; nobody is told."""
        rules = (
            "add table inet cut;"
            "add chain inet cut in { type filter hook input priority 0 ; policy drop ; };"
            "add chain inet cut out { type filter hook output priority 0 ; policy drop ; }"
        )
        run(*self.inside(self.far), "nft", rules)

    def take_link_down(self):
        run("ip", "-n", self.far, "link", "set", "link0", "down")

    def close(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
