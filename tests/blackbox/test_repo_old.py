"""
The routes of the old repository scanner, as its clients use them: shapes, statuses and texts are
the ones that they know, and what that service got wrong is right.
"""

import re
import shutil
import subprocess
import time

import pytest
import requests

from conftest import _Factory, _new_dir, wait_until
from repo_lab import FILES, NO_GIT, Lab, fresh_lab, git, lab

pytestmark = pytest.mark.seconds(120)
_ = (fresh_lab, git, lab)

UUIDISH = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
JOB = ["job_id", "status", "type", "created_at", "updated_at", "started_at", "finished_at",
       "result", "error"]  # fmt: skip
ENDED = ("completed", "failed")

ONLY_RULES = {f"SCANPOD_ENGINE_{e}": "/nonexistent/x"
              for e in ("FLAWFINDER", "CPPCHECK", "BANDIT", "SHELLCHECK", "CLAUDE")}  # fmt: skip


@pytest.fixture(scope="module")
def old(scanpod_bin, _session_dir, fake_nmap, git):
    """A server whose scans are quick: no engine but the built-in one."""
    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield Lab(git, factory, _new_dir(_session_dir, "old"), env=ONLY_RULES)
    factory.finish()


@pytest.fixture(scope="module")
def nogit(scanpod_bin, _session_dir, fake_nmap, git):
    """For requests that are only looked at."""
    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield Lab(git, factory, _new_dir(_session_dir, "nogit"), env=NO_GIT)
    factory.finish()


def submit(lab, url, **more):
    r = lab.server.post("/scan/repo", json={"repo_url": url, **more})
    assert r.status_code == 200, f"{r.status_code} {r.text}"
    return r.json()["job_id"]


def job(lab, job_id):
    r = lab.server.get(f"/jobs/{job_id}")
    assert r.status_code == 200, r.text
    return r.json()


def ended(lab, job_id, seconds=60):
    wait_until(lambda: job(lab, job_id)["status"] in ENDED, seconds, "the job's end")
    return job(lab, job_id)


def in_progress(lab, job_id):
    wait_until(lambda: job(lab, job_id)["status"] == "in_progress", 30, "the job to run")


# ---------------------------------------------------------------- shapes


@pytest.mark.smoke
def test_a_scan_as_the_old_clients_see_it(old):
    repo = old.repo(FILES)
    r = old.server.post("/scan/repo", json={"repo_url": repo.url})
    assert r.status_code == 200
    answer = r.json()
    assert list(answer) == ["job_id", "status", "created_at", "message"]
    assert UUIDISH.fullmatch(answer["job_id"]) and answer["status"] == "pending"
    assert TIME.fullmatch(answer["created_at"])
    assert answer["message"] == f"Scan job created for repository: {repo.url}"
    done = ended(old, answer["job_id"])
    assert list(done) == JOB
    assert (done["status"], done["type"], done["error"]) == ("completed", "scan_repo", None)
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        assert TIME.fullmatch(done[name]), name
    assert done["created_at"] <= done["started_at"] <= done["finished_at"] == done["updated_at"]
    result = done["result"]
    assert {"scan_completed_at", "repository", "branch", "results"} <= set(result)
    assert (result["repository"], result["branch"]) == (repo.url, "main")
    results = result["results"]
    assert {"vulnerabilities", "summary", "risk_level"} <= set(results)
    assert results["vulnerability_count"] == len(results["vulnerabilities"]) > 0
    for v in results["vulnerabilities"]:
        assert {"type", "severity", "file", "line", "description", "recommendation"} <= set(v)
        assert v["severity"] in ("high", "medium", "low")
        assert v["file"] in FILES and v["line"] >= 1 and v["description"]
    assert results["summary"].startswith(f"Found {len(results['vulnerabilities'])} vulnerabilities")
    assert results["risk_level"] in ("high", "medium", "low")
    assert any(v["severity"] == "high" for v in results["vulnerabilities"])
    assert results["risk_level"] == "high"


