"""From starting the server to its first answer, and until it knows what it can run."""
import json
import time
from statistics import median

from pages_bench import first_answer_ms
from servers import FastApi, ScanPod


def levels_ms(server, began):
    """Milliseconds until the levels are known; they are tried while the server answers already."""
    c = server.connect()
    while True:
        _, text = server.ask(c, "GET", "/api/v1/capabilities")
        if not json.loads(text)["sandbox"]["probing"]:
            return (time.monotonic() - began) * 1000
        if time.monotonic() > began + 30:
            raise SystemExit(f"the levels are not known:\n{server.log_tail()}")
        time.sleep(0.001)


def run(plan, report):
    with ScanPod() as server, FastApi() as peer:
        first, levels, peers = [], [], []
        for _ in range(3 if plan.quick else 21):
            server.end()
            began = time.monotonic()
            first.append(first_answer_ms(server, "/api/v1/scans?limit=100"))
            levels.append(levels_ms(server, began))
        for _ in range(3):
            peer.end()
            peers.append(first_answer_ms(peer, "/health"))
    report.at_most("start to first answer, empty store", median(first), 30, "ms",
                   f"slowest {max(first):.1f} ms, peer {median(peers):.0f} ms")
    report.note("start until the levels are known", f"{median(levels):.1f} ms",
                f"slowest {max(levels):.1f} ms")
