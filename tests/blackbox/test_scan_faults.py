"""
Planned jobs whose tools, targets, disk or server fail in some stage: what was found is kept, what
is missing is said, and each job ends once. The tool is the scanner of faulty.py.
"""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from conftest import TERMINAL, alive, descendants, wait_until
from faulty import World

SEED = int(os.environ.get("SCANPOD_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
ROUNDS = int(os.environ.get("SCANPOD_CRASH_ROUNDS", "10"))

HOSTS = {f"127.0.0.{i}": {22: "ssh", 80: "http", 80 + i: "echo"} for i in range(1, 9)}
BODY = {"targets": "127.0.0.1-8", "profile": "standard", "ports": "22,80-99", "retries": 0}


@pytest.fixture
def world(workdir):
    made = World(workdir / "world")
    made.hosts = HOSTS
    return made


@pytest.fixture
def start(make_server, world):
    """start(environment...) gives a server whose nmap is the world's."""

    def make(args=(), data_dir=None, **env):
        settings = {"SCANPOD_RETRY_DELAY_MS": "20", "SCANPOD_KILL_GRACE_MS": "100", **env}
        return make_server(tool=world.nmap, args=args, data_dir=data_dir, env=settings)

    return make


def submit(srv, **more):
    r = srv.post("/api/v1/scans", json={**BODY, **more})
    assert r.status_code == 202, r.text
    return r.json()["id"]


def job(srv, job_id):
    r = srv.get(f"/api/v1/scans/{job_id}")
    assert r.status_code == 200, r.text
    return r.json()


def wait(srv, job_id, seconds=60, states=TERMINAL):
    def there():
        got = job(srv, job_id)
        return got if got["state"] in states else None

    return wait_until(there, seconds, f"job {job_id} to become {' or '.join(states)}")


def scan(srv, **more):
    return wait(srv, submit(srv, **more))


def tasks(srv, job_id):
    return srv.get(f"/api/v1/scans/{job_id}/tasks?limit=1000").json()["items"]


def hosts(srv, job_id):
    """All that a result says of hosts, without the order in which they were seen."""
    rows = srv.get(f"/api/v1/scans/{job_id}/hosts?order=address&limit=1000").json()["items"]
    for row in rows:
        for name in ("seq", "started_at", "ended_at"):
            row.pop(name, None)
    return rows


def open_ports(srv, job_id):
    """{address: {port: service}}"""
    return {
        h["address"]: {p["port"]: p["service"] for p in h["ports"] if p["state"] == "open"}
        for h in hosts(srv, job_id)
    }  # fmt: skip


def events(srv, job_id, after=0, until=TERMINAL, seconds=30):
    """[(id, name, data)] of a job, up to its end."""
    got = []
    r = srv.get(
        f"/api/v1/events?job={job_id}", stream=True, timeout=seconds,
        headers={"Last-Event-ID": str(after), "Accept": "text/event-stream"},
    )  # fmt: skip
    assert r.status_code == 200, r.text
    row = {}
    for line in r.iter_lines(decode_unicode=True):
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            row[name] = value
        elif line == "" and "data" in row:
            data = json.loads(row["data"])
            got.append((int(row["id"]), row["event"], data))
            row = {}
            if got[-1][1] == "job.state" and data.get("state") in until:
                break
    r.close()
    return got


def shard_of(world, address, stage="ports"):
    """The addresses that were looked at together with this one."""
    for run in world.runs(stage):
        if any(address == t or _in(address, t) for t in run["targets"]):
            return {a for a in HOSTS if any(_in(a, t) for t in run["targets"])}
    return set()


def _in(address, token):
    n = int(address.rsplit(".", 1)[1])
    if "/" in token:
        ip, bits = token.split("/")
        size, first = 1 << (32 - int(bits)), int(ip.rsplit(".", 1)[1])
        return first <= n < first + size
    if "-" in token:
        first, last = (int(t.rsplit(".", 1)[-1]) for t in token.split("-"))
        return first <= n <= last
    return address == token


# ---------------------------------------------------------------- tools that fail


def test_a_planned_job_finds_what_there_is(start, world):
    srv = start()
    whole = scan(srv, shards=1)
    cut = scan(srv, shards=4)
    assert (whole["state"], cut["state"]) == ("completed", "completed")
    assert open_ports(srv, cut["id"]) == HOSTS
    assert hosts(srv, cut["id"]) == hosts(srv, whole["id"])
    assert cut["coverage"]["text"] == "covered 100.0 %" and not cut["partial"]


FAULTS = {
    "crash": "tool_crashed",
    "late-crash": "tool_crashed",
    "fail": "tool_failed",
    "late-fail": "tool_failed",
    "garbage": "bad_output",
    "nothing": "bad_output",
    "half": "bad_output",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_of_two_shards_the_good_one_is_kept_and_the_bad_one_is_named(start, world, scanpod, fault):
    world.order(fault, stage="ports", target="127.0.0.1")
    srv = start()
    got = scan(srv, shards=2)
    lost = shard_of(world, "127.0.0.1")
    assert lost and lost < set(HOSTS)
    assert (got["state"], got["partial"]) == ("completed", True)

    cover = got["coverage"]
    assert cover["percent"] == pytest.approx(100 - 100 * len(lost) / len(HOSTS), abs=0.1)
    (missing,) = cover["missing"]
    assert (missing["stage"], missing["reason"]) == ("ports", FAULTS[fault])
    assert missing["ports"] == "22,80-99"
    assert cover["text"].startswith(f"covered {cover['percent']} %, 1 shard failed: ports ")
    assert f"({FAULTS[fault]})" in cover["text"]

    found = open_ports(srv, got["id"])
    assert set(found) == set(HOSTS), "a host that is up is lost"
    for address in set(HOSTS) - lost:
        assert found[address] == HOSTS[address]
    if fault in ("crash", "fail", "nothing", "garbage"):
        assert all(found[address] == {} for address in lost)
    elif fault != "half":
        assert all(set(found[a]) == set(HOSTS[a]) for a in lost), "what a shard said is kept"

    (bad,) = [t for t in tasks(srv, got["id"]) if t["state"] == "failed"]
    assert bad["task"] == missing["task"] and bad["reason"] == FAULTS[fault] and bad["error"]
    shown = scanpod("job", "tasks", got["id"], server=srv, check=True)
    assert bad["error"][:40] in shown.stdout and "\x1b" not in shown.stdout
    # A result that lacks something is a result: status 0, and a warning that says what.
    done = scanpod("job", "watch", got["id"], server=srv)
    assert done.returncode == 0
    assert cover["text"] in done.stderr


def test_the_command_line_warns_of_what_is_missing(start, world, scanpod):
    world.order("crash", stage="ports", target="127.0.0.1")
    srv = start()
    done = scanpod("scan", "127.0.0.1-8", "--profile", "standard", "-p", "22,80-99", "--shards", 2,
                   "--retries", 0, server=srv)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 shard failed: ports" in done.stderr and "tool_crashed" in done.stderr


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", ["hosts", "ports"])
def test_a_job_of_which_every_shard_fails_has_failed(start, world, scanpod, stage, fault):
    world.order(fault, stage=stage)
    srv = start()
    got = scan(srv, shards=2)
    assert (got["state"], got["reason"]) == ("failed", FAULTS[fault]), got
    assert got["error"] and got["progress"]["percent"] < 100
    assert got["coverage"]["percent"] == 0
    assert len(got["coverage"]["missing"]) == len(world.runs(stage))
    assert got["partial"] == (got["counts"]["hosts"] > 0)
    if stage == "ports":
        assert set(open_ports(srv, got["id"])) == set(HOSTS), "hosts that are up were found"
    done = scanpod("job", "watch", got["id"], server=srv)
    assert done.returncode == 3, done.stderr


def test_services_that_cannot_be_identified_leave_the_ports(start, world):
    world.order("crash", stage="services")
    srv = start()
    got = scan(srv, shards=2)
    assert got["state"] == "completed"
    found = open_ports(srv, got["id"])
    assert {a: set(p) for a, p in found.items()} == {a: set(p) for a, p in HOSTS.items()}
    failed = [t for t in tasks(srv, got["id"]) if t["state"] == "failed"]
    assert failed and {t["stage"] for t in failed} == {"services"}
    assert "services" in got["coverage"]["text"] and "tool_crashed" in got["coverage"]["text"]


def test_a_retry_repeats_only_the_shard_that_failed(start, world):
    world.order("late-crash", stage="ports", target="127.0.0.1", times=2)
    srv = start()
    got = scan(srv, shards=2, retries=3)
    assert (got["state"], got["partial"]) == ("completed", False), got
    assert open_ports(srv, got["id"]) == HOSTS
    runs = [tuple(r["targets"]) for r in world.runs("ports")]
    assert sorted(runs.count(r) for r in set(runs)) == [1, 3]
    assert len(world.runs("hosts")) == 2
    assert sorted(t["attempts"] for t in tasks(srv, got["id"]) if t["stage"] == "ports") == [1, 3]


def test_output_without_end_is_cut_off_and_not_written_to_disk(start, world):
    world.order("flood", stage="ports", target="127.0.0.1", mb=10240)
    srv = start(SCANPOD_MAX_OUTPUT_MB="2")
    got = scan(srv, shards=2)
    assert (got["state"], got["partial"]) == ("completed", True)
    assert [m["reason"] for m in got["coverage"]["missing"]] == ["limit"]
    assert "output limit" in got["coverage"]["missing"][0]["error"]
    sent = [r["mb"] for r in world.log() if r["what"] == "sent"]
    assert not sent or sent[0] < 100, "it was not stopped"
    size = sum(f.stat().st_size for f in srv.data_dir.rglob("*") if f.is_file())
    assert size < 8 << 20, f"{size} bytes in the data directory"
    assert set(open_ports(srv, got["id"])) == set(HOSTS)


def test_a_shard_that_hangs_ends_with_the_time_of_the_job(start, world):
    world.order("hang", stage="ports", target="127.0.0.1")
    srv = start()
    got = scan(srv, shards=2, timeout=4)
    lost = shard_of(world, "127.0.0.1")
    assert (got["state"], got["reason"], got["partial"]) == ("timed_out", "timeout", True), got
    found = open_ports(srv, got["id"])
    assert set(found) == set(HOSTS)
    for address in set(HOSTS) - lost:
        assert found[address] == HOSTS[address]
    missing = got["coverage"]["missing"]
    assert missing[0]["stage"] == "ports" and {m["reason"] for m in missing} == {"timeout"}


def test_services_that_hang_are_cut_into_pieces_and_end(start, world, workdir):
    profiles = workdir / "profiles.yaml"
    profiles.write_text(
        "version: 1\nprofiles:\n  - name: short\n    summary: little time\n    version: 1\n"
        "    service_seconds: 1\n    stages:\n      - find: hosts\n      - find: ports\n"
        "        ports: 22,80\n      - find: services\n"
    )
    profiles.chmod(0o644)
    world.order("mute", stage="services", target="127.0.0.1")
    srv = start(args=("--profiles", profiles))
    got = scan(srv, profile="short", ports=None, shards=2)
    assert got["state"] == "completed"
    found = open_ports(srv, got["id"])
    assert {a: set(p) for a, p in found.items()} == {a: {22, 80} for a in HOSTS}
    light = [t for t in tasks(srv, got["id"]) if t["light"]]
    assert light and any(t["state"] == "timed_out" for t in light)
    assert got["notes"], "that services were not identified is said"


def test_output_that_drips_is_read_as_it_comes(start, world):
    world.order("drip", stage="ports", every=0.02)
    srv = start()
    job_id = submit(srv, shards=2)
    wait(srv, job_id)
    assert open_ports(srv, job_id) == HOSTS


@pytest.mark.parametrize("tool", ["masscan", "zmap"])
def test_sweepers_are_refused_where_there_are_no_raw_sockets(start, scanpod, tool):
    srv = start()
    for more in ({"tool": tool, "profile": None}, {"tool": tool, "profile": "sweep"}):
        body = {k: v for k, v in {**BODY, "ports": "80", **more}.items() if v is not None}
        for query in ("", "?dry_run=true"):
            r = srv.post(f"/api/v1/scans{query}", json=body)
            assert r.status_code == 422, r.text
            assert "raw sockets" in r.text and "use nmap" in r.text
    done = scanpod("scan", "127.0.0.1", "--tool", tool, "-p", 80, server=srv)
    assert done.returncode == 2 and "raw sockets" in done.stderr and "nmap" in done.stderr


# ---------------------------------------------------------------- targets

TOO_MANY = [
    ("0.0.0.0/0", "4294967296"),
    ("2001:db8::/64", "IPv6"),
    ("127.0.0.0/8 2001:db8::/64", "IPv6"),
]


@pytest.mark.parametrize("targets, said", TOO_MANY)
@pytest.mark.parametrize("how", [{"profile": "standard"}, {"profile": "ping"}, {"tool": "nmap"}])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_more_addresses_than_can_be_walked_through_are_refused(server, targets, said, how, query):
    r = server.post(f"/api/v1/scans{query}", json={"targets": targets, **how})
    assert r.status_code == 422, r.text
    assert said in r.text
    assert not r.json().get("id")


@pytest.mark.parametrize("targets, said", TOO_MANY)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--tool", "nmap")])
def test_the_command_line_tells_the_same(server, scanpod, targets, said, more):
    done = scanpod("scan", *targets.split(), *more, server=server)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not done.stdout


@pytest.mark.parametrize("exclude", ["127.0.0.0/24", ["127.0.0.0/25", "127.0.0.128/25"]])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_exclusions_that_leave_nothing_are_refused(server, scanpod, exclude, query):
    for how in ({"profile": "standard"}, {"tool": "nmap"}):
        body = {"targets": "127.0.0.1-8", "exclude": exclude, **how}
        r = server.post(f"/api/v1/scans{query}", json=body)
        assert r.status_code == 422, r.text
        assert "exclu" in r.text
    done = scanpod("scan", "127.0.0.1", "--exclude", "127.0.0.0/8", server=server)
    assert done.returncode == 2 and "exclu" in done.stderr


# ---------------------------------------------------------------- what changes meanwhile

HERE = "version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8, note: this machine}\n"


@pytest.fixture
def scope(workdir):
    path = workdir / "scope.yaml"

    def write(text, srv=None):
        path.write_text(text)
        path.chmod(0o644)
        if srv:
            before = srv.log().count("policy_reloaded")
            os.kill(srv.pid, signal.SIGHUP)
            wait_until(lambda: srv.log().count("policy_reloaded") > before, what="the new policy")
        return path

    write(HERE)
    return write


def reached(world, stage, n=1):
    """Waits until so many tasks of a stage were started."""
    wait_until(lambda: len(world.runs(stage)) >= n, 30, f"{n} tasks of {stage}")


def test_targets_that_are_no_longer_allowed_are_not_scanned_by_what_follows(start, world, scope):
    world.order("well", stage="hosts", pause=1)
    srv = start(args=("--scope", scope(HERE)))
    job_id = submit(srv, shards=2)
    reached(world, "hosts")
    scope(HERE + "  deny:\n    - {target: 127.0.0.1-127.0.0.4, note: not now}\n", srv)
    got = wait(srv, job_id)
    seen = {a for r in world.runs("ports") for a in HOSTS for t in r["targets"] if _in(a, t)}
    assert not seen & {f"127.0.0.{i}" for i in range(1, 5)}, "scanned although it was denied"
    missing = got["coverage"]["missing"]
    assert missing and {m["reason"] for m in missing} == {"refused"}
    assert "127.0.0" in missing[0]["error"] and "not now" in missing[0]["error"]
    assert got["partial"] and got["coverage"]["percent"] < 100
    assert set(open_ports(srv, job_id)) == set(HOSTS), "hosts that were found are kept"


def test_a_window_that_closes_between_stages_halts_the_job_and_costs_it_no_time(
    start, world, scope
):
    world.order("well", stage="ports", pause=1)
    srv = start(args=("--scope", scope(HERE)))
    job_id = submit(srv, shards=2, timeout=5)
    reached(world, "ports", 2)
    now = time.gmtime()
    opens, closes = ((now.tm_hour + k) % 24 for k in (2, 3))
    shut = f"policies:\n  - {{name: default, windows: [\"Mon-Sun {opens:02}:00-{closes:02}:00\"]}}\n"
    scope(HERE + shut, srv)
    wait_until(lambda: any(t["state"] == "waiting" for t in tasks(srv, job_id)), 20, "a wait")
    time.sleep(6)  # longer than the job may run
    assert world.runs("services") == []
    scope(HERE, srv)
    got = wait(srv, job_id)
    assert (got["state"], got["partial"]) == ("completed", False), got
    assert open_ports(srv, job_id) == HOSTS


def test_a_job_outlives_the_key_that_asked_for_it(start, world):
    world.order("well", stage="hosts", pause=1)
    srv = start()
    r = srv.post("/api/v1/keys", json={"name": "owl", "scopes": ["read", "submit:network"]})
    assert r.status_code == 201, r.text
    r = srv.post("/api/v1/scans", json=BODY, key=r.json()["key"])
    job_id = r.json()["id"]
    reached(world, "hosts")
    assert srv.delete("/api/v1/keys/owl").status_code in (200, 204)
    got = wait(srv, job_id)
    assert got["state"] == "completed" and open_ports(srv, job_id) == HOSTS


# ---------------------------------------------------------------- cancelling


def ends_of(srv, job_id):
    return [d["state"] for _, name, d in events(srv, job_id)
            if name == "job.state" and d["state"] in TERMINAL]  # fmt: skip


def check_cancelled(srv, job_id, tree=()):
    got = wait(srv, job_id, 20)
    assert (got["state"], got["reason"]) == ("cancelled", "cancelled"), got
    wait_until(lambda: not [p for p, s in tree if alive(p, s)], 10, "the end of its tools")
    assert all(t["state"] in TERMINAL for t in tasks(srv, job_id))
    assert ends_of(srv, job_id) == ["cancelled"]
    assert os.listdir(srv.data_dir / "work") == []
    assert not got["progress"] or got["progress"]["percent"] < 100
    return got


def test_a_planned_job_that_waits_is_cancelled_at_once(start, world):
    srv = start(SCANPOD_MAX_SCAN_WORKERS="0")
    job_id = submit(srv, shards=4)
    assert srv.post(f"/api/v1/scans/{job_id}/cancel").status_code == 200
    check_cancelled(srv, job_id)
    assert world.runs() == []


@pytest.mark.parametrize("stage", ["hosts", "ports", "services"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_cancel_ends_all_tools_of_a_stage_and_keeps_what_was_found(start, world, stage, workers):
    world.order("hang", stage=stage)
    srv = start(SCANPOD_MAX_SCAN_WORKERS=str(workers))
    idle = descendants(srv.pid)
    job_id = submit(srv, shards=4)
    reached(world, stage, workers)
    wait_until(lambda: job(srv, job_id)["counts"]["hosts"] or stage == "hosts", 20, "hosts")
    tree = descendants(srv.pid) - idle
    assert tree
    n = len(world.runs())
    assert srv.post(f"/api/v1/scans/{job_id}/cancel").status_code in (200, 202)
    got = check_cancelled(srv, job_id, tree)
    assert len(world.runs()) == n, "a tool was started after the cancel"
    if stage != "hosts":
        assert got["partial"] and set(open_ports(srv, job_id)) <= set(HOSTS)
        assert got["counts"]["hosts"] >= 1
    # Nothing of it stands in the way of others.
    world.forget_orders()
    assert scan(srv)["state"] == "completed"


def test_a_job_that_is_cancelled_while_results_are_merged_ends_once(start, world):
    world.hosts = {f"127.1.{i >> 8}.{i & 255}": {} for i in range(20000)}
    srv = start()
    for pause in (0, 0.02, 0.1, 0.3):
        job_id = submit(srv, targets="127.1.0.0/16", profile="ping", ports=None, shards=2)
        wait_until(lambda: any(t["state"] == "completed" for t in tasks(srv, job_id)), 60, "a task")
        time.sleep(pause)
        assert srv.post(f"/api/v1/scans/{job_id}/cancel").status_code in (200, 202, 409)
        got = wait(srv, job_id)
        assert got["state"] in ("cancelled", "completed")
        assert ends_of(srv, job_id) == [got["state"]]
        items = srv.get(f"/api/v1/scans/{job_id}/hosts?limit=1000").json()["items"]
        assert len(items) == min(1000, got["counts"]["hosts"])
        assert len({h["address"] for h in items}) == len(items)
        if got["state"] == "completed":
            assert got["counts"]["hosts"] == 20000


# ---------------------------------------------------------------- progress, events


@pytest.mark.parametrize("fault", [None, "late-crash"])
def test_progress_never_goes_back_and_is_whole_only_at_a_good_end(start, world, fault):
    if fault:
        world.order(fault, stage="ports")
    world.order("steps", every=0.15)
    srv = start(SCANPOD_MAX_SCAN_WORKERS="2")
    job_id = submit(srv, shards=4)
    got = events(srv, job_id)
    percents = [d["percent"] for _, name, d in got if d.get("percent") is not None]
    assert len(percents) >= 3, got
    assert percents == sorted(percents)
    assert all(p < 100 for p in percents[:-1])
    end = job(srv, job_id)
    if fault:
        assert end["state"] == "failed" and end["progress"]["percent"] < 100
    else:
        assert end["state"] == "completed" and end["progress"]["percent"] == 100


def test_ends_of_tasks_are_told_once_and_again_to_who_comes_back(start, world):
    srv = start()
    job_id = submit(srv, shards=4)
    told = events(srv, job_id)
    ends = [d["task"] for _, name, d in told if name == "job.task"]
    assert sorted(ends) == [t["task"] for t in tasks(srv, job_id)]
    assert all(d["task_state"] == "completed" for _, name, d in told if name == "job.task")
    for k in (1, len(told) // 2, len(told) - 2):
        assert events(srv, job_id, after=told[k][0]) == told[k + 1 :]
    srv.restart(signal.SIGKILL)
    assert events(srv, job_id) == told


# ---------------------------------------------------------------- again, and away


def test_a_planned_job_is_retried_as_a_new_one(start, world):
    world.order("crash", stage="ports", target="127.0.0.1", times=1)
    srv = start()
    old = scan(srv, shards=2)
    assert old["partial"]
    r = srv.post(f"/api/v1/scans/{old['id']}/retry")
    assert r.status_code in (201, 202), r.text
    new = wait(srv, r.json()["id"])
    assert new["id"] != old["id"] and new["profile"] == old["profile"]
    assert (new["state"], new["partial"]) == ("completed", False)
    assert open_ports(srv, new["id"]) == HOSTS
    assert job(srv, old["id"])["coverage"] == old["coverage"], "the old one stays as it was"


def test_a_planned_job_that_runs_is_not_deleted_and_one_that_ended_goes_whole(start, world):
    world.order("hang", stage="ports")
    srv = start()
    job_id = submit(srv, shards=2)
    reached(world, "ports")
    r = srv.delete(f"/api/v1/scans/{job_id}")
    assert r.status_code == 409, r.text
    assert job(srv, job_id)["state"] == "running"
    srv.post(f"/api/v1/scans/{job_id}/cancel")
    wait(srv, job_id)
    world.forget_orders()
    done = scan(srv, shards=2)["id"]
    for gone in (job_id, done):
        assert srv.get(f"/api/v1/scans/{gone}/raw?task=0").status_code in (200, 404)
        assert srv.delete(f"/api/v1/scans/{gone}").status_code in (200, 204)
        for path in ("", "/tasks", "/coverage", "/hosts", "/raw?task=0", "/export?format=csv"):
            assert srv.get(f"/api/v1/scans/{gone}{path}").status_code == 404, path

    def files():
        return [f for f in (srv.data_dir / "blob").rglob("*") if f.is_file()]

    wait_until(lambda: not files(), 20, "the end of raw output")
    assert srv.stop() == 0
    assert left_in_store(srv) == {}


def left_in_store(srv):
    import contextlib
    import sqlite3

    tables = ("task", "part", "planned", "host", "port", "cell", "result")
    with contextlib.closing(sqlite3.connect(srv.data_dir / "scanpod.db")) as db:
        there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        counts = {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0]
                  for t in tables if t in there}  # fmt: skip
        assert {"task", "part", "planned", "host", "port"} <= there
        return {t: n for t, n in counts.items() if n}


# ---------------------------------------------------------------- what a client adds


def test_ports_among_arguments_are_those_of_the_plan(start, world):
    srv = start()
    got = scan(srv, ports=None, arguments="-p 22,80-99 --max-retries 1", shards=2)
    assert (got["state"], got["partial"]) == ("completed", False), got["error"]
    assert open_ports(srv, got["id"]) == HOSTS
    assert all(r["ports"] == "22,80-99" and "1" in r["argv"] for r in world.runs("ports"))


# ---------------------------------------------------------------- imports

XML_HEAD = (
    '<?xml version="1.0"?>\n<!DOCTYPE nmaprun>\n<nmaprun scanner="nmap" args="nmap -sT 127.0.0.0/8" '
    'start="1795262400" version="7.93" xmloutputversion="1.05">\n'
)
XML_TAIL = (
    '<runstats><finished time="1795262402" elapsed="2" exit="success"/>'
    '<hosts up="1" down="0" total="1"/></runstats></nmaprun>\n'
)


def xml_host(i):
    ip = f"127.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
    return (
        '<host starttime="1" endtime="2"><status state="up" reason="echo" reason_ttl="0"/>'
        f'<address addr="{ip}" addrtype="ipv4"/><ports><port protocol="tcp" portid="80"><state '
        'state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>\n'
    )


def masscan_row(i):
    ip = f"127.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
    return ('{"ip": "%s", "timestamp": "1795262400", "ports": [ {"port": 80, "proto": "tcp", '
            '"status": "open", "reason": "syn-ack", "ttl": 64} ] }' % ip)  # fmt: skip


def masscan_file(n):
    return "[\n" + ",\n".join(masscan_row(i + 1) for i in range(n)) + "\n]\n"


def nmap_file(n):
    return XML_HEAD + "".join(xml_host(i + 1) for i in range(n)) + XML_TAIL


def tar_file():
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        body = nmap_file(1).encode()
        info = tarfile.TarInfo("scan.xml")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def hand_in(srv, body, **query):
    if isinstance(body, str):
        body = body.encode()
    return srv.post("/api/v1/imports", params=query, data=body,
                    headers={"Content-Type": "application/octet-stream"})  # fmt: skip


def no_import_left(srv):
    path = srv.data_dir / "blob" / "import"
    wait_until(lambda: os.listdir(path) == [], 20, "the import directory to be empty")


BAD_FILES = {
    "empty": b"",
    "one byte": b"<",
    "one brace": b"{",
    "a tar": tar_file(),
    "noise": bytes(random.Random(1).randrange(256) for _ in range(5000)),
    "zeros": b"\0" * 5000,
    "text": b"Starting Nmap 7.93\nHost is up\n",
    "html": b"<html><body>404</body></html>\n",
    "other xml": b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"></feed>\n',
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"x" * 100,
    "utf-16": ("\ufeff" + nmap_file(1)).encode("utf-16-le"),
}


# An empty file is a sweep that found nothing; text may be a list of one column.
RIGHT_FILES = {("empty", "zmap"), ("text", "zmap")}


@pytest.mark.parametrize(
    "what, how",
    [(w, h) for w in BAD_FILES for h in ("auto", "nmap", "zmap") if (w, h) not in RIGHT_FILES],
)
def test_a_file_that_is_no_output_is_refused_at_once(server, scanpod, workdir, what, how):
    before = len(server.get("/api/v1/scans").json()["items"])
    r = hand_in(server, BAD_FILES[what], format=how)
    assert r.status_code == 422, r.text
    assert r.headers["Content-Type"].startswith("application/problem+json")
    assert len(r.json()["errors"]) == 1 and "\0" not in r.text
    assert len(server.get("/api/v1/scans").json()["items"]) == before
    no_import_left(server)
    if how == "auto":
        path = workdir / "file"
        path.write_bytes(BAD_FILES[what])
        done = scanpod("import", path, server=server)
        assert done.returncode == 2 and done.stderr and not done.stdout, done


@pytest.mark.parametrize("format", ["masscan", "zmap"])
def test_a_file_of_another_tool_is_refused_by_name(server, format):
    r = hand_in(server, nmap_file(2), format=format)
    assert r.status_code == 422 and "nmap" in r.text and format in r.text


@pytest.mark.parametrize(
    "what, body, hosts",
    [
        ("nmap", nmap_file(20)[:-2000], 5),
        ("nmap in a tag", nmap_file(3)[: nmap_file(3).index("<ports>") + 20], 0),
        ("masscan", masscan_file(20)[:-700], 5),
    ],
    ids=["nmap", "nmap in a tag", "masscan"],
)
def test_a_file_that_is_cut_off_is_kept_as_far_as_it_goes_and_said_to_be(server, what, body, hosts):
    r = hand_in(server, body)
    assert r.status_code == 202, r.text
    got = wait(server, r.json()["id"])
    assert got["imported"]
    assert got["counts"]["hosts"] >= hosts
    if what.startswith("nmap"):
        assert (got["state"], got["reason"]) == ("failed", "bad_output") and got["error"]
        assert got["partial"] == (hosts > 0)
    no_import_left(server)


def test_an_import_has_no_second_try(server):
    got = wait(server, hand_in(server, nmap_file(1)).json()["id"])
    r = server.post(f"/api/v1/scans/{got['id']}/retry")
    assert r.status_code in (409, 422), r.text
    assert "import" in r.text


@pytest.mark.parametrize("tool", ["nmap", "masscan"])
def test_an_import_that_waits_outlives_the_server(start, tool):
    srv = start(SCANPOD_MAX_SCAN_WORKERS="0")
    job_id = hand_in(srv, nmap_file(50) if tool == "nmap" else masscan_file(50)).json()["id"]
    assert os.listdir(srv.data_dir / "blob" / "import") == [job_id]
    srv.kill()
    srv.env["SCANPOD_MAX_SCAN_WORKERS"] = "2"
    srv.start()
    got = wait(srv, job_id)
    assert (got["state"], got["counts"]["hosts"], got["lost"]) == ("completed", 50, 0)
    assert ends_of(srv, job_id) == ["completed"]
    no_import_left(srv)


@pytest.mark.parametrize("tool", ["nmap", "masscan"])
def test_an_import_that_is_read_when_the_server_dies_is_read_again(start, tool):
    n = 60000
    srv = start()
    job_id = hand_in(srv, nmap_file(n) if tool == "nmap" else masscan_file(n)).json()["id"]
    for _ in range(2):
        wait(srv, job_id, states=("running", *TERMINAL))
        wait_until(lambda: job(srv, job_id)["counts"]["hosts"] or any(
            t["hosts"] for t in tasks(srv, job_id)), 30, "hosts")  # fmt: skip
        srv.kill()
        srv.start()
    got = wait(srv, job_id, 120)
    assert (got["state"], got["counts"]["hosts"]) == ("completed", n)
    if tool == "nmap":
        assert got["lost"] in (1, 2)
    csv = srv.get(f"/api/v1/scans/{job_id}/export?format=csv").text.splitlines()
    assert len(csv) == n + 1 and len(set(csv)) == n + 1
    assert ends_of(srv, job_id) == ["completed"]
    no_import_left(srv)


# ---------------------------------------------------------------- the server dies


@pytest.mark.seconds(600)
def test_a_planned_job_goes_on_where_it_was_when_the_server_is_killed(start, world):
    rng = random.Random(SEED)
    print(f"SCANPOD_CRASH_SEED={SEED}")
    world.order("well", pause=0.05)
    srv = start(SCANPOD_LEASE_SCALE="100")
    whole = hosts(srv, scan(srv, shards=4)["id"])
    assert open_ports(srv, job(srv, srv.get("/api/v1/scans").json()["items"][0]["id"])["id"]) == HOSTS
    total = len(world.runs())
    lost = 0
    for _ in range(2 * ROUNDS):
        job_id = submit(srv, shards=4)
        time.sleep(rng.uniform(0, 0.8))
        tree = descendants(srv.pid)
        srv.kill()
        wait_until(lambda: not [p for p, s in tree if alive(p, s)], 10, "the end of its tools")
        assert srv.integrity() == "ok"
        srv.start()
        got = wait(srv, job_id)
        assert (got["state"], got["partial"]) == ("completed", False), got
        assert hosts(srv, job_id) == whole
        listed = tasks(srv, job_id)
        assert {t["state"] for t in listed} == {"completed"}
        lost += sum(t["lost"] for t in listed)
        assert ends_of(srv, job_id) == ["completed"]
        assert got["coverage"]["text"] == "covered 100.0 %"
    assert world.twice() == []
    assert lost, "nothing was running when the server was killed"
    # What was over was not run again: of each job, its tasks and those that were lost.
    assert len(world.runs()) <= total * (2 * ROUNDS + 1) + lost
    assert srv.stop() == 0
    assert os.listdir(srv.data_dir / "work") == []


def test_a_server_that_was_down_for_long_costs_a_planned_job_no_time(start, world):
    world.order("hang", stage="services")
    srv = start(SCANPOD_LEASE_SCALE="100")
    job_id = submit(srv, shards=2, timeout=5)
    reached(world, "services")
    srv.kill()
    world.forget_orders()
    time.sleep(6)
    srv.start()
    got = wait(srv, job_id)
    assert got["state"] == "completed", got["error"]
    assert {a: set(p) for a, p in open_ports(srv, job_id).items()} == {a: set(p) for a, p in HOSTS.items()}


# ---------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(workdir, need_root):
    """A mount point with a tmpfs of 32 MiB."""
    point = workdir / "disk"
    point.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m,mode=0755", "scanpod-test", str(point)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    yield point
    subprocess.run(["umount", str(point)], check=True)


def fill(disk):
    """Takes all room; gives the file that does."""
    path = disk / "ballast"
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(b"\0" * 65536):
                pass
        except OSError:
            pass
    return path


@pytest.mark.parametrize("stage", ["hosts", "ports", "services"])
def test_a_disk_that_is_full_while_results_come_and_are_merged_costs_no_result(
    small_disk, start, world, stage
):
    world.hosts = {f"127.1.{i >> 8}.{i & 255}": {80: "http"} for i in range(3000)}
    world.order("well", stage=stage, pause=1.5)
    srv = start(data_dir=small_disk / "data", SCANPOD_RETRY_DELAY_MS="200", SCANPOD_RETRIES="20")
    job_id = submit(srv, targets="127.1.0.0/20", ports="80", shards=2, retries=10)
    reached(world, stage)
    ballast = fill(small_disk)
    wait_until(lambda: "commit_failed" in srv.log() or "report_failed" in srv.log()
               or "merge_failed" in srv.log(), 30, "a full disk to be felt")  # fmt: skip
    r = srv.get(f"/api/v1/scans/{job_id}")
    assert r.status_code == 507 or r.json()["state"] == "running"
    ballast.unlink()
    got = wait(srv, job_id, 120)
    assert (got["state"], got["partial"]) == ("completed", False), got
    assert got["counts"]["hosts"] == got["counts"]["ports_open"] == 3000
    assert ends_of(srv, job_id) == ["completed"]
    csv = srv.get(f"/api/v1/scans/{job_id}/export?format=csv").text.splitlines()
    assert len(csv) == len(set(csv)) == 3001
    assert srv.stop() == 0
    assert srv.integrity() == "ok"