def test_a_clean_repository_has_no_vulnerabilities_and_a_low_risk(old):
    done = ended(old, submit(old, old.repo({"README.md": "Nothing.\n"}).url))
    results = done["result"]["results"]
    assert results["vulnerabilities"] == [] and results["risk_level"] == "low"
    assert results["summary"].startswith("Found 0 vulnerabilities")


def test_the_members_of_later_versions_are_taken_and_dot_git_is_left_out(old):
    repo = old.repo(FILES)
    repo.push(FILES, "topic")
    job_id = submit(old, repo.url + ".git", branch="topic", claude_cli_args=None, scan_options={},
                    user_id="u", project_id="p", scan_target_id="t")  # fmt: skip
    result = ended(old, job_id)["result"]
    assert (result["repository"], result["branch"]) == (repo.url, "topic")


def test_a_scan_without_a_branch_is_of_main_as_it_always_was(old):
    repo = old.repo()
    repo.push(FILES, "trunk")
    repo.bare.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    done = ended(old, submit(old, repo.url))
    assert done["status"] == "failed" and "main" in done["error"] and done["result"] is None


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "repo_url"),
        ({"repo_url": None}, "repo_url"),
        ({"repo_url": 5}, "repo_url"),
        ({"repo_url": ""}, "repo_url"),
        ({"repo_url": "nothing"}, "repo_url"),
        ({"repo_url": "ftp://127.0.0.1/a/b"}, "repo_url"),
        ({"repo_url": "file:///etc"}, "repo_url"),
        ({"repo_url": "ext::sh -c id"}, "repo_url"),
        ({"repo_url": "https://a:b@127.0.0.1/a/b"}, "repo_url"),
        ({"repo_url": "https://127.0.0.1/a/b\n"}, "repo_url"),
        ({"branch": "--upload-pack=id"}, "branch"),
        ({"branch": "a b"}, "branch"),
        ({"branch": 7}, "branch"),
        ({"claude_cli_args": "--dangerously-skip-permissions"}, "claude_cli_args"),
        ({"claude_cli_args": "--mcp-config x.json"}, "claude_cli_args"),
        ({"claude_cli_args": "--add-dir /"}, "claude_cli_args"),
        ({"claude_cli_args": "--settings '{}'"}, "claude_cli_args"),
        ({"claude_cli_args": "--permission-mode bypassPermissions"}, "claude_cli_args"),
        ({"claude_cli_args": "'unclosed"}, "claude_cli_args"),
        ({"claude_cli_args": ["--model"]}, "claude_cli_args"),
        ({"scan_options": []}, "scan_options"),
        ({"scan_options": "x"}, "scan_options"),
    ],
    ids=lambda v: repr(v)[:50] if isinstance(v, dict) else "",
)
def test_what_is_wrong_with_a_request_is_told_as_it_was(nogit, body, field):
    given = {} if body == {} else {"repo_url": "https://127.0.0.1:1/a/b", **body}
    r = nogit.server.post("/scan/repo", json=given)
    assert r.status_code == 422, r.text
    (detail,) = r.json()["detail"]
    assert detail["loc"] == ["body", field] and detail["msg"] and detail["type"]
    assert {"type", "loc", "msg", "input"} <= set(detail)
    assert r.json()["message"] == "Request validation failed"
    if not body:
        assert (detail["type"], detail["msg"]) == ("missing", "Field required")


def test_a_body_that_is_no_object_is_told_as_it_was(nogit):
    for text, kind in ((b"{", "json_invalid"), (b"", "missing"), (b"[1]", "model_attributes_type")):
        r = nogit.server.post("/scan/repo", data=text)
        assert r.status_code == 422 and r.json()["detail"][0]["type"] == kind, r.text
        assert r.json()["detail"][0]["loc"] == ["body"]


def test_arguments_of_the_agent_that_do_no_harm_are_taken(nogit):
    url = "https://127.0.0.1:%d/git/x" % nogit.git.port
    r = nogit.server.post("/scan/repo", json={
        "repo_url": url, "claude_cli_args": "--model sonnet --max-turns 5 --max-budget-usd 1.5"})  # fmt: skip
    assert r.status_code == 200, r.text


