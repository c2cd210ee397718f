"""
A network to scan, in namespaces of its own: a machine, a cable with a delay, hosts with services.

    host   10.67.0.1/30 wire0 ======== wire0 10.67.0.2/30   net   10.66.0.0/24 on lo

Addresses of 10.66.0.0/24 that are not hosts are silent; closed ports of hosts answer RST. All of it
goes with the namespaces; the machine's own network is neither used nor changed.
"""
import os
import random
import signal
import subprocess
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from dataclasses import dataclass, field

NET = "10.66.0.0/24"
GATEWAY, OWN = "10.67.0.2", "10.67.0.1"
SCOPE = f"""\
version: 1
scope:
  allow:
    - {{target: {NET}}}
    - {{target: 127.0.0.0/8}}
policies:
  - {{name: default, options: advanced}}
"""
SAYS = {"ssh": "ssh", "ftp": "ftp", "smtp": "smtp", "http": "http", "redis": "redis",
        "raw": "tcpwrapped"}


def address(n):
    return f"10.66.0.{n}"


@dataclass
class Hosts:
    """What there is to find."""

    up: set = field(default_factory=set)  # addresses
    ports: dict = field(default_factory=dict)  # {(address, port): kind}
    udp: set = field(default_factory=set)  # {(address, port)}

    def services(self):
        """{(address, port): name} as nmap finds them; those that never speak have none."""
        return {k: SAYS[v] for k, v in self.ports.items() if v != "silent"}

    def lines(self):
        return [f"{a} {p} {kind}" for (a, p), kind in self.ports.items()] + [
            f"{a} {p} udp" for a, p in self.udp]


def full_hosts(silent=0, seed=7, last=10_000):
    """26 hosts, half of them with 65 open ports together; `silent` of these never speak."""
    rng, kinds = random.Random(seed), random.Random(seed)
    numbers = rng.sample(range(1, 255), 26)
    found = Hosts(up={address(n) for n in numbers})
    for n in numbers[:13]:
        ports = set(rng.sample(range(1, last + 1), 4)) | {22 if rng.random() < 0.5 else 80}
        for p in sorted(ports):
            kind = {22: "ssh", 80: "http"}.get(p)
            found.ports[address(n), p] = kind or kinds.choice(["ssh", "http", "ftp", "raw", "smtp"])
    for key in kinds.sample(sorted(found.ports), silent):
        found.ports[key] = "silent"
    return found


def compiled(directory):
    """The programs of a lab, where no build has them: the directory."""
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("scan_delay", "scan_listen"):
        subprocess.run(["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-o",
                        os.path.join(directory, name), os.path.join(here, f"{name}.c")],
                       check=True)
    return directory


class ScanLab:
    """
    start() makes it, close() ends it: a context manager does both. `programs` is the directory with
    scan_delay and scan_listen; the cable has a delay in each direction, and loses what it is told to
    on the way to the hosts: a share by chance, and what is above `rate` packets a second.
    """

    def __init__(self, programs, hosts, delay_ms=20, loss_percent=0, rate=0):
        self.programs, self.hosts = programs, hosts
        self.cable_options = (delay_ms, loss_percent, rate)
        self.holders, self.processes = {}, []

    def _holder(self, name):
        p = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
             "mount -t sysfs sysfs /sys && mount -t tmpfs none /dev/net &&"
             " mknod -m 666 /dev/net/tun c 10 200; echo ready; exec sleep 100000"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
        self.holders[name] = p
        if p.stdout.readline() != b"ready\n":
            raise SystemExit("no namespace can be made: this needs root")

    def inside(self, name, mount=True):
        """argv prefix that runs a command in a namespace of the lab."""
        pid = str(self.holders[name].pid)
        return ["nsenter", "-t", pid, "-n", *(["-m"] if mount else []), "--"]

    def run(self, name, *argv, check=True, text=None, timeout=60):
        return subprocess.run([*self.inside(name), *argv], input=text, check=check, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)

    def start(self):
        self._holder("host")
        self._holder("net")
        self._cable()
        for name, own in (("host", OWN), ("net", GATEWAY)):
            for words in ("link set lo up", f"addr add {own}/30 dev wire0",
                          "link set wire0 txqueuelen 20000 up"):
                self.run(name, "ip", *words.split())
        self.run("host", "ip", "route", "add", "default", "via", GATEWAY)
        self.run("net", "ip", "route", "add", "blackhole", NET)
        self.run("net", "sh", "-c", "cd /proc/sys/net/ipv4; echo 1 > ip_forward;"
                                    " echo 0 > icmp_ratelimit; echo 0 > icmp_ratemask")
        self.run("net", "ip", "-b", "-",
                 text="".join(f"addr add {a}/32 dev lo\n" for a in sorted(self.hosts.up)))
        self._process([*self.inside("net"), self.program("scan_listen")],
                      "\n".join(self.hosts.lines()))
        return self

    def program(self, name):
        return os.path.join(self.programs, name)

    def _cable(self):
        pids = [str(self.holders[n].pid) for n in ("host", "net")]
        self.cable = self._process(
            [self.program("scan_delay"), *pids, *map(str, self.cable_options)])

    def _process(self, argv, text=""):
        p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             start_new_session=True)
        self.processes.append(p)
        p.stdin.write(text)
        p.stdin.close()
        if p.stdout.readline() != "ready\n":
            raise SystemExit(f"{argv[-1]} did not start")
        return p

    def close(self):
        for p in self.processes:
            p.terminate()
        for p in [*self.processes, *self.holders.values()]:
            if p in self.holders.values():
                with suppress(ProcessLookupError):
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


def read_xml(text):
    """Of nmap's XML: addresses that are up, {(address, port): service or None} that are open."""
    up, opened = set(), {}
    for host in ElementTree.fromstring(text).iter("host"):
        a = host.find("address").get("addr")
        if host.find("status").get("state") == "up":
            up.add(a)
        for p in host.iter("port"):
            if p.find("state").get("state") == "open":
                s = p.find("service")
                probed = s is not None and s.get("method") == "probed"
                opened[a, int(p.get("portid"))] = s.get("name") if probed else None
    return up, opened
