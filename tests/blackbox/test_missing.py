"""
Machines that lack something, simulated by `--without`: the level below is taken and named in the
result, or the scan is refused with the reason. Targets beyond loopback are scanned by stand-ins,
which send nothing, in a network namespace that is gone afterwards.
"""

import json
import os
import subprocess

import pytest

from conftest import clean_env, wait_until

V1 = "/api/v1/scans"
LAB = """
mount -t sysfs sysfs /sys && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 &&
ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 10.88.0.1/24 dev d0 &&
ip link set d0 up && ip link set d1 up && ip route add default via 10.88.0.254 && exec "$@"
"""
# A file that every user can read, and that no tool has a reason to.
TELL = 'echo "$0" >&2; echo "$*" >&2; exit 3\n'
PEEK = "if cat /etc/passwd >/dev/null 2>&1; then echo seen >&2; else echo hidden >&2; fi\nexit 3\n"


@pytest.fixture
def apart(scanpod_bin, workdir, need_root):
    """apart(*args, tool=, **environment): `scanpod` in a network of its own."""

    def run(*args, tool, **env):
        return subprocess.run(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", LAB, "sh",
             str(scanpod_bin), *args],
            env=clean_env(workdir, SCANPOD_TOOL_NMAP=tool, **env), cwd=workdir, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )  # fmt: skip

    return run


def limits_here(scanpod):
    rows = json.loads(scanpod("doctor", "--json").stdout)["checks"]
    (row,) = [r for r in rows if r["check"] == "sandbox"]
    return row["detail"].removeprefix("boxes at level userns, limits by ")


def result(done, status=0):
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
    return json.loads(done.stdout)


# ---------------------------------------------------------------- loopback


@pytest.mark.parametrize(
    "without, box",
    [
        ("", "userns"),
        ("userns", "namespaces"),
        ("mount", "userns-landlock"),
        ("userns,mount", "namespaces-landlock"),
        ("mount,landlock", "userns-open"),
        ("net", "userns"),
        ("landlock", "userns"),
        ("nft", "userns"),
        ("slirp", "userns"),
        ("nft,slirp,net", "userns"),
        ("cgroup", "userns"),
        ("privilege", "userns"),
        ("userns,privilege", "plain-landlock"),
        ("userns,privilege,landlock", "plain-open"),
    ],
)
def test_loopback_is_scanned_as_confined_as_can_be(scanpod, fake_nmap, need_root, without, box):
    env = {"SCANPOD_TOOL_NMAP": fake_nmap("ok")}
    j = result(scanpod("run", "127.0.0.1", "-o", "json", "--without", without, env=env))
    limits = "rlimit" if "cgroup" in without else limits_here(scanpod)
    assert j["state"] == "completed" and j["confinement"] == f"{box}+broker+{limits}"
    name, _, files = box.partition("-")
    report = j["sandbox"]
    assert (report["box"], report["files"], report["egress"]) == (name, files or "view", "broker")
    assert not report["raw_sockets"]


@pytest.mark.parametrize(
    "without, sees",
    [
        ("", "hidden"),
        ("userns", "hidden"),
        ("mount", "hidden"),
        ("userns,privilege", "hidden"),
        ("mount,landlock", "seen"),
        ("userns,privilege,landlock", "seen"),
    ],
)
def test_what_is_said_of_files_is_true(scanpod, fake_nmap, need_root, without, sees):
    env = {"SCANPOD_TOOL_NMAP": fake_nmap(script=PEEK)}
    j = result(scanpod("run", "127.0.0.1", "--tool", "nmap", "-o", "json", "--without", without, env=env), 3)
    assert (j["stderr"].strip(), j["sandbox"]["files"] == "open") == (sees, sees == "seen")


@pytest.mark.parametrize("without", ["notify", "notify,userns", "notify,nft,slirp", "notify,userns,privilege"])
def test_without_notifications_loopback_is_refused_with_the_reason(make_server, scanpod, without):
    srv = make_server(env={"SCANPOD_WITHOUT": without})
    wait_until(lambda: not srv.get("/api/v1/capabilities").json()["sandbox"].get("probing"), what="the probe")
    caps = srv.get("/api/v1/capabilities").json()["sandbox"]
    (broker,) = [x for x in caps["levels"] if x["name"] == "broker"]
    assert not broker["usable"] and "seccomp notification" in broker["why"]
    r = srv.post(V1, json={"tool": "nmap", "targets": "127.0.0.1"})
    assert r.status_code == 403 and r.json()["rule"] == "egress", r.text
    assert "level broker, which is not usable: the kernel does not let" in r.json()["detail"]
    assert srv.post("/scans", json={"targets": "127.0.0.1"}).status_code == 403
    done = scanpod("run", "127.0.0.1", "--without", without)
    assert done.returncode == 6 and "seccomp notification" in done.stderr
    done = scanpod("doctor", "--json", env={"SCANPOD_WITHOUT": without})
    (row,) = [x for x in json.loads(done.stdout)["checks"] if x["check"] == "egress"]
    assert "broker: the kernel does not let" in row["detail"]


