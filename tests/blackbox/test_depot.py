"""
Raw output in object storage: sent after the scan, had back through the API, removed with its job;
and what happens when the storage does not play along. The storage is a stand-in that checks every
signature.
"""

import hashlib
import json
import re
import subprocess
import time

import pytest
import requests

from conftest import proc_text, wait_until
from s3_standin import S3Standin
from standins import HEAD, host_xml, tail_xml

PART = 16 << 20
# Comments that cannot be made smaller: base64 of random bytes keeps 3/4 of its length.
LARGE = (
    HEAD
    + "head -c %d /dev/urandom | base64 -w 4000 | sed 's/^/<!-- /; s/$/ -->/'\n"
    + "cat <<'XML'\n"
    + host_xml("127.0.0.1")
    + tail_xml(1)
    + "\nXML\n"
)


@pytest.fixture
def s3():
    with S3Standin() as standin:
        yield standin


@pytest.fixture
def serve(make_server, s3):
    """serve(uri=..., env=..., ...) starts a server whose raw output goes to `s3`."""

    def start(uri=None, env=None, **more):
        args = ["--blob", uri or s3.uri()]
        return make_server(env={**s3.env, **(env or {})}, args=args, **more)

    return start


def local_files(server):
    return sorted(p for p in (server.data_dir / "blob").glob("??/*") if p.is_file())


def metric(server, name):
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no {name}")


def waiting(server):
    return metric(server, "scanpod_blobs_waiting")


def scan(server, **more):
    job = server.submit(**more)
    assert server.wait(job)["status"] == "completed"
    return job


def view(server, job):
    return server.get(f"/api/v1/scans/{job}").json()


def raw(server, job, **more):
    return server.get(f"/api/v1/scans/{job}/raw", **more)


def moved(server, n=0):
    """Everything is in the storage, and nothing is left here."""
    wait_until(lambda: waiting(server) == n and len(local_files(server)) == n, 30, "the move")


def check_download(server, job, text=None):
    got = raw(server, job, timeout=40)
    assert got.status_code == 200, got.text
    assert hashlib.sha256(got.content).hexdigest() == view(server, job)["raw"]["sha256"]
    assert text is None or got.content == text
    return got.content


# ---------------------------------------------------------------- as it should be


@pytest.mark.smoke
def test_raw_output_moves_to_storage_and_is_downloaded_from_there(serve, s3):
    server = serve()
    job = scan(server)
    told = view(server, job)["raw"]
    moved(server)
    (key,) = s3.objects
    assert told["uri"] == f"s3://{s3.bucket}/{key}" == view(server, job)["raw"]["uri"]
    assert key.startswith("scans/")
    stored = s3.objects[key]
    assert stored.meta == {"x-amz-meta-sha256": hashlib.sha256(stored.data).hexdigest()}
    assert b"<nmaprun" in check_download(server, job)
    assert raw(server, job).headers["ETag"] == f'"{told["sha256"]}"'
    assert not s3.refused


def test_results_are_rebuilt_from_what_was_moved(serve, s3):
    server = serve()
    job = scan(server)
    before = server.job(job)["result"]["hosts"]
    moved(server)
    got = server.post(f"/api/v1/scans/{job}/reparse", timeout=30)
    assert got.status_code == 200, got.text
    assert server.job(job)["result"]["hosts"] == before != []
    assert any(method == "GET" for method, _ in s3.requests)


def test_each_task_of_a_planned_job_has_its_object(serve, s3, real_nmap, listener):
    server = serve(tool=real_nmap)
    body = {"targets": "127.0.0.1", "ports": str(listener.port), "profile": "quick"}
    job = server.post("/api/v1/scans", json=body).json()["id"]
    assert server.wait(job)["status"] == "completed"
    tasks = server.get(f"/api/v1/scans/{job}/tasks").json()["items"]
    moved(server)
    assert len(s3.objects) == len(tasks) > 1
    texts = {raw(server, job, params={"task": t["task"]}).text for t in tasks}
    assert len(texts) == len(tasks) and all("</nmaprun>" in text for text in texts)
    server.delete(f"/api/v1/scans/{job}")
    wait_until(lambda: not s3.objects, 20, "all of them to be removed")


