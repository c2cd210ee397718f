"""`scanpod repo` and `scanpod finding`: by a server, or here, with the exit statuses that gates need."""

import json
import re
import subprocess

import pytest

from repo_lab import NO_GIT, SECRET_LINE, fresh_lab, git, lab

pytestmark = pytest.mark.seconds(120)
_ = (fresh_lab, git, lab)

OK, FOUND, USAGE, SCAN = 0, 1, 2, 3


@pytest.fixture
def tree(workdir):
    path = workdir / "project"
    (path / "src").mkdir(parents=True)
    (path / "src" / "app.py").write_text(SECRET_LINE)
    (path / "README.md").write_text("Nothing.\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def here(scanpod, workdir):
    """here(*args): `scanpod repo` without a server."""

    def run(*args, env=None, **more):
        return scanpod("repo", *args, env={"SCANPOD_DATA_DIR": workdir / "none", **(env or {})}, **more)

    return run


def commit(tree):
    def git_(*args):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *args],
                       cwd=tree, check=True, capture_output=True)  # fmt: skip

    if not (tree / ".git").exists():
        git_("init", "-q", "--initial-branch=main")
    git_("add", "-A")
    git_("commit", "-q", "-m", "a commit")
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, check=True, capture_output=True,
                          text=True).stdout.strip()  # fmt: skip


# ---------------------------------------------------------------- by a server


@pytest.mark.smoke
def test_a_repository_is_scanned_by_the_server_and_shown(scanpod, lab):
    repo = lab.repo({"a.c": "// FLAWh one\n", "b.c": "// FLAWm two\n"})
    done = scanpod("repo", repo.url, "-e", "lab-ok", server=lab.server)
    assert done.returncode == OK, done.stderr
    assert "a.c:1" in done.stdout and "b.c:1" in done.stdout and "high" in done.stdout.lower()


