"""Requests that come through Redis, as a list, as a stream and from Celery, and their results."""

import base64
import gc
import json
import os
import signal
import uuid

import pytest

from brokers import RedisServer, have_redis
from conftest import StartFailed, kill_if_there, proc_text, wait_until
from intake_rig import (
    DEAD,
    JOBS,
    RESULTS,
    audit,
    dead_letters,
    jobs,
    message,
    nmap,
    text,
    wait_dead,
    wait_jobs,
    wait_log,
)

celery = pytest.importorskip("celery")
redis = pytest.importorskip("redis")


@pytest.fixture
def broker():
    if not have_redis():
        pytest.skip("redis-server is not installed")
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(broker):
    with redis.Redis(port=broker.port) as c:
        yield c


@pytest.fixture
def intake_server(make_server, broker):
    def make(query="", env=None, **more):
        return make_server(env={"SCANPOD_INTAKE": broker.url + query, **(env or {})}, **more)

    return make


def put(client, *messages, queue=JOBS):
    client.lpush(queue, *[text(m) for m in messages])


def results(client, n=1, queue=RESULTS, seconds=40):
    """The first n of them, oldest first; they stay."""

    def look():
        return client.llen(queue) >= n

    wait_until(look, seconds, f"{n} results in {queue}")
    return [json.loads(r) for r in client.lrange(queue, 0, -1)]


def test_a_message_becomes_a_job_and_its_result_has_the_shape_of_the_third_system(
    intake_server, client
):
    srv = intake_server()
    put(client, nmap("t-1"))
    (result,) = results(client)
    (job,) = jobs(srv)
    assert (result["task_id"], result["status"]) == ("t-1", "completed")
    assert (result["tool"], result["target"]) == ("nmap", "127.0.0.1")
    assert result["error_message"] is None and result["job_id"] == job["id"]
    found = result["results"]
    port = {"port_id": 80, "protocol": "tcp", "state": "open", "service": "http"}
    assert (found["host"], found["ip"], found["ports"]) == ("localhost", "127.0.0.1", [port])
    assert found["hosts"] == [
        {"host": "localhost", "ip": "127.0.0.1", "state": "up", "ports": [port]}
    ]
    assert found["raw_output_path"] == f"/api/v1/scans/{job['id']}/raw"
    assert srv.get(found["raw_output_path"]).status_code == 200
    assert found["truncated"] is False and found["hosts_total"] == 1
    (entry,) = audit(srv, "scan.submit")
    assert entry["actor"] == "config" and entry["detail"]["intake"] == JOBS
    assert wait_until(lambda: client.keys(f"{JOBS}:taken:*") == [], what="all being acknowledged")


def test_a_result_goes_where_the_message_says(intake_server, client):
    intake_server()
    put(client, message("a", reply_to="mine"), message("b"))
    assert [r["task_id"] for r in results(client, queue="mine")] == ["a"]
    assert [r["task_id"] for r in results(client)] == ["b"]


def test_a_stream_is_read_too(intake_server, client):
    srv = intake_server("?kind=stream")
    client.xadd(JOBS, {"body": json.dumps(message("s-1"))})
    client.xadd(JOBS, {"task_id": "s-2", "tool": "noop", "target": "127.0.0.1"})
    assert len(wait_jobs(srv, 2)) == 2
    wait_until(lambda: client.xlen(JOBS) == 0, 20, "the stream to be empty")


def test_the_same_task_id_is_one_job_and_another_request_under_it_is_refused(
    intake_server, client
):
    srv = intake_server()
    put(client, message("one"))
    wait_jobs(srv, 1)
    put(client, message("one"), message("one"))
    put(client, dict(reversed(message("one").items())))
    put(client, message("one", target="127.0.0.2"))
    (dead,) = wait_dead(srv, 1)
    assert dead["task_id"] == "one" and "another request" in dead["reason"]
    assert json.loads(dead["body"])["target"] == "127.0.0.2"
    put(client, message("two"))
    wait_jobs(srv, 2)
    assert len(jobs(srv)) == 2
    assert sorted(r["task_id"] for r in results(client, 2)) == ["one", "two"], "none of a refusal"


def test_names_are_resolved_as_for_http(intake_server, client):
    srv = intake_server()
    put(client, message("n", target="localhost"), message("n", target="localhost"))
    (job,) = wait_jobs(srv, 1)
    assert job["targets"] == "localhost"
    put(client, message("x", target="no-such-name.invalid"))
    (dead,) = wait_dead(srv, 1)
    assert "no-such-name.invalid" in dead["reason"]
    assert len(jobs(srv)) == 1


