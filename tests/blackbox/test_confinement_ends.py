"""
How confined scans end: by a limit, by a cancel, because a process of the server was killed, or all
of it. A box never outlives its filter, and what one server leaves, the next one removes.
"""

import os
import signal
import time

import pytest

from conftest import alive, descendants, processes_of, wait_until
from lab import IN, OUT
from lab_server import (  # noqa: F401
    NOTHING, SCOPE, dropped, lab, make, script, tool, xml,
)  # fmt: skip

pytestmark = pytest.mark.seconds(120)

# Knocks at both doors for as long as it lives.
BUSY = """trap '' TERM
while :; do
    @tools/hostile tcp_connect --out {there}
    @tools/hostile header_out --in {here} --out {there}
    @tools/hostile frame_gateway --in {here} --out {there}
    echo round
done >&2""".format(here=IN, there=OUT)


@pytest.fixture
def busy(script, scanpod_bin):
    return script(xml(BUSY), programs=[tool(scanpod_bin, "hostile")])


@pytest.fixture
def running(lab, make, busy):
    """running(...) gives a server and a job that knocks."""

    def start(*args, **env):
        server = make(*args, SCANPOD_TOOL_NMAP=busy, **env)
        job = server.submit(IN, ports="80")
        server.wait(job, states=("running",))
        wait_until(lambda: passed_by(lab) > 0, 10, "the tool's first frame")
        return server, job

    return start


def passed_by(lab):
    """Frames that came to a filter's end of any box."""
    seen = 0
    for line in lab.run("host", "nft", "list", "ruleset").stdout.splitlines():
        words = line.split()
        if words[:1] == ["packets"]:
            seen += int(words[1])
    return seen


def mounts(lab):
    return lab.run("host", "cat", "/proc/mounts").stdout


def work_left(server):
    work = server.home / "data/work"
    return sorted(work.iterdir()) if work.exists() else []


def clean(lab, server):
    """Nothing in `host`, nothing in the data directory, no process."""
    return not lab.leftovers() and not work_left(server) and not processes_of(server.home)


# ---------------------------------------------------------------- one process is killed


def test_a_scan_ends_when_its_filters_keeper_is_killed(lab, running):
    server, job = running()
    os.kill(server.role("netd"), signal.SIGKILL)
    done = server.wait(job, seconds=20)
    assert (done["state"], done["reason"]) == ("failed", "sandbox"), done
    assert done["error"].startswith("sandbox failed: "), done["error"]
    assert lab.witness() == NOTHING
    links = lambda: [one for one in lab.leftovers() if not one.startswith("table")]
    wait_until(lambda: not links(), 5, "the links' end")

    levels = {one["name"]: one for one in server.caps()["levels"]}
    assert not levels["nft"]["usable"] and "netd" in levels["nft"]["why"], levels
    said = server.refused(IN, arguments="-sU", ports="53")
    assert "netd" in said, said
    assert lab.forwarding() == "0" or "scanpod" in "".join(lab.tables())

    server.env["SCANPOD_TOOL_NMAP"] = "/usr/bin/nmap"
    assert server.stop() == 0
    server.start()
    after = server.scan(IN, arguments="-sS", ports="22")
    assert after["state"] == "completed" and after["sandbox"]["egress"] == "nft", after
    # make() finds that the tables of both are gone


@pytest.mark.parametrize("ms", [0, 4, 9, 15, 25])
def test_whenever_the_filters_keeper_is_killed_no_scan_hangs_or_leaks(lab, make, busy, ms):
    server = make("--kill-grace-ms", "100", SCANPOD_TOOL_NMAP=busy)
    netd = server.role("netd")
    jobs = [server.submit(IN, ports="80") for _ in range(3)]
    time.sleep(ms / 1000)  # a way is made in some five milliseconds
    os.kill(netd, signal.SIGKILL)
    time.sleep(1)
    for job in jobs:
        now = server.job(job)
        if now["state"] == "running":  # it started after that, at the level below
            server.request("POST", f"/api/v1/scans/{job}/cancel?wait=20")
            now = server.wait(job)
            assert now["sandbox"]["egress"] == "broker", now
        else:
            assert (now["state"], now["reason"]) == ("failed", "sandbox"), now
    assert lab.witness() == NOTHING
    assert server.stop() == 0
    server.start()


