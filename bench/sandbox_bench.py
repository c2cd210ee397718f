"""Many scans of one port through the whole system, and as many bare nmap runs, in the laboratory.

The laboratory of namespaces is that of the tests. This file is the part of bench/run, and, with
the argument "inside", what runs in its namespace `host`, where the server and the bare nmap are.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from measure import needs_root, post_many, submit, wait_completed
from servers import ROOT, ScanPod, service_user, temp_dir

AT_ONCE = 4
SCOPE = "version: 1\nscope:\n  allow:\n    - {target: 10.77.1.0/24}\n    - {target: 127.0.0.0/8}\n"
LOOPBACK = "127.0.0.1"
PORT = "22"


# ---------------------------------------------------------------- in the laboratory's `host`


def bare(target, count):
    """Seconds of that many runs of nmap, as the user that a server runs its tools as."""
    user = service_user()
    start = time.monotonic()
    subprocess.run(
        ["xargs", "-P", str(AT_ONCE), "-I@", "nmap", "-oX", "-", "-n", "-sT", "-p", PORT, "--",
         target],
        check=True, text=True, input="@\n" * count, stdout=subprocess.DEVNULL, user=user[0],
        group=user[1], extra_groups=[])
    return time.monotonic() - start


def request_of(target):
    return {"targets": target, "ports": PORT, "arguments": "-sT -n"}


def through_scanpod(server, target, count):
    """Seconds until all of a batch have ended; jobs are run in the order of submission."""
    c = server.connect()
    start = time.monotonic()
    for accepted in post_many(server, "/scans", request_of(target), count, AT_ONCE):
        wait_completed(server, c, accepted["job_id"], pause=0.005)
    took = time.monotonic() - start
    status, text = server.ask(c, "GET", f"/scans?limit={count}")
    states = {job["status"] for job in json.loads(text)}
    if status != 200 or states != {"completed"}:
        raise SystemExit(f"GET /scans: {status}, {states}")
    return took


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


def check(server, c, target, level):
    """One scan first: the level is the one that is to be measured, and the port is seen."""
    wait_ready(server, c, level)
    job = submit(server, c, request_of(target))
    body = wait_completed(server, c, job)
    _, text = server.ask(c, "GET", f"/api/v1/scans/{job}")
    view = json.loads(text)
    if view["sandbox"]["egress"] != level or '"open"' not in json.dumps(body["result"]):
        raise SystemExit(f"not as expected: {text[:2000]}")
    return view["command_line"]


def inside(target, count, rounds):
    """Prints one JSON object: pairs of seconds for each level, bare nmap and through ScanPod."""
    scope = temp_dir() / "scope.yaml"
    scope.write_text(SCOPE)
    scope.chmod(0o644)
    got = {}
    with ScanPod(scope_file=scope, max_scan_workers=AT_ONCE) as server:
        c = server.connect()
        for level, to in (("nft", target), ("broker", LOOPBACK)):
            command_line = check(server, c, to, level)
            through_scanpod(server, to, AT_ONCE)
            pairs = [(bare(to, count), through_scanpod(server, to, count)) for _ in range(rounds)]
            got[level] = {"command_line": command_line, "pairs": pairs}
    shutil.rmtree(scope.parent)
    print(json.dumps(got))


# ---------------------------------------------------------------- outside


def laboratory():
    sys.path.insert(0, str(ROOT / "tests" / "blackbox"))
    import lab

    return lab.Lab(), lab.IN


def run(plan, report):
    needs_root()
    count, rounds = (20, 1) if plan.quick else (200, 5)
    lab, target = laboratory()
    with lab:
        out = subprocess.run(
            [*lab.inside("host"), sys.executable, Path(__file__), "inside", target, str(count),
             str(rounds)],
            check=True, text=True, stdout=subprocess.PIPE, env={**os.environ}).stdout
        if lab.leftovers():
            raise SystemExit(f"left behind: {lab.leftovers()}")
    for level, figures in json.loads(out).items():
        pairs = figures["pairs"]
        ms = [median(p[i] for p in pairs) * 1000 / count for i in range(2)]
        ratio = median(b / a for a, b in pairs)
        report.add(f"{count} scans of one port at level {level}, {AT_ONCE} at a time, each",
                   f"{ms[1]:.1f} ms", f"bare nmap {ms[0]:.1f} ms", f"{ratio:.2f}x", "<= 1.5",
                   ratio <= 1.5)


if __name__ == "__main__":
    inside(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
