"""
Secrets stay where they are: canaries are planted as a token for https, as an ssh key, as the key of
the model's API, and in a repository's files; after scans of all kinds nothing that the service
wrote, answered or shows of itself has them, in any form in which they travel.
"""

import base64
import json
import sqlite3
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

import git_server
from conftest import descendants, wait_until
from repo_lab import FILES, fresh_lab, git

pytestmark = pytest.mark.seconds(180)
_ = (fresh_lab, git)

API_KEY = "sk-ant-canary-4f9e2b7d1c8a6035"
TOKEN = git_server.SECRET
OTHER = "canary-wrong-token-81f3c0"
IN_FILES = "canary-in-files-5d2e9a77"
LINE = f'password = "{IN_FILES}"\ntoken = "{TOKEN}"\n'


def forms(secret):
    """How it may stand somewhere: as it is, in a URL, in base64 at each of three places."""
    raw = secret.encode()
    found = {raw, urllib.parse.quote(secret, safe="").encode()}
    for user in ("x-access-token", "me", ""):
        found.add(base64.b64encode(f"{user}:{secret}".encode()).rstrip(b"="))
    for pad in range(3):
        text = base64.b64encode(b"x" * pad + raw).rstrip(b"=")
        found.add(text[4:-3])
    return {f for f in found if len(f) >= 10}


class Watch(threading.Thread):
    """Looks at arguments and environments of all processes of a server while they run."""

    def __init__(self, server, needles):
        super().__init__(daemon=True)
        self.server, self.needles = server, needles
        self.stop, self.seen, self.hits = threading.Event(), set(), []

    def run(self):
        while not self.stop.is_set():
            for pid, _ in [*descendants(self.server.pid), (self.server.pid, 0)]:
                for name in ("cmdline", "environ"):
                    try:
                        data = Path(f"/proc/{pid}/{name}").read_bytes()
                    except OSError:
                        continue
                    self.seen.add(data.split(b"\0")[0])
                    self.hits += [(name, data[:200]) for n in self.needles if n in data]
            time.sleep(0.002)


def database(path):
    """Every table as text, and every blob in it unpacked."""
    with sqlite3.connect(path) as db:
        db.text_factory = bytes
        parts = []
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            try:
                rows = db.execute(f'SELECT * FROM "{name.decode()}"').fetchall()
            except sqlite3.Error:
                continue
            for row in rows:
                for value in row:
                    if isinstance(value, (bytes, str)):
                        data = value if isinstance(value, bytes) else value.encode()
                        parts += [data, unpacked(data)]
    return b"\n".join(parts)


def unpacked(data):
    if data[:4] != b"\x28\xb5\x2f\xfd":
        return b""
    return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True).stdout


def places(lab, scans, scanpod):
    """{where: bytes} of all that is left of the scans and can be asked about them."""
    srv = lab.server
    found = {}
    paths = ["/api/v1/repo-scans", "/api/v1/findings", "/api/v1/repositories", "/api/v1/audit",
             "/api/v1/capabilities", "/api/v1/engines", "/jobs", "/metrics", "/api/v1/scans",
             "/api/v1/dead-letters"]  # fmt: skip
    for scan in scans:
        paths += [scan.path, f"{scan.path}/findings?state=new,unchanged,updated,reopened,fixed,unknown",
                  f"/api/v1/scans/{scan.id}", f"/api/v1/scans/{scan.id}/raw",
                  f"/api/v1/scans/{scan.id}/tasks", f"/jobs/{scan.id}"]  # fmt: skip
        paths += [f"{scan.path}/export?format={f}"
                  for f in ("sarif", "json", "ndjson", "csv", "markdown", "html")]  # fmt: skip
        found[f"events of {scan.id}"] = json.dumps(
            scan.events("job.state " + scan.view()["job"]["state"])
        ).encode()
        for args in (("job", "show", scan.id), ("job", "list"), ("finding", "list")):
            done = scanpod(*args, server=srv)
            found["cli " + " ".join(args)] = (done.stdout + done.stderr).encode()
    for path in paths:
        r = srv.get(path)
        found[path] = r.content + repr(r.headers).encode()
    assert srv.stop() == 0
    found["log"] = srv.log().encode()
    for path in srv.data_dir.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path)] = data + unpacked(data)
            if path.suffix == ".db":
                found[f"tables of {path}"] = database(path)
    assert any(k.startswith("tables of") for k in found)
    return found


def leaks(found, secrets):
    return [(where, name) for where, data in found.items() for name, secret in secrets.items()
            for f in forms(secret) if f in data]  # fmt: skip


def body(key):
    """A line of a private key that is in no other."""
    return key.splitlines()[2]


