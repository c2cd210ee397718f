"""
The sandbox against a hostile scanner and against honest ones, in the laboratory of namespaces: what
must not get out does not, what may is not hindered, and nothing is left over. Needs root for the
laboratory itself; the product inside drops to an unprivileged user as ever.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import ROOT, clean_env, descendants, wait_until
from lab import GATEWAY_IN, GATEWAY_OUT, IN, IN6, IN_MORE, IN_NET, OUT, OUT6, Lab

pytestmark = pytest.mark.seconds(300)

LEVELS = ("nft", "rootless", "broker")
SCOPE = "version: 1\nscope:\n  allow:\n    - {target: 10.77.1.0/24, note: lab}\n    - {target: 'fd77:1::/64'}\n"


def program(scanpod_bin, name):
    path = Path(scanpod_bin).parent / "tests/tools" / name
    assert os.access(path, os.X_OK), f"{path} is not built"
    return path


@pytest.fixture(scope="module")
def lab(need_root):
    with Lab() as made:
        yield made


@pytest.fixture
def scope_file(workdir):
    path = workdir / "scope.yaml"
    path.write_text(SCOPE)
    path.chmod(0o644)
    return path


class Run:
    """What came of a run: .lines (of the hostile one), .out, .end, .report (its sandbox), .status"""

    def __init__(self, done, report):
        self.out, self.err, self.status = done.stdout, done.stderr, done.returncode
        self.end = json.loads(report) if report.strip() else {}
        self.report = self.end.get("sandbox", {})
        # The broker counts calls, the filters packets.
        self.packets = self.report.get("packets") or self.report.get("calls") or {}
        self.lines = [l.split("\t") for l in self.out.splitlines() if l.count("\t") == 2]
        self.ways = {name: verdict for name, verdict, _ in self.lines}


@pytest.fixture
def boxrun(lab, scanpod_bin, workdir, scope_file):
    """boxrun(level, program, *arguments, targets=..., flags=()) in the laboratory's `host`."""

    tools = workdir / "tools"
    tools.mkdir()

    def run(level, what, *arguments, targets=IN_NET, flags=(), timeout=120):
        copy = tools / Path(what).name
        if not str(what).startswith("/usr/") and not copy.exists():
            shutil.copy2(what, copy)
            copy.chmod(0o755)
        report = workdir / "report"
        command = [
            *lab.inside("host"), "sh", "-c", 'report=$1; shift; exec "$@" 3>"$report"', "sh",
            str(report), str(program(scanpod_bin, "boxrun")), "--egress", level, "--user", "nobody",
            "--scope", str(scope_file), "--bind", str(tools), *flags,
            *(["--netd"] if level == "nft" else []),
            *(["--targets", targets] if targets else []),
            "--", str(copy if copy.exists() else what), *map(str, arguments),
        ]  # fmt: skip
        before = descendants(os.getpid())
        done = subprocess.run(command, env=clean_env(workdir, SCANPOD_WITHOUT=None), capture_output=True, text=True,
                              timeout=timeout)  # fmt: skip
        wait_until(lambda: not descendants(os.getpid()) - before, 5, "the end of every process")
        wait_until(lambda: not lab.leftovers(), 5, "the removal of links and tables")
        return Run(done, report.read_text())

    return run


def net_arguments(level):
    gateway = {"broker": GATEWAY_IN}.get(level, "198.18.0.1")
    return ["net", "--in", IN, "--out", OUT, "--in6", IN6, "--out6", OUT6, "--gateway", gateway,
            "--own", GATEWAY_OUT]  # fmt: skip


# ---------------------------------------------------------------- out of scope


RAW, ADMIN = ("--raw",), ("--raw", "--admin")


@pytest.mark.parametrize(
    ("level", "flags"),
    [("broker", ()), *((level, f) for level in ("nft", "rootless") for f in ((), RAW, ADMIN))],
)
def test_no_way_leads_out_of_the_scope(lab, boxrun, scanpod_bin, level, flags):
    lab.forget()
    run = boxrun(level, program(scanpod_bin, "hostile"), *net_arguments(level), flags=flags)
    assert len(run.lines) >= 60, f"{run.end}\n{run.out}\n{run.err}"
    assert lab.witness() == {"v4": 0, "v6": 0, "own": 0}, run.out
    assert "got" not in {v for n, v in run.ways.items() if not n.startswith("in_")}, run.out
    if flags:
        packets = run.packets["dropped"]
        assert packets["out_of_scope"] > 0 and packets["spoofed"] > 0, run.report
        if level == "nft":
            assert packets["link"] > 0 and packets["protocol"] > 0 and packets["options"] > 0


