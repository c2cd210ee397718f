"""The tool `noop`: goes the way of every scan, starts nothing, and completes at once."""

import json

import pytest

from conftest import wait_until

V1 = "/api/v1/scans"
SCOPE = """\
version: 1
scope:
  allow:
    - {target: 127.0.0.0/8, note: this machine}
policies:
  - {name: default, tools: [nmap]}
  - {name: queues, tools: [noop]}
"""


def submit(srv, **body):
    r = srv.post(V1, json={"tool": "noop", "targets": "127.0.0.1", **body})
    assert r.status_code == 202, r.text
    return r.json()


def ended(srv, job):
    def look():
        now = srv.get(f"{V1}/{job['id']}").json()
        return now if now["completed_at"] else None

    return wait_until(look, 30, f"the end of {job['id']}")


def test_it_completes_and_nothing_was_found_covered_or_started(make_server):
    srv = make_server()
    made = submit(srv, targets="127.0.0.1 127.0.0.2")
    assert (made["tool"], made["targets"], made["profile"]) == ("noop", "127.0.0.1 127.0.0.2", None)
    job = ended(srv, made)
    assert (job["state"], job["attempts"], job["error"]) == ("completed", 1, None)
    assert job["command_line"] is None and job["tool_version"] is None and job["sandbox"] is None
    assert srv.get(f"{V1}/{job['id']}/hosts").json()["items"] == []
    assert not job.get("coverage")
    assert srv.get(f"{V1}/{job['id']}/raw").status_code == 404
    assert srv.post(f"{V1}/{job['id']}/reparse").status_code == 404
    assert "tool=noop" not in srv.log(), "nobody looked for a program of it"


def test_a_hundred_of_them_complete_by_way_of_few_slots(make_server):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "2"})
    jobs = [submit(srv, targets=f"127.0.0.{n}") for n in range(1, 101)]
    assert {ended(srv, j)["state"] for j in jobs} == {"completed"}
    again = srv.post(f"{V1}/{jobs[0]['id']}/retry")
    assert again.status_code == 202, again.text
    assert ended(srv, again.json())["state"] == "completed"


def test_every_form_of_its_empty_result_can_be_had(make_server):
    srv = make_server()
    job = ended(srv, submit(srv))
    for form in ("nmap-xml", "grepable", "csv", "ndjson", "markdown", "html"):
        r = srv.get(f"{V1}/{job['id']}/export", params={"format": form})
        assert r.status_code == 200, f"{form}: {r.status_code} {r.text}"


@pytest.mark.parametrize(("more", "pointer"), [
    ({"ports": "80"}, "/ports"),
    ({"arguments": "-v"}, "/arguments"),
    ({"options": {"open_only": True}}, "/options/open_only"),
    ({"scan_type": "basic"}, "/scan_type"),
    ({"profile": "standard"}, "/tool"),
    ({"targets": "127.0.0.300"}, "/targets"),
])  # fmt: skip
def test_what_it_cannot_take_is_refused_by_name(server, more, pointer):
    r = server.post(V1, json={"tool": "noop", "targets": "127.0.0.1", **more})
    assert r.status_code == 422, r.text
    assert [e["pointer"] for e in r.json()["errors"]] == [pointer]


def test_the_server_says_what_it_is(server):
    caps = server.get("/api/v1/capabilities").json()
    assert "noop" in caps["tools"] and caps["instant_tools"] == ["noop"]
    tools = {t["name"]: t for t in server.get("/api/v1/tools").json()["items"]}
    assert tools["noop"]["instant"] and tools["noop"]["available"] and tools["noop"]["options"] == []
    assert not tools["nmap"]["instant"]


def test_it_is_no_format_of_a_file_that_is_handed_in(server):
    r = server.post("/api/v1/imports?format=noop", data=b"")
    assert r.status_code == 422, r.text


def test_a_dry_run_shows_no_command_line(server):
    r = server.post(f"{V1}?dry_run=true", json={"tool": "noop", "targets": "127.0.0.0/30"})
    assert r.status_code == 200, r.text
    shown = r.json()
    assert shown["addresses"] == 4 and shown["estimate_s"] is None
    assert shown["stages"][0]["tasks"][0]["argv"] == []


def test_the_policy_says_who_may_use_it_and_where(make_server, workdir):
    scope = workdir / "scope.yaml"
    scope.write_text(SCOPE)
    srv = make_server(args=["--scope", str(scope)])
    r = srv.post(V1, json={"tool": "noop", "targets": "127.0.0.1"})
    assert r.status_code == 403 and "noop" in r.text, r.text
    scope.write_text(SCOPE.replace("tools: [nmap]", "tools: [nmap, noop]"))
    srv.restart()
    assert ended(srv, submit(srv))["state"] == "completed"
    r = srv.post(V1, json={"tool": "noop", "targets": "10.213.77.1"})
    assert r.status_code == 403, r.text


def test_the_command_line_takes_it_here_and_there(server, scanpod):
    there = scanpod("scan", "-q", "127.0.0.1", "--tool", "noop", "-o", "json", server=server, check=True)
    assert json.loads(there.stdout)["state"] == "completed"
    here = scanpod("run", "-q", "127.0.0.1", "--tool", "noop", "-o", "json", check=True)
    assert json.loads(here.stdout)["state"] == "completed"
    shown = scanpod("scan", "127.0.0.1", "--tool", "noop", "--dry-run", server=server, check=True)
    assert "noop" in shown.stdout
    assert scanpod("scan", "127.0.0.1", "--tool", "noop", "-p", "80", server=server).returncode == 2
    assert scanpod("run", "127.0.0.1", "--tool", "noop", "-p", "80").returncode == 2
