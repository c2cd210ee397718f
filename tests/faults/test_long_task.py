"""
A task that takes twenty times as long as its lease runs once: renewals have nothing to do with how
long a scan takes, nor with how long a broker lets a message wait for its acknowledgement.

In CI 40 s and a lease of 2 s; SCANPOD_FAULT_FULL=1: ten minutes and half a minute.
"""

from checker import check
from ending import collect_of
from load import SECONDS, Spec, submit
from settings import FULL
from truth import Reader

SECONDS_IT_TAKES, SCALE = (600, 3) if FULL else (40, 40)
SPEC = Spec("127.9.9.4", 32, SECONDS * 10000 + SECONDS_IT_TAKES)


def by_http(fleet):
    return submit(fleet.api, SPEC)


def only_run(fleet, job_id):
    truth = Reader(fleet.truth / "truth.log")
    fleet.wait(lambda: truth.read().runs, 30, "its start")
    fleet.wait(lambda: fleet.api.get(f"/api/v1/scans/{job_id}")["completed_at"],
               SECONDS_IT_TAKES + 60, "its end")
    history = collect_of(fleet, {job_id: SPEC}, truth)
    assert check(history) == []
    assert len(history.truth.runs) == 1, history.truth
    job = history.jobs[job_id]
    assert (job["state"], job["attempts"], job["lost"]) == ("completed", 1, 0), job


def test_it_runs_once_over_redis(make_fleet):
    with make_fleet(scale=SCALE, workers=2) as fleet:
        only_run(fleet, by_http(fleet))
