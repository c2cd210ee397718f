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


def idle_mib(server):
    """Alone on the machine with its program; started and ended here."""
    server.start()
    time.sleep(2)
    mib = private_kib(server.process.pid) / 1024
    server.end()
    return mib


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
    many, empty, peer = ScanPod(data_dir=many_data), ScanPod(), FastApi()
    try:
        memory(plan, report, many, empty, peer)
        many.start()
        pages(plan, report, many)
        count = 3 if plan.quick else 11
        report.at_most(f"start to first answer, {plan.stored:,} jobs",
                       starts(many, "/api/v1/scans?limit=100", count), 30, "ms",
                       f"peer {starts(peer, '/health', 3):.0f} ms")
    finally:
        for server in (many, empty, peer):
            server.stop()
        shutil.rmtree(many_dir, ignore_errors=True)


def memory(plan, report, many, empty, peer):
    report.at_most("idle memory, empty store", idle_mib(empty), 12, "MiB",
                   f"peer {idle_mib(peer):.0f} MiB")
    report.at_most(f"idle memory, {plan.stored:,} jobs", idle_mib(many), 12, "MiB")


def pages(plan, report, many):
    page = "/api/v1/scans?limit=100"
    middle = middle_page(many, min(plan.stored, 50_000))
    got = rounds({
        "health": one_connection(many, "/health", plan),
        "first": one_connection(many, page, plan),
        "middle": one_connection(many, middle, plan),
    }, plan.rounds)
    base = got["health"]["p50_us"]
    for name, what in (("first", "first page"), ("middle", "a page further down")):
        report.at_most(f"{what}: 100 of {plan.stored:,} jobs, server time",
                       (got[name]["p50_us"] - base) / 1000, 0.3, "ms",
                       f"whole request {got[name]['p50_us']:.0f} us, /health {base:.0f} us")
