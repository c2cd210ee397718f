"""
The scope file in force: what a server and the command line refuse by it, reading it anew, and what
of it holds while jobs wait. Targets that are not on this machine are submitted to servers without
workers only.
"""

import calendar
import json
import os
import signal
import time

import pytest

from conftest import StartFailed, wait_until

V1 = "/api/v1/scans"
IDLE = {"SCANPOD_MAX_SCAN_WORKERS": "0"}
HERE = "version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/8, note: this machine}\n"
# Says what it was given, in a way that ends up in the job.
TELL = "cat targets /etc/hosts >&2; exit 3\n"


class ScopeFile:
    def __init__(self, path):
        self.path = path

    def write(self, text, mode=0o644):
        self.path.write_text(text)
        self.path.chmod(mode)

    def __str__(self):
        return str(self.path)


@pytest.fixture
def scope(workdir):
    made = ScopeFile(workdir / "scope.yaml")
    made.write(HERE)
    return made


def post(srv, targets, path=V1, key=..., **body):
    return srv.post(path, json={"tool": "nmap", "targets": targets, **body}, key=key)


def refused(srv, targets, rule="policy.scope", **more):
    """The reason; the same on both surfaces, and nothing is stored."""
    r = post(srv, targets, **more)
    assert r.status_code == 403, r.text
    assert r.json()["rule"] == rule
    more = {k: v for k, v in more.items() if k in ("ports", "arguments", "key")}
    old = post(srv, targets, path="/scans", **more)
    assert (old.status_code, old.json()) == (403, {"detail": r.json()["detail"]})
    return r.json()["detail"]


def accepted(srv, targets, **more):
    r = post(srv, targets, **more)
    assert r.status_code == 202, r.text
    return r.json()["id"]


def job(srv, job_id):
    return srv.get(f"{V1}/{job_id}").json()


def ended(srv, job_id, seconds=30):
    def look():
        j = job(srv, job_id)
        return j if j["completed_at"] else None

    return wait_until(look, seconds, f"the end of {job_id}")


def told(srv, targets, **more):
    """What TELL was given: lines of the target file, lines of /etc/hosts."""
    j = ended(srv, accepted(srv, targets, retries=0, **more))
    assert (j["state"], j["exit_status"]) == ("failed", 3), j
    lines = j["stderr"].splitlines()
    return [x for x in lines if len(x.split()) == 1], [x for x in lines if len(x.split()) > 1]


def reload(srv):
    r = srv.post("/api/v1/policy/reload")
    assert r.status_code == 200, r.text
    return r.json()


def hang_up(srv, event):
    """SIGHUP, and the line of the log that says how it went."""
    before = srv.log().count(event)
    os.kill(srv.pid, signal.SIGHUP)
    wait_until(lambda: srv.log().count(event) > before, what=event)
    return srv.log().rsplit(event, 1)[1].splitlines()[0]


def in_force(srv):
    return srv.get("/api/v1/policy").json()


def new_key(srv, name, **body):
    r = srv.post("/api/v1/keys", json={"name": name, **body})
    assert r.status_code == 201, r.text
    return r.json()["key"]


# ---------------------------------------------------------------- refusals


def test_the_flag_names_the_file_and_refusals_name_rule_and_fix(make_server, scope):
    srv = make_server(env=IDLE, args=["--scope", str(scope)])
    assert in_force(srv)["source"] == str(scope)
    detail = refused(srv, "10.213.77.1")
    assert detail.startswith("10.213.77.1 is not allowed: no entry of scope.allow covers it")
    assert str(scope) in detail and "add" in detail
    assert "203.0.113.0/25" in refused(srv, "127.0.0.1 203.0.113.0/25")
    assert post(srv, "127.0.0.1", path="/scans").status_code == 202
    assert job(srv, accepted(srv, "127.0.0.1"))["scope_rule"] == "allow 127.0.0.0/8 (this machine)"
    actions = [e["action"] for e in srv.get("/api/v1/audit").json()["items"]]
    assert actions.count("scan.refused") == 4 and actions.count("scan.submit") == 2