@pytest.mark.parametrize("ms", [0, 4, 9])
def test_a_cancel_that_comes_with_the_keepers_end_is_a_cancel(lab, make, busy, ms):
    server = make("--kill-grace-ms", "100", SCANPOD_TOOL_NMAP=busy)
    jobs = [server.submit(IN, ports="80") for _ in range(3)]
    time.sleep(ms / 1000)
    os.kill(server.role("netd"), signal.SIGKILL)
    for job in jobs:
        server.request("POST", f"/api/v1/scans/{job}/cancel?wait=20")
        now = server.wait(job)
        assert (now["state"], now["reason"]) in (("failed", "sandbox"), ("cancelled", "cancelled"))
    assert lab.witness() == NOTHING
    assert server.stop() == 0
    server.start()


def test_without_netd_the_server_goes_on_with_what_is_left(lab, make):
    server = make()
    os.kill(server.role("netd"), signal.SIGKILL)
    wait_until(lambda: "netd" in str(server.caps()), 10, "the news")
    loopback = server.scan("127.0.0.1", ports="22")
    assert loopback["state"] == "completed", loopback
    there = server.scan(IN, arguments="-sS", ports="22,80")
    assert there["state"] == "completed" and there["sandbox"]["egress"] == "broker", there
    assert any("-sT" in note for note in there["sandbox"]["notes"]), there["sandbox"]
    assert server.stop() == 0
    server.start()


def test_the_server_ends_with_its_runner_and_the_job_is_done_by_the_next(lab, running, script):
    server, job = running()
    tree = descendants(server.proc.pid)
    os.kill(server.role("runner"), signal.SIGKILL)
    status = server.proc.wait(20)
    assert status not in (0, -signal.SIGKILL), status
    assert "runner_gone" in server.log()
    wait_until(lambda: not [p for p, start in tree if alive(p, start)], 10, "every process's end")
    wait_until(lambda: clean(lab, server), 10, f"nothing left: {lab.leftovers()}")
    assert lab.forwarding() == "0" and lab.witness() == NOTHING
    server.proc = None
    script()  # from now on the tool is a well-behaved one
    server.start()
    assert server.wait(job)["state"] == "completed"


@pytest.mark.parametrize("who", ["server", "all"])
def test_nothing_is_left_after_a_hard_kill(lab, make, running, script, who):
    server = make("--max-scan-workers", "0")
    idle = lab.tables()
    assert server.stop() == 0
    server, job = running(home=server.home)
    mounted = mounts(lab)
    if who == "all":
        server.kill_all()
    else:
        server.stop(signal.SIGKILL)
        wait_until(lambda: clean(lab, server), 10, f"nothing left: {lab.leftovers()}")
        assert lab.forwarding() == "0"
    assert lab.witness() == NOTHING
    assert not processes_of(server.home)
    script()
    server.start("--max-scan-workers", "0")
    links = [one for one in lab.leftovers() if not one.startswith("table")]
    assert links == [], "the next server takes them away before anything runs"
    assert lab.tables() == idle
    assert server.stop() == 0
    server.start()
    assert server.wait(job)["state"] == "completed"
    assert server.stop() == 0
    assert clean(lab, server), (lab.leftovers(), work_left(server), processes_of(server.home))
    assert mounts(lab) == mounted
    assert lab.forwarding() == "0"


def test_a_restart_in_the_middle_of_a_scan_leaves_nothing_of_it(lab, running, script):
    server, job = running("--kill-grace-ms", "200")
    assert server.stop() == 0
    assert clean(lab, server), (lab.leftovers(), work_left(server))
    assert lab.forwarding() == "0" and lab.witness() == NOTHING
    script()
    server.start()
    done = server.wait(job)
    assert done["state"] == "completed" and done["sandbox"]["egress"] == "nft", done


def test_a_cancelled_scan_says_what_was_stopped_and_leaves_nothing(lab, running):
    server, job = running("--kill-grace-ms", "100")
    status, _ = server.request("POST", f"/api/v1/scans/{job}/cancel?wait=20")
    assert status in (200, 202)
    done = server.wait(job)
    assert done["state"] == "cancelled" and dropped(done)["out_of_scope"] > 0, done
    wait_until(lambda: len(lab.leftovers()) <= 2, 5, "the way's removal")
    assert not [one for one in lab.leftovers() if not one.startswith("table")]
    assert lab.witness() == NOTHING


# ---------------------------------------------------------------- forwarding


def knock(lab, where, address):
    """A datagram to a port where nobody listens."""
    lab.run(where, "bash", "-c", f"for i in 1 2 3; do echo >/dev/udp/{address}/9; done")


