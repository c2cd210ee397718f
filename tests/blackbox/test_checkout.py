"""
Checkouts as a repository scan makes them: real git in real boxes, through the real proxy, from a
server on loopback (git_server.py). Each ends with its exit status and a sentence, and nothing of a
repository runs, is followed, or leaves its tree.

Exit statuses (src/repo/box.h): 0 done, 2 not to be had, 3 failed on the way, 4 a limit, 1 else.
"""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import SANITIZER_REPORT
from git_server import SECRET, GitServer, Repo, SshServer, make_certificate

REFUSED, NETWORK, LIMIT = 2, 3, 4
SPEC = {
    "proxy": True,
    "has_ca": True,
    "git": "/usr/bin/git",
    "ssh": "/usr/bin/ssh",
    "max_bytes": 256 << 20,
    "max_files": 200000,
    "max_file_bytes": 10 << 20,
    "clone_s": 60,
    "wall_s": 100,
    "at_once": 2,
}


class Checkout:
    def __init__(self, done):
        self.status, self.err = done.returncode, done.stderr
        assert done.stdout, done.stderr
        self.json = json.loads(done.stdout)
        self.text = self.json["error"]
        self.files = {
            os.fsdecode(bytes.fromhex(f["path"])): bytes.fromhex(f["text"])
            for f in self.json["tree"]
        }
        self.left = {row["path"]: row["why"] for row in self.json["left"]}

    def __getattr__(self, name):
        return self.json[name]


@pytest.fixture(scope="module")
def probe(scanpod_bin):
    program = Path(scanpod_bin).parent / "tests/tools/checkout_probe"
    assert os.access(program, os.X_OK), f"{program} is not built"
    return program


@pytest.fixture
def server(workdir):
    root = workdir / "repositories"
    root.mkdir()
    server = GitServer(root, workdir)
    yield server
    server.close()
    assert server.elsewhere == 0, "a redirect was followed"


@pytest.fixture
def repo(server):
    return Repo(server.root / "a.git")


@pytest.fixture
def checkout(server, probe, workdir):
    """checkout("git/a", branch="x", spec={...}): one checkout, and what must hold for each."""

    def run(
        path="git/a",
        spec=None,
        flags=(),
        quiet=False,
        allow=None,
        url=None,
        secret=SECRET,
        gateways=(),
        **request,
    ):
        url = url or server.url(path)
        asked = {**SPEC, "clone_url": url, "request": {"url": url, **request}, **(spec or {})}
        asked = {k: v for k, v in asked.items() if v is not None}
        (workdir / "spec").write_text(json.dumps(asked))
        allow = allow or [f"127.0.0.1:{server.port}=127.0.0.0/8"]
        words = [str(probe), "--ca", str(server.cert), *flags, *(["--quiet"] if quiet else [])]
        for entry in allow:
            words += ["--allow", entry]
        for entry in gateways:
            words += ["--gateway", entry]
        env = {**os.environ, "SCANPOD_SECRET_FORGE": secret}
        done = subprocess.run(
            [*words, str(workdir / "spec")], capture_output=True, text=True, timeout=300, env=env
        )
        assert not SANITIZER_REPORT.search(done.stderr), done.stderr
        result = Checkout(done)
        assert result.status == result.json["status"], done.stderr
        assert (result.status == 0) == (result.text is None)
        assert set(result.tmp) <= {"src", str(probe).split("/")[2]}, "something is left behind"
        assert result.key_zeroed
        assert all(f["file"] for f in result.tree), "something that is no file was made"
        assert SECRET not in done.stdout + done.stderr
        if result.text:
            assert "\x1b" not in result.text and len(result.text) < 400
        return result

    return run


def commit_of(repo, files, branch="main", parent=None):
    return repo.commit(repo.files(files), branch, parent)


# ---------------------------------------------------------------- what is asked for


def test_the_default_branch_is_checked_out(repo, checkout):
    oid = commit_of(repo, {"README": b"hello\n", "src/x.c": b"int x;\n", "empty": b""})
    c = checkout()
    assert (c.status, c.branch, c.commit, c.base) == (0, "main", oid, None)
    assert c.json["files"] == 3 and c.bytes == 13
    assert {"README": b"hello\n", "src/x.c": b"int x;\n", "empty": b""} == c.files
    assert "progress checkout 100" in c.err


