"""Requests that come through RabbitMQ, from pika and from Celery, and their results."""

import json

import pytest

from brokers import RabbitServer, have_rabbit
from conftest import wait_until
from intake_rig import (
    DEAD,
    JOBS,
    RESULTS,
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
pika = pytest.importorskip("pika")


@pytest.fixture(scope="module")
def rabbit():
    if not have_rabbit():
        pytest.skip("rabbitmq-server is not installed")
    with RabbitServer() as server:
        yield server


@pytest.fixture
def vhost(rabbit, request):
    """One for each test: its queues are its own."""
    name = f"v{abs(hash(request.node.name)) % 10**9}"
    rabbit.ctl("add_vhost", name)
    rabbit.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield name
    rabbit.ctl("delete_vhost", name)


@pytest.fixture
def intake_server(make_server, rabbit, vhost):
    def make(query="", env=None, **more):
        return make_server(
            env={"MESSAGE_QUEUE_URL": rabbit.url(vhost=vhost) + query, **(env or {})}, **more
        )

    return make


class Client:
    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()

    def declare(self, queue):
        self.channel.queue_declare(queue, durable=True)

    def put(self, body, **properties):
        self.channel.basic_publish("", JOBS, text(body).encode(),
                                   pika.BasicProperties(delivery_mode=2, **properties))

    def get(self, queue=RESULTS, seconds=40):
        """The next message and its properties."""

        def look():
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            return (body, properties) if method else None

        return wait_until(look, seconds, f"a message in {queue}")

    def result(self, queue=RESULTS, seconds=40):
        return json.loads(self.get(queue, seconds)[0])

    def waiting(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count


@pytest.fixture
def client(rabbit, vhost):
    made = Client(rabbit.url(vhost=vhost))
    yield made
    made.connection.close()


@pytest.fixture
def up(intake_server):
    """A server whose queues are there."""

    def make(**more):
        srv = intake_server(**more)
        wait_log(srv, "intake_up")
        return srv

    return make


def test_a_message_of_pika_becomes_a_job_and_the_result_comes_back(up, client):
    srv = up()
    client.declare(RESULTS)
    client.put(nmap("t-1"))
    result = client.result()
    assert (result["task_id"], result["status"]) == ("t-1", "completed")
    assert result["results"]["ports"] == [
        {"port_id": 80, "protocol": "tcp", "state": "open", "service": "http"}
    ]
    assert result["job_id"] == jobs(srv)[0]["id"]
    assert client.waiting(JOBS) == 0


def test_the_answer_goes_to_reply_to_with_the_correlation_id(up, client):
    up()
    answers = client.channel.queue_declare("", exclusive=True).method.queue
    client.put(message("r"), reply_to=answers, correlation_id="c-77")
    body, properties = client.get(answers)
    assert json.loads(body)["task_id"] == "r" and properties.correlation_id == "c-77"


def test_a_reply_queue_that_is_gone_makes_a_dead_letter(up, client):
    srv = up()
    client.put(message("lost"), reply_to="nobody.reads.this")
    (dead,) = wait_dead(srv, 1)
    assert dead["task_id"] == "lost" and dead["reason"].startswith("undeliverable: ")
    client.declare(RESULTS)
    client.put(message("next"))
    assert client.result()["task_id"] == "next"


def test_what_is_no_request_goes_to_the_dead_letter_queue_with_its_reason(up, client):
    srv = up()
    client.declare(RESULTS)
    client.put("{not json")
    client.put(message("u", tool="rm"))
    client.put(nmap("p", ports="0-99999"))
    client.put(b"\x80\x04\x95pickle".decode("latin1"),
               content_type="application/x-python-serialize")
    client.put("x" * 500000)
    client.put(message("good"))
    assert len(wait_dead(srv, 5)) == 5
    reasons = " ".join(d["reason"] for d in dead_letters(srv))
    for why in ("not JSON", "no such tool 'rm'", "/ports", "only JSON", "bytes, more than"):
        assert why in reasons
    wait_until(lambda: client.waiting(DEAD) == 5, 20, "five dead letters")
    _, properties = client.get(DEAD)
    assert any("reason" in name for name in properties.headers), properties.headers
    told = {}
    while "good" not in told or len(told) < 3:
        r = client.result()
        told[r["task_id"]] = r["status"]
    assert told == {"u": "failed", "p": "failed", "good": "completed"}
    assert len(jobs(srv)) == 1


def test_a_message_twice_is_one_job_also_after_a_kill(up, client):
    srv = up()
    client.declare(RESULTS)
    names = [f"k-{i}" for i in range(60)]
    for i, name in enumerate(names):
        client.put(message(name))
        client.put(message(name))
        if i % 30 == 10:
            srv.kill()
            srv.start()
    wait_jobs(srv, len(names), 90)
    seen = {}
    while len(seen) < len(names):
        r = client.result()
        seen.setdefault(r["task_id"], set()).add(r["event_id"])
    assert all(len(ids) == 1 for ids in seen.values())
    wait_until(lambda: client.waiting(JOBS) == 0, 20, "all being acknowledged")
    assert len(jobs(srv)) == len(names) and dead_letters(srv) == []


def test_a_broker_that_restarts_loses_nothing(up, rabbit, vhost):
    srv = up()
    client = Client(rabbit.url(vhost=vhost))
    client.declare(RESULTS)
    client.put(message("a"))
    assert client.result()["task_id"] == "a"
    rabbit.kill()
    wait_log(srv, "intake_down")
    rabbit.start()
    client = Client(rabbit.url(vhost=vhost))
    client.put(message("b"))
    while client.result(seconds=60)["task_id"] != "b":
        pass  # the first one may come again: the broker forgot that it had been read
    client.connection.close()


def test_wrong_credentials_are_logged_and_the_server_serves(make_server, rabbit):
    srv = make_server(env={"SCANPOD_INTAKE": rabbit.url("guest", "s3cret")})
    wait_log(srv, "intake_down")
    assert "s3cret" not in srv.log()
    assert srv.get("/readyz").status_code == 200


# ---------------------------------------------------------------- Celery


@pytest.fixture
def app(rabbit, vhost):
    made = celery.Celery("tests", broker=rabbit.url(vhost=vhost), backend="rpc://")
    made.conf.broker_connection_retry_on_startup = False
    yield made
    made.close()


def send(app, **kwargs):
    return app.send_task("scanpod.scan", kwargs=kwargs, queue=JOBS)


def test_celery_gets_the_result_of_its_task(up, app):
    srv = up()
    task = send(app, tool="nmap", target="127.0.0.1", ports="80", scan_type="CONNECT_SCAN")
    got = task.get(timeout=60)
    assert got["status"] == "completed" and got["results"]["ip"] == "127.0.0.1"
    assert len(jobs(srv)) == 1


def test_celery_raises_what_went_wrong(up, app):
    srv = up()
    task = send(app, tool="noop", target="203.0.113.7")
    with pytest.raises(Exception, match="is not allowed"):
        task.get(timeout=60)
    assert len(wait_dead(srv, 1)) == 1
