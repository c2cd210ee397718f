"""
Planned jobs on networks that are not this machine's own: the budget of packets that all scans share,
and sweepers that fail. In a laboratory of network namespaces, with the scanner of faulty.py.
"""

import pytest

from conftest import wait_until
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
