"""
A task that takes twenty times as long as its lease runs once: renewals have nothing to do with how
long a scan takes, nor with how long a broker lets a message wait for its acknowledgement.

In CI 40 s and a lease of 2 s; SCANPOD_FAULT_FULL=1: ten minutes and half a minute.
"""

import pika
import pytest

from checker import check
from ending import collect_of
from load import SECONDS, Spec, submit
from messages import JOBS, RabbitServer, body_of, have_rabbit, queues, take_results
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


def by_message(fleet):
    """The id, once there is the job; the broker has its acknowledgement long before the end."""

    def put():
        with pika.BlockingConnection(pika.URLParameters(fleet.broker.url())) as connection:
            connection.channel().basic_publish("", JOBS, body_of(SPEC).encode())

    fleet.wait(lambda: JOBS in fleet.hosts.call("server", queues, fleet.broker), 30, "the queue")
    fleet.hosts.call("server", put)
    (job,) = fleet.wait(lambda: fleet.api.pages("/api/v1/scans"), 30, "the job")
    fleet.wait(lambda: fleet.hosts.call("server", queues, fleet.broker)[JOBS] == (0, 0), 10,
               "the acknowledgement")
    return job["id"]


def test_it_runs_once_over_redis(make_fleet):
    with make_fleet(scale=SCALE, workers=2) as fleet:
        only_run(fleet, by_http(fleet))


@pytest.mark.skipif(not have_rabbit(), reason="rabbitmq-server is not installed")
def test_it_runs_once_when_it_comes_from_rabbitmq(make_fleet):
    with make_fleet(scale=SCALE, workers=2, broker=RabbitServer) as fleet:
        job_id = by_message(fleet)
        only_run(fleet, job_id)
        (result,) = fleet.hosts.call("server", take_results, fleet.broker)
        assert (result["task_id"], result["status"]) == (f"task-{SPEC.task}", "completed"), result
