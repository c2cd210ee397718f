"""
Repositories that attack: nothing of them runs, nothing leaves, nothing is left, and what is weak in
them is found all the same.

The commands in them would leave files in places that boxes can and cannot see, connect to listeners
on loopback, and stay for two seconds with a word in their arguments that a watch over all processes
below the server looks for. One test lets them run, to show that they would be seen.
"""

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import hostile_repo as hostile
import sarif_check
from conftest import _new_dir, descendants, wait_until
from git_server import SECRET, USER
from hostile_repo import (
    BREAKERS, MARKED, NAME_TEXT, NAMES, WEAK, WEAK_C, Traps, Watch, import_tree, put_tree,
)  # fmt: skip
from repo_lab import fresh_lab, git, lab, new_repo

pytestmark = pytest.mark.seconds(170)
_ = (fresh_lab, git, lab)

ENGINES = ("flawfinder", "cppcheck", "bandit", "shellcheck", "rules")
# What a scan is made of; python3 is two of the engines.
OWN = re.compile(
    r"scanpod.*|sp-.*|git.*|flawfinder|cppcheck|bandit|shellcheck.*|python3.*|lab-engine|ghc_.*|box.*|claude|slirp4netns|nmap.*|masscan|zmap"
)


@pytest.fixture(scope="module")
def traps(_session_dir, request):
    made = Traps(_new_dir(_session_dir, "traps"), f"{os.getpid()}x{time.monotonic_ns() % 10**9}")
    yield made
    made.close()


@pytest.fixture
def quiet(traps):
    """Nothing was sprung before, and nothing is after."""
    traps.reset()
    yield traps
    time.sleep(0.05)
    assert traps.sprung() == []


def need_engines():
    missing = [e for e in ENGINES[:-1] if not shutil.which(e)]
    if missing and os.environ.get("SCANPOD_MUST_SANDBOX") != "1":
        pytest.skip(f"not installed: {', '.join(missing)}")
    assert not missing


@pytest.fixture(scope="module")
def calm(lab):
    """What is found in the weak files when they are alone."""
    need_engines()
    repo = import_tree(new_repo(lab.git), WEAK)
    scan = lab.submit(repo, engines=None)
    assert scan.done(90)["complete"] is True
    found = of_weak(scan.findings())
    assert {e for _, _, _, names in found for e in names} == set(ENGINES)
    return found


def of_weak(findings, top="known/"):
    """Without their names of engines: two may have found a thing, and one of them died."""
    return {
        (f["path"], f["line"], f["rule"], tuple(sorted(e["name"] for e in f["engines"])))
        for f in findings
        if f["path"].startswith(top)
    }


def watched(lab, traps, repo, seconds=120, **body):
    """A scan, and what ran meanwhile."""
    with Watch(lab.server.pid) as w:
        scan = lab.submit(repo, **body)
        view = scan.wait(seconds)
    assert w.with_word(traps.word) == []
    assert [n for n in w.names if not OWN.fullmatch(n)] == []
    return scan, view


def engines_of(view):
    return {e["name"]: e for e in view["job"]["run"]["engines"]}


def skipped(view):
    return {s["path"]: s["why"] for s in view["job"]["run"]["files"]["skipped"]}


# ---------------------------------------------------------------- the traps are traps


def test_what_the_repositories_try_would_be_seen(traps, workdir):
    traps.reset()
    put_tree(workdir, hostile.configuration(traps))
    with Watch(os.getpid()) as w:
        for name in ("trap.sh", "hooks/post-checkout"):
            subprocess.run(["sh", name], cwd=workdir, env={"PATH": os.environ["PATH"]})
        # `python3 -m` in a hostile tree is what engines must never be started with
        subprocess.run(["python3", "-m", "json"], cwd=workdir, capture_output=True)
    assert w.with_word(traps.word)
    wait_until(lambda: traps.heard, 5, "a connection")
    assert {str(p) for p in traps.places} <= set(traps.sprung())
    for p in (workdir / traps.word, workdir / "src"):
        p.unlink(missing_ok=True)
    traps.reset()


# ---------------------------------------------------------------- what would run


