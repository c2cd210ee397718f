"""
A full disk: refused with 503 or 507, nothing half-written, and all well again as soon as there is
room, without a restart. The data directory is a file system of its own, of 32 MiB.
"""

import os
import subprocess

import pytest

from conftest import wait_until

SIZE_MB = 32  # a server with less than 16 MiB left is not ready


@pytest.fixture
def small_disk(workdir, need_root):
    """A mount point with a small tmpfs, unmounted at the end, after the servers are gone."""
    point = workdir / "disk"
    point.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0755", "scanpod-test", str(point)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    yield point
    subprocess.run(["umount", str(point)], check=True)


@pytest.fixture
def full_server(small_disk, make_server):
    """A factory: the server's data directory lies on the small disk."""

    def make(**kw):
        return make_server(data_dir=small_disk / "data", **kw)

    return make


def fill(disk, leave=0):
    """Takes all room, but for `leave` bytes; gives the file that does."""
    path = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave
    with open(path, "wb", buffering=0) as f:
        try:
            while free > 0:
                free -= f.write(b"\0" * min(free, 65536))
        except OSError:
            pass
    return path


def submit_until_refused(srv, most=20000):
    accepted = []
    for _ in range(most):
        r = srv.post("/scans", json={"targets": "127.0.0.1", "ports": "80"})
        if r.status_code != 202:
            return accepted, r
        accepted.append(r.json()["job_id"])
    pytest.fail(f"{most} jobs were accepted on a full disk")


def check_all_there(srv, accepted):
    listed = {j["job_id"] for j in srv.get("/scans").json()}
    assert set(accepted) <= listed, "an accepted job is gone"
    return listed


@pytest.mark.parametrize("leave", [0, 4096, 40960])
def test_a_full_disk_refuses_a_submit_and_is_overcome_without_a_restart(
    full_server, small_disk, leave
):
    srv = full_server(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    before = [srv.submit() for _ in range(3)]
    ballast = fill(small_disk, leave)
    accepted, refusal = submit_until_refused(srv)
    assert refusal.status_code in (503, 507), refusal.text
    assert refusal.json()["detail"]
    before += accepted
    # Reading goes on; nothing of the refused request is seen.
    assert check_all_there(srv, before) == set(before)
    assert srv.get("/health").status_code == 200
    v1 = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1"})
    assert v1.status_code in (503, 507)
    assert v1.headers["Content-Type"].startswith("application/problem+json")

    ballast.unlink()
    wait_until(
        lambda: srv.post("/scans", json={"targets": "127.0.0.1"}).status_code == 202,
        15, "a submit to be accepted again",
    )  # fmt: skip
    assert wait_until(lambda: srv.get("/readyz").status_code == 200, 15, "ready again")
    assert set(before) < check_all_there(srv, before)
    assert srv.stop() == 0
    assert srv.integrity() == "ok"
    srv.start()
    check_all_there(srv, before)


def test_a_disk_that_fills_up_during_a_scan_ends_no_job_wrongly(
    full_server, small_disk, fake_nmap
):
    tool = fake_nmap("progress", steps=60, pause=0.05)
    srv = full_server(tool=tool, env={"SCANPOD_RETRY_DELAY_MS": "50"})
    job_id = srv.submit()
    srv.wait_running(job_id)
    wait_until(
        lambda: srv.get(f"/api/v1/scans/{job_id}").json()["counts"]["hosts"] >= 1, 20, "a host"
    )
    ballast = fill(small_disk)
    refused = submit_until_refused(srv)[1]
    assert refused.status_code in (503, 507)
    # Whatever was written before is readable while the disk is full.
    assert srv.job(job_id)["status"] in ("running", "pending", "failed", "completed")
    ballast.unlink()
    job = srv.wait(job_id, 90)
    v1 = srv.get(f"/api/v1/scans/{job_id}").json()
    if job["status"] == "completed":
        assert v1["counts"]["hosts"] == 60, "completed, and not all hosts are there"
        assert len(job["result"]["hosts"]) == 60
    else:
        assert v1["state"] == "failed" and v1["reason"] in ("internal", "worker_lost", "limit"), v1
    again = srv.wait(srv.submit(), 90)
    assert again["status"] == "completed" and len(again["result"]["hosts"]) == 60
    assert srv.stop() == 0
    assert os.listdir(srv.data_dir / "work") == []
    assert srv.integrity() == "ok"


def test_raw_output_that_has_no_room_is_not_kept_by_half(full_server, small_disk, fake_nmap):
    # Output that zstd cannot make small, more than the disk has.
    noise = (
        "echo '<?xml version=\"1.0\"?><nmaprun scanner=\"nmap\" args=\"nmap\" version=\"7.93\" "
        "xmloutputversion=\"1.05\"><!-- '\n"
        "head -c 50000000 /dev/urandom | base64 | tr '-' '_'\n"
        "echo ' --><runstats><finished time=\"1\" elapsed=\"1\" exit=\"success\"/>"
        "<hosts up=\"0\" down=\"0\" total=\"0\"/></runstats></nmaprun>'\n"
    )
    srv = full_server(tool=fake_nmap(script=noise))
    job = srv.wait(srv.submit(), 120)
    v1 = srv.get(f"/api/v1/scans/{job['job_id']}").json()
    if v1["raw"] is not None:
        raw = srv.get(f"/api/v1/scans/{job['job_id']}/raw")
        assert raw.status_code == 200 and len(raw.content) == v1["raw"]["size"]
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    assert free > 20 << 20, "the part that was written is still there"
    srv.submit()
    assert srv.stop() == 0
    assert srv.integrity() == "ok"


def test_a_server_that_starts_on_a_full_disk_says_so(full_server, small_disk, scanpod):
    srv = full_server()
    srv.submit()
    srv.stop()
    fill(small_disk)
    srv.start(wait=False)

    def told():
        if not srv.running():
            return "disk" in srv.log() or "full" in srv.log() or "space" in srv.log()
        try:
            return srv.get("/readyz").status_code in (200, 503)
        except OSError:
            return False

    wait_until(told, 20, "an answer, or an end with the reason")
    (small_disk / "ballast").unlink()
    if not srv.running():
        srv.start()
    wait_until(lambda: srv.get("/readyz").status_code == 200, 15, "ready")
    assert len(srv.get("/scans").json()) == 1
