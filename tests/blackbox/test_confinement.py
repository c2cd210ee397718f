"""
The whole product in the laboratory of namespaces: `scanpod serve`, started as root in `host`, with
the real nmap and with a hostile one. What a scan may reach is reached and nothing else, and the
result says how. Who is killed, and what ends, is in test_confinement_ends.py.
"""

import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import clean_env
from lab import GATEWAY_IN, GATEWAY_OUT, IN, IN6, IN_MORE, OUT, OUT6
from lab_server import (  # noqa: F401
    NOTHING, SCOPE, LabServer, dropped, hostile, lab, make, script, state, tool, xml,
)  # fmt: skip

pytestmark = pytest.mark.seconds(240)

OWN = "10.77.1.200"  # a scan address that nobody in `in` has
OWN6 = "fd77:1::200"
TCP = [("tcp", 22), ("tcp", 80)]
DEDICATED = ("--scan-addresses", f"{OWN},{OWN6}", "--proxy-neighbours")


def bare(lab, *words, target=IN):
    """{(protocol, port): state} that nmap finds without us, from the same machine."""
    words = ["nmap", "-n", "-Pn", "--privileged", "-oX", "-", *words, target]
    found = re.findall(r'<port protocol="(\w+)" portid="(\d+)"><state state="([^"]+)"',
                       lab.run("host", *words).stdout)  # fmt: skip
    return {(protocol, int(port)): state for protocol, port, state in found}


# ---------------------------------------------------------------- honest scans

HONEST = {
    "connect": ("-sT", "22,80,443,8080"),
    "syn": ("-sS", "22,80,443,8080"),
    "udp": ("-sU", "U:53"),
    "versions": ("-sV --version-light", "22,80"),
    "system": ("-O --max-os-tries 1", "22,80,8080"),
    "protocols": ("-sO", "1,6,17,132"),
    "scripts": ("-sT --script http-title,http-server-header", "80"),
}


@pytest.fixture(scope="module")
def nat(lab, scanpod_bin, _session_dir):
    """One server behind NAT, for tests that only scan with it."""
    home = _session_dir / "nat"
    home.mkdir()
    home.chmod(0o755)
    server = LabServer(lab, scanpod_bin, home).start()
    yield server
    assert server.stop() == 0, server.log()


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_scan_finds_what_there_is_and_nothing_is_dropped(lab, nat, kind):
    arguments, ports = HONEST[kind]
    lab.forget()
    job = nat.scan(IN, arguments=arguments, ports=ports)
    assert job["state"] == "completed", job
    report = job["sandbox"]
    assert (report["egress"], report["box"], report["limits"]) == ("nft", "userns", "rlimit")
    assert report["dedicated"] is False and report["limit"] is None
    assert report["raw_sockets"]
    assert report["packets"]["passed"] > 0 and not any(dropped(job).values()), report
    assert job["confinement"] == "userns+nft+rlimit"
    assert nat.ports(job) == bare(lab, *arguments.split(), "-p", ports) != {}
    assert lab.witness() == NOTHING
    if kind == "scripts":
        text = json.dumps(nat.hosts(job))
        assert "http-server-header" in text and "lab/1.0" in text, text
    if kind == "system":
        assert nat.hosts(job)[0].get("os"), nat.hosts(job)


def test_options_by_field_do_the_same_as_arguments(lab, nat):
    job = nat.scan(IN, options={"technique": ["syn", "udp"], "skip_discovery": True},
                   ports="T:22,80,8080,U:53")  # fmt: skip
    assert nat.ports(job) == {("tcp", 22): "open", ("tcp", 80): "open", ("tcp", 8080): "closed",
                              ("udp", 53): "open"}  # fmt: skip
    assert not any(dropped(job).values()), job["sandbox"]


def test_a_syn_scan_of_loopback_becomes_a_connect_scan_and_says_so(nat):
    job = nat.scan("127.0.0.1", arguments="-sS", ports="22,80")
    report = job["sandbox"]
    assert job["state"] == "completed" and report["egress"] == "broker", job
    assert report["calls"]["passed"] > 0 and not any(report["calls"]["dropped"].values())
    assert any("-sS" in note and "-sT" in note for note in report["notes"]), report["notes"]
    assert [key for key, state in nat.ports(job).items() if state == "open"] == TCP


FALSIFIED = ["-sF", "-sN", "-sX", "-sM", "-sZ"]


@pytest.mark.parametrize("arguments", FALSIFIED)
def test_what_nat_would_falsify_is_refused_at_submit(nat, arguments):
    said = nat.refused(IN, arguments=arguments, ports="22,8080")
    assert arguments in said and "NAT" in said and "scan-addresses" in said


