"""
What needs a kernel and a system of its own: cgroup v2 in a machine with nothing else.

$SCANPOD_VM_BUILD is the build to take the programs from (build/); kernels are kept in its
folder vm/.
"""

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
