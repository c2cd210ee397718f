"""
Planned jobs with the real tools, in a network that the tests made: what is found is what is there,
however the work was cut, whichever tool looked, and whatever happened meanwhile.
"""

import json
import sys
import threading
import time

import pytest

from conftest import ROOT, SANITIZER_REPORT, alive, descendants, wait_until
from lab_server import LabServer, _Unix

sys.path.insert(0, str(ROOT / "bench"))

from scan_lab import NET, SCOPE, Hosts, ScanLab, address, compiled  # noqa: E402

PORTS = "1-1000"
SLOW_PORT = 6379  # its service is known by its third answer, which takes nmap 17 seconds
SMALL = f"{address(0)}/27"  # all that is there but the tarpit and the sieve
TARPIT = address(40)
TRUTH = Hosts(
    up={address(n) for n in (3, 5, 9, 17, 20, 40)},
    ports={
        (address(3), 22): "ssh", (address(3), 80): "http",
        (address(5), 25): "smtp", (address(5), 587): "smtp",
        (address(9), 21): "ftp", (address(9), 80): "http", (address(9), SLOW_PORT): "redis",
        (address(17), 22): "ssh", (address(17), 443): "raw",
    },
    udp={(address(3), 53), (address(9), 123)},
)  # fmt: skip
UP = TRUTH.up - {TARPIT}
QUICK = {k: v for k, v in TRUTH.services().items() if k[1] != SLOW_PORT}


class TarpitLab(ScanLab):
    """One more host, on which everything above 1000 is open."""

    def start(self):
        super().start()
        self._process([*self.inside("net"), self.program("scan_listen")], f"{TARPIT} 1001-1300 raw")
        return self


class Scanner(LabServer):
    """A server in the lab's `host`: .job_of(id), .found(job), .tasks(job)."""

    def tasks(self, job):
        return self.get(f"/api/v1/scans/{job['id']}/tasks?limit=1000")["items"]

    def found(self, job, protocol="tcp"):
        """{(address, port): service, None unless it was identified}"""
        return {
            (h["address"], p["port"]): p["service"] if p.get("method") == "probed" else None
            for h in self.hosts(job)
            for p in h["ports"]
            if p["state"] == "open" and p["protocol"] == protocol
        }

    def up(self, job):
        return {h["address"] for h in self.hosts(job) if h["state"] == "up"}


@pytest.fixture(scope="module")
def programs(need_root, tmp_path_factory):
    return str(compiled(str(tmp_path_factory.mktemp("programs"))))


@pytest.fixture(scope="module")
def lab(programs):
    with TarpitLab(programs, TRUTH, delay_ms=2) as made:
        yield made


def ended(server):
    status = server.stop()
    assert status in (0, None), f"{status}\n{server.log()}"
    assert not SANITIZER_REPORT.search(server.log()), server.log()


@pytest.fixture
def make(lab, scanpod_bin, workdir):
    """make(lab=..., **environment) starts a server in the lab, or in one of the test's own."""
    made = []

    def start(lab=lab, **env):
        home = workdir / f"s{len(made)}"
        home.mkdir()
        home.chmod(0o755)
        made.append(Scanner(lab, scanpod_bin, home, scope=SCOPE, **env))
        return made[-1].start()

    yield start
    for server in made:
        ended(server)


@pytest.fixture
def server(make):
    return make()


def whole(job):
    assert job["state"] == "completed", json.dumps(job)[:3000]
    assert "coverage" in job, json.dumps(job)[:3000]
    assert job["coverage"]["percent"] == 100, job["coverage"]
    assert not job["coverage"]["missing"], job["coverage"]
    return job


# ---------------------------------------------------------------- profiles


@pytest.mark.parametrize("profile", ["standard", "full"])
def test_hosts_ports_and_services_are_what_is_there(server, profile):
    job = whole(server.scan(SMALL, profile=profile, ports=f"{PORTS},{SLOW_PORT}"))
    assert server.up(job) == UP
    assert server.found(job) == TRUTH.services()
    assert [s["name"] for s in job["stages"]] == ["hosts", "ports", "services"]


def test_a_request_without_words_is_the_standard_profile(server):
    status, answer = server.request("POST", "/api/v1/scans", {"targets": address(3)})
    assert status == 202, answer
    job = whole(server.wait(answer["id"]))
    assert job["profile"].startswith("standard@")
    assert server.found(job) == {(address(3), 22): "ssh", (address(3), 80): "http"}


