"""
Faults at random moments, with 200 jobs in flight: at the end every job is over, once, no two runs
of one were ever alive at the same time, and nothing is left of anything. docs/faults.md.

SCANPOD_FAULT_ROUNDS: faults of each kind (25). SCANPOD_FAULT_SEED: repeats a run, as far as
machines do. SCANPOD_FAULT_FULL=1: lease times as they are, and few rounds. SCANPOD_FAULT_KEEP=1:
the directory stays.
"""

import os
import random
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

import injectors
from checker import History, check, tally
from fleet import Fleet
from load import Load
from truth import Reader

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("SCANPOD_FAULT_FULL", "") not in ("", "0")
ROUNDS = int(os.environ.get("SCANPOD_FAULT_ROUNDS", "3" if FULL else "25"))
SEED = int(os.environ.get("SCANPOD_FAULT_SEED", str(random.SystemRandom().randrange(1 << 32))))
SCALE = 1 if FULL else int(os.environ.get("SCANPOD_LEASE_SCALE", "20"))
KEEP = os.environ.get("SCANPOD_FAULT_KEEP", "") not in ("", "0")

SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error: |Assertion .* failed")

# name: what is done, how many of it at the same time
KINDS = {
    "freeze": (injectors.freeze, 3),
    "cut": (injectors.cut_off, 1),
    "kill_worker": (injectors.kill_worker, 1),
    "kill_redis": (injectors.kill_redis, 1),
    "kill_server": (injectors.kill_server, 1),
    "kill_launcher": (injectors.kill_launcher, 1),
    "slow": (injectors.slow_redis, 1),
    "clock": (injectors.step_clock, 1),
}


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@pytest.fixture(scope="session")
def binary():
    given = Path(os.environ.get("SCANPOD_BIN", ROOT / "build/scanpod")).resolve()
    if not os.access(given, os.X_OK):
        pytest.exit(f"no binary: {given}; run ./test, or set SCANPOD_BIN", 3)
    return given


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="scanpod-faults-"))
    path.chmod(0o755)
    yield path
    if KEEP:
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_fleet(binary, directory):
    if os.geteuid() != 0:
        pytest.skip("needs root: hosts are network namespaces")

    def make(**how):
        return Fleet(binary, binary.parent / "tests/faults", directory, scale=SCALE, **how)

    return make


# ---------------------------------------------------------------- the end


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


def quiet(fleet):
    return not streams_left(fleet) and not files_left(fleet)


def collect(fleet, load, truth):
    """All that there is to be read once every job is over; ends the fleet."""
    h = History(accepted=load.accepted, asked=load.asked, seen=load.seen)
    h.jobs = {job["id"]: job for job in fleet.api.pages("/api/v1/scans")}
    h.hosts = {job_id: fleet.api.pages(f"/api/v1/scans/{job_id}/hosts") for job_id in h.jobs}
    h.events = fleet.api.events()
    h.truth = truth.read()
    deadline = time.monotonic() + 10
    while not quiet(fleet) and time.monotonic() < deadline:
        time.sleep(0.1)
    h.left = streams_left(fleet) + files_left(fleet)
    h.left += fleet.stop()
    h.left += files_left(fleet)
    h.left += [f"process {pid}: {words}" for pid, words in fleet.own_processes()
               if "redis" not in words]
    for child in fleet.children:
        h.left += [f"{child.name} died of signal {-status}" for status in child.deaths
                   if status in (-6, -11, -7, -4, -31, 98, 99)]
        hit = SANITIZER_REPORT.search(child.log())
        if hit:
            h.left.append(f"{child.name}: {child.log()[hit.start():][:3000]}")
    return h


# ---------------------------------------------------------------- the rounds


def rounds_of(fleet, load, truth, inject, at_once, rng):
    """Faults, one batch after the other, each while something runs."""
    done = 0
    while done < ROUNDS:
        n = min(at_once, ROUNDS - done)
        fleet.wait(lambda: load.fault or truth.read().alive(boot_ns()), 60, "something to run")
        assert load.fault is None, load.fault
        time.sleep(rng.uniform(0.05, 0.8))
        running = len(truth.read().alive(boot_ns()))
        word = injectors.several(inject, n)(fleet, rng) if n > 1 else inject(fleet, rng)
        done += n
        print(f"round {done}: {word}; {running} ran, {load.open} open")


def finish(fleet, load):
    load.halt.set()
    load.join(60)
    fleet.wait(load.all_over, 60 + 3 * fleet.lease_s + 60, "all jobs to be over")


@pytest.mark.parametrize("kind", KINDS)
def test_every_job_ends_once_and_nothing_is_left_after(kind, make_fleet):
    inject, at_once = KINDS[kind]
    rng = random.Random(f"{SEED}-{kind}")
    print(f"SCANPOD_FAULT_SEED={SEED} kind={kind} rounds={ROUNDS} scale={SCALE}")
    with make_fleet(slow=kind == "slow") as fleet:
        truth = Reader(fleet.truth / "truth.log")
        load = Load(fleet.api, f"{SEED}-{kind}")
        load.start()
        fleet.wait(lambda: load.most >= 200, 60, "200 jobs in flight")
        began = time.monotonic()
        rounds_of(fleet, load, truth, inject, at_once, rng)
        faults_s = time.monotonic() - began
        ended = time.monotonic()
        finish(fleet, load)
        over_s = time.monotonic() - ended
        history = collect(fleet, load, truth)
        starts = {c.name: c.starts for c in fleet.children}
    print(f"{faults_s:.0f} s of faults, {over_s:.0f} s until all was over, {tally(history)}, starts {starts}")
    wrong = check(history)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
