"""Repository scans: how findings come in, how a scan ends, and pages of a million issues."""
import re
import subprocess
import tempfile

from servers import program


def run(plan, report):
    size = (2500, 20, 500) if plan.quick else (25_000, 1000, 1000)
    with tempfile.TemporaryDirectory(prefix="scanpod-bench-") as home:
        text = subprocess.run([program("findings"), f"sqlite:{home}/db", *map(str, size)],
                              capture_output=True, text=True, check=True).stdout
    for name, found, rate, end in re.findall(
            r"(.+): (\d+) findings, (\d+) in/s, end (\d+) ms", text):
        report.at_most(f"end of a scan with {int(found):,} findings: {name}", int(end), 500, "ms",
                       f"{int(rate):,} findings/s came in" if int(found) else "")
    for name, p50, p95 in re.findall(r"\d+ rows, (.+): \d+, ms: p50 ([\d.]+) p95 ([\d.]+)", text):
        report.at_most(f"page of {size[1] * size[2]:,} issues: {name}, p95", float(p95), 50, "ms",
                       f"p50 {p50} ms")
    report.note("memory", re.search(r"peak memory: (\d+ MiB)", text)[1])
