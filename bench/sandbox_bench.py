"""Many scans of one port through the whole system, and as many bare nmap runs, in the laboratory.

The laboratory of namespaces is that of the tests. This file is the part of bench/run, and, with
the argument "inside", what runs in its namespace `host`, where the server and the bare nmap are.
"""
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from measure import needs_root, post_many, submit, wait_completed
from servers import ROOT, ScanPod, service_user

AT_ONCE = 4
SCOPE = "version: 1\nscope:\n  allow:\n    - {target: 10.77.1.0/24}\n    - {target: 127.0.0.0/8}\n"
LOOPBACK = "127.0.0.1"
PORT = "22"


class Case:
    """One kind of scan, and bare nmap that sends the same packets: a box's network has no
    neighbours to ask by ARP, and where it has raw sockets, nmap outside has to be root's."""

    def __init__(self, name, level, arguments, bare=(), root=False):
        self.name, self.level, self.arguments = name, level, arguments
        self.bare, self.root = bare, root
        self.target = "10.77.1.2" if level == "nft" else LOOPBACK


CASES = (
    Case("host and port by connect()", "nft", "-sT -n -Pn"),
    Case("host by raw packets, port by connect()", "nft", "-sT -n", ("--disable-arp-ping",), True),
    Case("loopback", "broker", "-sT -n"),
)


# ---------------------------------------------------------------- in the laboratory's `host`


def bare(case, count):
    """Seconds of that many runs of nmap, as the user that a server runs its tools as, or root."""
    user = None if case.root else service_user()
    as_user = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    start = time.monotonic()
    subprocess.run(
        ["xargs", "-P", str(AT_ONCE), "-I@", "nmap", "-oX", "-", *case.arguments.split(),
         *case.bare, "-p", PORT, "--", case.target],
        check=True, text=True, input="@\n" * count, stdout=subprocess.DEVNULL, **as_user)
    return time.monotonic() - start


def request_of(case):
    return {"targets": case.target, "ports": PORT, "arguments": case.arguments}


def through_scanpod(server, case, count):
    """Seconds until all of a batch have ended; jobs are run in the order of submission."""
    c = server.connect()
    start = time.monotonic()
    for accepted in post_many(server, "/scans", request_of(case), count, AT_ONCE):
        wait_completed(server, c, accepted["job_id"], pause=0.005)
    while True:
        status, text = server.ask(c, "GET", f"/scans?limit={count}")
        states = {job["status"] for job in json.loads(text)}
        if status != 200 or not states <= {"completed", "running"}:
            raise SystemExit(f"GET /scans: {status}, {states}")
        if states == {"completed"}:
            return time.monotonic() - start


def wait_ready(server, c, level):
    """A server answers before it knows its levels."""
    for _ in range(500):
        _, text = server.ask(c, "GET", "/api/v1/capabilities")
        levels = json.loads(text)["sandbox"].get("levels")
        if levels:
            break
        time.sleep(0.02)
    if not levels or not any(row["name"] == level and row["usable"] for row in levels):
        raise SystemExit(f"level {level} is not usable here: {text[:2000]}")


def check(server, c, case):
    """One scan first: the level is the one that is to be measured, and the port is seen."""
    wait_ready(server, c, case.level)
    job = submit(server, c, request_of(case))
    body = wait_completed(server, c, job)
    _, text = server.ask(c, "GET", f"/api/v1/scans/{job}")
    view = json.loads(text)
    if view["sandbox"]["egress"] != case.level or '"open"' not in json.dumps(body["result"]):
        raise SystemExit(f"not as expected: {text[:2000]}")


def inside(count, rounds):
    """Prints for each case the pairs of seconds, bare nmap and through ScanPod, as JSON."""
    server = ScanPod(max_scan_workers=AT_ONCE)
    scope = server.dir / "scope.yaml"
    scope.write_text(SCOPE)
    scope.chmod(0o644)
    server.settings["scope_file"] = scope
    got = []
    with server:
        c = server.connect()
        for case in CASES:
            check(server, c, case)
            through_scanpod(server, case, AT_ONCE)
            got.append([(bare(case, count), through_scanpod(server, case, count))
                        for _ in range(rounds)])
    print(json.dumps(got))


# ---------------------------------------------------------------- outside


def laboratory():
    sys.path.insert(0, str(ROOT / "tests" / "blackbox"))
    import lab

    return lab.Lab()


def run(plan, report):
    needs_root()
    count, rounds = (20, 1) if plan.quick else (200, 5)
    with laboratory() as lab:
        out = subprocess.run(
            [*lab.inside("host"), sys.executable, Path(__file__), "inside", str(count),
             str(rounds)],
            check=True, text=True, stdout=subprocess.PIPE).stdout
        if lab.leftovers():
            raise SystemExit(f"left behind: {lab.leftovers()}")
    for case, pairs in zip(CASES, json.loads(out)):
        ms = [median(p[i] for p in pairs) * 1000 / count for i in range(2)]
        ratio = median(b / a for a, b in pairs)
        report.add(f"{count} scans of one port, {AT_ONCE} at a time, level {case.level}: "
                   f"{case.name}; each", f"{ms[1]:.1f} ms", f"bare nmap {ms[0]:.1f} ms",
                   f"{ratio:.2f}x", "<= 1.5", ratio <= 1.5)


if __name__ == "__main__":
    inside(int(sys.argv[2]), int(sys.argv[3]))