def test_a_branch_a_tag_and_a_full_name_are_found(repo, checkout):
    first = commit_of(repo, {"a": b"1"})
    second = commit_of(repo, {"a": b"2"}, "feature/x", first)
    repo.git("tag", "v1", first)
    repo.git("tag", "-a", "-m", "signed", "v2", second)
    assert checkout(branch="feature/x").files == {"a": b"2"}
    assert checkout(branch="v1").commit == first
    assert checkout(branch="v2").commit == second
    assert checkout(branch="refs/heads/feature/x").commit == second


def test_a_branch_wins_over_a_tag_of_its_name(repo, checkout):
    first = commit_of(repo, {"a": b"1"})
    second = commit_of(repo, {"a": b"2"}, "same", first)
    repo.git("tag", "same", first)
    assert checkout(branch="same").commit == second


@pytest.mark.parametrize("way", ["git", "v0"])
def test_a_commit_is_pinned(repo, checkout, way):
    first = commit_of(repo, {"a": b"1"})
    second = commit_of(repo, {"a": b"2"}, parent=first)
    c = checkout(f"{way}/a", commit=first)
    assert (c.status, c.commit, c.branch, c.files) == (0, first, "main", {"a": b"1"})
    assert checkout(f"{way}/a", commit=second, branch="main").files == {"a": b"2"}


@pytest.mark.parametrize("way", ["git", "v0"])
def test_a_commit_that_is_not_there_is_refused(repo, checkout, way):
    commit_of(repo, {"a": b"1"})
    c = checkout(f"{way}/a", commit="1234567890" * 4)
    assert c.status == REFUSED and "commit" in c.text


def test_only_the_subdirectory_is_written(repo, checkout):
    commit_of(repo, {"src/lib/a": b"1", "src/library": b"2", "src/lib/b/c": b"3", "d": b"4"})
    c = checkout(subdir="src/lib")
    assert c.files == {"src/lib/a": b"1", "src/lib/b/c": b"3"}
    c = checkout(subdir="src/nothing")
    assert c.status == REFUSED and "'src/nothing'" in c.text


def test_what_changed_between_two_commits_is_told(repo, checkout):
    text = [b"line %d\n" % i for i in range(1, 31)]
    first = commit_of(
        repo,
        {
            "edited.c": b"".join(text),
            "gone.c": b"gone\n",
            "old name.c": b"".join(reversed(text)),
            "shrunk.c": b"".join(text),
            "same.c": b"same\n",
            "bin": b"\0\1\2",
            "strange\n\x1b\u00e4.c": b"1\n2\n",
        },
    )
    edited = list(text)
    edited[4] = b"+++ b/same.c\n"
    edited[9:9] = [b"@@ -1 +1 @@\n", b"new\n"]
    second = commit_of(
        repo,
        {
            "edited.c": b"".join(edited),
            "new name.c": b"".join(reversed(text)) + b"one more\n",
            "shrunk.c": b"".join(text[:20]),
            "same.c": b"same\n",
            "added.c": b"1\n2\n",
            "bin": b"\0\1\3",
            "strange\n\x1b\u00e4.c": b"1\nX\n",
        },
        parent=first,
    )
    c = checkout(base=first, head=second)
    changed = {row["path"]: row for row in c.changed}
    assert (c.commit, c.base) == (second, first)
    assert set(changed) == {
        "edited.c", "new name.c", "shrunk.c", "added.c", "bin", "strange\n\x1b\u00e4.c"
    }  # fmt: skip
    assert changed["edited.c"]["lines"] == [5, 5, 10, 11] and not changed["edited.c"]["whole"]
    assert changed["new name.c"]["lines"] == [31, 31]
    assert changed["new name.c"]["from"] == "old name.c"
    assert changed["shrunk.c"]["lines"] == [] and not changed["shrunk.c"]["whole"]
    assert changed["added.c"]["whole"] and changed["bin"]["whole"]
    assert changed["strange\n\x1b\u00e4.c"]["lines"] == [2, 2]
    assert c.renamed == ["old name.c", "new name.c"]
    assert [row["path"] for row in c.changed] == sorted(changed, key=os.fsencode)


