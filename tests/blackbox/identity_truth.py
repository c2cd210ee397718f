"""
Which findings of two versions of a tree are the same, told without ScanPod's identity: by lines
that an alignment of the two trees maps to each other, and by what the engines called them.
"""

import difflib
from pathlib import Path


def lines_of(path):
    text = path.read_bytes().decode("utf-8", "replace")
    return ["".join(line.split()) for line in text.splitlines()]


def line_map(old, new):
    """Of each line of the new file that is also in the old one (white space aside): where."""
    if old == new:
        return {n: n for n in range(1, len(new) + 1)}
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return {
        b + i + 1: a + i + 1 for a, b, size in matcher.get_matching_blocks() for i in range(size)
    }


def said(finding):
    return {(engine["name"], engine.get("rule")) for engine in finding["engines"]}


def by_line(findings):
    table = {}
    for finding in sorted(findings, key=lambda f: f.get("column", 0)):
        if finding.get("line"):
            table.setdefault((finding["path"], finding["line"]), []).append(finding)
    return table


def unchanged(old_tree, new_tree, old_findings, new_findings):
    """Pairs (old, new) of findings that are the same."""
    before, now = by_line(old_findings), by_line(new_findings)
    maps, pairs = {}, []
    for (path, line), found in now.items():
        if path not in maps:
            old, new = Path(old_tree, path), Path(new_tree, path)
            maps[path] = line_map(lines_of(old), lines_of(new)) if old.is_file() else {}
        left = list(before.get((path, maps[path].get(line)), []))
        for finding in found:
            same = next((o for o in left if said(o) & said(finding)), None)
            if same:
                left.remove(same)
                pairs.append((same, finding))
    return pairs


def share(pairs, key):
    """How many of the pairs agree in something, and in per cent."""
    kept = sum(key(a) == key(b) for a, b in pairs)
    return kept, 100 * kept / len(pairs) if pairs else 100.0


def primary(finding):
    return finding["fingerprints"]["primary"]