@pytest.mark.parametrize("target", [OUT, OUT6, "10.77.1.0-10.77.2.2", GATEWAY_OUT, GATEWAY_IN])
def test_targets_outside_of_the_scope_are_refused_with_the_range(nat, target):
    said = nat.refused(target)
    assert re.search(r"10\.77\.|fd77:2", said), said


@pytest.mark.parametrize("way", ["in scope", "out of scope"])
def test_ipv6_needs_forwarding_or_takes_the_broker(lab, nat, way):
    """`nat` was started without forwarding of IPv6."""
    if way == "out of scope":
        assert "fd77:2" in nat.refused(OUT6, arguments="-sT")
        return
    job = nat.scan(IN6, ports="22,80,8080")
    assert job["state"] == "completed" and job["sandbox"]["egress"] == "broker", job
    assert [key for key, state in nat.ports(job).items() if state == "open"] == TCP
    said = nat.refused(IN6, arguments="-sU", ports="53")
    assert "net.ipv6.conf.all.forwarding" in said


def test_ipv6_goes_through_nat_where_the_machine_forwards_it(lab, make):
    lab.forward_v6()
    try:
        server = make()
        for arguments, ports in (("-sS", "22,80,8080"), ("-sU", "U:53"), ("-O", "22,80,8080")):
            job = server.scan(IN6, arguments=arguments, ports=ports)
            assert job["state"] == "completed" and job["sandbox"]["egress"] == "nft", job
            fewer = [note for note in job["sandbox"]["notes"] if "-O over IPv6" in note]
            assert bool(fewer) == (arguments == "-O"), job["sandbox"]
            assert not any(n for kind, n in dropped(job).items() if not (fewer and kind == "protocol"))
            assert not job["sandbox"]["dedicated"]
            assert server.ports(job) == bare(lab, "-6", arguments, "-p", ports, target=IN6) != {}
    finally:
        lab.forward_v6(False)
    assert lab.witness() == NOTHING


def test_many_scans_at_once_are_as_right_as_one(lab, make):
    server = make("--max-scan-workers", "8")
    jobs = [server.submit(IN, arguments="-sS", ports="22,80,8080") for _ in range(24)]
    for job in jobs:
        done = server.wait(job)
        assert done["state"] == "completed" and not any(dropped(done).values()), done
        assert server.ports(done) == {("tcp", 22): "open", ("tcp", 80): "open",
                                      ("tcp", 8080): "closed"}  # fmt: skip
    assert lab.witness() == NOTHING


def test_one_scan_without_a_server_is_confined_the_same_way(lab, scanpod_bin, workdir):
    scope = workdir / "scope.yaml"
    scope.write_text(SCOPE)
    scope.chmod(0o644)
    before = state(lab)
    env = clean_env(workdir, SCANPOD_WITHOUT=None, SCANPOD_SCOPE_FILE=scope)
    run = lambda *words: subprocess.run(
        [*lab.inside("host"), str(scanpod_bin), "run", *words], env=env, capture_output=True,
        text=True, timeout=60)  # fmt: skip
    lab.forget()
    good = run(IN, "--ports", "22,8080")
    assert good.returncode == 0 and "22/tcp" in good.stdout, good
    assert run(IN, "--ports", "53", "--arguments", "-sU").returncode == 0, "which no other level can"
    refused = run(OUT, "--ports", "22")
    assert refused.returncode == 6 and OUT in refused.stderr, refused
    assert state(lab) == before and lab.witness() == NOTHING


# ---------------------------------------------------------------- hostile scans


def test_a_hostile_scanner_reaches_nothing_and_is_counted(lab, make, script, scanpod_bin):
    server = make(SCANPOD_TOOL_NMAP=script(hostile(), programs=[tool(scanpod_bin, "hostile")]))
    lab.forget()
    job = server.scan(IN, ports="22")
    assert job["state"] == "completed", job
    assert lab.witness() == NOTHING
    report = job["sandbox"]
    assert report["egress"] == "nft" and report["packets"]["passed"] > 0, report
    for kind in ("out_of_scope", "spoofed", "protocol", "options", "link"):
        assert dropped(job)[kind] > 0, report
    ways = dict(re.findall(r"^(\w+)\t(\w+)\t", job["stderr"], re.M))
    assert len(ways) > 10 and "got" not in {v for w, v in ways.items() if not w.startswith("in_")}


@pytest.mark.parametrize("without,level", [("nft", "rootless"), ("nft,slirp", "broker")])
def test_the_levels_below_hold_it_too(lab, make, script, scanpod_bin, without, level):
    gateway = GATEWAY_IN if level == "broker" else "198.18.0.1"
    path = script(hostile(gateway), programs=[tool(scanpod_bin, "hostile")])
    server = make(SCANPOD_TOOL_NMAP=path, SCANPOD_WITHOUT=without)
    why = {one["name"]: one["why"] for one in server.caps()["levels"]}
    assert why["nft"] and not why[level], why
    lab.forget()
    job = server.scan(IN, arguments="-sT", ports="22")
    assert job["state"] == "completed" and job["sandbox"]["egress"] == level, job
    assert lab.witness() == NOTHING
    counts = job["sandbox"]["packets" if level == "rootless" else "calls"]["dropped"]
    assert counts["out_of_scope"] > 0, counts


