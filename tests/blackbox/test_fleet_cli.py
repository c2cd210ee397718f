"""
What a fleet does, from the command line: a server and workers with settings, users and rights of
Redis as deploy/make-secrets makes them.
"""

import csv
import io
import json
import re

import pytest
import redis as redis_py

from brokers import RedisServer, free_port, have_redis
from conftest import ROOT, Server, _new_dir, clean_env, wait_until
from fleet_rig import FleetRedis

pytestmark = pytest.mark.skipif(not have_redis(), reason="there is no redis-server")


class Worker(Server):
    def command(self):
        return [str(self.binary), "worker", "--data-dir", str(self.data_dir), *map(str, self.args)]

    def wait_ready(self, seconds=30):
        def ready():
            assert self.running(), self.log()
            return "transport_up" in self.log()

        wait_until(ready, seconds, "the worker to be connected")


class Fleet:
    """.server .redis .secrets .worker(NAME, ...)"""

    def __init__(self, make_server, binary, workdir, tool):
        self.make_server, self.binary, self.workdir, self.tool = make_server, binary, workdir, tool
        self.redis = FleetRedis(workdir)
        self.secrets = self.redis.secrets
        self.server = make_server(
            env={"SCANPOD_CONFIG": self.secrets / "server.conf", "SCANPOD_LEASE_SCALE": "20",
                 "SCANPOD_LOG_FORMAT": "json", "SCANPOD_API_KEY": None},
            key=self.redis.key)

    def worker(self, name, *args, **env):
        home = _new_dir(self.workdir, "worker")
        w = Worker(self.binary, home, home / "data", free_port(), None,
                   clean_env(home, SCANPOD_CONFIG=self.secrets / "worker.conf",
                             SCANPOD_LEASE_SCALE="20", SCANPOD_TOOL_NMAP=self.tool("ok"), **env),
                   ["--name", name, *args])
        self.make_server.made.append(w)
        w.start()
        wait_until(lambda: name in self.names(), 20, f"worker {name} to be known")
        return w

    def names(self):
        return {w["name"]: w for w in self.server.get("/api/v1/workers").json()["items"]
                if w["state"] != "gone"}


@pytest.fixture
def fleet(make_server, scanpod_bin, workdir, fake_nmap):
    one = Fleet(make_server, scanpod_bin, workdir, fake_nmap)
    yield one
    make_server.finish()
    one.redis.stop()


# ---- what is shown


def test_workers_are_listed_in_every_form(fleet, scanpod):
    fleet.worker("one", "--max-scan-workers", "3")
    fleet.worker("two", "--zone", "dmz")
    table = scanpod("worker", "list", server=fleet.server, check=True).stdout.splitlines()
    assert table[0].split()[:7] == ["NAME", "STATE", "SLOTS", "BUSY", "LOAD", "SPOOL", "HEARD"]
    rows = {line.split()[0]: line.split() for line in table[1:]}
    assert rows["one"][1:4] == ["up", "3", "0"]
    assert rows.keys() == {"one", "two"} and "net@dmz" in table[-1] + table[-2]
    found = json.loads(scanpod("worker", "list", "-o", "json", server=fleet.server, check=True).stdout)
    assert {w["name"]: w["zone"] or None for w in found} == {"one": None, "two": "dmz"}
    lines = scanpod("worker", "list", "-o", "ndjson", server=fleet.server, check=True).stdout
    assert [json.loads(x)["name"] for x in lines.splitlines()] == [w["name"] for w in found]
    text = scanpod("worker", "list", "-o", "csv", server=fleet.server, check=True).stdout
    sheet = list(csv.DictReader(io.StringIO(text)))
    assert {r["name"]: r["slots"] for r in sheet} == {"one": "3", "two": "4"}


