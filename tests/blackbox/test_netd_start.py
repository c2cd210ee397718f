"""`scanpod netd` and the scope file at their start: what cannot work is said before the first scan."""

import os
import subprocess

import pytest

from conftest import clean_env


def as_other(binary, workdir, *args):
    """As a user without privilege, whose directory it is."""
    os.chown(workdir, 61234, 61234)
    return subprocess.run(
        ["setpriv", "--reuid", "61234", "--regid", "61234", "--clear-groups", str(binary), *args],
        env=clean_env(workdir), cwd=workdir, capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def test_netd_without_its_capability_says_so_and_ends(scanpod_bin, workdir, need_root):
    done = as_other(scanpod_bin, workdir, "netd", "--socket", str(workdir / "netd.sock"),
                    "--peer-user", "nobody")  # fmt: skip
    assert done.returncode != 0 and "CAP_NET_ADMIN" in done.stderr
    assert not (workdir / "netd.sock").exists()


@pytest.mark.parametrize("where", ["file", "directory"])
def test_a_scope_file_that_the_server_may_not_read_is_named_with_the_fix(
    scanpod_bin, workdir, need_root, where
):
    directory = workdir / "etc"
    directory.mkdir(mode=0o700 if where == "directory" else 0o755)
    scope = directory / "scope.yaml"
    scope.write_text("version: 1\nscope:\n  allow:\n    - target: 127.0.0.1\n")
    scope.chmod(0o600 if where == "file" else 0o644)
    done = subprocess.run(
        [str(scanpod_bin), "serve", "--listen", f"unix:{workdir}/s", "--data-dir",
         str(workdir / "data"), "--scope", str(scope)],
        env=clean_env(workdir), cwd=workdir, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"chmod a+r '{scope}'" in done.stderr and "user " in done.stderr