@pytest.mark.parametrize(
    "files, args, status",
    [
        ({"a.c": "// FLAWh\n"}, ["--fail-on", "high"], FOUND),
        ({"a.c": "// FLAWh\n"}, ["--fail-on", "critical"], OK),
        ({"a.c": "// FLAWh\n"}, [], OK),
        ({"a.c": "int a;\n"}, ["--fail-on", "info"], OK),
        ({"a.c": "// FLAWh\n"}, ["--fail-on", "high", "-o", "sarif"], FOUND),
        ({"a.c": "// FLAWh\n"}, ["--fail-on", "high", "-o", "json"], FOUND),
        ({"a.c": "int a;\n"}, ["--fail-on", "high", "-e", "lab-ok,lab-cut"], SCAN),
        ({"a.c": "// FLAWh\n"}, ["--fail-on", "high", "-e", "lab-ok,lab-cut"], FOUND),
        ({"a.c": "// FLAWh\n"}, ["-e", "lab-cut"], SCAN),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_the_exit_status_is_the_gates(scanpod, lab, files, args, status):
    repo = lab.repo(files)
    engines = [] if "-e" in args else ["-e", "lab-ok"]
    done = scanpod("repo", repo.url, *engines, *args, server=lab.server)
    assert done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}"


def test_a_gate_looks_at_what_is_new_unless_it_is_to_look_at_all(scanpod, lab):
    repo = lab.repo({"a.c": "// FLAWh one\n"})
    run = lambda *a: scanpod("repo", repo.url, "-e", "lab-ok", "--fail-on", "high", *a,
                             server=lab.server).returncode  # fmt: skip
    assert run() == FOUND
    assert run() == OK, "it was known before"
    assert run("--all") == FOUND
    assert run("--baseline", "none") == FOUND
    (f,) = lab.server.get("/api/v1/findings", params={"repository": repo.url}).json()["items"]
    done = scanpod("finding", "triage", f["id"], "accepted_risk", "--reason", "so be it", server=lab.server)
    assert done.returncode == OK, done.stderr
    assert run("--all") == OK, "it was decided about"


@pytest.mark.parametrize("name", ["json", "ndjson", "csv", "sarif", "markdown", "html"])
def test_every_format_is_to_be_had(scanpod, lab, name):
    repo = lab.repo({"a.c": "// FLAWh one\n"})
    done = scanpod("repo", repo.url, "-e", "lab-ok", "-o", name, server=lab.server)
    assert done.returncode == OK, done.stderr
    assert "a.c" in done.stdout
    if name == "json":
        got = json.loads(done.stdout)
        assert got["counts"]["high"] == 1 and got["findings"][0]["path"] == "a.c"
    elif name == "ndjson":
        assert [json.loads(x)["path"] for x in done.stdout.splitlines()] == ["a.c"]
    elif name == "sarif":
        assert len(json.loads(done.stdout)["runs"][0]["results"]) == 1


def test_a_scan_can_be_left_alone_and_looked_at_later(scanpod, lab):
    repo = lab.repo({"a.c": "// FLAWh one\n"})
    done = scanpod("repo", repo.url, "-e", "lab-ok", "--detach", server=lab.server)
    assert done.returncode == OK and re.fullmatch(r"[0-9a-f]{32}\n", done.stdout)
    lab.server.get(f"/api/v1/repo-scans/{done.stdout.strip()}?wait=30")
    done = scanpod("job", "show", done.stdout.strip(), server=lab.server)
    assert done.returncode == OK and "completed" in done.stdout


def test_every_flag_reaches_the_request(scanpod, fresh_lab):
    lab = fresh_lab(env=NO_GIT, policy=policy_of_one())
    done = scanpod(
        "repo", "https://127.0.0.1:1/a/b", "--detach", "--ref", "topic", "--commit", "a" * 40,
        "--subdir", "src", "--base", "v1", "--baseline", "none", "--engines", "rules,lab-ok",
        "--fail-on", "high", "--timeout", "99", server=lab.server,
    )  # fmt: skip
    assert done.returncode == OK, done.stderr
    view = lab.server.get(f"/api/v1/repo-scans/{done.stdout.strip()}").json()
    assert view["request"] == {
        "url": "https://127.0.0.1:1/a/b", "branch": "topic", "commit": "a" * 40, "subdir": "src",
        "base": "v1", "baseline": "none", "engines": ["rules", "lab-ok"], "fail_on": "high",
    }  # fmt: skip
    assert view["job"]["timeout"] == 99


def policy_of_one():
    return ("version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8, note: here}\n"
            "repositories:\n  - {host: 127.0.0.1, port: 1}\n")  # fmt: skip


@pytest.mark.parametrize(
    "args, word",
    [
        (["--fail-on", "dire"], "--fail-on"),
        (["--max-turns", "0"], "--max-turns"),
        (["--confirm", "9"], "--confirm"),
        (["--max-budget-usd", "much"], "--max-budget-usd"),
        (["--timeout", "x"], "--timeout"),
        (["--wait-timeout", "x"], "--wait-timeout"),
        (["--ref", "--upload-pack=x"], ""),
        (["--ref", "a b"], "branch"),
        (["--colour"], "colour"),
        (["-o", "xml"], "xml"),
        (["-e", "nonesuch"], "nonesuch"),
    ],
)
def test_what_is_wrong_on_the_line_is_said(scanpod, lab, args, word):
    done = scanpod("repo", "https://127.0.0.1:%d/git/x" % lab.git.port, *args, server=lab.server)
    assert done.returncode == USAGE, f"{done.returncode} {done.stderr}"
    assert word in done.stderr


def test_a_scan_that_fails_says_why(scanpod, lab):
    done = scanpod("repo", lab.repo().url, "-e", "lab-ok", server=lab.server)
    assert done.returncode == SCAN and "empty" in done.stderr
    done = scanpod("repo", "https://127.0.0.1/a/b", "-e", "lab-ok", server=lab.server)
    assert done.returncode not in (OK, FOUND, SCAN) and "repositor" in done.stderr


# ---------------------------------------------------------------- findings


def test_findings_are_listed_shown_and_decided_about(scanpod, lab):
    repo = lab.repo({"a.c": "// FLAWh one\n", "b.c": "// FLAWm two\n"})
    lab.scan(repo)
    listed = scanpod("finding", "list", "--repository", repo.url, server=lab.server)
    assert listed.returncode == OK and "a.c:1" in listed.stdout and "b.c:1" in listed.stdout
    only = scanpod("finding", "list", "--repository", repo.url, "--severity", "high", "-o", "json",
                   server=lab.server)  # fmt: skip
    (f,) = json.loads(only.stdout)
    assert f["path"] == "a.c"
    shown = scanpod("finding", "show", f["id"], server=lab.server)
    assert shown.returncode == OK and "FLAWh" in shown.stdout and f["id"] in shown.stdout
    bad = scanpod("finding", "triage", f["id"], "false_positive", server=lab.server)
    assert bad.returncode == USAGE and "reason" in bad.stderr
    good = scanpod("finding", "triage", f["id"], "false_positive", "--reason", "a test",
                   "--until", "2999-01-01", server=lab.server)  # fmt: skip
    assert good.returncode == OK and "a test" in good.stdout
    gone = scanpod("finding", "list", "--repository", repo.url, "--triage", "false_positive", "-o",
                   "ndjson", server=lab.server)  # fmt: skip
    assert [json.loads(x)["id"] for x in gone.stdout.splitlines()] == [f["id"]]
    repo.push({"b.c": "// FLAWm two\n"})
    lab.scan(repo)
    fixed = scanpod("finding", "list", "--repository", repo.url, "--fixed", "-o", "json", server=lab.server)
    assert [x["path"] for x in json.loads(fixed.stdout)] == ["a.c"]
    none = scanpod("finding", "show", "0" * 32, server=lab.server)
    assert none.returncode != OK and "no such finding" in none.stderr


# ---------------------------------------------------------------- here


def test_a_directory_is_scanned_without_a_server(here, tree):
    done = here(tree, "-e", "rules")
    assert done.returncode == OK, done.stderr
    assert "src/app.py:1" in done.stdout
    gate = here(tree, "-e", "rules", "--fail-on", "high", "-o", "sarif")
    assert gate.returncode == FOUND
    assert json.loads(gate.stdout)["runs"][0]["results"]
    assert "src/app.py" in gate.stderr
    (tree / "src" / "app.py").write_text("nothing = 1\n")
    assert here(tree, "-e", "rules", "--fail-on", "info").returncode == OK


def test_a_directorys_history_is_scanned_from_its_git(here, tree):
    first = commit(tree)
    (tree / "src" / "app.py").write_text("nothing = 1\n")
    commit(tree)
    (tree / "other.py").write_text(SECRET_LINE)  # not committed
    assert here(tree, "-e", "rules", "--ref", "main", "--fail-on", "high").returncode == OK
    old = here(tree, "-e", "rules", "--commit", first, "-o", "json")
    assert [f["path"] for f in json.loads(old.stdout)["findings"]] == ["src/app.py"]
    now = here(tree, "-e", "rules", "-o", "json")
    assert [f["path"] for f in json.loads(now.stdout)["findings"]] == ["other.py"]
    changed = here(tree, "-e", "rules", "--base", first, "-o", "json")
    assert json.loads(changed.stdout)["findings"] == []


def test_a_url_is_scanned_here_too(here, lab):
    repo = lab.repo({"a.py": SECRET_LINE})
    env = {"SCANPOD_SCOPE_FILE": lab.policy_path, "SCANPOD_REPO_CA_FILE": lab.git.cert}
    done = here(repo.url, "--local", "-e", "rules", "--fail-on", "high", env=env)
    assert done.returncode == FOUND, done.stderr
    assert "a.py:1" in done.stdout


def test_a_directory_with_odd_things_in_it_is_scanned(here, tree):
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "out").symlink_to("../..")
    subprocess.run(["mkfifo", tree / "fifo"], check=True)
    (tree / "a\nb\x1b[2J.py").write_text(SECRET_LINE)
    done = here(tree, "-e", "rules")
    assert done.returncode == OK, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "left out" in done.stderr
    assert "root:" not in done.stdout


