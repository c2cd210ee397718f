"""Repository scans over /api/v1: submitted, followed, exported, refused, ended."""

import csv
import io
import json
import os
import re
import time
from pathlib import Path

import pytest

import sarif_check
from conftest import _Factory, _new_dir, processes_of, wait_until
from git_server import Repo
from repo_lab import (
    FILES, NO_GIT, Lab, LabRepo, Scan, engine_name, fresh_lab, git, lab, new_repo, policy_of,
)  # fmt: skip

pytestmark = pytest.mark.seconds(120)
_ = (fresh_lab, git, lab)

FLAWS = {
    "src/a.c": "int a; // FLAWh one\nint b; // FLAWm two\n",
    "src/deep/b.py": "# FLAWc three\n",
    "tools/c.sh": "# FLAWl four\n",
}
V1 = "/api/v1/repo-scans"


@pytest.fixture(scope="module")
def scanned(lab):
    """One scan of FLAWS, that tests look at and leave as it is."""
    return lab.scan(lab.repo(FLAWS))


@pytest.fixture
def bare(fresh_lab):
    """A server without git: what is accepted there goes nowhere."""
    return fresh_lab(env=NO_GIT)


@pytest.fixture(scope="module")
def nogit(scanpod_bin, _session_dir, fake_nmap, git):
    """The same for many tests."""
    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield Lab(git, factory, _new_dir(_session_dir, "nogit"), env=NO_GIT)
    factory.finish()


def pointers(r):
    assert r.status_code == 422, f"{r.status_code} {r.text}"
    return {p["pointer"]: p["detail"] for p in r.json()["errors"]}


# ---------------------------------------------------------------- a scan


@pytest.mark.smoke
def test_a_scan_is_accepted_followed_and_its_findings_are_there(lab):
    repo = lab.repo(FLAWS)
    r = lab.post(repo)
    assert r.status_code == 202 and r.headers["ETag"]
    scan = Scan(lab.server, r.json()["job"]["id"])
    assert r.headers["Location"] == scan.path
    assert r.json()["request"] == {"url": repo.url, "engines": ["lab-ok"]}
    done = scan.done()
    assert done["repository"] == repo.url and done["branch"] == "main"
    assert done["commit"] == repo.head["main"] and done["complete"] is True
    assert done["counts"] == {"critical": 1, "high": 1, "medium": 1, "low": 1, "info": 0}
    assert done["new"] == done["counts"] and done["states"]["new"] == 4
    assert done["risk_level"] == "critical" and done["risk_score"] > 0
    run = done["job"]["run"]
    assert run["assessment"] == "complete" and run["files"]["total"] == 3
    assert [(e["name"], e["status"], e["findings"]) for e in run["engines"]] == [("lab-ok", "ok", 4)]
    found = scan.findings()
    assert [(f["path"], f["line"], f["severity"]) for f in found] == [
        ("src/a.c", 1, "high"), ("src/a.c", 2, "medium"),
        ("src/deep/b.py", 1, "critical"), ("tools/c.sh", 1, "low"),
    ]  # fmt: skip
    for f in found:
        assert f["state"] == "new" and f["open"] and f["counts"] and f["verified"]
        assert f["triage"] == {"state": "open"} and f["scan"] == f["first_scan"] == scan.id
        assert re.fullmatch(r"[0-9a-f]{32}", f["id"]) and f["cwe"] == [78]
        assert f["fingerprints"]["primary"] and "FLAW" in f["snippet"]
        assert [e["name"] for e in f["engines"]] == ["lab-ok"]


def test_every_member_of_a_request_is_kept_as_it_was_sent(bare):
    everything = {
        "url": "https://127.0.0.1:1/a/b.git/",
        "branch": "topic/x",
        "commit": "A" * 40,
        "subdir": "src/deep/",
        "base": "v1.0",
        "baseline": "none",
        "engines": ["rules", "lab-ok"],
        "fail_on": "high",
        "max_bytes": 1 << 20,
        "max_files": 100,
        "timeout": 600,
        "retries": 2,
        "priority": 7,
        "queue_timeout": 900,
        "limits": {"memory_mb": 512},
    }
    bare.policy_path.write_text(policy_of(bare.git, "  - {host: 127.0.0.1, port: 1}\n"))
    bare.server.restart()
    r = bare.server.post(V1, json=everything)
    assert r.status_code == 202, r.text
    asked, job = r.json()["request"], r.json()["job"]
    of_job = ("timeout", "retries", "priority", "queue_timeout", "limits")
    want = {k: v for k, v in everything.items() if k not in of_job}
    want.update(url="https://127.0.0.1:1/a/b", commit="a" * 40, subdir="src/deep")
    assert asked == want
    assert (job["timeout"], job["run_timeout"], job["retries"]) == (600, 600, 2)
    assert (job["priority"], job["queue_timeout"]) == (7, 900)
    assert job["limits"]["memory_mb"] == 512 and job["tool"] == "repo" and job["queue"] == "repo"


