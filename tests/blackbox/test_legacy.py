"""The routes of the older service, word for word, and its known defects, which are ours no more."""

import re
import time

import pytest

from conftest import wait_until

HEX = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
DASH = "\u2014"


def detail(r, field, type_, msg, status=422):
    """The one entry of a 422 body; `msg` without "Value error, " for a value_error."""
    assert r.status_code == status, r.text
    entries = r.json()["detail"]
    assert len(entries) == 1, entries
    text = f"Value error, {msg}" if type_ == "value_error" else msg
    assert (entries[0]["type"], entries[0]["loc"], entries[0]["msg"]) == (
        type_,
        ["body", field],
        text,
    )
    return entries[0]


def post(srv, **body):
    return srv.post("/scans", json=body)


# ---------------------------------------------------------------- health and keys


def test_health_needs_no_key(server):
    r = server.get("/health", key=None)
    assert (r.status_code, r.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "method,path",
    [("GET", "/scans"), ("POST", "/scans"), ("DELETE", "/scans"), ("GET", "/scans/x"),
     ("DELETE", "/scans/x"), ("POST", "/scans/x/cancel")],
)  # fmt: skip
def test_every_scan_route_needs_the_key(server, method, path):
    wrong = server.request(method, path, key="wrong")
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid API key"})
    none = server.request(method, path, key=None)
    assert (none.status_code, none.json()) == (401, {"detail": "Not authenticated"})
    assert none.headers["WWW-Authenticate"]


def test_the_key_is_checked_before_the_body(server):
    r = server.post("/scans", key="wrong", data=b"{", headers={"Content-Type": "application/json"})
    assert r.status_code == 401


def test_the_framework_answers_are_kept(server):
    assert server.get("/nothing").json() == {"detail": "Not Found"}
    r = server.put("/scans", json={})
    assert (r.status_code, r.json()) == (405, {"detail": "Method Not Allowed"})
    assert "GET" in r.headers["Allow"] and "POST" in r.headers["Allow"]
    r = server.get("/scans/", allow_redirects=False)
    assert r.status_code == 307 and r.headers["Location"].endswith("/scans")
    assert server.get("/scans/").status_code == 200
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert server.get(path, key=None).status_code == 200
    assert server.get("/openapi.json", key=None).json()["info"]["title"] == "ScanPod"


# ---------------------------------------------------------------- one job


def test_a_submitted_job_is_echoed_and_runs_to_its_result(server):
    request = {"targets": "127.0.0.1", "ports": "80", "arguments": "-sT", "timeout": 60}
    r = post(server, **request)
    assert r.status_code == 202
    assert list(r.json()) == ["job_id", "status", "created_at"]
    assert HEX.fullmatch(r.json()["job_id"]) and TIME.fullmatch(r.json()["created_at"])
    assert r.json()["status"] == "pending"

    job = server.wait(r.json()["job_id"])
    assert list(job) == ["job_id", "status", "request", "result", "error", "created_at",
                         "started_at", "completed_at"]  # fmt: skip
    assert job["status"] == "completed" and job["error"] is None
    assert job["request"] == request
    assert all(TIME.fullmatch(job[k]) for k in ("created_at", "started_at", "completed_at"))
    assert job["created_at"] <= job["started_at"] <= job["completed_at"]
    host = job["result"]["hosts"][0]
    assert (host["host"], host["state"]) == ("127.0.0.1", "up")
    port = host["ports"][0]
    assert (port["port"], port["protocol"], port["state"], port["service"]) == (
        80, "tcp", "open", "http",
    )  # fmt: skip
    assert isinstance(job["result"]["command_line"], str) and job["result"]["command_line"]


def test_the_result_has_what_the_old_service_dropped(server):
    job = server.wait(server.submit())
    host = job["result"]["hosts"][0]
    assert {"addr": "127.0.0.1", "type": "ipv4"} in host["addresses"]
    assert {"name": "localhost", "type": "PTR"} in host["hostnames"]
    assert host["reason"] == "localhost-response" and host["timed_out"] is False
    port = host["ports"][0]
    assert (port["product"], port["version"], port["reason"]) == ("Stand-in", "1.0", "syn-ack")
    assert port["cpe"] == ["cpe:/a:example:stand-in:1.0"]


def test_nulls_are_echoed_and_unknown_members_ignored(server):
    r = post(server, targets="127.0.0.1", ports=None, extra={"x": [1]})
    assert r.status_code == 202
    assert server.job(r.json()["job_id"])["request"] == {
        "targets": "127.0.0.1", "ports": None, "arguments": None, "timeout": None,
    }  # fmt: skip