def test_udp_ports_that_answer_are_open(server):
    job = whole(server.scan(SMALL, profile="udp", ports="U:53,123,161", seconds=120))
    assert set(server.found(job, "udp")) == TRUTH.udp


def test_ping_finds_hosts_and_no_ports(server):
    job = whole(server.scan(NET, profile="ping"))
    assert server.up(job) == TRUTH.up
    assert server.found(job) == {}


@pytest.mark.parametrize("tool", [None, "zmap", "masscan", "nmap"])
def test_a_sweep_finds_one_port_everywhere(server, tool):
    more = {"tool": tool} if tool else {}
    job = whole(server.scan(NET, profile="sweep", ports="80", seconds=120, **more))
    assert set(server.found(job)) == {k for k in TRUTH.ports if k[1] == 80}


@pytest.mark.parametrize("tool", ["zmap", "masscan"])
def test_a_sweeper_can_be_asked_for_right_after_the_start(make, tool):
    """Which version is installed may not be known yet."""
    job = whole(make().scan(address(3), profile="sweep", ports="80", tool=tool))
    assert job["counts"]["ports_open"] == 1


@pytest.mark.parametrize("tool, ports", [("masscan", "22,80,443"), ("zmap", "80")])
def test_a_job_of_a_sweeper_alone_finds_what_nmap_finds(server, tool, ports):
    nmap = server.scan(SMALL, tool="nmap", ports=ports, arguments="-sS")
    swept = whole(server.scan(SMALL, tool=tool, ports=ports, arguments="--rate 500", seconds=120))
    found = set(server.found(nmap))
    assert found == {k for k in TRUTH.ports if str(k[1]) in ports.split(",")}
    assert set(server.found(swept)) == found


def test_a_tarpit_is_flagged_and_not_dropped(server):
    job = whole(server.scan(f"{TARPIT} {address(3)}", profile="full", ports="22,1001-1300",
                            seconds=180))
    assert [f["address"] for f in job["flagged"]] == [TARPIT]
    assert {p for a, p in server.found(job) if a == TARPIT} == set(range(1001, 1301))
    assert server.found(job)[address(3), 22] == "ssh"


# ---------------------------------------------------------------- shards


def found_of(server, job):
    """All that must not depend on how the work was cut."""
    keys = ("port", "protocol", "state", "service", "method", "product", "version")
    return {
        h["address"]: (h["state"], [tuple(p.get(k) for k in keys) for p in h["ports"]])
        for h in server.hosts(job)
    }


@pytest.mark.parametrize("cut", [{"shards": 6}, {"shards": 6, "pace": "own"}, {"shards": 2}])
def test_a_result_of_shards_is_that_of_no_shards(server, cut):
    one = whole(server.scan(SMALL, profile="full", ports=PORTS, shards=1))
    many = whole(server.scan(SMALL, profile="full", ports=PORTS, **cut))
    assert len([t for t in server.tasks(many) if t["stage"] == "ports"]) > 1
    assert found_of(server, many) == found_of(server, one)


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("tool", ["nmap", "masscan"])
def test_what_a_fast_sweep_loses_is_found_again(programs, make, tool):
    """The cable carries a twentieth of what the sweep sends."""
    with ScanLab(programs, TRUTH, delay_ms=2, rate=1000) as narrow:
        server = make(lab=narrow)
        job = server.scan(" ".join(sorted(UP)), profile="full", ports=PORTS, tool=tool,
                          arguments="-Pn" if tool == "nmap" else None,
                          rate=20000, seconds=240)
        whole(job)
        assert set(server.found(job)) == set(QUICK)
        assert job["notes"], "nobody was told that the sweep had lost probes"
        assert any(t["repeats"] for t in server.tasks(job))
        ended(server)


def test_a_host_that_timed_out_is_missing_from_the_coverage(server):
    job = server.scan(" ".join(sorted(UP)), profile="full", ports="1-65535",
                      arguments="-Pn --host-timeout 1s --max-rate 500", pace="own", seconds=120)
    assert job["coverage"]["percent"] < 100, job["coverage"]
    assert job["coverage"]["covered"] < job["coverage"]["asked"]


# ---------------------------------------------------------------- progress