def test_unconfined_is_for_those_who_said_so(scanpod, fake_nmap):
    env = {"SCANPOD_TOOL_NMAP": fake_nmap("ok"), "SCANPOD_ALLOW_UNCONFINED": "true"}
    j = result(scanpod("run", "127.0.0.1", "-o", "json", "--without", "notify", env=env))
    assert j["sandbox"]["egress"] == "unconfined" and "+unconfined+" in j["confinement"]
    j = result(scanpod("run", "127.0.0.1", "-o", "json", env=env))
    assert j["sandbox"]["egress"] == "broker", "only where nothing better is to be had"


def test_a_feature_that_nobody_knows_is_refused(scanpod, make_server):
    done = scanpod("run", "127.0.0.1", "--without", "userns,magic")
    assert done.returncode == 2 and "there is no feature 'magic': userns, " in done.stderr


# ---------------------------------------------------------------- elsewhere


@pytest.mark.parametrize(
    "without, confinement, raw",
    [
        ("", "userns+nft", True),
        ("userns", "namespaces+nft", True),
        ("mount", "userns-landlock+nft", True),
        ("mount,landlock", "userns-open+nft", True),
        ("notify", "userns+nft", True),
        ("slirp", "userns+nft", True),
        ("nft", "userns+rootless", True),
        ("nft,notify", "userns+rootless", True),
        ("nft,slirp", "userns+broker", False),
        ("nft,userns", "namespaces+broker", False),
        ("net", "userns+broker", False),
        ("net,mount", "userns-landlock+broker", False),
        ("userns,privilege", "plain-landlock+broker", False),
    ],
)
def test_other_targets_get_the_best_level_that_is_left(apart, fake_nmap, without, confinement, raw):
    done = apart("run", "10.88.0.2", "--arguments", "-sS", "-o", "json", "--without", without,
                 tool=fake_nmap(script=TELL))  # fmt: skip
    j = result(done, 3)
    assert j["confinement"].rsplit("+", 1)[0] == confinement, j["sandbox"]
    assert j["sandbox"]["raw_sockets"] == raw
    words = j["stderr"].split()
    assert ("-sS" in words, "-sT" in words) == (raw, not raw)
    assert any(n.startswith("-sS became -sT") for n in j["sandbox"]["notes"]) == (not raw), j["sandbox"]


@pytest.mark.parametrize(
    "without, reasons",
    [
        ("nft,slirp,notify", ("nft: switched off", "rootless: switched off", "broker: the kernel")),
        ("net,notify", ("nft: network: turned off", "rootless: network", "broker: the kernel")),
        ("userns,privilege,notify", ("nft: userns: turned off", "rootless: userns", "broker: the kernel")),
    ],
)
def test_with_no_level_left_the_scan_is_refused_with_every_reason(apart, fake_nmap, workdir, without, reasons):
    ran = workdir / "ran"
    tool = fake_nmap(script=f"touch {ran}\n")
    done = apart("run", "10.88.0.2", "--without", without, tool=tool)
    assert done.returncode == 6 and "found up" not in done.stderr, done.stderr
    for reason in reasons:
        assert reason in done.stderr
    assert "scanpod doctor" in done.stderr and not ran.exists()


@pytest.mark.parametrize("without", ["nft,slirp", "net", "userns,privilege"])
def test_what_needs_raw_sockets_is_not_turned_into_something_else(apart, fake_nmap, without):
    done = apart("run", "10.88.0.2", "--arguments", "-sU", "--without", without, tool=fake_nmap("ok"))
    assert done.returncode == 6 and "-sU needs raw sockets" in done.stderr, done.stderr


def test_a_stack_that_would_lie_is_not_asked(apart, fake_nmap):
    for option, without, says in (
        ("-sA", "nft", "a user-mode network stack would falsify -sA"),
        ("-O", "nft", "a user-mode network stack would falsify -O"),
    ):
        done = apart("run", "10.88.0.2", "--arguments", option, "--without", without, tool=fake_nmap("ok"))
        assert done.returncode == 6 and says in done.stderr, done.stderr