def test_a_real_scan_of_this_machine_finds_its_listener(make_server, real_nmap, listener):
    srv = make_server(tool=real_nmap)
    job = srv.wait(srv.submit(ports=str(listener.port), arguments="-sT -Pn"))
    assert job["status"] == "completed", job
    (host,) = job["result"]["hosts"]
    assert host["host"] == "127.0.0.1" and host["state"] == "up"
    assert [(p["port"], p["state"]) for p in host["ports"]] == [(listener.port, "open")]
    assert "nmap" in job["result"]["command_line"]


def test_a_real_scan_of_ipv6_loopback_completes(make_server, real_nmap):
    srv = make_server(tool=real_nmap)
    job = srv.wait(srv.submit(targets="::1", ports="1", arguments="-sT -Pn"))
    if "-6" not in (job["result"] or {}).get("command_line", "-6"):
        pytest.fail(job)
    assert job["status"] == "completed", job
    assert job["result"]["hosts"][0]["host"] == "::1"


def test_a_failed_scan_says_why(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("fail", text="QUITTING! no"), env={"SCANPOD_RETRIES": "0"})
    job = srv.wait(srv.submit())
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"]


def test_a_job_that_takes_too_long_is_failed_with_an_error(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    job = srv.wait(srv.submit(timeout=1))
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"] and job["completed_at"]


# ---------------------------------------------------------------- the list, cancel, delete


def test_the_list_is_in_order_of_arrival_and_complete(make_server):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    assert srv.get("/scans").text == "[]"
    ids = [srv.submit() for _ in range(7)]
    assert srv.get("/scans").json() == [{"job_id": i, "status": "pending"} for i in ids]


def test_a_list_longer_than_a_page_is_complete(make_server):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    ids = [srv.submit() for _ in range(2100)]
    assert [j["job_id"] for j in srv.get("/scans").json()] == ids


def test_a_pending_job_is_cancelled_at_once_and_then_deleted(make_server):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    job_id = srv.submit()
    r = srv.delete(f"/scans/{job_id}")
    assert (r.status_code, r.json()) == (
        409, {"detail": f"Job cannot be deleted in status 'pending' {DASH} cancel it first"},
    )  # fmt: skip
    r = srv.post(f"/scans/{job_id}/cancel")
    assert r.status_code == 200
    job = r.json()
    assert (job["status"], job["result"]) == ("cancelled", None)
    assert TIME.fullmatch(job["completed_at"])
    r = srv.post(f"/scans/{job_id}/cancel")
    assert (r.status_code, r.json()) == (
        409,
        {"detail": f"Job cannot be cancelled in status 'cancelled' {DASH} it has already finished"},
    )
    r = srv.delete(f"/scans/{job_id}")
    assert (r.status_code, r.content) == (204, b"")
    for r in (srv.get(f"/scans/{job_id}"), srv.delete(f"/scans/{job_id}"),
              srv.post(f"/scans/{job_id}/cancel")):  # fmt: skip
        assert (r.status_code, r.json()) == (404, {"detail": "Job not found"})


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_job_cannot_be_cancelled(make_server, fake_nmap, status):
    tool = fake_nmap("ok" if status == "completed" else "fail")
    srv = make_server(tool=tool, env={"SCANPOD_RETRIES": "0"})
    job_id = srv.submit()
    assert srv.wait(job_id)["status"] == status
    r = srv.post(f"/scans/{job_id}/cancel")
    assert (r.status_code, r.json()["detail"]) == (
        409, f"Job cannot be cancelled in status '{status}' {DASH} it has already finished",
    )  # fmt: skip


@pytest.mark.parametrize("tool", ["hang", "stubborn", "tree"])
def test_cancelling_a_running_job_kills_its_tool_before_the_answer(make_server, fake_nmap, tool):
    srv = make_server(tool=fake_nmap(tool))
    job_id = srv.submit()
    srv.wait_running(job_id)
    wait_until(lambda: [c for _, c in srv.children() if "nmap-" in c], 20, "the tool to run")
    assert srv.delete(f"/scans/{job_id}").json()["detail"].startswith(
        "Job cannot be deleted in status 'running'"
    )
    r = srv.post(f"/scans/{job_id}/cancel")
    assert r.status_code == 200, r.text
    assert (r.json()["status"], r.json()["result"]) == ("cancelled", None)
    assert r.json()["completed_at"]
    assert not [c for _, c in srv.own_processes() if "nmap-" in c or "sleep 100" in c]


def test_a_cancelled_and_deleted_job_stays_gone(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    job_id = srv.submit()
    srv.wait_running(job_id)
    assert srv.post(f"/scans/{job_id}/cancel").status_code == 200
    assert srv.delete(f"/scans/{job_id}").status_code == 204
    other = srv.submit()
    srv.wait_running(other)
    assert srv.get(f"/scans/{job_id}").status_code == 404
    assert [j["job_id"] for j in srv.get("/scans").json()] == [other]
    srv.restart()
    assert srv.get(f"/scans/{job_id}").status_code == 404


def test_purging_takes_all_finished_jobs_and_no_other(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"), env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    running = srv.submit()
    srv.wait_running(running)
    pending = [srv.submit() for _ in range(3)]
    for job_id in pending[:2]:
        srv.post(f"/scans/{job_id}/cancel")
    r = srv.delete("/scans")
    assert (r.status_code, r.json()) == (200, {"deleted": 2})
    assert srv.delete("/scans").json() == {"deleted": 0}
    assert [j["job_id"] for j in srv.get("/scans").json()] == [running, pending[2]]


def test_jobs_and_results_survive_a_restart(make_server):
    srv = make_server()
    job_id = srv.submit()
    before = srv.wait(job_id)
    srv.restart()
    assert srv.job(job_id) == before


# ---------------------------------------------------------------- validation

GOOD_TARGETS = ["127.0.0.1", "127.0.0.1 127.0.0.2", "127.0.0.0/30", "127.0.0.1-4", "localhost",
                "127.0.0.*", "'127.0.0.1'", "10.213.77.0/24"]  # fmt: skip


@pytest.fixture(scope="module")
def idle(scanpod_bin, _session_dir, fake_nmap):
    """A server that accepts and never runs: targets of these tests are only looked at."""
    from conftest import _Factory

    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield factory(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    factory.finish()


@pytest.mark.parametrize("targets", [*GOOD_TARGETS, "::1", "fd12:3456:789a::/120", "fd12:3456:789a::1"])
def test_targets_that_are_accepted(idle, targets):
    r = post(idle, targets=targets)
    assert r.status_code == 202, r.text
    assert idle.job(r.json()["job_id"])["request"]["targets"] == targets


@pytest.mark.parametrize(
    "targets,msg",
    [
        ("", "targets must not be empty"),
        ("   ", "targets must not be empty"),
        ("-oN", "invalid target: '-oN'"),
        ("127.0.0.1 --script=x", "invalid target: '--script=x'"),
        ("127.0.0.1;id", "invalid target: '127.0.0.1;id'"),
        ("a,b", "invalid target: 'a,b'"),
        ("a_b", "invalid target: 'a_b'"),
        ("$(id)", "invalid target: '$(id)'"),
        ("'127.0.0.1", "No closing quotation"),
        ("127.0.0.1\\", "No escaped character"),
        ("'a b'", "invalid target: 'a b'"),
        ("#x", "invalid target: '#x'"),
    ],
)
def test_targets_that_are_refused(idle, targets, msg):
    entry = detail(post(idle, targets=targets), "targets", "value_error", msg)
    assert entry["input"] == targets
    assert entry["ctx"] == {"error": {}}


@pytest.mark.parametrize("targets", ["203.0.113.7", "127.0.0.1 203.0.113.7", "2001:db8::1",
                                     "169.254.169.254", "0.0.0.0/0", "224.0.0.1"])  # fmt: skip
def test_targets_that_nobody_authorised_are_refused_with_a_detail(idle, targets):
    r = post(idle, targets=targets)
    assert r.status_code in (403, 422), r.text
    assert targets == "0.0.0.0/0" or r.status_code == 403
    assert list(r.json()) == ["detail"]


def test_a_name_without_an_address_is_a_wrong_target(idle):
    r = post(idle, targets="no-such-name.invalid")
    assert r.status_code == 422, r.text
    (entry,) = r.json()["detail"]
    assert (entry["type"], entry["loc"]) == ("value_error", ["body", "targets"])
    assert entry["input"] == "no-such-name.invalid"


@pytest.mark.parametrize("ports", ["80", "1-65535", "22,80,443", "T:80,U:53", "S:1-10", None])
def test_ports_that_are_accepted(idle, ports):
    assert post(idle, targets="127.0.0.1", ports=ports).status_code == 202


@pytest.mark.parametrize(
    "ports", ["", "-", "80-", "http", "80, 443", "80;id", "99999", "100-1", "80\n", "\u0661", "T:"]
)
def test_ports_that_are_refused(idle, ports):
    detail(post(idle, targets="127.0.0.1", ports=ports), "ports", "value_error",
           f"invalid ports specification: '{ports}'")  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [None, "", "-sS -sV", "-T4 --open --reason -vv", "--top-ports 100", "--top-ports=100",
     "--max-rtt-timeout 100ms --host-timeout=5m", "'-sT'", "-6"],
)  # fmt: skip
def test_arguments_that_are_accepted(idle, arguments):
    targets = "::1" if arguments == "-6" else "127.0.0.1"
    r = post(idle, targets=targets, arguments=arguments)
    assert r.status_code == 202, r.text


@pytest.mark.parametrize(
    "arguments,msg",
    [
        ("-oN /tmp/x", "disallowed argument: '-oN'"),
        ("-p 80", "disallowed argument: '-p'"),
        ("-A", "disallowed argument: '-A'"),
        ("--script=vuln", "disallowed argument: '--script=vuln'"),
        ("-sSU", "disallowed argument: '-sSU'"),
        ("-T 4", "disallowed argument: '-T'"),
        ("-sS=1", "disallowed argument: '-sS=1'"),
        ("-iL /etc/passwd", "disallowed argument: '-iL'"),
        ("127.0.0.2", "disallowed argument: '127.0.0.2'"),
        ("--top-ports", "argument '--top-ports' requires a value"),
        ("--top-ports x", "invalid value for '--top-ports': 'x'"),
        ("--max-rate=1.5", "invalid value for '--max-rate': '1.5'"),
        ("--mtu -1", "invalid value for '--mtu': '-1'"),
        ("'-sS", "No closing quotation"),
    ],
)
def test_arguments_that_are_refused(idle, arguments, msg):
    detail(post(idle, targets="127.0.0.1", arguments=arguments), "arguments", "value_error", msg)


def test_unsafe_arguments_pass_where_the_operator_allows_them(make_server):
    srv = make_server(env={"SCANPOD_ALLOW_UNSAFE_ARGS": "true", "SCANPOD_MAX_SCAN_WORKERS": "0"})
    # 403: it is understood, and this machine may have no way to send such packets in a box
    assert post(srv, targets="10.213.77.1", arguments="--badsum").status_code in (202, 403)
    (entry,) = post(srv, targets="127.0.0.1", arguments="-oN /tmp/x").json()["detail"]
    assert entry["msg"].startswith("Value error, disallowed argument: '-oN'")
    detail(post(srv, targets="-oN"), "targets", "value_error", "invalid target: '-oN'")
    detail(post(srv, targets="127.0.0.1", ports="x"), "ports", "value_error",
           "invalid ports specification: 'x'")  # fmt: skip


@pytest.mark.parametrize("value,stored", [("15", 15), (True, 1), (2.0, 2), (" 7 ", 7), (86400, 86400)])
def test_lax_timeouts_are_stored_as_numbers(idle, value, stored):
    r = post(idle, targets="127.0.0.1", timeout=value)
    assert r.status_code == 202, r.text
    assert idle.job(r.json()["job_id"])["request"]["timeout"] == stored


@pytest.mark.parametrize(
    "value,type_,msg",
    [
        (1.5, "int_from_float",
         "Input should be a valid integer, got a number with a fractional part"),
        ("x", "int_parsing",
         "Input should be a valid integer, unable to parse string as an integer"),
        ([1], "int_type", "Input should be a valid integer"),
        (0, "greater_than_equal", "Input should be greater than or equal to 1"),
        (-1, "greater_than_equal", "Input should be greater than or equal to 1"),
        (86401, "less_than_equal", "Input should be less than or equal to 86400"),
    ],
)  # fmt: skip
def test_timeouts_that_are_refused(idle, value, type_, msg):
    entry = detail(post(idle, targets="127.0.0.1", timeout=value), "timeout", type_, msg)
    assert entry["input"] == value


def test_a_missing_field_names_the_whole_body_as_input(idle):
    entry = detail(post(idle, ports="80"), "targets", "missing", "Field required")
    assert entry["input"] == {"ports": "80"}


def test_all_wrong_fields_are_listed(idle):
    r = post(idle, targets=5, ports="x", arguments=[], timeout="x")
    assert r.status_code == 422
    assert [(e["loc"][1], e["type"]) for e in r.json()["detail"]] == [
        ("targets", "string_type"),
        ("ports", "value_error"),
        ("arguments", "string_type"),
        ("timeout", "int_parsing"),
    ]


# ---------------------------------------------------------------- settings


def test_the_default_timeout_is_the_setting(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"), env={"SCANPOD_SCAN_TIMEOUT": "1"})
    job = srv.wait(srv.submit())
    assert job["status"] == "failed" and job["request"]["timeout"] is None


def test_a_ttl_makes_finished_jobs_vanish_from_every_answer(make_server):
    srv = make_server(env={"SCANPOD_JOB_TTL_SECONDS": "1"})
    job_id = srv.submit()
    srv.wait(job_id)
    time.sleep(1.1)
    assert srv.get(f"/scans/{job_id}").status_code == 404
    assert srv.get("/scans").json() == []


def test_settings_come_from_a_dotenv_file_too(make_server):
    srv = make_server(key=None, start=False)
    (srv.home / ".env").write_text("# settings\nSCANPOD_API_KEY='from the file'\n")
    srv.key = "from the file"
    srv.start()
    assert srv.get("/scans").status_code == 200
    assert srv.get("/scans", key="changeme").status_code == 401