def test_a_range_may_be_of_branches(repo, checkout):
    first = commit_of(repo, {"a": b"1\n", "b": b"1\n"})
    second = commit_of(repo, {"a": b"2\n", "b": b"1\n"}, "topic", first)
    c = checkout(base="main", head="topic")
    assert (c.base, c.commit) == (first, second)
    assert [row["path"] for row in c.changed] == ["a"]


def test_a_range_of_a_server_with_the_old_protocol(repo, checkout):
    first = commit_of(repo, {"a": b"1\n"})
    second = commit_of(repo, {"a": b"2\n"}, parent=first)
    commit_of(repo, {"a": b"3\n"}, parent=second)
    c = checkout("v0/a", base=first, head=second)
    assert c.status == 0 and c.files == {"a": b"2\n"} and c.changed[0]["path"] == "a"


def test_what_was_renamed_since_the_last_scan_is_told(repo, checkout):
    text = b"".join(b"some line %d\n" % i for i in range(30))
    first = commit_of(repo, {"old.c": text, "x": b"1"})
    commit_of(repo, {"new.c": text + b"more\n", "x": b"2"}, parent=first)
    c = checkout(spec={"last_commit": first})
    assert c.renamed == ["old.c", "new.c"] and c.changed == []
    c = checkout(spec={"last_commit": "12" * 20})
    assert c.status == 0 and c.renamed == []


def test_a_repository_with_sha256_is_checked_out(server, checkout):
    path = server.root / "s.git"
    subprocess.run(
        ["git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", str(path)],
        check=True,
    )
    repo = object.__new__(Repo)
    repo.path = path
    oid = commit_of(repo, {"a": b"1"})
    c = checkout("git/s")
    assert (c.status, c.commit, c.files) == (0, oid, {"a": b"1"})


# ---------------------------------------------------------------- what is not to be had


def test_a_branch_that_is_not_there_is_told_with_those_that_are(repo, checkout):
    commit_of(repo, {"a": b"1"})
    commit_of(repo, {"a": b"1"}, "release")
    c = checkout(branch="relaese")
    assert c.status == REFUSED
    assert "'relaese'" in c.text and "main, release" in c.text


def test_a_branch_that_looks_like_an_option_is_only_a_name(repo, checkout):
    commit_of(repo, {"a": b"1"})
    for name in ("--upload-pack=touch /tmp/owned", "--upload-pack=touch", "-x", "a..b", "a@{1}"):
        c = checkout(branch=name)
        assert c.status == 1 and "/request/branch" in c.text
    c = checkout(branch="$(touch${IFS}x)")
    assert c.status == REFUSED and "no branch or tag" in c.text


def test_an_empty_repository_is_told(repo, checkout):
    for request in ({}, {"branch": "main"}):
        c = checkout(**request)
        assert c.status == REFUSED and "empty" in c.text


def test_a_default_branch_that_does_not_exist_is_told(repo, checkout):
    commit_of(repo, {"a": b"1"}, "other")
    c = checkout()
    assert c.status == REFUSED and "branch" in c.text and "other" in c.text
    assert checkout(branch="other").status == 0


def test_a_private_repository_is_told(repo, checkout):
    commit_of(repo, {"a": b"1"})
    c = checkout("private/a")
    assert c.status == REFUSED and c.code == "denied" and "'credential'" in c.text


GATEWAY = {"clone_url": "http://127.0.0.1:3128/git"}


def test_a_private_repository_is_had_through_the_gateway(repo, server, checkout):
    oid = commit_of(repo, {"a": b"1"})
    c = checkout(spec=GATEWAY, gateways=("/git=/private/a",), branch="main")
    assert (c.status, c.commit, c.files) == (0, oid, {"a": b"1"})
    assert {path.split("/")[1] for _, path in server.requests} == {"private"}


def test_a_credential_that_is_not_accepted_is_told(repo, checkout):
    commit_of(repo, {"a": b"1"})
    c = checkout(spec=GATEWAY, gateways=("/git=/private/a",), secret="wrong-8a2b1c")
    assert c.status == REFUSED and c.code == "denied" and "does not accept" in c.text
    c = checkout(spec=GATEWAY, gateways=("/git=/git/nothing",))
    assert c.status == REFUSED and c.code == "not-found"
    c = checkout(spec=GATEWAY, gateways=("/git=/moved/a",))
    assert c.status == REFUSED and "redirects" in c.text