def test_no_canary_is_anywhere_but_where_it_was_put(fresh_lab, scanpod, git, workdir):
    pytest.importorskip("paramiko")
    ssh = git_server.SshServer(git.root, workdir)
    git_key, wrong_key = (ssh.private(k) for k in (ssh.client_key, ssh.other_key))
    secrets = {"https-token": TOKEN, "wrong-token": OTHER, "anthropic-api-key": API_KEY,
               "in-files": IN_FILES, "deploy-key": git_key, "wrong-key": wrong_key}  # fmt: skip
    lab = fresh_lab(secrets=secrets, start=False)
    lab.policy_path.write_text(
        lab.policy_path.read_text()
        + f"  - {{host: 127.0.0.1, port: {ssh.port}, within: [127.0.0.1]}}\n"
    )
    known = lab.folder / "known_hosts"
    known.write_text(ssh.known_hosts())
    claude = lab.folder / "claude"
    claude.write_text('#!/bin/sh\ncase "$*" in *--version*) echo "2.1.197 (Claude Code)"; exit 0;;'
                      " esac\nenv\nexit 1\n")  # fmt: skip
    claude.chmod(0o755)
    lab.server.env.update({
        "SCANPOD_LOG_LEVEL": "DEBUG", "SCANPOD_REPO_KNOWN_HOSTS": str(known),
        "SCANPOD_ENGINE_CLAUDE": str(claude), "SCANPOD_AGENT_WITHIN": "127.0.0.1",
        "SCANPOD_AGENT_URL": f"http://127.0.0.1:{lab.git.elsewhere_port}",
    })  # fmt: skip
    lab.server.start()
    needles = set().union(*(forms(s) for s in (TOKEN, OTHER, API_KEY, IN_FILES)),
                          {body(k).encode() for k in (git_key, wrong_key)})  # fmt: skip
    watch = Watch(lab.server, needles)
    watch.start()
    repo = lab.repo({**FILES, "leak.py": LINE, "leak.sh": f"export A={IN_FILES}\n"})
    with_token = {"credential": "https-token", "username": git_server.USER}
    scans = [
        lab.submit(repo.at("private"), engines=None, **with_token),
        lab.submit(repo.at("private"), credential="wrong-token"),
        lab.submit(repo.at("forbidden"), **with_token),
        lab.submit(repo.at("nothere"), **with_token),
        lab.submit(repo.at("tofile"), **with_token),
        lab.submit(repo.at("moved"), **with_token),
        lab.submit(repo, engines=["rules", "lab-exit-3", "lab-garbage"]),
        lab.submit(f"ssh://git@127.0.0.1:{ssh.port}/{repo.name}", credential="wrong-key"),
        lab.submit(f"ssh://git@127.0.0.1:{ssh.port}/{repo.name}", credential="deploy-key"),
        lab.submit(repo, engines=["rules", "claude"]),
    ]
    ends = [scan.wait()["job"] for scan in scans]
    watch.stop.set()
    watch.join()
    assert ends[0]["state"] == "completed", ends[0]
    assert [e["state"] for e in ends[1:6]] == ["failed"] * 5
    assert [e["state"] for e in ends[7:9]] == ["failed", "completed"], ends[7:9]
    assert any(f["path"].startswith("leak") for f in scans[0].findings()), "the line is reported"
    assert len(watch.seen) > 5 and not watch.hits, watch.hits[:3]
    found = places(lab, scans, scanpod)
    assert len(found) > 60
    secrets = {**secrets, "deploy-key": body(git_key), "wrong-key": body(wrong_key)}
    assert not leaks(found, secrets), leaks(found, secrets)[:10]
    assert (lab.secrets / "https-token").read_text() == TOKEN


def test_what_a_git_server_echoes_is_redacted(fresh_lab, scanpod, monkeypatch):
    def echo(self, rest, query, body):
        said = self.headers.get("Authorization", "none")
        word = base64.b64decode(said.split()[-1]).decode() if " " in said else ""
        text = f"remote: {said} {word}\n".encode()
        return self.plain(403, text, [("Content-Type", "text/plain"), ("X-Echo", said)])

    monkeypatch.setattr(git_server.Handler, "do_echo", echo, raising=False)
    lab = fresh_lab(secrets={"https-token": TOKEN}, env={"SCANPOD_LOG_LEVEL": "DEBUG"})
    scan = lab.submit(lab.repo(FILES).at("echo"), credential="https-token")
    assert scan.wait()["job"]["state"] == "failed"
    found = places(lab, [scan], scanpod)
    assert not leaks(found, {"https-token": TOKEN})


def test_a_credential_goes_to_its_own_place_only(fresh_lab):
    lab = fresh_lab(secrets={"https-token": TOKEN})
    seen = []
    original = git_server.Handler.serve

    def serve(self):
        seen.append((self.path, self.headers.get("Authorization")))
        return original(self)

    git_server.Handler.do_GET = git_server.Handler.do_POST = serve
    try:
        repo = lab.repo(FILES)
        lab.scan(repo.at("private"), credential="https-token")
        assert seen and all(auth for _, auth in seen)
        seen.clear()
        lab.scan(repo)
        assert seen and not any(auth for _, auth in seen)
    finally:
        git_server.Handler.do_GET = git_server.Handler.do_POST = original


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_secret_that_others_can_read_stops_the_start(fresh_lab, mode):
    from conftest import StartFailed

    lab = fresh_lab(secrets={"https-token": TOKEN}, start=False)
    (lab.secrets / "https-token").chmod(mode)
    with pytest.raises(StartFailed) as failed:
        lab.server.start()
    assert "https-token" in failed.value.log and TOKEN not in failed.value.log


def test_secrets_of_the_environment_are_used_and_not_kept_there(fresh_lab):
    lab = fresh_lab(env={"SCANPOD_SECRET_ENV_TOKEN": TOKEN})
    scan = lab.submit(lab.repo(FILES).at("private"), credential="env-token")
    wait_until(lambda: scan.view()["job"]["started_at"], 20, "the scan to run")
    for pid, _ in [*descendants(lab.server.pid)]:
        try:
            assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            pass
    scan.done()
