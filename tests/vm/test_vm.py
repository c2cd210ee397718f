"""
What needs a kernel and a system of its own: cgroup v2 in a machine with nothing else, and the units
of deploy/systemd, as they are, under a real systemd.

$SCANPOD_VM_BUILD is the build to take the programs from (build/); kernels are kept in its
folder vm/.
"""

import json
import os
import re
from pathlib import Path

import pytest

from machine import Image, Kernel, why_not

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SCANPOD_VM_BUILD", ROOT / "build")).resolve()

AS_ROOT = """
the_machines_root_group_is_not_taken
root_takes_a_group_only_if_it_was_delegated
a_group_without_controllers_is_of_no_use
a_group_with_other_processes_stays_as_it_was
root_hands_its_group_over
""".split()

AS_USER = """
the_user_gets_groups_of_its_own
a_tool_that_takes_too_much_memory_is_ended_and_counted
without_the_limit_the_same_tool_ends_well
a_tool_that_forks_too_much_is_refused_and_counted
a_tool_gets_no_more_processor_than_its_share
killing_the_group_ends_all_of_it
what_an_earlier_process_left_is_killed_and_removed
the_user_stays_inside_what_it_was_given
limits_that_the_kernel_does_not_take_are_an_error
no_group_is_left
""".split()

# What systemd does for a unit with User= and Delegate=.
GROUP_SCRIPT = """
cgroup_guest
group=/sys/fs/cgroup/delegated
mkdir $group
for f in $group $group/cgroup.procs $group/cgroup.threads $group/cgroup.subtree_control; do
    chown 61001:61001 $f
done
cgroup_guest delegated $group
"""


@pytest.fixture(scope="session")
def kernel():
    if why_not():
        pytest.skip(why_not())
    return Kernel(BUILD / "vm")


@pytest.fixture(scope="session")
def group_console(kernel):
    image = Image(kernel)
    image.program(str(BUILD / "tests/vm/cgroup_guest"), "/usr/bin/cgroup_guest")
    image.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nscan:x:61001:61001::/tmp:/bin/sh\n")
    return image.boot(GROUP_SCRIPT, seconds=120)


@pytest.mark.parametrize("name", AS_ROOT + AS_USER)
def test_groups_of_a_machine_with_cgroup_v2(group_console, name):
    points = [line for line in group_console if re.fullmatch(rf"(not )?ok \d+ - {name}\b.*", line)]
    assert points and all(line.startswith("ok") and "SKIP" not in line for line in points), (
        "\n".join(group_console)
    )


def test_every_test_of_the_guest_is_looked_at(group_console):
    names = [m.group(1) for line in group_console if (m := re.match(r"(?:not )?ok \d+ - (\w+)", line))]
    assert names == AS_ROOT + AS_USER, "\n".join(group_console)
    assert group_console[-1].endswith("Power down") or "machine: status 0" in group_console


# ---- the units, under systemd ----

SCOPE = """
version: 1
scope:
  allow:
    - {target: 10.77.0.0/16, note: a network of the guest's, authorised_by: tests}
    - {target: 127.0.0.0/8, note: loopback, authorised_by: tests}
policies:
  - name: default
    tools: [nmap]
    limits: {memory_mb: 96, processes: 24, wall_s: 50}
"""

UNITS = """
basic.target sysinit.target sockets.target timers.target paths.target slices.target local-fs.target
local-fs-pre.target swap.target network.target network-pre.target network-online.target
shutdown.target umount.target final.target system.slice -.slice systemd-journald.service
systemd-journald.socket systemd-journald-dev-log.socket systemd-tmpfiles-setup.service
""".split()

GUEST_TARGET = """
[Unit]
Requires=basic.target
Wants=scanpod.service scanpod-netd.service guest.service
After=basic.target
"""

GUEST_SERVICE = """
[Unit]
After=scanpod.service scanpod-netd.service
[Service]
Type=oneshot
ExecStart=/usr/bin/systemd_guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
"""

REDIS_SERVICE = """
[Service]
ExecStart=/usr/bin/redis-server --bind 127.0.0.1 --dir /var/lib/redis --save "" --appendonly yes
StateDirectory=redis
"""

SYSUSERS_SERVICE = """
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/usr/bin/systemd-sysusers
"""

MODULES = ("veth", "nf_tables", "nft_chain_nat", "nft_masq", "nft_ct", "nft_limit", "nft_fib_inet",
           "nft_reject_inet", "nf_conntrack", "nft_counter", "nft_objref")