def test_queues_show_what_waits_and_who_serves_it(fleet, scanpod):
    done = scanpod("scan", "127.0.0.1", "--tool", "nmap", "--zone", "dmz", "-d",
                   server=fleet.server, check=True)
    job = done.stdout.strip()
    rows = {line.split()[0]: line.split()[1:]
            for line in scanpod("queue", "list", server=fleet.server, check=True).stdout.splitlines()}
    assert rows["QUEUE"] == ["READY", "OLDEST", "WORKERS", "SLOTS", "FREE"]
    assert rows["net@dmz"][0] == "1" and rows["net@dmz"][-3:] == ["0", "0", "0"]
    assert rows["net"] == ["0", "-", "0", "0", "0"]
    fleet.worker("outside")
    fleet.worker("inside", "--zone", "dmz")
    shown = scanpod("job", "watch", job, "-o", "json", server=fleet.server, check=True).stdout
    assert json.loads(shown)["state"] == "completed"
    queues = {q["queue"]: q for q in json.loads(
        scanpod("queue", "list", "-o", "json", server=fleet.server, check=True).stdout)}
    assert (queues["net@dmz"]["ready"], queues["net@dmz"]["workers"]) == (0, 1)
    assert queues["net"]["slots"] == 4


def test_a_zone_that_is_none_is_refused(fleet, scanpod):
    done = scanpod("scan", "127.0.0.1", "--zone", "No Zone", "-d", server=fleet.server)
    assert done.returncode == 2 and "zone" in done.stderr


# ---- drain and resume


def test_a_drained_worker_gets_nothing_until_it_is_resumed(fleet, scanpod):
    fleet.worker("one")
    done = scanpod("worker", "drain", "one", server=fleet.server, check=True)
    assert "worker 'one' finishes what it has" in done.stderr and done.stdout == ""
    wait_until(lambda: fleet.names()["one"]["state"] == "draining", 10, "the worker to drain")
    job = scanpod("scan", "127.0.0.1", "--tool", "nmap", "-d", server=fleet.server,
                  check=True).stdout.strip()
    held = scanpod("job", "watch", job, "--timeout", "2", server=fleet.server)
    assert held.returncode == 124
    scanpod("worker", "resume", "one", server=fleet.server, check=True)
    scanpod("job", "watch", job, server=fleet.server, check=True)


@pytest.mark.parametrize("verb", ["drain", "resume"])
def test_a_worker_that_is_not_there_is_told(fleet, scanpod, verb):
    done = scanpod("worker", verb, "no such/one", server=fleet.server)
    assert done.returncode == 1 and "error: " in done.stderr


def test_a_server_without_transport_says_so(server, scanpod):
    done = scanpod("worker", "list", server=server, check=True)
    assert "no transport" in done.stderr and done.stdout.split()[0] == "NAME"
    assert json.loads(scanpod("worker", "list", "-o", "json", server=server, check=True).stdout) == []
    assert scanpod("worker", "drain", "one", server=server).returncode == 1


@pytest.mark.parametrize("words, hint", [
    (["worker", "lst"], "did you mean 'list'"),
    (["worker", "drain"], "NAME... is missing"),
    (["queue"], "a command is missing"),
    (["queue", "list", "more"], "unexpected 'more'"),
    (["dead-letter", "list", "-n", "-1"], "--limit"),
    (["queue", "list", "-o", "nmap"], "no such form"),
])  # fmt: skip
def test_a_wrong_command_line_is_refused(scanpod, words, hint):
    done = scanpod(*words)
    assert done.returncode == 2 and hint in done.stderr, done.stderr


# ---- dead letters


def test_there_are_no_dead_letters_at_first(server, scanpod):
    assert scanpod("dead-letter", "list", server=server, check=True).stdout.split() == [
        "SEQ", "TIME", "SOURCE", "TASK", "REASON", "MESSAGE"]  # fmt: skip
    text = scanpod("dead-letter", "list", "-o", "json", "--limit", "0", server=server, check=True)
    assert json.loads(text.stdout) == []