def test_two_scans_at_once_have_networks_of_their_own(lab, make, script, scanpod_bin):
    probe = script(xml(
        "cat /proc/net/route >&2\n"
        "gateway=$(awk '$2 == \"00000000\" { print $3 }' /proc/net/route)\n"
        "third=$((0x$(echo $gateway | cut -c3-4)))\n"  # the pool's part of this netd
        "for i in 0 4 8 12; do for j in 1 2; do\n"
        "  echo to 198.18.$third.$((i + j)) >&2\n"
        "  @tools/hostile tcp_connect --out 198.18.$third.$((i + j)) >&2\n"
        "  @tools/hostile udp_send --out 198.18.$third.$((i + j)) >&2\n"
        "done; done\n"
        "sleep 2\n"
    ), programs=[tool(scanpod_bin, "hostile")])  # fmt: skip
    server = make(SCANPOD_TOOL_NMAP=probe)
    first, second = (server.submit(IN, ports="80") for _ in range(2))
    jobs = [server.wait(first), server.wait(second)]
    assert [j["state"] for j in jobs] == ["completed"] * 2, jobs
    assert jobs[0]["started_at"] < jobs[1]["completed_at"]
    assert jobs[1]["started_at"] < jobs[0]["completed_at"]
    gateways = [re.search(r"^eth0\s+00000000\s+(\w+)", j["stderr"], re.M)[1] for j in jobs]
    assert len(set(gateways)) == 2, gateways
    for job, gateway in zip(jobs, gateways):
        tried = re.findall(r"^to (\S+)\ntcp_connect\t(\w+)", job["stderr"], re.M)
        # Its own address, the one behind the gateway's, answers by itself: nothing leaves for it.
        own = str(ipaddress.ip_address(bytes.fromhex(gateway)[::-1]) + 1)
        assert len(tried) == 8 and own in dict(tried), job["stderr"]
        assert not [a for a, verdict in tried if verdict == "got" and a != own], job["stderr"]
        assert dropped(job)["out_of_scope"] > 0, job["sandbox"]
    assert lab.witness() == NOTHING


# ---------------------------------------------------------------- an address of its own

@pytest.fixture(scope="module")
def dedicated(lab, scanpod_bin, _session_dir):
    home = _session_dir / "dedicated"
    home.mkdir()
    home.chmod(0o755)
    lab.forward_v6()
    server = LabServer(lab, scanpod_bin, home, *DEDICATED).start()
    yield server
    assert server.stop() == 0, server.log()
    lab.forward_v6(False)
    neighbours = lab.run("host", "ip", "neigh", "show", "proxy").stdout
    assert OWN not in neighbours and OWN6 not in neighbours, neighbours


@pytest.mark.parametrize("arguments", [*FALSIFIED, "-sS", "-sU", "-sA", "-sW", "-sO",
                                       "-O --max-os-tries 1"])
def test_with_an_address_of_its_own_every_scan_type_is_right(lab, dedicated, arguments):
    ports = {"-sU": "U:53", "-sO": "1,6,17,132"}.get(arguments, "22,80,8080")
    job = dedicated.scan(IN, arguments=arguments, ports=ports)
    assert job["state"] == "completed", job
    assert job["sandbox"]["dedicated"] and not any(dropped(job).values()), job["sandbox"]
    assert dedicated.ports(job) == bare(lab, *arguments.split(), "-p", ports) != {}
    assert lab.witness() == NOTHING


@pytest.mark.parametrize("arguments", ["-sS", "-sF", "-sU"])
def test_it_has_one_for_ipv6_too(lab, dedicated, arguments):
    ports = "U:53" if arguments == "-sU" else "22,80,8080"
    job = dedicated.scan(IN6, arguments=arguments, ports=ports)
    assert job["state"] == "completed" and job["sandbox"]["dedicated"], job
    assert not any(dropped(job).values()), job["sandbox"]
    assert dedicated.ports(job) == bare(lab, "-6", arguments, "-p", ports, target=IN6) != {}


def test_the_target_sees_the_scan_address(lab, dedicated):
    lab.run("in", "nft", "-f", "-", text=f"""
        table inet seen {{
            counter own {{ }}
            counter other {{ }}
            chain in {{
                type filter hook input priority -300; policy accept;
                ip saddr {OWN} counter name own
                ip saddr != {OWN} counter name other
            }}
        }}""")  # fmt: skip
    try:
        job = dedicated.scan(IN, arguments="-sS -Pn", ports="22,80")
        assert job["state"] == "completed", job
        seen = lab._counters("in", "inet", "seen")
        assert seen["own"] >= 2 and seen["other"] == 0, seen
    finally:
        lab.run("in", "nft", "delete", "table", "inet", "seen")


