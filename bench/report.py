"""The table that a benchmark prints, and the machine that it ran on."""
import json
import os
import platform
import subprocess
from pathlib import Path


class Report:
    """Rows: what was measured, the figure, what it is compared with, ratio, target, verdict."""

    def __init__(self):
        self.rows = []

    def ratio(self, what, figure, peer, ratio, target, unit="/s"):
        """A ratio that must reach the target."""
        self.add(what, f"{number(figure)}{unit}", f"{number(peer)}{unit}", f"{ratio:.2f}x",
                 f">= {target}", ratio >= target)

    def at_most(self, what, figure, target, unit, peer=""):
        """A figure that must not exceed the target."""
        self.add(what, f"{number(figure)} {unit}", peer, "", f"<= {target} {unit}",
                 figure <= target)

    def at_most_times(self, what, figure, peer, target, unit):
        """A figure that must not exceed `target` times the peer's."""
        ratio = figure / peer
        self.add(what, f"{number(figure)} {unit}", f"{number(peer)} {unit}", f"{ratio:.2f}x",
                 f"<= {target}", ratio <= target)

    def note(self, what, figure, peer=""):
        """For information."""
        self.add(what, figure, peer, "", "", None)

    def add(self, what, figure, peer, ratio, target, holds):
        self.rows.append((what, figure, peer, ratio, target,
                          "" if holds is None else "yes" if holds else "NO"))
        print(f"  .. {what}: {figure} {ratio}", flush=True)

    def show(self, title):
        head = ("measured", "ScanPod", "compared with", "ratio", "target", "holds")
        table = [head] + self.rows
        widths = [max(len(str(r[i])) for r in table) for i in range(len(head))]
        print(f"\n{title}\n{machine()}\n")
        for r in table:
            print("  ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip())
        print()

    def all_hold(self):
        return all(r[5] != "NO" for r in self.rows)

    def save(self, path):
        keys = ("measured", "scanpod", "compared_with", "ratio", "target", "holds")
        Path(path).write_text(json.dumps(
            {"machine": machine(), "rows": [dict(zip(keys, r)) for r in self.rows]}, indent=1))


def number(v):
    if v >= 100:
        return f"{v:,.0f}"
    return f"{v:.2f}" if v < 10 else f"{v:.1f}"


def machine():
    model = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // (1 << 20)
    commit = subprocess.run(["git", "-C", str(Path(__file__).parent), "describe", "--always",
                             "--dirty"], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout.strip()
    return (f"{os.cpu_count()} x {model}, {memory} GiB, Linux {platform.release()}, "
            f"commit {commit or '?'}, load {os.getloadavg()[0]:.1f}")
