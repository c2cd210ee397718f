"""Workers elsewhere, over Redis: against Celery and RQ, with a long queue, slow tools, a lab."""
import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

from fleet_rig import Celery, Fleet, LabFleet, Process, Redis, Rq, until
from measure import load, post_many, rounds
from nmap_xml import document
from scan import check, lab_of, through
from scan_lab import full_hosts
from servers import program, stand_in, temp_dir

NOOP = {"tool": "noop", "targets": "127.0.0.1"}
SECOND = {"tool": "nmap", "targets": "127.0.0.1", "ports": "80", "arguments": "-sT"}
WORKERS, SLOTS = 2, 64


def run(plan, report):
    against_peers(plan, report)
    latency(plan, report)
    long_queue(plan, report)
    crowd(plan, report)
    seconds_of_32(plan, report)
    if os.geteuid() == 0:
        lab(plan, report)
    else:
        report.note("a /24 on 4 workers", "needs root")


# ---------------------------------------------------------------- rate


def noops(fleet, count):
    """Tasks a second, from the first submit until the API says that all are completed."""
    c = fleet.connect()
    before = fleet.states(c)["completed"]
    start = time.monotonic()
    post_many(fleet, "/api/v1/scans", NOOP, count, connections=64)
    until("the end of all tasks", lambda: fleet.states(c)["completed"] >= before + count,
          pause=0.02, seconds=600)
    took = time.monotonic() - start
    states = fleet.states(c)
    c.close()
    if sum(states.values()) != states["completed"]:
        raise SystemExit(f"not all completed: {states}")
    return {"rate": count / took}


def against_peers(plan, report):
    """The same Redis server for each, one after the other in each round."""
    counts = (2000, 300, 60) if plan.quick else (30_000, 4000, 500)
    with Redis() as one, Redis() as two, Redis() as three, \
            Fleet(one, WORKERS, SLOTS) as fleet, Celery(two) as celery, Rq(three) as rq:
        got = rounds({
            "own": lambda warm: noops(fleet, 1000 if warm else counts[0]),
            "celery": lambda warm: {"rate": celery.run(100 if warm else counts[1])},
            "rq": lambda warm: {"rate": rq.run(20 if warm else counts[2])},
        }, plan.rounds)
    report.ratio("tasks that do nothing, 2 workers; Celery, prefork 2, acks late",
                 got["own"]["rate"], got["celery"]["rate"], got["own"].ratio(got["celery"]), 5)
    report.ratio("the same; two RQ workers", got["own"]["rate"], got["rq"]["rate"],
                 got["own"].ratio(got["rq"]), 20)


# ---------------------------------------------------------------- latency


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def timed_submit(fleet, c, request):
    at = time.time()
    status, text = fleet.ask(c, "POST", "/api/v1/scans", request)
    if status != 202:
        raise SystemExit(f"POST: {status} {text[:500]}")
    return at, json.loads(text)["id"]


def ended(fleet, c, job):
    while True:
        status, text = fleet.ask(c, "GET", f"/api/v1/scans/{job}?wait=30")
        found = json.loads(text)
        if status != 200 or found["state"] in ("failed", "cancelled", "timed_out"):
            raise SystemExit(f"job {job}: {status} {text[:500]}")
        if found["state"] == "completed":
            return found


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def one_at_a_time(fleet, count):
    """[ms from the request to the start], [ms from the request to the end as the client sees it]"""
    c = fleet.connect()
    starts, ends = [], []
    for _ in range(count):
        at, job = timed_submit(fleet, c, NOOP)
        found = ended(fleet, c, job)
        ends.append((time.time() - at) * 1000)
        starts.append((moment(found["started_at"]) - at) * 1000)
    c.close()
    return starts, ends


def at_a_pace(fleet, count, per_second):
    """The same at a pace, whatever becomes of those before; starts only."""
    c = fleet.connect()
    begin, sent, starts = time.monotonic(), [], []
    for i in range(count):
        time.sleep(max(0, begin + i / per_second - time.monotonic()))
        sent.append(timed_submit(fleet, c, NOOP))
    for at, job in sent:
        starts.append((moment(ended(fleet, c, job)["started_at"]) - at) * 1000)
    c.close()
    return starts


def latency(plan, report):
    count = 100 if plan.quick else 1000
    with Redis() as redis, Fleet(redis, WORKERS, SLOTS) as fleet:
        one_at_a_time(fleet, 20)
        starts, ends = one_at_a_time(fleet, count)
        paced = at_a_pace(fleet, count, 200)
    report.at_most("submit to start, one at a time, p50", median(starts), 5, "ms",
                   f"p99 {percentile(starts, 0.99):.1f} ms")
    report.note("submit to the end as the client sees it, p50", f"{median(ends):.2f} ms",
                f"p99 {percentile(ends, 0.99):.1f} ms")
    report.at_most("submit to start, 200 a second, p50", median(paced), 5, "ms",
                   f"p99 {percentile(paced, 0.99):.1f} ms")


# ---------------------------------------------------------------- a long queue


def claims(count, keys):
    """What a claim takes in the store: p99 in ms."""
    place = temp_dir()
    try:
        text = subprocess.run([program("fill_store"), place, str(count), "queued", str(keys)],
                              check=True, text=True, stdout=subprocess.PIPE).stdout
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return int(re.search(r"claim_p99_us ([0-9]+)", text)[1]) / 1000


def urgent(fleet, count):
    """Submit to start of jobs that go before all others, while those are worked off."""
    c = fleet.connect()
    starts = []
    for _ in range(count):
        at, job = timed_submit(fleet, c, {**NOOP, "priority": 9})
        starts.append((moment(ended(fleet, c, job)["started_at"]) - at) * 1000)
        if fleet.states(c)["queued"] == 0:
            break
    c.close()
    return starts


