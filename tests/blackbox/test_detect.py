"""
The sample of bench/detect, scanned: merging loses nothing, and what is found does not get less.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from conftest import clean_env

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "detect"))

import detect  # noqa: E402 (its directory is added above)

pytestmark = pytest.mark.seconds(300)

FLOOR = json.loads((ROOT / "bench/detect/floor.json").read_text())


@pytest.fixture(scope="module")
def result(scanpod_bin, _session_dir):
    try:
        return detect.measure(str(scanpod_bin), clean_env(_session_dir))
    except RuntimeError as e:
        if os.environ.get("SCANPOD_MUST_SANDBOX") != "1" and "nested" in str(e):
            pytest.skip("user namespaces cannot be nested here")
        raise


def test_the_sample_has_pairs_in_many_languages(tmp_path):
    cases = detect.split_sample(tmp_path)
    assert len({c.path for c in cases}) >= 60
    assert len({c.path.split("/")[0] for c in cases}) >= 12
    assert sum(c.bad for c in cases) >= 100 and sum(not c.bad for c in cases) >= 100
    for c in cases:
        lines = (tmp_path / c.path).read_text().splitlines()
        assert lines[c.line - 1].strip() and "@bad" not in lines[c.line - 1]
    good = {c.cls for c in cases if not c.bad}
    assert {c.cls for c in cases if c.bad} <= good


def test_every_engine_that_is_installed_ran(result):
    installed = {n for n in detect.ENGINES if n == "rules" or shutil.which(n)}
    assert installed & set(result["absent"]) == set()
    assert result["complete"] == "complete"


def test_merging_loses_no_report_of_an_engine(result):
    assert result["lost"] == []


def test_all_together_find_what_any_engine_finds(result):
    assert result["dropped"] == []
    merged = result["engines"]["merged"]["hit"]
    assert merged >= max(f["hit"] for f in result["engines"].values())


def test_no_engine_finds_less_or_raises_more_false_alarms_than_it_did(result):
    worse = []
    for name, was in FLOOR.items():
        now = result["engines"].get(name)
        same = name in ("rules", "merged") or result["versions"].get(name) == was["version"]
        if name == "merged":
            same = all(result["versions"].get(n) == FLOOR[n]["version"]
                       for n in FLOOR if n not in ("merged", "rules"))
        if now and same and (now["hit"] < was["hit"] or now["false"] > was["false"]):
            worse.append((name, was, now))
    assert worse == []
