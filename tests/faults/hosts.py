"""
Hosts that are network namespaces: each has one wire to a switch, and can be cut off on one side.

    with Hosts(["server", "redis", "w1"]) as hosts:
        hosts.address["redis"]                10.78.0.2
        hosts.inside("w1")                    argv prefix that runs a command there
        hosts.cut("redis", "w1", "in")        what w1 sends does not reach redis; "out": the answers
                                              do not leave; "both"; "wire": the plug of w1 is pulled
        hosts.heal("redis", "w1")

Everything goes with the processes that hold the namespaces. The machine's own network is not used.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000


class Hosts:
    def __init__(self, names):
        self.names = list(names)
        self.address = {name: f"10.78.0.{i + 1}" for i, name in enumerate(self.names)}
        self.holders = {}

    def _holder(self, name):
        # pylint: disable=consider-using-with
        p = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep 1000000"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
        self.holders[name] = p
        if p.stdout.readline() != b"ready\n":
            raise RuntimeError("cannot make a network namespace")

    def inside(self, name):
        return ["nsenter", "-t", str(self.holders[name].pid), "-n", "--"]

    def enter(self, name):
        """From now on this thread, and what it starts, is on that host."""
        with open(f"/proc/{self.holders[name].pid}/ns/net", "rb") as f:
            if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def call(self, name, fn, *args):
        """fn(*args) on that host; gives what it gives."""

        def there():
            self.enter(name)
            return fn(*args)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(there).result()

    def run(self, name, *argv, text=None):
        done = subprocess.run([*self.inside(name), *argv], input=text, capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
        return done.stdout

    def _wire(self, name, number):
        pid = str(self.holders[name].pid)
        self.run("switch", "ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0",
                 "netns", pid)
        self.run("switch", "ip", "link", "set", f"p{number}", "master", "br0", "up")
        self.run(name, "ip", "addr", "add", f"{self.address[name]}/24", "dev", "eth0")
        self.run(name, "ip", "link", "set", "eth0", "up")
        self.run(name, "nft", "add table inet cut; "
                 "add chain inet cut in { type filter hook input priority 0; }; "
                 "add chain inet cut out { type filter hook output priority 0; }")

    def start(self):
        self._holder("switch")
        self.run("switch", "ip", "link", "add", "br0", "type", "bridge")
        self.run("switch", "ip", "link", "set", "br0", "up")
        for i, name in enumerate(self.names):
            self._holder(name)
            self._wire(name, i + 1)
        return self

    def cut(self, at, peer, how):
        if how == "wire":
            self._plug(peer, "down")
            return
        rules = []
        if how in ("in", "both"):
            rules.append(f"add rule inet cut in ip saddr {self.address[peer]} drop")
        if how in ("out", "both"):
            rules.append(f"add rule inet cut out ip daddr {self.address[peer]} drop")
        self.run(at, "nft", "-f", "-", text="\n".join(rules) + "\n")

    def heal(self, at, peer):
        """Undoes all cuts at `at`, and puts the plug of `peer` back."""
        self.run(at, "nft", "flush chain inet cut in; flush chain inet cut out")
        self._plug(peer, "up")

    def _plug(self, name, state):
        number = self.names.index(name) + 1
        self.run("switch", "ip", "link", "set", f"p{number}", state)

    def close(self):
        for p in self.holders.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            p.stdout.close()
        self.holders = {}

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()