def test_the_command_line_ends_with_6(make_server, scanpod, fake_nmap, scope, workdir):
    ran = workdir / "ran"
    tool = fake_nmap(script=f"touch {ran}\n")
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=tool)
    here = {"SCANPOD_SCOPE_FILE": scope, "SCANPOD_TOOL_NMAP": tool}
    for done, fix in (
        (scanpod("scan", "203.0.113.7", server=srv), str(scope)),
        (scanpod("scan", "127.0.0.1", "10.213.77.0/24", "--detach", server=srv), str(scope)),
        (scanpod("run", "203.0.113.7", env=here), str(scope)),
        (scanpod("run", "127.0.0.1", "10.213.77.0/24", "-o", "json", env=here), str(scope)),
        (scanpod("run", "203.0.113.7", env={**here, "SCANPOD_SCOPE_FILE": None}), "SCANPOD_SCOPE_FILE"),
    ):
        assert done.returncode == 6, done.stderr
        assert done.stdout == "" and "is not allowed: no entry of scope.allow covers it" in done.stderr
        assert done.stderr.startswith("error: ") and fix in done.stderr
        assert "doctor" not in done.stderr, "nothing is wrong with the machine"
    assert not ran.exists() and srv.get("/scans").json() == []
    broken = scanpod("run", "127.0.0.1", env={**here, "SCANPOD_SCOPE_FILE": "/nonexistent.yaml"})
    assert broken.returncode not in (0, 6) and "/nonexistent.yaml" in broken.stderr


@pytest.mark.parametrize(
    "target",
    [
        "127.1", "127.0.1", "1", "0", "2130706433", "0x7f000001", "0x7f.0.0.1", "127.0.0.0x1",
        "0177.0.0.1", "010.0.0.1", "127.0.0.01", "017700000001", "127.0.0.1.", "127.0.0.1/08",
        "127.0.0.1/-1", "127.0.0.1/33", "::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:203.0.113.7",
        "0:0:0:0:0:ffff:10.0.0.1", "::ffff:0:0/96", "[::1]", "::1%lo", "::1/129", "١٢٧.0.0.1",
        "127。0。0。1", "127.0.0.1\u200b", "localhost:80", "http://127.0.0.1/",
    ],
)  # fmt: skip
def test_no_other_spelling_of_an_address_is_taken(server, scanpod, target):
    for path in (V1, "/scans", "/api/v1/policy/check"):
        r = post(server, target, path=path)
        assert r.status_code == 422, f"{path}: {r.text}"
        r = post(server, f"127.0.0.1 {target}", path=path)
        assert r.status_code == 422, f"{path}: {r.text}"
    assert scanpod("run", "--", target).returncode == 2


@pytest.mark.parametrize(
    "target, says",
    [
        ("64:ff9b::7f00:1", "64:ff9b::/96"),
        ("2002:7f00:1::", "2002::/16"),
        ("2001:0:7f00:1::", "2001::/32"),
        ("::", "::"),
        ("0.0.0.0", "0.0.0.0"),
        ("169.254.169.254", "169.254"),
        ("100.100.100.200", "100.100.100.200"),
        ("fd00:ec2::254", "fd00:ec2::254"),
        ("fe80::1", "fe80::"),
        ("224.0.0.1", "224.0.0"),
        ("ff02::1", "ff"),
        ("255.255.255.255", "255.255.255.255"),
    ],
)
def test_a_wide_entry_does_not_lift_hard_denials(make_server, scope, target, says):
    scope.write("version: 1\nscope:\n  allow:\n    - {target: 0.0.0.0/0}\n    - {target: '::/0'}\n")
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    assert says in refused(srv, target)
    assert "127.0.0.1" in refused(srv, "127.0.0.1")
    accepted(srv, "203.0.113.7")
    accepted(srv, "2001:db8::1")


# ---------------------------------------------------------------- the file


