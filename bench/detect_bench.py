"""What the engines find in the sample of bench/detect, and that merging loses nothing."""
import sys

from servers import BENCH, BUILD

sys.path.insert(0, str(BENCH / "detect"))

import detect  # noqa: E402 (its directory is added above)


def run(plan, report):
    result = detect.measure(str(BUILD / "scanpod"))
    for name, f in result["engines"].items():
        report.note(f"{name}: expected lines found", f"{f['hit']} of {f['expected']}",
                    f"{f['false']} of {f['good']} mended twins told, too")
    report.at_most("reports that merging lost", len(result["lost"]), 0, "")
    report.at_most("lines that one engine finds and all do not", len(result["dropped"]), 0, "")
    for name in result["absent"]:
        report.note(f"{name}: not measured", "it did not run")
