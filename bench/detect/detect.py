#!/usr/bin/python3
"""What the engines find in a sample of ours, each alone and all together.

usage: bench/detect/detect.py [--missed] [--write] SCANPOD

The sample is bench/detect/sample: sources with pairs of a weakness and its mended twin. In those
files "=== PATH" begins a file, and a line that ends with "@bad CLASS" or "@good CLASS" is an
expected line of that class; the marks are taken off before anything is scanned, so no engine sees
them. "dot-" at the start of a name becomes ".".

SCANPOD repo DIR is run once for each engine and once with all; what comes out is held against the
expected lines. --missed names those that nothing finds, --write puts the table into
docs/performance.md and the figures into bench/detect/floor.json, below which tests do not let them
fall.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections import namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOC = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by bench/detect/detect.py -->\n", "<!-- end -->"

# Which directories of the sample an engine reads at all.
READS = {"flawfinder": {"c"}, "cppcheck": {"c"}, "bandit": {"python", "agents"},
         "shellcheck": {"shell"}}
ENGINES = ["flawfinder", "cppcheck", "bandit", "shellcheck", "rules"]
# What else counts as having seen the weakness: engines cut classes differently.
ALSO = {
    "buffer-overflow": {"out-of-bounds", "dangerous-function"},
    "out-of-bounds": {"buffer-overflow"},
    "command-injection": {"shell-quoting"},
    "shell-quoting": {"command-injection"},
    "insecure-temporary-file": {"race-condition", "dangerous-function"},
    "weak-hash": {"weak-cryptography"},
    "weak-cryptography": {"weak-hash"},
    "input-validation": {"shell-quoting"},
    "null-dereference": {"other"},
    "insecure-permissions": {"container-misconfiguration"},
}
NEAR = 1  # lines

Case = namedtuple("Case", "path line cls bad")


def split_sample(to):
    """The files of the sample below `to`; what is expected of them."""
    cases, out, path, number = [], None, None, 0
    for source in sorted((HERE / "sample").glob("*.txt")):
        for line in source.read_text(encoding="utf-8").splitlines():
            if line.startswith("=== "):
                path = "/".join(re.sub("^dot-", ".", part) for part in line[4:].split("/"))
                (to / path).parent.mkdir(parents=True, exist_ok=True)
                out = []
                number = 0
                continue
            mark = re.search(r"\s*@(bad|good) ([a-z-]+)$", line)
            number += 1
            if mark:
                line = line[:mark.start()]
                cases.append(Case(path, number, mark[2], mark[1] == "bad"))
            out.append(line + "\n")
            (to / path).write_text("".join(out), encoding="utf-8")
    return cases


def run(scanpod, tree, engines, home, env):
    """The scan's record and its findings. Engines: names, None for all."""
    argv = [scanpod, "repo", str(tree), "-q", "-o", "json", "--data-dir", str(home)]
    argv += ["--engines", ",".join(engines)] if engines else []
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd=home,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
                               **(env or {}), "HOME": str(home)})
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr[-2000:]}")
    scan = json.loads(done.stdout)
    return scan["job"]["run"], scan["findings"]


def fits(finding, cls):
    return finding["rule"] == cls or finding["rule"] in ALSO.get(cls, ())


def told_of(cases, findings):
    """Of each case, whether a finding of its class is at its line. A finding speaks of the nearest
    case of its class only."""
    told = set()
    for f in findings:
        last = f.get("end_line") or f["line"]
        near = [(max(f["line"] - c.line, c.line - last, 0), abs(f["line"] - c.line), c)
                for c in cases if c.path == f["path"] and fits(f, c.cls)]
        if near and min(near)[0] <= NEAR:
            told.add(min(near)[2])
    return told


def lost(single, merged):
    """Reports of engines alone that are in no finding of all together: the same engine, its rule,
    the path, about the line."""
    gone = []
    for f in single:
        for said in f["engines"]:
            if not any(m["path"] == f["path"] and abs(m["line"] - f["line"]) <= 4 and
                       any(e["name"] == said["name"] and e.get("rule") == said.get("rule")
                           for e in m["engines"]) for m in merged):
                gone.append((said["name"], said.get("rule"), f["path"], f["line"]))
    return gone


