#!/usr/bin/python3
"""Networks scanned through ScanPod and by the plain tools, in a lab of network namespaces.

usage: bench/scan.py [--quick] CASE...

Cases: full silent slots sweeper store diff parse, or all. Root; needs nmap, masscan, iproute2. Every
case checks what was found against what there is; a figure with a wrong result does not count.
"""
import json
import re
import shutil
import subprocess
import sys
import time
from statistics import median

sys.dont_write_bytecode = True

from measure import needs_root
from report import Report
from scan_lab import GATEWAY, NET, ScanLab, full_hosts, read_xml
from scan_server import LabScanPod
from servers import BUILD, build, program, temp_dir

PORTS = "1-10000"
SLOTS = 4


def lab_of(hosts):
    return ScanLab(str(BUILD / "bench"), hosts)


# ---------------------------------------------------------------- ways to scan


def nmap(lab, *options):
    """One run in the lab: what it found."""
    return read_xml(lab.run("host", "nmap", "-n", "-oX", "-", *options, timeout=900).stdout)


def plain(lab):
    """What a user types."""
    return nmap(lab, "-sV", f"-p{PORTS}", "-T4", NET)


def by_hand(lab):
    """The best that we know with one tool: a fast sweep, then one nmap for all services."""
    _, opened = nmap(lab, "-sS", "-T4", "--min-hostgroup", "256", "--min-rate", "20000",
                     f"-p{PORTS}", NET)
    hosts, ports = sorted({a for a, _ in opened}), sorted({p for _, p in opened})
    return nmap(lab, "-sS", "-sV", "-Pn", "-T4", "-p" + ",".join(map(str, ports)), *hosts)


def through(server, **request):
    seconds, job = server.job(targets=NET, ports=PORTS, profile="full", **request)
    if job["state"] != "completed" or job["coverage"]["percent"] != 100:
        raise SystemExit(f"not completed: {json.dumps(job)[:3000]}")
    return seconds, server.found(job)


def timed(run, *arguments):
    start = time.monotonic()
    found = run(*arguments)
    return time.monotonic() - start, found


def check(name, found, hosts, services=True):
    """No host, port or service is missing, wrong or too much."""
    up, opened = found
    right = {k: hosts.services().get(k) for k in hosts.ports}
    if not hosts.up >= up >= {a for a, _ in hosts.ports}:
        raise SystemExit(f"{name}: hosts differ: {sorted(up ^ hosts.up)}")
    if set(opened) != set(right):
        raise SystemExit(f"{name}: ports differ: {sorted(set(opened) ^ set(right))}")
    if services and opened != right:
        wrong = {k: (opened[k], right[k]) for k in right if opened[k] != right[k]}
        raise SystemExit(f"{name}: services differ: {wrong}")


# ---------------------------------------------------------------- cases in the lab


def full(plan, report):
    """The full way against nmap alone and against two runs by hand."""
    hosts = full_hosts()
    times = {"nmap": [], "hand": [], "scanpod": []}
    with lab_of(hosts) as lab, LabScanPod(lab, max_scan_workers=SLOTS) as server:
        for _ in range(1 if plan.quick else 3):
            for name, run, what in (("nmap", plain, lab), ("hand", by_hand, lab)):
                seconds, found = timed(run, what)
                check(name, found, hosts)
                times[name].append(seconds)
            seconds, found = through(server)
            check("ScanPod", found, hosts)
            times["scanpod"].append(seconds)
    own = median(times["scanpod"])
    report.at_most_times("full way with services, 26 hosts, 65 open ports; nmap -sV -T4", own,
                         median(times["nmap"]), 0.28, "s")
    report.at_most_times("the same; sweep and identification by hand", own,
                         median(times["hand"]), 0.8, "s")


def silent(plan, report):
    """Eight services that never speak: one nmap waits for each of them, for each of its probes."""
    hosts = full_hosts(silent=8)
    with lab_of(hosts) as lab, LabScanPod(lab, max_scan_workers=SLOTS) as server:
        seconds, found = through(server)
        check("ScanPod", found, hosts)
        if plan.quick:
            report.note("full way, 8 of 65 services silent", f"{seconds:.1f} s")
            return
        peer, found = timed(plain, lab)
        check("nmap", found, hosts)
    report.at_most_times("full way, 8 of 65 services silent; nmap -sV -T4", seconds, peer, 0.6, "s")


def slots(plan, report):
    """nmap's own pace, four tasks at a time against one."""
    hosts = full_hosts()
    times, founds = {1: [], SLOTS: []}, []
    with lab_of(hosts) as lab:
        for _ in range(1 if plan.quick else 3):
            for n in times:
                with LabScanPod(lab, max_scan_workers=n) as server:
                    seconds, found = through(server, pace="own")
                check(f"{n} slots", found, hosts)
                times[n].append(seconds)
                founds.append(found)
    if any(f != founds[0] for f in founds):
        raise SystemExit("the results differ")
    report.at_most_times(f"own pace, {SLOTS} slots; 1 slot, the same result", median(times[SLOTS]),
                         median(times[1]), 0.45, "s")


