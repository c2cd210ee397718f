"""/api/v1: pages, tags, long polls, replays, streams, keys, raw output."""

import concurrent.futures
import hashlib
import http.client
import json
import re
import signal
import socket
import threading
import time
import xml.etree.ElementTree

import pytest

from conftest import wait_until

IDLE = {"SCANPOD_MAX_SCAN_WORKERS": "0"}
V1 = "/api/v1/scans"


def submit(srv, **body):
    r = srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1", **body})
    assert r.status_code == 202, r.text
    return r.json()["id"]


def done(srv, job_id):
    return wait_until(
        lambda: (lambda j: j if j["completed_at"] else None)(srv.get(f"{V1}/{job_id}").json()),
        30, f"the end of {job_id}",
    )  # fmt: skip


def problem(r, status, name):
    assert r.status_code == status, r.text
    assert r.headers["Content-Type"] == "application/problem+json"
    body = r.json()
    assert body["type"] == f"/problems/{name}" and body["status"] == status
    assert body["title"] and body["detail"]
    assert body["instance"] == r.headers["X-Request-Id"]
    return body


# ---------------------------------------------------------------- submit


def test_a_job_is_accepted_with_its_place_and_all_settings(make_server):
    srv = make_server(env=IDLE)
    r = srv.post(V1, json={"targets": ["127.0.0.1", "127.0.0.2"], "ports": "80", "tool": "nmap",
                           "arguments": ["-sT", "--max-retries", "2"], "timeout": 5, "priority": 9,
                           "retries": 2, "queue_timeout": 60})  # fmt: skip
    assert r.status_code == 202, r.text
    job = r.json()
    assert r.headers["Location"] == f"{V1}/{job['id']}"
    assert job["targets"] == "127.0.0.1 127.0.0.2"
    assert job["arguments"] == "-sT --max-retries 2"
    assert (job["state"], job["timeout"], job["run_timeout"], job["priority"], job["retries"],
            job["queue_timeout"]) == ("queued", 5, 5, 9, 2, 60)  # fmt: skip
    assert srv.get(r.headers["Location"]).json() == job


@pytest.mark.parametrize(
    "body,pointers",
    [
        ({}, ["/targets"]),
        ([], [""]),
        ({"targets": []}, ["/targets"]),
        ({"targets": 5}, ["/targets"]),
        ({"targets": ["127.0.0.1", 5]}, ["/targets/1"]),
        ({"targets": ["127.0.0.1 -oN x"]}, ["/targets"]),
        ({"targets": "127.0.0.1", "Ports": "80"}, ["/Ports"]),
        ({"targets": "127.0.0.1", "ports": 80}, ["/ports"]),
        ({"targets": "127.0.0.1", "ports": "80-70"}, ["/ports"]),
        ({"targets": "127.0.0.1", "tool": "rm"}, ["/tool"]),
        ({"targets": "127.0.0.1", "arguments": ["-oN", "x"]}, ["/arguments"]),
        ({"targets": "127.0.0.1", "arguments": ["-sT -sV"]}, ["/arguments"]),
        ({"targets": "127.1"}, ["/targets"]),
        ({"targets": "0x7f.0.0.1"}, ["/targets"]),
        ({"targets": "::ffff:127.0.0.1"}, ["/targets"]),
        ({"targets": "127.0.0.1", "options": {"no_such": 1}}, ["/options/no_such"]),
        ({"targets": "127.0.0.1", "options": {"max_retries": "x"}}, ["/options"]),
        ({"targets": "127.0.0.1", "options": []}, ["/options"]),
        ({"targets": "127.0.0.1", "limits": {"wall_s": 0.5}}, ["/limits/wall_s"]),
        ({"targets": "127.0.0.1", "limits": {"walls": 5}}, ["/limits"]),
        ({"targets": "127.0.0.1", "clip": "yes"}, ["/clip"]),
        ({"targets": "127.0.0.1", "timeout": "15"}, ["/timeout"]),
        ({"targets": "127.0.0.1", "timeout": True}, ["/timeout"]),
        ({"targets": "127.0.0.1", "timeout": 1.0}, ["/timeout"]),
        ({"targets": "127.0.0.1", "timeout": 0}, ["/timeout"]),
        ({"targets": "127.0.0.1", "priority": 10}, ["/priority"]),
        ({"targets": "127.0.0.1", "retries": -1}, ["/retries"]),
        ({"targets": "127.0.0.1", "a/b~c": 1}, ["/a~1b~0c"]),
        ({"ports": "x", "timeout": 0}, ["/targets", "/ports", "/timeout"]),
    ],
)
def test_each_wrong_member_is_pointed_at(server, body, pointers):
    got = problem(server.post(V1, json=body), 422, "invalid")
    assert [e["pointer"] for e in got["errors"]] == pointers
    assert all(e["detail"] for e in got["errors"])