def test_behind_a_gateway_too_the_suffix_is_tried(repo, checkout):
    commit_of(repo, {"a": b"1"})
    both = ("/git=/nodotgit/a", "/gitsuffix=/nodotgit/a.git")
    assert checkout(spec=GATEWAY, gateways=both).files == {"a": b"1"}


def test_a_forbidden_repository_is_told(repo, checkout):
    c = checkout("forbidden/a")
    assert c.status == REFUSED and "forbids" in c.text


def test_a_missing_repository_is_told(server, checkout):
    c = checkout("git/nothing")
    assert c.status == REFUSED and c.code == "not-found" and "private" in c.text


@pytest.mark.parametrize("way", ["moved", "tofile"])
def test_a_redirect_is_not_followed(repo, checkout, way):
    commit_of(repo, {"a": b"1"})
    c = checkout(f"{way}/a")
    assert c.status == REFUSED and "redirects" in c.text


def test_a_server_that_wants_the_suffix_gets_it(repo, checkout):
    commit_of(repo, {"a": b"1"})
    assert checkout("nodotgit/a").files == {"a": b"1"}


def test_a_host_that_the_policy_refuses_is_told_with_the_proxys_words(repo, server, checkout):
    commit_of(repo, {"a": b"1"})
    c = checkout(allow=["127.0.0.1:1=127.0.0.0/8"])
    assert c.status == REFUSED and "not on the run's list" in c.text
    c = checkout(allow=[f"127.0.0.1:{server.port}"])
    assert c.status == REFUSED and "loopback" in c.text
    assert server.requests == []


def test_a_server_that_is_not_there_may_be_tried_again(checkout):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        c = checkout(url=f"https://127.0.0.1:{port}/a", allow=[f"127.0.0.1:{port}=127.0.0.0/8"])
    assert c.status == NETWORK and "Connection refused" in c.text


def test_a_server_without_tls_is_told(server, checkout):
    port = server.elsewhere_port
    c = checkout(url=f"https://127.0.0.1:{port}/a", allow=[f"127.0.0.1:{port}=127.0.0.0/8"])
    server.elsewhere = 0
    # Which it is depends on whether its answer comes before its end.
    assert c.status == NETWORK and ("TLS" in c.text or "lost on the way" in c.text)


def test_a_certificate_that_nobody_vouches_for_is_refused(repo, server, checkout, workdir):
    commit_of(repo, {"a": b"1"})
    server.cert = make_certificate(workdir, "stranger")[1]
    c = checkout()
    assert c.status == REFUSED and "certificate" in c.text
    assert server.requests == []


@pytest.mark.parametrize(
    "way, status, word",
    [
        ("garbage", None, "git"),
        ("html", REFUSED, "not a git server"),
        ("broken", NETWORK, "try again"),
        ("cut", NETWORK, "on its way"),
    ],
)
def test_a_server_that_misbehaves_is_told(repo, checkout, way, status, word):
    commit_of(repo, {"a": os.urandom(100000)})
    c = checkout(f"{way}/a")
    assert c.status == status if status else c.status in (REFUSED, NETWORK)
    assert word in c.text and c.files == {}


def test_a_server_that_stalls_is_left(repo, checkout):
    commit_of(repo, {"a": b"1"})
    c = checkout("stall/a", spec={"clone_s": 6})
    assert c.status == NETWORK and "nothing for too long" in c.text


def test_a_checkout_has_its_time(repo, checkout):
    commit_of(repo, {"a": b"1"})
    c = checkout("late/a", spec={"clone_s": 6})
    assert c.status == LIMIT and "clone_s" in c.text


def test_an_answer_without_an_end_ends(server, checkout):
    c = checkout("huge/a", spec={"clone_s": 8})
    assert c.status in (LIMIT, NETWORK, 1)


# ---------------------------------------------------------------- hostile repositories