def reads(engine, path):
    return engine not in READS or path.split("/")[0] in READS[engine]


def figures(cases, engine, findings):
    mine = [c for c in cases if reads(engine, c.path)]
    told = told_of(mine, findings)
    return {"expected": sum(c.bad for c in mine), "hit": sum(c.bad for c in told),
            "good": sum(not c.bad for c in mine), "false": sum(not c.bad for c in told),
            "findings": len(findings)}


def measure(scanpod, env=None):
    """
    engines   figures of each, and of "merged"; versions of each
    lost      reports of an engine alone that are in no merged finding
    dropped   expected lines that an engine alone finds, and all together do not
    missed, alarms   cases that all together get wrong
    absent    engines that did not run
    """
    with tempfile.TemporaryDirectory(prefix="scanpod-detect-") as work:
        work = Path(work)
        work.chmod(0o755)
        tree, home = work / "sample", work / "home"
        tree.mkdir()
        home.mkdir(mode=0o700)
        cases = split_sample(tree)
        record, merged = run(scanpod, tree, None, home, env)
        there = {e["name"]: e for e in record["engines"]}
        told = told_of(cases, merged)
        result = {"engines": {}, "versions": {}, "lost": [], "dropped": [], "absent": [],
                  "files": len({c.path for c in cases}), "complete": record["assessment"],
                  "missed": sorted(c for c in set(cases) - told if c.bad),
                  "alarms": sorted(c for c in told if not c.bad)}
        for engine in ENGINES:
            if there.get(engine, {}).get("status") != "ok":
                result["absent"].append(engine)
                continue
            alone = run(scanpod, tree, [engine], home, env)[1]
            result["engines"][engine] = figures(cases, engine, alone)
            result["versions"][engine] = there[engine]["version"]
            result["lost"] += lost(alone, merged)
            result["dropped"] += sorted(c for c in told_of(cases, alone) - told if c.bad)
        result["engines"]["merged"] = figures(cases, "merged", merged)
        return result


def table(result):
    rows = ["| Engine | Expected lines in files it reads | Found | Mended twins | Reported all the "
            "same | Findings in all |", "| --- | --- | --- | --- | --- | --- |"]
    for name, f in result["engines"].items():
        rows.append(f"| {name if name != 'merged' else '**all, merged**'} | {f['expected']} | "
                    f"{f['hit']} ({100 * f['hit'] // max(f['expected'], 1)} %) | {f['good']} | "
                    f"{f['false']} ({100 * f['false'] // max(f['good'], 1)} %) | {f['findings']} |")
    versions = ", ".join(f"{n} {v}" for n, v in result["versions"].items() if n != "rules")
    rows += ["", *textwrap.wrap(
        f"{result['files']} files; {versions}. Reports of an engine alone that are in no merged "
        f"finding: {len(result['lost'])}; expected lines that an engine alone finds and all "
        f"together do not: {len(result['dropped'])}.", 100)]
    return "\n".join(rows) + "\n"


def write(result):
    text = DOC.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    DOC.write_text(before + BEGIN + table(result) + rest[rest.index(END):], encoding="utf-8")
    floor = {name: {"hit": f["hit"], "false": f["false"], "version": result["versions"].get(name)}
             for name, f in result["engines"].items()}
    (HERE / "floor.json").write_text(json.dumps(floor, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("scanpod")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    result = measure(args.scanpod)
    print(table(result))
    for what in result["lost"]:
        print("lost:", *what)
    if args.missed:
        for c in result["missed"]:
            print(f"missed: {c.path}:{c.line} {c.cls}")
        for c in result["alarms"]:
            print(f"false alarm: {c.path}:{c.line} {c.cls}")
    if args.write:
        if result["absent"]:
            sys.exit(f"not measured: {', '.join(result['absent'])} did not run")
        write(result)
    return 1 if result["lost"] or result["dropped"] else 0


if __name__ == "__main__":
    sys.exit(main())