def test_files_that_an_engine_could_not_read_are_told_and_pass_no_gate(here, tree):
    for name in ("a.c", "b.c"):
        (tree / name).write_text("LIST_OF(int) g(void);\n")
    (tree / "good.c").write_text("int h(void)\n{\n    return 1;\n}\n")
    done = here(tree, "-e", "cppcheck", "--fail-on", "low")
    assert done.returncode == SCAN, done.stderr
    assert re.search(r"cppcheck: 2 files not seen, the first a\.c$", done.stderr, re.M), done.stderr
    assert "not complete" in done.stderr
    (tree / "b.c").unlink()
    done = here(tree, "-e", "cppcheck")
    assert re.search(r"cppcheck: 1 file not seen, the first a\.c$", done.stderr, re.M), done.stderr
    assert here(tree, "-e", "flawfinder", "--fail-on", "low").returncode == OK


def test_an_interrupt_ends_a_scan_here_and_leaves_nothing(scanpod_bin, workdir, lab, tree):
    import signal

    from conftest import clean_env, descendants, proc_text, processes_of, wait_until

    env = clean_env(workdir, SCANPOD_ENGINES_FILE=lab.folder / "engines.yaml")
    p = subprocess.Popen([scanpod_bin, "repo", tree, "-e", "lab-sleep"], env=env, cwd=workdir,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    engines = lambda: [1 for pid, _ in descendants(p.pid)
                       if "lab-engine" in (proc_text(pid, "cmdline") or "")]  # fmt: skip
    wait_until(lambda: engines() or p.poll() is not None, 30, "the engine to run")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=30)
    assert p.returncode in (130, -signal.SIGINT)
    wait_until(lambda: not processes_of(workdir), 10, "the end of all of it")


def test_without_git_a_directory_is_scanned_and_its_history_not(here, tree):
    commit(tree)
    assert here(tree, "-e", "rules", env=NO_GIT).returncode == OK
    done = here(tree, "-e", "rules", "--ref", "main", env=NO_GIT)
    assert done.returncode not in (OK, FOUND) and "git" in done.stderr