def systemd_image(kernel):
    systemd = Path("/lib/systemd")
    image = Image(kernel)
    for name in ("systemd", "systemd-journald", "systemd-shutdown", "systemd-executor"):
        if (systemd / name).exists():
            image.program(str(systemd / name))
    for name in ("systemctl", "journalctl", "systemd-sysusers", "systemd-tmpfiles"):
        image.program(f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}")
    for name in UNITS:
        if (systemd / "system" / name).exists():
            image.file(str(systemd / "system" / name))
    for folder in ("sysinit.target.wants", "sockets.target.wants"):
        for link in (systemd / "system" / folder).glob("*"):
            if link.name in UNITS:
                image.link(str(link), f"../{link.name}")
    for name in ("scanpod.service", "scanpod-netd.service", "scanpod-worker.service"):
        image.file(str(ROOT / "deploy/systemd" / name), f"/etc/systemd/system/{name}")
    image.file(str(ROOT / "deploy/systemd/scanpod-fleet.conf"), "/usr/share/scanpod-fleet.conf")
    image.put("/etc/scanpod/worker.env",
              "SCANPOD_TRANSPORT=redis://127.0.0.1\nSCANPOD_WORKER_NAME=guest-worker\n"
              "SCANPOD_DRAIN_TIMEOUT=1\n")
    image.put("/etc/systemd/system/guest-redis.service", REDIS_SERVICE)
    image.program(os.path.realpath("/usr/bin/redis-server"), "/usr/bin/redis-server")
    image.file(str(ROOT / "deploy/systemd/scanpod.sysusers"), "/usr/lib/sysusers.d/scanpod.conf")
    image.put("/etc/systemd/system/guest.target", GUEST_TARGET)
    image.put("/etc/systemd/system/guest.service", GUEST_SERVICE)
    image.put("/etc/systemd/system/guest-users.service", SYSUSERS_SERVICE)
    image.link("/etc/systemd/system/sysinit.target.wants/guest-users.service",
               "../guest-users.service")
    image.put("/etc/systemd/journald.conf", "[Journal]\nStorage=volatile\nForwardToConsole=no\n")
    image.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    image.put("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    image.put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    image.put("/etc/hosts", "127.0.0.1 localhost\n")
    image.put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    image.put("/etc/os-release", "ID=guest\nNAME=guest\n")
    image.put("/etc/scanpod/scope.yaml", SCOPE)
    image.program(str(BUILD / "scanpod"), "/usr/bin/scanpod")
    image.program(str(BUILD / "tests/vm/cgroup_guest"), "/usr/bin/cgroup_guest")
    curl = next(Path("/usr/lib/x86_64-linux-gnu").glob("libcurl*.so.4"))
    image.program(str(curl))
    here = Path(__file__).parent
    image.put("/usr/bin/systemd_guest.sh", (here / "systemd_guest.sh").read_text(), 0o755)
    image.put("/usr/bin/nmap", (here / "fake_nmap.sh").read_text(), 0o755)
    image.put("/usr/share/nmap/scripts/script.db",
              'Entry { filename = "banner.nse", categories = { "discovery", "safe", } }\n')
    image.folder("/var/lib")
    image.folder("/var/tmp")
    image.folder("/var/log")
    image.modules(*MODULES)
    return image


class Guest:
    """What systemd_guest.sh said: rows of words by key, JSON documents by key."""

    def __init__(self, console):
        self.console = "\n".join(console)
        self.rows = {}
        for line in console:
            if m := re.match(r"guest: (\S+) ?(.*)", line):
                self.rows.setdefault(m.group(1), []).append(m.group(2))

    def one(self, key):
        assert len(self.rows.get(key, [])) == 1, f"{key}\n{self.console}"
        return self.rows[key][0]

    def job(self, key):
        try:
            return json.JSONDecoder().raw_decode(self.one(key))[0]
        except ValueError:
            raise AssertionError(f"{key}: {self.one(key)}\n{self.console}") from None


@pytest.fixture(scope="session")
def guest(kernel):
    console = systemd_image(kernel).boot(
        "/usr/lib/systemd/systemd", seconds=175, memory_mb=1024,
        append="loglevel=1 systemd.unit=guest.target systemd.show_status=0 "
               "systemd.log_level=warning",
    )
    return Guest(console)


def test_both_units_start_and_stop_in_order(guest):
    assert guest.one("server") == "active netd active", guest.console
    assert guest.one("stopped") == "inactive inactive", guest.console
    assert guest.one("result") == "success success", guest.console
    assert guest.one("left") == "0", guest.console


def rights(text):
    return dict(re.findall(r"(\w+): (\S+)", text))


def test_netd_holds_one_capability_and_a_filter(guest):
    held = rights(guest.one("rights-netd"))
    assert guest.one("user-netd") == "scanpod-netd"
    assert int(held["CapEff"], 16) == int(held["CapBnd"], 16) == 1 << 12  # CAP_NET_ADMIN
    assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2"


def test_the_servers_processes_hold_no_capability(guest):
    rows = guest.rows["rights-server"]
    assert len(rows) >= 3, guest.console  # the daemon, the runner, the resolver
    for row in rows:
        held = rights(row)
        assert row.endswith("user scanpod"), row
        assert int(held["CapEff"], 16) == int(held["CapBnd"], 16) == 0, row
        assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2", row


def test_the_server_takes_the_group_that_systemd_delegates(guest):
    assert guest.one("main-group") == "/system.slice/scanpod.service/supervisor"
    assert {"memory", "pids", "cpu"} <= set(guest.one("controllers").split())


def test_an_honest_scan_is_complete_and_nothing_of_it_is_dropped(guest):
    job = guest.job("scan-10.77.1.7")
    assert job["state"] == "completed", job
    assert job["confinement"] == "userns+nft+cgroup2"
    assert job["sandbox"]["limit"] is None
    assert set(job["sandbox"]["packets"]["dropped"].values()) == {0}
    assert job["counts"]["ports_open"] == 1


@pytest.mark.parametrize(
    "key, limit, confinement",
    [
        ("scan-10.77.1.5", "oom", "userns+nft+cgroup2"),
        ("scan-10.77.1.6", "pids", "userns+nft+cgroup2"),
        ("scan-127.0.0.5", "oom", "userns+broker+cgroup2"),
    ],
)
def test_a_hog_is_ended_by_a_limit_that_the_result_names(guest, key, limit, confinement):
    job = guest.job(key)
    assert (job["state"], job["reason"]) == ("failed", "limit"), job
    assert job["sandbox"]["limit"] == limit and job["sandbox"]["limit_certain"], job
    assert job["confinement"] == confinement
    if limit == "oom":
        assert job["sandbox"]["usage"]["memory_peak_kb"] in (None, 96 * 1024), job


def test_when_netd_dies_its_scan_fails_and_both_units_come_back(guest):
    assert guest.job("before-crash")["state"] == "running"
    job = guest.job("after-crash")
    assert (job["state"], job["reason"]) == ("failed", "sandbox"), job
    again = guest.job("scan-again")
    assert again["state"] == "completed" and again["confinement"] == "userns+nft+cgroup2", again


def test_nothing_is_left_of_any_scan(guest):
    assert guest.one("groups") == "0", guest.console
    assert guest.one("links") == "0", guest.console
    assert guest.one("processes") == "0", guest.console


# ---- a fleet, under systemd


def test_server_redis_and_worker_run_as_units(guest):
    assert guest.one("fleet") == "active worker active", guest.console
    (worker,) = json.loads(guest.one("fleet-workers"))
    assert (worker["name"], worker["state"]) == ("guest-worker", "up")
    assert {"net", "net-raw"} <= set(worker["queues"])


def test_the_workers_processes_hold_no_capability(guest):
    rows = guest.rows["rights-worker"]
    assert len(rows) >= 3, guest.console  # the worker, the runner, the resolver
    for row in rows:
        held = rights(row)
        assert row.endswith("user scanpod"), row
        assert int(held["CapEff"], 16) == int(held["CapBnd"], 16) == 0, row
        assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2", row


@pytest.mark.parametrize("target, way", [("127.0.0.1", "broker"), ("10.77.1.7", "nft")])
def test_a_scan_goes_through_the_fleet(guest, target, way):
    job = guest.job(f"fleet-scan-{target}")
    assert job["state"] == "completed" and job["counts"]["ports_open"] == 1, job
    assert job["confinement"] == f"userns+{way}+cgroup2"


def test_a_worker_that_is_stopped_hands_back_what_it_runs(guest):
    job = guest.job("fleet-handed-back")
    assert job["state"] == "queued" and job["lost"] == 0, job
    assert guest.one("fleet-worker-result") == "success"
    assert guest.one("fleet-processes") == "0"
