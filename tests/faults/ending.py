"""The end of a fleet: all that there is to be read, and what is left where nothing should be."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from checker import History

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error: |Assertion .* failed")
BAD_DEATHS = (-4, -6, -7, -11, -31, 98, 99)  # of a signal that means a bug, or of a sanitizer


def streams_left(fleet):
    """Entries that nobody took or acknowledged."""
    left = []
    for key in (fleet.redis_says("--scan", "--pattern", "scanpod:*") or "").split():
        name = key.removeprefix("scanpod:")
        if name.startswith("q:") or name == "reports":
            n = fleet.redis_says("XLEN", key)
            group = "server" if name == "reports" else "workers"
            pending = (fleet.redis_says("XPENDING", key, group) or "?").split()
            if n != "0" or pending[:1] != ["0"]:
                left.append(f"stream {name} has {n} entries, pending {pending}")
    return left


def files_left(fleet):
    left = []
    for name in ("server", *fleet.worker_names):
        for folder in ("work", "spool"):
            path = fleet.dir / name / folder
            if path.is_dir():
                left += [f"{name}: {p.relative_to(fleet.dir)}" for p in path.rglob("*")]
        if name != "server" and (fleet.dir / name / "blob").is_dir():
            left += [f"{name}: {p.relative_to(fleet.dir)}"
                     for p in (fleet.dir / name / "blob").rglob("*") if p.is_file()]
    return left


def raw_left(fleet, jobs):
    """Raw output on the server's disk that is no job's, and half of one."""
    names = [p.name for p in (fleet.dir / "server/blob").rglob("*") if p.is_file()]
    owners = [job_id for job_id, job in jobs.items() if job["raw"]]
    left = [f"server: blob {name}" for name in names
            if name.split(".")[0] not in owners or not name.endswith(".zst")]
    if len(names) != len(owners) and not left:
        left.append(f"server: {len(names)} blobs of {len(owners)} jobs")
    return left


def quiet(fleet):
    return not streams_left(fleet) and not files_left(fleet)


def collect_of(fleet, accepted, truth):
    return collect(fleet, truth, History(accepted=accepted,
                                         asked={s.task: s for s in accepted.values()}))


def collect(fleet, truth, h):
    """Fills `h` with all that there is to be read once every job is over; ends the fleet."""
    ids = [job["id"] for job in fleet.api.pages("/api/v1/scans")]
    with ThreadPoolExecutor(8) as pool:
        h.jobs = dict(zip(ids, pool.map(lambda i: fleet.api.get(f"/api/v1/scans/{i}"), ids)))
        h.hosts = dict(zip(ids, pool.map(lambda i: fleet.api.pages(f"/api/v1/scans/{i}/hosts"), ids)))
    h.metrics = fleet.api.metrics()
    h.events = fleet.api.events()
    h.truth = truth.read()
    # Workers that live always have something to say; what is still there without them stays.
    h.left = fleet.stop_workers()
    deadline = time.monotonic() + 10
    while not quiet(fleet) and time.monotonic() < deadline:
        time.sleep(0.1)
    h.left += fleet.stop_server() + streams_left(fleet) + files_left(fleet)
    h.left += raw_left(fleet, h.jobs)
    h.left += [f"process {pid}: {words}" for pid, words in fleet.own_processes()
               if "redis" not in words]
    for child in fleet.children:
        h.left += [f"{child.name} died with {status}" for status in child.deaths
                   if status in BAD_DEATHS]
        hit = SANITIZER_REPORT.search(child.log())
        if hit:
            h.left.append(f"{child.name}: {child.log()[hit.start():][:3000]}")
    return h