def test_an_object_is_removed_with_its_job_even_if_the_storage_was_away(serve, s3):
    server = serve()
    first, second = scan(server), scan(server)
    moved(server)
    assert server.delete(f"/api/v1/scans/{first}").status_code in (200, 204)
    wait_until(lambda: len(s3.objects) == 1, 20, "the object to be removed")
    s3.outage()
    assert server.delete(f"/api/v1/scans/{second}").status_code in (200, 204)
    server.restart()
    s3.recover()
    wait_until(lambda: not s3.objects, 30, "the other one to be removed after all")


def test_large_output_is_sent_in_parts_and_comes_back_whole(serve, s3, fake_nmap):
    server = serve(tool=fake_nmap(script=LARGE % (41 << 20)))
    job = scan(server)
    moved(server)
    (stored,) = s3.objects.values()
    assert len(stored.data) > 40 << 20
    parts = [p for m, p in s3.requests if m == "PUT"]
    assert len(parts) == -(-len(stored.data) // PART) >= 3
    assert all("partNumber=" in p for p in parts) and not s3.uploads
    check_download(server, job)


def test_the_depot_holds_little_memory_and_no_privilege(serve, s3, fake_nmap):
    server = serve(tool=fake_nmap(script=LARGE % (41 << 20)))
    scan(server)
    moved(server)
    (status,) = [
        text
        for pid, _ in server.own_processes()
        if (text := proc_text(pid, "status")) and text.startswith("Name:\tscanpod-depot\n")
    ]
    kb = {name: int(n) for name, n in re.findall(r"(\w+):\s+(\d+) kB", status)}
    if kb["VmPeak"] < 1 << 30:  # not with the sanitizer's shadow
        assert kb["VmHWM"] < 40 << 10, kb
    assert int(re.search(r"CapPrm:\s+([0-9a-f]+)", status)[1], 16) == 0
    assert re.search(r"Seccomp:\s+2", status) and re.search(r"NoNewPrivs:\s+1", status)


def test_no_more_than_two_uploads_are_under_way(serve, s3):
    server = serve(env={"SCANPOD_MAX_SCAN_WORKERS": "4"})
    s3.outage()
    for job in [server.submit() for _ in range(12)]:
        server.wait(job)
    s3.most = 0
    s3.recover()
    moved(server)
    assert len(s3.objects) == 12 and s3.most <= 2


def test_the_json_of_the_third_system_with_a_session_token(make_server, s3):
    s3.session_token = "to/ken+with=signs"
    config = {
        "type": "s3", "bucket": s3.bucket, "prefix": "a/b", "endpoint": s3.endpoint,
        "region": s3.region, "path_style": True, "access_key": s3.access_key,
        "secret_key": s3.secret_key, "session_token": s3.session_token,
    }  # fmt: skip
    server = make_server(env={"OUTPUT_STORAGE_CONFIG": json.dumps(config)})
    job = scan(server)
    assert view(server, job)["raw"]["uri"].startswith(f"s3://{s3.bucket}/a/b/")
    moved(server)
    assert not s3.refused
    assert s3.secret_key not in server.log()


def test_a_directory_of_its_own_is_storage_too(make_server, workdir):
    config = {"type": "local", "path": str(workdir / "raw" / "output")}
    server = make_server(env={"OUTPUT_STORAGE_CONFIG": json.dumps(config)})
    job = scan(server)
    assert view(server, job)["raw"]["uri"] is None
    assert len(list((workdir / "raw" / "output").glob("??/*.zst"))) == 1
    assert not local_files(server)
    check_download(server, job)


# ---------------------------------------------------------------- a storage that does not play along


@pytest.mark.parametrize("kind", ["500", "slowdown", "reset", "truncate", "huge"])
def test_a_fault_of_the_moment_is_tried_again(serve, s3, kind):
    server = serve()
    s3.fault(kind, times=2, method="PUT")
    job = scan(server)
    moved(server)
    assert metric(server, 'scanpod_blob_uploads_total{result="failed"}') == 2
    check_download(server, job)


def test_an_object_with_another_tag_than_was_told_is_sent_again(serve, s3):
    server = serve()
    s3.fault("etag", times=1, method="HEAD")
    job = scan(server)
    moved(server)
    assert s3.puts == 2
    check_download(server, job)


def test_a_truncated_part_and_an_end_that_fails_are_noticed(serve, s3, fake_nmap):
    server = serve(tool=fake_nmap(script=LARGE % (34 << 20)))
    s3.fault("complete-error", times=1, method="POST", match="uploadId")
    s3.fault("truncate", times=1, method="PUT", match="partNumber=2")
    job = scan(server)
    moved(server)
    check_download(server, job)
    assert not s3.uploads


@pytest.mark.parametrize(
    "kind, code", [("refuse", "AccessDenied (403)"), ("no-bucket", "NoSuchBucket (404)")]
)
def test_a_bucket_that_refuses_is_told_and_fails_no_scan(serve, s3, kind, code):
    server = serve()
    s3.fault(kind)
    job = scan(server)
    wait_until(lambda: code in server.log(), 20, f"{code} in the log")
    assert waiting(server) == 1 and len(local_files(server)) == 1
    assert metric(server, "scanpod_blob_storage_up") == 0
    check_download(server, job)  # from here
    tries = len(s3.requests)
    time.sleep(3)
    assert len(s3.requests) == tries  # somebody has to do something about it: no haste
    s3.heal()
    server.restart()
    moved(server)
    check_download(server, job)


def test_wrong_credentials_are_told_without_them(serve, s3):
    server = serve(env={"AWS_SECRET_ACCESS_KEY": "not-the-secret-key"})
    scan(server)
    wait_until(lambda: "SignatureDoesNotMatch (403)" in server.log(), 20, "the reason in the log")
    assert waiting(server) == 1 and not s3.objects
    assert "not-the-secret-key" not in server.log()


def test_what_waits_through_an_outage_and_a_kill_is_sent_afterwards(serve, s3):
    server = serve()
    s3.outage()
    jobs = [scan(server) for _ in range(3)]
    assert waiting(server) == 3
    server.kill()
    server.start()
    assert waiting(server) == 3
    s3.recover()
    moved(server)
    assert len(s3.objects) == 3
    for job in jobs:
        check_download(server, job)


def test_recovery_is_noticed_while_the_server_runs(serve, s3):
    server = serve()
    s3.outage()
    scan(server)
    wait_until(lambda: "blob_waits" in server.log(), 20, "the outage to be told")
    s3.recover()
    moved(server)
    assert "storage_answers" in server.log()
    assert metric(server, "scanpod_blob_storage_up") == 1


def test_a_redirect_is_not_followed(serve, s3):
    with S3Standin() as other:
        server = serve()
        s3.elsewhere = other.endpoint + "/raw-output/x"
        s3.fault("redirect", times=1)
        scan(server)
        wait_until(lambda: "status 307" in server.log(), 20, "the redirect to be told")
        assert not other.requests


def test_a_certificate_that_nobody_vouches_for_is_refused(serve, scanpod, workdir):
    made = scanpod("tls", "init", env={"SCANPOD_DATA_DIR": workdir / "pair"}, check=True)
    with S3Standin(tls=made.stdout.split()) as secure:
        server = serve(uri=secure.uri())
        scan(server)
        wait_until(lambda: "certificate" in server.log(), 20, "the certificate to be refused")
        assert waiting(server) == 1 and not secure.requests


def test_a_file_that_is_gone_is_told_and_holds_up_nothing(serve, s3):
    server = serve()
    s3.outage()
    scan(server)
    for path in local_files(server):
        path.unlink()
    server.restart()
    scan(server)
    s3.recover()
    wait_until(lambda: "blob_lost" in server.log(), 20, "the loss to be told")
    wait_until(lambda: len(s3.objects) == 1, 20, "the other one to be sent")


def test_an_upload_in_parts_that_is_given_up_is_aborted(serve, s3, fake_nmap):
    server = serve(tool=fake_nmap(script=LARGE % (34 << 20)))
    s3.fault("hang", method="PUT", match="partNumber=2")
    scan(server)
    wait_until(lambda: any("partNumber=2" in p for _, p in s3.requests), 20, "the second part")
    assert s3.uploads
    assert server.stop() == 0
    wait_until(lambda: not s3.uploads, 10, "the upload to be aborted")
    assert s3.aborted == 1
    s3.heal()
    server.start()
    moved(server)


# ---------------------------------------------------------------- downloads


def test_a_download_during_an_outage_ends_with_503(serve, s3):
    server = serve()
    job = scan(server)
    moved(server)
    s3.outage()
    since = time.monotonic()
    got = raw(server, job, timeout=60)
    assert got.status_code == 503 and int(got.headers["Retry-After"]) > 0
    assert time.monotonic() - since < 40
    s3.recover()
    check_download(server, job)


def test_a_storage_that_hangs_holds_no_download_and_no_server(serve, s3):
    server = serve()
    job = scan(server)
    moved(server)
    s3.fault("hang", method="GET")
    with pytest.raises(requests.Timeout):
        raw(server, job, timeout=2)  # who goes away is forgotten
    since = time.monotonic()
    assert raw(server, job, timeout=60).status_code == 503
    assert time.monotonic() - since < 40
    assert server.get("/readyz").status_code == 200


@pytest.mark.parametrize("kind", ["corrupt", "cut"])
def test_damaged_content_is_fetched_again_and_never_given_out(serve, s3, kind):
    server = serve()
    job = scan(server)
    moved(server)
    s3.fault(kind, times=1, method="GET")
    check_download(server, job)
    s3.fault("corrupt", method="GET")
    assert raw(server, job, timeout=60).status_code == 503


def test_an_object_that_is_gone_is_404_and_says_so(serve, s3):
    server = serve()
    job = scan(server)
    moved(server)
    s3.objects.clear()
    got = raw(server, job, timeout=40)
    assert got.status_code == 404 and "storage" in got.text
    again = server.post(f"/api/v1/scans/{job}/reparse", timeout=40)
    assert again.status_code == 404, again.text


def test_a_server_without_the_setting_says_where_the_output_is(serve, s3):
    server = serve()
    job = scan(server)
    moved(server)
    server.stop()
    server.args.clear()
    server.start()
    assert view(server, job)["raw"]["uri"].startswith("s3://")
    got = raw(server, job)
    assert got.status_code == 503 and "blob" in got.json()["detail"]


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "value, why",
    [
        ("s3://x/y", "bucket"),
        ("s3://bucket/../y", "prefix"),
        ("s3://bucket/a?endpoint=ftp://h", "endpoint"),
        ("s3://bucket/a?endpoint=http://h/path", "endpoint"),
        ("s3://bucket/a?secret=1", "parameter"),
        ("http://bucket", "s3://"),
        ("s3://bucket", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_the_reason(make_server, value, why):
    server = make_server(args=["--blob", value], start=False)
    done = subprocess.run(
        server.command(), env=server.env, cwd=server.home, capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0 and why in done.stderr


def test_doctor_names_a_wrong_storage(scanpod, s3):
    env = {**s3.env, "SCANPOD_BLOB": "s3://x"}
    assert "bucket" in scanpod("doctor", env=env).stdout
    env["SCANPOD_BLOB"] = s3.uri()
    assert s3.bucket in scanpod("doctor", env=env).stdout
