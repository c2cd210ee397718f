"""Caps, time limits, refusals at the start, and what happens without the tool."""

import os
import re
import shutil
import signal
import socket
import time

import pytest

from conftest import StartFailed, alive, free_port, proc_text, wait_until

NO_RUNS = {"SCANPOD_MAX_SCAN_WORKERS": "0"}


# ---------------------------------------------------------------- caps


def test_max_jobs_refuses_the_next_job_as_the_old_service_did(make_server):
    srv = make_server(env={**NO_RUNS, "SCANPOD_MAX_JOBS": "2"})
    first = srv.submit()
    srv.submit()
    r = srv.post("/scans", json={"targets": "127.0.0.1"})
    assert r.status_code == 429
    assert r.json()["detail"] == (
        "Job store is at capacity \u2014 purge finished jobs (DELETE /scans) or wait for retention"
        " to expire"
    )
    assert int(r.headers["Retry-After"]) > 0

    assert srv.post(f"/scans/{first}/cancel").status_code == 200
    assert srv.post("/scans", json={"targets": "127.0.0.1"}).status_code == 429
    assert srv.delete("/scans").json() == {"deleted": 1}
    srv.submit()


def test_only_waiting_jobs_are_capped_by_default(make_server):
    srv = make_server(env={"SCANPOD_MAX_WAITING": "2"})
    for _ in range(4):
        srv.wait(srv.submit())
    assert len(srv.get("/scans").json()) == 4


def test_a_full_queue_refuses_and_says_when_to_come_back(make_server):
    srv = make_server(env={**NO_RUNS, "SCANPOD_MAX_WAITING": "3"})
    ids = [srv.submit() for _ in range(3)]
    for path in ("/scans", "/api/v1/scans"):
        r = srv.post(path, json={"targets": "127.0.0.1"})
        assert r.status_code == 429, r.text
        assert int(r.headers["Retry-After"]) > 0
    assert len(srv.get("/scans").json()) == 3
    srv.post(f"/scans/{ids[0]}/cancel")
    srv.submit()


def test_a_finished_job_expires_where_a_ttl_is_set(make_server):
    srv = make_server(env={"SCANPOD_JOB_TTL_SECONDS": "1"})
    job_id = srv.submit()
    srv.wait(job_id)
    wait_until(lambda: srv.get(f"/scans/{job_id}").status_code == 404, 20, "the job to expire")
    assert srv.get("/scans").json() == []


def test_a_job_that_is_not_finished_never_expires(make_server):
    srv = make_server(env={**NO_RUNS, "SCANPOD_JOB_TTL_SECONDS": "1"})
    job_id = srv.submit()
    other = srv.submit()
    srv.post(f"/scans/{other}/cancel")
    wait_until(lambda: srv.get(f"/scans/{other}").status_code == 404, 20, "the other to expire")
    assert srv.job(job_id)["status"] == "pending"


def test_no_more_scans_run_at_once_than_there_are_workers(make_server, fake_nmap):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "2"}, tool=fake_nmap("hang"))
    ids = [srv.submit() for _ in range(4)]
    wait_until(lambda: srv.job(ids[1])["status"] == "running", 20, "two to run")
    states = [srv.job(i)["status"] for i in ids]
    assert states == ["running", "running", "pending", "pending"]
    srv.post(f"/scans/{ids[0]}/cancel")
    wait_until(lambda: srv.job(ids[2])["status"] == "running", 20, "the third to run")
    assert srv.job(ids[3])["status"] == "pending"


# ---------------------------------------------------------------- time limits and tools


@pytest.mark.parametrize("tool", ["hang", "stubborn", "tree"])
def test_a_scan_that_takes_too_long_is_ended_with_all_its_processes(make_server, fake_nmap, tool):
    srv = make_server(tool=fake_nmap(tool))
    body = {"tool": "nmap", "targets": "127.0.0.1", "timeout": 1, "retries": 0}
    r = srv.post("/api/v1/scans", json=body)
    assert r.status_code == 202, r.text
    job = srv.wait(r.json()["id"], 30)
    assert job["status"] == "failed" and job["error"]
    v1 = srv.get(f"/api/v1/scans/{r.json()['id']}").json()
    assert (v1["state"], v1["reason"]) == ("timed_out", "timeout")
    assert v1["partial"] is True and v1["counts"]["hosts"] == 1
    assert not [c for _, c in srv.own_processes() if "nmap-" in c or "sleep" in c]


