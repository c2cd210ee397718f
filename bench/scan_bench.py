"""From submit to a completed result: what ScanPod adds to bare nmap, and jobs per second."""
import json
import shutil
import socket
import subprocess
import time
from statistics import median

from measure import post_many, submit, wait_completed
from nmap_xml import document
from servers import FastApi, ScanPod, stand_in


def bare(port):
    start = time.monotonic()
    subprocess.run(["nmap", "-oX", "-", "-sT", "-p", str(port), "--", "127.0.0.1"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return time.monotonic() - start


def through_scanpod(server, c, request):
    """POST, then the long poll until it is completed, then the result."""
    start = time.monotonic()
    job = submit(server, c, request)
    while True:
        status, text = server.ask(c, "GET", f"/api/v1/scans/{job}?wait=30")
        state = json.loads(text)["state"] if status == 200 else None
        if state == "completed":
            break
        if state not in ("queued", "running"):
            raise SystemExit(f"job {job}: {status} {text[:500]}")
    wait_completed(server, c, job)
    return time.monotonic() - start


def through_peer(server, c, request):
    start = time.monotonic()
    wait_completed(server, c, submit(server, c, request))
    return time.monotonic() - start


def added(plan, report):
    """One port on loopback, with the real nmap, in turn: bare, ScanPod, the peer."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    request = {"targets": "127.0.0.1", "ports": str(port), "arguments": "-sT"}
    times = {"bare": [], "scanpod": [], "peer": []}
    with ScanPod() as server, FastApi() as peer:
        c, p = server.connect(), peer.connect()
        for i in range(plan.repeats + 2):
            row = (bare(port), through_scanpod(server, c, request), through_peer(peer, p, request))
            if i >= 2:
                for name, took in zip(times, row):
                    times[name].append(took * 1000)
    listener.close()
    over = median(a - b for a, b in zip(times["scanpod"], times["bare"]))
    peer_over = median(a - b for a, b in zip(times["peer"], times["bare"]))
    report.note("bare nmap, one port", f"{median(times['bare']):.1f} ms")
    report.at_most(f"ScanPod adds, median of {plan.repeats}", over, 5, "ms",
                   f"peer {peer_over:.1f} ms")


def jobs_per_second(server, count):
    """A batch at once, by a client that costs next to nothing; then the last ones are watched.

    Both run jobs in the order of submission, four at a time: when the last one of each
    connection has ended, all but a few others have, too.
    """
    request = {"targets": "127.0.0.1", "arguments": "-sT"}
    c = server.connect()
    wait_completed(server, c, submit(server, c, request))
    start = time.monotonic()
    for accepted in post_many(server, "/scans", request, count):
        wait_completed(server, c, accepted["job_id"], pause=0.005)
    took = time.monotonic() - start
    check_ended(server, c, count)
    return count / took


def check_ended(server, connection, count):
    """Nothing is counted that is not done: all rows of the list are completed."""
    status, text = server.ask(connection, "GET", f"/scans?limit={count}")
    states = {job["status"] for job in json.loads(text)}
    if status != 200 or states != {"completed"}:
        raise SystemExit(f"GET /scans: {status}, {states}")


def instant(plan, report):
    nmap = stand_in(document(10))
    try:
        with ScanPod(nmap / "nmap", max_scan_workers=4) as server, FastApi(nmap) as peer:
            pairs = [(jobs_per_second(server, plan.jobs), jobs_per_second(peer, plan.jobs))
                     for _ in range(1 if plan.quick else 4)]
    finally:
        shutil.rmtree(nmap, ignore_errors=True)
    pairs = pairs[-3:]  # the first one warms up: folders are made, caches filled
    report.ratio("jobs with an instant nmap", median(a for a, _ in pairs),
                 median(b for _, b in pairs), median(a / b for a, b in pairs), 2)


def run(plan, report):
    added(plan, report)
    instant(plan, report)
