"""`scanpod policy`: what a scope file says to targets, and editing it without a moment of nonsense."""

import json
import os
import stat

import pytest

SCOPE = """\
version: 1
scope:
  allow:
    - {target: 127.0.0.0/8, note: this machine}
    - {target: 10.20.0.0/16, note: production, authorised_by: "J. Doe", expires: 2027-01-31}
    - {target: localhost, within: ["127.0.0.0/8", "::1"]}
  deny:
    - {target: 10.20.9.0/24, note: payment}
policies:
  - {name: default, ports: "T:1-1024"}
  - {name: night, windows: ["Mon-Fri 22:00-06:00"], targets: [10.20.0.0/17]}
keys:
  - {key: owl, policy: night}
"""
AT = ("--at", "2026-11-25T12:00:00Z")


@pytest.fixture
def scope(workdir):
    path = workdir / "scope.yaml"
    path.write_text(SCOPE)
    path.chmod(0o640)
    return path


def editor(workdir, script):
    path = workdir / "editor"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return {"VISUAL": str(path)}


def copies(path):
    return sorted(path.parent.glob(path.name + ".edit-*"))


def test_a_good_file_has_status_0_and_a_bad_one_its_place(scanpod, scope):
    scanpod("policy", "check", scope, *AT, check=True)
    scope.write_text(SCOPE.replace("deny:", "dney:"))
    done = scanpod("policy", "check", scope, *AT)
    assert done.returncode == 2
    assert f"{scope}:7:3: unknown key 'dney' in scope; did you mean 'deny'?" in done.stderr


def test_each_target_gets_a_verdict_and_a_refusal_is_status_6(scanpod, scope):
    done = scanpod("policy", "check", scope, "127.0.0.1", "10.20.9.0/24", "localhost", "127.1", "8.8.8.8",
                   *AT, "-o", "json")  # fmt: skip
    verdicts = {v["target"]: v for v in json.loads(done.stdout)["verdicts"]}

    assert done.returncode == 6
    assert verdicts["127.0.0.1"]["allowed"] and verdicts["127.0.0.1"]["rule"] == "allow 127.0.0.0/8 (this machine)"
    assert verdicts["localhost"]["allowed"] and "127.0.0.1" in verdicts["localhost"]["addresses"]
    assert "scope.deny has 10.20.9.0/24 (payment), line 8" in verdicts["10.20.9.0/24"]["reason"]
    assert "four octets" in verdicts["127.1"]["reason"]
    assert "no entry of scope.allow covers it" in verdicts["8.8.8.8"]["reason"]
    assert scanpod("policy", "check", scope, "10.20.1.1", *AT).returncode == 0


def test_keys_ports_and_times_are_judged(scanpod, scope):
    owl = ("policy", "check", scope, "--key", "owl")

    done = scanpod(*owl, "10.20.1.1", *AT, "-o", "json", check=True)
    assert json.loads(done.stdout)["verdicts"][0]["wait_until"] == "2026-11-25T22:00:00.000000Z"
    assert "not among the 'targets' of policy 'night'" in scanpod(*owl, "10.20.200.1", *AT).stdout
    assert "not allow port T:8080" in scanpod("policy", "check", scope, "127.0.0.1", "-p", "22,8080").stdout
    late = scanpod("policy", "check", scope, "10.20.1.1", "--at", "2027-02-01T00:00:00Z")
    assert late.returncode == 6 and "expired at 2027-02-01T00:00:00Z" in late.stdout
    assert "expired" in late.stderr
    assert scanpod("policy", "check", scope, "--at", "soon").returncode == 2


def test_without_a_file_the_built_in_scope_is_asked(scanpod):
    assert scanpod("policy", "check", "10.1.2.3").returncode == 0
    done = scanpod("policy", "check", "8.8.8.8")
    assert done.returncode == 6 and "SCANPOD_SCOPE_FILE" in done.stdout
    shown = json.loads(scanpod("policy", "show", "-o", "json", check=True).stdout)
    assert shown["source"] == "built-in" and len(shown["scope"]["allow"]) == 7


