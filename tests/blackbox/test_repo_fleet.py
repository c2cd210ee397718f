"""Repository scans that workers elsewhere run: findings come whole, once, and secrets stay there."""

import sqlite3

import pytest

from brokers import RedisServer, have_redis
from conftest import _new_dir, clean_env, free_port, wait_until
from repo_lab import FILES, NO_GIT, engines_file, fresh_lab, git
from test_worker import Worker

pytestmark = [pytest.mark.skipif(not have_redis(), reason="no redis-server"), pytest.mark.seconds(150)]
_ = (fresh_lab, git)


@pytest.fixture
def redis():
    with RedisServer() as r:
        yield r


@pytest.fixture
def fleet(fresh_lab, redis, scanpod_bin, workdir, make_server, git):
    """fleet.lab: a server without git or secrets; fleet.worker(): one with both."""

    class Fleet:
        def __init__(self):
            self.lab = fresh_lab(
                env={**NO_GIT, "SCANPOD_LEASE_SCALE": "20", "SCANPOD_RETRY_DELAY_MS": "100",
                     "SCANPOD_RETRIES": "2", "SCANPOD_SECRETS_DIR": None},
                args=["--transport", redis.url])  # fmt: skip

        def worker(self, env=None, secrets=None):
            home = _new_dir(workdir, "worker")
            folder = _new_dir(home, "secrets")
            for name, value in (secrets or {}).items():
                (folder / name).write_text(value)
                (folder / name).chmod(0o600)
            w = Worker(scanpod_bin, home, home / "data", free_port(), None,
                       clean_env(home, **{"SCANPOD_TRANSPORT": redis.url,
                                          "SCANPOD_REPO_CA_FILE": git.cert,
                                          "SCANPOD_SECRETS_DIR": folder,
                                          "SCANPOD_ENGINES_FILE": engines_file(home),
                                          "SCANPOD_SCOPE_FILE": self.lab.policy_path,
                                          **(env or {})}),
                       ["--name", home.name.replace("_", "-")])  # fmt: skip
            make_server.made.append(w)
            return w.start()

    return Fleet()


@pytest.mark.smoke
def test_a_scan_runs_on_a_worker_and_its_findings_are_there(fleet):
    fleet.worker()
    repo = fleet.lab.repo({"a.c": "// FLAWh one\n", "b.c": "// FLAWm two\n"})
    scan = fleet.lab.submit(repo)
    done = scan.done()
    assert done["commit"] == repo.head["main"] and done["complete"] is True
    assert [(f["path"], f["state"]) for f in scan.findings()] == [("a.c", "new"), ("b.c", "new")]
    again = fleet.lab.scan(repo)
    assert again.view()["states"]["unchanged"] == 2


def test_a_large_result_arrives_whole(fleet):
    fleet.worker()
    repo = fleet.lab.repo({f"d{i}/a.c": "".join(f"// FLAWh n{i}-{k}\n" for k in range(100))
                           for i in range(20)})  # fmt: skip
    scan = fleet.lab.submit(repo)
    done = scan.done()
    assert done["counts"]["high"] == 2000
    found = scan.findings() + [
        f for f in fleet.lab.server.get(f"{scan.path}/findings", params={
            "limit": 1000,
            "cursor": fleet.lab.server.get(f"{scan.path}/findings?limit=1000").json()["next_cursor"],
        }).json()["items"]]  # fmt: skip
    assert len({(f["path"], f["line"]) for f in found}) == len(found) == 2000


def test_a_worker_that_is_killed_hands_its_scan_to_another_without_doubles(fleet):
    one = fleet.worker()
    repo = fleet.lab.repo({"a.c": "".join(f"// FLAWh n{k}\n" for k in range(50))})
    scan = fleet.lab.submit(repo, engines=["lab-ok", "lab-wait-1"], retries=2).running()
    wait_until(lambda: [1 for _, c in one.children() if "lab-engine" in c], 30, "an engine")
    one.kill()
    fleet.worker()
    done = scan.done(90)
    assert done["counts"]["high"] == 50 and len(scan.findings()) == 50
    assert done["job"]["lost"] + done["job"]["attempts"] >= 2


def test_a_worker_without_git_takes_no_repositories(fleet):
    fleet.worker(env=NO_GIT)
    scan = fleet.lab.submit(fleet.lab.repo(FILES))
    other = fleet.lab.server.post("/api/v1/scans", json={"tool": "noop", "targets": "127.0.0.1"})
    wait_until(lambda: fleet.lab.server.get(f"/api/v1/scans/{other.json()['id']}").json()[
        "completed_at"], 30, "another job to run there")  # fmt: skip
    assert scan.view()["job"]["state"] == "queued"
    fleet.worker()
    scan.done()


def test_secrets_are_the_workers_own(fleet):
    import git_server

    fleet.worker(secrets={"their-token": git_server.SECRET})
    repo = fleet.lab.repo(FILES)
    scan = fleet.lab.submit(repo.at("private"), credential="their-token")
    assert scan.done()["complete"] is True
    job = fleet.lab.failed(repo.at("private"), credential="nonesuch", retries=0)
    assert "no secret 'nonesuch'" in job["error"]
    assert fleet.lab.server.stop() == 0
    with sqlite3.connect(fleet.lab.server.data_dir / "scanpod.db") as db:
        assert git_server.SECRET not in "\n".join(db.iterdump())


def test_a_scan_on_a_worker_can_be_cancelled(fleet):
    w = fleet.worker()
    scan = fleet.lab.submit(fleet.lab.repo(FILES), engines=["lab-sleep"]).running()
    wait_until(lambda: [1 for _, c in w.children() if "lab-engine" in c], 30, "an engine")
    assert fleet.lab.server.post(f"/api/v1/scans/{scan.id}/cancel").status_code in (200, 202)
    assert scan.wait()["job"]["state"] == "cancelled"
    wait_until(lambda: not [1 for _, c in w.children() if "lab-engine" in c], 20, "its end")


