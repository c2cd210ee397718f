"""Two results of a million open ports: compared, and written out in each format."""
import re
import subprocess
import tempfile

from servers import program

SHAPES = ((15625, 64, 256), (16, 62500, 64))


def figures(text):
    """Name of each line's case, with seconds, ports a second and MiB of the line behind it."""
    lines = text.splitlines()
    for case, cost in zip(lines[::2], lines[1::2]):
        seconds, rate, mib = re.findall(r"[\d.]+", cost)
        yield case.split()[0], float(seconds), float(rate), int(mib)


def run(plan, report):
    for hosts, ports, shards in SHAPES:
        ports = ports // 50 if plan.quick else ports
        with tempfile.TemporaryDirectory(prefix="scanpod-bench-") as home:
            text = subprocess.run([program("diff"), home, str(hosts), str(ports),
                                   str(shards)], capture_output=True, text=True,
                                  check=True).stdout
        shape = f"{hosts:,} hosts with {ports:,} open ports"
        for case, seconds, rate, mib in figures(text):
            if case == "diff":
                report.at_most(f"{shape}: diff", seconds, 10, "s")
                report.at_most(f"{shape}: memory of the diff", mib, 64, "MiB")
            else:
                report.note(f"{shape}: as {case}", f"{seconds:.2f} s",
                            f"{rate} million ports a second, {mib} MiB")