def test_nothing_of_the_repository_is_acted_on(repo, checkout, workdir):
    marker = workdir / "marker"
    commit_of(
        repo,
        {
            ".gitattributes": b"* filter=own text eol=crlf ident working-tree-encoding=UTF-16\n"
            b"*.c diff=own merge=own export-ignore\n",
            ".gitconfig": b'[filter "own"]\n\tsmudge = touch %s\n' % os.fsencode(marker),
            ".gitmodules": b'[submodule "x"]\n\tpath = sub\n\turl = file:///etc\n'
            b'[submodule "y"]\n\tpath = y\n\turl = ext::sh -c "touch %s"\n' % os.fsencode(marker),
            "sub": ("160000", "12" * 20),
            "hooks/post-checkout": ("100755", b"#!/bin/sh\ntouch %s\n" % os.fsencode(marker)),
            "unix.c": b"$Id$\nint x;\n",
            "dos.c": b"a\r\nb\r\n",
            ".lfsconfig": b"[lfs]\n\turl = https://127.0.0.1:1/\n",
        },
    )
    c = checkout()
    assert c.status == 0
    assert c.files["unix.c"] == b"$Id$\nint x;\n" and c.files["dos.c"] == b"a\r\nb\r\n"
    assert c.left == {"sub": "submodule: its repository is not fetched"}
    assert all(f["mode"] & 0o111 == 0 for f in c.tree)
    assert not marker.exists()


def test_links_are_told_and_not_made(repo, checkout):
    commit_of(
        repo,
        {
            "out": ("120000", b"/etc/passwd"),
            "up": ("120000", b"../../../etc"),
            "dir/in": ("120000", b"../a"),
            "a": b"1",
        },
    )
    c = checkout()
    assert c.files == {"a": b"1"}
    assert c.left == dict.fromkeys(("out", "up", "dir/in"), "symbolic link: not followed")


def test_an_lfs_repository_has_its_pointers_told(repo, checkout):
    pointer = (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:" + b"ab" * 32 + b"\nsize 12345\n"
    )
    commit_of(repo, {"big.bin": pointer, ".gitattributes": b"*.bin filter=lfs -text\n"})
    c = checkout()
    assert c.status == 0 and set(c.files) == {".gitattributes"}
    assert "LFS" in c.left["big.bin"]


def test_names_are_bytes_and_stay_in_the_tree(repo, checkout):
    odd = {
        "new\nline": b"1",
        "esc\x1b[2J": b"2",
        "-rf": b"3",
        "$(touch x)": b"4",
        "a b'\"\\": b"5",
        "latin\udce4": b"6",
        "\u202egpj.exe": b"7",
        "x" * 255: b"8",
    }
    commit_of(repo, odd)
    assert checkout().files == odd


def test_names_of_gits_own_directory_and_of_ways_out_are_left_out(repo, checkout):
    blob = repo.blob(b"x")
    inner = repo.tree([("100644", "config", blob)])
    rows = [("40000", name, inner) for name in (".git", ".GIT", "git~1", ".git ", ".g\u200cit")]
    rows += [("40000", "..", inner), ("40000", ".", inner), ("100644", "fine", blob)]
    repo.commit(repo.tree(rows))
    c = checkout()
    assert c.status == 0 and c.files == {"fine": b"x"}
    assert len(c.left) == 7


def test_a_name_with_a_slash_is_refused_or_left_out(repo, checkout):
    blob = repo.blob(b"x")
    repo.commit(repo.tree([("100644", "../../out", blob), ("100644", "/tmp/abs", blob)]))
    c = checkout()
    assert c.files == {}
    assert c.status == REFUSED or len(c.left) == 2


def test_a_tree_with_one_name_twice_is_refused(repo, checkout):
    blob = repo.blob(b"x")
    repo.commit(repo.tree([("100644", "a", blob), ("120000", "a", blob)]))
    c = checkout()
    assert c.status == REFUSED and "malformed" in c.text


def test_an_old_and_harmless_repository_is_taken(repo, checkout):
    tree = repo.raw("tree", b"0100644 a\0" + bytes.fromhex(repo.blob(b"x")))
    author = b"author A <a@example.org>1 +051800\ncommitter  <> 1 +0000\n\nm\n"
    repo.git(
        "update-ref",
        "refs/heads/main",
        repo.raw("commit", b"tree " + tree.encode() + b"\n" + author),
    )
    c = checkout()
    assert c.status == 0 and c.files == {"a": b"x"}