BAD = {
    "no YAML": ("version: [1\n", r":2:1: "),
    "a text": ("hello\n", ":1:1: "),
    "empty": ("", ""),
    "unknown key": ("version: 1\nscop: {}\n", ":2:1: unknown key 'scop'"),
    "another version": ("version: 2\nscope: {allow: []}\n", ":1:10: "),
    "no scope": ("version: 1\n", "'scope' is missing"),
    "twice": (HERE + "version: 1\n", ":5:1: 'version' is given twice"),
    "alias": ("version: 1\nscope:\n  allow:\n    - &a {target: 10.0.0.1}\n    - *a\n", ":4:7: "),
    "tag": ("version: !!int 1\nscope: {allow: []}\n", ":1:10: "),
    "two documents": (HERE + "---\n" + HERE, ":5:1: "),
    "bits": (HERE + "    - {target: 10.0.0.1/8}\n", ":5:16: '10.0.0.1/8' has bits behind the prefix"),
    "octal": (HERE + "    - {target: 010.0.0.1}\n", ":5:16: "),
    "mapped": (HERE + "    - {target: '::ffff:10.0.0.1'}\n", ":5:16: "),
    "a name alone": (HERE + "    - {target: www.example.org}\n", ":5:16: a host name needs 'within'"),
    "allowed and denied": (
        HERE + "  deny:\n    - {target: 127.0.0.0/8}\n",
        ":6:7: 127.0.0.0/8 is in scope.deny here and in scope.allow in line 4",
    ),
    "a denial that ends": (HERE + "  deny:\n    - {target: 127.0.0.9, expires: 2030-01-01}\n", ":6:"),
    "no such day": (HERE + "    - {target: 10.0.0.1, expires: 2027-02-30}\n", ":5:"),
    "no such policy": (HERE + "keys:\n  - {key: k, policy: p}\n", "there is no policy 'p'"),
    "never open": (HERE + "policies:\n  - {name: p, windows: [\"Mon 10:00-10:00\"]}\n", "never opens"),
    "ports": (HERE + "policies:\n  - {name: p, ports: \"1-99999\"}\n", ":6:22: "),
    "limits": (HERE + "policies:\n  - {name: p, limits: {wall_s: 0}}\n", ":6:"),
    "large": (HERE + "#" * (1 << 20) + "\n", "larger than 1 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_file_stops_the_start_and_changes_nothing_later(make_server, scope, what):
    text, says = BAD[what]
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    before = in_force(srv)

    scope.write(text)
    r = srv.post("/api/v1/policy/reload")
    assert r.status_code == 422, r.text
    assert f"{scope}" in r.json()["detail"] and says in r.json()["detail"]
    assert "stays in force" in r.json()["hint"]
    line = hang_up(srv, "policy_not_reloaded")
    assert str(scope) in line
    assert in_force(srv) == before
    assert accepted(srv, "127.0.0.1") and "10.0.0.1" in refused(srv, "10.0.0.1")

    srv.stop()
    with pytest.raises(StartFailed) as failed:
        srv.start()
    assert failed.value.status == 2
    last = failed.value.log.splitlines()[-1]
    assert last.startswith("error: cannot start: ") and str(scope) in last and says in last


def test_a_file_that_others_could_have_written_is_none(make_server, scope, need_root):
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    for spoil, mend, says in (
        (lambda: scope.path.chmod(0o666), lambda: scope.path.chmod(0o644), "chmod go-w"),
        (lambda: scope.path.chmod(0o664), lambda: scope.path.chmod(0o644), "chmod go-w"),
        (lambda: os.chown(scope.path, 12345, 0), lambda: os.chown(scope.path, 0, 0), "12345"),
        (lambda: scope.path.chmod(0o600), lambda: scope.path.chmod(0o644), "ermission denied"),
        (lambda: scope.path.unlink(), lambda: scope.write(HERE), "o such file"),
        (lambda: (scope.path.unlink(), scope.path.mkdir()),
         lambda: (scope.path.rmdir(), scope.write(HERE)), str(scope)),
        (lambda: (scope.path.unlink(), os.mkfifo(scope.path, 0o644)),
         lambda: (scope.path.unlink(), scope.write(HERE)), str(scope)),
    ):  # fmt: skip
        spoil()
        r = srv.post("/api/v1/policy/reload")
        assert r.status_code == 422 and says in r.json()["detail"], r.text
        accepted(srv, "127.0.0.1")
        srv.stop()
        with pytest.raises(StartFailed) as failed:
            srv.start()
        assert says in failed.value.log.splitlines()[-1]
        mend()
        srv.start()


def test_what_expires_allows_nothing_more_and_says_when_it_did(make_server, scope, scanpod):
    soon = time.time() + 3
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon))
    scope.write(HERE + f"    - {{target: 10.213.77.0/24, note: lab, expires: '{at}'}}\n"
                "    - {target: 10.213.78.0/24, expires: 2020-12-31}\n")  # fmt: skip
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    accepted(srv, "10.213.77.1")
    detail = refused(srv, "10.213.78.1")
    assert "10.213.78.0/24" in detail and "expired at 2021-01-01T00:00:00Z" in detail
    assert "line 6" in detail or f"{scope}:6" in detail, detail
    wait_until(lambda: post(srv, "10.213.77.1").status_code == 403, 10, "the entry to expire")
    assert time.time() >= calendar.timegm(time.strptime(at, "%Y-%m-%dT%H:%M:%SZ"))
    assert f"expired at {at}" in refused(srv, "10.213.77.1")
    assert any(e.get("expired") for e in in_force(srv)["scope"]["allow"])
    done = scanpod("policy", "check", scope)
    assert done.returncode == 0 and done.stderr.count("expired") == 2


