"""
What tests of repository scans share: repositories served on loopback (git_server.py), a server that
may check them out, engines of ours, and how to wait for a scan.

    git          GitServer of the whole run; lab.repo(files) makes a repository of it
    lab          Lab: a server, its policy, its secrets directory; lab.scan(repo) gives a Scan
    fresh_lab    fresh_lab(env=..., ...) makes more of them, with settings of their own

No name is looked up: hosts are 127.0.0.1 and localhost, and whatever else is submitted goes to a
server without git (env=NO_GIT).
"""

import itertools
import json
import os
import subprocess
import uuid

import pytest

from conftest import TERMINAL, _Factory, _new_dir, wait_until
from git_server import GitServer, Repo

NO_GIT = {"SCANPOD_TOOL_GIT": "/nonexistent/git"}

# 0 critical, and at least one high of `rules` whatever else is installed.
SECRET_LINE = 'aws_key = "AKIA' + 'Z7QK3MXW5TNB2VRD"\n'
C_FILE = (
    "#include <string.h>\nvoid f(char *a)\n{\n    char b[10];\n    strcpy(b, a);\n"
    "    strcat(b, a);\n}\n"
)
FILES = {"src/a.c": C_FILE, "conf/app.py": SECRET_LINE, "README.md": "Nothing.\n"}

# A declared engine: one finding for each line with the word FLAW in it, unless its first argument
# says that it does something else.
ENGINE = r'''#!/usr/bin/python3
import json, os, signal, sys, time
mode, files = sys.argv[1], sys.argv[2:]
mode, _, what = mode.partition(":")
if mode == "sleep":
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(100)
            os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(what or 100))
if mode == "wait":
    time.sleep(float(what))
if mode == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if mode == "exit":
    print("no luck today", file=sys.stderr)
    sys.exit(int(what))
if mode == "garbage":
    sys.stdout.buffer.write(b"\x00\xff{]" * 1000)
    sys.exit(0)
if mode == "silent":
    sys.exit(0)
results = []
for name in files:
    for n, line in enumerate(open(name, encoding="utf-8", errors="replace"), 1):
        for word in line.split():
            if word.startswith("FLAW"):
                level = {"FLAWc": "9.5", "FLAWh": "8.0", "FLAWm": "5.0", "FLAWl": "2.0"}
                score = level.get(word[:5], "8.0")
                results.append({"ruleId": "R" + score, "level": "error",
                    "message": {"text": "a flaw: " + word},
                    "locations": [{"physicalLocation": {"artifactLocation": {"uri": name},
                                                        "region": {"startLine": n}}}]})
rules = [{"id": "R" + s, "properties": {"security-severity": s, "tags": ["external/cwe/cwe-78"]}}
         for s in ("9.5", "8.0", "5.0", "2.0")]
doc = json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "flaws",
                  "rules": rules}}, "results": results}]})
if mode == "cut":
    doc = doc[: len(doc) // 2]
sys.stdout.write(doc)
'''
MODES = ("ok", "sleep", "crash", "exit:3", "garbage", "silent", "cut", "wait:1")


def engine_name(mode):
    return "lab-" + mode.replace(":", "-")


def engines_file(folder):
    """Engines lab-ok, lab-sleep, ...: one a mode. None of them runs unless it is named."""
    program = folder / "lab-engine"
    program.write_text(ENGINE)
    program.chmod(0o755)
    rows = "".join(
        f"  - name: {engine_name(m)}\n    program: {program}\n"
        f'    arguments: ["{m}", "{{files}}"]\n    languages: [any]\n'
        for m in MODES
    )
    path = folder / "engines.yaml"
    path.write_text("version: 1\nengines:\n" + rows)
    return path


def text_of(files):
    return {
        name: text.encode() if isinstance(text, str) else text for name, text in files.items()
    }


class LabRepo:
    """A repository of `git`: .name .url .push(files, branch) .head"""

    def __init__(self, git, name):
        self.git_server, self.name = git, name
        self.bare = Repo(git.root / name)
        self.head = {}

    @property
    def url(self):
        return self.at("git")

    def at(self, mode):
        """Its URL by one of the server's ways of being odd."""
        return self.git_server.url(f"{mode}/{self.name}")

    def push(self, files, branch="main"):
        """The branch has these files and no others from now on; gives the commit."""
        tree = self.bare.files(text_of(files))
        self.head[branch] = self.bare.commit(tree, branch, self.head.get(branch))
        return self.head[branch]


