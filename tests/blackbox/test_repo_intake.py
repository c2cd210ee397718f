"""Requests for repository scans that come by message queues, and what is answered there."""

import json
import uuid

import pytest

from brokers import RedisServer, have_rabbit, have_redis
from conftest import wait_until
from intake_rig import DEAD, JOBS, RESULTS, wait_dead, wait_jobs
from repo_lab import NO_GIT, SECRET_LINE, fresh_lab, git

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.seconds(120)
_ = (fresh_lab, git)

ONLY_RULES = {f"SCANPOD_ENGINE_{e}": "/nonexistent/x"
              for e in ("FLAWFINDER", "CPPCHECK", "BANDIT", "SHELLCHECK", "CLAUDE")}  # fmt: skip


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
def intake(fresh_lab, broker):
    def make(query="", **env):
        return fresh_lab(env={"SCANPOD_INTAKE": broker.url + query, **ONLY_RULES, **env})

    return make


def results(client, n):
    wait_until(lambda: client.llen(RESULTS) >= n, 40, f"{n} results")
    got = [json.loads(r) for r in client.lrange(RESULTS, 0, -1)]
    return {r["task_id"]: r for r in got}


@pytest.mark.smoke
def test_requests_in_old_and_new_words_are_scans_and_their_results_have_findings(intake, client):
    lab = intake()
    old, new = lab.repo({"a.py": SECRET_LINE}), lab.repo({"b.c": "// FLAWh x\n"})
    client.lpush(JOBS, json.dumps({"task_id": "o", "repo_url": old.url, "branch": "main"}),
                 json.dumps({"task_id": "n", "url": new.url, "engines": ["lab-ok"]}))  # fmt: skip
    got = results(client, 2)
    for task, repo, path in (("o", old, "a.py"), ("n", new, "b.c")):
        r = got[task]
        assert (r["status"], r["tool"], r["target"]) == ("completed", "repo", repo.url), r
        assert r["error_message"] is None and r["partial"] is False
        found = r["results"]
        assert (found["repository"], found["branch"]) == (repo.url, "main")
        assert found["commit"] == repo.head["main"] and found["complete"] is True
        assert found["findings_total"] == len(found["findings"]) == sum(found["counts"].values())
        assert found["risk_level"] == "high" and found["truncated"] is False
        (f,) = found["findings"]
        assert (f["path"], f["line"], f["severity"], f["state"]) == (path, 1, "high", "new")
        assert f["rule"] and f["title"] and f["id"]
    assert lab.audit("scan.submit")[0]["detail"]["intake"] == JOBS


def test_a_list_of_findings_that_is_too_long_for_a_message_is_cut_and_says_so(intake, client):
    lab = intake()
    many = "".join(f"// FLAWh number-{i} {'x' * 150}\n" for i in range(3000))
    repo = lab.repo({"a.c": many})
    client.lpush(JOBS, json.dumps({"task_id": "m", "url": repo.url, "engines": ["lab-ok"]}))
    found = results(client, 1)["m"]["results"]
    assert found["findings_total"] == 3000 and found["counts"]["high"] == 3000
    assert found["truncated"] is True and 0 < len(found["findings"]) < 3000


def test_a_scan_that_fails_is_told_with_its_reason(intake, client):
    lab = intake()
    client.lpush(JOBS, json.dumps({"task_id": "e", "repo_url": lab.repo().url}))
    r = results(client, 1)["e"]
    assert r["status"] == "failed" and "empty" in r["error_message"]


def test_one_task_id_is_one_scan(intake, client):
    lab = intake()
    body = json.dumps({"task_id": "one", "url": lab.repo({"b.c": "x"}).url, "engines": ["lab-ok"]})
    for _ in range(3):
        client.lpush(JOBS, body)
    results(client, 1)
    client.lpush(JOBS, body)
    wait_until(lambda: client.llen(JOBS) == 0, 20, "the queue to be empty")
    assert len(wait_jobs(lab.server, 1)) == 1 and client.llen(RESULTS) == 1


@pytest.mark.parametrize(
    "more, why",
    [
        ({"repo_url": "https://user:pw@127.0.0.1/a"}, "repo_url"),
        ({"repo_url": "ext::sh -c id"}, "repo_url"),
        ({"repo_url": "https://127.0.0.1:1/a", "branch": "--upload-pack=x"}, "branch"),
        ({"repo_url": "https://127.0.0.1:1/a", "claude_cli_args": "--settings x"}, "--settings"),
        ({"url": "https://127.0.0.1:1/a", "shell": "id"}, "/shell"),
        ({"url": "https://127.0.0.1:1/a", "engines": ["nonesuch!"]}, "/engines"),
        ({"url": "https://10.0.0.1/a"}, "repositor"),
        ({"url": "dir:here"}, "directory"),
    ],
    ids=lambda v: "" if isinstance(v, str) else next(iter(v.values()))[:30],
)
def test_a_bad_request_goes_to_the_dead_letters(intake, client, more, why):
    lab = intake(**NO_GIT)
    task = uuid.uuid4().hex
    client.lpush(JOBS, json.dumps({"task_id": task, **more}))
    (dead,) = wait_dead(lab.server, 1)
    assert dead["task_id"] == task and why in dead["reason"], dead
    assert results(client, 1)[task]["status"] == "failed"
    wait_until(lambda: client.llen(DEAD) == 1, 20, "the broker's dead letter")
    assert lab.server.get("/api/v1/repo-scans").json()["items"] == []


def test_a_queue_whose_key_may_not_submit_repositories_has_them_refused(intake, client):
    lab = intake("?key=net", **NO_GIT)
    lab.key("net", ["submit:network"])
    client.lpush(JOBS, json.dumps({"task_id": "k", "url": "https://127.0.0.1:1/a"}))
    (dead,) = wait_dead(lab.server, 1)
    assert "submit:repo" in dead["reason"]


def test_celery_sends_them_too(intake, client, broker):
    celery = pytest.importorskip("celery")
    lab = intake("?queue=celery")
    app = celery.Celery(broker=broker.url, backend=broker.url)
    repo = lab.repo({"a.py": SECRET_LINE})
    sent = app.send_task("scanpod.repo", kwargs={"repo_url": repo.url}, queue="celery")
    got = sent.get(timeout=60)
    assert got["status"] == "completed" and got["results"]["findings_total"] == 1
    app.close()


def test_rabbit_brings_them(fresh_lab):
    if not have_rabbit():
        pytest.skip("rabbitmq-server is not installed")
    pika = pytest.importorskip("pika")
    from brokers import RabbitServer

    with RabbitServer() as rabbit:
        lab = fresh_lab(env={"SCANPOD_INTAKE": rabbit.url(), **ONLY_RULES})
        repo = lab.repo({"a.py": SECRET_LINE})
        with pika.BlockingConnection(pika.URLParameters(rabbit.url())) as c:
            ch = c.channel()
            ch.queue_declare(JOBS, passive=True)
            ch.basic_publish("", JOBS, json.dumps({"task_id": "r", "repo_url": repo.url}))
            take = lambda: ch.basic_get(RESULTS, auto_ack=True)[2]
            r = json.loads(wait_until(take, 60, "the result"))
        assert r["status"] == "completed" and r["results"]["findings"][0]["path"] == "a.py"
