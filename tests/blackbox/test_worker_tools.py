"""
Workers that do not all have the same tools: a task waits for one that can run it.
"""

import subprocess

import pytest

from brokers import RedisServer, have_redis
from conftest import wait_until
from lab import IN
from lab_server import LabServer, lab  # noqa: F401
from test_worker import fleet, redis  # noqa: F401

pytestmark = pytest.mark.skipif(not have_redis(), reason="no redis-server")


def submit(server, **body):
    r = server.post("/api/v1/scans", json={"targets": "127.0.0.1", **body})
    assert r.status_code == 202, r.text
    return r.json()["id"]


def queue(server, name):
    return server.get(f"/api/v1/queues/{name}").json()


def test_a_worker_without_nmap_takes_none_of_its_tasks(fleet, fake_nmap):  # noqa: F811
    bare = fleet.worker("/nonexistent/nmap", args=["--name", "bare"], start=False)
    bare.env["PATH"] = "/nonexistent"
    bare.start()
    wait_until(lambda: fleet.server.get("/api/v1/workers").json()["items"], 20, "the worker")
    jobs = [submit(fleet.server, tool="nmap") for _ in range(10)]
    fleet.worker(fake_nmap("ok"), args=["--name", "whole"])
    assert [fleet.over(j)["state"] for j in jobs] == ["completed"] * 10
    items = fleet.server.get("/api/v1/workers").json()["items"]
    assert {w["name"]: w["queues"] for w in items} == {"bare": [], "whole": ["net", "repo"]}


@pytest.mark.parametrize("tool", ["masscan", "zmap"])
def test_what_nobody_has_yet_is_accepted_and_waits(fleet, tool):  # noqa: F811
    job = submit(fleet.server, tool=tool, ports="80", zone="dmz")
    assert fleet.state(job)["queue"] == f"net-{tool}@dmz"
    assert f"queue_unserved | queue=net-{tool}@dmz job={job}" in fleet.server.log()
    assert queue(fleet.server, f"net-{tool}@dmz")["ready"] == 1
    fleet.worker(args=["--name", "plain", "--zone", "dmz"])  # has the tool, and no raw sockets
    wait_until(lambda: queue(fleet.server, "net@dmz")["workers"] == 1, 20, "the worker")
    assert queue(fleet.server, f"net-{tool}@dmz")["ready"] == 1
    submit(fleet.server, tool=tool, ports="80", zone="dmz")
    assert queue(fleet.server, f"net-{tool}@dmz")["ready"] == 2


@pytest.mark.parametrize("what", [{"tool": "nmap"}, {"tool": "masscan", "ports": "80"},
                                  {"profile": "quick"}])  # fmt: skip
def test_a_retry_stays_in_its_zone(fleet, what):  # noqa: F811
    job = submit(fleet.server, zone="dmz", **what)
    fleet.server.post(f"/api/v1/scans/{job}/cancel")
    fleet.over(job)
    again = fleet.server.post(f"/api/v1/scans/{job}/retry").json()
    assert again["queue"] == fleet.state(job)["queue"]
    assert again["queue"].endswith("@dmz")


class LabWorker(LabServer):
    def start(self, *more):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [*self.lab.inside("host"), str(self.binary), "worker", "--name", self.home.name,
                 "--data-dir", str(self.home / "data"), "--scope", str(self.scope),
                 *map(str, self.args), *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.home,
                start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: "transport_up" in self.log(), 30, "the worker; " + self.log())
        return self


@pytest.mark.seconds(300)
def test_a_task_of_masscan_goes_to_a_worker_that_has_it(lab, scanpod_bin, workdir):  # noqa: F811
    socket = workdir / "redis"
    made = []
    with RedisServer(options=["--unixsocket", str(socket), "--unixsocketperm", "777"]):

        def make(kind, name, **env):
            home = workdir / name
            home.mkdir()
            home.chmod(0o755)
            made.append(kind(lab, scanpod_bin, home, SCANPOD_TRANSPORT=f"unix:{socket}",
                             SCANPOD_LEASE_SCALE="5", **env))
            return made[-1].start()

        try:
            server = make(LabServer, "server")
            make(LabWorker, "few", SCANPOD_TOOL_MASSCAN="/nonexistent/masscan",
                 SCANPOD_TOOL_ZMAP="/nonexistent/zmap")
            make(LabWorker, "all")
            wait_until(lambda: len(server.get("/api/v1/workers")["items"]) == 2, 20, "both")
            assert {w["name"]: w["queues"] for w in server.get("/api/v1/workers")["items"]} == {
                "few": ["net", "repo", "net-raw"],
                "all": ["net", "repo", "net-raw", "net-masscan", "net-zmap"],
            }
            jobs = [server.submit(IN, tool="masscan", ports="80") for _ in range(3)]
            assert [server.wait(j)["state"] for j in jobs] == ["completed"] * 3
        finally:
            for one in reversed(made):
                assert one.stop() == 0, one.log()