@pytest.mark.parametrize(
    "bad, why",
    [
        ("{not json", "not JSON"),
        ('["a"]', "not a JSON object"),
        (message("u", tool="rm"), "there is no such tool 'rm'"),
        (nmap("p", ports="99999"), "/ports"),
        (nmap("t", timeout_seconds=10**9), "/timeout_seconds"),
        (message("m", shell="rm -rf /"), "/shell: unknown member"),
        ({"tool": "noop", "target": "127.0.0.1"}, "/task_id: is required"),
        (message("s", target="203.0.113.7"), "is not allowed"),
        (nmap("o", arguments=["-oN", "/etc/passwd"]), "-oN"),
        (nmap("d", arguments=["-Pn; reboot"]), "/arguments"),
        ({"task_id": "r", "repo_url": "file:///etc"}, "/repo_url"),
        (message("h", target="127.0.0.1 " * 20000), "bytes, more than"),
        ("x" * 900000, "bytes, more than"),
        (message("\u00e9"), "visible ASCII"),
    ],
    ids=[
        "no-json",
        "no-object",
        "unknown-tool",
        "ports-out-of-range",
        "time-out-out-of-range",
        "unknown-member",
        "no-task-id",
        "out-of-scope",
        "forbidden-option",
        "no-shell",
        "repository",
        "large-request",
        "huge-message",
        "task-id-not-ascii",
    ],
)
def test_what_is_no_request_goes_to_the_dead_letters_with_the_reason(
    intake_server, client, bad, why
):
    srv = intake_server()
    put(client, bad)
    put(client, message("good"))
    (dead,) = wait_dead(srv, 1)
    assert why in dead["reason"] and dead["source"] == JOBS
    assert len(dead["body"].encode()) <= 4096
    (entry,) = audit(srv, "scan.refused")
    assert entry["detail"]["intake"] == JOBS and why in entry["detail"]["reason"]
    wait_until(lambda: client.llen(DEAD) == 1, 20, "the broker's dead letter")
    letter = client.lrange(DEAD, 0, -1)[0].decode()
    assert why in json.loads(letter)["reason"]
    wait_jobs(srv, 1)
    assert len(jobs(srv)) == 1
    task = bad.get("task_id") if isinstance(bad, dict) else None
    if task and len(task) < 100:
        told = [r for r in results(client, 2) if r["task_id"] == task]
        assert told and told[0]["status"] == "failed" and why in told[0]["error_message"]


def test_a_failure_a_time_out_and_a_cancel_are_told(intake_server, client, fake_nmap):
    srv = intake_server(tool=fake_nmap("fail", status=3, text="it burns"))
    put(client, nmap("f", retry_attempts=0))
    (failed,) = results(client)
    assert failed["status"] == "failed" and failed["error_message"]
    srv.stop()
    srv = intake_server(tool=fake_nmap("hang"))
    put(client, nmap("t", timeout_seconds=1, retry_attempts=0))
    late = results(client, 2)[1]
    assert (late["task_id"], late["status"]) == ("t", "timeout")
    put(client, nmap("c"))
    job = wait_until(lambda: [j for j in jobs(srv) if j["state"] == "running"], 20, "a run")[0]
    srv.post(f"/api/v1/scans/{job['id']}/cancel")
    gone = results(client, 3)[2]
    assert (gone["status"], gone["error_message"]) == ("failed", "cancelled")


def test_a_large_result_is_cut_and_says_so(intake_server, client, fake_nmap):
    intake_server(tool=fake_nmap("ok", hosts=3000))
    put(client, nmap("big"))
    (result,) = results(client, seconds=90)
    found = result["results"]
    assert found["truncated"] is True and found["hosts_total"] == 3000
    assert 0 < len(found["hosts"]) < 3000 and found["hosts"][0]["ports"] == []
    assert len(json.dumps(result, separators=(",", ":"))) <= 96 << 10


# ---------------------------------------------------------------- keys and quotas


def add_key(srv, **body):
    made = srv.post("/api/v1/keys", json=body)
    assert made.status_code == 201, made.text
    return made.json()


def test_messages_act_under_the_key_of_their_queue(intake_server, client):
    srv = intake_server("?key=queue")
    put(client, message("k"))
    wait_log(srv, "there is no key 'queue'")
    assert jobs(srv) == [] and dead_letters(srv) == []
    add_key(srv, name="queue", scopes=["read"])
    wait_log(srv, "lacks the scope 'submit:network'")
    srv.delete("/api/v1/keys/queue")
    key = add_key(srv, name="queue", scopes=["read", "submit:network"])
    wait_jobs(srv, 1)
    assert audit(srv, "scan.submit")[0]["actor"] == key["id"]
    srv.delete("/api/v1/keys/queue")
    put(client, message("l"))
    wait_log(srv, "the key 'queue' is not in force any more")
    assert len(jobs(srv)) == 1


def test_without_a_configured_key_nothing_is_taken(intake_server, client):
    srv = intake_server(key=None)
    put(client, message("k"))
    wait_log(srv, "no key is configured")
    assert jobs(srv) == [] and dead_letters(srv) == []
    assert srv.get("/readyz").status_code == 200