def test_a_scan_that_says_too_much_is_ended(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("flood", mb=64), env={"SCANPOD_MAX_OUTPUT_MB": "1"})
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "retries": 0})
    srv.wait(r.json()["id"], 60)
    job = srv.get(f"/api/v1/scans/{r.json()['id']}").json()
    assert (job["state"], job["reason"]) == ("failed", "limit")
    assert "output" in job["error"]


def test_a_missing_tool_is_a_failed_job_that_says_what_to_install(make_server, workdir):
    srv = make_server(tool=workdir / "no-such-nmap")
    job = srv.wait(srv.submit())
    assert job["status"] == "failed"
    assert "no-such-nmap" in job["error"]
    v1 = srv.get(f"/api/v1/scans/{job['job_id']}").json()
    assert v1["reason"] == "tool_missing"
    assert v1["attempts"] <= 1


def test_a_tool_that_comes_and_goes_is_seen_without_a_restart(make_server, fake_nmap, workdir):
    program = workdir / "nmap"
    srv = make_server(tool=program)

    def seen():
        return (
            srv.get("/readyz", key=None).json()["status"],
            srv.get("/api/v1/tools").json()["items"][0]["available"],
        )

    assert seen() == ("degraded", False)
    shutil.copy(fake_nmap("ok"), program)
    assert seen() == ("ready", True)
    assert srv.wait(srv.submit())["status"] == "completed"
    program.unlink()
    assert seen() == ("degraded", False)


def test_a_tool_that_cannot_be_executed_is_told_apart_from_one_that_failed(make_server, workdir):
    broken = workdir / "nmap"
    broken.write_bytes(b"\x7fELF this is no program")
    broken.chmod(0o755)
    srv = make_server(tool=broken)
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "retries": 0})
    srv.wait(r.json()["id"])
    job = srv.get(f"/api/v1/scans/{r.json()['id']}").json()
    assert job["state"] == "failed"
    assert job["reason"] in ("sandbox", "tool_missing"), job
    assert job["exit_status"] is None


def test_a_failing_tool_leaves_its_status_and_last_words(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("fail", status=3, text="QUITTING! no such device"))
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "retries": 0})
    srv.wait(r.json()["id"])
    job = srv.get(f"/api/v1/scans/{r.json()['id']}").json()
    assert (job["state"], job["reason"], job["exit_status"]) == ("failed", "tool_failed", 3)
    assert "QUITTING! no such device" in job["stderr"]


def test_a_failed_run_is_tried_again_as_often_as_asked(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("fail"), env={"SCANPOD_RETRY_DELAY_MS": "20"})
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "retries": 2})
    srv.wait(r.json()["id"])
    job = srv.get(f"/api/v1/scans/{r.json()['id']}").json()
    assert (job["state"], job["attempts"]) == ("failed", 3)


# ---------------------------------------------------------------- at the start


def test_a_second_server_on_the_same_data_is_refused_and_told_the_pid(make_server, scanpod):
    srv = make_server()
    done = scanpod("serve", "--listen", f"127.0.0.1:{free_port()}", "--data-dir", srv.data_dir)
    assert done.returncode != 0
    assert re.search(rf"\b{srv.pid}\b", done.stderr), done.stderr
    assert srv.get("/readyz").status_code == 200


def test_a_taken_port_is_named(make_server, listener, scanpod, workdir):
    done = scanpod("serve", "--listen", f"127.0.0.1:{listener.port}", "--data-dir", workdir / "d")
    assert done.returncode != 0
    assert str(listener.port) in done.stderr and "taken" in done.stderr


@pytest.mark.parametrize(
    "args, env, words",
    [
        ((), {"SCANPOD_API_KEY": "long-enough-and-secret"}, "TLS"),
        ((), {}, "TLS"),
        (("--tls-cert", "c.pem", "--tls-key", "k.pem"), {"SCANPOD_API_KEY": "changeme"}, "changeme"),
    ],
)
def test_listening_beyond_loopback_needs_tls_and_a_key_of_ones_own(
    scanpod, workdir, args, env, words
):
    # Refused before anything listens. 192.0.2.1 is no address of this machine in any case.
    done = scanpod(
        "serve", "--listen", f"192.0.2.1:{free_port()}", "--data-dir", workdir / "d", *args, env=env
    )
    assert done.returncode != 0
    assert words in done.stderr and "refus" in done.stderr, done.stderr