# ---------------------------------------------------------------- names

DNS = "127.0.0.53"


class Resolver:
    def __init__(self, lab, workdir):
        self.table, self.log = workdir / "names", workdir / "questions"
        self.conf = workdir / "resolv.conf"
        self.conf.write_text(f"nameserver {DNS}\noptions timeout:1 attempts:1\n")
        self.conf.chmod(0o644)
        self.say()
        self.proc = subprocess.Popen(
            [*lab.inside("host"), sys.executable, str(Path(__file__).parent / "lab_dns.py"), DNS,
             str(self.table), str(self.log)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.proc.stdout.readline() == b"ready\n"
        # The server's /etc/resolv.conf, and nobody else's.
        self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                       'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"', "sh",
                       str(self.conf)]  # fmt: skip

    def say(self, *addresses, name="name.test"):
        fresh = self.table.with_suffix(".new")
        fresh.write_text(" ".join((name, *addresses)) + "\n")
        fresh.rename(self.table)

    def questions(self):
        return self.log.read_text().count("\n")

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


@pytest.fixture
def resolver(lab, workdir):
    one = Resolver(lab, workdir)
    yield one
    one.close()


@pytest.mark.parametrize("after", [OUT, IN_MORE[0]], ids=["outside", "inside"])
def test_a_name_that_changes_after_the_submit_does_not_lead_there(lab, make, resolver, after):
    """With the real nmap, and the answer changed while the job waits over a restart."""
    resolver.say(IN)
    server = make("--max-scan-workers", "0", prefix=resolver.prefix)
    job = server.submit("name.test", ports="80", arguments="-sT --script http-title")
    asked = resolver.questions()
    assert asked > 0
    resolver.say(after)
    assert server.stop() == 0
    server.args = ()
    lab.forget()
    server.start()
    done = server.wait(job)
    assert done["state"] == "completed", done
    assert resolver.questions() == asked, "the pins are what counts"
    assert IN in json.dumps(done["pins"]) and after not in json.dumps(done["pins"]), done["pins"]
    assert {h["address"] for h in server.hosts(done)} == {IN}
    assert done["sandbox"]["egress"] == "nft" and not any(dropped(done).values()), done["sandbox"]
    assert "name.test" in json.dumps(server.hosts(done)), "the box knows the name"
    assert lab.witness() == NOTHING


def test_answers_that_change_with_every_question_lead_nowhere_else(lab, make, resolver):
    server = make(prefix=resolver.prefix)
    resolver.say(IN, "|", OUT)  # by turns
    taken = 0
    for _ in range(8):
        status, body = server.request("POST", "/api/v1/scans",
                                      {"targets": "name.test", "ports": "80", "arguments": "-Pn"})
        assert status in (202, 403), body
        if status == 202:
            taken += 1
            done = server.wait(body["id"])
            assert done["pins"] == {"name.test": [IN]} and done["state"] == "completed", done
            assert not any(dropped(done).values()), done["sandbox"]
    assert 0 < taken < 8
    assert lab.witness() == NOTHING


def test_a_hostile_scanner_cannot_ask_for_the_new_address(lab, make, script, resolver):
    """The name's answer changes, and the tool looks it up: its box has the pinned one, no DNS."""
    resolver.say(IN)
    server = make(prefix=resolver.prefix, SCANPOD_TOOL_NMAP=script(xml(
        "getent ahostsv4 name.test >&2; getent hosts other.test >&2; echo looked >&2")))  # fmt: skip
    first = server.scan("name.test", ports="80")
    asked = resolver.questions()
    assert first["state"] == "completed" and IN in first["stderr"], first
    assert "looked" in first["stderr"] and "other.test" not in first["stderr"]
    assert not any(dropped(first).values()), first["sandbox"]
    assert resolver.questions() == asked


@pytest.mark.parametrize("answer", [(IN, OUT), (OUT,), ("::ffff:10.77.2.2",),
                                    (IN, "169.254.169.254"), (IN, OUT6)])  # fmt: skip
def test_a_name_with_an_address_outside_is_refused_at_submit(make, resolver, answer):
    resolver.say(*answer)
    server = make("--max-scan-workers", "0", prefix=resolver.prefix)
    said = server.refused("name.test", ports="80")
    assert "name.test" in said and "within" in said, said


def test_a_name_without_an_address_is_no_target(make, resolver):
    server = make("--max-scan-workers", "0", prefix=resolver.prefix)
    assert "nowhere.test" in server.refused("nowhere.test")