def test_a_place_that_policy_forbids_is_refused(nogit):
    r = nogit.server.post("/scan/repo", json={"repo_url": "https://10.0.0.1/a/b"})
    assert r.status_code == 403 and "detail" in r.json()


def test_jobs_that_are_not_there_are_404_in_its_words(nogit):
    other = nogit.server.submit()  # a job of another tool is none of these
    for name in ("x", "0" * 32, "123e4567-e89b-12d3-a456-426614174000", other):
        for r in (nogit.server.get(f"/jobs/{name}"), nogit.server.delete(f"/jobs/{name}"),
                  nogit.server.post(f"/jobs/{name}/cancel")):  # fmt: skip
            assert r.status_code == 404 and r.json() == {"detail": "Job not found"}
    assert all(j["job_id"] != other for j in nogit.server.get("/jobs").json())


def test_a_uuid_with_dashes_names_a_job_too(old):
    job_id = submit(old, old.repo(FILES).url)
    dashed = "-".join((job_id[:8], job_id[8:12], job_id[12:16], job_id[16:20], job_id[20:]))
    assert job(old, dashed)["job_id"] == job_id
    ended(old, job_id)


# ---------------------------------------------------------------- failures are failures


def test_a_checkout_that_fails_is_a_failed_job(old):
    done = ended(old, submit(old, old.repo(FILES).at("nothere")))
    assert done["status"] == "failed" and done["result"] is None and done["error"]
    done = ended(old, submit(old, old.repo().url))
    assert done["status"] == "failed" and "empty" in done["error"]


AGENT = """#!/bin/sh
case "$*" in *--version*) echo "2.1.197 (Claude Code)"; exit 0;; *--help*) cat <<'END'
  -p, --print --output-format --json-schema --tools --permission-mode --model --max-turns
  --max-budget-usd --append-system-prompt --setting-sources --strict-mcp-config
  --disable-slash-commands --no-session-persistence --verbose --effort
END
exit 0;; esac
%s
"""


@pytest.mark.parametrize(
    "does",
    ["exit 1", "exit 0", "echo 'I found nothing at all. All is well.'", "echo '{\"result\":5}'",
     "kill -9 $$",
     'echo \'{"type":"result","subtype":"success","is_error":true,"result":"no"}\'',
     'echo \'{"type":"result","subtype":"success","is_error":false,"result":"[]"}\''],
    ids=["exit-1", "silence", "prose", "other-json", "killed", "error", "no-findings-document"],
)  # fmt: skip
def test_an_agent_that_fails_or_talks_nonsense_is_a_failed_job(fresh_lab, does):
    lab = fresh_lab(start=False, secrets={"anthropic-api-key": "sk-ant-dummy-0123456789"})
    program = lab.folder / "claude"
    program.write_text(AGENT % does)
    program.chmod(0o755)
    nowhere = f"http://127.0.0.1:{lab.git.elsewhere_port}"
    lab.server.env.update({**ONLY_RULES, "SCANPOD_ENGINE_CLAUDE": str(program),
                           "SCANPOD_AGENT_URL": nowhere,
                           "SCANPOD_AGENT_WITHIN": "127.0.0.1"})  # fmt: skip
    lab.server.start()
    done = ended(lab, submit(lab, lab.repo(FILES).url))
    assert done["status"] == "failed" and "claude" in done["error"], done
    assert done["result"] is None


# ---------------------------------------------------------------- queue


def test_jobs_run_first_in_first_out(fresh_lab):
    lab = fresh_lab(env={**ONLY_RULES, "SCANPOD_MAX_SCAN_WORKERS": "1"})
    first = submit(lab, lab.repo(FILES).at("stall"))
    in_progress(lab, first)
    ids = [submit(lab, lab.repo(FILES).url) for _ in range(3)]
    assert [job(lab, i)["status"] for i in ids] == ["pending"] * 3
    assert lab.server.delete(f"/jobs/{first}").status_code == 200
    jobs = [ended(lab, i) for i in ids]
    assert all(j["status"] == "completed" for j in jobs)
    for before, after in zip(jobs, jobs[1:]):
        assert before["finished_at"] <= after["started_at"]