def long_queue(plan, report):
    count = 5000 if plan.quick else 100_000
    report.at_most(f"{count:,} jobs queued by 100 keys: a claim in the store, p99",
                   claims(count, 100), 10, "ms")
    with Redis() as redis, Fleet(redis, 0, SLOTS, max_waiting="0") as fleet:
        post_many(fleet, "/api/v1/scans", NOOP, count, connections=64)
        report.at_most(f"server with {count:,} queued jobs, resident", fleet.rss_mib(), 250, "MiB")
        c = fleet.connect()
        start = time.monotonic()
        fleet.add_workers(WORKERS)
        first = fleet.states(c)["completed"]
        starts = urgent(fleet, 50 if plan.quick else 1000)
        until("the end of all tasks", lambda: fleet.states(c)["queued"] == 0, pause=0.02,
              seconds=600)
        took = time.monotonic() - start
        report.at_most("the server after them, resident", fleet.rss_mib(), 250, "MiB")
        c.close()
    report.note("these jobs worked off", f"{(count - first) / took:,.0f}/s")
    report.note("meanwhile, submit to start of an urgent one, p50", f"{median(starts):.2f} ms",
                f"p99 {percentile(starts, 0.99):.1f} ms, {len(starts)} of them")


# ---------------------------------------------------------------- many workers


def cpu_us(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 / os.sysconf("SC_CLK_TCK")


@contextmanager
def crowd_of(workers, slots, *hold):
    """A server and that many workers in one process."""
    with Redis() as redis, Fleet(redis, 0, slots, max_waiting="0") as fleet:
        spools = fleet.dir / "crowd"
        spools.mkdir()
        crowd = Process([program("fleet_crowd"), f"unix:{redis.path}", workers, slots, spools,
                         *hold], fleet.dir / "crowd.log")
        try:
            c = fleet.connect()
            until("workers", lambda: fleet.said(c) == workers, crowd, pause=0.1)
            time.sleep(2)  # each had an answer to its first beat
            yield fleet, c
        finally:
            crowd.stop()


def cost_of_task(workers, count):
    """Processor time of the server for a task, with that many workers of four slots."""
    with crowd_of(workers, 4) as (fleet, _):
        noops(fleet, 1000)
        before = cpu_us(fleet.process)
        noops(fleet, count)
        return (cpu_us(fleet.process) - before) / count


def cost_of_get(workers, seconds):
    """Of a GET by one client, while all their slots are taken and a task waits for one."""
    with crowd_of(workers, 16, "hold") as (fleet, c):
        post_many(fleet, "/api/v1/scans", NOOP, workers * 16 + 1)
        until("a fleet that is full", lambda: fleet.states(c)["queued"] == 1, pause=0.1)
        _, job = timed_submit(fleet, c, NOOP)
        before = cpu_us(fleet.process)
        got = load(fleet, f"/api/v1/scans/{job}", seconds, connections=1)
        return (cpu_us(fleet.process) - before) / got["answers"]


def crowd(plan, report):
    """What a task or a request costs the server does not grow with the fleet."""
    many, count = (50, 2000) if plan.quick else (500, 20_000)
    costs = {n: median(cost_of_task(n, count) for _ in range(1 if plan.quick else 3))
             for n in (32, many)}
    report.at_most_times(f"processor time of the server for a task, {many} workers; 32 workers",
                         costs[many], costs[32], 1.5, "us")
    costs = {n: cost_of_get(n, plan.seconds) for n in (2, many)}
    report.at_most_times(f"the same for a GET while {many * 16:,} tasks run; 32 tasks", costs[many],
                         costs[2], 1.5, "us")


# ---------------------------------------------------------------- a tool of one second


def seconds_of_32(plan, report):
    """256 tasks of a second by 8 workers with 4 slots: 8 s would be no loss at all."""
    nmap = stand_in(document(1))
    (nmap / "nmap.second").touch(mode=0o644)
    times = []
    try:
        with Redis() as redis, Fleet(redis, 8, 4, nmap / "nmap") as fleet:
            for _ in range(1 if plan.quick else 3):
                times.append(seconds_of(fleet, 256))
    finally:
        shutil.rmtree(nmap, ignore_errors=True)
    report.at_most("256 runs of a second in boxes, 8 workers of 4 slots",
                   median(times), 8.6, "s", "8.0 s are the runs")


def seconds_of(fleet, count):
    c = fleet.connect()
    before = fleet.states(c)["completed"]
    start = time.monotonic()
    post_many(fleet, "/api/v1/scans", SECOND, count, connections=8)
    until("the end of all tasks",
          lambda: fleet.states(c)["completed"] >= before + count, pause=0.02, seconds=120)
    took = time.monotonic() - start
    c.close()
    return took


# ---------------------------------------------------------------- a network behind a slow cable


def lab(plan, report):
    """nmap's own pace, one worker against four, each with one slot."""
    hosts = full_hosts()
    times, founds = {1: [], 4: []}, []
    with lab_of(hosts) as net:
        for _ in range(1 if plan.quick else 3):
            for n, seen in times.items():
                with Redis() as redis, LabFleet(net, redis, n, 1) as fleet:
                    took, found = through(fleet, pace="own")
                check(f"{n} workers", found, hosts)
                seen.append(took)
                founds.append(found)
    if any(f != founds[0] for f in founds):
        raise SystemExit("the results differ")
    report.at_most_times("a /24 behind 20 ms, own pace, 4 workers; 1 worker, the same result",
                         median(times[4]), median(times[1]), 0.55, "s")
