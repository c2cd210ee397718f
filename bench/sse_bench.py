"""Many idle event streams and a load beside them: nobody waits long, nobody is forgotten."""
import selectors
import shutil
import socket
import time

from http_bench import finished_job
from measure import load, submit
from nmap_xml import document
from servers import ScanPod, many_files, stand_in


class Streams:
    """Connections to /api/v1/events that only listen."""

    def __init__(self, server, count):
        request = (f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                   f"X-API-Key: {server.key}\r\nAccept: text/event-stream\r\n\r\n").encode()
        self.socks = []
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port), 10)
            s.sendall(request)
            self.socks.append(s)
        for s in self.socks:
            head = b""
            while b"\r\n\r\n" not in head:
                part = s.recv(4096)
                if not part:
                    raise SystemExit("an event stream was refused: " + head.decode())
                head += part
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit("an event stream was refused: " + head.decode()[:300])
            s.setblocking(False)

    def heard(self, word, seconds):
        """How many streams got `word`, and when (sorted seconds from now)."""
        start = time.monotonic()
        waiting = selectors.DefaultSelector()
        text = {}
        for s in self.socks:
            text[s] = b""
            waiting.register(s, selectors.EVENT_READ)
        times = []
        while len(times) < len(self.socks) and time.monotonic() < start + seconds:
            for key, _ in waiting.select(0.5):
                s = key.fileobj
                part = s.recv(65536)
                text[s] = text[s][-200:] + part
                if word in text[s]:
                    times.append(time.monotonic() - start)
                if word in text[s] or not part:
                    waiting.unregister(s)
        waiting.close()
        return times

    def close(self):
        for s in self.socks:
            s.close()


def measure(plan, report, server):
    path, _ = finished_job(server)
    before = load(server, path, plan.seconds)
    streams = Streams(server, plan.streams)
    beside = load(server, path, plan.seconds * 2)
    mean = beside["answers"] / 64
    report.note("GET by id without streams", f"{before['rate']:,.0f}/s",
                f"p99.9 {before['p999_us'] / 1000:.1f} ms")
    report.note(f"the same beside {plan.streams} streams", f"{beside['rate']:,.0f}/s")
    report.at_most("p99.9 beside the streams", beside["p999_us"] / 1000, 100, "ms",
                   f"longest {beside['max_us'] / 1000:.1f} ms")
    report.ratio("unluckiest connection, against the mean", beside["least"], mean,
                 beside["least"] / mean, 0.25, "")
    c = server.connect()
    job = submit(server, c, {"targets": "127.0.0.1"})
    times = streams.heard(job.encode(), 10)
    report.ratio("streams that heard of a new job", len(times), plan.streams,
                 len(times) / plan.streams, 1, "")
    if times:
        report.note("the last of them after", f"{times[-1] * 1000:.0f} ms")
    # Each POST now reaches every stream: the worst case for fairness.
    busy = load(server, "/scans", plan.seconds, connections=8, method="POST",
                body={"targets": "127.0.0.1"})
    report.note(f"POST while {plan.streams} streams listen", f"{busy['rate']:,.0f}/s",
                f"p99.9 {busy['p999_us'] / 1000:.1f} ms")
    streams.close()


def run(plan, report):
    many_files()
    nmap = stand_in(document(10))
    try:
        with ScanPod(nmap / "nmap") as server:
            measure(plan, report, server)
    finally:
        shutil.rmtree(nmap, ignore_errors=True)
