"""
Findings keep their identity while a repository changes: trees made here, scanned by the real binary
with real engines, and compared with what an alignment of the trees says is the same.
"""

import json
import random
import re
import subprocess

import identity_truth
import pytest
import sarif_check
from conftest import clean_env

pytestmark = pytest.mark.seconds(300)

ENGINES = "flawfinder,bandit,shellcheck,rules"
C_CALLS = ["strcpy(a, b);", "strcat(a, b);", "sprintf(a, b);", "system(b);", "gets(a);",
           "memcpy(a, b, n);", "printf(a);", "popen(b, \"r\");"]
PY_CALLS = ["subprocess.call(a, shell=True)", "pickle.loads(a)", "eval(a)", "hashlib.md5(a)",
            "os.chmod(a, 0o777)", "tempfile.mktemp()", "yaml.load(a)", "exec(a)"]


def c_file(dice, number):
    lines = ["#include <string.h>", ""]
    for f in range(dice.randint(3, 8)):
        lines += [f"int f{number}_{f}(char *a, char *b, int n)", "{", "    if (n > 0) {"]
        lines += [f"        {dice.choice(C_CALLS)}" for _ in range(dice.randint(1, 4))]
        lines += ["    } else {", f"        {dice.choice(C_CALLS)}", "    }", "    return 0;", "}", ""]
    return lines


def python_file(dice, number):
    lines = ["import hashlib, os, pickle, subprocess, tempfile, yaml", "", f"class K{number}:"]
    for f in range(dice.randint(3, 8)):
        lines += [f"    def f{f}(self, a):", "        if a:"]
        lines += [f"            {dice.choice(PY_CALLS)}" for _ in range(dice.randint(1, 4))]
        lines += ["        return a", ""]
    return lines


def make_tree(root, seed=5, files=12):
    dice = random.Random(seed)
    for number in range(files):
        for directory, suffix, write in (("src", "c", c_file), ("lib", "py", python_file)):
            path = root / directory / f"m{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(write(dice, number)) + "\n")
    (root / "run.sh").write_text("#!/bin/sh\nclean() {\n    rm -rf $1/*\n}\nclean $2\n")


def scan(binary, workdir, tree, form="json"):
    run = subprocess.run(
        [binary, "repo", str(tree), "-e", ENGINES, "-o", form, "-q"],
        env=clean_env(workdir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240,
    )
    assert run.returncode == 0, run.stderr.decode()
    return json.loads(run.stdout)


def findings(binary, workdir, tree):
    found = scan(binary, workdir, tree)["findings"]
    assert len(found) > 100
    assert all(f["verified"] for f in found)
    return found


def two_trees(workdir):
    """Of one name: it is the same repository."""
    trees = [workdir / which / "app" for which in ("old", "new")]
    for tree in trees:
        make_tree(tree)
    return trees


def reindent(path):
    text = path.read_text()
    if path.suffix == ".py":
        text = re.sub(r"^((?:    )+)", lambda m: "  " * (len(m.group(1)) // 4), text, flags=re.M)
        above = "# more\n" * 10
    else:
        text = re.sub(r"^((?:    )+)", lambda m: "\t" * (len(m.group(1)) // 4), text, flags=re.M)
        text = re.sub(r"^(\t+)(if.*) \{$", r"\1\2\n\1{", text, flags=re.M)
        text = text.replace("} else {", "}\n\telse\n\t{").replace("(a, b)", "( a,b )")
        above = "/* more */\n" * 10
    path.write_text(above + text)


def test_lines_above_and_another_indentation_change_no_fingerprint(scanpod_bin, workdir):
    old, new = two_trees(workdir)
    for path in [*new.glob("src/*.c"), *new.glob("lib/*.py")]:
        reindent(path)
    before, now = (findings(scanpod_bin, workdir, tree) for tree in (old, new))
    assert sorted(map(identity_truth.primary, before)) == sorted(map(identity_truth.primary, now))
    assert len(set(map(identity_truth.primary, now))) == len(now)
    moved = {(f["path"], f["line"]) for f in before} & {(f["path"], f["line"]) for f in now}
    assert len(moved) < len(now) / 2


def edit(path, dice):
    """A history in one step: some lines go, some come, some are written anew."""
    lines = []
    for line in path.read_text().splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        chance = dice.random()
        call = "(" in line and not re.match(r"\s*(def|int|class|if)\b", line)
        if chance < 0.04 and call:
            continue
        if chance < 0.08 and call:
            line = line.replace("a", "first_argument", 1)
        lines.append(line)
        if 0.08 < chance < 0.16 and call:
            lines.append(indent + ("log(a)" if path.suffix == ".py" else "log(a);"))
        if 0.16 < chance < 0.20 and call:
            lines.append(indent + dice.choice(PY_CALLS if path.suffix == ".py" else C_CALLS))
    path.write_text("\n".join(lines) + "\n")


def test_most_findings_that_are_the_same_keep_their_fingerprint(scanpod_bin, workdir):
    old, new = two_trees(workdir)
    dice = random.Random(11)
    for path in sorted([*new.glob("src/*.c"), *new.glob("lib/*.py")]):
        edit(path, dice)
    before, now = (findings(scanpod_bin, workdir, tree) for tree in (old, new))
    pairs = identity_truth.unchanged(old, new, before, now)
    kept, percent = identity_truth.share(pairs, identity_truth.primary)
    assert len(pairs) > 100
    assert len(pairs) < len(now)
    assert percent >= 85, f"{kept} of {len(pairs)}"


def test_a_file_that_moved_keeps_all_but_its_path(scanpod_bin, workdir):
    old, new = two_trees(workdir)
    (new / "src" / "m3.c").rename(new / "src" / "renamed.c")
    before, now = (findings(scanpod_bin, workdir, tree) for tree in (old, new))
    moved = [sorted(f["fingerprints"]["moved"] for f in found if f["path"] == path)
             for found, path in ((before, "src/m3.c"), (now, "src/renamed.c"))]
    assert moved[0] and moved[0] == moved[1]
    primary = [{identity_truth.primary(f) for f in found if f["path"] == path}
               for found, path in ((before, "src/m3.c"), (now, "src/renamed.c"))]
    assert not primary[0] & primary[1]


def test_a_scan_exports_sarif_that_its_readers_take(scanpod_bin, workdir):
    make_tree(workdir / "app")
    document = scan(scanpod_bin, workdir, workdir / "app", "sarif")
    assert sarif_check.problems(document) == []
    assert len(document["runs"][0]["results"]) > 100