def test_a_scope_file_named_from_here_is_there_for_every_role(apart, fake_nmap, workdir):
    scope = workdir / "scope.yaml"
    scope.write_text("version: 1\nscope: {allow: [{target: 10.88.0.0/24}]}\n")
    scope.chmod(0o644)
    done = apart("run", "10.88.0.2", "-o", "json", "--scope", "scope.yaml", "--without", "", tool=fake_nmap("ok"))
    assert result(done)["sandbox"]["egress"] == "nft"


# ---------------------------------------------------------------- tools of the operator's own


@pytest.mark.parametrize("without", ["", "userns", "mount", "userns,privilege"])
@pytest.mark.parametrize("way", ["itself", "a link", "a link to a link", "below a link"])
def test_a_tool_outside_the_system_needs_no_further_setting(scanpod, fake_nmap, workdir, without, way):
    place = workdir / "opt/x-1.2"
    place.mkdir(parents=True)
    (workdir / "bin").mkdir()
    real = place / "nmap"
    real.write_text(fake_nmap(script=TELL).read_text())
    real.chmod(0o755)
    (workdir / "opt/x").symlink_to("x-1.2")
    (workdir / "bin/nmap").symlink_to(real)
    (workdir / "bin/other").symlink_to("../bin/../opt/x/nmap")
    tool = {"itself": real, "a link": workdir / "bin/nmap", "a link to a link": workdir / "bin/other",
            "below a link": workdir / "opt/x/nmap"}[way]  # fmt: skip
    env = {"SCANPOD_TOOL_NMAP": tool, "SCANPOD_BOX_PATHS": None}
    j = result(scanpod("run", "127.0.0.1", "--tool", "nmap", "-o", "json", "--without", without, env=env), 3)
    assert j["exit_status"] == 3 and j["stderr"].splitlines()[0] == str(real), j


def test_nothing_beside_the_tool_comes_with_it(scanpod, fake_nmap, workdir):
    (workdir / "beside").write_text("secret\n")
    tool = workdir / "nmap"
    tool.write_text("#!/bin/sh\n" + f"ls {workdir} >&2; cat {workdir}/beside >&2; echo x >>{tool}; exit 3\n")
    tool.chmod(0o755)
    before = tool.read_text()
    env = {"SCANPOD_TOOL_NMAP": tool, "SCANPOD_BOX_PATHS": None}
    j = result(scanpod("run", "127.0.0.1", "--tool", "nmap", "-o", "json", env=env), 3)
    lines = j["stderr"].splitlines()
    assert lines[0] == "nmap" and "secret" not in j["stderr"] and tool.read_text() == before


@pytest.mark.parametrize("what", ["directory", "not to be run", "absent", "a loop"])
def test_what_is_no_program_is_told_and_not_shown(scanpod, workdir, what):
    path = workdir / "nmap"
    if what == "directory":
        path.mkdir()
    elif what == "not to be run":
        path.write_text("#!/bin/sh\nexit 0\n")
        path.chmod(0o644)
    elif what == "a loop":
        path.symlink_to(path)
    env = {"SCANPOD_TOOL_NMAP": path, "SCANPOD_BOX_PATHS": None}
    done = scanpod("run", "127.0.0.1", env=env)
    assert done.returncode != 0 and str(path) in done.stderr, done.stderr
    assert os.path.lexists(path) == (what != "absent")


# ---------------------------------------------------------------- a library that is loaded


def test_without_gnutls_only_tls_is_missing(scanpod_bin, workdir, fake_nmap, need_root):
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in known.stdout.splitlines()]
    hide = " && ".join(f"mount --bind /dev/null {r[-1]}" for r in rows if r[0] == "libgnutls.so.30")
    env = clean_env(workdir, SCANPOD_TOOL_NMAP=fake_nmap("ok"))

    def run(*args):
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{hide} && exec "$@"',
             "sh", str(scanpod_bin), *args],
            env=env, cwd=workdir, text=True, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=60,
        )  # fmt: skip

    init = run("tls", "init", "--dir", str(workdir / "tls"))
    assert init.returncode == 1
    assert "TLS needs GnuTLS" in init.stderr and "apt-get install libgnutls30" in init.stderr
    assert not (workdir / "tls").exists()
    assert result(run("run", "127.0.0.1", "-o", "json"))["state"] == "completed"
