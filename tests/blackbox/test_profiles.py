"""Scans that are planned: profiles, stages and tasks, what is covered, what a dry run says."""

import json
import re
import socket
import threading
import time

import pytest

from conftest import Listener, StartFailed, free_port

V1 = "/api/v1/scans"
BUILT_IN = ["quick", "standard", "full", "sweep", "udp", "ping"]


class Silent(Listener):
    """Takes connections and says nothing, whatever it is told."""

    def _serve(self):
        held = []
        while True:
            try:
                held.append(self.sock.accept())
            except OSError:
                return


@pytest.fixture
def real(make_server, real_nmap):
    return make_server(tool=real_nmap)


def scan(srv, **body):
    r = srv.post(V1, json={"targets": "127.0.0.1", **body})
    assert r.status_code == 202, r.text
    return ended(srv, r.json()["id"])


def ended(srv, job_id, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = srv.get(f"{V1}/{job_id}?wait=30").json()
        if job["completed_at"]:
            return job
    pytest.fail(f"{job_id} did not end in {seconds} s: {job}")


def items(srv, job, what):
    r = srv.get(f"{V1}/{job['id']}/{what}?limit=1000")
    assert r.status_code == 200 and r.json()["next_cursor"] is None, r.text
    return r.json()["items"]


def ports_of(srv, job):
    """{(address, port): (state, service)}"""
    return {
        (h["address"], p["port"]): (p["state"], p["service"])
        for h in items(srv, job, "hosts")
        for p in h["ports"]
    }


def refused(srv, pointer, query="", **body):
    r = srv.post(V1 + query, json={"targets": "127.0.0.1", **body})
    assert r.status_code == 422, r.text
    assert [e["pointer"] for e in r.json()["errors"]] == [pointer], r.text
    return r.json()["errors"][0]["detail"]


# ---------------------------------------------------------------- what there is


def test_profiles_are_listed_and_shown_by_both(server, scanpod):
    table = scanpod("profiles", server=server, check=True).stdout.splitlines()
    assert table[0].split()[:2] == ["PROFILE", "STAGES"]
    assert [line.split("@")[0] for line in table[1:]] == BUILT_IN
    assert re.search(r"^standard@1 +hosts, ports top:1000, services +\S", table[2])
    listed = json.loads(scanpod("profiles", "-o", "json", server=server, check=True).stdout)
    assert listed == server.get("/api/v1/profiles").json()
    for p in listed["items"]:
        assert p["builtin"] is True and p["version"] >= 1 and p["summary"]
        shown = scanpod("profiles", p["name"], server=server, check=True).stdout.splitlines()
        head = shown.index("") + 1
        assert shown[0].split() == ["profile", f"{p['name']}@{p['version']}"]
        assert shown[head].split() == ["STAGE", "TOOL", "PORTS", "RATE", "OPTIONS"]
        assert [row.split()[0] for row in shown[head + 1 :]] == [s["find"] for s in p["stages"]]
        shown = scanpod("profiles", p["name"], "-o", "json", server=server, check=True).stdout
        assert json.loads(shown) == p == server.get(f"/api/v1/profiles/{p['name']}").json()


def test_a_profile_that_is_not_there_is_named_with_those_that_are(server, scanpod):
    for done in (scanpod("profiles", "standrd", server=server),
                 scanpod("scan", "127.0.0.1", "--profile", "standrd", server=server)):  # fmt: skip
        assert done.returncode in (1, 2) and done.stdout == ""
        assert "no profile 'standrd'" in done.stderr and ", ".join(BUILT_IN) in done.stderr
    assert server.get("/api/v1/profiles/standrd").status_code == 404


@pytest.mark.parametrize(
    "flags, pointer, says",
    [
        (["--profile", "standard@2"], "/profile", "the version of 'standard' is 1"),
        (["--profile", "a b"], "/profile", "no profile 'a b'"),
        (["--profile", "sweep"], "/ports", "sweep needs ports"),
        (["--profile", "full", "--tool", "nothing"], "/tool", "no such tool"),
        (["--tool", "zmap", "-p", "80"], "/tool", "raw sockets"),
        (["--exclude", "127.0.0.0/8"], "/targets", "nothing is left"),
        (["--exclude", "!127.0.0.2"], "/targets", "!"),
        (["--profile", "standard", "--arguments=-oX /tmp/x"], "/arguments", "-oX"),
    ],
)
def test_what_cannot_be_planned_is_named(server, scanpod, flags, pointer, says):
    done = scanpod("scan", "127.0.0.1", *flags, server=server)
    assert done.returncode == 2 and done.stdout == ""
    assert pointer in done.stderr and says in done.stderr


@pytest.mark.parametrize(
    "targets, profile, says",
    [
        ("10.0.0.0/8", "full", "16777216 addresses"),
        ("fd00::/64", "standard", "IPv6 prefixes cannot be walked through"),
        ("0.0.0.0/0", "sweep", "4294967296 addresses"),
    ],
)
def test_too_many_targets_are_refused_with_their_number_and_advice(server, targets, profile, says):
    body = {"targets": targets, "ports": "80", "profile": profile}
    for query in ("", "?dry_run=true"):
        detail = refused(server, "/targets", query, **body)
        assert says in detail and ("divide them" in detail or ":" in targets or "at most" in detail)


# ---------------------------------------------------------------- what they do


@pytest.fixture
def ssh():
    one = Listener(banner=b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n")
    yield one
    one.close()


def test_both_families_are_one_job_of_a_profile(real, scanpod, ssh):
    closed = free_port()
    ports = f"{ssh.port},{closed}"
    done = scanpod("scan", "127.0.0.1", "::1", "-p", ports, "-o", "json", server=real, check=True)
    job = json.loads(done.stdout)
    assert job["state"] == "completed" and not job["partial"]
    assert job["coverage"]["percent"] == 100.0
    assert job["progress"] == {"percent": 100.0, "remaining_s": 0}
    assert {h["address"] for h in job["results"]} == {"127.0.0.1", "::1"}
    found = {(h["address"], p["port"]): p["state"] for h in job["results"] for p in h["ports"]}
    assert found == {
        ("127.0.0.1", ssh.port): "open", ("127.0.0.1", closed): "closed",
        ("::1", ssh.port): "closed", ("::1", closed): "closed",
    }  # fmt: skip
    for task in items(real, job, "tasks"):
        assert task["targets"] in ("127.0.0.1", "::1")
    # loopback is looked at by connect()
    shown = scanpod("export", job["id"], "-f", "nmap-xml", server=real, check=True).stdout
    assert '<scaninfo type="connect" protocol="tcp" numservices="2"' in shown

    alone = refused(real, "/targets", targets="127.0.0.1 ::1", tool="nmap", ports="80")
    assert "without a profile" in alone


def test_standard_finds_hosts_then_ports_then_services(real, scanpod, ssh):
    listener, closed = ssh, free_port()
    done = scanpod("scan", "127.0.0.1", "127.0.0.2", "-p", f"{listener.port},{closed}", "-o",
                   "json", server=real, check=True)  # fmt: skip
    job = json.loads(done.stdout)
    assert job["profile"] == "standard@1" and job["state"] == "completed" and not job["partial"]
    assert [s["name"] for s in job["stages"]] == ["hosts", "ports", "services"]
    assert all(s["tool"] == "nmap" and s["done"] == s["tasks"] > 0 for s in job["stages"])
    assert job["coverage"]["percent"] == 100.0 and job["coverage"]["text"].startswith("covered 100")
    assert job["progress"]["percent"] == 100.0
    ports = {(h["address"], p["port"]): p for h in job["results"] for p in h["ports"]}
    assert {k: p["state"] for k, p in ports.items()} == {
        ("127.0.0.1", listener.port): "open", ("127.0.0.1", closed): "closed",
        ("127.0.0.2", listener.port): "closed", ("127.0.0.2", closed): "closed",
    }  # fmt: skip
    found = ports["127.0.0.1", listener.port]
    assert (found["service"], found["product"], found["method"]) == ("ssh", "OpenSSH", "probed")

    shown = scanpod("job", "show", job["id"], server=real, check=True).stdout
    for fact in (r"^profile +standard@1$", r"^hosts +nmap: \d+ of \d+ tasks$",
                 r"^coverage +covered 100.0 %"):  # fmt: skip
        assert re.search(fact, shown, re.M), shown
    cells = items(real, job, "coverage")
    assert {c["protocol"] for c in cells} == {"host", "tcp"}
    assert all(c["started_at"] <= c["ended_at"] for c in cells)
    assert any(str(listener.port) in (c["ports"] or "") for c in cells)


def test_tasks_of_a_job_are_listed_with_their_own_output(real, scanpod, listener):
    job = scan(real, ports=str(listener.port), profile="quick")
    tasks = items(real, job, "tasks")
    assert [t["task"] for t in tasks] == list(range(len(tasks)))
    assert {t["stage"] for t in tasks} == {"hosts", "ports", "verify"}
    assert all(t["state"] == "completed" and t["merged"] for t in tasks)
    rows = scanpod("job", "tasks", job["id"], server=real, check=True).stdout.splitlines()
    assert rows[0].split() == ["TASK", "STAGE", "TOOL", "STATE", "DONE", "OPEN", "PROBLEM"]
    assert [r.split()[:4] for r in rows[1:]] == [
        [str(t["task"]), t["stage"], "nmap", "completed"] for t in tasks
    ]
    for form in ("json", "ndjson"):
        text = scanpod("job", "tasks", job["id"], "-o", form, server=real, check=True).stdout
        got = json.loads(text) if form == "json" else [json.loads(x) for x in text.splitlines()]
        assert got == tasks
    for t in tasks:
        raw = scanpod("job", "raw", job["id"], "--task", t["task"], server=real, check=True).stdout
        assert raw.startswith("<?xml") and "</nmaprun>" in raw
        assert raw == real.get(f"{V1}/{job['id']}/raw?task={t['task']}").text
    assert scanpod("job", "raw", job["id"], "--task", 999, server=real).returncode == 1
    assert scanpod("job", "raw", job["id"], "--task", "x", server=real).returncode == 2


def test_quick_says_what_is_open_and_ping_what_is_up(real, listener):
    quick = scan(real, ports=str(listener.port), profile="quick")
    assert ports_of(real, quick)["127.0.0.1", listener.port][0] == "open"
    ping = scan(real, targets="127.0.0.1 127.0.0.9", profile="ping")
    hosts = items(real, ping, "hosts")
    assert [(h["address"], h["state"]) for h in hosts] == [("127.0.0.1", "up"), ("127.0.0.9", "up")]
    assert not ports_of(real, ping)


def test_shards_find_the_same(real):
    one, two = Listener(), Silent()
    try:
        ports = sorted({one.port, two.port, *(free_port() for _ in range(12))})
        body = {"targets": "127.0.0.0/29", "ports": ",".join(map(str, ports)), "profile": "quick"}
        whole, cut = scan(real, shards=1, **body), scan(real, shards=6, **body)
        assert len(items(real, cut, "tasks")) > len(items(real, whole, "tasks"))
        assert ports_of(real, whole) == ports_of(real, cut)
        opened = {k for k, v in ports_of(real, cut).items() if v[0] == "open"}
        assert opened == {("127.0.0.1", one.port), ("127.0.0.1", two.port)}
        assert len(ports_of(real, cut)) == 8 * len(ports)
    finally:
        one.close()
        two.close()


def test_a_silent_service_is_open_under_a_bound(real):
    silent = Silent()
    try:
        job = scan(real, ports=str(silent.port))
        assert job["state"] == "completed"
        assert ports_of(real, job)["127.0.0.1", silent.port][0] == "open"
    finally:
        silent.close()


def test_progress_of_a_planned_job_never_goes_back(real):
    got, done = [], threading.Event()
    ports = ",".join(str(free_port()) for _ in range(20))
    first = real.post(V1, json={"targets": "127.0.0.0/28", "ports": ports, "shards": 8}).json()
    r = real.get(f"/api/v1/events?after=0&job={first['id']}", stream=True,
                 headers={"Accept": "text/event-stream"})  # fmt: skip

    def read():
        for line in r.iter_lines():
            if line.startswith(b"data: "):
                got.append(json.loads(line[6:]))
                if got[-1].get("state") in ("completed", "failed", "timed_out"):
                    break
        done.set()

    threading.Thread(target=read, daemon=True).start()
    ended(real, first["id"])
    assert done.wait(20)
    r.close()
    percents = [e["percent"] for e in got if isinstance(e.get("percent"), (int, float))]
    assert percents and percents == sorted(percents), percents
    assert all(0 <= p <= 100 for p in percents)


# ---------------------------------------------------------------- targets


def test_exclusions_and_lists_of_targets(real, scanpod, listener, workdir):
    listed = workdir / "hosts.txt"
    listed.write_text("# the three\n127.0.0.1\t127.0.0.2  # and more\n\n  127.0.0.4/31\r\n!127.0.0.5\n")
    done = scanpod("scan", "127.0.0.7", "--targets-file", listed, "--exclude", "127.0.0.2", "-o",
                   "ndjson", "--profile", "quick", "-p", listener.port, server=real, check=True)  # fmt: skip
    found = {json.loads(line)["address"] for line in done.stdout.splitlines()}
    assert found == {"127.0.0.1", "127.0.0.4", "127.0.0.7"}


@pytest.mark.parametrize("where", ["scan", "run"])
@pytest.mark.parametrize(
    "text, says",
    [
        (None, "No such file"),
        ("127.0.0.1\n127.0.0.1;id\n", "line 2"),
        ("# nothing\n\n", ""),
        ("127.0.0.1\n" * 110000, "more than 1048576 bytes"),
        ("127.0.0.1 \x00 127.0.0.2\n", ""),
    ],
)
def test_a_list_of_targets_that_is_none_is_refused(server, scanpod, workdir, where, text, says):
    path = workdir / "list"
    if text is not None:
        path.write_text(text)
    done = scanpod(where, "--targets-file", path, server=server)
    assert done.returncode == 2 and done.stdout == "" and says in done.stderr, done.stderr


# ---------------------------------------------------------------- dry runs


def test_a_dry_run_shows_the_argv_and_does_nothing(real, scanpod, listener):
    done = scanpod("scan", "127.0.0.0/30", "--exclude", "127.0.0.3", "-p", f"{listener.port},22",
                   "--dry-run", server=real, check=True)  # fmt: skip
    assert re.search(r"^policy +allowed: allow 127\.0\.0\.0/8", done.stdout, re.M)
    assert re.search(r"^profile +standard@1$", done.stdout, re.M)
    assert re.search(r"^work +3 addresses, 2 ports each, \d+ probes", done.stdout, re.M)
    assert re.search(r"^about +\d", done.stdout, re.M)
    assert re.search(r"^    \S*nmap -oX - .*-sn .*-iL targets$", done.stdout, re.M)
    assert [x.split()[0] for x in re.findall(r"^\w+ by nmap.*", done.stdout, re.M)] == [
        "hosts", "ports", "services"
    ]  # fmt: skip
    assert real.get(V1).json()["items"] == []


def test_a_dry_run_over_rest_is_a_whole_plan(real):
    body = {"targets": "127.0.0.1", "ports": "1-100", "profile": "sweep", "shards": 4}
    r = real.post(f"{V1}?dry_run=true", json=body)
    assert r.status_code == 200, r.text
    doc = r.json()
    assert doc["dry_run"] is True and doc["profile"] == "sweep@1"
    assert doc["policy"]["verdict"] == "allowed" and doc["policy"]["rule"] is None
    assert (doc["addresses"], doc["ports"]) == (1, 100) and doc["probes"] >= 100
    stage = doc["stages"][0]
    assert stage["name"] == "ports" and len(stage["tasks"]) >= 1
    assert sum(t["probes"] for t in stage["tasks"]) >= 100
    assert all("-iL" in t["argv"] for t in stage["tasks"])
    plain = real.post(f"{V1}?dry_run=true", json={"targets": "127.0.0.1", "tool": "nmap"}).json()
    assert len(plain["stages"]) == 1 and len(plain["stages"][0]["tasks"]) == 1
    assert real.get(V1).json()["items"] == []


def test_a_dry_run_of_what_is_refused_says_by_what(server, scanpod):
    before = server.get(f"{V1}?limit=1").json()["items"]
    done = scanpod("scan", "127.0.0.1", "203.0.113.7", "--dry-run", server=server)
    assert done.returncode == 6
    assert re.search(r"^policy +refused: 203\.0\.113\.7 is not allowed", done.stdout, re.M)
    assert "nmap -oX" not in done.stdout
    doc = json.loads(scanpod("scan", "203.0.113.7", "--dry-run", "-o", "json", server=server).stdout)
    assert doc["policy"]["verdict"] == "refused" and doc["policy"]["rule"] == "policy.scope"
    assert server.get(f"{V1}?limit=1").json()["items"] == before


# ---------------------------------------------------------------- without a server


def test_run_takes_profiles_too(scanpod, real_nmap, listener, workdir):
    env = {"SCANPOD_TOOL_NMAP": real_nmap, "SCANPOD_DATA_DIR": workdir / "none"}
    done = scanpod("run", "127.0.0.1", "127.0.0.3", "--exclude", "127.0.0.3", "--profile", "quick",
                   "-p", listener.port, "-o", "json", env=env, check=True)  # fmt: skip
    job = json.loads(done.stdout)
    assert job["profile"] == "quick@1" and job["coverage"]["percent"] == 100.0
    assert [h["address"] for h in job["results"]] == ["127.0.0.1"]
    assert not (workdir / "none").exists()


# ---------------------------------------------------------------- profiles of one's own

GOOD = """
version: 1
profiles:
  - name: web
    summary: what listens where the web is
    version: 3
    service_seconds: 20
    stages:
      - find: hosts
      - find: ports
        tool: nmap
        ports: "{port},1"
        rate: 2000
      - find: services
        arguments: "--version-intensity 2"
"""


def test_a_profile_of_ones_own_is_one_of_them(make_server, scanpod, real_nmap, listener, workdir):
    path = workdir / "profiles.yaml"
    path.write_text(GOOD.format(port=listener.port))
    srv = make_server(tool=real_nmap, env={"SCANPOD_PROFILES_FILE": path})
    (own,) = [p for p in srv.get("/api/v1/profiles").json()["items"] if not p["builtin"]]
    assert (own["name"], own["version"], own["service_seconds"]) == ("web", 3, 20)
    assert "web@3" in scanpod("profiles", server=srv, check=True).stdout
    job = scan(srv, profile="web@3")
    assert job["profile"] == "web@3" and job["state"] == "completed"
    found = ports_of(srv, job)
    assert found["127.0.0.1", listener.port][0] == "open"
    assert {port for _, port in found} == {listener.port, 1}
    argv = [t["command_line"] for t in items(srv, job, "tasks") if t["stage"] == "services"]
    assert argv and all("--version-intensity 2" in a for a in argv)
    assert "the version of 'web' is 3" in refused(srv, "/profile", profile="web@1")


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("version: 1", "version: 9", "version"),
        ("name: web", "name: standard", "standard"),
        ("name: web", "name: Web Sites", "name"),
        ("find: hosts", "find: treasure", "hosts, ports, services or verify"),
        ("tool: nmap", "tool: nessus", "nmap, masscan, zmap"),
        ('ports: "{port},1"', 'ports: "99999"', "'ports'"),
        ("rate: 2000", "rate: fast", "rate"),
        ("--version-intensity 2", "-oN /tmp/x", "-oN"),
        ("      - find: hosts\n", "", None),
        ("    stages:", "    stages: []\n    other:", ""),
        ("service_seconds: 20", "service_seconds: 0", "service_seconds"),
        ("  - name: web", "  - nome: web", "nome"),
        ("profiles:", "profiles: [", ""),
    ],
)
def test_a_wrong_file_of_profiles_is_named_with_its_line(
    make_server, fake_nmap, workdir, old, new, says
):
    path = workdir / "profiles.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1).replace("{port}", "80"))
    srv = make_server(env={"SCANPOD_PROFILES_FILE": path}, start=False)
    if says is None:  # the stages of hosts may be left out
        srv.start()
        return
    with pytest.raises(StartFailed) as failed:
        srv.start()
    assert failed.value.status not in (0, 98, 99)
    assert re.search(rf"{re.escape(str(path))}\D{{0,8}}\d+", failed.value.log), failed.value.log
    assert says in failed.value.log


def test_an_absent_file_of_profiles_stops_the_start(make_server, workdir):
    srv = make_server(env={"SCANPOD_PROFILES_FILE": workdir / "none.yaml"}, start=False)
    with pytest.raises(StartFailed) as failed:
        srv.start()
    assert failed.value.status not in (0, 98, 99) and "none.yaml" in failed.value.log


def test_two_scans_at_once_share_the_slots(make_server, real_nmap, listener):
    srv = make_server(tool=real_nmap, env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    body = {"targets": "127.0.0.0/29", "ports": str(listener.port), "profile": "quick", "shards": 3}
    first, second = (srv.post(V1, json=body).json()["id"] for _ in range(2))
    a, b = ended(srv, first), ended(srv, second)
    assert a["state"] == b["state"] == "completed"
    assert ports_of(srv, a) == ports_of(srv, b) and len(ports_of(srv, a)) == 8


def test_the_addresses_of_a_name_are_planned(real, listener):
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
    except OSError:
        pytest.fail("localhost has no address here")
    job = scan(real, targets="localhost", ports=str(listener.port), profile="quick")
    assert job["pins"] and ports_of(real, job)["127.0.0.1", listener.port][0] == "open"