def test_options_and_limits_are_part_of_the_job(make_server):
    srv = make_server(env=IDLE)
    r = srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1", "arguments": "-sT", "timeout": 100,
                           "options": {"max_retries": 2, "open_only": True, "reason": False},
                           "limits": {"wall_s": 60, "memory_mb": 256}})  # fmt: skip
    assert r.status_code == 202, r.text
    job = r.json()
    assert job["arguments"].startswith("-sT ")
    assert "--open" in job["arguments"] and "--max-retries" in job["arguments"]
    assert "--reason" not in job["arguments"]
    assert job["limits"] == {"wall_s": 60, "memory_mb": 256}
    assert (job["timeout"], job["run_timeout"]) == (100, 60)
    assert job["sandbox"] is None and job["scope_rule"] and job["pins"] is None
    assert srv.get(f"{V1}/{job['id']}").json() == job


# ---------------------------------------------------------------- what is allowed


def test_what_nobody_authorised_is_refused_with_the_rule_and_the_fix(make_server):
    srv = make_server(env=IDLE)
    got = problem(srv.post(V1, json={"tool": "nmap", "targets": "203.0.113.7"}), 403, "forbidden")
    assert got["rule"] == "policy.scope"
    assert "203.0.113.7" in got["detail"] and "SCANPOD_SCOPE_FILE" in got["detail"]
    r = srv.post("/scans", json={"targets": "203.0.113.7"})
    assert (r.status_code, list(r.json())) == (403, ["detail"])
    assert r.json()["detail"] == got["detail"]
    assert srv.get("/scans").json() == []
    entries = srv.get("/api/v1/audit").json()["items"]
    assert [e["action"] for e in entries] == ["scan.refused", "scan.refused"]
    assert entries[0]["detail"]["rule"] == "policy.scope"


