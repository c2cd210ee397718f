"""
`scanpod worker` as it is started by a person or a supervisor: a server, workers, a real Redis
between them. Times of leases are a twentieth: a beat each 0.5 s, a tool ends after 3 s without an
answer, a task is given away after 4 s.
"""

import os
import signal
import subprocess
import time

import pytest

from brokers import RedisServer, have_redis
from conftest import Server, _new_dir, clean_env, free_port, processes_of, wait_until

pytestmark = pytest.mark.skipif(not have_redis(), reason="no redis-server")


class Worker(Server):
    """A running `scanpod worker`; what it shares with a server is Server's."""

    def command(self):
        return [str(self.binary), "worker", "--data-dir", str(self.data_dir), *map(str, self.args)]

    def wait_ready(self, seconds=30):
        def ready():
            assert self.running(), self.log()
            return "transport_up" in self.log()

        wait_until(ready, seconds, "the worker to be connected")
        return self

    def spool(self):
        return sorted(p.name for p in (self.data_dir / "spool").iterdir())

    def tools(self):
        """Processes of tools: what its runner started."""
        return [line for _, line in self.children() if "/bin/sh" in line or line.startswith("sleep")]


@pytest.fixture
def redis():
    with RedisServer() as r:
        yield r


@pytest.fixture
def fleet(make_server, redis, scanpod_bin, workdir, fake_nmap):
    """fleet(): the server; fleet.worker(tool=..., args=...): one more worker."""

    class Fleet:
        def __init__(self):
            self.server = make_server(
                env={"SCANPOD_LEASE_SCALE": "20", "SCANPOD_RETRY_DELAY_MS": "100"},
                args=["--transport", redis.url])

        def worker(self, tool=None, args=(), data_dir=None, start=True, transport=None):
            home = _new_dir(workdir, "worker")
            w = Worker(scanpod_bin, home, data_dir or home / "data", free_port(), None,
                       clean_env(home, SCANPOD_TOOL_NMAP=tool or fake_nmap("ok"),
                                 SCANPOD_TRANSPORT=transport or redis.url), args)
            make_server.made.append(w)
            return w.start() if start else w

        def state(self, job):
            return self.server.get(f"/api/v1/scans/{job}").json()

        def running(self, job):
            wait_until(lambda: self.state(job)["state"] == "running", 20, "the job to run")

        def over(self, job, seconds=30):
            wait_until(lambda: self.state(job)["completed_at"], seconds, "the job to be over",
                       [None])
            return self.state(job)

    return Fleet()


# ---- work


@pytest.mark.smoke
def test_a_scan_runs_on_a_worker_and_its_result_is_whole(fleet, fake_nmap):
    fleet.worker(fake_nmap("ok", hosts=300, ports=(22, 80)))
    job = fleet.server.submit(targets="127.0.0.0/24")
    got = fleet.over(job)
    assert (got["state"], got["attempts"], got["lost"]) == ("completed", 1, 0)
    assert got["counts"] == {"hosts": 300, "hosts_up": 300, "ports_open": 600}
    assert got["tool_version"] == "7.93"
    raw = fleet.server.get(f"/api/v1/scans/{job}/raw")
    assert raw.status_code == 200 and raw.text.count("<host ") == 300


def test_many_tasks_run_on_two_workers(fleet):
    one = fleet.worker(args=["--name", "one"])
    two = fleet.worker(args=["--name", "two"])
    jobs = [fleet.server.submit(targets="127.0.0.1") for _ in range(60)]
    assert all(fleet.over(j, 60)["state"] == "completed" for j in jobs)
    for w in (one, two):
        wait_until(lambda: not w.spool(), 10, "the spool to be empty")
        assert not list((w.data_dir / "blob").rglob("*.zst"))


def test_a_cancel_reaches_a_run_on_a_worker(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("stubborn"))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    assert fleet.server.post(f"/api/v1/scans/{job}/cancel").status_code in (200, 202)
    got = fleet.over(job)
    assert got["state"] == "cancelled"
    wait_until(lambda: not w.tools(), 10, "the end of the tool")


def test_a_failing_tool_is_told_as_it_is(fleet, fake_nmap):
    fleet.worker(fake_nmap("fail", status=3, text="no such luck"))
    r = fleet.server.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "retries": 0})
    got = fleet.over(r.json()["id"])
    assert (got["state"], got["reason"], got["exit_status"]) == ("failed", "tool_failed", 3)
    assert "no such luck" in got["stderr"]


# ---- the end of a worker


def test_a_worker_that_is_told_to_end_finishes_what_runs(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("progress", steps=10, pause=0.2))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    assert w.stop() == 0
    got = fleet.over(job)
    assert (got["state"], got["attempts"], got["lost"]) == ("completed", 1, 0)
    assert w.own_processes() == []


def test_what_still_runs_after_the_drain_time_is_handed_back_and_runs_elsewhere(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("hang"), args=["--drain-timeout", "1"])
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    assert w.stop() == 0
    wait_until(lambda: fleet.state(job)["state"] == "queued", 10, "the job to wait again")
    assert fleet.state(job)["lost"] == 0
    fleet.worker(args=["--name", "other"])
    got = fleet.over(job)
    assert (got["state"], got["lost"]) == ("completed", 0)
    assert got["counts"]["hosts"] == 1