def test_no_configuration_of_a_repository_runs_or_silences_anything(lab, calm, quiet):
    repo = import_tree(new_repo(lab.git), {**WEAK, **hostile.configuration(quiet)}, modules=["sub"])
    before = len(lab.git.requests)
    scan, view = watched(lab, quiet, repo, engines=None)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    found = scan.findings()
    assert calm <= of_weak(found)
    assert skipped(view)["sub"].startswith("submodule")
    for name, engine in engines_of(view).items():
        assert engine["status"] == "ok" and engine["missed"] == [], (name, engine)
    assert view["job"]["run"]["assessment"] == "complete"
    told = {f["path"] for f in found if f["rule"] in ("agent-configuration", "prompt-injection")}
    assert told >= {".claude/settings.json", ".mcp.json", "CLAUDE.md"}
    asked = {path.split("?")[0] for _, path in lab.git.requests[before:] if repo.name in path}
    assert asked == {f"/git/{repo.name}/info/refs", f"/git/{repo.name}/git-upload-pack"}


def test_marks_in_the_source_are_told_and_not_obeyed(lab, quiet):
    need_engines()
    repo = import_tree(new_repo(lab.git), MARKED)
    scan, view = watched(lab, quiet, repo, engines=None)
    assert view["job"]["state"] == "completed"
    found = [f for f in scan.findings()]
    by = {(f["path"], f["line"]): f for f in found}
    engines = {e["name"] for f in found for e in f["engines"]}
    assert engines >= {"flawfinder", "cppcheck", "bandit", "rules"}, sorted(by)
    for place in (("marked/a.c", 9), ("marked/a.c", 15), ("marked/b.py", 8), ("marked/b.py", 9),
                  ("marked/c.sh", 3), ("marked/e.py", 1)):  # fmt: skip
        assert place in by, sorted(by)
        assert by[place].get("marked"), (place, by[place]["line_text"])


def test_local_directories_with_a_hostile_git_directory_run_nothing(scanpod, workdir, quiet):
    need_engines()
    tree = workdir / "tree"
    tree.mkdir()
    put_tree(tree, {**WEAK, **hostile.configuration(quiet)})
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}  # fmt: skip
    plain = workdir / "plain"
    put_tree(plain, WEAK)
    for args in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *args], cwd=plain, env=env, check=True)
    shutil.move(plain / ".git", tree / ".git")
    with open(tree / ".git/config", "a") as f:
        f.write((tree / ".gitconfig").read_text().replace("./trap.sh", f"{tree}/trap.sh"))
        f.write(f"[include]\n\tpath = {tree}/.gitconfig\n")
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/attributes").write_text("* filter=trap\n")
    shutil.rmtree(tree / ".git/hooks", ignore_errors=True)
    (tree / ".git/hooks").mkdir()
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change"):
        path = tree / ".git/hooks" / hook
        path.write_text(quiet.script)
        path.chmod(0o755)
    os.mkfifo(tree / "pipe.c")
    for name, target in (("link.c", "/etc/passwd"), ("self", "."), ("loop", "loop"),
                         ("up", "../../.."), ("env.c", "/proc/self/environ")):  # fmt: skip
        (tree / name).symlink_to(target)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tree / "s.c"))
    with open(tree / "sparse.c", "wb") as f:
        f.truncate(2 << 30)
    for more in ([], ["--ref", "main"]):
        with Watch(os.getpid()) as w:
            done = scanpod("repo", tree, "-o", "json", *more, timeout=120)
        assert done.returncode == 0, done.stderr
        assert w.with_word(quiet.word) == []
        doc = json.loads(done.stdout)
        assert {p for p, *_ in of_weak(doc["findings"])} == set(WEAK)
        assert "root:" not in done.stdout
        if not more:
            left = skipped(doc)
            assert {"pipe.c", "link.c", "self", "loop", "up", "env.c", "s.c", "sparse.c"} <= set(left)
            assert "sparse.c" in left and "larger" in left["sparse.c"]
    sock.close()