def test_dead_letters_are_shown_newest_first_and_harmless(make_server, scanpod):
    """More of them than a page of the list; what is in them is a stranger's."""
    with RedisServer() as broker:
        srv = make_server(env={"SCANPOD_INTAKE": broker.url})
        client = redis_py.Redis(port=broker.port)
        bodies = [f"no. {i} \x1b[31m" for i in range(1003)]
        client.rpush("network_scan_jobs", *reversed(bodies))
        wait_until(lambda: client.llen("network_scan_jobs.dead") == len(bodies), 60,
                   "the dead letters")
        rows = scanpod("dead-letter", "list", server=srv, check=True).stdout.splitlines()
        assert len(rows) == 1 + 50 and "\x1b" not in "".join(rows) and "\\x1b[31m" in rows[1]
        found = json.loads(scanpod("dead-letter", "list", "-n", "0", "-o", "json", server=srv,
                                   check=True).stdout)
        assert [d["seq"] for d in found] == sorted((d["seq"] for d in found), reverse=True)
        assert {int(d["body"].split()[1]) for d in found} == set(range(1003))
        assert len(found) == len(bodies) and all(d["reason"] for d in found)
        lines = scanpod("dead-letter", "list", "-n", "1002", "-o", "ndjson", server=srv, check=True)
        assert [json.loads(x) for x in lines.stdout.splitlines()] == found[:1002]
        text = scanpod("dead-letter", "list", "-n", "3", "-o", "csv", server=srv, check=True).stdout
        assert [int(r["seq"]) for r in csv.DictReader(io.StringIO(text))] == [
            d["seq"] for d in found[:3]]  # fmt: skip


# ---- health


def test_health_tells_a_server_that_is_ready_from_none(server, scanpod):
    done = scanpod("health", server=server, env={"SCANPOD_API_KEY": None})
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    doc = json.loads(scanpod("health", "-o", "json", server=server, check=True).stdout)
    assert doc["status"] == "ready"
    gone = scanpod("health", "--quiet", "--server", f"http://127.0.0.1:{free_port()}")
    assert gone.returncode == 5 and gone.stdout == ""


# ---- documents


def test_the_documentation_has_each_of_these_commands(scanpod):
    text = (ROOT / "docs/cli.md").read_text()
    for words in ("worker list", "worker drain", "worker resume", "queue list", "dead-letter list"):
        assert f"`{words}" in text, words
    for flag in ("--zone", "--name", "--drain-timeout"):
        assert flag in text, flag


def test_the_commands_of_the_page_make_a_fleet(make_server, scanpod, scanpod_bin, workdir, fake_nmap):
    text = (ROOT / "docs/fleet.md").read_text()
    block = re.search(r"^## By hand\n\n((?:    .*\n)+)", text, re.M).group(1)
    lines = [line.split() for line in block.splitlines()]
    assert [words[:2] for words in lines] == [
        ["redis-server", "--appendonly"], ["scanpod", "serve"], ["scanpod", "worker"],
        ["scanpod", "worker"], ["scanpod", "queue"]]  # fmt: skip
    with RedisServer(aof=None, options=lines[0][1:]) as broker:

        def here(words):
            return [w.replace("redis://127.0.0.1/0", broker.url) for w in words]

        srv = make_server(args=here(lines[1][2:]))
        home = _new_dir(workdir, "worker")
        worker = Worker(scanpod_bin, home, home / "one", free_port(), None,
                        clean_env(home, SCANPOD_TOOL_NMAP=fake_nmap("ok")), here(lines[2][2:]))
        worker.command = lambda: [str(scanpod_bin), *here(lines[2][1:])]
        make_server.made.append(worker)
        worker.start()
        wait_until(lambda: " up " in scanpod(*lines[3][1:], server=srv, check=True).stdout, 20,
                   "the worker in the list")  # fmt: skip
        assert "net" in scanpod(*lines[4][1:], server=srv, check=True).stdout
        assert srv.wait(srv.submit(targets="127.0.0.1"))["status"] == "completed"
        assert worker.stop() == 0 and (home / "one/spool").is_dir()


