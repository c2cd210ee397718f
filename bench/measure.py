"""Loads, rounds, memory: how the figures are taken."""
import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from servers import BENCH, program


def wrk(url, seconds, connections=64, method="GET", key="", body=None):
    """One run of wrk: rate, p50_us, p99_us, p999_us, max_us, bad."""
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", str(BENCH / "load.lua"),
               url, "--", method, key or "-"]
    if body is not None:
        command.append(json.dumps(body))
    out = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    return checked(json.loads(out.strip().splitlines()[-1]), url)


def load(server, path, seconds, connections=64, method="GET", body=None):
    """The same with our own loop, which also tells what the unluckiest connection got."""
    command = [program("load"), str(server.port), str(connections), str(seconds), method, path,
               server.key or "-"]
    if body is not None:
        command.append(json.dumps(body))
    out = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    return checked(json.loads(out), path)


def post_many(server, path, body, count, connections=8):
    """Sends `count` POSTs as fast as they are answered; the last answer of each connection."""
    out = subprocess.run([program("load"), str(server.port), str(connections), f"n{count}", "POST",
                          path, server.key, json.dumps(body)],
                         check=True, text=True, stdout=subprocess.PIPE).stdout
    figures, last = (json.loads(line) for line in out.strip().splitlines())
    checked(figures, path)
    return last


def checked(figures, what):
    if figures["bad"]:
        raise SystemExit(f"{what}: {figures['bad']} answers were no success")
    return figures


def rounds(cases, count, warm=True):
    """Runs the named callables in turn, `count` times each, so that drift hits all alike.

    Gives {name: {figure: median}}, and under "ratio_of" each round's rates for paired ratios.
    """
    seen = {name: [] for name in cases}
    if warm:
        for run in cases.values():
            run(1)
    for _ in range(count):
        for name, run in cases.items():
            seen[name].append(run(None))
    return {name: Series(runs) for name, runs in seen.items()}


class Series:
    """The rounds of one case."""

    def __init__(self, runs):
        self.runs = runs

    def __getitem__(self, figure):
        return median(r[figure] for r in self.runs)

    def ratio(self, other, figure="rate"):
        """Median of the ratios within each round."""
        return median(a[figure] / b[figure] for a, b in zip(self.runs, other.runs))


def children(pid):
    """The process and all its descendants."""
    found, at = [pid], 0
    while at < len(found):
        with suppress(OSError):  # a process or a thread that ends meanwhile
            for task in os.listdir(f"/proc/{found[at]}/task"):
                with suppress(OSError):
                    text = Path(f"/proc/{found[at]}/task/{task}/children").read_text()
                    found += [int(c) for c in text.split()]
        at += 1
    return found


def private_kib(pid, leave_out=()):
    """Pages that the process and its descendants have for themselves, by smaps_rollup.

    Dirty pages that they share come from the fork of one from the other: counted once. Start no
    second server of the same program meanwhile: the program's own pages would not count.
    """
    private = shared = 0
    for p in children(pid):
        try:
            if Path(f"/proc/{p}/comm").read_text().strip() in leave_out:
                continue
            text = Path(f"/proc/{p}/smaps_rollup").read_text()
        except OSError:
            continue
        kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
        if kib:  # else it ended between the file's opening and its reading
            private += kib["Private_Clean"] + kib["Private_Dirty"]
            shared = max(shared, kib["Shared_Dirty"])
    return private + shared


class Peak:
    """The largest private_kib() while the block runs."""

    def __init__(self, pid, leave_out=()):
        self.pid, self.leave_out = pid, leave_out
        self.kib = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stop.wait(0.02):
            self.kib = max(self.kib, private_kib(self.pid, self.leave_out))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def wait_completed(server, connection, job, pause=0.001):
    """Polls the old surface until the job has ended; its body."""
    while True:
        status, text = server.ask(connection, "GET", f"/scans/{job}")
        body = json.loads(text)
        if status != 200 or body["status"] in ("failed", "cancelled"):
            raise SystemExit(f"job {job}: {text[:500]}")
        if body["status"] == "completed":
            return body
        time.sleep(pause)


def submit(server, connection, request):
    status, text = server.ask(connection, "POST", "/scans", request)
    if status != 202:
        raise SystemExit(f"POST /scans: {status} {text[:500]}")
    return json.loads(text)["job_id"]


def needs_root():
    if os.geteuid() != 0:
        raise SystemExit("this part makes network namespaces: run it as root")