def test_a_message_over_the_quota_waits_and_is_taken_later(intake_server, client, fake_nmap):
    srv = intake_server("?key=few", tool=fake_nmap("hang"), env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    add_key(srv, name="few", scopes=["read", "submit:network"], quota={"waiting": 1})
    for task in "abc":
        put(client, nmap(task))
    wait_until(lambda: len(jobs(srv)) == 2, 30, "one that runs and one that waits")
    first = [j for j in jobs(srv) if j["state"] == "running"][0]
    srv.post(f"/api/v1/scans/{first['id']}/cancel")
    wait_until(lambda: len(jobs(srv)) == 3, 90, "the third one")
    assert dead_letters(srv) == []


# ---------------------------------------------------------------- failures


def test_nothing_is_lost_when_the_server_is_killed_again_and_again(intake_server, client):
    srv = intake_server()
    names = [f"k-{i}" for i in range(120)]
    for i, name in enumerate(names):
        put(client, message(name))
        if i % 40 == 20:
            srv.kill()
            srv.start()
    wait_jobs(srv, len(names), 90)
    assert len(jobs(srv)) == len(names), "each message is one job"
    wait_until(lambda: len({r["task_id"] for r in results(client)}) == len(names), 60, "results")
    by_task = {}
    for r in results(client):
        by_task.setdefault(r["task_id"], set()).add(r["event_id"])
    assert all(len(ids) == 1 for ids in by_task.values()), "a repeat has the same event_id"
    wait_until(lambda: client.keys(f"{JOBS}:taken:*") == [], 20, "all being acknowledged")
    assert client.llen(JOBS) == 0


def test_the_counts_of_a_queue_are_in_the_metrics(intake_server, client):
    srv = intake_server("?name=night")
    put(client, message("a"), message("a"), "{")
    results(client)
    wait_dead(srv, 1)

    def counts():
        lines = srv.get("/metrics").text.splitlines()
        return {
            line.split("{")[0]: int(line.split()[1])
            for line in lines
            if line.startswith("scanpod_intake_") and 'intake="night"' in line
        }

    expected = {
        "scanpod_intake_up": 1,
        "scanpod_intake_taken_total": 2,
        "scanpod_intake_refused_total": 1,
        "scanpod_intake_later_total": 0,
        "scanpod_intake_results_total": 1,
        "scanpod_intake_undeliverable_total": 0,
    }
    wait_until(lambda: counts() == expected, 20, f"{expected}, not {counts()}")


def taken_list(srv):
    return f"{JOBS}:taken:{(srv.data_dir / 'intake-id').read_text()}"


def test_a_message_that_was_taken_and_not_committed_is_one_job_after_a_kill(intake_server, client):
    srv = intake_server()
    wait_log(srv, "intake_up")
    os.kill(srv.pid, signal.SIGSTOP)
    put(client, message("a"))
    wait_until(lambda: client.llen(taken_list(srv)) == 1, 20, "the message to be taken")
    srv.kill()
    assert client.llen(taken_list(srv)) == 1
    srv.start()
    assert [r["task_id"] for r in results(client)] == ["a"]
    assert len(jobs(srv)) == 1
    wait_until(lambda: client.llen(taken_list(srv)) == 0, 20, "it being acknowledged")


def test_a_message_that_was_committed_and_not_acknowledged_is_the_same_job(intake_server, client):
    srv = intake_server()
    put(client, message("a"))
    results(client)
    srv.kill()
    client.lpush(taken_list(srv), json.dumps(message("a")))  # as if the kill had come earlier
    srv.start()
    wait_until(lambda: client.llen(taken_list(srv)) == 0, 20, "it being acknowledged")
    put(client, message("b"))
    wait_jobs(srv, 2)
    assert len(jobs(srv)) == 2 and dead_letters(srv) == []


def test_a_server_and_then_a_broker_that_are_away_lose_nothing(intake_server, broker, client):
    srv = intake_server()
    put(client, message("a"))
    results(client, 1)
    srv.stop()
    put(client, message("b"))
    srv.start()
    results(client, 2)
    put(client, nmap("c"))
    broker.kill()
    wait_log(srv, "intake_down")
    assert srv.get("/readyz").status_code == 200
    broker.start()
    put(client, message("d"))
    got = {r["task_id"] for r in results(client, 4)}
    assert got == {"a", "b", "c", "d"}


def test_a_result_that_came_while_the_broker_was_away_is_told_after_it(
    intake_server, broker, client, fake_nmap
):
    srv = intake_server(tool=fake_nmap("progress", steps=20, pause=0.1))
    put(client, nmap("slow"))
    wait_until(lambda: jobs(srv) and jobs(srv)[0]["state"] == "running", 30, "a run")
    broker.kill()
    wait_jobs(srv, 1)
    srv.restart()
    broker.start()
    assert [r["task_id"] for r in results(client)] == ["slow"]


def test_the_result_of_a_job_that_was_deleted_says_what_is_known(
    intake_server, broker, client
):
    srv = intake_server()
    put(client, message("first"))
    results(client)
    put(client, nmap("gone"))
    broker.kill()
    wait_log(srv, "intake_down")
    wait_until(lambda: len(wait_jobs(srv, 1)) >= 1, 20, "the job")
    for job in jobs(srv):
        srv.delete(f"/api/v1/scans/{job['id']}")
    broker.start()
    told = [r for r in results(client, 2) if r["task_id"] == "gone"]
    assert told and told[0]["status"] == "completed"


def test_wrong_credentials_are_logged_and_the_server_serves(make_server, broker):
    url = f"redis://nobody:s3cret@127.0.0.1:{broker.port}/0"
    srv = make_server(env={"SCANPOD_INTAKE": url})
    wait_log(srv, "intake_down")
    assert "s3cret" not in srv.log()
    assert srv.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "setting, why",
    [
        ("http://127.0.0.1/", "intake"),
        ("redis://127.0.0.1/0?quue=x", "quue"),
        ("redis://127.0.0.1/0 redis://127.0.0.1/1", "two message queues have the name"),
    ],
)
def test_a_wrong_setting_is_refused_at_the_start(make_server, setting, why):
    srv = make_server(env={"MESSAGE_QUEUE_URL": setting}, start=False)
    with pytest.raises(StartFailed, match=why):
        srv.start()