@pytest.mark.parametrize("how", ["signal", "api"])
def test_a_file_is_read_anew_while_jobs_run(make_server, scope, fake_nmap, how):
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap("hang"))
    running = accepted(srv, "127.0.0.1")
    wait_until(lambda: job(srv, running)["state"] == "running", what="the scan")
    scope.write("version: 1\nscope:\n  allow:\n    - {target: 10.213.77.0/24, note: lab}\n")
    assert "127.0.0.0/8" in json.dumps(in_force(srv)), "not before it is asked for"
    if how == "signal":
        hang_up(srv, "policy_reloaded")
    else:
        assert reload(srv) == in_force(srv)
    assert "127.0.0.1" in refused(srv, "127.0.0.1") and "lab" in json.dumps(in_force(srv))
    assert job(srv, running)["state"] == "running"
    assert srv.post(f"{V1}/{running}/cancel?wait=30").json()["state"] == "cancelled"
    entries = [e for e in srv.get("/api/v1/audit").json()["items"] if e["action"] == "policy.reload"]
    assert len(entries) == (1 if how == "api" else len(entries))


def test_a_job_that_waited_is_judged_again_before_it_runs(make_server, scope, fake_nmap, workdir):
    ran = workdir / "ran"
    workdir.chmod(0o777)
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope, "SCANPOD_MAX_SCAN_WORKERS": "1"},
                      tool=fake_nmap(script=f"case $(cat targets) in *127.0.0.9*) touch {ran};; esac\n"
                                            "sleep 1000 & wait\n"))  # fmt: skip
    first = accepted(srv, "127.0.0.1")
    second = accepted(srv, "127.0.0.9")
    wait_until(lambda: job(srv, first)["state"] == "running", what="the first scan")
    scope.write(HERE + "  deny:\n    - {target: 127.0.0.9, note: payment}\n")
    reload(srv)
    srv.post(f"{V1}/{first}/cancel?wait=30")
    j = ended(srv, second)
    assert (j["state"], j["reason"], j["attempts"]) == ("failed", "refused", 1), j
    assert "payment" in j["error"] and not ran.exists()


# ---------------------------------------------------------------- targets