def test_the_witness_does_see_what_is_not_confined(lab, scanpod_bin):
    """Without it, a witness that counts nothing would prove nothing."""
    lab.forget()
    lab.run("host", str(program(scanpod_bin, "hostile")), *net_arguments("broker"))
    seen = lab.witness()
    assert seen["v4"] > 10 and seen["v6"] > 0, seen
    lab.forget()


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_in_scope_is_reached(lab, boxrun, scanpod_bin, level):
    """The same program, told that the allowed host is the forbidden one."""
    run = boxrun(level, program(scanpod_bin, "hostile"), "tcp_connect", "--out", IN)
    assert run.ways == {"tcp_connect": "got"}, f"{run.end}\n{run.out}\n{run.err}"
    assert run.packets["passed"] > 0
    assert not any(run.packets["dropped"].values()), run.report


# ---------------------------------------------------------------- files and privilege


@pytest.mark.parametrize(
    ("level", "without"),
    [*((level, "") for level in ("none", *LEVELS)), *((level, "userns") for level in ("none", "nft", "broker"))],
)
def test_no_way_leads_to_files_processes_or_privilege(boxrun, scanpod_bin, workdir, level, without):
    secret = workdir / "secret"
    secret.write_text("s")
    secret.chmod(0o644)
    flags = ("--without", without) if without else ()
    run = boxrun(level, program(scanpod_bin, "hostile"), "files", "--secret", secret, flags=flags,
                 targets=None if level == "none" else IN_NET)  # fmt: skip
    assert len(run.lines) >= 30, f"{run.end}\n{run.out}\n{run.err}"
    open_ways = [n for n, v in run.ways.items() if v != "refused"]
    assert open_ways == [], run.out


def test_without_namespaces_landlock_guards_files(boxrun, scanpod_bin, workdir):
    secret = workdir / "secret"
    secret.write_text("s")
    secret.chmod(0o644)
    run = boxrun("broker", program(scanpod_bin, "hostile"), "files", "--secret", secret,
                 flags=("--without", "userns,privilege"))  # fmt: skip
    assert run.report["box"] == "plain"
    open_ways = {n for n, v in run.ways.items() if v != "refused"}
    # Seeing that other processes are there is the one thing that it cannot prevent.
    assert open_ways <= {"other_processes"}, run.out


# ---------------------------------------------------------------- limits

LIMITS = {
    "fork": (("--limit", "processes=32"), {"pids"}),
    "memory": (("--limit", "memory_mb=64"), {"oom"}),
    "disk": (("--limit", "disk_mb=8"), {"disk"}),
    "inodes": (("--limit", "inodes=64"), {"inodes"}),
    "sparse": (("--limit", "file_mb=8"), {"file_size"}),
    "endless": (("--limit", "output_mb=2"), {"output"}),
    "stubborn": (("--limit", "wall_s=1"), {"timeout"}),
    "spin": (("--limit", "cpu_s=1"), {"cpu"}),
}


@pytest.mark.parametrize("way", LIMITS)
def test_the_limit_that_ended_a_run_is_named(boxrun, scanpod_bin, way):
    flags, names = LIMITS[way]
    run = boxrun("none", program(scanpod_bin, "hostile"), way, flags=flags, targets=None)
    assert run.report["limit"] in names, f"{run.end}\n{run.out}\n{run.err}"
    assert run.report["limits"] in ("rlimit", "cgroup2")
    if run.report["limits"] == "cgroup2":
        assert run.report["limit_certain"], run.report


def test_a_daemon_that_was_left_behind_is_ended(boxrun, scanpod_bin):
    run = boxrun("none", program(scanpod_bin, "hostile"), "daemon", targets=None)
    assert "left behind" in run.out and run.report["limit"] is None, run.report


# ---------------------------------------------------------------- honest tools


def nmap_ports(text):
    return sorted(
        (m[1], m[2])
        for m in re.finditer(r'portid="(\d+)"><state state="(open[^"]*)"', text)
    )


