"""What the command line says of limits, scope and confinement, and what it can ask for."""

import json

import pytest

SCOPE = "version: 1\nscope:\n  allow:\n    - {target: 127.0.0.0/30, note: lab}\n"


@pytest.fixture
def scope(workdir):
    path = workdir / "scope.yaml"
    path.write_text(SCOPE)
    path.chmod(0o644)
    return path


def test_limits_and_clip_of_the_command_line_reach_the_job(make_server, scanpod, scope):
    srv = make_server(args=["--scope", scope])
    done = scanpod("scan", "127.0.0.2/31", "127.0.0.8", "-p", "22", "--clip", "--limit",
                   "wall_s=60,rate_pps=500", "--limit", "memory_mb=512", "-o", "json",
                   server=srv, check=True)  # fmt: skip
    job = json.loads(done.stdout)
    assert job["limits"] == {"wall_s": 60, "memory_mb": 512, "rate_pps": 500}
    assert job["clip"] is True

    shown = scanpod("job", "show", job["id"], server=srv, check=True).stdout
    for fact in ("limits       wall_s=60 memory_mb=512 rate_pps=500", "scope        allow 127.0.0.0/30",
                 "network      connections made and checked by the server (broker)", "used "):
        assert fact in shown


def test_without_clip_the_part_outside_is_named(make_server, scanpod, scope):
    srv = make_server(args=["--scope", scope])
    done = scanpod("scan", "127.0.0.2/31", "127.0.0.8", "-p", "22", server=srv)
    assert done.returncode == 6 and "127.0.0.8" in done.stderr


def test_what_was_changed_in_a_request_is_said_with_its_results(make_server, scanpod):
    srv = make_server()
    done = scanpod("scan", "127.0.0.1", "-p", "22", "--arguments", "-sS", server=srv, check=True)
    assert "warning: -sS became -sT" in done.stderr
    here = scanpod("job", "list", "-o", "json", server=srv, check=True)
    shown = scanpod("job", "show", json.loads(here.stdout)[0]["id"], server=srv, check=True)
    assert "note         -sS became -sT" in shown.stdout


@pytest.mark.parametrize(
    "limit, says",
    [
        ("bogus=3", "no such limit: 'bogus'"),
        ("wall_s=x", "limit wall_s"),
        ("memory_mb=1", "from 16 to"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "run"])
def test_a_limit_that_makes_no_sense_is_named(scanpod, command, limit, says):
    done = scanpod(command, "127.0.0.1", "--limit", limit)
    assert done.returncode == 2 and says in done.stderr


def test_policy_check_asks_the_server_it_is_told_and_stores_nothing(make_server, scanpod, scope):
    srv = make_server(args=["--scope", scope])
    done = scanpod("policy", "check", "127.0.0.1", "127.0.0.8", "-p", "22", "--arguments", "-sT",
                   server=srv)  # fmt: skip
    assert done.returncode == 6
    assert "127.0.0.1  allowed" in done.stdout and "level broker" in done.stdout
    assert "127.0.0.8  refused" in done.stdout and "scope.allow" in done.stdout
    told = scanpod("policy", "check", "127.0.0.1", "-o", "json", server=srv, check=True)
    (verdict,) = json.loads(told.stdout)["verdicts"]
    assert verdict["target"] == "127.0.0.1" and verdict["allowed"] is True
    assert json.loads(scanpod("job", "list", "-o", "json", server=srv, check=True).stdout) == []


@pytest.mark.parametrize("flag, value", [("--key", "night"), ("--at", "2027-01-31T22:00:00Z")])
def test_what_a_server_is_not_asked_is_said(server, scanpod, flag, value):
    done = scanpod("policy", "check", "127.0.0.1", flag, value, server=server)
    assert done.returncode == 2 and f"{flag} is for a file" in done.stderr


def test_a_key_that_lacks_a_scope_is_not_the_policys_refusal(make_server, scanpod, scope):
    srv = make_server(args=["--scope", scope])
    key = json.loads(scanpod("key", "create", "reader", "--scopes", "read", "-o", "json",
                             server=srv, check=True).stdout)["key"]  # fmt: skip
    lacking = scanpod("scan", "127.0.0.1", server=srv, env={"SCANPOD_API_KEY": key})
    assert lacking.returncode == 4 and "lacks the scope 'submit:network'" in lacking.stderr
    outside = scanpod("scan", "127.0.0.8", server=srv)
    assert outside.returncode == 6


def test_doctor_says_what_the_running_server_has(make_server, scanpod, scope):
    srv = make_server(args=["--scope", scope])
    checks = json.loads(scanpod("doctor", "--json", server=srv).stdout)["checks"]
    (told,) = [c["detail"] for c in checks if c["check"] == "server"]
    assert "its levels: none" in told and "broker" in told and f"its scope: {scope}" in told


def test_a_tool_that_could_not_load_its_libraries_ran_out_of_memory(
    make_server, scanpod, fake_nmap
):
    tool = fake_nmap(script="echo 'nmap: error while loading shared libraries: libc.so.6: failed to"
                            " map segment from shared object' >&2; exit 127")  # fmt: skip
    srv = make_server(tool=tool, env={"SCANPOD_WITHOUT": "nft,cgroup"})
    done = scanpod("scan", "127.0.0.1", "--retries", "0", "-o", "json", server=srv)
    job = json.loads(done.stdout)
    assert done.returncode == 3 and job["reason"] == "limit"
    assert job["sandbox"]["limit"] == "oom" and job["sandbox"]["limit_certain"] is False
