"""That the whole of it can see what it is to see: a worker that breaks the rule is found out."""

import time

from checker import check
from ending import collect_of
from load import Spec, submit
from settings import FULL
from truth import Reader

SCALE = 10 if FULL else 20


def test_two_live_runs_of_a_task_are_seen_where_a_worker_has_a_wrong_clock(make_fleet):
    """
    Its CLOCK_BOOTTIME nearly stands still: it neither beats nor ends its tools in time, and its
    tasks are given away. Nothing else brings two live runs of a task about.
    """
    with make_fleet(scale=SCALE, workers=2, slots=4) as fleet:
        truth = Reader(fleet.truth / "truth.log")
        hundredths = int(300 * fleet.lease_s)
        specs = [Spec(f"127.8.0.{4 * n}", 32, hundredths) for n in range(1, 5)]
        jobs = {submit(fleet.api, spec): spec for spec in specs}
        fleet.wait(lambda: len(truth.read().runs) == len(jobs), 30, "all to run")
        for name in fleet.worker_names[:1]:
            fleet.set_clock(name, slow=100)
        fleet.wait(lambda: len(truth.read().runs) > len(jobs), 30, "tasks to be given away")
        time.sleep(0.3)  # some ticks of both
        fleet.set_clock(fleet.worker_names[0])
        fleet.wait(lambda: all(fleet.api.get(f"/api/v1/scans/{j}")["completed_at"] for j in jobs),
                   120, "all to be over")
        wrong = check(collect_of(fleet, jobs, truth))
    assert any("began while another one lived" in w for w in wrong), wrong
    assert any("lived" in w and "after the start of" in w for w in wrong), wrong