def test_git_directories_that_point_elsewhere_are_not_followed(scanpod, workdir, quiet):
    elsewhere = workdir / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.c").write_text(WEAK_C)
    for name, make in (
        ("file", lambda t: (t / ".git").write_text(f"gitdir: {elsewhere}\n")),
        ("link", lambda t: (t / ".git").symlink_to(elsewhere)),
    ):
        tree = workdir / name
        tree.mkdir()
        (tree / "a.c").write_text("int a;\n")
        make(tree)
        done = scanpod("repo", tree, "--ref", "main", timeout=60)
        assert done.returncode != 0 and "secret.c" not in done.stdout + done.stderr
        done = scanpod("repo", tree, "-o", "json", "-e", "rules", timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["job"]["run"]["files"]["total"] == 1


# ---------------------------------------------------------------- what lies outside of the tree


def test_links_out_of_the_tree_are_left_out_and_told(lab, calm, quiet):
    links = [
        ("etc", "/etc"), ("passwd.c", "/etc/passwd"), ("up", "../../../../.."), ("self", "."),
        ("loop", "loop"), ("a", "b"), ("b", "a"), ("environ.py", "/proc/self/environ"),
        ("root", "/proc/1/root"), ("fd", "/proc/self/fd/3"), ("dev.sh", "/dev/zero"),
        ("spec", "/tmp/spec"), ("long", "x" * 4000), ("nl", "a\nb"), ("esc\x1b[31m", "\x1b[2J"),
    ]  # fmt: skip
    repo = import_tree(new_repo(lab.git), WEAK, links=links)
    scan, view = watched(lab, quiet, repo, engines=None)
    assert view["job"]["state"] == "completed"
    assert of_weak(scan.findings()) == calm
    left = skipped(view)
    assert {n for n, _ in links if "\x1b" not in n} <= set(left)
    assert all("link" in why for why in left.values())
    assert "root:" not in json.dumps([view, scan.findings()])


def test_trees_that_git_would_not_make_are_refused_or_left_out(lab, quiet):
    """Written byte by byte: what no `git add` lets in."""

    def with_tree(make):
        repo = new_repo(lab.git)
        good = repo.bare.files({"a.txt": b"FLAWh here\n"})
        rows = [("100644", "a.txt", repo.bare.blob(b"FLAWh here\n"))]
        repo.bare.commit(repo.bare.tree(rows + make(repo.bare, good)))
        return repo

    def dot_git(b, good):
        hooks = b.files({"config": b"[core]\n\tfsmonitor = sh\n", "hooks/post-checkout": b"#!/bin/sh\n"})
        return [("40000", ".git", hooks)]

    cases = {
        "dot-git": dot_git,
        "case": lambda b, good: [("40000", ".GIT", good)],
        "ntfs": lambda b, good: [("40000", "git~1", good)],
        "dots": lambda b, good: [("40000", "..", good)],
        "dot": lambda b, good: [("40000", ".", good)],
        "slash": lambda b, good: [("100644", "../../../../tmp/out", b.blob(b"x"))],
        "absolute": lambda b, good: [("100644", "/tmp/src/abs", b.blob(b"x"))],
        "twice": lambda b, good: [("100644", "x", b.blob(b"1")), ("120000", "x", b.blob(b"/etc"))],
        "empty": lambda b, good: [("100644", "", b.blob(b"x"))],
        "modules": lambda b, good: [("120000", ".gitmodules", b.blob(b"/etc/passwd"))],
        "mode": lambda b, good: [("170000", "odd", b.blob(b"x"))],
        "missing": lambda b, good: [("100644", "gone", "1" * 40)],
    }
    scans = {}
    for name, make in cases.items():
        try:
            scans[name] = lab.submit(with_tree(make))
        except AssertionError as exc:  # git does not even hash it
            assert "raw" in str(exc) or "hash-object" in str(exc), exc
    assert len(scans) >= 9
    for name, scan in scans.items():
        view = scan.wait(60)
        state = view["job"]["state"]
        if state == "completed":
            assert {f["path"] for f in scan.findings()} == {"a.txt"}, name
        else:
            assert state == "failed" and view["job"]["error"], (name, view["job"])
    assert not os.path.exists("/tmp/out") and not os.path.exists("/tmp/src")


# ---------------------------------------------------------------- names


@pytest.fixture(scope="module")
def named(lab, traps):
    """One scan of files with names that mean something to somebody."""
    need_engines()
    files = {name: NAME_TEXT for name in NAMES}
    files["deep/" + "d/" * 40 + "x.c"] = NAME_TEXT
    repo = import_tree(new_repo(lab.git), files)
    scan, view = watched(lab, traps, repo, engines=None)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    return scan, view, len(files)


CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_files_of_any_name_are_read(named):
    scan, view, n = named
    assert view["job"]["run"]["files"]["total"] == n
    assert view["job"]["run"]["files"]["skipped"] == []
    found = [f for f in scan.findings() if f["line"] == 5]
    for engine in ("flawfinder", "cppcheck"):
        status = engines_of(view)[engine]
        assert status["status"] == "ok" and status["missed"] == [], status
    with_flawfinder = {
        f["path"] for f in found if any(e["name"] == "flawfinder" for e in f["engines"])
    }
    assert len(with_flawfinder) == n, sorted(with_flawfinder)
    assert all(f["verified"] for f in found)


def test_names_are_inert_on_terminals_and_in_logs(lab, named, scanpod):
    scan, view, n = named
    for args in (["finding", "list"], ["job", "show", scan.id]):
        done = scanpod(*args, server=lab.server)
        assert done.returncode == 0, done.stderr
        assert not CONTROLS.search(done.stdout + done.stderr), args
    odd = [f for f in scan.findings() if "\u202e" in f["path"] or "=cmd" in f["path"]]
    assert odd
    for f in odd:
        done = scanpod("finding", "show", f["id"], server=lab.server)
        assert done.returncode == 0 and not CONTROLS.search(done.stdout + done.stderr)
    assert not CONTROLS.search(lab.server.log())


def export(lab, scan, form):
    r = lab.server.get(f"{scan.path}/export?format={form}")
    assert r.status_code == 200, r.text
    return r


def test_names_are_inert_in_exports(lab, named):
    scan, view, n = named
    paths = {f["path"] for f in scan.findings()}
    rows = list(csv.reader(io.StringIO(export(lab, scan, "csv").text)))
    assert len(rows) > n
    for row in rows:
        for cell in row:
            assert not cell or cell[0] not in "=+-@\t\r" or re.fullmatch(r"-?[\d.]+", cell), row
    page = export(lab, scan, "html").text
    assert "<img" not in page and "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", page)
    assert html.escape("<img src=x onerror=alert(1)>.c") in page
    text = export(lab, scan, "markdown").text
    plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    assert "<img" not in plain and not re.search(r"(?<!\\)\]\(javascript", plain)
    for got in (page, text):
        assert not CONTROLS.search(got), CONTROLS.search(got)
    sarif = export(lab, scan, "sarif").json()
    assert sarif_check.problems(sarif) == []
    assert export(lab, scan, "json").json()
    assert len(paths) == n


