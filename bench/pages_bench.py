"""With a million jobs stored: a page of a hundred, the time to the first answer, idle memory."""
import json
import shutil
import time

from measure import load, private_kib, rounds
from servers import FastApi, ScanPod, store_copy


def one_connection(server, path, plan):
    return lambda seconds: load(server, path, seconds or plan.seconds, connections=1)


def first_answer_ms(server, path):
    """Milliseconds from starting the process until `path` was answered."""
    start = time.monotonic()
    server.launch()
    while time.monotonic() < start + 30:
        try:
            c = server.connect()
            status, _ = server.ask(c, "GET", path)
            c.close()
            if status == 200:
                return (time.monotonic() - start) * 1000
        except OSError:
            time.sleep(0.0005)
    raise SystemExit(f"no answer:\n{server.log_tail()}")


def starts(server, path, count):
    times = []
    for _ in range(count):
        server.end()
        times.append(first_answer_ms(server, path))
    return sorted(times)[len(times) // 2]


def idle_kib(server):
    time.sleep(2)
    return private_kib(server.process.pid)


def middle_page(server, stored):
    """The path of a page half-way down the list, by following cursors with large pages."""
    c = server.connect()
    path, seen = "/api/v1/scans?limit=1000", 0
    while seen < stored // 2:
        status, text = server.ask(c, "GET", path)
        body = json.loads(text)
        assert status == 200 and body["next_cursor"], text[:300]
        seen += len(body["items"])
        path = f"/api/v1/scans?limit=1000&cursor={body['next_cursor']}"
    c.close()
    return path.replace("limit=1000", "limit=100")


def run(plan, report):
    many_dir, many_data, _ = store_copy(plan.stored)
    try:
        with ScanPod(data_dir=many_data) as many, ScanPod() as empty, FastApi() as peer:
            measure(plan, report, many, empty, peer)
    finally:
        shutil.rmtree(many_dir, ignore_errors=True)


def measure(plan, report, many, empty, peer):
    idle = idle_kib(many), idle_kib(empty), idle_kib(peer)
    page = "/api/v1/scans?limit=100"
    middle = middle_page(many, min(plan.stored, 50_000))
    got = rounds({
        "health": one_connection(many, "/health", plan),
        "first": one_connection(many, page, plan),
        "middle": one_connection(many, middle, plan),
    }, plan.rounds)
    base = got["health"]["p50_us"]
    for name, what in (("first", "first page"), ("middle", "a page further down")):
        report.at_most(f"{what} of 100, {plan.stored:,} jobs: server time",
                       (got[name]["p50_us"] - base) / 1000, 0.3, "ms",
                       f"whole request {got[name]['p50_us']:.0f} us, /health {base:.0f} us")
    report.at_most("idle memory, empty store", idle[1] / 1024, 12, "MiB",
                   f"peer {idle[2] / 1024:.0f} MiB")
    report.at_most(f"idle memory, {plan.stored:,} jobs", idle[0] / 1024, 12, "MiB")
    count = 3 if plan.quick else 11
    report.at_most(f"start to first answer, {plan.stored:,} jobs", starts(many, page, count), 30,
                   "ms", f"peer {starts(peer, '/health', 3):.0f} ms")