def percents_of(server, job_id):
    """Every progress that the event stream told, up to the end."""
    got, over = [], threading.Event()

    def read():
        c = _Unix(server.socket)
        c.request("GET", f"/api/v1/events?after=0&job={job_id}", headers={"X-API-Key": server.key})
        r = c.getresponse()
        while not over.is_set() and (line := r.readline()):
            if line.startswith(b"data: "):
                data = json.loads(line[6:])
                if data.get("percent") is not None:
                    got.append(data["percent"])
                if data.get("state") in ("completed", "failed", "cancelled", "timed_out"):
                    break
        c.close()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    server.wait(job_id, seconds=120)
    reader.join(10)
    over.set()
    assert not reader.is_alive()
    return got


def test_progress_of_a_whole_plan_never_goes_back(server):
    job_id = server.submit(SMALL, profile="full", ports="1-10000", rate=5000, shards=4)
    told = percents_of(server, job_id)
    assert len(set(told)) >= 3, told
    assert told == sorted(told)
    assert server.job(job_id)["progress"]["percent"] == 100


# ---------------------------------------------------------------- ends


def at_work(server, job_id, stage):
    """Waits until a task of the stage runs."""

    def running():
        job = {"id": job_id}
        return [t for t in server.tasks(job) if t["stage"] == stage and t["state"] == "running"]

    return wait_until(running, 60, f"a task of {stage}")


SLOW = {"profile": "full", "ports": "1-6000", "rate": 3000, "shards": 4}


def test_cancel_ends_every_task_of_a_plan(server):
    idle = descendants(server.proc.pid)
    job_id = server.submit(SMALL, **SLOW)
    at_work(server, job_id, "ports")
    tools = descendants(server.proc.pid) - idle
    assert tools
    status, _ = server.request("POST", f"/api/v1/scans/{job_id}/cancel")
    assert status in (200, 202)
    job = server.wait(job_id)
    assert job["state"] == "cancelled"
    wait_until(lambda: not [1 for p, start in tools if alive(p, start)], 10, "the tools' end")
    assert not [t for t in server.tasks(job) if t["state"] in ("queued", "running")]
    n = len(server.tasks(job))
    time.sleep(1)
    assert len(server.tasks(job)) == n
    assert server.up(job) == UP  # what had been found is kept


@pytest.mark.parametrize("stage", ["hosts", "ports", "services"])
def test_a_plan_goes_on_after_the_server_was_killed(server, stage):
    whole_one = whole(server.scan(SMALL, profile="full", ports=PORTS, shards=4))
    body = {**SLOW, "ports": PORTS, "retries": 3} if stage != "ports" else {**SLOW, "retries": 3}
    job_id = server.submit(SMALL, **body)
    at_work(server, job_id, stage)
    server.kill_all()
    server.start()
    job = whole(server.wait(job_id, seconds=180))
    assert server.found(job) == server.found(whole_one)
    assert server.up(job) == UP
    rows = [h["address"] for h in server.hosts(job)]
    assert len(rows) == len(set(rows))


CRASHING = """\
#!/bin/sh
# nmap, but for ports of one host.
case "$*" in *-sV*|*-sn*|*-V*) exec @nmap "$@" ;; esac
for a in "$@" $(cat targets 2>/dev/null); do
    case $a in @bad|@bad/*) kill -SEGV $$ ;; esac
done
exec @nmap "$@"
"""


def test_of_shards_one_of_which_crashes_the_others_are_kept(make, workdir):
    tools = workdir / "tools"
    tools.mkdir()
    tools.chmod(0o755)
    bad = address(9)
    program = tools / "nmap"
    program.write_text(CRASHING.replace("@nmap", "/usr/bin/nmap").replace("@bad", bad))
    program.chmod(0o755)
    server = make(SCANPOD_TOOL_NMAP=program)
    hosts = " ".join(sorted(UP))
    job = server.scan(hosts, profile="full", ports=PORTS, arguments="-Pn", shards=5)
    assert job["coverage"]["percent"] < 100
    missing = job["coverage"]["missing"]
    assert missing and all(bad in m["addresses"] for m in missing), missing
    crashed = [t for t in server.tasks(job) if t["state"] == "failed"]
    assert crashed and all(bad in t["targets"] for t in crashed)
    others = {k: v for k, v in QUICK.items() if k[0] not in crashed[0]["targets"]}
    assert others and others.items() <= server.found(job).items()
    assert "failed" in job["coverage"]["text"]
