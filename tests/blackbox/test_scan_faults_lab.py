"""
Planned jobs on networks that are not this machine's own: the budget of packets that all scans share,
and sweepers that fail. In a laboratory of network namespaces, with the scanner of faulty.py.
"""

import pytest

from faulty import World
from lab_server import lab, make  # noqa: F401 (fixtures)

HOSTS = {f"10.77.1.{i}": {22: "ssh", 80: "http", 80 + i: "echo"} for i in range(2, 9)}
BODY = {"profile": "standard", "ports": "22,80-99"}


@pytest.fixture
def world(workdir):
    made = World(workdir / "world")
    made.hosts = HOSTS
    return made


def rates(world):
    """[(moment, packets a second of all that run then)], by what tools were told."""
    log, moves = world.log(), []
    for run in (r for r in log if r["what"] == "start"):
        end = next(r["at"] for r in log
                   if r["what"] == "end" and r["key"] == run["key"] and r["at"] >= run["at"])
        words = run["argv"]
        assert "--max-rate" in words, f"no limit: {words}"
        least = int(words[words.index("--min-rate") + 1]) if "--min-rate" in words else 0
        assert least <= run["rate"]
        moves += [(run["at"], run["rate"]), (end, -run["rate"])]
    total, seen = 0, []
    for at, change in sorted(moves):
        total += change
        seen.append((at, total))
    return seen


@pytest.mark.parametrize("how", [{}, {"pace": "own"}, {"rate": 3000}, {"tool": "nmap"}])
@pytest.mark.parametrize("pps", [1000, 12000])
def test_scans_of_one_network_keep_its_budget_together(make, world, how, pps):
    world.order("well", pause=0.4)
    body = {"ports": "22,80-99", **how} if "tool" in how else {**BODY, "shards": 2, **how}
    srv = make(SCANPOD_TOOL_NMAP=world.nmap, SCANPOD_NETWORK_PPS=pps, SCANPOD_MAX_SCAN_WORKERS=6)
    ids = [srv.submit("10.77.1.2-10.77.1.8", **body) for _ in range(3)]
    for job_id in ids:
        job = srv.wait(job_id, seconds=120)
        assert job["state"] == "completed" and job["counts"]["hosts"] == len(HOSTS)
    seen = rates(world)
    assert max(rate for _, rate in seen) <= pps, seen
    assert max(rate for _, rate in seen) > pps / 8, "much less than there is"


# ---------------------------------------------------------------- sweepers that fail


def server(make, world, **more):
    return make(SCANPOD_TOOL_NMAP=world.nmap, SCANPOD_TOOL_MASSCAN=world.masscan,
                SCANPOD_MAX_OUTPUT_MB=4, SCANPOD_KILL_GRACE_MS=100, **more)  # fmt: skip


def found(srv, job):
    return {h["address"]: {p["port"] for p in h["ports"] if p["state"] == "open"}
            for h in srv.hosts(job)}  # fmt: skip


ALL = {address: set(ports) for address, ports in HOSTS.items()}
SWEEP = {"tool": "masscan", "ports": "22,80-99"}


def test_a_sweeper_that_does_well_finds_all(make, world):
    srv = server(make, world)
    job = srv.scan("10.77.1.2-10.77.1.8", **SWEEP)
    assert (job["state"], job["partial"]) == ("completed", False), job
    assert found(srv, job) == ALL


FAULTS = {
    "crash": "tool_crashed",
    "late-crash": "tool_crashed",
    "fail": "tool_failed",
    "garbage": "bad_output",
    "flood": "limit",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sweeper_that_fails_is_a_failed_job_and_its_hosts_are_kept(make, world, fault):
    world.order(fault, stage="sweep")
    srv = server(make, world)
    job = srv.scan("10.77.1.2-10.77.1.8", **SWEEP)
    assert (job["state"], job["reason"]) == ("failed", FAULTS[fault]), job
    assert job["error"] and job["coverage"]["percent"] == 0
    assert job["partial"] == (job["counts"]["hosts"] > 0)
    if fault == "late-crash":
        assert found(srv, job) == ALL


@pytest.mark.parametrize("fault", [*FAULTS, "hang"])
@pytest.mark.seconds(240)
def test_what_a_sweeper_cannot_do_nmap_does_and_the_result_says_so(make, world, fault):
    world.order(fault, stage="sweep")
    srv = server(make, world)
    job = srv.scan("10.77.1.2-10.77.1.8", seconds=200, profile="sweep", **SWEEP)
    assert (job["state"], job["partial"]) == ("completed", False), job
    assert found(srv, job) == ALL
    assert any("again by nmap" in note for note in job["notes"]), job["notes"]
    if fault == "hang":
        (task,) = [t for t in srv.get(f"/api/v1/scans/{job['id']}/tasks")["items"]
                   if t["tool"] == "masscan"]  # fmt: skip
        assert (task["state"], task["reason"]) == ("timed_out", "timeout")


def test_a_sweep_that_found_nothing_is_a_good_one(make, world):
    world.order("nothing", stage="sweep")
    srv = server(make, world)
    job = srv.scan("10.77.1.2-10.77.1.8", **SWEEP)
    assert (job["state"], job["partial"], job["counts"]["hosts"]) == ("completed", False, 0), job