def test_an_edge_process_that_ends_does_not_take_the_server_with_it(intake_server, client):
    srv = intake_server()
    put(client, message("a"))
    results(client)
    (edge,) = [p for p, _ in srv.children() if proc_text(p, "comm").strip() == "scanpod-edge"]
    kill_if_there(edge)
    wait_log(srv, "intake_ended")
    assert srv.get("/readyz").status_code == 200
    put(client, message("b"))
    srv.restart()
    assert {r["task_id"] for r in results(client, 2)} == {"a", "b"}


# ---------------------------------------------------------------- Celery


@pytest.fixture
def app(broker):
    made = celery.Celery("tests", broker=broker.url, backend=broker.url)
    made.conf.broker_connection_retry_on_startup = False
    yield made
    gc.collect()  # results that nobody holds any more take leave of the broker
    made.close()


def send(app, **kwargs):
    return app.send_task("scanpod.scan", kwargs=kwargs, queue=JOBS)


def test_celery_gets_the_result_of_its_task(intake_server, app):
    srv = intake_server()
    task = send(app, tool="nmap", target="127.0.0.1", ports="80", scan_type="CONNECT_SCAN")
    got = task.get(timeout=60)
    assert got["status"] == "completed" and got["task_id"] == task.id
    assert got["results"]["ports"][0]["port_id"] == 80
    assert task.state == "SUCCESS" and len(jobs(srv)) == 1


def test_celery_raises_what_went_wrong(intake_server, app):
    srv = intake_server()
    task = send(app, tool="noop", target="203.0.113.7")
    with pytest.raises(Exception, match="is not allowed"):
        task.get(timeout=60)
    assert task.state == "FAILURE"
    chained = app.signature("scanpod.scan", kwargs={"tool": "noop", "target": "127.0.0.1"},
                            queue=JOBS)
    chain = celery.chain(chained, app.signature("other.task", queue=JOBS))
    with pytest.raises(Exception, match="chain"):
        chain.apply_async(queue=JOBS).parent.get(timeout=60)
    assert len(wait_dead(srv, 2)) == 2


def test_a_scan_that_fails_raises_in_celery_and_one_that_runs_is_started(
    intake_server, app, fake_nmap
):
    srv = intake_server(tool=fake_nmap("hang"))
    task = send(app, tool="nmap", target="127.0.0.1", ports="80", scan_type="CONNECT_SCAN")
    wait_until(lambda: task.state == "STARTED", 40, "STARTED")
    srv.post(f"/api/v1/scans/{jobs(srv)[0]['id']}/cancel")
    with pytest.raises(Exception, match="cancelled"):
        task.get(timeout=60)


def test_a_pickled_task_is_refused_unread(intake_server, client):
    srv = intake_server()
    envelope = {
        "body": base64.b64encode(b"\x80\x04\x95\x00.").decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"task": "scanpod.scan", "id": str(uuid.uuid4()), "lang": "py"},
        "properties": {"body_encoding": "base64", "delivery_tag": "1", "delivery_info": {}},
    }
    put(client, envelope)
    (dead,) = wait_dead(srv, 1)
    assert "not JSON" in dead["reason"]
    assert jobs(srv) == []