def test_two_thousand_targets_are_judged_one_by_one(make_server, scope, fake_nmap):
    scope.write(HERE + "  deny:\n    - {target: 127.7.7.7}\n")
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap(script=(
        "sort -u targets | wc -l >&2\ngrep -vcE '^127[.][0-9]+[.][0-9]+[.][0-9]*[13579]$' targets >&2\n"
        "exit 3\n")))  # fmt: skip
    many = [f"127.7.{8 + i // 125}.{2 * (i % 125) + 1}" for i in range(2000)]
    done = ended(srv, accepted(srv, many, retries=0))
    assert done["stderr"].split() == ["2000", "0"], done
    for place in (0, 1000, 2000):
        detail = refused(srv, " ".join(many[:place] + ["127.7.7.7"] + many[place:]))
        assert detail.startswith("127.7.7.7 is not allowed: scope.deny has 127.7.7.7, line 6")
    check = srv.post("/api/v1/policy/check", json={"targets": many, "ports": "1-10"}).json()
    assert check["allowed"] and (check["targets"], check["ports"]) == (2000, 10)
    clipped = accepted(srv, many[:1000] + ["127.7.7.7"] + many[1000:], clip=True, retries=0)
    assert ended(srv, clipped)["stderr"].split() == ["2000", "0"]


OVERLAP = """\
version: 1
scope:
  allow:
    - {target: 127.0.0.0/8, note: wide}
    - {target: 127.0.9.0/24, note: narrow}
    - {target: 127.0.8.0-127.0.10.255, note: across}
  deny:
    - {target: 127.0.9.4/30, note: first}
    - {target: 127.0.9.6-127.0.9.9, note: second}
    - {target: 127.0.9.128/25, note: third}
"""


def test_where_entries_overlap_a_denial_wins(make_server, scope, fake_nmap):
    scope.write(OVERLAP)
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap(script=TELL))
    for target, first, note in (
        ("127.0.9.0/24", "127.0.9.4", "first"),
        ("127.0.9.6", "127.0.9.6", "first"),
        ("127.0.9.8-20", "127.0.9.8", "second"),
        ("127.0.8-9.255", "127.0.9.255", "third"),
        ("127.0.0.0/16", "127.0.9.4", "first"),
    ):
        detail = refused(srv, target)
        assert detail.startswith(first) and f"({note})" in detail, detail
    assert "+2 more" in job(srv, accepted(srv, "127.0.9.1"))["scope_rule"]
    lines, _ = told(srv, "127.0.9.2-11", clip=True)
    assert sorted(lines) == ["127.0.9.10", "127.0.9.11", "127.0.9.2", "127.0.9.3"] or sorted(lines) == [
        "127.0.9.10/31", "127.0.9.2/31"], lines  # fmt: skip
    assert "127.0.9.4" in refused(srv, "127.0.9.4-9", clip=True)


def test_ipv6_has_a_scope_too(make_server, scope, fake_nmap):
    scope.write(
        "version: 1\nscope:\n  allow:\n    - {target: '::1'}\n    - {target: 'fd77:1::/64', note: lab}\n"
        "    - {target: 'fd77:2::1-fd77:2::ff'}\n  deny:\n    - {target: 'fd77:1::bad:0/112', note: pay}\n"
    )
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    assert "lab" in job(srv, accepted(srv, "fd77:1::1"))["scope_rule"]
    accepted(srv, "fd77:1:0:0:0:0:0:1 FD77:2::A0/124")
    assert "(pay)" in refused(srv, "fd77:1::bad:7")
    assert "(pay)" in refused(srv, "FD77:0001:0000:0000:0000:0000:0bad:0000/120")
    assert refused(srv, "fd77:2::/120").startswith("fd77:2:: is not allowed")
    assert refused(srv, "fd77:2::f0/116").startswith("fd77:2::")
    assert refused(srv, "fd77:3::1").startswith("fd77:3::1 is not allowed")
    assert refused(srv, "127.0.0.1").startswith("127.0.0.1 is not allowed")
    assert post(srv, "::1 127.0.0.1").status_code == 422
    srv.stop()
    srv.env.pop("SCANPOD_MAX_SCAN_WORKERS")
    srv.env["SCANPOD_TOOL_NMAP"] = str(fake_nmap(script=TELL))
    srv.start()
    lines, _ = told(srv, "0:0:0:0:0:0:0:1")
    assert lines == ["::1"]