NMAP = {
    "connect": ["-sT", "-p22,80,443,8080"],
    "syn": ["-sS", "-p22,80,443,8080"],
    "udp": ["-sU", "-p53"],
    "os": ["-O", "-p22,80"],
    "version": ["-sV", "-p22,80", "--version-light"],
    "script": ["-sT", "-p80", "--script", "http-title,http-server-header"],
}


@pytest.mark.parametrize("kind", NMAP)
def test_nmap_finds_the_same_inside_as_outside(lab, boxrun, kind):
    words = [*NMAP[kind], "-n", "-Pn", "--privileged", "--max-retries", "3", "-oX", "-", IN]
    outside = lab.run("host", "nmap", *words).stdout
    inside = boxrun("nft", "/usr/bin/nmap", *words, flags=("--raw",))
    assert nmap_ports(inside.out) == nmap_ports(outside) != [], f"{inside.end}\n{inside.out}\n{inside.err}"
    assert not any(inside.packets["dropped"].values()), str(inside.packets)


@pytest.mark.parametrize("level", ("rootless", "broker"))
def test_nmap_connects_at_the_other_levels_too(lab, boxrun, level):
    words = ["-sT", "-p22,80,443,8080", "-n", "-Pn", "--unprivileged", "-oX", "-", IN]
    outside = lab.run("host", "nmap", *words).stdout
    inside = boxrun(level, "/usr/bin/nmap", *words)
    assert nmap_ports(inside.out) == nmap_ports(outside) != [], f"{inside.end}\n{inside.out}\n{inside.err}"
    assert not any(inside.packets["dropped"].values()), str(inside.packets)


def a_flood(seconds, size=1):
    """Datagrams to a closed port of the target, as fast as Python sends them."""
    return ["/usr/bin/python3", "-c",
            "import socket, time\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"n, end = 0, time.monotonic() + {seconds}\n"
            "while time.monotonic() < end:\n"
            f"    n += s.sendto(b'x' * {size}, ('{IN}', 9)) > 0\n"
            "print(n)\n"]


# The filter counts packets, a tool probes: the server gives it four times what the tool is told.
RATE = ("--limit", "rate_pps=400")


@pytest.mark.parametrize("level", ("nft", "broker"))
def test_who_keeps_to_the_rate_loses_nothing(lab, boxrun, level):
    words = ["-sT", "-sV", "-p1-300,443,8080", "--max-rate", "100", "-n", "-Pn", "--unprivileged",
             "-oX", "-", IN]
    inside = boxrun(level, "/usr/bin/nmap", *words, flags=RATE)
    assert nmap_ports(inside.out), f"{inside.end}\n{inside.out}\n{inside.err}"
    assert inside.packets["passed"] > 300
    assert not any(inside.packets["dropped"].values()), str(inside.packets)


def test_a_flood_is_cut_by_the_filter(lab, boxrun):
    run = boxrun("nft", *a_flood(2), flags=RATE)
    assert run.status == 0, f"{run.end}\n{run.err}"
    assert 400 <= run.packets["passed"] <= 400 * 5, run.report
    assert run.packets["dropped"]["rate"] + run.packets["passed"] >= int(run.out), run.report
    assert run.packets["dropped"]["rate"] > run.packets["passed"], run.report


def test_a_flood_through_the_broker_waits(lab, boxrun):
    run = boxrun("broker", *a_flood(2), flags=RATE)
    assert run.status == 0, f"{run.end}\n{run.err}"
    assert int(run.out) <= run.packets["passed"] <= 400 * 5, run.report
    assert not any(run.packets["dropped"].values()), run.report


# src/netd/netd.h: the same on every link.
GATEWAY_MAC = re.search(r'NETD_GATEWAY_MAC "(\S+)"', (ROOT / "src/netd/netd.h").read_text())[1]
INSIDE = ["-e", "eth0", "--router-mac", GATEWAY_MAC]


ADDRESSES = {"nat": (), "dedicated": ("--dedicated", "--addresses", "10.77.1.200", "--neighbours")}


def mac_of(lab, name):
    return lab.run(name, "cat", "/sys/class/net/eth0/address").stdout.strip()


