"""Fixtures of the tests of faults."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from fleet import Fleet
from settings import KEEP, ROOT, SCALE


# What takes long comes first, so that no worker of pytest-xdist is left alone with it at the end.
LONG_FIRST = ("rabbitmq", "over_redis", "message", "cut", "kill_redis", "freeze", "slow", "anything")


def pytest_collection_modifyitems(items):
    def rank(item):
        return next((i for i, word in enumerate(LONG_FIRST) if word in item.name), len(LONG_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def binary():
    given = Path(os.environ.get("SCANPOD_BIN", ROOT / "build/scanpod")).resolve()
    if not os.access(given, os.X_OK):
        pytest.exit(f"no binary: {given}; run ./test, or set SCANPOD_BIN", 3)
    return given


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="scanpod-faults-"))
    path.chmod(0o755)
    yield path
    if KEEP:
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_fleet(binary, directory):
    if os.geteuid() != 0:
        pytest.skip("needs root: hosts are network namespaces")

    def make(scale=SCALE, **how):
        return Fleet(binary, binary.parent / "tests/faults", directory, scale=scale, **how)

    return make
