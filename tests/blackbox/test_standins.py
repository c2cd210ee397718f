"""The stand-ins and guards that the other tests rely on do what they say."""

import subprocess
import xml.etree.ElementTree as ET

import pytest

from conftest import assert_loopback, is_loopback


def run(path, *args, timeout=20):
    return subprocess.run([str(path), *args], capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize("name, hosts", [("ok", 1), ("progress", 2), ("timedout", 1), ("noisy", 1)])
def test_a_good_stand_in_prints_whole_xml(fake_nmap, name, hosts):
    parameters = {"steps": 2, "pause": 0} if name == "progress" else {}
    done = run(fake_nmap(name, **parameters), "-oX", "-", "--", "127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert len(ET.fromstring(done.stdout).findall("host")) == hosts


def test_a_stand_in_tells_a_version(fake_nmap):
    assert run(fake_nmap("hang"), "--version").stdout.startswith("Nmap version 7.93")


def test_the_failing_ones_fail(fake_nmap):
    assert run(fake_nmap("fail", status=9)).returncode == 9
    assert run(fake_nmap("crash")).returncode == -11
    with pytest.raises(ET.ParseError):
        ET.fromstring(run(fake_nmap("truncated")).stdout)


@pytest.mark.parametrize(
    "args",
    [
        ("127.0.0.1",),
        ("--", "192.0.2.1"),
        ("--", "127.0.0.1", "192.0.2.1"),
        ("--", "127.0.0.1/4"),
        ("--", "127.0.0.1.example.org"),
        ("--", "0.0.0.0"),
        ("-iL", "/dev/null", "--", "127.0.0.1"),
        ("-iL", "/dev/null"),
        ("-iL", "/nonexistent"),
        ("-iL",),
        ("--",),
        (),
    ],
)
def test_the_real_nmap_is_not_started_for_anything_but_loopback(real_nmap, args):
    done = run(real_nmap, *args)
    assert done.returncode == 77 and "refused" in done.stderr


@pytest.mark.parametrize(
    "lines",
    [
        "192.0.2.1\n",
        "127.0.0.1\n192.0.2.1\n",
        "127.0.0.1 192.0.2.1\n",
        "127.0.0.1\n192.0.2.1",
        "127.0.0.1/4\n",
        "127.0.0.1.example.org\n",
        "0.0.0.0\n",
        "\n",
        "",
    ],
)
def test_nor_for_a_file_that_has_anything_else(real_nmap, workdir, lines):
    (workdir / "targets").write_text(lines)
    done = run(real_nmap, "-n", "-sL", "-iL", str(workdir / "targets"))
    assert done.returncode == 77 and "refused" in done.stderr


def test_the_real_nmap_is_started_for_loopback(real_nmap, listener, workdir):
    targets = workdir / "targets"
    targets.write_text("127.0.0.1\n")
    done = run(real_nmap, "-n", "-sT", "-p", str(listener.port), "-oX", "-", "-iL", str(targets))
    assert done.returncode == 0, done.stderr
    assert ET.fromstring(done.stdout).find(".//state").get("state") == "open"


def test_loopback_is_known_from_the_rest():
    for good in ("127.0.0.1", "127.255.0.9", "127.0.0.0/8", "127.0.0.0/30", "::1", "localhost"):
        assert is_loopback(good), good
    for bad in ("10.0.0.1", "127.0.0.1/7", "127.0.0.256", "1127.0.0.1", "127.0.0.*", "::2", ""):
        assert not is_loopback(bad), bad
    with pytest.raises(AssertionError):
        assert_loopback("127.0.0.1 192.0.2.7")
