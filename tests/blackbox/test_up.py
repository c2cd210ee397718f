"""
./up and ./test as a new user meets them: what they find missing, what they say, what they leave.
A copy of the checkout is used, so that a server of the developer's own ./up is not disturbed.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import ROOT, alive, clean_env, free_port, wait_until

SOURCES = ("up", "test", "meson.build", "meson_options.txt", "src", "script", "tests", "fuzz")


@pytest.fixture(scope="module")
def checkout(_session_dir, scanpod_bin, real_nmap):
    """A checkout that was built before: ./up has nothing to compile but what changed."""
    path = _session_dir / "checkout"
    path.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, path / name)
    done = subprocess.run(
        ["meson", "setup", str(path / "build"), str(path), "-Dtests=false", "--buildtype=debug"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    done = subprocess.run(
        ["ninja", "-C", str(path / "build"), "scanpod"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return path


@pytest.fixture
def up(checkout, workdir, real_nmap):
    """up(*args) runs ./up without a terminal; the real nmap stands behind the loopback guard."""
    shutil.rmtree(checkout / ".scanpod", ignore_errors=True)
    guard = {"SCANPOD_TOOL_NMAP": real_nmap}

    def run(*args, env=None, timeout=120):
        return subprocess.run(
            ["./up", *map(str, args)], cwd=checkout, text=True, timeout=timeout,
            env=clean_env(workdir, **{**guard, **(env or {})}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    yield run
    run("--stop")


def bare_path(directory, *without):
    """A PATH with everything but the given programs."""
    directory.mkdir()
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for name in os.listdir(folder):
            link = directory / name
            if name not in without and not link.exists():
                link.symlink_to(Path(folder) / name)
    return str(directory)


def says_open(text, port):
    return re.search(rf"\b{port}/tcp\b", text)


def test_once_shows_a_real_result_and_leaves_nothing_running(up, checkout):
    port = free_port()
    done = up("--once", "--port", port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert says_open(done.stdout, port), done.stdout
    assert f"http://127.0.0.1:{port}" in done.stdout
    assert "127.0.0.1" in done.stdout and "stopped" in done.stdout
    key = re.search(r"^Key\s+(\S+)", done.stdout, re.M).group(1)
    assert Path(key).stat().st_mode & 0o077 == 0
    assert Path(key).read_text().strip() not in done.stdout
    assert not (checkout / "build/up/pid").exists()


def test_without_a_terminal_the_server_stays_until_it_is_told_to_stop(up, checkout):
    port = free_port()
    done = up("--port", port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "./up --stop" in done.stdout
    pid = int((checkout / "build/up/pid").read_text())
    assert alive(pid)

    began = time.monotonic()
    again = up("--port", port)
    assert again.returncode == 0, again.stdout + again.stderr
    assert time.monotonic() - began < 5, "the second ./up took too long"
    assert says_open(again.stdout, port) and "was running" in again.stdout
    assert alive(pid), "the second ./up ended the server of the first"

    other = up("--port", free_port())
    assert other.returncode == 1 and "./up --stop" in other.stderr

    stopped = up("--stop")
    assert stopped.returncode == 0 and "stopped" in stopped.stdout
    assert not alive(pid)
    assert "no server" in up("--stop").stdout


def test_a_second_start_is_quick(up):
    port = free_port()
    assert up("--once", "--port", port).returncode == 0
    began = time.monotonic()
    assert up("--once", "--port", port).returncode == 0
    assert time.monotonic() - began < 5


def test_a_taken_port_is_reported_with_a_free_one(up, listener):
    done = up("--port", listener.port)
    assert done.returncode == 1
    assert f"port {listener.port}" in done.stderr
    other = int(re.search(r"\./up --port (\d+)", done.stderr).group(1))
    assert other != listener.port
    done = up("--once", "--port", other)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_on_a_terminal_stops_the_server(up, checkout, workdir, real_nmap):
    import pty

    port = free_port()
    main, side = pty.openpty()
    env = clean_env(workdir, SCANPOD_TOOL_NMAP=real_nmap)
    proc = subprocess.Popen(
        ["./up", "--port", str(port)], cwd=checkout, env=env,
        stdin=side, stdout=side, stderr=side, start_new_session=True,
    )  # fmt: skip
    os.close(side)
    text = b""
    os.set_blocking(main, False)

    def sees(what):
        nonlocal text
        try:
            text += os.read(main, 65536)
        except (BlockingIOError, OSError):
            pass
        return what in text

    try:
        wait_until(lambda: sees(b"Ctrl-C"), 60, "the prompt to press Ctrl-C")
        pid = int((checkout / "build/up/pid").read_text())
        assert alive(pid)
        os.kill(proc.pid, signal.SIGINT)
        proc.wait(20)
        assert proc.returncode == 0, text.decode()
        assert not alive(pid)
        assert sees(b"stopped"), text.decode()
    finally:
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        os.close(main)


@pytest.mark.parametrize("args", [("--port", "0"), ("--port", "70000"), ("--port", "x"), ("-x",)])
def test_wrong_arguments_are_refused(up, args):
    done = up(*args)
    assert done.returncode == 2 and done.stderr.startswith(("error", "usage"))


def test_dry_run_does_nothing_and_says_what_it_would_do(up, checkout):
    done = up("--dry-run", "--port", free_port())
    assert done.returncode == 0 and "would scan 127.0.0.1" in done.stdout
    assert not (checkout / ".scanpod").exists()


def test_what_is_missing_is_found_by_command_and_named(up, workdir):
    path = bare_path(workdir / "bin", "meson", "nmap")
    done = up("--dry-run", env={"PATH": path})
    assert done.returncode == 0, done.stderr
    line = [row for row in done.stdout.splitlines() if "apt-get install" in row]
    assert line and line[0].split("--no-install-recommends ")[1].split() == ["meson", "nmap"]
    done = up("--no-install", env={"PATH": path})
    assert done.returncode == 3
    assert "missing: meson nmap" in done.stderr and "apt-get install" in done.stderr


def test_a_library_is_found_by_pkg_config(up, workdir):
    wrapper = bare_path(workdir / "bin", "pkg-config")
    fake = Path(wrapper) / "pkg-config"
    fake.write_text('#!/bin/sh\ncase "$*" in *jansson*) exit 1 ;; esac\nexit 0\n')
    fake.chmod(0o755)
    done = up("--dry-run", env={"PATH": wrapper})
    assert "libjansson-dev" in done.stdout and "libsqlite3-dev" not in done.stdout


def test_without_root_and_sudo_the_command_is_printed(up, workdir):
    path = bare_path(workdir / "bin", "meson", "sudo", "id")
    fake = Path(path) / "id"
    fake.write_text("#!/bin/sh\necho 1000\n")
    fake.chmod(0o755)
    done = up(env={"PATH": path})
    assert done.returncode == 3
    assert "sudo apt-get install --no-install-recommends meson" in done.stderr


def test_sudo_is_used_where_there_is_one(up, workdir):
    path = bare_path(workdir / "bin", "meson", "sudo", "id")
    for name, text in (("id", "echo 1000"), ("sudo", 'echo "$@" >>"$HOME/sudo.log"')):
        fake = Path(path) / name
        fake.write_text(f"#!/bin/sh\n{text}\n")
        fake.chmod(0o755)
    done = up(env={"PATH": path})
    assert done.returncode == 1 and "still not found: meson" in done.stderr
    log = (workdir / "sudo.log").read_text()
    assert re.search(
        r"DEBIAN_FRONTEND=noninteractive .*apt-get .*DPkg::Lock::Timeout=120 .*install "
        r"--no-install-recommends meson$",
        log, re.M,
    ), log  # fmt: skip


def test_on_another_system_the_list_is_printed(up, workdir):
    path = bare_path(workdir / "bin", "meson", "apt-get")
    done = up(env={"PATH": path})
    assert done.returncode == 3
    assert "neither Debian nor Ubuntu" in done.stderr and "meson" in done.stderr


def test_a_build_that_fails_shows_the_compiler_s_words(up, checkout):
    source = checkout / "src/cli/main.c"
    good = source.read_text()
    try:
        source.write_text("#error broken on purpose\n" + good)
        done = up("--once", "--port", free_port())
        assert done.returncode == 1
        assert "broken on purpose" in done.stderr
    finally:
        source.write_text(good)


def test_the_sum_of_the_tests_is_the_last_line_even_if_nothing_builds(checkout, workdir):
    source = checkout / "src/base/err.c"
    good = source.read_text()
    try:
        source.write_text("#error broken on purpose\n" + good)
        done = subprocess.run(
            ["./test", "--no-install", "unit"], cwd=checkout, env=clean_env(workdir),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=170,
        )  # fmt: skip
    finally:
        source.write_text(good)
    assert done.returncode != 0
    assert re.fullmatch(r"\d+ passed, [1-9]\d* failed(, \d+ skipped)?", done.stdout.splitlines()[-1])
