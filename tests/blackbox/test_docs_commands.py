"""Command lines of the documentation: commands and flags that are there."""

import re
import shlex

import pytest

from conftest import ROOT


def lines_of(path):
    """The command lines of ScanPod in indented and fenced blocks, with what they are continued by."""
    joined = re.sub(r"\\\n\s*", "", path.read_text())
    for line in joined.splitlines():
        at = re.match(r"(?:    )?(?:\$ )?(?:sudo )?(scanpod (?!\[|FLAGS).*)$", line)
        if at and (line.startswith("    ") or not re.search(r"[.:]$", line)):
            yield at.group(1)


def words_of(line):
    try:
        return shlex.split(re.split(r"\s#\s|\s[|<>&]\s?|\s2>", line)[0])[1:]
    except ValueError:
        return None


LINES = sorted(
    {(page.name, line) for page in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
     for line in lines_of(page)}
)  # fmt: skip


def help_of(scanpod, words):
    """(command, its help); subcommands have their own."""
    text = scanpod(words[0], "--help").stdout
    if len(words) > 1 and re.search(rf"^  {re.escape(words[1])}\s", text, re.M):
        return words[:2], scanpod(*words[:2], "--help").stdout
    return words[:1], text


def test_there_are_command_lines_in_the_documentation():
    assert len(LINES) > 30


@pytest.mark.parametrize(("page", "line"), LINES)
def test_each_flag_of_a_command_line_is_one(scanpod, page, line):
    words = words_of(line)
    assert words, line
    while words and words[0].startswith("-"):  # flags of every command
        words = words[1 if "=" in words[0] else 2 :]
    known = scanpod("--help").stdout
    if not words or words[0] in ("help", "version"):
        return
    command, text = help_of(scanpod, words)
    assert text.startswith("usage: "), f"{page}: there is no command {command}"
    for word in words[len(command):]:
        if re.match(r"--[a-z]", word):
            flag = word.split("=")[0]
            assert re.search(rf"{re.escape(flag)}\b", text + known), f"{page}: {flag} in {line!r}"