def bare_masscan(lab, up, rate=20000):
    """A single pass over the hosts that are up: the share of the open ports that it saw."""
    keep = subprocess.Popen(
        [*lab.inside("host"), sys.executable, "-c",
         "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
         f"while True: s.sendto(b'', ('{GATEWAY}', 9)); time.sleep(0.2)"])
    try:  # frames keep coming: on a silent link it would not end
        text = lab.run("host", "masscan", ",".join(sorted(up)), "--adapter", "wire0",
                       f"-p{PORTS}", "--rate", str(rate), "--wait", "2", "-oL", "-",
                       timeout=300).stdout
    finally:
        keep.kill()
        keep.wait()
    return {(m[2], int(m[1])) for m in re.finditer(r"^open tcp (\d+) (\S+)", text, re.M)}


def sweeper(plan, report):
    """masscan finds the ports: what it loses comes back by the accuracy guard."""
    hosts = full_hosts()
    with lab_of(hosts) as lab, LabScanPod(lab, max_scan_workers=SLOTS) as server:
        bare = bare_masscan(lab, hosts.up) & set(hosts.ports)
        seconds, job = server.job(targets=NET, ports=PORTS, profile="full", tool="masscan")
        _, opened = server.found(job)
        tasks = server.get(server.connect(), f"/api/v1/scans/{job['id']}/tasks?limit=100")["items"]
        late = [t["task"] for t in tasks if t["state"] == "timed_out" and t["tool"] == "masscan"]
    false = set(opened) - set(hosts.ports)
    if false or late:
        raise SystemExit(f"open but not there: {sorted(false)}; at their deadline: {late}")
    recall = len(set(opened)) / len(hosts.ports)
    report.ratio("masscan as sweeper, open ports found; masscan alone, one pass", recall,
                 len(bare) / len(hosts.ports), recall, 0.99, "")
    report.note("the same, time", f"{seconds:.1f} s", "; ".join(job["notes"])[:60])


# ---------------------------------------------------------------- large results


def text_of(name, *arguments):
    """What a program of the bench prints, in a directory of its own if it asks for one."""
    place = temp_dir()
    try:
        argv = [str(place) if a is None else str(a) for a in arguments]
        # By a shell that forks: what is exec'ed right from here has our memory in its maximum.
        return subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", program(name), *argv], check=True,
                              text=True, stdout=subprocess.PIPE).stdout
    finally:
        shutil.rmtree(place, ignore_errors=True)


def figure(text, pattern):
    m = re.search(pattern, text)
    if not m:
        raise SystemExit(f"no '{pattern}' in:\n{text}")
    return float(m[1])


def million(plan):
    """Hosts, ports of each and shards of a large result."""
    return (2600, 40, 16) if plan.quick else (26_000, 40, 64)


def store(plan, report):
    """A million open ports received and merged, by shards of each kind."""
    for how in ("addresses", "ports", "findings"):
        out = text_of("merge", None, *million(plan), how)
        report.note(f"merged, tasks cut by {how}",
                    f"{figure(out, r'merged: .*: ([0-9]+) ports/s'):,.0f} ports/s")
        report.at_most("the same, memory of the process",
                       figure(out, r"\npeak memory ([0-9]+)") / 1024, 64, "MiB")
        for order in ("sight", "address"):
            report.at_most(f"the same, page of 100 hosts by {order}, p99",
                           figure(out, rf"of {order} after it: .* p99 ([0-9.]+)"), 20, "ms")


def diff(plan, report):
    """Two results of a million open ports compared."""
    out = text_of("diff", None, *million(plan))
    report.at_most("two such results compared", figure(out, r"\n +([0-9.]+) s,"), 10, "s")
    report.at_most("the same, memory", figure(out, r"ports a second, ([0-9]+) MiB"), 64, "MiB")


def parse(plan, report):
    """masscan's JSON and zmap's CSV, processor time."""
    out = text_of("parse_scan", 100_000 if plan.quick else 1_000_000)
    for name in ("masscan JSON", "zmap CSV"):
        rate = figure(out, rf"{name} .* parser +([0-9.]+) MB/s")
        report.add(f"parser of {name}", f"{rate:,.0f} MB/s", "", "", ">= 200 MB/s", rate >= 200)


CASES = {"full": full, "silent": silent, "slots": slots, "sweeper": sweeper, "store": store,
         "diff": diff, "parse": parse}


def run(plan, report):
    needs_root()
    for case in CASES.values():
        case(plan, report)


class Plan:
    def __init__(self, quick):
        self.quick = quick


def main():
    words = [w for w in sys.argv[1:] if w != "--quick"]
    if not words or any(w not in CASES and w != "all" for w in words):
        sys.exit(__doc__)
    needs_root()
    build()
    report = Report()
    for name, case in CASES.items():
        if name in words or "all" in words:
            case(Plan("--quick" in sys.argv), report)
    report.show("a network scanned")
    return 0 if report.all_hold() else 1


if __name__ == "__main__":
    sys.exit(main())