def test_a_job_that_is_cancelled_while_it_waits_never_runs(fresh_lab):
    lab = fresh_lab(env={**ONLY_RULES, "SCANPOD_MAX_SCAN_WORKERS": "1"})
    first = submit(lab, lab.repo(FILES).at("stall"))
    in_progress(lab, first)
    repos = [lab.repo(FILES) for _ in range(2)]
    waiting = [submit(lab, r.url) for r in repos]
    r = lab.server.delete(f"/jobs/{waiting[0]}")
    assert r.status_code == 200 and r.json() == {"message": f"Job {waiting[0]} cancelled"}
    r = lab.server.post(f"/jobs/{waiting[1]}/cancel")
    assert r.status_code == 200
    assert r.json() == {"message": f"Job {waiting[1]} cancelled", "job_id": waiting[1],
                        "status": "CANCELLED"}  # fmt: skip
    for w in waiting:
        done = job(lab, w)
        assert (done["status"], done["error"]) == ("failed", "Job cancelled by user")
        assert done["result"] is None and done["started_at"] is None
    for again in (lab.server.delete(f"/jobs/{waiting[0]}"),
                  lab.server.post(f"/jobs/{waiting[0]}/cancel")):  # fmt: skip
        assert again.status_code == 400
        assert again.json() == {"detail": "Cannot cancel job in failed status"}
    assert lab.server.delete(f"/jobs/{first}").status_code == 200
    last = submit(lab, lab.repo(FILES).url)
    assert ended(lab, last)["status"] == "completed"
    asked = [path for _, path in lab.git.requests]
    assert not [p for p in asked if any(r.name in p for r in repos)]
    r = lab.server.delete(f"/jobs/{last}")
    assert r.json() == {"detail": "Cannot cancel job in completed status"}


def test_a_job_that_runs_is_cancelled_and_stays_so(fresh_lab):
    lab = fresh_lab(env=ONLY_RULES)
    running = submit(lab, lab.repo(FILES).at("stall"))
    in_progress(lab, running)
    assert lab.server.delete(f"/jobs/{running}").status_code == 200
    done = ended(lab, running)
    assert (done["status"], done["error"]) == ("failed", "Job cancelled by user")
    wait_until(lambda: not [c for _, c in lab.server.children() if "repo-box" in c], 20, "its end")
    assert job(lab, running)["status"] == "failed"


def test_a_list_is_filtered_before_it_is_cut(fresh_lab):
    lab = fresh_lab(env=NO_GIT)
    url = "https://127.0.0.1:%d/git/x" % lab.git.port
    oldest = [submit(lab, url) for _ in range(10)]
    for i in oldest:
        ended(lab, i)
    lab.server.stop()
    lab.server.env["SCANPOD_MAX_SCAN_WORKERS"] = "0"  # from now on all wait
    lab.server.start()
    later = [submit(lab, url) for _ in range(50)]
    got = lab.server.get("/jobs?status=failed&limit=10").json()
    assert [j["job_id"] for j in got] == oldest[::-1]
    got = lab.server.get("/jobs?status=pending&limit=5").json()
    assert [j["job_id"] for j in got] == later[:-6:-1]
    everything = lab.server.get("/jobs").json()
    assert len(everything) == 50 and everything[0]["job_id"] == later[-1]
    assert len(lab.server.get("/jobs?limit=1000").json()) == 60
    assert [j["status"] for j in lab.server.get("/jobs?status=FAILED").json()] == ["failed"] * 10
    assert lab.server.get("/jobs?status=completed").json() == []
    assert list(everything[0]) == JOB


@pytest.mark.parametrize("word", ["x", "done", "", "running", "Pending;"])
def test_a_status_that_is_none_is_refused_in_its_words(nogit, word):
    r = nogit.server.get("/jobs", params={"status": word})
    assert r.status_code == 400 and r.json() == {"detail": f"Invalid status: {word}"}