def test_a_tree_bomb_is_stopped_at_the_limit_of_files(repo, checkout):
    tree = repo.tree([("100644", f"f{i}", repo.blob(b"boom")) for i in range(10)])
    for _ in range(5):
        tree = repo.tree([("40000", f"d{i}", tree) for i in range(10)])
    repo.commit(tree)
    c = checkout(spec={"max_files": 100000}, quiet=True)
    assert c.status == LIMIT and "max_files" in c.text and c.written == 0


def test_a_bomb_of_bytes_is_stopped_before_it_is_written(repo, checkout):
    blob = repo.blob(b"\0" * (8 << 20))
    repo.commit(repo.tree([("100644", f"f{i}", blob) for i in range(100)]))
    c = checkout(quiet=True)
    assert c.status == LIMIT and "max_bytes" in c.text and c.written == 0


def test_a_file_that_is_too_large_is_left_out_and_told(repo, checkout):
    commit_of(repo, {"zero": b"\0" * (60 << 20), "a": b"1"})
    c = checkout()
    assert c.status == 0 and c.files == {"a": b"1"}
    assert "larger than 10240 KiB" in c.left["zero"]


def test_a_repository_that_does_not_fit_is_told(repo, checkout):
    commit_of(repo, {f"r{i}": os.urandom(5 << 20) for i in range(6)})
    c = checkout(flags=("--disk", "8"))
    assert c.status == LIMIT and "max_bytes" in c.text


def test_more_names_than_the_box_has_room_for_are_a_limit(repo, checkout):
    commit_of(repo, {f"r{i}": b"x" for i in range(300)})
    c = checkout(flags=("--inodes", "200"))
    assert c.status == LIMIT


def test_a_hundred_thousand_files_are_written(repo, checkout):
    stream = [b"commit refs/heads/main\ncommitter a <a@example.org> 1 +0000\ndata 1\nm\n"]
    for i in range(100000):
        text = b"file %d\n" % i
        path = b"d%d/e%d/f%d" % (i % 100, i % 1000, i)
        stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(text), text))
    repo.git("fast-import", "--quiet", text=b"".join(stream))
    c = checkout(quiet=True)
    assert c.status == 0 and c.json["files"] == c.written == 100000
    print("100,000 files:", c.duration_ms, "ms")


def test_a_deep_tree_is_left_out_where_its_paths_are_too_long(repo, checkout):
    tree = repo.tree([("100644", "deep", repo.blob(b"x"))])
    for _ in range(1200):
        tree = repo.tree([("40000", "dddd", tree)])
    repo.commit(repo.tree([("40000", "d", tree), ("100644", "fine", repo.blob(b"y"))]))
    c = checkout()
    assert c.status == 0 and c.files == {"fine": b"y"}


# ---------------------------------------------------------------- ssh


@pytest.fixture
def ssh(server):
    ssh = SshServer(server.root, server.root)
    yield ssh
    ssh.close()


@pytest.fixture
def by_ssh(ssh, checkout):
    def run(path="a", user="git@", **spec):
        spec = {
            "ssh_key": ssh.private(ssh.client_key).rstrip("\n"),
            "known_hosts": ssh.known_hosts(),
            **spec,
        }
        url = f"ssh://{user}127.0.0.1:{ssh.port}/{path}"
        c = checkout(url=url, spec=spec, allow=[f"127.0.0.1:{ssh.port}=127.0.0.0/8"])
        key = (spec["ssh_key"] or "canary").splitlines()
        assert not any(line in json.dumps(c.json) + c.err for line in key[1:3])
        return c

    return run


def test_a_repository_is_fetched_by_ssh(repo, ssh, by_ssh):
    oid = commit_of(repo, {"a": b"1"})
    c = by_ssh()
    assert (c.status, c.commit, c.branch, c.files) == (0, oid, "main", {"a": b"1"})
    assert by_ssh(user="").status == 0
    assert set(ssh.asked) == {"git-upload-pack '/a'"}