# ---- rights in Redis


def acl(text, name):
    return re.search(rf"^user {name} (.*)$", text, re.M).group(1).split()[1:]


def test_the_rules_of_the_documentation_are_those_that_are_made():
    made = (ROOT / "deploy/users.acl").read_text()
    text = (ROOT / "docs/fleet.md").read_text()
    for name in ("scanpod-server", "scanpod-worker"):
        shown = re.search(rf"^ +user {name} ((?:.*\\\n)*.*)$", text, re.M).group(1)
        words = shown.replace("\\\n", " ").split()
        assert words[1:] == acl(made, name), name


@pytest.mark.parametrize("name, files", [("scanpod-server", "fleet*.c"), ("scanpod-worker", "station*.c")])
def test_every_command_that_a_role_sends_is_in_its_rules(name, files):
    rules = acl((ROOT / "deploy/users.acl").read_text(), name)
    sent = set()
    for path in (ROOT / "src/transport").glob(files):
        sent |= set(re.findall(r'"(X[A-Z]+|DEL|EVAL|GET|SET)[" ]', path.read_text()))
    assert len(sent) >= 5
    for word in sent:
        allowed = [r for r in rules if re.match(rf"\+{word.lower()}(\||$)", r)]
        assert allowed or (word.startswith("X") and "+@stream" in rules), word


def test_redis_lets_each_role_do_its_work_and_no_more(fleet):
    """A scan goes through; nothing that server or worker ever ask for is refused."""
    at = {"port": fleet.redis.port, "decode_responses": True}
    admin = redis_py.Redis(username="admin", password="admin", **at)
    one = fleet.worker("one")
    job = fleet.server.submit(targets="127.0.0.1")
    assert fleet.server.wait(job)["status"] == "completed"
    assert fleet.server.post("/api/v1/workers/one/drain").status_code == 204
    one.restart()
    fleet.server.restart()
    wait_until(lambda: "one" in fleet.names(), 20, "the worker to be known again")
    one.stop()
    # A worker does without knowing what the server looks at.
    denied = {(x["username"], x["object"]) for x in admin.acl_log()}
    assert denied <= {("scanpod-worker", "config|get")}
    # What is done only to workers that were gone for a while.
    for later in (["DEL", "scanpod:w:one"],
                  ["XGROUP", "DELCONSUMER", "scanpod:q:net", "workers", "one"]):
        assert admin.execute_command("ACL", "DRYRUN", "scanpod-server", *later) == "OK"
    log = fleet.server.log() + one.log()
    assert "NOPERM" not in log and "refused" not in log, log
    conf = (fleet.secrets / "worker.conf").read_text()
    password = re.search(r"scanpod-worker:(\w+)@", conf).group(1)
    worker = redis_py.Redis(username="scanpod-worker", password=password, **at)
    assert worker.ping()
    for forbidden in (
        ("GET", "scanpod:server"), ("SET", "scanpod:server", "me"), ("XADD", "scanpod:w:one", "*", "a", "b"),
        ("XREAD", "STREAMS", "scanpod:reports", "0"), ("DEL", "scanpod:q:net"), ("KEYS", "*"),
        ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("FLUSHALL",), ("EVAL", "return 1", "0"),
        ("XADD", "other", "*", "a", "b"), ("XGROUP", "DESTROY", "scanpod:q:net", "workers"),
    ):  # fmt: skip
        with pytest.raises(redis_py.exceptions.NoPermissionError):
            worker.execute_command(*forbidden)
    with pytest.raises(redis_py.exceptions.NoPermissionError):
        redis_py.Redis(**at).execute_command("XLEN", "scanpod:reports")
    assert redis_py.Redis(**at).ping()
    with pytest.raises(redis_py.exceptions.ResponseError, match="WRONGPASS"):
        redis_py.Redis(username="scanpod-server", password=password, **at).ping()