def test_an_idempotency_key_makes_one_job_and_belongs_to_one_body(lab):
    repo = lab.repo(FLAWS)
    head = {"Idempotency-Key": f"once-{repo.name}"}
    first, again = (lab.post(repo, headers=head) for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert first.json()["job"]["id"] == again.json()["job"]["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    other = lab.post(repo, headers=head, branch="other")
    assert other.status_code == 422 and "another body" in other.text
    Scan(lab.server, first.json()["job"]["id"]).done()


def test_waiting_for_a_scan_ends_with_it_and_an_etag_saves_the_answer(lab):
    scan = lab.submit(lab.repo(FLAWS), engines=["lab-wait-1"])
    begin = time.monotonic()
    assert lab.server.get(f"{scan.path}?wait=0").json()["job"]["completed_at"] is None
    r = lab.server.get(f"{scan.path}?wait=30")
    assert r.json()["job"]["state"] == "completed" and time.monotonic() - begin < 25
    same = lab.server.get(scan.path, headers={"If-None-Match": r.headers["ETag"]})
    assert same.status_code == 304 and not same.content
    assert lab.server.get(f"{scan.path}?wait=999").status_code == 422


def test_the_list_has_every_scan_once_newest_first_page_by_page(fresh_lab):
    lab = fresh_lab(env=NO_GIT)
    made = [lab.submit("https://127.0.0.1:%d/git/x%d" % (lab.git.port, i)).id for i in range(7)]
    lab.server.submit()  # of another tool: not in this list
    seen, cursor = [], ""
    for _ in range(4):
        page = lab.server.get(f"{V1}?limit=3{cursor}").json()
        seen += [x["job"]["id"] for x in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = "&cursor=" + page["next_cursor"]
    assert seen == made[::-1]
    assert lab.server.get(f"{V1}?cursor=nonsense").status_code == 422
    assert lab.server.get(f"{V1}?colour=red").status_code == 422
    assert lab.server.get(f"{V1}?limit=0").status_code == 422


def test_scans_and_findings_that_are_not_there_are_404(lab, server):
    nobody = "0" * 32
    for path in (f"{V1}/{nobody}", f"{V1}/{nobody}/findings", f"{V1}/{nobody}/export",
                 f"{V1}/x", f"/api/v1/findings/{nobody}", "/api/v1/findings/x"):  # fmt: skip
        assert lab.server.get(path).status_code == 404, path
    other = lab.server.submit()
    for more in ("", "/findings", "/export"):
        r = lab.server.get(f"{V1}/{other}{more}")
        assert r.status_code == 404 and "no repository scan" in r.text


# ---------------------------------------------------------------- findings


@pytest.mark.parametrize(
    "query, paths",
    [
        ({"severity": "high"}, ["src/a.c", "src/deep/b.py"]),
        ({"severity": "critical"}, ["src/deep/b.py"]),
        ({"state": "new"}, ["src/a.c", "src/a.c", "src/deep/b.py", "tools/c.sh"]),
        ({"state": "unchanged,updated"}, []),
        ({"triage": "open", "severity": "critical"}, ["src/deep/b.py"]),
        ({"triage": "acknowledged"}, []),
        ({"counts": "false"}, []),
        ({"counts": "true", "path": "tools/"}, ["tools/c.sh"]),
        ({"engine": "lab-ok", "path": "src/a.c"}, ["src/a.c", "src/a.c"]),
        ({"engine": "flawfinder"}, []),
        ({"path": "src/"}, ["src/a.c", "src/a.c", "src/deep/b.py"]),
        ({"path": "src"}, []),
        ({"cwe": 78, "path": "src/deep/b.py"}, ["src/deep/b.py"]),
        ({"cwe": 79}, []),
        ({"text": "FLAWC THREE"}, []),
        ({"text": "flawc"}, ["src/deep/b.py"]),
    ],
    ids=lambda v: "&".join(f"{k}={x}" for k, x in v.items()) if isinstance(v, dict) else "",
)
def test_a_filter_of_findings_gives_those_and_no_others(scanned, query, paths):
    assert [f["path"] for f in scanned.findings(**query)] == paths


def test_findings_are_filtered_by_their_rule(scanned):
    rules = {f["rule"] for f in scanned.findings()}
    for rule in rules:
        assert {f["rule"] for f in scanned.findings(rule=rule)} == {rule}
    assert scanned.findings(rule="no-such-rule") == []


@pytest.mark.parametrize(
    "query",
    ["severity=huge", "state=old", "state=new,,fixed", "triage=maybe", "counts=1", "cwe=x", "cwe=0",
     "limit=0", "limit=1001", "cursor=x", "colour=red", "repository=x", "open=true"],
)  # fmt: skip
def test_a_filter_that_is_none_is_refused(scanned, query):
    r = scanned.server.get(f"{scanned.path}/findings?{query}")
    assert r.status_code == 422, r.text
    assert query.split("=")[0] in r.text


@pytest.mark.parametrize("query", ["open=2", "state=new", "severity=9", "branch=a&branch=b&x=y"])
def test_a_filter_that_the_list_of_all_does_not_have_is_refused(lab, query):
    assert lab.server.get(f"/api/v1/findings?{query}").status_code == 422


def test_pages_of_findings_have_each_once_in_order(scanned):
    seen, cursor = [], None
    while True:
        query = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = scanned.server.get(f"{scanned.path}/findings", params=query).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
        assert len(page["items"]) <= 1 and len(seen) <= 5
    assert seen == scanned.findings()


def test_the_list_of_all_findings_knows_repository_and_branch(lab):
    one, two = lab.repo(FLAWS), lab.repo({"a.c": "// FLAWh one\n"})
    two.push({"a.c": "// FLAWm other\n"}, "topic")
    lab.scan(one)
    lab.scan(two)
    lab.scan(two, branch="topic")
    get = lambda **q: lab.server.get("/api/v1/findings", params=q).json()["items"]
    assert len(get(repository=one.url)) == 4
    assert {f["branch"] for f in get(repository=two.url)} == {"main", "topic"}
    (topic,) = get(repository=two.url, branch="topic")
    assert topic["severity"] == "medium" and topic["repository"] == two.url
    assert get(repository=two.url, open="false") == []
    same = lab.server.get(f"/api/v1/findings/{topic['id']}").json()
    assert same == topic


def test_repositories_that_were_scanned_are_listed_with_what_is_open(fresh_lab):
    lab = fresh_lab()
    repos = [lab.repo({"a.c": "// FLAWh one\n"}), lab.repo(FLAWS)]
    for repo in repos:
        lab.scan(repo)
    page = lab.server.get("/api/v1/repositories").json()
    rows = {row["repository"]: row for row in page["items"]}
    assert set(rows) == {r.url for r in repos}
    assert rows[repos[0].url]["open"] == 1 and rows[repos[0].url]["risk_level"] == "high"
    assert rows[repos[1].url]["open"] == 4 and rows[repos[1].url]["branch"] == "main"
    first = lab.server.get("/api/v1/repositories?limit=1").json()
    second = lab.server.get(
        "/api/v1/repositories", params={"limit": 1, "cursor": first["next_cursor"]}
    ).json()
    assert first["items"] + second["items"] == page["items"]


# ---------------------------------------------------------------- exports


TYPES = {
    "sarif": "application/sarif+json",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "markdown": "text/markdown",
    "html": "text/html",
}


@pytest.mark.parametrize("name", TYPES)
def test_every_format_has_its_type_and_every_finding(scanned, name):
    r = scanned.server.get(f"{scanned.path}/export?format={name}")
    assert r.status_code == 200, r.text
    assert r.headers["Content-Type"].split(";")[0] == TYPES[name]
    assert scanned.id in r.headers["Content-Disposition"]
    for f in scanned.findings():
        assert f["path"] in r.text
    if name == "sarif":
        assert len(r.json()["runs"][0]["results"]) == 4
        assert not sarif_check.faults(r.json()) if hasattr(sarif_check, "faults") else True
    elif name == "json":
        assert len(r.json()["findings"]) == 4
    elif name == "ndjson":
        assert all(json.loads(line) for line in r.text.splitlines())
    elif name == "csv":
        assert len(list(csv.DictReader(io.StringIO(r.text)))) == 4


def test_an_export_is_sarif_unless_it_is_said_and_of_known_formats_only(scanned):
    r = scanned.server.get(f"{scanned.path}/export")
    assert r.json()["version"] == "2.1.0"
    wrong = scanned.server.get(f"{scanned.path}/export?format=pdf")
    assert wrong.status_code == 422 and "sarif" in wrong.text


def test_a_scan_that_has_not_ended_is_not_exported(lab):
    scan = lab.submit(lab.repo(FLAWS), engines=["lab-sleep"]).running()
    r = lab.server.get(f"{scan.path}/export")
    assert r.status_code == 409 and "still running" in r.text
    assert lab.server.post(f"/api/v1/scans/{scan.id}/cancel").status_code in (200, 202)
    scan.wait()


# ---------------------------------------------------------------- ends


def left_behind(lab, before):
    """Directories of boxes and processes that are there, and were not before."""
    tmp = {p.name for p in Path("/tmp").iterdir()} - before
    mounts = Path("/proc/self/mounts").read_text()
    work = list((lab.server.data_dir / "work").glob("*")) if lab.server.data_dir.exists() else []
    boxes = [c for _, c in lab.server.children() if "repo-box" in c or "lab-engine" in c]
    ours = [m for m in mounts.splitlines() if str(lab.server.data_dir) in m]
    return [*(t for t in tmp if t.startswith(("sp", "scan_"))), *work, *boxes, *ours]


def test_a_cancel_ends_all_that_runs_and_nothing_is_left(fresh_lab):
    lab = fresh_lab()
    before = {p.name for p in Path("/tmp").iterdir()}
    scan = lab.submit(lab.repo(FLAWS), engines=["lab-sleep"]).running()
    engines = lambda: [c for _, c in lab.server.children() if "lab-engine" in c]
    wait_until(lambda: len(engines()) > 15, 20, "the engine to run")
    r = lab.server.post(f"/api/v1/scans/{scan.id}/cancel")
    assert r.status_code in (200, 202)
    done = scan.wait()
    assert done["job"]["state"] == "cancelled" and done["complete"] is False
    wait_until(lambda: not left_behind(lab, before), 20, "the end of all of it")
    assert not [p for p in processes_of(lab.folder) if "lab-engine" in p[1]]
    assert scan.findings() == [] and lab.audit("scan.cancel")[0]["object"] == scan.id


def test_a_scan_that_is_cancelled_while_it_waits_never_runs(fresh_lab):
    lab = fresh_lab(env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    first = lab.submit(lab.repo(FLAWS), engines=["lab-sleep"]).running()
    repo = lab.repo(FLAWS)
    second = lab.submit(repo)
    assert lab.server.post(f"/api/v1/scans/{second.id}/cancel").status_code in (200, 202)
    assert lab.server.post(f"/api/v1/scans/{first.id}/cancel").status_code in (200, 202)
    assert first.wait()["job"]["state"] == "cancelled"
    assert second.wait()["job"]["attempts"] == 0
    assert second.view()["job"]["started_at"] is None
    assert not [path for _, path in lab.git.requests if repo.name in path]


def test_the_server_that_is_killed_leaves_no_box_and_the_scan_runs_again(fresh_lab):
    lab = fresh_lab(env={"SCANPOD_RETRIES": "1", "SCANPOD_RETRY_DELAY_MS": "100"})
    scan = lab.submit(lab.repo(FLAWS), engines=["lab-wait-1"], retries=1).running()
    wait_until(lambda: [1 for _, c in lab.server.children() if "lab-engine" in c], 20, "an engine")
    lab.server.kill()
    assert not [p for p in processes_of(lab.folder) if "lab-engine" in p[1]]
    lab.server.start()
    done = scan.wait()
    assert done["job"]["state"] == "completed" and done["states"]["new"] == 4


def test_a_scan_takes_no_longer_than_it_may(lab):
    begin = time.monotonic()
    scan = lab.submit(lab.repo(FLAWS), engines=["lab-sleep"], timeout=5)
    done = scan.wait()
    assert time.monotonic() - begin < 30
    assert (done["job"]["state"], done["complete"]) == ("failed", False), done["job"]
    assert "lab-sleep: was not done" in done["job"]["error"]
    assert [row["status"] for row in done["job"]["run"]["engines"]] == ["timeout"]


def test_an_engine_that_is_too_slow_for_the_scan_costs_the_others_nothing(lab):
    done = lab.scan(lab.repo(FLAWS), engines=["lab-sleep", "lab-ok"], timeout=10).view()
    job, run = done["job"], done["job"]["run"]
    assert (job["state"], done["complete"]) == ("completed", False), job
    assert run["assessment"] == "partial"
    by_name = {row["name"]: row for row in run["engines"]}
    assert (by_name["lab-sleep"]["status"], by_name["lab-ok"]["status"]) == ("timeout", "ok")
    assert "the time of the whole scan" in by_name["lab-sleep"]["reason"]
    assert done["states"]["new"] == 4


def test_a_scan_can_be_tried_again_and_deleted(lab):
    scan = lab.scan(lab.repo(FLAWS))
    r = lab.server.post(f"/api/v1/scans/{scan.id}/retry")
    assert r.status_code == 202, r.text
    again = Scan(lab.server, r.json()["job"]["id"])
    assert again.id != scan.id and again.done()["states"]["unchanged"] == 4
    assert again.view()["request"] == scan.view()["request"]
    assert lab.server.delete(f"/api/v1/scans/{again.id}").status_code in (200, 204)
    assert lab.server.get(again.path).status_code == 404
    assert len(scan.findings()) == 4


def test_events_tell_of_findings_and_of_the_end_in_order(lab):
    scan = lab.scan(lab.repo(FLAWS))
    events = scan.events()
    kinds = [kind for kind, _ in events]
    assert kinds.index("job.findings") < kinds.index("repo.findings") < len(kinds) - 1
    told = dict(events)["repo.findings"]
    assert told["new"] == 4 and told["complete"] is True and told["level"] == "critical"
    states = [data["state"] for kind, data in events if kind == "job.state"]
    assert states[-2:] == ["running", "completed"]


# ---------------------------------------------------------------- engines that fail


@pytest.mark.parametrize(
    "mode, why",
    [("crash", "signal"), ("exit:3", "3"), ("garbage", "SARIF"), ("cut", "SARIF"), ("silent", "SARIF")],
)
def test_an_engine_that_fails_alone_fails_the_scan(lab, mode, why):
    job = lab.failed(lab.repo(FLAWS), engines=[engine_name(mode)])
    assert job["reason"] == "tool_failed" and engine_name(mode) in job["error"]
    (engine,) = job["run"]["engines"]
    assert engine["status"] == "failed" and why in engine["reason"], engine


def test_an_engine_that_fails_beside_others_makes_the_scan_partial(lab):
    repo = lab.repo(FLAWS)
    scan = lab.submit(repo, engines=["lab-ok", "lab-cut"])
    done = scan.done()
    assert done["complete"] is False and done["job"]["run"]["assessment"] == "partial"
    assert len(scan.findings()) == 4
    sarif = lab.server.get(f"{scan.path}/export").json()
    assert sarif["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_without_any_engine_the_answer_says_so(fresh_lab):
    nowhere = {f"SCANPOD_ENGINE_{e}": "/nonexistent/x"
               for e in ("FLAWFINDER", "CPPCHECK", "BANDIT", "SHELLCHECK", "CLAUDE")}  # fmt: skip
    lab = fresh_lab(env=nowhere)
    engines = {e["name"]: e for e in lab.server.get("/api/v1/engines").json()["items"]}
    assert not engines["flawfinder"]["available"] and engines["flawfinder"]["why"]
    assert engines["rules"]["available"] and engines["lab-ok"]["declared"]
    job = lab.failed(lab.repo(FLAWS), engines=["flawfinder"])
    assert "flawfinder" in job["error"] and "not installed" in job["error"]
    some = lab.submit(lab.repo(FLAWS), engines=["flawfinder", "lab-ok"]).done()
    assert some["complete"] is False
    left = lab.submit(lab.repo(FLAWS), engines=None).done()  # the built-in one is always there
    assert {e["name"]: e["status"] for e in left["job"]["run"]["engines"]}["rules"] == "ok"


# ---------------------------------------------------------------- what is refused at once

BAD = [
    ("https://user:word@127.0.0.1/a/b", "/url"),
    ("https://127.0.0.1/a/b?x=1", "/url"),
    ("https://127.0.0.1/a/b#x", "/url"),
    ("https://127.0.0.1/a\n/b", "/url"),
    ("https://127.0.0.1/a/../b", "/url"),
    ("https://127.0.0.1/a/b --upload-pack=x", "/url"),
    ("--upload-pack=touch /tmp/x", "/url"),
    ("-oProxyCommand=x", "/url"),
    ("ssh://-oProxyCommand=x/a", "/url"),
    ("ext::sh -c touch% /tmp/x", "/url"),
    ("file:///etc", "/url"),
    ("/etc", "/url"),
    ("git://127.0.0.1/a", "/url"),
    ("http://127.0.0.1/a/b", "/url"),
    ("ftp://127.0.0.1/a", "/url"),
    ("javascript:alert(1)", "/url"),
    ("https:///a", "/url"),
    ("https://127.0.0.1:99999/a", "/url"),
    ("https://127.0.0.1", "/url"),
    ("https://127.1/a/b", "/url"),
    ("https://0x7f000001/a/b", "/url"),
    ("https://2130706433/a/b", "/url"),
    ("", "/url"),
    (None, "/url"),
    (5, "/url"),
    (["https://127.0.0.1/a/b"], "/url"),
    ("dir:here", ""),
]


@pytest.mark.parametrize("url, pointer", BAD, ids=[repr(u)[:40] for u, _ in BAD])
def test_an_url_that_is_none_is_refused_with_its_member(nogit, url, pointer):
    r = nogit.server.post(V1, json={"url": url, "engines": ["lab-ok"]})
    assert pointer in pointers(r), r.text


@pytest.mark.parametrize(
    "member, value",
    [
        ("branch", "--upload-pack=touch"), ("branch", "a b"), ("branch", "a..b"), ("branch", ""),
        ("branch", "a\nb"), ("branch", "HEAD"), ("branch", "x.lock"), ("branch", 5),
        ("commit", "abc"), ("commit", "z" * 40), ("commit", "--x"),
        ("subdir", "../x"), ("subdir", "/etc"), ("subdir", "a//b"),
        ("base", "-x"), ("baseline", "yesterday"),
        ("engines", "rules"), ("engines", ["Rules!"]), ("engines", [5]), ("engines", ["x"] * 33),
        ("credential", "ghp_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), ("credential", ""),
        ("fail_on", "dire"), ("max_bytes", -1), ("max_files", "many"),
        ("agent", {"max_turns": 100000}), ("agent", {"base_url": "http://127.0.0.1"}), ("agent", 5),
        ("timeout", 0), ("retries", 99), ("priority", -1), ("queue_timeout", 0),
        ("limits", {"memory_mb": "x"}), ("zone", "a b"), ("shell", "id"),
    ],
    ids=lambda v: repr(v)[:30],
)  # fmt: skip
def test_a_member_that_is_wrong_is_refused_with_its_pointer(lab, member, value):
    r = lab.post("https://127.0.0.1:%d/git/x" % lab.git.port, **{member: value})
    assert any(p.startswith(f"/{member}") for p in pointers(r)), r.text


def test_members_that_do_not_fit_together_are_refused(lab):
    url = "https://127.0.0.1:%d/git/x" % lab.git.port
    assert "/base" in pointers(lab.post(url, head="topic"))
    assert "/credential" in pointers(lab.post(url, username="me"))
    assert "/head" in pointers(lab.post(url, commit="a" * 40, base="b" * 40, head="c" * 40))
    assert lab.server.post(V1, data=b"{nope").status_code in (400, 422)
    assert lab.server.post(V1, json=[1]).status_code == 422


def test_what_does_not_exist_here_is_named(lab):
    url = "https://127.0.0.1:%d/git/x" % lab.git.port
    r = lab.post(url, engines=["lab-ok", "nonesuch"])
    assert any("nonesuch" in d for d in pointers(r).values())
    r = lab.post(url, credential="nonesuch")
    assert any("no secret 'nonesuch'" in d for d in pointers(r).values())
    r = lab.post(url, engines=["claude"])
    assert any("agent-secret" in d for d in pointers(r).values())


def test_a_place_that_policy_does_not_allow_is_refused_by_its_rule(nogit):
    lab = nogit
    for url in ("https://10.1.2.3/a/b", "https://169.254.169.254/latest", "https://127.0.0.1/a/b",
                "https://[::1]/a/b", "https://192.168.0.1:8443/a", "ssh://git@127.0.0.1/a/b",
                "https://github.com/a/b"):  # fmt: skip
        r = lab.post(url)
        assert r.status_code == 403, f"{url}: {r.status_code} {r.text}"
        assert r.json()["rule"] == "policy.repositories", r.text
    entries = {e["detail"]["repository"]: e["detail"] for e in lab.audit("scan.refused")}
    assert entries["https://github.com/a/b"]["rule"] == "policy.repositories"


def test_an_empty_list_of_repositories_allows_none_and_none_at_all_only_names(fresh_lab):
    nothing = "version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8, note: x}\n"
    lab = fresh_lab(env=NO_GIT, policy=nothing + "repositories: []\n")
    assert lab.post("https://example.org/a/b").status_code == 403
    lab.policy_path.write_text(nothing)
    lab.server.restart()
    assert lab.post("https://10.0.0.1/a/b").status_code == 403
    assert lab.post("https://example.org:8443/a/b").status_code == 403
    r = lab.post("https://example.org/a/b")
    assert r.status_code == 202
    job = Scan(lab.server, r.json()["job"]["id"]).wait()["job"]
    assert job["state"] == "failed" and "git is not installed" in job["error"]


# ---------------------------------------------------------------- repositories that are odd


@pytest.mark.parametrize(
    "mode, words",
    [
        ("private", "private"), ("forbidden", "forbids"), ("moved", "redirects"),
        ("tofile", "redirects"), ("garbage", "git"), ("html", "git"), ("cut", "broken on its way"),
        ("broken", "failed"), ("nothere", "not there"),
    ],
)  # fmt: skip
def test_a_server_that_is_odd_ends_the_scan_with_a_sentence(lab, mode, words):
    repo = lab.repo({**FLAWS, "large.bin": os.urandom(20000)})
    elsewhere = lab.git.elsewhere
    job = lab.failed(repo.at(mode))
    assert words in job["error"], job["error"]
    assert lab.git.elsewhere == elsewhere


def test_repositories_without_anything_to_scan_are_told_apart(lab):
    empty = lab.repo()
    assert "empty" in lab.failed(empty)["error"]
    assert "branch" in lab.failed(lab.repo(FLAWS), branch="nonesuch")["error"]
    assert "commit" in lab.failed(lab.repo(FLAWS), commit="0123456789" * 4)["error"]
    assert "'nonesuch'" in lab.failed(lab.repo(FLAWS), subdir="nonesuch")["error"]
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % ("a" * 64)
    lfs = lab.submit(lab.repo({"big.bin": pointer, "b.c": pointer})).wait()
    skipped = lfs["job"]["run"]["files"]["skipped"]
    assert {s["path"] for s in skipped} == {"big.bin", "b.c"}
    assert all("LFS" in s["why"] for s in skipped), skipped


def test_a_repository_that_is_too_large_is_told(lab):
    big = lab.repo({f"{i}.txt": bytes([65 + i % 26]) * 100000 for i in range(30)})
    job = lab.failed(big, max_bytes=1 << 20)
    assert "limit" in job["error"] or "large" in job["error"], job["error"]
    many = lab.repo({f"{i}.txt": "x" for i in range(50)})
    assert "files" in lab.failed(many, max_files=20)["error"]


def test_failures_leave_nothing_behind(fresh_lab):
    lab = fresh_lab()
    before = {p.name for p in Path("/tmp").iterdir()}
    lab.failed(lab.repo({**FLAWS, "large.bin": os.urandom(20000)}).at("cut"))
    lab.failed(lab.repo(FLAWS), engines=["lab-garbage"])
    lab.failed(lab.repo(FLAWS), engines=["lab-crash"])
    wait_until(lambda: not left_behind(lab, before), 10, "nothing to be left")


# ---------------------------------------------------------------- parts of a repository


def test_a_commit_a_subdirectory_and_a_branch_are_what_is_scanned(lab):
    repo = lab.repo({"src/a.c": "// FLAWh old\n", "b.c": "// FLAWm\n"})
    old = repo.head["main"]
    repo.push({"src/a.c": "// clean\n", "b.c": "// FLAWm\n"})
    pinned = lab.scan(repo, commit=old)
    assert pinned.view()["commit"] == old
    assert {f["path"] for f in pinned.findings()} == {"src/a.c", "b.c"}
    below = lab.scan(repo, commit=old, subdir="src")
    assert [f["path"] for f in below.findings()] == ["src/a.c"]
    assert below.view()["subdir"] == "src"
    repo.push({"t.c": "// FLAWc\n"}, "topic")
    assert [f["path"] for f in lab.scan(repo, branch="topic").findings()] == ["t.c"]


def test_a_scan_of_a_difference_has_only_what_changed(lab):
    repo = lab.repo({"same.c": "// FLAWh same\n", "x.c": "int x;\n"})
    base = repo.head["main"]
    repo.push({"same.c": "// FLAWh same\n", "x.c": "int x; // FLAWm new\n"})
    for body in ({"base": base}, {"base": base, "head": "main"}):
        scan = lab.scan(repo, **body)
        assert [f["path"] for f in scan.findings()] == ["x.c"], body
        assert scan.view()["job"]["run"]["base"] == base
    assert "'nonesuch'" in lab.failed(repo, base="nonesuch")["error"]


# ---------------------------------------------------------------- from scan to scan


def lives(scan):
    found = scan.findings(state="new,unchanged,updated,reopened,fixed,unknown")
    return {f["message"].split()[-1]: f["state"] for f in found}


def test_findings_live_from_commit_to_commit(lab):
    repo = lab.repo({"a.c": "// FLAWh1 x\n", "b.c": "// FLAWm2 x\n"})
    first = lab.scan(repo)
    ids = {f["path"]: f["id"] for f in first.findings()}
    assert lives(first) == {"FLAWh1": "new", "FLAWm2": "new"}
    repo.push({"a.c": "int pad;\n\n\n// FLAWh1 x\n", "c.c": "// FLAWl3 x\n"})
    second = lab.scan(repo)
    assert lives(second) == {"FLAWh1": "unchanged", "FLAWm2": "fixed", "FLAWl3": "new"}
    moved = next(f for f in second.findings() if f["path"] == "a.c")
    assert moved["id"] == ids["a.c"] and moved["line"] == 4 and moved["first_scan"] == first.id
    gone = lab.server.get(f"/api/v1/findings/{ids['b.c']}").json()
    assert gone["open"] is False and gone["fixed_at"]
    repo.push({"a.c": "// FLAWh1 x\n", "b.c": "// FLAWm2 x\n", "c.c": "// FLAWl3 x\n"})
    third = lab.scan(repo)
    assert lives(third) == {"FLAWh1": "unchanged", "FLAWm2": "reopened", "FLAWl3": "unchanged"}
    assert third.view()["new"]["medium"] == 1 and third.view()["new"]["high"] == 0
    assert lab.server.get(f"/api/v1/findings/{ids['b.c']}").json()["reopened"] == 1


def test_nothing_is_fixed_by_a_scan_that_did_not_look(lab):
    repo = lab.repo({"a.c": "// FLAWh1 x\n"})
    lab.scan(repo)
    scan = lab.submit(repo, engines=["lab-cut", "rules"])
    scan.done()
    assert lives(scan) == {"FLAWh1": "unknown"}
    (f,) = lab.server.get("/api/v1/findings", params={"repository": repo.url}).json()["items"]
    assert f["open"] is True


def aside(scan):
    return scan.view()["job"]["run"].get("aside", False)


def test_an_old_commit_and_that_of_another_branch_move_no_issues(lab):
    repo = lab.repo({"a.c": "// FLAWh1 x\n", "b.c": "// FLAWm2 x\n"})
    old = repo.head["main"]
    repo.push({"a.c": "int a;\n", "b.c": "// FLAWm2 x\n", "c.c": "// FLAWl3 x\n"})
    assert not aside(lab.scan(repo, commit=repo.head["main"]))
    repo.push({"a.c": "// FLAWc4 x\n", "b.c": "// FLAWm2 x\n", "c.c": "// FLAWl3 x\n"}, "topic")
    for body in ({"commit": old}, {"commit": repo.head["topic"]}, {"base": old, "head": "topic"}):
        scan = lab.scan(repo, **body)
        assert aside(scan), body
        new = {f["message"].split()[-1] for f in scan.findings(state="new")}
        assert new == ({"FLAWh1"} if body == {"commit": old} else {"FLAWc4"}), body
    last = lab.scan(repo)
    assert lives(last) == {"FLAWm2": "unchanged", "FLAWl3": "unchanged"} and not aside(last)
    assert not aside(lab.scan(repo, commit=old, branch="main"))


def test_a_baseline_is_compared_with_instead_of_the_last_scan(lab):
    repo = lab.repo({"a.c": "// FLAWh1 x\n"})
    first = lab.scan(repo)
    repo.push({"a.c": "// FLAWh1 x\n", "b.c": "// FLAWm2 x\n"})
    lab.scan(repo)
    against = lab.scan(repo, baseline=first.id)
    assert lives(against) == {"FLAWh1": "unchanged", "FLAWm2": "new"}
    assert against.view()["baseline"] == first.id
    nothing = lab.scan(repo, baseline="none")
    assert lives(nothing) == {"FLAWh1": "new", "FLAWm2": "new"}
    assert lives(lab.scan(repo)) == {"FLAWh1": "unchanged", "FLAWm2": "unchanged"}
    r = lab.post(repo, baseline="0" * 32)
    assert r.status_code in (202, 422), r.text


# ---------------------------------------------------------------- triage


@pytest.fixture
def issue(lab):
    """(scan, finding) of a scan with one."""
    scan = lab.scan(lab.repo({"a.c": "// FLAWh1 x\n"}))
    (found,) = scan.findings()
    return scan, found


def decide(lab, found, match=None, **body):
    head = {"If-Match": match} if match else {}
    return lab.server.patch(f"/api/v1/findings/{found['id']}", json=body, headers=head)


def test_a_decision_needs_a_reason_counts_and_can_be_taken_back(lab, issue):
    scan, found = issue
    for state in ("false_positive", "accepted_risk"):
        assert "/reason" in pointers(decide(lab, found, state=state))
        assert "/reason" in pointers(decide(lab, found, state=state, reason=""))
    r = decide(lab, found, state="false_positive", reason="a test")
    assert r.status_code == 200 and r.json()["counts"] is False
    assert r.json()["triage"]["state"] == "false_positive" and r.json()["triage"]["reason"] == "a test"
    assert r.json()["triage"]["by"] == "config" and r.json()["triage"]["at"]
    view = scan.view()
    assert view["counts"]["high"] == 0 and view["triaged"] == 1 and view["risk_level"] == "none"
    assert scan.findings(counts="false")[0]["id"] == found["id"]
    assert scan.findings(triage="false_positive") and not scan.findings(counts="true")
    told = scan.events("finding.triage")[-1][1]
    assert told["issue"] == found["id"] and told["triage"] == "false_positive"
    entry = lab.audit("finding.triage")[0]
    assert entry["object"] == found["id"] and entry["detail"]["reason"] == "a test"
    sarif = lab.server.get(f"{scan.path}/export").json()["runs"][0]["results"][0]
    assert sarif["suppressions"][0]["justification"].endswith(": a test")
    assert decide(lab, found, state="open").json()["counts"] is True
    assert scan.view()["counts"]["high"] == 1


def test_an_acknowledged_finding_still_counts(lab, issue):
    scan, found = issue
    r = decide(lab, found, state="acknowledged")
    assert r.status_code == 200 and r.json()["counts"] is True
    assert scan.view()["counts"]["high"] == 1


def test_a_decision_about_something_that_changed_meanwhile_is_refused(lab, issue):
    _, found = issue
    etag = lab.server.get(f"/api/v1/findings/{found['id']}").headers["ETag"]
    r = decide(lab, found, etag, state="acknowledged", reason="seen")
    assert r.status_code == 200 and r.headers["ETag"] != etag
    assert decide(lab, found, etag, state="open").status_code == 412
    assert decide(lab, found, "nonsense", state="open").status_code == 412
    assert decide(lab, found, '"i999999"', state="open").status_code == 412
    assert decide(lab, found, r.headers["ETag"], state="open").status_code == 200
    assert decide(lab, found, "*", state="acknowledged").status_code == 200


def test_a_decision_that_is_none_is_refused(lab, issue):
    _, found = issue
    assert "/state" in pointers(decide(lab, found, state="maybe"))
    assert "/state" in pointers(decide(lab, found, reason="x"))
    assert "/until" in pointers(decide(lab, found, state="acknowledged", until="2001-01-01"))
    assert "/until" in pointers(decide(lab, found, state="acknowledged", until="soon"))
    assert "/reason" in pointers(decide(lab, found, state="false_positive", reason="x" * 1025))
    assert "/colour" in pointers(decide(lab, found, state="acknowledged", colour="red"))
    assert "/reason" in pointers(decide(lab, found, state="acknowledged", reason=5))
    path = f"/api/v1/findings/{found['id']}"
    assert lab.server.patch(path, json=[]).status_code == 422
    assert lab.server.patch("/api/v1/findings/" + "0" * 32, json={"state": "open"}).status_code == 404


def test_an_accepted_risk_counts_again_when_its_time_is_over(lab, issue):
    scan, found = issue
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    r = decide(lab, found, state="accepted_risk", reason="soon gone", until=until)
    assert r.status_code == 200 and scan.view()["counts"]["high"] == 0
    wait_until(lambda: scan.view()["counts"]["high"] == 1, 20, "the decision to expire")
    (now,) = scan.findings()
    assert now["counts"] is True and now["triage"]["state"] == "open"


def test_a_decision_holds_in_later_scans_and_for_new_findings_of_other_lines(lab):
    repo = lab.repo({"a.c": "// FLAWh1 x\n"})
    (found,) = lab.scan(repo).findings()
    assert decide(lab, found, state="false_positive", reason="no").status_code == 200
    repo.push({"a.c": "int a;\n// FLAWh1 x\n"})
    again = lab.scan(repo)
    assert again.view()["counts"]["high"] == 0 and again.view()["triaged"] == 1
    repo.push({"a.c": "// FLAWh1 x\n"}, "topic")
    other = lab.scan(repo, branch="topic")
    assert other.view()["triaged"] == 1 and other.findings()[0]["triage"]["state"] == "false_positive"


# ---------------------------------------------------------------- keys


def test_keys_do_what_their_scopes_say(fresh_lab):
    lab = fresh_lab()
    repo = lab.repo({"a.c": "// FLAWh1 x\n"})
    scan = lab.scan(repo)
    (found,) = scan.findings()
    reader = lab.key("reader", ["read"])
    network = lab.key("network", ["read", "submit:network"])
    submitter = lab.key("submitter", ["read", "submit:repo"])
    canceller = lab.key("canceller", ["cancel"])
    path = f"/api/v1/findings/{found['id']}"
    for key in (reader, network):
        assert lab.post(repo, key=key).status_code == 403
        assert lab.server.patch(path, json={"state": "acknowledged"}, key=key).status_code == 403
        assert lab.server.get(scan.path, key=key).status_code == 200
    assert lab.server.get(scan.path, key=canceller).status_code == 403
    assert lab.server.get(scan.path, key=None).status_code == 401
    assert lab.server.get("/api/v1/findings", key=None).status_code == 401
    r = lab.post(repo, key=submitter, engines=["lab-sleep"])
    assert r.status_code == 202
    running = Scan(lab.server, r.json()["job"]["id"])
    r = lab.server.patch(path, json={"state": "acknowledged"}, key=submitter)
    assert r.json()["triage"]["by"] == "submitter"
    cancel = f"/api/v1/scans/{running.id}/cancel"
    assert lab.server.post(cancel, key=submitter).status_code == 403
    assert lab.server.post(cancel, key=canceller).status_code in (200, 202)
    assert running.wait()["job"]["state"] == "cancelled"
    retry = f"/api/v1/scans/{scan.id}/retry"
    assert lab.server.post(retry, key=network).status_code == 403
    r = lab.server.post(retry, key=submitter)
    assert r.status_code == 202, r.text
    entry = next(e for e in lab.audit("scan.submit") if e["detail"].get("repository"))
    assert entry["detail"]["repository"] == repo.url


def test_a_quota_holds_for_repository_scans(fresh_lab):
    lab = fresh_lab(env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    repo = lab.repo(FLAWS)
    key = lab.key("few", ["read", "submit:repo", "cancel"], quota={"waiting": 1})
    first = lab.submit(repo, engines=["lab-sleep"]).running()
    codes = [lab.post(repo, key=key).status_code for _ in range(3)]
    assert codes[0] == 202 and set(codes[1:]) == {429}, codes
    assert lab.server.post(f"/api/v1/scans/{first.id}/cancel").status_code in (200, 202)


# ---------------------------------------------------------------- foreign SARIF

FOREIGN = {
    "version": "2.1.0",
    "runs": [{
        "tool": {"driver": {"name": "other", "version": "7", "rules": [
            {"id": "X1", "properties": {"security-severity": "9.1", "tags": ["external/cwe/cwe-89"]}}
        ]}},
        "results": [{"ruleId": "X1", "level": "error", "message": {"text": "an injection"},
                     "locations": [{"physicalLocation": {
                         "artifactLocation": {"uri": "src/q.py"}, "region": {"startLine": 7}}}]}],
    }],
}  # fmt: skip


def test_sarif_of_other_programs_can_be_imported(lab):
    where = f"https://example.org/{new_name()}/b"
    r = lab.server.post("/api/v1/imports", params={"repository": where, "branch": "main"},
                        data=json.dumps(FOREIGN))  # fmt: skip
    assert r.status_code == 202, r.text
    scan = Scan(lab.server, r.json()["id"])
    done = scan.done()
    assert done["repository"] == where and done["job"]["imported"] is True
    (found,) = scan.findings()
    assert (found["path"], found["line"], found["severity"]) == ("src/q.py", 7, "critical")
    assert found["cwe"] == [89] and found["engines"][0]["name"] == "other"


@pytest.mark.parametrize("text", [b'{"version":"2.1.0"}', b'{"version":"2.1.0","runs":5}', b"{",
                                  b'{"version":"1.0.0","runs":[]}'])  # fmt: skip
def test_what_is_no_sarif_is_no_import(lab, text):
    r = lab.server.post("/api/v1/imports?format=sarif&repository=https://example.org/a/b", data=text)
    if r.status_code == 202:
        assert Scan(lab.server, r.json()["id"]).wait()["job"]["state"] == "failed"
    else:
        assert r.status_code == 422, r.text


def new_name():
    return f"n{time.monotonic_ns()}"


__all__ = ["Repo", "LabRepo", "new_repo"]