def test_forwarding_is_on_for_boxes_only_and_off_again(lab, running):
    assert lab.forwarding() == "0"
    server, job = running()
    assert lab.forwarding() == "1"
    knock(lab, "in", OUT)
    assert lab.witness() == NOTHING, "the machine is no router for others"
    assert server.stop() == 0
    assert lab.forwarding() == "0"

    lab.run("host", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    knock(lab, "in", OUT)
    seen = lab.witness()["v4"]
    lab.run("host", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
    lab.forget()
    assert seen == 3, "without a guard they do arrive: the test can fail"


def test_forwarding_that_somebody_turned_on_stays_on(lab, make):
    lab.run("host", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    try:
        server = make()
        assert server.scan(IN, ports="22")["sandbox"]["egress"] == "nft"
        assert server.stop() == 0
        assert lab.forwarding() == "1"
    finally:
        lab.run("host", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")


def test_without_forwarding_level_nft_is_refused_with_the_sysctls_name(make):
    server = make("--net-forwarding=false")
    why = {one["name"]: one["why"] for one in server.caps()["levels"]}
    assert "net.ipv4.ip_forward" in why["nft"], why
    below = server.scan(IN, arguments="-sT", ports="22")
    assert below["state"] == "completed" and below["sandbox"]["egress"] in ("rootless", "broker")


# ---------------------------------------------------------------- limits

LIMITS = {
    "fork": ({"processes": 32}, "pids"),
    "memory": ({"memory_mb": 64}, "oom"),
    "disk": ({"disk_mb": 8}, "disk"),
    "inodes": ({"inodes": 64}, "inodes"),
    "sparse": ({"file_mb": 8}, "file_size"),
    "endless": ({"output_mb": 2}, "output"),
    "stubborn": ({"wall_s": 1}, "timeout"),
    "spin": ({"cpu_s": 1}, "cpu"),
}


@pytest.mark.parametrize("way", LIMITS)
def test_the_limit_that_ended_a_scan_is_named(lab, make, script, scanpod_bin, way):
    limits, name = LIMITS[way]
    path = script(f"exec @tools/hostile {way}", programs=[tool(scanpod_bin, "hostile")])
    server = make("--kill-grace-ms", "100", SCANPOD_TOOL_NMAP=path)
    job = server.scan(IN, ports="80", limits=limits)
    report = job["sandbox"]
    assert report["limit"] == name, job
    assert job["limits"] == limits
    assert job["state"] == ("timed_out" if way == "stubborn" else "failed")
    assert job["reason"] == ("timeout" if way == "stubborn" else "limit"), job
    assert name in job["error"] or (way == "stubborn" and "time limit" in job["error"]), job
    usage = report["usage"]
    assert usage["cpu_ms"] >= (500 if way == "spin" else 0) and usage["max_rss_kb"] > 0, usage
    assert usage["output_bytes"] >= (1 << 20 if way == "endless" else 0), usage
    assert report["egress"] == "nft" and report["packets"] is not None, report


@pytest.mark.parametrize("limits", [{"wall_s": 0}, {"unknown": 1}, {"memory_mb": "64"},
                                    {"wall_s": 10**12}, {"inodes": 1}, [], {"processes": -1}])  # fmt: skip
def test_limits_that_cannot_be_are_refused(make, limits):
    server = make("--max-scan-workers", "0")
    assert "limit" in server.refused(IN, ports="80", limits=limits)


def test_a_request_cannot_widen_the_limits_of_the_policy(make, script, scanpod_bin):
    path = script("exec @tools/hostile stubborn", programs=[tool(scanpod_bin, "hostile")])
    server = make(SCANPOD_TOOL_NMAP=path, scope=SCOPE.replace(
        "options: advanced", "options: advanced, limits: {wall_s: 1}"))  # fmt: skip
    job = server.scan(IN, ports="80", limits={"wall_s": 600}, timeout=500)
    assert (job["state"], job["sandbox"]["limit"], job["run_timeout"]) == ("timed_out", "timeout", 1)


def test_what_was_used_is_known_of_a_scan_that_had_to_be_killed(make, script, scanpod_bin):
    path = script("trap '' TERM; echo kept >kept; @tools/hostile spin & wait; wait",
                  programs=[tool(scanpod_bin, "hostile")])  # fmt: skip
    server = make("--kill-grace-ms", "100", SCANPOD_TOOL_NMAP=path)
    job = server.scan(IN, ports="80", limits={"wall_s": 1})
    usage = job["sandbox"]["usage"]
    assert job["state"] == "timed_out" and job["sandbox"]["limit"] == "timeout", job
    # It spins for a second, of which a busy machine gives it a share; a shell that waits takes 20.
    assert usage["cpu_ms"] > 100 and usage["max_rss_kb"] > 0 and usage["disk_bytes"] > 0, usage
