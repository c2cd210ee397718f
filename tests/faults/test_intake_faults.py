"""
The server and RabbitMQ are killed while requests come in as messages, some of them twice: what the
broker confirmed becomes one job, each job's end is told in messages that share an event, and no
message is left anywhere.
"""

import random
import time

import pytest

import injectors
from checker import History, check, tally
from ending import collect
from messages import DEAD, MessageLoad, RabbitServer, have_rabbit, queues, take_results
from settings import ROUNDS, SCALE, SEED
from test_faults import finish, rounds_of
from truth import Reader

TOLD = {"cancelled": "failed", "timed_out": "timeout"}  # there are three words for an end


def inject(fleet, rng):
    if rng.random() < 0.12:
        return injectors.kill_broker(fleet, rng)
    return injectors.kill_server(fleet, rng)


def told(fleet, jobs, results):
    """Adds what has come since, and says whether each job's end was told."""
    results += fleet.hosts.call("server", take_results, fleet.broker)
    return {r["job_id"] for r in results} >= set(jobs)


def check_results(jobs, results):
    wrong, events = [], {}
    for r in results:
        job = jobs.get(r["job_id"])
        events.setdefault(r["job_id"], set()).add(r["event_id"])
        if job is None or r["task_id"] != f"task-{job['targets'].split('/')[0]}":
            wrong.append(f"a result of no job: {r['job_id']}, {r['task_id']}")
        elif r["status"] != TOLD.get(job["state"], job["state"]):
            wrong.append(f"{r['job_id']}: is {job['state']}, and was told as {r['status']}")
    wrong += [f"{job}: its end is {len(ids)} events" for job, ids in events.items() if len(ids) > 1]
    return wrong + [f"{job}: its end was not told" for job in jobs if job not in events]


@pytest.mark.skipif(not have_rabbit(), reason="rabbitmq-server is not installed")
def test_every_message_becomes_one_job_whose_end_is_told(make_fleet):
    rng = random.Random(f"{SEED}-intake")
    print(f"SCANPOD_FAULT_SEED={SEED} kind=intake rounds={ROUNDS} scale={SCALE}")
    results = []
    with make_fleet(broker=RabbitServer) as fleet:
        truth = Reader(fleet.truth / "truth.log")
        load = MessageLoad(fleet, fleet.broker, f"{SEED}-intake")
        load.start()
        fleet.wait(lambda: load.most >= 200, 60, "200 jobs in flight")
        began = time.monotonic()
        rounds_of(fleet, load, truth, inject, 1, rng)
        faults_s = time.monotonic() - began
        finish(fleet, load)
        jobs = {job["id"]: job for job in fleet.api.pages("/api/v1/scans")}
        fleet.wait(lambda: told(fleet, jobs, results), 60, "the results of all jobs")
        left = [f"queue {name}: {n} messages, {unacked} not acknowledged" for name, (n, unacked)
                in fleet.hosts.call("server", queues, fleet.broker).items() if n and name != DEAD]
        by_task = {job["targets"].split("/")[0]: job_id for job_id, job in jobs.items()}
        left += [f"{task}: was confirmed, and is no job" for task in load.confirmed
                 if task not in by_task]
        accepted = {by_task[t]: s for t, s in load.confirmed.items() if t in by_task}
        history = collect(fleet, truth, History(accepted=accepted, asked=load.asked,
                                                seen=load.seen, cancels=load.cancels))
    print(f"{faults_s:.0f} s of faults, {tally(history)}, {len(results)} results of {len(jobs)} jobs")
    wrong = left + check(history) + check_results(jobs, results)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
