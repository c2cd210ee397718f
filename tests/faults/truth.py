"""The truth log of fakescan: which runs there were, and when each lived."""

from dataclasses import dataclass, field


@dataclass
class Run:
    task: str
    run: str
    worker: str
    start: int  # nanoseconds of CLOCK_BOOTTIME, as all of these
    alone: bool  # no other run of the task lived when it began, says the kernel
    last: int = 0  # when it was last seen alive
    end: int | None = None
    status: int | None = None


@dataclass
class Truth:
    runs: dict = field(default_factory=dict)  # by the id of the run
    errors: list = field(default_factory=list)

    def by_task(self):
        tasks = {}
        for run in self.runs.values():
            tasks.setdefault(run.task, []).append(run)
        for runs in tasks.values():
            runs.sort(key=lambda r: r.start)
        return tasks

    def alive(self, now, within=300_000_000):
        """Runs that were seen at most so long before."""
        return [r for r in self.runs.values() if r.end is None and now - r.last < within]


class Reader:
    """Reads what was appended since the last time."""

    def __init__(self, path):
        self.path, self.offset, self.truth = path, 0, Truth()

    def read(self):
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.decode("ascii", "replace").splitlines():
            add_line(self.truth, line)
        return self.truth


def add_line(truth, line):
    try:
        what, task, run_id, worker, ns, detail = line.split(" ")
        ns, detail = int(ns), int(detail)
    except ValueError:
        truth.errors.append(f"not a line of the truth log: {line!r}")
        return
    run = truth.runs.get(run_id)
    if what == "start" and run is None:
        truth.runs[run_id] = Run(task, run_id, worker, ns, detail == 1, ns)
    elif run is None or run.task != task or run.end is not None or what not in ("tick", "end"):
        truth.errors.append(f"out of order in the truth log: {line!r}")
    else:
        run.last = ns
        if what == "end":
            run.end, run.status = ns, detail


def parse(text):
    truth = Truth()
    for line in text.splitlines():
        add_line(truth, line)
    return truth