def test_a_name_is_pinned_and_the_tool_asks_nobody(make_server, scope, fake_nmap):
    scope.write("version: 1\nscope:\n  allow:\n    - {target: localhost, within: [127.0.0.0/8, '::1']}\n")
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap(script=TELL))
    lines, hosts = told(srv, "LocalHost")
    assert [x.lower() for x in lines] == ["localhost"]
    pins = job(srv, accepted(srv, "localhost"))["pins"]["localhost"]
    assert "127.0.0.1" in pins
    assert sorted(x.split()[0] for x in hosts if "localhost" in x.split()) == sorted(pins)
    # Only by its name: the entry is no door for the address.
    assert "127.0.0.1" in refused(srv, "127.0.0.1")
    scope.write("version: 1\nscope:\n  allow:\n    - {target: localhost, within: [192.0.2.0/24]}\n")
    reload(srv)
    detail = refused(srv, "localhost")
    assert "localhost resolves to 127.0.0.1, which is not in 'within'" in detail
    scope.write(HERE + "  deny:\n    - {target: localhost, note: by name}\n")
    reload(srv)
    assert "scope.deny has it, line 6" in refused(srv, "localhost")
    accepted(srv, "127.0.0.1")


# ---------------------------------------------------------------- policies of keys


KEYS = HERE + """\
    - {target: 10.213.0.0/16}
policies:
  - {name: default, scripts: none}
  - {name: narrow, targets: [127.0.0.0/24, 10.213.77.0/24], ports: "T:1-1024,U:53", max_addresses: 16,
     max_probes: 10000, options: standard, scripts: safe}
  - {name: other, tools: [zmap]}
  - {name: wide, options: advanced, scripts: aggressive, script_flags: [brute]}
keys:
  - {key: owl, policy: narrow}
  - {key: cat, policy: other}
  - {key: dog, policy: wide}
"""


@pytest.fixture(scope="module")
def keyed(scanpod_bin, _session_dir, fake_nmap):
    from conftest import _Factory, _new_dir

    home = _new_dir(_session_dir, "keyed")
    made = ScopeFile(home / "scope.yaml")
    made.write(KEYS)
    factory = _Factory(scanpod_bin, home, fake_nmap)
    srv = factory(env={**IDLE, "SCANPOD_SCOPE_FILE": made})
    srv.keys = {name: new_key(srv, name) for name in ("owl", "cat", "dog", "plain")}
    yield srv
    factory.finish()


@pytest.mark.parametrize(
    "key, targets, more, rule, says",
    [
        ("owl", "127.0.0.1", {"ports": "22,U:53"}, None, ""),
        ("owl", "10.213.77.0/28", {"ports": "1-6"}, None, ""),
        ("owl", "10.213.78.1", {"ports": "22"}, "policy.scope", "not among the 'targets' of policy 'narrow'"),
        ("owl", "203.0.113.1", {"ports": "22"}, "policy.scope", "no entry of scope.allow covers it"),
        ("owl", "127.0.0.1", {}, "policy.scope", "name the ports to scan"),
        ("owl", "127.0.0.1", {"ports": "22,8080"}, "policy.scope", "does not allow port T:8080"),
        ("owl", "127.0.0.1", {"ports": "1-2000"}, "policy.scope", "does not allow port T:1025"),
        ("owl", "127.0.0.0/27", {"ports": "22"}, "policy.scope", "allows 16 addresses in one scan, these are 32"),
        ("owl", "127.0.0.0/28", {"ports": "1-1000"}, "policy.scope", "allows 10000 probes"),
        ("owl", "127.0.0.1", {"ports": "22", "arguments": "--script=ssh-hostkey"}, None, ""),
        ("owl", "127.0.0.1", {"ports": "22", "arguments": "--script=ssh-brute"}, "policy.options", "ssh-brute"),
        ("owl", "127.0.0.1", {"ports": "22", "arguments": "-g 53"}, "policy.options", "-g"),
        ("cat", "127.0.0.1", {}, "policy.scope", "does not allow the tool nmap"),
        ("dog", "127.0.0.1", {"arguments": "--script=ssh-brute"}, None, ""),
        ("dog", "10.213.77.1", {"arguments": "-g 53"}, None, ""),
        ("plain", "127.0.0.1", {"ports": "8080"}, None, ""),
        ("plain", "127.0.0.1", {"arguments": "--script=ssh-hostkey"}, "policy.options", "the policy has 'scripts: none'"),
        ("plain", "127.0.0.1", {"arguments": "-sC"}, "policy.options", ""),
    ],
)  # fmt: skip
def test_a_key_may_what_its_policy_says(keyed, key, targets, more, rule, says):
    r = post(keyed, targets, key=keyed.keys[key], **more)
    check = post(keyed, targets, path="/api/v1/policy/check", key=keyed.keys[key], **more).json()
    if rule:
        assert r.status_code == 403, r.text
        assert r.json()["rule"] == rule and says in r.json()["detail"], r.text
        assert not check["allowed"] and (check["rule"], check["detail"]) == (rule, r.json()["detail"])
    else:
        assert r.status_code == 202, r.text
        assert check["allowed"] and check["rule"] is None
    names = {"owl": "narrow", "cat": "other", "dog": "wide", "plain": "default"}
    assert check["policy"] == names[key]


