"""
Two releases of real packages: of the findings that are the same in both, how many keep their
fingerprint. What is the same is told by an alignment of the trees (tests/blackbox/identity_truth.py).

The sources come by `apt-get source` with lists of its own, once, into build-bench/sources.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from servers import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests" / "blackbox"))

import identity_truth  # noqa: E402

SOURCES = BUILD / "sources"
MIRROR = os.environ.get("SCANPOD_BENCH_MIRROR", "http://deb.debian.org/debian")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASES = ("bookworm", "trixie")
PACKAGES = ("tmux", "cloud-init", "python-django")
TARGET = 85


def apt(*arguments, **more):
    lists = SOURCES / "sources.list"
    for directory in ("lists/partial", "cache/archives/partial"):
        (SOURCES / directory).mkdir(parents=True, exist_ok=True)
    lists.write_text("".join(f"deb-src [signed-by={KEYRING}] {MIRROR} {release} main\n"
                             for release in RELEASES))
    options = {"Dir::Etc::sourcelist": lists, "Dir::Etc::sourceparts": "/dev/null",
               "Dir::State::lists": SOURCES / "lists", "Dir::Cache": SOURCES / "cache",
               "APT::Sandbox::User": "root"}
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", "-qq", *words, *arguments], check=True, stdout=subprocess.DEVNULL,
                   **more)


def fetch():
    """The trees, each in a directory that is called like its package: SOURCES/RELEASE/PACKAGE."""
    wanted = [(r, p) for r in RELEASES for p in PACKAGES if not (SOURCES / r / p).is_dir()]
    if wanted:
        apt("update")
    for release, package in wanted:
        place = SOURCES / release
        place.mkdir(parents=True, exist_ok=True)
        apt("source", "--download-only", f"{package}/{release}", cwd=place)
        description = next(place.glob(f"{package}_*.dsc"))
        subprocess.run(["dpkg-source", "-x", description.name, package], cwd=place, check=True,
                       stdout=subprocess.DEVNULL)


def scan(tree):
    began = time.monotonic()
    text = subprocess.run([str(BUILD / "scanpod"), "repo", str(tree), "-o", "json", "-q"],
                          check=True, stdout=subprocess.PIPE).stdout
    document = json.loads(text)
    run = document.get("run") or document["job"]["run"]
    failed = [e["name"] for e in run["engines"] if e["status"] in ("failed", "timeout")]
    if failed:
        sys.exit(f"{tree}: {', '.join(failed)} did not end well")
    return document["findings"], time.monotonic() - began


def version(release, package):
    return next((SOURCES / release).glob(f"{package}_*.dsc")).stem.partition("_")[2]


def run(plan, report):
    fetch()
    for package in PACKAGES[:2] if plan.quick else PACKAGES:
        trees = [SOURCES / release / package for release in RELEASES]
        (old, _), (new, seconds) = (scan(tree) for tree in trees)
        pairs = identity_truth.unchanged(*trees, old, new)
        kept, percent = identity_truth.share(pairs, identity_truth.primary)
        name = f"{package} {' to '.join(version(r, package) for r in RELEASES)}"
        report.note(f"{name}: findings", f"{len(old):,} to {len(new):,}",
                    f"{seconds:.1f} s for the second scan")
        report.add(f"{name}: unchanged that keep their fingerprint", f"{kept:,} of {len(pairs):,}",
                   "", f"{percent:.1f} %", f">= {TARGET} %", percent >= TARGET)
        for what, key in (("path and line", lambda f: (f["rule"], f["path"], f["line"])),
                          ("GitHub's hash", lambda f: (f["rule"], f["path"],
                                                       f["fingerprints"]["github"]))):
            kept, percent = identity_truth.share(pairs, key)
            report.note(f"{name}: the same by {what}", f"{kept:,} of {len(pairs):,}",
                        f"{percent:.1f} %")