@pytest.mark.parametrize("flags", ADDRESSES.values(), ids=ADDRESSES)
def test_masscan_finds_the_same_inside_as_outside(lab, boxrun, flags):
    words = ["masscan", "-p22,80,443,8080", "--rate", "500", "--wait", "2", "-oL", "-", IN]
    ports = re.compile(r"^open tcp (\d+) (\S+)", re.M)
    link = ["-e", "h-in", "--router-mac", mac_of(lab, "in")]
    outside, inside = set(), set()
    for _ in range(3):  # it loses answers now and then, inside and outside
        try:
            outside |= set(ports.findall(lab.run("host", *words, *link, timeout=20).stdout))
        except subprocess.TimeoutExpired:
            pass  # nothing keeps the link busy here: masscan's end may wait for a packet in vain
        run = boxrun("nft", "/usr/bin/masscan", *words[1:], *INSIDE, flags=("--raw", *flags))
        assert run.report["dedicated"] is bool(flags), run.report
        inside |= set(ports.findall(run.out))
        assert not any(run.packets["dropped"].values()), run.report
        if len(outside) == len(inside) == 3:
            break
    assert inside == outside == {("22", IN), ("80", IN), ("443", IN)}, f"{run.end}\n{run.err}"


@pytest.mark.parametrize("flags", ADDRESSES.values(), ids=ADDRESSES)
def test_zmap_finds_the_same_inside_as_outside(lab, boxrun, flags):
    subnets = ["10.77.1.2/31", "10.77.1.4/30", "10.77.1.8/29"]  # without the machine's own address
    words = ["zmap", "-p", "80", "-q", "--disable-syslog", "-b", "/dev/null", "-r", "200", "-c",
             "2", "-o", "-", *subnets]  # fmt: skip
    found = lambda text: set(re.findall(r"^\d+\.\d+\.\d+\.\d+$", text, re.M))
    outside = lab.run("host", *words, "-i", "h-in", "-G", mac_of(lab, "in")).stdout
    run = boxrun("nft", "/usr/sbin/zmap", *words[1:], "-i", "eth0", "-G", GATEWAY_MAC,
                 flags=("--raw", *flags))  # fmt: skip
    assert found(run.out) == found(outside) == {IN, *IN_MORE}, f"{run.end}\n{run.out}\n{run.err}"
    assert not any(run.packets["dropped"].values()), run.report


# libpcap tells its caller nothing while nothing arrives, and the caller would never see that its
# time is over. Hosts that are not there answer nothing, and what the gateway says of them is soon said.
SILENT = "10.77.1.128-10.77.1.255"
SWEEPS = {
    "masscan": ["/usr/bin/masscan", "-p80", "--rate", "500", "--wait", "8", "-oL", "-", *INSIDE,
                "10.77.1.128/25"],
    "zmap": ["/usr/sbin/zmap", "-p", "80", "-q", "--disable-syslog", "-b", "/dev/null", "-r", "200",
             "-c", "8", "-i", "eth0", "-G", GATEWAY_MAC, "-o", "-", "10.77.1.128/25"],
}  # fmt: skip


@pytest.mark.parametrize("tool", SWEEPS)
@pytest.mark.parametrize("level", ("nft", "rootless"))
def test_a_sweep_of_nobody_ends(boxrun, level, tool):
    run = boxrun(level, *SWEEPS[tool], targets=SILENT, flags=("--raw", "--limit", "wall_s=60"))
    assert run.status == 0 and run.report["limit"] is None, f"{run.end}\n{run.err}"
    assert run.packets["passed"] == 128 and not any(run.packets["dropped"].values()), run.report


def test_banners_are_read_past_the_kernel_of_the_box(lab, boxrun):
    words = ["-p22", "--rate", "500", "--wait", "8", "--banners", "-oL", "-", *INSIDE, IN]
    for _ in range(3):  # it loses answers now and then
        run = boxrun("nft", "/usr/bin/masscan", *words, "--source-port", "61440-61455", flags=("--raw",))
        assert not any(run.packets["dropped"].values()), run.report
        if "banner tcp 22" in run.out:
            break
    assert f"banner tcp 22 {IN}" in run.out and "SSH-2.0" in run.out, f"{run.end}\n{run.out}\n{run.err}"
    assert run.packets["noise"] > 0, run.report
