"""A large nmap document: from the tool's pipe to committed rows, against python-nmap's parse."""
import json
import shutil
import subprocess
import sys
import time

from measure import Peak, private_kib, submit
from servers import BENCH, ScanPod, stand_in, temp_dir

PARSE = """
import resource, sys, time, nmap
text = open(sys.argv[1]).read()
scanner = nmap.PortScanner()
start = time.monotonic()
scanner.analyse_nmap_xml_scan(text)
took = time.monotonic() - start
print('{"seconds":%f,"hosts":%d,"kib":%d}' % (
    took, len(scanner.all_hosts()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


def python_nmap(path):
    out = subprocess.run([sys.executable, "-c", PARSE, str(path)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def make_xml(directory, megabytes):
    path = directory / "large.xml"
    subprocess.run([sys.executable, BENCH / "gen_nmap_xml.py", path, str(megabytes)], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def ingest(server, c):
    """Submits one scan and waits: seconds, hosts in the result, KiB above idle at the peak."""
    time.sleep(1)
    idle = private_kib(server.process.pid)
    with Peak(server.process.pid, leave_out=("nmap",)) as peak:
        start = time.monotonic()
        job = submit(server, c, {"targets": "127.0.0.1"})
        while True:
            _, text = server.ask(c, "GET", f"/api/v1/scans/{job}")
            state = json.loads(text)
            if state["state"] == "completed":
                break
            if state["state"] not in ("queued", "running"):
                raise SystemExit(f"job {job}: {text[:500]}")
            time.sleep(0.01)
        took = time.monotonic() - start
    return took, state["counts"]["hosts"], peak.kib - idle


def run(plan, report):
    place = temp_dir()
    nmap = None
    try:
        xml = make_xml(place, plan.xml_mb)
        megabytes = xml.stat().st_size / 1e6
        nmap = stand_in(xml)
        with ScanPod(nmap / "nmap") as server:
            c = server.connect()
            runs = [(python_nmap(xml), ingest(server, c)) for _ in range(1 if plan.quick else 3)]
    finally:
        for path in (place, nmap):
            if path:
                shutil.rmtree(path, ignore_errors=True)
    ratios = sorted(p["seconds"] / took for p, (took, _, _) in runs)
    peer, (took, hosts, kib) = runs[len(runs) // 2]
    report.note("document", f"{megabytes:.0f} MB, {hosts:,} hosts", f"peer read {peer['hosts']:,}")
    report.ratio("XML to committed rows, against python-nmap's parse", megabytes / took,
                 megabytes / peer["seconds"], ratios[len(ratios) // 2], 2, " MB/s")
    report.at_most("memory above idle, all roles", max(r[1][2] for r in runs) / 1024, 16, "MiB",
                   f"peer {peer['kib'] / 1024:.0f} MiB")
