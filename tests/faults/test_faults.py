"""
Faults at random moments, with 200 jobs in flight: at the end every job is over, once, no two runs
of one were ever alive at the same time, and nothing is left of anything. docs/faults.md.
"""

import random
import time

import pytest

import injectors
from checker import History, check, tally
from ending import collect
from load import Load
from settings import ROUNDS, SCALE, SEED
from truth import Reader

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
    "restart": (injectors.restart, 1),
    "empty_redis": (injectors.empty_redis, 1),
    "anything": (injectors.anything, 2),
}
# Neither a worker nor what it says is lost: each run is an attempt.
STRICT = ("kill_server", "clock")
# No run is lost: nothing is away for as long as a lease. Of Redis that is true at real times only,
# as the pauses between attempts to connect are not scaled.
KEPT = ("clock", "restart", *(["kill_redis"] if SCALE == 1 else []))


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


# ---------------------------------------------------------------- the rounds


def rounds_of(fleet, load, truth, inject, at_once, rng):
    """Faults, one batch after the other, each while something runs."""
    done = 0
    while done < ROUNDS:
        n = min(at_once, ROUNDS - done)
        fleet.wait(lambda: load.fault or truth.read().alive(boot_ns()), 60, "something to run")
        assert load.fault is None, load.fault
        # At real times all have to have come back, or faults add up to longer ones.
        time.sleep(rng.uniform(25, 40) if SCALE == 1 else rng.uniform(0.05, 0.8))
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
    with make_fleet(slow=kind in ("slow", "anything")) as fleet:
        truth = Reader(fleet.truth / "truth.log")
        load = Load(fleet.api, f"{SEED}-{kind}", fleet.lease_s)
        load.start()
        fleet.wait(lambda: load.most >= 200, 60, "200 jobs in flight")
        began = time.monotonic()
        rounds_of(fleet, load, truth, inject, at_once, rng)
        faults_s = time.monotonic() - began
        ended = time.monotonic()
        finish(fleet, load)
        over_s = time.monotonic() - ended
        history = collect(fleet, truth, History(accepted=load.accepted, asked=load.asked,
                                                seen=load.seen, cancels=load.cancels,
                                                unheard=kind not in STRICT))
        starts = {c.name: c.starts for c in fleet.children}
    print(f"{faults_s:.0f} s of faults, {over_s:.0f} s until all was over, {tally(history)}, starts {starts}")
    wrong = check(history)
    if kind in KEPT:
        wrong += [f"{i}: was lost" for i, job in history.jobs.items() if job["lost"]]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
