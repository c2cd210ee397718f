"""Jobs, kept coming, and what the API says of them while they run."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet import Down

COMPLETES, FAILS_ONCE, CRASHES, GARBAGE, CRASHES_ONCE, SECONDS = range(6)
WEIGHTS = {COMPLETES: 70, FAILS_ONCE: 10, CRASHES: 7, GARBAGE: 5, CRASHES_ONCE: 8}
TERMINAL = ("completed", "failed", "cancelled", "timed_out", "expired")
OPEN = "scheduled,queued,waiting,running"


@dataclass(frozen=True)
class Spec:
    """What was asked for. `task` is its name in the truth log, no other job's."""

    task: str
    bits: int
    port: int

    @property
    def kind(self):
        return self.port // 10000

    @property
    def addresses(self):
        head, last = self.task.rsplit(".", 1)
        return [f"{head}.{int(last) + i}" for i in range(1 << (32 - self.bits))]

    @property
    def targets(self):
        return self.task if self.bits == 32 else f"{self.task}/{self.bits}"


def make_spec(number, rng, lease_s):
    """
    The numberth job: 127.x.y.z with the last two bits free for a /30. Takes 0.1 to 3 s; one in
    eight takes longer than a worker may run it without a sign of the server.
    """
    n = (number + 1) << 2
    if rng.random() < 0.125:
        seconds = rng.uniform(0.85, 2) * lease_s
        kind, hundredths = COMPLETES, int(seconds * 100)
        if hundredths > 9999:
            kind, hundredths = SECONDS, int(seconds)
    else:
        kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        hundredths = int(10 * 30 ** rng.random())
    return Spec(f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", 30 if rng.random() < 0.3 else 32,
                kind * 10000 + hundredths)


def submit(api, spec):
    """The id; Down if it is not known whether the job was accepted."""
    status, text = api.request("POST", "/api/v1/scans", {
        "targets": spec.targets, "ports": str(spec.port), "arguments": "-sT", "retries": 3})
    if status != 202:
        raise Down(f"{status} {text[:300]!r}")
    return json.loads(text)["id"]


class Load(threading.Thread):
    """Keeps `flight` jobs open until told to halt; looks at all that there are."""

    def __init__(self, api, seed, lease_s, flight=220):
        super().__init__(daemon=True)
        self.api, self.lease_s, self.flight = api, lease_s, flight
        self.rng = random.Random(f"{seed}-load")
        self.accepted = {}  # id: spec
        self.asked = {}  # task: spec; those without an answer may be there or not
        self.seen = {}  # id: [(state, rev), ...], each change that was seen
        self.cancels = {}  # id: status of the answer, None if there was none
        self.open = 0  # jobs that were not over when we last looked
        self.most, self.open_ids = 0, []
        self.halt = threading.Event()
        self.pool = ThreadPoolExecutor(8)
        self.fault = None

    def _submit(self, spec):
        try:
            self.accepted[submit(self.api, spec)] = spec
        except Down:
            pass

    def _feed(self, n):
        specs = []
        for _ in range(n):
            specs.append(make_spec(len(self.asked), self.rng, self.lease_s))
            self.asked[specs[-1].task] = specs[-1]
        list(self.pool.map(self._submit, specs))

    def _note(self, jobs):
        for job in jobs:
            states = self.seen.setdefault(job["id"], [])
            now = (job["state"], job["rev"])
            if not states or states[-1] != now:
                states.append(now)

    def _look(self):
        jobs = self.api.pages(f"/api/v1/scans?state={OPEN}")
        self._note(jobs)
        self.open, self.open_ids = len(jobs), [job["id"] for job in jobs]
        self.most = max(self.most, self.open)

    def _cancel(self):
        """Now and then one of those that are not over."""
        if self.open_ids and self.rng.random() < 0.25:
            job = self.rng.choice(self.open_ids)
            self.cancels.setdefault(job, None)
            status, _ = self.api.request("POST", f"/api/v1/scans/{job}/cancel")
            if self.cancels[job] != 200:
                self.cancels[job] = status

    def run(self):
        looked = time.monotonic()
        try:
            while not self.halt.wait(0.3):
                try:
                    self._look()
                    self._feed(self.flight - self.open)
                    self._cancel()
                    if time.monotonic() - looked > 5:
                        self._note(self.api.pages("/api/v1/scans"))
                        looked = time.monotonic()
                except Down:
                    pass
        except Exception as exc:  # told by the test, whose thread this is not
            self.fault = exc
            raise

    def all_over(self):
        try:
            self._look()
        except Down:
            return False
        return self.open == 0