def test_a_file_that_others_can_write_is_refused(scanpod, scope):
    scope.chmod(0o666)
    done = scanpod("policy", "check", scope)
    assert done.returncode == 2 and "chmod go-w" in done.stderr


def test_show_has_every_entry(scanpod, scope):
    env = {"SCANPOD_SCOPE_FILE": scope}
    text = scanpod("policy", "show", env=env, check=True).stdout
    for part in ("10.20.0.0/16", "J. Doe", "payment", "localhost in 127.0.0.0/8, ::1", "night", "T:1-1024"):
        assert part in text
    shown = json.loads(scanpod("policy", "show", "-o", "json", env=env, check=True).stdout)
    assert [k["key"] for k in shown["keys"]] == ["owl"]


def test_an_edit_takes_the_place_with_owner_and_mode(scanpod, scope, workdir):
    if os.geteuid() == 0:
        os.chown(scope, 12345, 54321)
    before = scope.stat()
    env = editor(workdir, 'sed -i s/payment/payments/ "$1"\n')
    scanpod("policy", "edit", scope, env=env, check=True)
    after = scope.stat()
    assert "payments" in scope.read_text()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    assert not copies(scope)


def test_an_edit_through_a_link_changes_the_file_behind_it(scanpod, scope, workdir):
    link = workdir / "link.yaml"
    link.symlink_to(scope)
    scanpod("policy", "edit", link, env=editor(workdir, 'echo "# x" >>"$1"\n'), check=True)
    assert link.is_symlink() and scope.read_text().endswith("# x\n")


def test_a_wrong_edit_changes_nothing_and_is_kept(scanpod, scope, workdir):
    done = scanpod("policy", "edit", scope, env=editor(workdir, 'echo "nonsense: 1" >>"$1"\n'))
    (kept,) = copies(scope)
    assert done.returncode == 2 and "unknown key 'nonsense'" in done.stderr and kept.name in done.stderr
    assert scope.read_text() == SCOPE and "nonsense" in kept.read_text()


def test_an_edit_is_refused_if_the_file_changed_meanwhile(scanpod, scope, workdir):
    env = editor(workdir, f'echo "# mine" >>"$1"; echo "# theirs" >>{scope}\n')
    done = scanpod("policy", "edit", scope, env=env)
    assert done.returncode == 1 and "changed by somebody else" in done.stderr
    assert scope.read_text().endswith("# theirs\n") and len(copies(scope)) == 1


@pytest.mark.parametrize("script", ["exit 0\n", "exit 3\n", "kill -9 $$\n"])
def test_an_edit_without_a_change_leaves_no_copy(scanpod, scope, workdir, script):
    done = scanpod("policy", "edit", scope, env=editor(workdir, script))
    assert done.returncode == (0 if script == "exit 0\n" else 2)
    assert scope.read_text() == SCOPE and not copies(scope)


def test_a_new_file_begins_with_an_example_that_is_right(scanpod, workdir):
    new = workdir / "new.yaml"
    scanpod("policy", "edit", new, env=editor(workdir, 'echo "# mine" >>"$1"\n'), check=True)
    scanpod("policy", "check", new, "127.0.0.1", check=True)
    assert stat.S_IMODE(new.stat().st_mode) == 0o644


def test_an_editor_is_words_and_no_shell(scanpod, scope, workdir):
    env = {"VISUAL": f"touch {workdir}/a;touch"}
    scanpod("policy", "edit", scope, env=env)
    assert (workdir / "a;touch").exists() and not (workdir / "a").exists()
    assert scanpod("policy", "edit", scope, env={"VISUAL": "'open"}).returncode == 2
    assert "set EDITOR" in scanpod("policy", "edit", scope, env={"EDITOR": "/no/such"}).stderr
    assert not copies(scope)