# ---------------------------------------------------------------- what breaks engines


def test_files_that_break_engines_cost_only_themselves(lab, calm, quiet):
    repo = import_tree(new_repo(lab.git), {**WEAK, **BREAKERS, **hostile.archives()})
    scan, view = watched(lab, quiet, repo, engines=None, timeout=100)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    run = view["job"]["run"]
    found = scan.findings()
    assert calm <= of_weak(found)
    assert {"death.zip", "slip.tar.gz", "zeros.z"} <= set(skipped(view))
    engines = engines_of(view)
    # What it cannot read is told, and then the whole is not complete.
    lost = {m["path"] for e in engines.values() for m in e["missed"]}
    assert lost and lost <= set(BREAKERS), lost
    assert {"break/parens.py"} <= {m["path"] for m in engines["bandit"]["missed"]}
    assert run["assessment"] == "partial" and view["complete"] is False
    assert "root:" not in json.dumps([view, found])


def test_an_include_of_an_endless_device_costs_its_own_file(lab, quiet):
    files = {
        "known/weak.c": WEAK_C,
        "zero.c": '#include "/dev/zero"\nint a;\n',
        "macro.c": "#define A0 x x x x x x x x x x\n"
        + "".join(f"#define A{i} {f'A{i - 1} ' * 10}\n" for i in range(1, 12))
        + "int x = A11;\n",
    }
    repo = import_tree(new_repo(lab.git), files)
    scan, view = watched(lab, quiet, repo, engines=["cppcheck", "flawfinder"], timeout=30)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    assert {"flawfinder"} <= {e for *_, names in of_weak(scan.findings()) for e in names}
    if engines_of(view)["cppcheck"]["status"] == "ok":
        assert {m["path"] for m in engines_of(view)["cppcheck"]["missed"]} <= {"zero.c", "macro.c"}
        assert ("known/weak.c", 11) in {(f["path"], f["line"]) for f in scan.findings()}
    else:
        assert view["complete"] is False


def test_thousands_of_findings_in_one_line_of_megabytes_take_no_minutes(lab, quiet):
    """Work that is done once more for each finding and byte of its line would take hours."""
    line = 'password="hXk29fLq83ZpQw" ' * 300000 + "\n"
    repo = import_tree(new_repo(lab.git), {"line.txt": line, "key.py": hostile.WEAK_KEY})
    scan, view = watched(lab, quiet, repo, engines=["rules"], timeout=100)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    assert view["complete"] is False and "line.txt" in {
        m["path"] for m in engines_of(view)["rules"]["missed"]
    }
    found = scan.findings()
    assert "key.py" in {f["path"] for f in found} and len(found) > 100
    assert "hXk29fLq83ZpQw" not in json.dumps(found)