def test_ssh_without_known_hosts_or_key_is_refused(repo, ssh, by_ssh):
    c = by_ssh(known_hosts=None)
    assert c.status == REFUSED and "known hosts" in c.text
    c = by_ssh(ssh_key=None)
    assert c.status == REFUSED and "'credential'" in c.text
    c = by_ssh(ssh=None)
    assert c.status == REFUSED and "openssh-client" in c.text
    assert ssh.asked == []


def test_ssh_to_a_host_with_another_key_is_refused(repo, ssh, by_ssh):
    c = by_ssh(known_hosts=ssh.known_hosts(ssh.other_key))
    assert c.status == REFUSED and "key" in c.text
    c = by_ssh(known_hosts="example.org ssh-ed25519 AAAA\n")
    assert c.status == REFUSED and "known hosts" in c.text
    assert ssh.asked == []


def test_ssh_with_a_key_that_is_not_accepted_is_told(repo, ssh, by_ssh):
    c = by_ssh(ssh_key=ssh.private(ssh.other_key))
    assert c.status == REFUSED and c.code == "denied" and "does not accept the key" in c.text
    c = by_ssh(ssh_key="this is no key\n")
    assert c.status == REFUSED and "private key" in c.text


def test_a_missing_repository_is_told_by_ssh_too(repo, by_ssh):
    c = by_ssh("nothing")
    assert c.status == REFUSED and c.code == "not-found"


def test_ssh_to_a_place_that_the_policy_refuses_is_told(repo, ssh, checkout):
    spec = {"ssh_key": ssh.private(ssh.client_key), "known_hosts": ssh.known_hosts()}
    c = checkout(url=f"ssh://git@127.0.0.1:{ssh.port}/a", spec=spec)
    assert c.status == REFUSED and "not on the run's list" in c.text


# ---------------------------------------------------------------- local directories


@pytest.fixture
def local(probe, checkout, workdir):
    def run(kind, path, **request):
        words = [str(probe), "pack", kind, str(path), str(workdir / "pack")]
        subprocess.run([*words, str(1 << 28), "100000", str(1 << 20)], check=True)
        return checkout(
            url="dir:x",
            spec={"clone_url": None, "local": kind},
            flags=("--in", str(workdir / "pack")),
            **request,
        )

    return run


def test_a_local_directory_is_taken_as_it_is(local, workdir):
    tree = workdir / "tree"
    (tree / "src").mkdir(parents=True)
    (tree / "src/a.c").write_text("int x;\n")
    (tree / ".git").mkdir()
    (tree / ".git/config").write_text("[core]\n")
    (tree / "link").symlink_to("/etc/passwd")
    c = local("tree", tree)
    assert (c.status, c.commit, c.branch) == (0, None, None)
    assert c.files == {"src/a.c": b"int x;\n"}
    assert c.left == {"link": "symbolic link: not followed"}
    assert local("tree", tree, subdir="nothing").status == REFUSED


def test_a_local_repository_is_taken_at_a_commit(local, workdir):
    def git(*words):
        env = {"PATH": os.environ["PATH"], "HOME": str(workdir)}
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words],
            cwd=workdir / "w", env=env, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    (workdir / "w").mkdir()
    git("init", "-q", "-b", "trunk")
    (workdir / "w/a").write_text("1\n")
    git("add", "a")
    git("commit", "-qm", "one")
    first = git("rev-parse", "HEAD")
    (workdir / "w/a").write_text("1\n2\n")
    git("commit", "-qam", "two")
    git("gc", "-q")
    (workdir / "w/a").write_text("not committed\n")
    (workdir / "w/.git/hooks/post-checkout").write_text("#!/bin/sh\ntouch /tmp/owned\n")
    git("config", "core.fsmonitor", "touch /tmp/owned")
    c = local("git", workdir / "w")
    assert (c.status, c.branch, c.files) == (0, "trunk", {"a": b"1\n2\n"})
    c = local("git", workdir / "w", base=first)
    assert c.changed == [{"path": "a", "from": None, "whole": False, "lines": [2, 2]}]
    assert local("git", workdir / "w", commit=first).files == {"a": b"1\n"}
    c = local("git", workdir / "w", branch="nothing")
    assert c.status == REFUSED and "'nothing'" in c.text
