"""
After kill -9 of any of the processes at any moment, every accepted job is there, ends once, and
nothing of the old run is left: no tool, no directory, no damage in the store.

SCANPOD_CRASH_ROUNDS: rounds of each kind (10). SCANPOD_CRASH_SEED: repeats a run.
"""

import json
import os
import random
import signal
import threading
import time

import pytest
import requests

from conftest import TERMINAL, alive, descendants, proc_stat, wait_until

ROUNDS = int(os.environ.get("SCANPOD_CRASH_ROUNDS", "10"))
SEED = int(os.environ.get("SCANPOD_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Load(threading.Thread):
    """Submits, and now and then cancels, until it is stopped or the server is gone."""

    def __init__(self, srv, rng):
        super().__init__(daemon=True)
        self.srv, self.rng = srv, random.Random(rng.random())
        self.accepted, self.halt = {}, False
        self.asked, self.cancelled = set(), set()  # cancels sent, cancels confirmed

    def run(self):
        session = requests.Session()
        session.trust_env = False
        session.headers["X-API-Key"] = self.srv.key
        n = 0
        while not self.halt:
            n += 1
            body = {"targets": "127.0.0.1", "ports": str(self.rng.randrange(1, 65536))}
            try:
                r = session.post(f"{self.srv.url}/scans", json=body, timeout=10)
                if r.status_code == 202:
                    self.accepted[r.json()["job_id"]] = body["ports"]
                if n % 7 == 0 and self.accepted:
                    victim = self.rng.choice(list(self.accepted))
                    self.asked.add(victim)
                    r = session.post(f"{self.srv.url}/scans/{victim}/cancel", timeout=10)
                    if r.status_code == 200:
                        self.cancelled.add(victim)
            except (requests.RequestException, ValueError):
                return
            time.sleep(self.rng.uniform(0, 0.02))


def roles(srv):
    """The runner: the daemon's direct child that was forked from it and is no other program."""
    own = cmdline(srv.pid)
    return [
        pid
        for pid, _ in descendants(srv.pid)
        if cmdline(pid) == own and (proc_stat(pid) or [0])[0] == srv.pid
    ]


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return None


def strike(srv, whom):
    """Kills; gives everything that belonged to the server, to be looked for afterwards."""
    tree = descendants(srv.pid)
    runner = roles(srv)
    victims = {"daemon": [srv.pid], "runner": runner, "both": [srv.pid, *runner]}[whom]
    assert victims, "there is no runner process"
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    srv.killed = True
    # Without its runner the server is of no use: it ends, or has replaced it.
    if whom != "runner":
        srv.proc.wait(20)
    return tree


def check_after(srv, accepted, asked, cancelled):
    tally = {"lost once or more": 0}
    for job_id in accepted:
        job = srv.wait(job_id, 90)
        tally[job["status"]] = tally.get(job["status"], 0) + 1
        tally["lost once or more"] += srv.get(f"/api/v1/scans/{job_id}").json()["lost"] > 0
        assert job["request"]["ports"] == accepted[job_id]
        assert job["status"] in ("completed", "cancelled", "failed"), job
        if job["status"] == "failed":
            v1 = srv.get(f"/api/v1/scans/{job_id}").json()
            assert v1["reason"] == "worker_lost", v1
        if job["status"] == "cancelled":
            assert job_id in asked, job
        else:
            assert job_id not in cancelled, f"confirmed as cancelled, and now {job}"
    print(f"{len(accepted)} jobs: {tally}")
    assert tally["lost once or more"], "nothing was running when processes were killed"
    # Terminal is for ever, and said once: the event log has one end for each job.
    ends = {}
    events = srv.get(
        "/api/v1/events", headers={"Last-Event-ID": "0", "Accept": "text/event-stream"}, stream=True
    )
    assert events.status_code == 200
    name = data = None
    waiting = set(accepted)
    for line in events.iter_lines(decode_unicode=True):
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data = json.loads(line[5:])
        elif line == "" and data is not None:
            job = data.get("job_id") or data.get("id")
            if name == "job.state" and data.get("state") in TERMINAL:
                ends.setdefault(job, []).append(data["state"])
                waiting.discard(job)
            name = data = None
            if not waiting:
                break
    events.close()
    for job_id in accepted:
        assert len(ends.get(job_id, [])) == 1, f"{job_id} ended as {ends.get(job_id)}"


def crash_rounds(srv, whom, rounds):
    rng = random.Random(f"{SEED}-{whom}")
    print(f"SCANPOD_CRASH_SEED={SEED} whom={whom} rounds={rounds}")
    accepted, asked, cancelled = {}, set(), set()
    for _ in range(rounds):
        loads = [Load(srv, rng) for _ in range(3)]
        for load in loads:
            load.start()
        time.sleep(rng.uniform(0.02, 0.35))
        tree = strike(srv, whom)
        for load in loads:
            load.halt = True
        for load in loads:
            load.join(20)
            accepted.update(load.accepted)
            asked |= load.asked
            cancelled |= load.cancelled
        if whom == "runner":
            # It may serve on with a new runner, or end in order; never hang without one.
            def settled():
                return srv.proc.poll() is not None or roles(srv)

            wait_until(settled, 20, "the server to end or to have a runner again")
            if srv.running():
                srv.stop()
        wait_until(
            lambda: not [p for p, s in tree if alive(p, s)], 10, "every process of the dead server"
        )
        # What the runner forked right before it died is not in the tree: it ends by itself.
        wait_until(lambda: not srv.own_processes(), 10, "the end of what was just being started")
        assert srv.integrity() == "ok"
        srv.start()
        left = [d for d in os.listdir(srv.data_dir / "work")]
        running = [j for j in srv.get("/scans").json() if j["status"] == "running"]
        assert len(left) <= len(running) + 4, f"left-over directories: {left}"
    assert accepted, "no job was accepted in any round: the test proves nothing"
    check_after(srv, accepted, asked, cancelled)
    assert srv.stop() == 0
    assert os.listdir(srv.data_dir / "work") == []
    assert srv.integrity() == "ok"
    stray = [p for p in os.listdir(srv.data_dir / "blob") if p.endswith((".tmp", ".part", ".new"))]
    assert not stray, f"half-written files: {stray}"


SETTINGS = {
    "SCANPOD_LEASE_SCALE": "100",
    "SCANPOD_MAX_WAITING": "0",
    "SCANPOD_KILL_GRACE_MS": "100",
    "SCANPOD_MAX_SCAN_WORKERS": "8",
}


@pytest.mark.seconds(900)
@pytest.mark.parametrize("whom", ["daemon", "runner", "both"])
def test_no_job_is_lost_when_processes_are_killed(make_server, fake_nmap, whom):
    tool = fake_nmap("progress", steps=2, pause=0.02)
    srv = make_server(tool=tool, env=SETTINGS)
    crash_rounds(srv, whom, ROUNDS)


@pytest.mark.smoke
@pytest.mark.seconds(900)
def test_no_job_is_lost_when_the_real_nmap_runs(make_server, real_nmap):
    srv = make_server(tool=real_nmap, env=SETTINGS)
    crash_rounds(srv, "daemon", max(2, ROUNDS // 3))


@pytest.mark.parametrize("tool", ["hang", "stubborn", "tree"])
def test_no_tool_outlives_a_killed_server(make_server, fake_nmap, tool):
    srv = make_server(tool=fake_nmap(tool), env=SETTINGS)
    ids = [srv.submit() for _ in range(3)]
    for job_id in ids:
        srv.wait_running(job_id)
    wait_until(lambda: len(descendants(srv.pid)) >= 6, 20, "the tools to be there")
    tree = descendants(srv.pid)
    srv.kill()
    wait_until(lambda: not [p for p, s in tree if alive(p, s)], 10, "the tools to be gone")
    assert srv.own_processes() == []
    # They are run again, each as a lost one, and results of the dead run are not kept twice.
    srv.start()
    for job_id in ids:
        srv.wait_running(job_id)
        assert srv.get(f"/api/v1/scans/{job_id}").json()["lost"] == 1


def test_a_job_whose_worker_dies_every_time_fails_in_the_end(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"), env=SETTINGS)
    job_id = srv.submit()
    for _ in range(10):
        if srv.job(job_id)["status"] == "failed":
            break
        srv.wait(job_id, 30, states=("running", "failed"))
        srv.kill()
        srv.start()
    job = srv.get(f"/api/v1/scans/{job_id}").json()
    assert (job["state"], job["reason"]) == ("failed", "worker_lost"), job
    assert 1 < job["lost"] <= 5
