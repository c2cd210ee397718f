"""
A laboratory of network namespaces: the product's machine, what it may scan, and what it may not.

    host   h-in  10.77.1.1  fd77:1::1 ----- eth0  in   10.77.1.2 .3 .4  fd77:1::2   (in scope)
           h-out 10.77.2.1  fd77:2::1 ----- eth0  out  10.77.2.2        fd77:2::2   (never)

Everything lives in namespaces of its own and goes with them; the machine's own network is neither
used nor changed. The default route of `host` leads to `out`: whatever leaks ends at the witness,
who counts every IP packet that comes in there, whatever its address.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

IN, IN_NET = "10.77.1.2", "10.77.1.2-10.77.1.254"  # without the machine's own address
IN_MORE = ("10.77.1.3", "10.77.1.4")
OUT = "10.77.2.2"
IN6, OUT6 = "fd77:1::2", "fd77:2::2"
GATEWAY_IN, GATEWAY_OUT = "10.77.1.1", "10.77.2.1"

WITNESS = """
table netdev witness {
    counter v4 { }
    counter v6 { }
    chain in {
        type filter hook ingress device eth0 priority 0; policy accept;
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
        ether type ip counter name v4
        ether type ip6 counter name v6
        ether type { 8021q, 8021ad } counter name v4
    }
}
"""

# What a box sends to the machine itself.
HOST_WITNESS = """
table inet witness {
    counter own { }
    chain in { type filter hook input priority -300; policy accept; iifname "sp*" counter name own; }
}
"""


class Lab:
    """start() makes it, close() ends it: a context manager does both."""

    def __init__(self):
        self.holders = {}
        self.processes = []

    # ---- namespaces

    def _holder(self, name, prefix=()):
        """A process that keeps a new network (and mount) namespace alive."""
        p = subprocess.Popen(
            [*prefix, "unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
             # As distributions have it: open to all, which slirp4netns needs.
             "mount -t sysfs sysfs /sys && mount -t tmpfs none /dev/net &&"
             " mknod -m 666 /dev/net/tun c 10 200;"
             # A new namespace begins with the machine's own value.
             " echo 0 >/proc/sys/net/ipv4/ip_forward; echo ready; exec sleep 100000"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        assert p.stdout.readline() == b"ready\n"
        self.holders[name] = p

    def inside(self, name, mount=True):
        """argv prefix that runs a command in a namespace of the lab."""
        pid = str(self.holders[name].pid)
        return ["nsenter", "-t", pid, "-n", *(["-m"] if mount else []), "--"]

    def run(self, name, *argv, check=True, text=None, timeout=60):
        r = subprocess.run([*self.inside(name), *argv], input=text, capture_output=True, text=True,
                           timeout=timeout)
        if check and r.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {r.stderr or r.stdout}")
        return r

    def _wire(self, name, dev, net4, net6):
        pid = self.holders[name].pid
        self.run("host", "ip", "link", "add", dev, "type", "veth", "peer", "name", "eth0",
                 "netns", str(pid))
        script = [
            ("host", f"addr add {net4}.1/24 dev {dev}"),
            ("host", f"-6 addr add {net6}::1/64 dev {dev} nodad"),
            ("host", f"link set {dev} up"),
            (name, "link set lo up"),
            (name, f"addr add {net4}.2/24 dev eth0"),
            (name, f"-6 addr add {net6}::2/64 dev eth0 nodad"),
            (name, "link set eth0 up"),
            (name, f"route add default via {net4}.1"),
            (name, f"-6 route add default via {net6}::1"),
        ]
        for where, words in script:
            self.run(where, "ip", *words.split())

    def start(self):
        self._holder("host")
        self._holder("in")
        self._holder("out")
        self.run("host", "ip", "link", "set", "lo", "up")
        self._wire("in", "h-in", "10.77.1", "fd77:1")
        self._wire("out", "h-out", "10.77.2", "fd77:2")
        for more in IN_MORE:
            self.run("in", "ip", "addr", "add", f"{more}/24", "dev", "eth0")
        self.run("host", "ip", "route", "add", "default", "via", OUT)
        self.run("host", "ip", "-6", "route", "add", "default", "via", OUT6)
        self.run("out", "nft", "-f", "-", text=WITNESS)
        self.run("host", "nft", "-f", "-", text=HOST_WITNESS)
        for name in ("in", "out", "host"):
            self._services(name)
        return self

    def _services(self, name):
        p = subprocess.Popen([*self.inside(name), sys.executable, str(HERE / "lab_services.py")],
                             stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             start_new_session=True)
        assert p.stdout.readline() == b"ready\n"
        self.processes.append(p)

    def forward_v6(self, on=True):
        self.run("host", "sh", "-c",
                 f"echo {int(on)} > /proc/sys/net/ipv6/conf/all/forwarding")

    def forwarding(self):
        return self.run("host", "cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip()

    # ---- what was seen

    def _counters(self, name, family, table):
        r = self.run(name, "nft", "-j", "list", "counters", "table", family, table)
        return {
            c["counter"]["name"]: c["counter"]["packets"]
            for c in json.loads(r.stdout)["nftables"]
            if "counter" in c
        }

    def witness(self):
        """IP packets that came to `out`, and to the machine itself from a box."""
        time.sleep(0.2)
        seen = self._counters("out", "netdev", "witness")
        seen.update(self._counters("host", "inet", "witness"))
        return seen

    def forget(self):
        self.run("out", "nft", "reset", "counters", "table", "netdev", "witness")
        self.run("host", "nft", "reset", "counters", "table", "inet", "witness")

    def leftovers(self):
        """Interfaces and tables of the product in `host`."""
        links = self.run("host", "ip", "-br", "link").stdout.split("\n")
        tables = self.run("host", "nft", "list", "tables").stdout.split("\n")
        return [l.split()[0] for l in links if l.startswith("sp")] + [
            t for t in tables if t.startswith("table netdev sp")
        ]

    def tables(self):
        return sorted(self.run("host", "nft", "list", "tables").stdout.split("\n"))

    def close(self):
        for p in [*self.processes, *self.holders.values()]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            p.stdout.close()
        self.processes, self.holders = [], {}

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc):
        self.close()
