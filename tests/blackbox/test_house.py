"""The README is true: every command in it is run here, or by ./up's and ./test's own tests."""

import re
import subprocess

import pytest

from conftest import ROOT, clean_env

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.S | re.M)
TOUR = [b for b in BLOCKS if not re.search(r"^\./(up|test)\b", b, re.M)]


def localised(text, srv, binary):
    """The server of the test in place of the one that ./up starts."""
    for old, new in (
        ("127.0.0.1:8000", f"127.0.0.1:{srv.port}"),
        (".scanpod/key", str(srv.key_file())),
        ("build/scanpod", str(binary)),
    ):
        text = text.replace(old, new)
    return re.sub(r"\b8000\b", str(srv.port), text)


def run_blocks(text, srv, cwd):
    """One shell, as a person has one; ends at the first command that fails."""
    env = clean_env(cwd, SCANPOD_SERVER=srv.url, SCANPOD_TOOL_NMAP=srv.env["SCANPOD_TOOL_NMAP"])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=cwd, env=env, text=True, timeout=150,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def tour_server(make_server, real_nmap):
    return make_server(key=None, tool=real_nmap)


def test_the_two_commands_are_what_the_readme_starts_with():
    first = BLOCKS[0].splitlines()
    assert [line.split()[0] for line in first] == ["./up", "./test"]
    for name in ("up", "test", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111, f"{name} cannot be executed"
    assert len(TOUR) == len(BLOCKS) - 1


@pytest.mark.smoke
def test_every_command_of_the_readme_works(tour_server, scanpod_bin, workdir):
    assert len(TOUR) >= 4
    text = "\n".join(localised(b, tour_server, scanpod_bin) for b in TOUR)
    # doctor says 1 where this machine lacks something; that is an answer, not an error.
    text = re.sub(r"^(\S+ doctor\b.*)$", r"{ \1\n} || test $? = 1", text, flags=re.M)
    (workdir / "src").symlink_to(ROOT / "src")
    done = run_blocks("set -x\n" + text, tour_server, workdir)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    port = rf"\b{tour_server.port}/tcp\b"
    assert len(re.findall(port, done.stdout)) >= 2, done.stdout
    assert '"state": "completed"' in done.stdout
    assert "<nmaprun" in done.stdout
    states = {j["status"] for j in tour_server.get("/scans").json()}
    assert "cancelled" in states and "failed" not in states, states


def test_the_picture_has_the_shape_of_a_real_result(tour_server, scanpod, listener):
    picture = re.search(r"^```text\n(.*?)^```$", README, re.S | re.M).group(1).splitlines()
    assert picture[0].startswith("$ scanpod scan 127.0.0.1 ")
    done = scanpod(
        "scan", "127.0.0.1", "-p", f"{tour_server.port},{listener.port}", server=tour_server
    )
    assert done.returncode == 0, done.stderr
    real = done.stdout.splitlines()
    assert picture[1].split() == real[0].split(), "the columns are others now"
    row = r"(127\.0\.0\.1 \(\S+\)|127\.0\.0\.1)?\s+\d+/tcp\s+(open|closed)\b.*"
    shown = [line for line in picture[2:] if "/tcp" in line]
    assert shown and all(re.fullmatch(row, line) for line in shown), picture
    found = [line for line in real if "/tcp" in line]
    assert len(found) == 2 and all(re.fullmatch(row, line) for line in found), real


def test_every_setting_that_the_readme_names_is_one(scanpod):
    known = set(re.findall(r"`(SCANPOD_\w+)`", (ROOT / "docs/settings.md").read_text()))
    named = set(re.findall(r"\bSCANPOD_\w+", README))
    assert named <= known, named - known
    rows = re.findall(r"^\| `(SCANPOD_\w+)`[^|]*\| (?:`([^`]*)`)? ?\|", README, re.M)
    done = scanpod("config", "show", check=True)
    shown = dict(line.split(None, 1) for line in done.stdout.splitlines() if len(line.split()) > 1)
    for name, default in rows:
        if default:
            option = name.removeprefix("SCANPOD_").lower().replace("_", "-")
            assert shown[option].strip() == default, name


def test_the_readme_is_short_and_says_what_nmap_s_licence_is():
    assert len(README.splitlines()) <= 150
    assert "https://nmap.org/npsl/" in README


def test_ci_runs_the_two_commands_and_nothing_hidden():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    commands = [x for x in lines if x and not x.startswith(("#", "set ", "cd ", "export "))]
    assert commands == ["./test", "./up --once"]
