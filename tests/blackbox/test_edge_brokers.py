"""
The process at a message broker, alone, against real brokers: redis-server and rabbitmq-server on
loopback, with clients that others write (pika, celery, redis-py). tests/tools/edgerun stands in the
daemon's place: it prints what the process says, and passes on what the test decides.
"""

import itertools
import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from brokers import RabbitServer, RedisServer, have_rabbit, have_redis, wait_for
from conftest import SANITIZER_ENV, SANITIZER_REPORT

celery = pytest.importorskip("celery")
pika = pytest.importorskip("pika")
redis = pytest.importorskip("redis")

SCAN, REPO, CELERY = 0, 1, 2
STARTED, OK, FAILED = 0, 1, 2
numbers = itertools.count(1)


class Edge:
    """edgerun: one process at one queue."""

    def __init__(self, program, source, server="s1"):
        self.process = subprocess.Popen([str(program), source, server], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **SANITIZER_ENV})
        self.said = queue.Queue()
        self.errors = []
        self.readers = [threading.Thread(target=self._read),
                        threading.Thread(target=self._read_errors)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def next(self, *members, within=40):
        """What is said next of that kind; other things are passed over."""
        end = time.monotonic() + within
        while True:
            got = self.said.get(timeout=max(end - time.monotonic(), 0.01))
            if any(m in got for m in members):
                return got

    def message(self):
        return self.next("message")

    def state(self, up):
        while True:
            got = self.next("up")
            if got["up"] == up:
                return got

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def take(self, message):
        self.say(f"taken {message['message']}")

    def refuse(self, message, why=""):
        self.say(f"refused {message['message']} {why}")

    def give(self, wait=True, **result):
        """Sends a result; what became of it."""
        result = {"id": next(numbers), "form": SCAN, "state": OK, "event_id": f"e{next(numbers)}",
                  "task_id": "a", "body": {"status": "completed"}, **result}
        self.say("result " + json.dumps(result))
        return self.next("sent") if wait else None

    def answer(self, message, **result):
        return self.give(form=CELERY, task_id=message["task_id"], reply_to=message["reply_to"],
                         correlation=message["correlation"], **result)

    def child(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as f:
            return int(f.read().split()[0])

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait(30)
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        text = "".join(self.errors)
        assert not SANITIZER_REPORT.search(text), text
        assert status == 0, text


@pytest.fixture(scope="module")
def rabbit():
    if not have_rabbit():
        pytest.skip("rabbitmq-server is not installed")
    with RabbitServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server():
    if not have_redis():
        pytest.skip("redis-server is not installed")
    with RedisServer() as server:
        yield server


@pytest.fixture
def make_edge(scanpod_bin):
    program = Path(scanpod_bin).parent / "tests/tools/edgerun"
    assert os.access(program, os.X_OK), f"{program} is not built"
    made = []

    def make(source, up=True, server="s1"):
        made.append(Edge(program, source, server))
        if up:
            made[-1].state(True)
        return made[-1]

    yield make
    for edge in made:
        edge.stop()


@pytest.fixture
def jobs():
    """The name of a queue that no other test has."""
    return f"jobs{next(numbers)}"


class Rabbit:
    """A channel of pika, and one queue of requests."""

    def __init__(self, server, name):
        self.name = name
        self.connection = pika.BlockingConnection(pika.URLParameters(server.url()))
        self.channel = self.connection.channel()

    def publish(self, body, **properties):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        self.channel.basic_publish("", self.name, body, pika.BasicProperties(**properties))

    def depth(self, name):
        return self.channel.queue_declare(name, passive=True).method.message_count

    def get(self, name, within=20):
        """(properties, body) of the next message, which is acknowledged."""

        def one():
            got = self.channel.basic_get(name, auto_ack=True)
            return got if got[0] else None

        _, properties, body = wait_for(one, within)
        return properties, body


@pytest.fixture
def pikas(rabbit):
    made = []

    def make(name):
        made.append(Rabbit(rabbit, name))
        return made[-1]

    yield make
    for r in made:
        try:
            r.connection.close()
        except pika.exceptions.AMQPError:
            pass


# ---------------------------------------------------------------- RabbitMQ


def source(server, name, **more):
    words = "".join(f"&{k}={v}" for k, v in more.items())
    return f"{server.url()}?queue={name}&results={name}.results{words}"


def test_a_message_is_acknowledged_when_it_is_taken(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.publish({"task_id": "a", "tool": "nmap"}, correlation_id="c", reply_to="answers")
    m = edge.message()
    assert (m["form"], m["task_id"], m["correlation"], m["reply_to"]) == (
        "scan", "a", "c", "answers")
    assert m["bad"] is None and not m["redelivered"]
    edge.say(f"later {m['message']} 100")
    assert edge.message()["message"] == m["message"]
    os.kill(edge.child(), signal.SIGKILL)  # before the verdict: it comes again
    edge.next("gone")
    again = make_edge(source(rabbit, jobs))
    m = again.message()
    assert m["redelivered"] and m["task_id"] == "a"
    again.take(m)
    again.give()  # confirmed: what was sent before it was read
    os.kill(again.child(), signal.SIGKILL)
    again.next("gone")
    wait_for(lambda: r.depth(jobs) == 0)


def test_results_are_persistent_and_have_the_ids(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    assert edge.give(event_id="e-1", correlation="c", body={"x": 1})["rc"] == "ok"
    properties, body = r.get(jobs + ".results")
    assert json.loads(body) == {"x": 1}
    assert (properties.message_id, properties.correlation_id) == ("e-1", "c")
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert edge.give(reply_to="nobody-has-it")["rc"] == "not-found"
    assert edge.give(reply_to=jobs)["rc"] == "invalid"
    assert edge.give(reply_to="scanpod:x")["rc"] == "invalid"
    r.channel.queue_declare("mine")
    assert edge.give(reply_to="mine")["rc"] == "ok"
    r.get("mine")


def test_the_results_queue_is_made_again_when_it_was_deleted(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.channel.queue_delete(jobs + ".results")
    assert edge.give()["rc"] == "not-found"
    assert edge.give()["rc"] == "ok"
    r.get(jobs + ".results")


@pytest.mark.parametrize("body, properties, reason", [
    (b"\x80\x04junk", {}, "is not JSON"),
    (b"[]", {}, "not a JSON object"),
    (b"{}", {"content_type": "application/x-python-serialize"}, "content type"),
    (b"{}", {"content_encoding": "gzip"}, "content encoding"),
    (b'{"task_id": 5}', {}, "task_id must be text"),
    (b"{}", {"reply_to": "scanpod:tasks"}, "reply_to"),
])
def test_a_bad_message_is_a_dead_letter_with_the_reason(rabbit, make_edge, pikas, jobs, body,
                                                        properties, reason):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.publish(body, **properties)
    m = edge.message()
    assert reason in m["bad"]
    edge.refuse(m)
    dead, what = r.get(jobs + ".dead")
    assert what == body
    assert reason in dead.headers["x-scanpod-reason"]
    assert dead.headers["x-scanpod-at"].endswith("Z")
    assert dead.delivery_mode == 2
    for name, value in properties.items():
        assert getattr(dead, name) == value


def test_a_dead_letter_keeps_its_headers_but_goes_nowhere_else(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.channel.queue_declare(jobs + "-other")
    r.publish("{}", headers={"a": 1, "b": ["x", {"y": None}], "x-scanpod-reason": "forged"},
              expiration="3600000", user_id="guest", message_id="m")
    m = edge.message()
    edge.refuse(m, "no tool")
    dead, _ = r.get(jobs + ".dead")
    assert dead.headers["a"] == 1 and dead.headers["b"] == ["x", {"y": None}]
    assert dead.headers["x-scanpod-reason"] == "no tool"
    assert dead.message_id == "m" and dead.expiration is None


def test_a_message_that_is_too_large_is_cut_and_told(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.publish(b"A" * 3_000_000)
    r.publish({"task_id": "after"})
    m = edge.message()
    assert "3000000 bytes" in m["bad"]
    edge.refuse(m)
    dead, body = r.get(jobs + ".dead")
    assert dead.headers["x-scanpod-size"] == "3000000" and body == b"A" * 65536
    assert edge.message()["task_id"] == "after"


def test_no_more_than_the_prefetch_is_taken(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    for i in range(80):
        r.publish({"task_id": str(i)})
    got = [edge.message() for _ in range(64)]
    assert [m["task_id"] for m in got] == [str(i) for i in range(64)]
    with pytest.raises(queue.Empty):
        edge.next("message", within=1)
    for m in got:
        edge.take(m)
    assert edge.message()["task_id"] == "64"


def test_a_queue_with_arguments_is_used_as_it_is(rabbit, make_edge, pikas, jobs):
    r = pikas(jobs)
    arguments = {"x-max-length": 10, "x-dead-letter-exchange": "elsewhere", "x-max-priority": 9}
    r.channel.queue_declare(jobs, durable=True, arguments=arguments)
    edge = make_edge(source(rabbit, jobs))
    r.publish("{}", priority=5)
    edge.refuse(edge.message(), "why")
    dead, _ = r.get(jobs + ".dead")
    assert dead.headers["x-scanpod-reason"] == "why"


def test_clients_may_declare_the_queue_after_us(rabbit, make_edge, pikas, jobs):
    make_edge(source(rabbit, jobs))
    pikas(jobs).channel.queue_declare(jobs, durable=True)


def test_a_deleted_queue_is_made_again(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    r = pikas(jobs)
    r.channel.queue_delete(jobs)
    assert "deleted" in edge.state(False)["why"]
    edge.state(True)
    r.publish({"task_id": "a"})
    assert edge.message()["task_id"] == "a"


def test_a_broker_that_pauses_publishers_is_heard(rabbit, make_edge, jobs):
    edge = make_edge(source(rabbit, jobs))
    try:
        rabbit.ctl("set_vm_memory_high_watermark", "0.00001")
        waits = None
        for _ in range(100):  # it pauses whoever publishes
            waits = edge.give(wait=False)
            try:
                said = edge.next("sent", within=1)
            except queue.Empty:
                break
            assert said["rc"] == "ok"
        assert waits is None
        assert edge.give()["rc"] == "busy"
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "0.6")
    assert edge.next("sent")["rc"] == "ok"  # the one that waited
    assert edge.give()["rc"] == "ok"


def test_a_broker_that_dies_is_dialled_again(rabbit, make_edge, pikas, jobs):
    edge = make_edge(source(rabbit, jobs))
    pikas(jobs).publish({"tool": "nmap"}, delivery_mode=2)
    m = edge.message()
    rabbit.kill()
    edge.state(False)
    assert edge.give()["rc"] == "io"
    edge.take(m)
    rabbit.start()
    edge.state(True)
    edge.give()
    r = pikas(jobs)
    wait_for(lambda: r.depth(jobs) == 0)
    with pytest.raises(queue.Empty):
        edge.next("message", within=1)  # the verdict was carried out, nobody was asked twice


def test_what_keeps_us_out_is_told_without_secrets(rabbit, make_edge, jobs):
    rabbit.ctl("add_user", "low", "s3cret")
    rabbit.ctl("set_permissions", "low", "^$", ".*", ".*")
    for url, why in (
        (rabbit.url("guest", "wr0ng-s3cret"), "ACCESS_REFUSED"),
        (rabbit.url(vhost="none-such"), "none-such not found"),
        (rabbit.url("low", "s3cret"), f"access to queue '{jobs}'"),
        ("amqp://u:s3cret@127.0.0.1:1", "connect"),
    ):
        edge = make_edge(f"{url}?queue={jobs}", up=False)
        text = edge.state(False)["why"]
        assert why in text
        assert "s3cret" not in text
        edge.stop()


def test_tls_needs_a_certificate_that_is_known(rabbit, make_edge, pikas, jobs):
    url = f"amqps://guest:guest@localhost:{rabbit.tls_port}/"
    edge = make_edge(f"{url}?queue={jobs}&results={jobs}.results&ca={rabbit.ca}")
    r = pikas(jobs)
    r.publish({"task_id": "a"})
    edge.take(edge.message())
    assert edge.give()["rc"] == "ok"
    wait_for(lambda: r.depth(jobs) == 0)
    for source_ in (f"{url}?queue={jobs}", f"{url}?queue={jobs}&ca=/none"):
        assert "cert" in make_edge(source_, up=False).state(False)["why"]
    plain = make_edge(f"amqps://localhost:{rabbit.port}/?queue={jobs}", up=False)
    plain.state(False)


# ---------------------------------------------------------------- Celery


@pytest.fixture(params=["redis", "rabbitmq"])
def app(request, jobs):
    """An application of Celery, and the address of its queue."""
    if request.param == "redis":
        url = backend = request.getfixturevalue("redis_server").url
    else:
        url, backend = request.getfixturevalue("rabbit").url(), "rpc://"
    made = celery.Celery(broker=url, backend=backend)
    made.conf.broker_connection_retry = False
    made.queue_url = f"{url}?queue={jobs}&results={jobs}.results"
    made.queue_name = jobs
    made.results = []
    yield made
    for result in made.results:
        result.backend = None  # else it says goodbye to a server that is gone
    made.close()


def send(app, name="scanpod.scan", **more):
    kwargs = more.pop("kwargs", {"tool": "nmap", "target": "127.0.0.1"})
    app.results.append(app.send_task(name, kwargs=kwargs, queue=app.queue_name, **more))
    return app.results[-1]


@pytest.mark.parametrize("protocol", [1, 2])
def test_celery_gets_its_result(app, make_edge, protocol):
    app.conf.task_protocol = protocol
    edge = make_edge(app.queue_url)
    result = send(app)
    m = edge.message()
    assert m["form"] == "celery" and m["task_id"] == result.id
    assert json.loads(m["body"]) == {"tool": "nmap", "target": "127.0.0.1"}
    edge.take(m)
    assert edge.answer(m, state=STARTED)["rc"] == "ok"
    wait_for(lambda: result.state == "STARTED")
    assert edge.answer(m, body={"status": "completed", "results": {"host": "a"}})["rc"] == "ok"
    assert result.get(timeout=20) == {"status": "completed", "results": {"host": "a"}}
    assert result.date_done is not None


def test_celery_raises_what_failed(app, make_edge):
    edge = make_edge(app.queue_url)
    result = send(app)
    m = edge.message()
    edge.take(m)
    assert edge.answer(m, state=FAILED, error="the target is out of scope")["rc"] == "ok"
    with pytest.raises(Exception, match="the target is out of scope") as raised:
        result.get(timeout=20)
    assert type(raised.value).__name__ == "ScanFailed"


@pytest.mark.parametrize("more, reason", [
    ({"name": "os.system"}, "there is no task 'os.system'"),
    ({"serializer": "pickle"}, "application/x-python-serialize"),
    ({"compression": "gzip"}, "compressed"),
    ({"countdown": 3600}, "eta"),
    ({"chain": [celery.signature("a.b")]}, "'chain'"),
    ({"chord": celery.signature("a.b")}, "'chord'"),
    ({"link": celery.signature("a.b")}, "'callbacks'"),
    ({"args": ["127.0.0.1"]}, "keyword arguments"),
    ({"name": "scanpod.repo"}, "repo_url is missing"),
])
def test_what_celery_would_do_around_a_task_is_refused(app, make_edge, more, reason):
    edge = make_edge(app.queue_url)
    result = send(app, **more)
    m = edge.message()
    assert reason in m["bad"]
    assert m["task_id"] == result.id
    edge.refuse(m)
    edge.answer(m, state=FAILED, error=m["bad"])
    with pytest.raises(Exception, match="ScanFailed|" + reason.split("'")[0]):
        result.get(timeout=20)


def test_tasks_of_every_priority_are_taken(app, make_edge):
    ids = {send(app, priority=p).id for p in (0, 3, 6, 9)}
    edge = make_edge(app.queue_url)
    assert {edge.message()["task_id"] for _ in ids} == ids


# ---------------------------------------------------------------- Redis


def test_redis_with_a_user_and_a_password(redis_server, make_edge, jobs):
    r = redis.Redis(port=redis_server.port)
    r.execute_command("ACL", "SETUSER", "edge", "on", ">p@ss", "~" + jobs + "*", "+@all")
    edge = make_edge(f"redis://edge:p%40ss@127.0.0.1:{redis_server.port}/0?queue={jobs}"
                     f"&results={jobs}-results")
    r.lpush(jobs, json.dumps({"task_id": "a"}))
    m = edge.message()
    edge.take(m)
    assert edge.give()["rc"] == "ok"
    assert r.llen(jobs + "-results") == 1
    assert edge.give(reply_to="elsewhere")["rc"] == "invalid"  # the ACL forbids it


def test_two_servers_take_from_one_list_without_losing_any(redis_server, make_edge, jobs):
    r = redis.Redis(port=redis_server.port)
    edges = [make_edge(f"{redis_server.url}?queue={jobs}", server=f"s{i}") for i in range(2)]
    for i in range(100):
        r.lpush(jobs, json.dumps({"task_id": str(i)}))
    seen = []
    lock = threading.Lock()

    def work(edge):
        while True:
            try:
                m = edge.next("message", within=3)
            except queue.Empty:
                return
            with lock:
                seen.append(m["task_id"])
            edge.take(m)

    threads = [threading.Thread(target=work, args=(e,)) for e in edges]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(seen, key=int) == [str(i) for i in range(100)]
    wait_for(lambda: not r.exists(f"{jobs}:taken:s0", f"{jobs}:taken:s1", jobs))


def test_a_frozen_redis_is_noticed_and_found_again(make_edge, jobs):
    if not have_redis():
        pytest.skip("redis-server is not installed")
    with RedisServer() as server:
        edge = make_edge(f"{server.url}?queue={jobs}")
        r = redis.Redis(port=server.port)
        r.lpush(jobs, json.dumps({"tool": "nmap"}))
        m = edge.message()
        server.freeze()
        edge.take(m)  # it waits for the answer, and gives up
        edge.state(False)
        server.freeze(False)
        edge.state(True)
        wait_for(lambda: not r.exists(f"{jobs}:taken:s1"))
        with pytest.raises(queue.Empty):
            edge.next("message", within=1)