class Scan:
    """A scan that has been submitted: .id .wait() .view() .findings(**filter)"""

    def __init__(self, server, scan_id):
        self.server, self.id = server, scan_id
        self.path = f"/api/v1/repo-scans/{scan_id}"

    def view(self):
        r = self.server.get(self.path)
        assert r.status_code == 200, r.text
        return r.json()

    def wait(self, seconds=60):
        """The scan once its job has ended."""
        r = self.server.get(f"{self.path}?wait=30", timeout=seconds)
        assert r.status_code == 200, r.text
        if r.json()["job"]["state"] in TERMINAL:
            return r.json()
        wait_until(lambda: self.view()["job"]["state"] in TERMINAL, seconds, "the scan's end")
        return self.view()

    def done(self, seconds=60):
        """The same, and it went well."""
        scan = self.wait(seconds)
        assert scan["job"]["state"] == "completed", scan["job"]
        return scan

    def running(self):
        wait_until(lambda: self.view()["job"]["state"] == "running", 20, "the scan to run")
        return self

    def findings(self, **query):
        r = self.server.get(f"{self.path}/findings", params={"limit": 1000, **query})
        assert r.status_code == 200, r.text
        return r.json()["items"]

    def events(self, until="job.state completed", seconds=20):
        """[(type, data)] of its stream, up to the first that is `until`: a type and a state."""
        kind, _, state = until.partition(" ")
        got, event = [], None
        r = self.server.get(f"/api/v1/events?after=0&job={self.id}", stream=True, timeout=seconds)
        with r:
            for line in r.iter_lines(decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event:
                    got.append((event, json.loads(value)))
                    if event == kind and (not state or got[-1][1].get("state") == state):
                        return got
        raise AssertionError(f"no {until} in {got}")


class Lab:
    """A server that may scan what `git` serves."""

    def __init__(self, git, make, folder, env=None, policy=None, secrets=None, start=True, **more):
        self.git, self.folder = git, folder
        self.policy_path = folder / "policy.yaml"
        self.policy_path.write_text(policy or policy_of(git))
        self.policy_path.chmod(0o644)
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.secrets.chmod(0o755)
        for name, value in (secrets or {}).items():
            self.secret(name, value)
        settings = {
            "SCANPOD_REPO_CA_FILE": git.cert,
            "SCANPOD_SECRETS_DIR": self.secrets,
            "SCANPOD_ENGINES_FILE": engines_file(folder),
            "SCANPOD_RETRIES": "0",
            **(env or {}),
        }
        args = ["--scope", self.policy_path, *more.pop("args", ())]
        self.server = make(env=settings, args=args, start=start, **more)
        if start and "--transport" not in args:
            wait_until(self.settled, 30, "the engines to be known")

    def settled(self):
        """Before, scans are put off for a moment."""
        engines = self.server.get("/api/v1/engines").json()["items"]
        return all(e["available"] or e["why"] for e in engines)

    def secret(self, name, value):
        path = self.secrets / name
        path.write_text(value)
        path.chmod(0o600)

    def repo(self, files=None, branch="main"):
        return new_repo(self.git, files, branch)

    # ---- scans

    def post(self, repo, key=..., headers=None, **body):
        """The answer to the request; engines are those that take no time, unless it says so."""
        url = repo.url if isinstance(repo, LabRepo) else repo
        body = {"url": url, "engines": ["lab-ok"], **body}
        body = {name: value for name, value in body.items() if value is not None}
        return self.server.post("/api/v1/repo-scans", json=body, key=key, headers=headers)

    def submit(self, repo, **body):
        r = self.post(repo, **body)
        assert r.status_code == 202, f"{r.status_code} {r.text}"
        return Scan(self.server, r.json()["job"]["id"])

    def scan(self, repo, **body):
        """A scan that went well."""
        scan = self.submit(repo, **body)
        scan.done()
        return scan

    def failed(self, repo, **body):
        """The job of a scan that did not."""
        scan = self.submit(repo, **body).wait()
        assert scan["job"]["state"] == "failed", scan["job"]
        return scan["job"]

    def key(self, name, scopes, **more):
        r = self.server.post("/api/v1/keys", json={"name": name, "scopes": scopes, **more})
        assert r.status_code == 201, r.text
        return r.json()["key"]

    def audit(self, action):
        items = self.server.get("/api/v1/audit?limit=1000").json()["items"]
        return [x for x in items if x["action"] == action]


def policy_of(git, more=""):
    rows = "".join(
        f"  - {{host: {host}, port: {port}, within: [127.0.0.1]}}\n"
        for host in ("127.0.0.1", "localhost")
        for port in (git.port, git.elsewhere_port)
    )
    return (
        "version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8, note: here}\n"
        f"repositories:\n{rows}{more}"
    )


_names = itertools.count()


def new_repo(git, files=None, branch="main"):
    repo = LabRepo(git, f"r{next(_names)}-{uuid.uuid4().hex[:8]}")
    if files is not None:
        repo.push(files, branch)
    return repo


@pytest.fixture(scope="session")
def git(_session_dir):
    folder = _new_dir(_session_dir, "git")
    root = folder / "repositories"
    root.mkdir()
    root.chmod(0o755)
    server = GitServer(root, folder)
    server.cert.chmod(0o644)
    yield server
    server.close()


@pytest.fixture(scope="module")
def lab(scanpod_bin, _session_dir, fake_nmap, git):
    """One for all tests of a module, which change nothing but repositories of their own."""
    need_nest(scanpod_bin)
    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield Lab(git, factory, _new_dir(_session_dir, "lab"))
    factory.finish()


@pytest.fixture
def fresh_lab(make_server, git, workdir, scanpod_bin):
    need_nest(scanpod_bin)

    def make(**more):
        return Lab(git, make_server, _new_dir(workdir, "lab"), **more)

    return make


def need_nest(scanpod_bin):
    """Skips where user namespaces cannot be nested, unless they must be."""
    program = scanpod_bin.parent / "tests/tools/nest_run"
    if os.environ.get("SCANPOD_MUST_SANDBOX") == "1" or not program.exists():
        return
    done = subprocess.run(["unshare", "-Ur", "unshare", "-Ur", "true"], capture_output=True)
    if done.returncode != 0:
        pytest.skip("user namespaces cannot be nested here")


__all__ = [
    "C_FILE", "FILES", "NO_GIT", "SECRET_LINE", "Lab", "LabRepo", "Scan", "engine_name",
    "fresh_lab", "git", "lab", "new_repo", "policy_of",
]  # fmt: skip