def test_a_scope_file_decides_and_is_read_anew(make_server, workdir):
    scope = workdir / "scope.yaml"
    text = "version: 1\nscope:\n  allow:\n    - {target: 203.0.113.0/24, note: lab}\n"
    scope.write_text(text)
    scope.chmod(0o644)
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": str(scope)})
    job = srv.post(V1, json={"tool": "nmap", "targets": "203.0.113.7"}).json()
    assert "lab" in job["scope_rule"]
    problem(srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1"}), 403, "forbidden")

    scope.write_text(text + "  deny:\n    - {target: 203.0.113.7, note: payment}\n")
    assert srv.post("/api/v1/policy/reload").status_code == 200
    got = problem(srv.post(V1, json={"tool": "nmap", "targets": "203.0.113.7"}), 403, "forbidden")
    assert "payment" in got["detail"]
    clipped = srv.post(V1, json={"tool": "nmap", "targets": "203.0.113.6-8", "clip": True})
    assert clipped.status_code == 202 and clipped.json()["clip"] is True

    before = srv.get("/api/v1/policy").json()
    scope.write_text("version: 1\nscop: {}\n")
    got = problem(srv.post("/api/v1/policy/reload"), 422, "invalid")
    assert "2:" in got["detail"] and "scop" in got["detail"]
    assert srv.get("/api/v1/policy").json() == before


def test_a_dry_run_stores_nothing(make_server):
    srv = make_server(env=IDLE)
    good = srv.post("/api/v1/policy/check", json={"targets": "127.0.0.0/30", "ports": "1-10"}).json()
    assert good["allowed"] and (good["targets"], good["ports"]) == (4, 10)
    bad = srv.post("/api/v1/policy/check", json={"targets": "203.0.113.7"}).json()
    assert not bad["allowed"] and bad["rule"] == "policy.scope"
    assert srv.get("/scans").json() == [] and srv.get("/api/v1/audit").json()["items"] == []


def test_a_name_is_pinned_to_its_addresses(make_server):
    srv = make_server(env=IDLE)
    job = srv.post(V1, json={"tool": "nmap", "targets": "localhost"}).json()
    assert "127.0.0.1" in job["pins"]["localhost"]
    got = problem(srv.post(V1, json={"targets": "no-such-name.invalid"}), 422, "invalid")
    assert got["errors"][0]["pointer"] == "/targets"


def test_a_repeated_request_gives_the_same_job(make_server):
    srv = make_server(env=IDLE)
    body, head = {"tool": "nmap", "targets": "127.0.0.1"}, {"Idempotency-Key": "order-17"}
    one = srv.post(V1, json=body, headers=head)
    two = srv.post(V1, json=body, headers=head)
    assert "Idempotency-Replayed" not in one.headers
    assert two.status_code == 202 and two.headers["Idempotency-Replayed"] == "true"
    assert one.json()["id"] == two.json()["id"]
    other = {"tool": "nmap", "targets": "127.0.0.2"}
    problem(srv.post(V1, json=other, headers=head), 422, "invalid")
    srv.restart()
    again = srv.post(V1, json=body, headers=head)
    assert again.json()["id"] == one.json()["id"]
    assert len(srv.get("/scans").json()) == 1


def test_repeated_requests_at_the_same_time_make_one_job(make_server):
    srv = make_server(env=IDLE)

    def send(_):
        import requests

        return requests.post(
            srv.url + V1, json={"targets": "127.0.0.1"}, timeout=30,
            headers={"X-API-Key": srv.key, "Idempotency-Key": "same"},
        ).json()["id"]  # fmt: skip

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(send, range(32)))
    assert len(ids) == 1 and len(srv.get("/scans").json()) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "\u00e9"])
def test_an_odd_idempotency_key_is_malformed(server, key):
    r = server.post(V1, json={"tool": "nmap", "targets": "127.0.0.1"},
                    headers={"Idempotency-Key": key.encode("latin-1")})  # fmt: skip
    assert r.status_code == 400


# ---------------------------------------------------------------- lists


def test_pages_meet_and_miss_nothing(make_server):
    srv = make_server(env=IDLE)
    ids = [submit(srv) for _ in range(25)]
    seen, path = [], f"{V1}?limit=10"
    while path:
        r = srv.get(path)
        seen += [j["id"] for j in r.json()["items"]]
        link = re.fullmatch(r'<(.+)>; rel="next"', r.headers.get("Link", ""))
        assert bool(link) == bool(r.json()["next_cursor"])
        path = link.group(1) if link else None
    assert seen == ids[::-1]


def test_lists_are_filtered_by_state_tool_and_time(make_server):
    srv = make_server(env=IDLE)
    old, new = submit(srv), submit(srv)
    srv.post(f"{V1}/{old}/cancel")

    def ids(query):
        return [j["id"] for j in srv.get(f"{V1}?{query}").json()["items"]]

    assert ids("state=cancelled") == [old]
    assert ids("state=queued,running") == [new]
    assert ids("state=queued,cancelled") == [new, old]
    assert ids("tool=nmap") == [new, old]
    assert ids("tool=other") == []
    at = srv.get(f"{V1}/{new}").json()["created_at"]
    assert ids(f"since={at}") == [new]
    assert ids("since=2100-01-01") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "state=done",
                                   "state=", "since=yesterday", "page=1"])  # fmt: skip
def test_a_wrong_query_is_refused_by_name(server, query):
    got = problem(server.get(f"{V1}?{query}"), 422, "invalid")
    assert got["errors"][0]["pointer"] == "?" + query.split("=")[0]


# ---------------------------------------------------------------- one job


def test_an_unchanged_job_is_not_sent_again(server):
    job_id = submit(server)
    done(server, job_id)
    r = server.get(f"{V1}/{job_id}")
    tag = r.headers["ETag"]
    assert tag.startswith('"')
    for head in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        r = server.get(f"{V1}/{job_id}", headers={"If-None-Match": head})
        assert (r.status_code, r.content, r.headers["ETag"]) == (304, b"", tag)
    assert server.get(f"{V1}/{job_id}", headers={"If-None-Match": '"x"'}).status_code == 200