def test_the_old_default_key_works_on_loopback_with_a_warning(make_server):
    srv = make_server(key="changeme")
    assert srv.get("/scans").status_code == 200
    assert "changeme" in srv.log()


def test_without_a_key_one_is_made_and_kept_from_others(make_server):
    srv = make_server(key=None)
    path = srv.key_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(srv.key) >= 32
    assert srv.log().count(srv.key) == 1
    assert srv.get("/scans").status_code == 200
    assert srv.get("/scans", key="sp_wrong").status_code == 401
    for file in srv.data_dir.glob("scanpod.db*"):
        assert srv.key.encode() not in file.read_bytes(), f"the key stands in {file.name}"
    srv.restart()
    assert srv.get("/scans").status_code == 200
    assert srv.log().count(srv.key) == 1, "the key was printed again"


@pytest.mark.parametrize(
    "name, value",
    [
        ("SCANPOD_SCAN_TIMEOUT", "0"),
        ("SCANPOD_SCAN_TIMEOUT", "86401"),
        ("SCANPOD_SCAN_TIMEOUT", "ten"),
        ("SCANPOD_MAX_SCAN_WORKERS", "-1"),
        ("SCANPOD_MAX_SCAN_WORKERS", "9999999999999999999"),
        ("SCANPOD_MAX_JOBS", "-5"),
        ("SCANPOD_ALLOW_UNSAFE_ARGS", "perhaps"),
        ("SCANPOD_LOG_LEVEL", "LOUD"),
        ("SCANPOD_LISTEN", "127.0.0.1:99999"),
        ("SCANPOD_LISTEN", "nowhere"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_by_name(scanpod, workdir, name, value):
    args = [] if name == "SCANPOD_LISTEN" else ["--listen", f"127.0.0.1:{free_port()}"]
    done = scanpod("serve", *args, "--data-dir", workdir / "d", env={name: value})
    assert done.returncode != 0
    assert value in done.stderr, done.stderr
    option = name.removeprefix("SCANPOD_").lower().replace("_", "-")
    assert name in done.stderr or option in done.stderr or "listen" in done.stderr, done.stderr


def test_the_env_file_of_the_old_service_is_read(make_server):
    srv = make_server(start=False)
    (srv.home / ".env").write_text("SCANPOD_MAX_JOBS=1\nOTHER_THING=x\n# a comment\n")
    srv.start()
    srv.submit()
    assert srv.post("/scans", json={"targets": "127.0.0.1"}).status_code == 429


def test_a_certificate_that_is_none_is_named(make_server, workdir):
    for name in ("cert.pem", "key.pem"):
        (workdir / name).write_text("junk")
    with pytest.raises(StartFailed) as failed:
        make_server(args=("--tls-cert", workdir / "cert.pem", "--tls-key", workdir / "key.pem"))
    assert failed.value.status == 2
    assert str(workdir / "cert.pem") in failed.value.log and "/proc/" not in failed.value.log


def test_a_data_directory_that_others_may_write_to_is_refused(scanpod, workdir):
    loose = workdir / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    done = scanpod("serve", "--listen", f"127.0.0.1:{free_port()}", "--data-dir", loose)
    assert done.returncode != 0 and "chmod" in done.stderr


def test_a_directory_with_the_files_of_others_is_not_taken_over(scanpod, workdir, need_root):
    other = workdir / "other"
    other.mkdir(mode=0o755)
    (other / "file").write_text("x")
    done = scanpod("serve", "--listen", f"127.0.0.1:{free_port()}", "--data-dir", other)
    assert done.returncode == 2 and "chown" in done.stderr, done.stderr
    assert other.stat().st_uid == 0 and os.listdir(other) == ["file"]


# ---------------------------------------------------------------- privileges and the end


def test_the_log_file_is_opened_by_the_service_user(make_server, scanpod, workdir, need_root):
    where = workdir / "log"
    where.mkdir()
    args = ("--data-dir", workdir / "d", "--log-file", where / "scanpod.log")
    done = scanpod("serve", "--listen", f"127.0.0.1:{free_port()}", *args)
    assert done.returncode != 0 and "scanpod.log" in done.stderr, done.stderr
    assert os.listdir(where) == []
    owner = (workdir / "d").stat()
    os.chown(where, owner.st_uid, owner.st_gid)
    make_server(args=("--log-file", where / "scanpod.log"))
    assert (where / "scanpod.log").stat().st_uid == owner.st_uid


def test_nothing_in_the_data_directory_belongs_to_root(make_server, fake_nmap, need_root):
    srv = make_server(tool=fake_nmap("ok"))
    srv.wait(srv.submit())
    roots = [p for p in srv.data_dir.rglob("*") if p.stat().st_uid == 0]
    assert (srv.data_dir / "lock").exists() and roots == []


MAY_KEEP = 1 << 12 | 1 << 13 | 1 << 21  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN


def in_user_namespace(pid):
    try:
        there = os.stat(f"/proc/{pid}/ns/user").st_ino
    except OSError:
        assert not alive(pid), f"{pid} lives, and its namespaces cannot be seen"
        return True  # it has ended meanwhile
    return there != os.stat("/proc/self/ns/user").st_ino


@pytest.mark.smoke
def test_no_process_of_the_server_is_root(make_server, fake_nmap, need_root):
    tool = fake_nmap("hang")
    srv = make_server(tool=tool)
    srv.wait_running(srv.submit())
    wait_until(lambda: any(str(tool) in line for _, line in srv.children()), what="the tool")
    seen = 0
    for pid in [srv.pid, *(p for p, _ in srv.children())]:
        status = proc_text(pid, "status")
        if not status:
            continue  # a short one, as what asks a tool for its version
        uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M).groups()
        assert "0" not in uids, f"{pid}: {status[:400]}"
        # What no exec gives back: all but what a runner hands on to boxes, and netd's own.
        bound = int(re.search(r"^CapBnd:\s+(\w+)$", status, re.M).group(1), 16)
        assert bound & ~MAY_KEEP == 0 or in_user_namespace(pid), f"{pid}: {status[:800]}"
        seen += 1
    assert seen >= 6, srv.children()  # daemon, runner, netd, resolver; the box and its tool


def test_the_daemon_itself_keeps_no_capability(make_server, need_root):
    srv = make_server()
    status = open(f"/proc/{srv.pid}/status").read()
    assert re.search(r"^CapEff:\s+0+$", status, re.M), status
    assert re.search(r"^CapPrm:\s+0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), status


@pytest.mark.smoke
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_ends_its_scans_and_gives_them_back(
    make_server, fake_nmap, sig
):
    srv = make_server(tool=fake_nmap("hang"))
    job_id = srv.submit()
    srv.wait_running(job_id)
    began = time.monotonic()
    assert srv.stop(sig) == 0
    assert time.monotonic() - began < 20
    assert srv.own_processes() == []
    assert os.listdir(srv.data_dir / "work") == []
    assert srv.integrity() == "ok"
    srv.start()
    srv.wait_running(job_id)
    assert srv.get(f"/api/v1/scans/{job_id}").json()["lost"] == 0


def test_more_connections_than_allowed_from_one_address_are_refused(make_server):
    srv = make_server(env={"SCANPOD_MAX_CONNS_PER_ADDRESS": "5"})
    idle = [socket.create_connection(("127.0.0.1", srv.port)) for _ in range(5)]
    try:
        def refused():
            with socket.create_connection(("127.0.0.1", srv.port)) as s:
                s.settimeout(5)
                s.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                try:
                    answer = s.recv(4096)
                except ConnectionResetError:
                    return True
                return not answer or b" 503 " in answer.split(b"\r\n")[0]

        wait_until(refused, 5, "the sixth connection to be refused")
    finally:
        for s in idle:
            s.close()
    wait_until(lambda: srv.get("/health").status_code == 200, 5, "room for connections again")


def test_a_bad_start_is_reported_by_the_fixture_itself(make_server):
    with pytest.raises(StartFailed) as failed:
        make_server(env={"SCANPOD_SCAN_TIMEOUT": "none"})
    assert failed.value.status != 0