def test_a_limit_that_is_none_is_refused(nogit):
    for word in ("0", "-1", "x", "100000"):
        assert nogit.server.get(f"/jobs?limit={word}").status_code == 422


# ---------------------------------------------------------------- keys, and clients without one


def test_without_a_key_nothing_is_to_be_had_unless_it_was_set_so(nogit):
    for method, path in (("POST", "/scan/repo"), ("GET", "/jobs"), ("GET", "/jobs/x"),
                         ("DELETE", "/jobs/x"), ("POST", "/jobs/x/cancel")):  # fmt: skip
        r = nogit.server.request(method, path, key=None, json={})
        assert r.status_code == 401 and "detail" in r.json(), path


def test_clients_without_a_key_have_the_rights_of_the_one_that_is_named(fresh_lab):
    lab = fresh_lab(env={**NO_GIT, "SCANPOD_ANONYMOUS_REPO_KEY": "old-clients"})
    url = "https://127.0.0.1:%d/git/x" % lab.git.port
    post = lambda: lab.server.post("/scan/repo", json={"repo_url": url}, key=None)
    assert post().status_code == 401, "there is no such key yet"
    lab.key("old-clients", ["read", "submit:repo"])
    r = post()
    assert r.status_code == 200
    job_id = r.json()["job_id"]
    assert lab.server.get(f"/jobs/{job_id}", key=None).status_code == 200
    assert lab.server.get("/jobs", key=None).status_code == 200
    assert lab.server.delete(f"/jobs/{job_id}", key=None).status_code == 403, "no right to cancel"
    assert lab.server.get("/api/v1/repo-scans", key=None).status_code == 401
    assert lab.server.get("/scans", key=None).status_code == 401
    assert lab.server.get("/jobs", key="wrong").status_code == 401
    entry = lab.audit("scan.submit")[-1]
    assert entry["actor"] != "config"
    assert lab.server.delete("/api/v1/keys/old-clients").status_code in (200, 204)
    assert post().status_code == 401


def test_health_answers_like_the_service_that_it_stands_for(fresh_lab):
    lab = fresh_lab(env={**NO_GIT, "SCANPOD_OLD_HEALTH": "scan-orchestrator"})
    r = lab.server.get("/health", key=None)
    assert r.json() == {"status": "healthy", "service": "scan-orchestrator"}


# ---------------------------------------------------------------- its own clients


def test_the_lines_that_its_readme_has_do_what_they_say(fresh_lab):
    """Health, a scan, its state, the list, the list of one state: with curl and without a key."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    lab = fresh_lab(env={**ONLY_RULES, "SCANPOD_OLD_HEALTH": "scan-orchestrator",
                         "SCANPOD_ANONYMOUS_REPO_KEY": "old-clients"})  # fmt: skip
    lab.key("old-clients", ["read", "submit:repo", "cancel"])
    repo = lab.repo(FILES)

    def curl(*args):
        done = subprocess.run(["curl", "-sS", "--noproxy", "*", *args], capture_output=True,
                              text=True, timeout=60, check=True)  # fmt: skip
        return requests.compat.json.loads(done.stdout)

    url = lab.server.url
    assert curl(f"{url}/health")["service"] == "scan-orchestrator"
    body = '{"repo_url": "%s", "branch": "main", "claude_cli_args": "--verbose"}' % repo.url
    body = body.replace(', "claude_cli_args": "--verbose"', "")
    made = curl("-X", "POST", f"{url}/scan/repo", "-H", "Content-Type: application/json", "-d", body)
    job_id = made["job_id"]
    until = time.monotonic() + 60
    while curl(f"{url}/jobs/{job_id}")["status"] not in ENDED:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert curl(f"{url}/jobs/{job_id}")["result"]["results"]["vulnerabilities"]
    assert [j["job_id"] for j in curl(f"{url}/jobs")] == [job_id]
    assert [j["job_id"] for j in curl(f"{url}/jobs?status=completed&limit=10")] == [job_id]
    assert curl("-X", "DELETE", f"{url}/jobs/{job_id}")["detail"]