def test_the_tag_changes_with_every_change(make_server):
    srv = make_server(env=IDLE)
    job_id = submit(srv)
    before = srv.get(f"{V1}/{job_id}").headers["ETag"]
    srv.post(f"{V1}/{job_id}/cancel")
    r = srv.get(f"{V1}/{job_id}", headers={"If-None-Match": before})
    assert r.status_code == 200 and r.headers["ETag"] != before


def test_a_long_poll_ends_when_the_job_changes(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    job_id = submit(srv)
    srv.wait_running(job_id)
    tag = srv.get(f"{V1}/{job_id}").headers["ETag"]
    seen = []

    def poll():
        import requests

        current = tag
        while True:
            r = requests.get(f"{srv.url}{V1}/{job_id}?wait=30", timeout=60,
                             headers={"X-API-Key": srv.key, "If-None-Match": current})  # fmt: skip
            seen.append(r)
            if r.status_code != 200 or r.json()["completed_at"]:
                return
            current = r.headers["ETag"]

    thread = threading.Thread(target=poll)
    thread.start()
    srv.post(f"{V1}/{job_id}/cancel")
    thread.join(30)
    assert not thread.is_alive()
    assert seen[-1].status_code == 200 and seen[-1].json()["state"] == "cancelled"


def test_a_long_poll_without_a_change_ends_with_304(make_server):
    srv = make_server(env=IDLE)
    job_id = submit(srv)
    tag = srv.get(f"{V1}/{job_id}").headers["ETag"]
    start = time.monotonic()
    r = srv.get(f"{V1}/{job_id}?wait=1", headers={"If-None-Match": tag})
    assert r.status_code == 304 and time.monotonic() - start >= 0.9
    assert srv.get(f"{V1}/{job_id}?wait=61").status_code == 422


def test_cancel_answers_at_once_or_waits_as_asked(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("stubborn"), env={"SCANPOD_MAX_SCAN_WORKERS": "2"})
    one, two = submit(srv), submit(srv)
    for job_id in (one, two):
        srv.wait_running(job_id)
    r = srv.post(f"{V1}/{one}/cancel")
    assert r.status_code in (200, 202)
    assert r.json()["cancel_requested"] or r.json()["state"] == "cancelled"
    r = srv.post(f"{V1}/{two}/cancel?wait=30")
    assert (r.status_code, r.json()["state"], r.json()["reason"]) == (200, "cancelled", "cancelled")
    assert done(srv, one)["state"] == "cancelled"
    problem(srv.post(f"{V1}/{two}/cancel"), 409, "conflict")


def test_a_retry_is_a_new_job(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("fail"), env={"SCANPOD_RETRIES": "0"})
    job_id = submit(srv, ports="81", timeout=9)
    assert done(srv, job_id)["state"] == "failed"
    r = srv.post(f"{V1}/{job_id}/retry")
    assert r.status_code == 202 and r.json()["id"] != job_id
    assert (r.json()["ports"], r.json()["timeout"]) == ("81", 9)


def test_a_retry_follows_the_rules_of_today(make_server, workdir):
    scope = workdir / "scope.yaml"
    scope.write_text("version: 1\nscope:\n  allow:\n    - {target: 10.213.77.1}\n")
    scope.chmod(0o644)
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": str(scope)})
    job_id = submit(srv, targets="10.213.77.1")
    srv.post(f"{V1}/{job_id}/cancel")
    assert srv.post(f"{V1}/{job_id}/retry").status_code == 202
    scope.write_text("version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8}\n")
    assert srv.post("/api/v1/policy/reload").status_code == 200
    problem(srv.post(f"{V1}/{job_id}/retry"), 403, "forbidden")


def test_a_job_is_deleted_with_its_results_and_raw_output(server):
    job_id = submit(server)
    done(server, job_id)
    assert server.delete(f"{V1}/{job_id}").status_code == 204
    for path in ("", "/hosts", "/raw"):
        problem(server.get(f"{V1}/{job_id}{path}"), 404, "not-found")


@pytest.mark.parametrize("job_id", ["x", "0" * 32, "0" * 33, "%00", "..%2f..%2fetc"])
def test_an_unknown_job_is_not_found(server, job_id):
    assert server.get(f"{V1}/{job_id}").status_code in (400, 404)


# ---------------------------------------------------------------- results


def test_hosts_come_in_pages_and_as_lines(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("ok", hosts=700, ports=(22, 80)))
    job_id = submit(srv)
    job = done(srv, job_id)
    assert job["counts"] == {"hosts": 700, "hosts_up": 700, "ports_open": 1400}

    r = srv.get(f"{V1}/{job_id}/hosts?limit=500")
    rest = srv.get(f"{V1}/{job_id}/hosts?limit=500&cursor={r.json()['next_cursor']}")
    pages = r.json()["items"] + rest.json()["items"]
    assert rest.json()["next_cursor"] is None
    assert [h["seq"] for h in pages] == list(range(1, 701))

    for kw in ({"params": {"format": "ndjson"}}, {"headers": {"Accept": "application/x-ndjson"}}):
        r = srv.get(f"{V1}/{job_id}/hosts", **kw)
        assert r.headers["Content-Type"] == "application/x-ndjson"
        assert [json.loads(line) for line in r.text.splitlines()] == pages
    assert srv.get(f"{V1}/{job_id}/hosts?state=down").json()["items"] == []
    assert len(srv.get(f"{V1}/{job_id}/hosts?open=true&limit=1000").json()["items"]) == 700
    problem(srv.get(f"{V1}/{job_id}/hosts?state=dead"), 422, "invalid")

    old = srv.job(job_id)["result"]["hosts"]
    assert [h["host"] for h in old] == [h["address"] for h in pages]


def test_raw_output_is_what_the_tool_wrote(server):
    job_id = submit(server)
    job = done(server, job_id)
    r = server.get(f"{V1}/{job_id}/raw")
    assert r.status_code == 200 and r.headers["Content-Type"] == "application/xml"
    assert r.headers["Content-Disposition"].startswith("attachment")
    assert xml.etree.ElementTree.fromstring(r.content).tag == "nmaprun"
    digest = hashlib.sha256(r.content).hexdigest()
    assert r.headers["ETag"] == f'"{digest}"'
    assert job["raw"] == {"sha256": digest, "size": len(r.content), "uri": None}
    again = server.get(f"{V1}/{job_id}/raw", headers={"If-None-Match": r.headers["ETag"]})
    assert again.status_code == 304


def test_a_job_without_raw_output_says_so(make_server):
    srv = make_server(env=IDLE)
    problem(srv.get(f"{V1}/{submit(srv)}/raw"), 404, "not-found")


def test_results_are_rebuilt_from_the_raw_output(server):
    job_id = submit(server)
    before = done(server, job_id)
    hosts = server.get(f"{V1}/{job_id}/hosts").json()
    r = server.post(f"{V1}/{job_id}/reparse")
    assert r.status_code == 200, r.text
    assert r.json()["counts"] == before["counts"] and r.json()["rev"] > before["rev"]
    assert server.get(f"{V1}/{job_id}/hosts").json() == hosts


def test_results_are_rebuilt_by_one_at_a_time(make_server, fake_nmap):
    srv = make_server(tool=fake_nmap("ok", hosts=3000))
    job_id = srv.submit()
    before = done(srv, job_id)
    hosts = srv.get(f"{V1}/{job_id}/hosts?format=ndjson").text
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: srv.post(f"{V1}/{job_id}/reparse"), range(4)))
    assert [r for r in answers if r.status_code == 200]
    for r in answers:
        if r.status_code != 200:
            problem(r, 409, "conflict")
            assert "being rebuilt" in r.json()["detail"]
    assert srv.get(f"{V1}/{job_id}").json()["counts"] == before["counts"]
    assert srv.get(f"{V1}/{job_id}/hosts?format=ndjson").text == hosts


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_results_stay_when_the_server_ends_while_it_rebuilds_them(make_server, fake_nmap, sig):
    srv = make_server(tool=fake_nmap("ok", hosts=8000))
    job_id = srv.submit()
    before = done(srv, job_id)
    hosts = srv.get(f"{V1}/{job_id}/hosts?format=ndjson").text
    with socket.create_connection(("127.0.0.1", srv.port)) as sock:
        sock.sendall(f"POST {V1}/{job_id}/reparse HTTP/1.1\r\nHost: localhost\r\n"
                     f"X-API-Key: {srv.key}\r\nContent-Length: 0\r\n\r\n".encode())  # fmt: skip
        time.sleep(0.15)  # somewhere in the middle
        srv.restart(sig)
    after = srv.get(f"{V1}/{job_id}").json()
    assert (after["counts"], after["partial"]) == (before["counts"], False)
    assert srv.get(f"{V1}/{job_id}/hosts?format=ndjson").text == hosts