def test_a_policy_can_name_a_key_by_its_id(make_server, scope):
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    key = new_key(srv, "by-id")
    (row,) = [k for k in srv.get("/api/v1/keys").json()["items"] if k["name"] == "by-id"]
    scope.write(HERE + "policies:\n  - {name: p, max_addresses: 1}\n"
                f"keys:\n  - {{key: '{row['id']}', policy: p}}\n")  # fmt: skip
    reload(srv)
    assert "allows 1 addresses" in refused(srv, "127.0.0.0/31", key=key)
    accepted(srv, "127.0.0.0/31")


def test_one_key_runs_so_many_scans_at_a_time_and_others_go_on(make_server, scope, fake_nmap):
    scope.write(HERE + "policies:\n  - {name: p, max_concurrent: 1}\nkeys:\n  - {key: owl, policy: p}\n")
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap("hang"))
    owl, cat = new_key(srv, "owl"), new_key(srv, "cat")
    first, second = (accepted(srv, "127.0.0.1", key=owl) for _ in range(2))
    wait_until(lambda: job(srv, first)["state"] == "running", what="the first")
    others = [accepted(srv, "127.0.0.1", key=cat) for _ in range(2)]
    wait_until(lambda: all(job(srv, j)["state"] == "running" for j in others), what="the others")
    assert job(srv, second)["state"] == "queued"
    srv.post(f"{V1}/{first}/cancel?wait=30")
    wait_until(lambda: job(srv, second)["state"] == "running", what="the second, now alone")
    third = accepted(srv, "127.0.0.1", key=owl)
    scope.write(HERE)
    reload(srv)
    wait_until(lambda: job(srv, third)["state"] == "running", what="the third, when nothing forbids it")


def test_a_quota_of_waiting_jobs_is_a_429_on_both_surfaces(make_server):
    srv = make_server(env=IDLE)
    key = new_key(srv, "few", quota={"waiting": 2, "addresses_per_day": 1000})
    detail = refused(srv, "127.0.0.0/22", rule="key.quota", key=key)
    assert "1000 addresses" in detail
    accepted(srv, "127.0.0.1", key=key)
    accepted(srv, "127.0.0.1", key=key)
    for path in (V1, "/scans"):
        r = post(srv, "127.0.0.1", path=path, key=key)
        assert r.status_code == 429 and int(r.headers["Retry-After"]) > 0, r.text
        assert "has 2 jobs waiting, which is its quota" in r.json()["detail"]
    mine = [j["id"] for j in srv.get(V1).json()["items"]]
    srv.post(f"{V1}/{mine[0]}/cancel?wait=30")
    accepted(srv, "127.0.0.1", key=key)