# ---------------------------------------------------------------- size


def test_a_hundred_thousand_files_are_looked_at(lab, quiet):
    names = [f"f/{i // 500}/{i}.txt" for i in range(100000)]
    repo = import_tree(new_repo(lab.git), {"key.py": hostile.WEAK_KEY}, same=(b"x\n", names))
    scan, view = watched(lab, quiet, repo, engines=["rules"], seconds=120)
    assert view["job"]["state"] == "completed", view["job"]["error"]
    assert view["job"]["run"]["files"]["text"] == 100001 and view["complete"] is True
    assert [f["path"] for f in scan.findings()] == ["key.py"]


def test_a_tree_that_multiplies_is_stopped_by_a_limit(lab, quiet):
    repo = new_repo(lab.git)
    oid = repo.bare.blob(b"x")
    tree = repo.bare.tree([("100644", f"f{i}", oid) for i in range(10)])
    for _ in range(9):
        tree = repo.bare.tree([("40000", f"d{i}", tree) for i in range(10)])
    repo.bare.commit(tree)
    scan, view = watched(lab, quiet, repo, engines=None)
    assert view["job"]["state"] == "failed"
    assert "repo-max-files" in view["job"]["error"], view["job"]


def test_files_too_large_and_directories_too_deep_are_told(lab, quiet):
    deep = "d/" * 1000 + "x.c"
    files = {
        "zeros.c": bytes(60 << 20),
        "line.c": b"x" * (12 << 20),
        deep: NAME_TEXT,
        "d/" * 60 + "y.c": NAME_TEXT,
        **{k: v for k, v in WEAK.items() if k.endswith(".c")},
    }
    repo = import_tree(new_repo(lab.git), files)
    scan, view = watched(lab, quiet, repo, engines=["flawfinder", "rules"])
    assert view["job"]["state"] == "completed", view["job"]["error"]
    left = skipped(view)
    found = {f["path"] for f in scan.findings()}
    assert "larger" in left["zeros.c"] and "larger" in left["line.c"]
    assert deep in found or any(deep.startswith(path) for path in left)
    assert "known/weak.c" in found and "d/" * 60 + "y.c" in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nul.c", WEAK_C.encode() + b"/* \0 */\n"),
        ("zip.py", b"PK\3\4 = 0\nimport os\nos.system(x)\n"),
        ("big.sh", b"eval $1\n" + b"#" * (11 << 20)),
        ("lfs.c", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    ],
)
def test_source_that_no_engine_reads_is_never_a_clean_pass(scanpod, workdir, name, text):
    tree = workdir / "tree"
    put_tree(tree, {"good.c": "int a;\n", "picture.bin": b"\0" * 100, name: text})
    done = scanpod("repo", tree, "-o", "json", "-e", "rules", "--fail-on", "low")
    doc = json.loads(done.stdout)
    assert name in skipped(doc) and doc["findings"] == []
    assert doc["complete"] is False and doc["job"]["run"]["assessment"] == "partial"
    assert done.returncode == 3, done.stderr  # a scan that was not complete
    (tree / name).unlink()
    done = scanpod("repo", tree, "-o", "json", "-e", "rules", "--fail-on", "low")
    assert json.loads(done.stdout)["complete"] is True and done.returncode == 0


# ---------------------------------------------------------------- the agent


class Recorder:
    """What stands for the model's API: keeps all requests, answers a little."""

    def __init__(self):
        self.seen = seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                seen.append((self.command, self.path, dict(self.headers), body))
                text = b'{"type":"message","usage":{"input_tokens":1,"output_tokens":1}}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_DELETE = do_CONNECT = do_HEAD = do_POST

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