def test_results_stay_when_the_raw_output_is_gone_or_damaged(make_server):
    srv = make_server()
    job_id = submit(srv)
    before = done(srv, job_id)
    hosts = srv.get(f"{V1}/{job_id}/hosts").json()
    (blob,) = [p for p in (srv.data_dir / "blob").rglob("*") if p.is_file()]
    whole = blob.read_bytes()
    for what in (None, whole[: len(whole) // 2], b"junk"):
        blob.unlink(missing_ok=True)
        if what is not None:
            blob.write_bytes(what)
            blob.chmod(0o644)
        r = srv.post(f"{V1}/{job_id}/reparse")
        problem(r, 409, "conflict")
        assert "missing or damaged" in r.json()["detail"]
        assert srv.get(f"{V1}/{job_id}").json() == before
        assert srv.get(f"{V1}/{job_id}/hosts").json() == hosts


def test_a_reparse_says_partial_as_the_run_did(make_server, fake_nmap):
    for tool in ("garbage", "truncated"):
        srv = make_server(tool=fake_nmap(tool))
        job_id = submit(srv, retries=0)
        before = done(srv, job_id)
        after = srv.post(f"{V1}/{job_id}/reparse").json()
        assert after["partial"] == before["partial"] == (tool == "truncated")
        assert after["state"] == before["state"] == "failed"


def test_hostile_text_from_a_scanner_stays_text(make_server, fake_nmap):
    banner = "&lt;script&gt;&quot;&#x202e;\\u0000&lt;/script&gt;"
    script = f"""cat <<'XML'
<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap" args="nmap" start="1" version="7.93"
 xmloutputversion="1.05"><host><status state="up" reason="x" reason_ttl="0"/>
<address addr="127.0.0.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="80">
<state state="open" reason="x" reason_ttl="0"/><service name="{banner}" method="table" conf="3"/>
</port></ports></host><runstats><finished time="2" elapsed="1" exit="success"/>
<hosts up="1" down="0" total="1"/></runstats></nmaprun>
XML"""
    srv = make_server(tool=fake_nmap(script=script))
    job = srv.wait(srv.submit())
    service = job["result"]["hosts"][0]["ports"][0]["service"]
    assert service == '<script>"\u202e\\u0000</script>'


# ---------------------------------------------------------------- events


class Events:
    """Reads an event stream in a thread: .items of (id, event, data)."""

    def __init__(self, srv, query="", headers=None):
        self.items = []
        conn = http.client.HTTPConnection("127.0.0.1", srv.port, timeout=60)
        conn.request("GET", f"/api/v1/events{query}",
                     headers={"X-API-Key": srv.key, **(headers or {})})  # fmt: skip
        self.sock = conn.sock
        self.response = conn.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.headers["Content-Type"] == "text/event-stream"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        text = b""
        try:
            while chunk := self.response.read1(65536):
                text += chunk
                *whole, text = text.split(b"\n\n")
                for block in whole:
                    self._event(block.decode())
        except (OSError, http.client.HTTPException):  # the stream was closed under us
            pass

    def _event(self, block):
        lines = [line.partition(": ") for line in block.split("\n") if line[:1] != ":"]
        event = {name: value for name, _, value in lines}
        if "data" in event:
            self.items.append(
                (int(event.get("id", 0)), event.get("event"), json.loads(event["data"]))
            )

    def until(self, check, what="an event"):
        wait_until(lambda: any(check(*i) for i in list(self.items)), 20, what)
        return self.items

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.response.close()


def test_events_follow_a_job_and_are_replayed_in_order(make_server):
    srv = make_server()
    live = Events(srv)
    job_id = submit(srv)
    live.until(lambda i, e, d: e == "job.state" and d["state"] == "completed", "completion")
    mine = [x for x in live.items if x[2]["job_id"] == job_id]
    assert mine[0][1] == "job.created"
    ids = [i for i, _, _ in live.items]
    assert ids == sorted(set(ids))

    all_of_it = Events(srv, "?after=0")
    all_of_it.until(lambda i, e, d: i == ids[-1])
    assert all_of_it.items == live.items
    rest = Events(srv, headers={"Last-Event-ID": str(ids[0])})
    rest.until(lambda i, e, d: i == ids[-1])
    assert rest.items == live.items[1:]
    for stream in (live, all_of_it, rest):
        stream.close()


def test_events_are_filtered_by_job_and_topic(make_server):
    srv = make_server(env=IDLE)
    other, mine = submit(srv), submit(srv)
    for job_id in (other, mine):
        srv.post(f"{V1}/{job_id}/cancel")
    stream = Events(srv, f"?after=0&job={mine}&topics=job.state")
    stream.until(lambda i, e, d: d["state"] == "cancelled")
    assert {(e, d["job_id"]) for _, e, d in stream.items} == {("job.state", mine)}
    stream.close()
    for query in ("?topics=x", "?job=x", "?after=x", "?x=1"):
        problem(srv.get(f"/api/v1/events{query}"), 422, "invalid")


def test_a_place_after_the_last_event_is_a_gap(server):
    stream = Events(server, "?after=999999999999")
    stream.until(lambda i, e, d: e == "gap")
    stream.close()


def test_events_survive_a_restart(make_server):
    srv = make_server()
    job_id = submit(srv)
    done(srv, job_id)
    before = Events(srv, "?after=0")
    before.until(lambda i, e, d: d.get("state") == "completed")
    want = list(before.items)
    before.close()
    srv.restart()
    after = Events(srv, "?after=0")
    after.until(lambda i, e, d: i == want[-1][0])
    assert after.items[: len(want)] == want
    after.close()


# ---------------------------------------------------------------- keys


def test_a_key_is_made_used_and_revoked(make_server):
    srv = make_server()
    r = srv.post("/api/v1/keys", json={"name": "ci"})
    assert r.status_code == 201
    made = r.json()
    assert srv.get(V1, key=made["key"]).status_code == 200
    assert srv.get(V1, key=None, headers={"Authorization": f"Bearer {made['key']}"}).status_code == 200
    two = srv.get(V1, headers={"Authorization": f"Bearer {made['key']}"})
    problem(two, 400, "bad-request")
    assert two.headers["Connection"] == "close"
    listed = srv.get("/api/v1/keys")
    assert made["key"] not in listed.text
    assert [k for k in listed.json()["items"] if k["id"] == made["id"] and not k["revoked_at"]]
    problem(srv.post("/api/v1/keys", json={"name": "ci"}), 409, "conflict")
    assert srv.delete(f"/api/v1/keys/{made['id']}").status_code == 204
    r = srv.get(V1, key=made["key"])
    assert r.headers["WWW-Authenticate"].startswith("Bearer")
    problem(r, 401, "denied")
    srv.restart()
    assert srv.get(V1, key=made["key"]).status_code == 401
    assert made["key"] not in srv.log()
    for path in srv.data_dir.rglob("*"):
        if path.is_file():
            assert made["key"].encode() not in path.read_bytes(), path


def test_a_key_does_what_its_scopes_say_until_it_expires(make_server):
    srv = make_server(env=IDLE)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    r = srv.post("/api/v1/keys", json={"name": "look", "scopes": ["read"], "expires_at": soon})
    assert r.status_code == 201, r.text
    key = r.json()["key"]
    assert srv.get(V1, key=key).status_code == 200
    body = {"tool": "nmap", "targets": "127.0.0.1"}
    got = problem(srv.post(V1, json=body, key=key), 403, "forbidden")
    assert got["rule"] == "key.scope" and "submit:network" in got["detail"]
    r = srv.post("/scans", json={"targets": "127.0.0.1"}, key=key)
    assert r.status_code == 403 and "submit:network" in r.json()["detail"]
    (row,) = [k for k in srv.get("/api/v1/keys").json()["items"] if k["name"] == "look"]
    assert row["scopes"] == ["read"] and row["expires_at"].startswith(soon[:-1])
    wait_until(lambda: srv.get(V1, key=key).status_code == 401, 20, "the key to expire")
    assert "expired" in srv.get(V1, key=key).json()["detail"]


def test_a_key_makes_no_key_that_may_more_than_itself(make_server):
    srv = make_server(env=IDLE)
    admin = srv.post("/api/v1/keys", json={"name": "a", "scopes": ["admin"]}).json()["key"]
    body = {"name": "b", "scopes": ["read", "raw"]}
    got = problem(srv.post("/api/v1/keys", json=body, key=admin), 403, "forbidden")
    assert "raw" in got["detail"]
    body["scopes"] = ["read"]
    assert srv.post("/api/v1/keys", json=body, key=admin).status_code == 201


def test_a_quota_holds_across_a_restart(make_server):
    srv = make_server(env=IDLE)
    body = {"name": "few", "quota": {"addresses_per_day": 300}}
    key = srv.post("/api/v1/keys", json=body).json()["key"]
    body = {"tool": "nmap", "targets": "10.213.77.0/24"}
    assert srv.post(V1, json=body, key=key).status_code == 202
    srv.restart()
    r = srv.post(V1, json=body, key=key)
    problem(r, 429, "busy")
    assert int(r.headers["Retry-After"]) > 0


def test_the_last_use_of_a_key_is_remembered(make_server):
    srv = make_server()
    made = srv.post("/api/v1/keys", json={"name": "ci"}).json()

    def used():
        (row,) = [k for k in srv.get("/api/v1/keys").json()["items"] if k["id"] == made["id"]]
        return row["last_used_at"]

    assert used() is None
    assert srv.get(V1, key=made["key"]).status_code == 200
    assert wait_until(used, 20, "the use to be noted") >= made["created_at"]


def test_idempotency_keys_of_two_api_keys_do_not_meet(make_server):
    srv = make_server(env=IDLE)
    other = srv.post("/api/v1/keys", json={"name": "other"}).json()["key"]
    head = {"Idempotency-Key": "1"}
    one = srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1"}, headers=head)
    two = srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1"}, headers=head, key=other)
    assert one.json()["id"] != two.json()["id"]


# ---------------------------------------------------------------- the server


def test_the_server_says_what_it_is_and_can_do(server):
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", server.get("/api/v1/version").json()["version"])
    assert server.get("/api/v1/capabilities").json()["limits"]["timeout_max"] == 86400
    items = server.get("/api/v1/tools").json()["items"]
    assert [t["name"] for t in items] == ["nmap", "masscan", "zmap", "noop"]
    nmap = items[0]
    assert nmap["name"] == "nmap" and nmap["available"]
    assert {"-sV", "--top-ports"} <= {o["name"] for o in nmap["options"]}
    assert nmap["limits"]["wall_s"] > 0


def test_what_boxes_can_do_is_found_out_and_told(server):
    def known():
        sandbox = server.get("/api/v1/capabilities").json()["sandbox"]
        return sandbox if not sandbox["probing"] else None

    sandbox = wait_until(known, 30, "the levels to be known")
    assert {lv["name"] for lv in sandbox["levels"]} >= {"none", "proxy", "nft", "rootless", "broker"}
    for level in sandbox["levels"]:
        assert level["usable"] or level["why"], level


def test_health_and_readiness_need_no_key(server):
    assert server.get("/healthz", key=None).json() == {"status": "ok"}
    r = server.get("/readyz?verbose", key=None)
    assert r.status_code == 200 and {c["name"] for c in r.json()["checks"]} >= {"store", "nmap"}
    assert "checks" not in server.get("/readyz", key=None).json()


def test_metrics_count_jobs_and_requests(make_server):
    srv = make_server()
    srv.wait(srv.submit())
    text = srv.get("/metrics").text
    assert 'scanpod_jobs{state="completed"} 1' in text
    assert 'scanpod_jobs_finished_total{outcome="completed",reason="none"} 1' in text
    names = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[0] != "#"}
    for name in names:
        base = re.sub(r"_(sum|count)$", "", name)
        assert f"# TYPE {base} " in text or f"# TYPE {name} " in text, name
        assert f"# HELP {base} " in text or f"# HELP {name} " in text, name
    assert srv.get("/metrics", key=None).status_code == 401