# ---------------------------------------------------------------- windows


def minute(offset_s):
    return time.strftime("%H:%M", time.gmtime(time.time() + offset_s))


def windowed(*windows):
    text = ", ".join(f'"{w}"' for w in windows)
    return HERE + f"policies:\n  - {{name: default, windows: [{text}]}}\n"


@pytest.mark.seconds(240)
def test_a_job_outside_its_window_waits_and_runs_when_it_opens(make_server, scope, fake_nmap):
    opens = minute(65)
    if opens == "00:00":
        opens = minute(125)  # a window is written for one day
    scope.write(windowed(f"Mon-Sun {opens}-{minute(7200)}"))
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap("ok"))
    made = accepted(srv, "127.0.0.1")
    j = job(srv, made)
    assert j["state"] == "waiting" and j["waiting_until"][11:16] == opens, j
    assert srv.get(f"/scans/{made}").json()["status"] == "pending"
    check = post(srv, "127.0.0.1", path="/api/v1/policy/check").json()
    assert check["allowed"] and check["wait_until"] == j["waiting_until"]
    srv.restart()
    done = ended(srv, made, 150)
    assert done["state"] == "completed" and done["started_at"][11:16] == opens, done
    assert done["attempts"] == 1 and done["started_at"] >= j["waiting_until"]


def test_a_job_that_waits_runs_at_once_when_the_policy_lets_it(make_server, scope, fake_nmap):
    scope.write(windowed(f"Mon-Sun {minute(3600)}-{minute(7200)}"))
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap("ok"))
    waiting, cancelled = accepted(srv, "127.0.0.1"), accepted(srv, "127.0.0.1")
    assert job(srv, waiting)["state"] == "waiting"
    assert srv.post(f"{V1}/{cancelled}/cancel").json()["state"] == "cancelled"
    scope.write(HERE)
    hang_up(srv, "policy_reloaded")
    assert ended(srv, waiting)["state"] == "completed"
    assert job(srv, cancelled)["attempts"] == 0


def test_a_closed_window_ends_no_scan_but_starts_none(make_server, scope, fake_nmap, scanpod):
    srv = make_server(env={"SCANPOD_SCOPE_FILE": scope}, tool=fake_nmap("hang"))
    running = accepted(srv, "127.0.0.1")
    wait_until(lambda: job(srv, running)["state"] == "running", what="the scan")
    scope.write(windowed(f"Mon-Sun {minute(3600)}-{minute(7200)}"))
    reload(srv)
    later = accepted(srv, "127.0.0.1")
    assert job(srv, running)["state"] == "running" and job(srv, later)["state"] == "waiting"
    # A person who starts a scan by hand is not made to wait an hour for it.
    done = scanpod("run", "127.0.0.1", env={"SCANPOD_SCOPE_FILE": scope})
    assert done.returncode == 6 and done.stdout == ""
    assert f"the scan window of policy 'default' is closed until {job(srv, later)['waiting_until'][:19]}Z" in done.stderr
    srv.post(f"{V1}/{running}/cancel?wait=30")


# ---------------------------------------------------------------- the command line


def test_policy_show_asks_the_server_it_is_told(make_server, scanpod, scope):
    srv = make_server(env={**IDLE, "SCANPOD_SCOPE_FILE": scope})
    shown = json.loads(scanpod("policy", "show", "-o", "json", server=srv, check=True).stdout)
    assert shown["source"] == str(scope) and shown == in_force(srv)
    scope.write(HERE + "  deny:\n    - {target: 127.0.0.9, note: payment}\n")
    assert "payment" not in scanpod("policy", "show", server=srv, check=True).stdout
    reload(srv)
    assert "payment" in scanpod("policy", "show", server=srv, check=True).stdout
    look = new_key(srv, "look", scopes=["read"])
    assert srv.post("/api/v1/policy/reload", key=look).status_code == 403
    assert srv.get("/api/v1/policy", key=look).status_code == 200
    assert srv.get("/api/v1/policy", key=None).status_code == 401