AGENT = r'''#!/usr/bin/python3
import glob, json, os, socket, sys
if "--version" in sys.argv:
    print("2.1.197 (Claude Code)")
    sys.exit(0)
GIT, TRAPS, WORD, FOLDER = @CONFIG@
got = {}
def http(method, path, body=b"", host="127.0.0.1:3128", target=None, more=""):
    try:
        s = socket.create_connection(("127.0.0.1", 3128), 5)
        s.settimeout(5)
        head = f"{method} {target or path} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        s.sendall(head.encode() + body)
        data = b""
        while len(data) < 65536:
            piece = s.recv(65536)
            if not piece:
                break
            data += piece
        return data.decode("latin-1")
    except OSError as e:
        return f"error {e}"
def status(answer):
    return answer.split(" ")[1] if answer.startswith("HTTP/") else answer.split("\n")[0][:80]
def tries(name, fn):
    try:
        got[name] = fn()
    except BaseException as e:
        got[name] = f"error {type(e).__name__} {e}"
def connect(host, port, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(2)
    s.connect((host, port) if family != socket.AF_UNIX else host)
    return "connected"
# what it can see
tries("env", lambda: dict(os.environ))
tries("environs", lambda: {p: open(p, "rb").read().decode("latin-1") for p in glob.glob("/proc/[0-9]*/environ") if os.access(p, os.R_OK)})
tries("cmdlines", lambda: [open(p, "rb").read().decode("latin-1") for p in glob.glob("/proc/[0-9]*/cmdline")])
tries("tree", lambda: sorted(os.path.relpath(os.path.join(d, f), ".") for d, _, fs in os.walk(".") for f in fs))
for p in ("/etc/passwd", "/etc/shadow", "/tmp/spec", "/tmp/git/config", "/tmp/work", "/run", "/root", "/home",
          FOLDER, "/sys/class/net", "/var/run/docker.sock", "/proc/kcore", "/proc/1/root/tmp/spec"):
    tries("see " + p, lambda: "there" if os.path.exists(p) and (os.path.isdir(p) and os.listdir(p) or open(p, "rb").read(1)) else "no")
# what it can write
for p in ("./written", "../src/known/weak.py", "/tmp/src/known/weak.c", "/usr/bin/x", "/etc/x", FOLDER + "/ran", "/dev/shm/" + WORD, "/proc/sys/kernel/core_pattern"):
    tries("write " + p, lambda: open(p, "a").write("x") and "written" or "written")
# before the first request: only where git was allowed to go
tries("connect-other-before", lambda: status(http("CONNECT", "", target=f"127.0.0.1:{TRAPS[0]}")))
tries("connect-metadata-before", lambda: status(http("CONNECT", "", target="169.254.169.254:80")))
tries("relative-gateway-before", lambda: status(http("GET", "/git/info/refs?service=git-receive-pack")))
report = lambda: json.dumps({"model": "m", "max_tokens": 10, "got": got}).encode()
auth = "Content-Type: application/json\r\nx-api-key: mine\r\nAuthorization: Bearer mine\r\n"
tries("api", lambda: status(http("POST", "/anthropic/v1/messages?beta=true", report(), more=auth)))
# after it
tries("git-connect", lambda: status(http("CONNECT", "", target=f"127.0.0.1:{GIT}")))
tries("git-gateway", lambda: status(http("GET", "/git/info/refs?service=git-upload-pack")))
tries("git-suffix", lambda: status(http("GET", "/gitsuffix/info/refs?service=git-upload-pack")))
for t in TRAPS:
    tries(f"direct {t}", lambda: connect("127.0.0.1", t))
    tries(f"proxy {t}", lambda: status(http("CONNECT", "", target=f"127.0.0.1:{t}")))
    tries(f"absolute {t}", lambda: status(http("GET", "", target=f"http://127.0.0.1:{t}/leak", host=f"127.0.0.1:{t}")))
    tries(f"host {t}", lambda: status(http("POST", "/anthropic/v1/messages", b"{}", host=f"127.0.0.1:{t}")))
tries("metadata", lambda: connect("169.254.169.254", 80))
tries("metadata-proxy", lambda: status(http("CONNECT", "", target="169.254.169.254:80")))
tries("six", lambda: connect("::1", 3128, socket.AF_INET6))
tries("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and "made")
tries("packet", lambda: socket.socket(17, socket.SOCK_RAW, 3) and "made")
tries("netlink", lambda: socket.socket(16, socket.SOCK_RAW, 9) and "made")
for path in ("/anthropic/v1/files", "/anthropic/v1/messages/batches", "/anthropic/v1/models", "/anthropic/../v1/files",
             "/anthropic/v1/messages/../files", "/anthropic/v1/messages%2f..%2ffiles", "//anthropic/v1/messages",
             "/anthropic/v1/messages/count_tokens/../../files", "/v1/messages", "/anthropicv1/messages",
             "/anthropic/v1/messages;x", "/anthropic@127.0.0.1/v1/messages", "/"):
    for method in ("POST", "GET", "PUT", "DELETE"):
        if (method, path) != ("POST", "/anthropic/v1/messages"):
            tries(f"path {method} {path}", lambda: status(http(method, path, b"{}")))
tries("smuggle", lambda: http("POST", "/anthropic/v1/messages", b"0\r\n\r\nPOST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", more="Transfer-Encoding: chunked\r\n").split("\r\n")[0])
tries("smuggle-line", lambda: status(http("POST", "/anthropic/v1/messages\nX: y", b"{}")))
def unshare():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    return [(flag, libc.unshare(flag)) for flag in (0x10000000, 0x20000, 0x40000000)]
tries("unshare", unshare)
def ptrace():
    import ctypes
    return ctypes.CDLL(None).ptrace(16, 1, 0, 0)
tries("ptrace", ptrace)
tries("kill", lambda: os.kill(-1, 0))
tries("link", lambda: (os.link("known/weak.c", "/tmp/hard"), open("/tmp/hard", "a").write("x")) and "written")
for n in range(3):
    if os.fork() == 0:
        os.setsid()
        import time
        time.sleep(60)
        os._exit(0)
tries("last", lambda: status(http("POST", "/anthropic/v1/messages", report(), more=auth)))
finding = {"type": "sql-injection", "severity": "high", "file": "known/weak.c", "line": 6,
           "quote": "    strcpy(to, from);", "description": "\x1b[2J said by the agent", "recommendation": "r"}
lies = [dict(finding, file=f) for f in ("/etc/passwd", "../../etc/passwd", "known/../../../tmp/spec")]
print(json.dumps({"type": "system", "subtype": "init", "tools": ["Read", "Grep", "Glob"], "mcp_servers": [],
                  "permissionMode": "dontAsk", "model": "m"}))
print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": "x",
                  "structured_output": {"findings": [finding] + @LIES@, "summary": "s", "risk_level": "high"}}))
'''