def test_a_second_signal_ends_a_worker_at_once(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("stubborn"))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    w.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in w.log(), 10, "the first signal")
    assert w.stop() == 0
    assert processes_of(w.data_dir) == []


def test_the_tasks_of_a_killed_worker_run_again(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("hang"))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    w.kill()
    fleet.worker(args=["--name", "other"])
    got = fleet.over(job)
    assert (got["state"], got["lost"], got["counts"]["hosts"]) == ("completed", 1, 1)


# ---- Redis goes away


def test_a_result_waits_in_the_spool_until_redis_is_back(fleet, fake_nmap, redis):
    w = fleet.worker(fake_nmap("progress", steps=5, pause=0.2))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    redis.kill()
    wait_until(w.spool, 20, "the result to be kept")
    redis.start()
    got = fleet.over(job)
    assert (got["state"], got["attempts"]) == ("completed", 1)
    wait_until(lambda: not w.spool(), 10, "the spool to be empty")


def test_a_kept_result_outlives_its_worker(fleet, fake_nmap, redis):
    w = fleet.worker(fake_nmap("progress", steps=5, pause=0.2))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    redis.kill()
    wait_until(lambda: any(n.endswith(".spool") for n in w.spool()), 20, "the result to be kept")
    w.kill()
    redis.start()
    w.env["SCANPOD_TOOL_NMAP"] = str(fake_nmap("fail"))  # it could not run it anew
    w.start()
    got = fleet.over(job)
    assert got["state"] == "completed" and got["counts"]["hosts"] > 0
    wait_until(lambda: not w.spool(), 10, "the spool to be empty")


def test_a_worker_whose_process_hangs_does_not_let_its_tool_live_on(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("stubborn"))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    os.kill(w.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not w.tools(), 10, "the box to end the tool by itself")
        fleet.worker(args=["--name", "other"])
        assert fleet.over(job)["state"] == "completed"
    finally:
        os.kill(w.pid, signal.SIGCONT)
    time.sleep(1.5)  # it learns that it has lost the task
    got = fleet.state(job)
    assert (got["state"], got["counts"]["hosts"]) == ("completed", 1)
    assert w.running()


def test_a_server_that_is_killed_finds_its_runs_going_on(fleet, fake_nmap):
    w = fleet.worker(fake_nmap("progress", steps=10, pause=0.2))
    job = fleet.server.submit(targets="127.0.0.1")
    fleet.running(job)
    wait_until(w.tools, 10, "the tool to run")
    fleet.server.kill()
    wait_until(lambda: not w.tools(), 10, "the end of the tool")
    fleet.server.start()
    got = fleet.over(job)
    assert (got["state"], got["attempts"], got["lost"]) == ("completed", 1, 0)
    again = fleet.server.submit(targets="127.0.0.1")  # it has learnt anew who works for it
    assert fleet.over(again)["state"] == "completed"


def test_a_zone_has_its_own_workers(fleet):
    fleet.worker(args=["--name", "outside"])
    r = fleet.server.post("/api/v1/scans",
                          json={"tool": "nmap", "targets": "127.0.0.1", "zone": "dmz"})
    job = r.json()["id"]
    other = fleet.server.submit(targets="127.0.0.1")
    assert fleet.over(other)["state"] == "completed"
    assert fleet.state(job)["state"] == "queued"
    fleet.worker(args=["--name", "inside", "--zone", "dmz"])
    assert fleet.over(job)["state"] == "completed"


# ---- what cannot work


def run_worker(scanpod, *args, **env):
    return scanpod("worker", *args, env=env, timeout=30)


def test_a_worker_says_what_is_wrong_with_its_settings(scanpod, workdir):
    dirs = ["--data-dir", workdir / "w"]
    for args, text in [
        ([], "transport"),
        (["--transport", "http://127.0.0.1"], "Redis URL"),
        (["--transport", "redis://127.0.0.1", "--name", "-x/y"], "worker-name"),
        (["--transport", "redis://127.0.0.1", "--zone", "No Zone"], "zone"),
    ]:
        done = run_worker(scanpod, *dirs, *args)
        assert done.returncode == 2, (args, done.stderr)
        assert text in done.stderr


def test_a_redis_that_may_drop_entries_is_refused(scanpod, workdir):
    with RedisServer(options=["--maxmemory-policy", "allkeys-lru"]) as r:
        done = run_worker(scanpod, "--data-dir", workdir / "w", "--transport", r.url)
    assert done.returncode == 1
    assert "maxmemory-policy" in done.stderr or "noeviction" in done.stderr


def test_two_workers_cannot_have_one_name(fleet):
    fleet.worker(args=["--name", "same"])
    other = fleet.worker(args=["--name", "same"], start=False)
    other.start(wait=False)
    try:
        assert other.proc.wait(20) == 1
    except subprocess.TimeoutExpired:
        pytest.fail("both of them work:\n" + other.log())
    assert "another worker named 'same'" in other.log()


def test_two_workers_cannot_share_a_data_directory(fleet):
    w = fleet.worker()
    other = fleet.worker(data_dir=w.data_dir, args=["--name", "other"], start=False)
    other.start(wait=False)
    assert other.proc.wait(20) != 0
    assert "cannot start" in other.log()
    other.proc = None
