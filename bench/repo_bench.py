"""A repository of 1,000 files: all default engines side by side against each of them alone."""
import json
import random
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from servers import BUILD

C_FUNCTION = """
static int work_{n}(const char *in, int k)
{{
    char text[{size}];
    int sum = 0;

    for (int i = 0; i < k; i++) {{
        sum += in[i] * {n};
    }}
    {call}
    return sum + (int)text[0];
}}
"""
PY_FUNCTION = """
def work_{n}(path, text):
    total = 0
    for i, word in enumerate(text.split()):
        total += len(word) * {n} + i
    {call}
    return total
"""
C_CALLS = ["strcpy(text, in);", "snprintf(text, sizeof text, \"%s\", in);", "sprintf(text, in);"]
PY_CALLS = ["os.system('ls ' + path)", "subprocess.run(['ls', path])", "eval(text)", "pass"]
SHELL = "#!/bin/sh\nfor f in \"$@\"; do\n    echo \"$f\"\n    rm -rf $f/{n}\ndone\n"
OTHER = "export function work{n}(q) {{\n  return db.query('select ' + q + ' from t{n}');\n}}\n"

BARE = {
    "flawfinder": ["flawfinder", "--sarif", "--minlevel=1", "--neverignore"],
    "cppcheck": ["cppcheck", "--enable=warning,portability", "--inconclusive", "--xml", "--quiet"],
    "bandit": ["bandit", "-r", "-f", "json", "-q", "--ignore-nosec"],
}


def make_tree(root, files):
    rng = random.Random(6)
    for i in range(files):
        kind = i % 10
        folder = root / f"part{i % 25}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = range(rng.randint(4, 14))
        if kind < 4:
            body = "#include <stdio.h>\n#include <string.h>\n" + "".join(
                C_FUNCTION.format(n=i * 20 + k, size=rng.randint(8, 64), call=rng.choice(C_CALLS))
                for k in lines)
            (folder / f"file{i}.c").write_text(body)
        elif kind < 7:
            body = "import os\nimport subprocess\n" + "".join(
                PY_FUNCTION.format(n=i * 20 + k, call=rng.choice(PY_CALLS)) for k in lines)
            (folder / f"file{i}.py").write_text(body)
        elif kind < 9:
            (folder / f"file{i}.sh").write_text(SHELL.format(n=i))
        else:
            (folder / f"file{i}.js").write_text("".join(OTHER.format(n=i * 20 + k) for k in lines))


def bare(command, tree):
    begun = time.monotonic()
    subprocess.run([*command, str(tree)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic() - begun) * 1000


def bare_shellcheck(tree):
    files = sorted(map(str, tree.rglob("*.sh")))
    begun = time.monotonic()
    subprocess.run(["shellcheck", "--norc", "-f", "json1", *files], stdout=subprocess.DEVNULL)
    return (time.monotonic() - begun) * 1000


def scan(tree, *more):
    out = subprocess.run([str(BUILD / "scanpod"), "repo", str(tree), "-o", "json", *more],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    found = json.loads(out)
    job = found["job"]
    took = (datetime.fromisoformat(job["completed_at"].replace("Z", "+00:00"))
            - datetime.fromisoformat(job["started_at"].replace("Z", "+00:00")))
    return took.total_seconds() * 1000, job["run"], len(found["findings"])


def run(plan, report):
    with tempfile.TemporaryDirectory(prefix="scanpod-bench-") as home:
        tree = Path(home) / "tree"
        make_tree(tree, 100 if plan.quick else 1000)
        alone = {name: [] for name in [*BARE, "shellcheck"]}
        whole, overhead = [], []
        for _ in range(plan.rounds if plan.quick else 3):
            for name, command in BARE.items():
                alone[name].append(bare(command, tree))
            alone["shellcheck"].append(bare_shellcheck(tree))
            took, record, findings = scan(tree)
            whole.append(took)
            overhead.append(took - record["duration_ms"]["engines"])
        figures = {name: median(times) for name, times in alone.items()}
        slowest = max(figures, key=figures.get)
        for name, ms in figures.items():
            report.note(f"{name} alone, without ScanPod", f"{ms:.0f} ms")
        report.at_most("all engines, to the slowest alone", median(whole) / figures[slowest], 1.2,
                       "", f"{median(whole):.0f} ms, {slowest} {figures[slowest]:.0f} ms")
        report.at_most("everything but the engines", median(overhead), 300, "ms",
                       f"{findings} findings")
