"""A box's way out by netd: how long it takes to make, what its end waits for, packets per second."""
import json
import subprocess

from measure import needs_root
from servers import program


def ask(name, *arguments):
    out = subprocess.run([program(name), *map(str, arguments)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def run(plan, report):
    needs_root()
    ways(plan, report)
    packets(plan, report)


def ways(plan, report):
    """veth, addresses and table, by a netd of the bench's own; no box beside it."""
    one = ask("ways", plan.repeats * 4, 1)
    many = ask("ways", plan.repeats, 20_000)
    report.at_most("way out at level nft, set-up", one["up_ms"]["p50"], 8, "ms",
                   f"p90 {one['up_ms']['p90']:.2f} ms")
    report.note("the same, while the ones before are removed", f"{one['busy_up_ms']['p50']:.2f} ms",
                f"p90 {one['busy_up_ms']['p90']:.2f} ms, one each {one['pace_ms']:.2f} ms")
    report.note("the same for 20,000 ranges", f"{many['up_ms']['p50']:.1f} ms",
                f"p90 {many['up_ms']['p90']:.1f} ms")
    report.at_most("what a scan's end waits for: its counters", one["counts_ms"]["p50"], 1, "ms",
                   f"p90 {one['counts_ms']['p90']:.2f} ms; removal comes later")


def packets(plan, report):
    got = ask("netd", 3 if plan.quick else 9)
    plain = got["intervals_0"]["kpps"] * 1000
    report.note("packets without a filter", f"{plain:,.0f}/s")
    for key, name in (("intervals_1", "1 interval"), ("intervals_20000", "20,000 intervals"),
                      ("intervals_20000_mixed", "20,000 intervals of many sizes")):
        figures = got[key]
        report.ratio(f"packets with {name}", figures["kpps"] * 1000, plain, figures["of_plain"],
                     0.75)
