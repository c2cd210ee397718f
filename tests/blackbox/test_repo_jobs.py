"""
Repository scans at the commands and routes that all jobs have: what is about hosts is refused, and
what is about results has the findings.
"""

import json
import subprocess

import pytest

from repo_lab import FILES, fresh_lab, git, lab  # noqa: F401


@pytest.fixture(scope="module")
def scan(lab):  # noqa: F811
    return lab.scan(lab.repo(FILES), engines=["rules"])


@pytest.fixture
def sh(scanpod, lab):  # noqa: F811
    return lambda *args: scanpod(*args, server=lab.server)


def test_the_job_shows_what_was_scanned_by_whom_and_its_findings(scan, sh):
    done = sh("job", "show", scan.id)
    assert done.returncode == 0, done.stderr
    assert scan.view()["commit"] in done.stdout
    assert "rules " in done.stdout and "ok, 3 files" in done.stdout
    assert "hardcoded-secret" in done.stdout and "conf/app.py:1" in done.stdout
    assert "hosts" not in done.stdout


def test_to_watch_a_job_that_has_ended_gives_its_findings(scan, sh):
    done = sh("job", "watch", scan.id)
    assert done.returncode == 0, done.stderr
    assert "conf/app.py:1" in done.stdout
    assert "risk high" in done.stderr
    got = json.loads(sh("job", "watch", scan.id, "-o", "json").stdout)
    assert got["job"]["id"] == scan.id
    assert [f["path"] for f in got["findings"] if f["rule"] == "hardcoded-secret"]


def test_a_job_that_failed_says_so_and_has_no_table_of_hosts(lab, sh):  # noqa: F811
    job = lab.failed(lab.repo(FILES), branch="nope")
    shown = sh("job", "show", job["id"])
    assert shown.returncode == 0 and "no branch or tag 'nope'" in shown.stdout
    watched = sh("job", "watch", job["id"])
    assert watched.returncode == 3, watched.stderr
    assert "no branch or tag 'nope'" in watched.stderr and "HOST" not in watched.stdout


@pytest.mark.parametrize("command", ["show", "watch"])
def test_there_is_no_nmap_output_of_a_repository(scan, sh, command):
    done = sh("job", command, scan.id, "-o", "nmap")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no hosts" in done.stderr


def test_an_export_is_sarif_unless_it_is_named(scan, sh):
    assert json.loads(sh("export", scan.id).stdout)["version"] == "2.1.0"
    assert "conf/app.py" in sh("export", scan.id, "--format", "csv").stdout
    done = sh("export", scan.id, "--format", "nmap-xml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sarif" in done.stderr


def test_routes_about_hosts_refuse_repository_scans(lab, scan):  # noqa: F811
    r = lab.server.get(f"/api/v1/scans/{scan.id}/export?format=csv")
    assert r.status_code == 409 and "repo-scans" in r.json()["detail"]
    r = lab.server.get(f"/api/v1/diff?a={scan.id}&b={scan.id}")
    assert r.status_code == 422
    assert [x["pointer"] for x in r.json()["errors"]] == ["?a", "?b"]
    before = scan.findings()
    r = lab.server.post(f"/api/v1/scans/{scan.id}/reparse")
    assert r.status_code == 409 and "not rebuilt" in r.json()["detail"]
    assert scan.findings() == before


@pytest.mark.parametrize(
    "member, value",
    [("engines", ["nope"]), ("baseline", "0" * 32), ("credential", "nope")],
)
def test_a_name_that_is_not_there_is_told_with_its_member(lab, member, value):  # noqa: F811
    r = lab.post(lab.repo(FILES), **{member: value})
    assert r.status_code == 422
    assert [x["pointer"] for x in r.json()["errors"]] == [f"/{member}"], r.text


def test_an_export_can_be_imported_again(scan, sh, workdir):
    path = workdir / "out.sarif"
    assert sh("export", scan.id, "--file", str(path)).returncode == 0
    assert "startTimeUtc" in path.read_text()
    done = sh("import", str(path), "--repository", "https://127.0.0.1:9/again", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = ("path", "line", "severity", "confidence")
    facts = lambda items: sorted([f[name] for name in told] for f in items)  # noqa: E731
    assert facts(json.loads(done.stdout)["findings"]) == facts(scan.findings())


def test_many_results_are_imported(lab, sh, workdir):  # noqa: F811
    """So many that a sort needs memory of its own, which a parser gets without asking the kernel."""
    results = [
        {
            "ruleId": "r",
            "message": {"text": "m"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f"d/{n % 7}.c"},
                        "region": {"startLine": n + 1},
                    }
                }
            ],
        }
        for n in range(3000)
    ]
    path = workdir / "many.sarif"
    runs = [{"tool": {"driver": {"name": "x"}}, "results": results}]
    path.write_text(json.dumps({"version": "2.1.0", "runs": runs}))
    done = sh("import", str(path), "--repository", "https://127.0.0.1:9/many", "-o", "ndjson")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3000


@pytest.mark.parametrize("path", ["/nonexistent/here", "./nowhere", "nowhere", "a\x1bb"])
def test_a_directory_that_is_not_there_is_told_as_one(sh, path):
    done = sh("repo", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no directory" in done.stderr and "\x1b" not in done.stderr


def test_a_mistake_in_the_operators_rules_is_told_at_the_start(scanpod_bin, workdir):
    rules = workdir / "rules.yaml"
    rules.write_text("rules:\n - id: x\n   nope: 1\n")
    argv = [scanpod_bin, "serve", "--data-dir", workdir / "data", "--rules-file", rules]
    argv += ["--listen", "127.0.0.1:1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"{rules}:3:4: unknown key 'nope' in a rule" in done.stderr