KEY = "sk-canary-0123456789-never-inside"


@pytest.fixture
def agent_lab(fresh_lab, traps, workdir):
    api = Recorder()

    def make(lies="[]"):
        program = workdir / "claude"
        lab = fresh_lab(
            env={
                "SCANPOD_ENGINE_CLAUDE": program,
                "SCANPOD_AGENT_URL": f"http://127.0.0.1:{api.port}",
                "SCANPOD_AGENT_WITHIN": "127.0.0.1/32",
            },
            secrets={"anthropic-api-key": KEY, "token": SECRET},
            start=False,
        )
        config = (lab.git.port, traps.ports, traps.word, str(traps.folder))
        program.write_text(AGENT.replace("@CONFIG@", repr(config)).replace("@LIES@", lies))
        program.chmod(0o755)
        lab.server.start()
        return lab, api

    yield make
    api.close()


def test_an_agent_that_tries_everything_reaches_the_api_alone(agent_lab, quiet):
    lab, api = agent_lab()
    repo = import_tree(new_repo(lab.git), {**WEAK, **hostile.configuration(quiet)})
    before = len(lab.git.requests)
    scan, view = watched(lab, quiet, repo, engines=["claude", "rules"])
    assert view["job"]["state"] == "completed", view["job"]["error"]
    assert engines_of(view)["claude"]["status"] == "ok", engines_of(view)["claude"]
    # Only declared requests came, with the key that it never had, and without its own.
    assert {(m, p.split("?")[0]) for m, p, _, _ in api.seen} == {("POST", "/v1/messages")}
    for _, _, headers, _ in api.seen:
        assert {k.lower(): v for k, v in headers.items()}["x-api-key"] == KEY
        assert "Bearer mine" not in str(headers) and f":{quiet.ports[0]}" not in str(headers)
    got = json.loads(api.seen[-1][3])["got"]
    text = json.dumps(got)
    assert KEY not in text and lab.server.key not in text and str(lab.server.data_dir) not in text
    assert got["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:3128/anthropic"
    # Its tree has the sources, and none of what is made for agents.
    assert "known/weak.c" in got["tree"]
    assert not {".claude/settings.json", ".mcp.json", "CLAUDE.md", "AGENTS.md"} & set(got["tree"])
    for what, how in got.items():
        if what.startswith(("write ", "direct ")) or what in ("metadata", "raw", "packet", "link", "unshare"):
            assert "error" in str(how) or how == [[f, -1] for f in (0x10000000, 0x20000, 0x40000000)], (what, how)
        elif what.startswith("see "):
            assert how == "no" or "error" in str(how) or what in ("see /etc/passwd",), (what, how)
        elif what.startswith(("proxy ", "absolute ", "path ")) or "-before" in what:
            assert str(how)[:1] in "4e" , (what, how)
        elif what in ("git-connect", "git-gateway", "git-suffix", "metadata-proxy", "smuggle-line"):
            assert str(how)[:1] in "4e", (what, how)
    assert "ptrace" in got and got["ptrace"] != 0
    # The server of the repository heard of the checkout, and nothing later.
    asked = [p for _, p in lab.git.requests[before:] if repo.name in p]
    assert len(asked) <= 5, asked  # what a checkout asks
    found = [f for f in scan.findings() if any(e["name"] == "claude" for e in f["engines"])]
    assert [(f["path"], f["line"], f["verified"]) for f in found] == [("known/weak.c", 6, True)]
    everything = json.dumps([view, scan.findings()]) + lab.server.log() + json.dumps(scan.events())
    assert KEY not in everything


def test_an_agent_does_not_reach_the_repository_with_its_token(agent_lab, quiet):
    lab, api = agent_lab()
    repo = import_tree(new_repo(lab.git), WEAK)
    scan, view = watched(
        lab, quiet, repo.at("private"), engines=["claude"], credential="token", username=USER
    )
    assert view["job"]["state"] == "completed", view["job"]["error"]
    got = json.loads(api.seen[-1][3])["got"]
    assert got["git-gateway"].startswith("4") and got["git-suffix"].startswith("4"), got
    assert SECRET not in json.dumps(got) and SECRET not in json.dumps(view) + lab.server.log()


def test_an_agent_cannot_point_outside_of_the_tree(agent_lab, quiet):
    lab, api = agent_lab(lies="lies")
    repo = import_tree(new_repo(lab.git), WEAK)
    scan, view = watched(lab, quiet, repo, engines=["claude"])
    found = scan.findings()
    assert all(f["path"] == "known/weak.c" or not f["verified"] for f in found)
    assert not any(f["path"].startswith(("/", "..")) or "/../" in f["path"] for f in found), found
    assert view["job"]["state"] == "failed" or not any("etc/passwd" in f["path"] for f in found)


# ---------------------------------------------------------------- nothing is left


def leftovers():
    """Of a workspace, where the machine would see it."""
    names = {"src", "git", "work", "spec", "agent", "scanpod-src"}
    return {n for n in os.listdir("/tmp") if n in names} | {
        line.split()[1] for line in open("/proc/mounts") if "/tmp/src" in line or "/tmp/agent" in line
    }


@pytest.mark.parametrize("how", ["cancel", "kill", "time"])
def test_a_scan_that_is_cut_off_leaves_nothing(fresh_lab, quiet, how):
    lab = fresh_lab()
    repo = import_tree(new_repo(lab.git), {**WEAK, "a.txt": "FLAWh\n"})
    data = {p.name for p in lab.server.data_dir.iterdir()}
    scan = lab.submit(repo, engines=["lab-sleep"], timeout=12 if how == "time" else 600).running()
    sleeping = lambda: [c for _, c in lab.server.children() if "lab-engine sleep" in c]  # noqa: E731
    wait_until(lambda: len(sleeping()) > 10, 30, "the engine and its children")
    tree = descendants(lab.server.pid)
    if how == "kill":
        lab.server.kill()
        wait_until(lambda: not lab.server.left_of(tree), 10, "the end of every process")
        assert lab.server.own_processes() == []
    elif how == "cancel":
        assert lab.server.post(f"/api/v1/scans/{scan.id}/cancel").status_code in (200, 202)
    if how != "kill":
        wait_until(lambda: not sleeping(), 40, "the end of the engine")
        view = scan.wait(40)
        assert view["job"]["state"] in ("cancelled", "timed_out", "failed"), view["job"]
        assert view["complete"] is not True
    assert leftovers() == set()
    left = {p.name for p in lab.server.data_dir.iterdir()} - data
    assert all(name.startswith("scanpod.db") for name in left), left
    if how == "kill":
        lab.server.start()
        assert scan.view()["complete"] is not True
