"""What a box costs: a program that does nothing, plainly, in our box, and in bubblewrap.

The rows take turns, so that what else the machine does hits all of them; all run at the priority
that a tool in a box has, because on a busy machine that would tell.
"""
import os
import shutil
import subprocess
from statistics import median

from servers import program

TURNS = 4
NICE = 10
TRUE = "/bin/true"
BWRAP = ["--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
         "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
         "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", TRUE]


def rows():
    return {
        "plain": ("plain", [TRUE]),
        "shared": ("shared", [TRUE]),
        "none": ("none", [TRUE]),
        "own": ("own", [TRUE]),
        "bwrap": ("plain", [shutil.which("bwrap"), *BWRAP]),
    }


def quantiles(how, argv, runs):
    """Milliseconds: median, tenth and ninetieth of a hundred."""
    out = subprocess.run([program("box"), str(runs), how, *argv], check=True, text=True,
                         stdout=subprocess.PIPE, preexec_fn=lambda: os.nice(NICE)).stdout
    return [float(x) for x in out.split()]


def run(plan, report):
    taken = {name: [] for name in rows()}
    for _ in range(TURNS):
        for name, (how, argv) in rows().items():
            taken[name].append(quantiles(how, argv, max(5, plan.repeats)))
    ms = {name: median(t[0] for t in turns) for name, turns in taken.items()}
    spread = {name: f"p10 {median(t[1] for t in turns):.2f}, p90 {median(t[2] for t in turns):.2f}"
              for name, turns in taken.items()}
    report.note("plain exec of /bin/true", f"{ms['plain']:.2f} ms", spread["plain"])
    report.at_most("box without network (level none), over plain exec", ms["none"] - ms["plain"],
                   3.5, "ms", f"whole {ms['none']:.2f} ms, {spread['none']}")
    report.at_most_times("the same, against bwrap --unshare-all", ms["none"], ms["bwrap"], 1, "ms")
    report.note("box with the machine's network", f"{ms['shared']:.2f} ms", spread["shared"])
    report.note("box with a network of its own, until it waits", f"{ms['own']:.2f} ms",
                spread["own"])
