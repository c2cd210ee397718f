"""
What readers of SARIF ask of a file: the structure of SARIF 2.1.0 as far as ScanPod writes it, what
GitHub's code scanning requires and its limits, and what DefectDojo makes of it.

    sarif_check.py [--schema SCHEMA] FILE...     ends with 1 and a line for each problem

problems(document) returns them as a list. With a schema (OASIS', which is not ours to ship:
script/sarif-schema brings it) the file is validated under that as well.
"""

import argparse
import json
import re
import sys

import jsonschema

TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 1}},
    "required": ["text"],
    "additionalProperties": False,
}
SNIPPET = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def thing(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def many(items, **more):
    return {"type": "array", "items": items, **more}


STRING = {"type": "string"}
NAME = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 1}
INDEX = {"type": "integer", "minimum": 0}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
BAG = {"type": "object"}
REGION = thing(
    ["startLine"],
    startLine=COUNT,
    startColumn=COUNT,
    endLine=COUNT,
    endColumn=COUNT,
    snippet=SNIPPET,
)
PLACE = thing(
    ["artifactLocation", "region"],
    artifactLocation=thing(["uri", "uriBaseId"], uri=NAME, uriBaseId=NAME),
    region=REGION,
    contextRegion=REGION,
)
LOCATION = thing(
    ["physicalLocation"],
    id=INDEX,
    physicalLocation=PLACE,
    logicalLocations=many(thing(["fullyQualifiedName"], fullyQualifiedName=NAME, kind=NAME)),
    message=TEXT,
)
COMPONENT = thing(["name"], name=NAME, index=INDEX)
TAXON = thing(["id"], id=NAME, toolComponent=COMPONENT)
PRINTS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": NAME,
    # DefectDojo reads what stands behind a slash as a version.
    "propertyNames": {"pattern": r"^[A-Za-z]+(/v\d+)?$"},
}
RESULT = thing(
    ["ruleId", "ruleIndex", "kind", "level", "message", "locations", "baselineState"],
    ruleId=NAME,
    ruleIndex=INDEX,
    kind={"const": "fail"},
    level=LEVEL,
    message=TEXT,
    locations=many(LOCATION, minItems=1, maxItems=1),
    relatedLocations=many(LOCATION, maxItems=100),
    fingerprints=PRINTS,
    partialFingerprints=PRINTS,
    baselineState={"enum": ["new", "unchanged", "updated"]},
    rank={"type": "number", "minimum": 0, "maximum": 100},
    suppressions=many(
        thing(
            ["kind", "status"],
            kind={"const": "external"},
            status={"const": "accepted"},
            justification=STRING,
        ),
        minItems=1,
    ),
    taxa=many(TAXON, minItems=1),
    properties=BAG,
)
RULE = thing(
    ["id", "name", "shortDescription", "fullDescription", "help", "properties"],
    id={"type": "string", "pattern": "^[a-z0-9-]{1,255}$"},
    name={"type": "string", "pattern": "^[A-Z][A-Za-z0-9]{0,254}$"},
    shortDescription=TEXT,
    fullDescription=TEXT,
    help=TEXT,
    defaultConfiguration=thing(["level"], level=LEVEL),
    relationships=many(
        thing(["target"], target=TAXON, kinds=many({"enum": ["superset"]})), minItems=1
    ),
    properties=thing(
        ["tags", "precision"],
        **{
            "tags": many(NAME, maxItems=10, uniqueItems=True),
            "precision": {"enum": ["very-high", "high", "medium", "low"]},
            "security-severity": {"type": "string", "pattern": r"^(10|\d)\.\d$"},
            "category": {"type": "string", "pattern": "^[A-Z_]+$"},
        },
    ),
)
RUN = thing(
    ["results", "tool", "invocations", "automationDetails", "columnKind"],
    results=many(RESULT, maxItems=25000),
    tool=thing(
        ["driver"],
        driver=thing(
            ["name", "version", "semanticVersion", "rules"],
            name={"const": "ScanPod"},
            version=NAME,
            semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
            rules=many(RULE, maxItems=25000),
            notifications=many(thing(["id"], id=NAME, shortDescription=TEXT)),
            supportedTaxonomies=many(COMPONENT),
        ),
        extensions=many(
            thing(["name"], name=NAME, version=NAME, properties=BAG), minItems=1, maxItems=100
        ),
    ),
    taxonomies=many(
        thing(
            ["name", "taxa"],
            name={"const": "CWE"},
            organization=NAME,
            shortDescription=TEXT,
            informationUri=NAME,
            isComprehensive={"type": "boolean"},
            taxa=many(
                thing(
                    ["id"], id={"type": "string", "pattern": r"^CWE-\d+$"}, shortDescription=TEXT
                ),
                uniqueItems=True,
            ),
        ),
        minItems=1,
        maxItems=1,
    ),
    invocations=many(
        thing(
            ["executionSuccessful", "toolExecutionNotifications"],
            executionSuccessful={"type": "boolean"},
            startTimeUtc=TIME,
            endTimeUtc=TIME,
            toolExecutionNotifications=many(
                thing(
                    ["descriptor", "level", "message"],
                    descriptor=thing(["id"], id=NAME),
                    level=LEVEL,
                    message=TEXT,
                    locations=many(LOCATION, maxItems=100),
                )
            ),
        ),
        minItems=1,
        maxItems=1,
    ),
    automationDetails=thing(["id"], id={"type": "string", "pattern": "^scanpod(-[0-9]+)?/.+"}),
    originalUriBaseIds={"type": "object", "additionalProperties": thing(description=TEXT)},
    versionControlProvenance=many(
        thing(
            ["repositoryUri"],
            repositoryUri={"type": "string", "pattern": "^(https|ssh)://"},
            revisionId=NAME,
            branch=NAME,
            mappedTo=thing(["uriBaseId"], uriBaseId=NAME),
        ),
        maxItems=1,
    ),
    columnKind={"const": "unicodeCodePoints"},
    properties=BAG,
)
DOCUMENT = thing(
    ["$schema", "version", "runs"],
    **{
        "$schema": NAME,
        "version": {"const": "2.1.0"},
        "runs": many(RUN, minItems=1, maxItems=20),
    },
)


def of_schema(document, schema, name):
    validator = jsonschema.validators.validator_for(schema)(schema)
    for error in validator.iter_errors(document):
        where = "/".join(str(part) for part in error.absolute_path)
        yield f"{name}: /{where}: {error.message[:300]}"


def of_place(place, where):
    uri = place["artifactLocation"]["uri"]
    if not re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri):
        yield f"{where}: uri {uri!r} is no relative reference"
    if uri.startswith("/") or ".." in uri.split("/"):
        yield f"{where}: uri {uri!r} leaves the repository"
    region = place["region"]
    last = region.get("endLine", region["startLine"])
    if last < region["startLine"]:
        yield f"{where}: the region ends before it begins"
    if last == region["startLine"] and region.get("endColumn", 10**12) < region.get("startColumn", 1):
        yield f"{where}: the region's columns end before they begin"
    context = place.get("contextRegion")
    if context:
        inside = context["startLine"] <= region["startLine"] and context["endLine"] >= last
        equal = (context["startLine"], context["endLine"]) == (region["startLine"], last)
        if not inside or (equal and "startColumn" not in region):
            yield f"{where}: the context is no proper superset of the region"


def of_result(result, run, where):
    rules = run["tool"]["driver"]["rules"]
    if result["ruleIndex"] >= len(rules) or rules[result["ruleIndex"]]["id"] != result["ruleId"]:
        yield f"{where}: ruleIndex is not that of {result['ruleId']}"
    text = result["message"]["text"]
    if re.search(r"\[[^\]]*\]\(", text):
        yield f"{where}: the message has a link"
    for location in result["locations"] + result.get("relatedLocations", []):
        yield from of_place(location["physicalLocation"], where)
    known = {taxon["id"] for taxon in run["taxonomies"][0]["taxa"]}
    for taxon in result.get("taxa", []):
        if taxon["id"] not in known:
            yield f"{where}: {taxon['id']} is not in the taxonomy"


def of_github(document):
    """https://docs.github.com: SARIF support for code scanning."""
    categories = [
        run["automationDetails"]["id"].rpartition("/")[0] for run in document["runs"]
    ]
    if len(set(categories)) != len(categories):
        yield "GitHub: two runs have one category"
    for r, run in enumerate(document["runs"]):
        for rule in run["tool"]["driver"]["rules"]:
            for member in ("shortDescription", "fullDescription"):
                if len(rule[member]["text"]) > 1024:
                    yield f"GitHub: {member} of {rule['id']} is longer than 1024 characters"
            if "security" not in rule["properties"]["tags"]:
                yield f"GitHub: {rule['id']} is not tagged as security"
            score = float(rule["properties"].get("security-severity", "1"))
            if not 0 < score <= 10:
                yield f"GitHub: security-severity of {rule['id']} is out of range"
        for i, result in enumerate(run["results"]):
            prints = result.get("partialFingerprints", {})
            line = prints.get("primaryLocationLineHash", "0:1")
            if not re.fullmatch(r"[0-9a-f]{1,16}:[0-9]+", line):
                yield f"GitHub: primaryLocationLineHash of run {r} result {i} is {line}"


def defectdojo(result, run):
    """What DefectDojo makes of a result: its parser's rules, told anew."""
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    severity = {"note": "Info", "warning": "Medium", "error": "High"}[result["level"]]
    if "security-severity" in rule["properties"]:
        score = float(rule["properties"]["security-severity"])
        steps = [(9, "Critical"), (7, "High"), (4, "Medium"), (0, "Low")]
        severity = next(name for least, name in steps if score >= least)
    cwes = [r["target"]["id"] for r in rule.get("relationships", [])]
    cwes += [result["properties"]["cwe"]] if "cwe" in result["properties"] else []
    cwes += [taxon["id"] for taxon in result.get("taxa", [])]
    numbers = [int(re.search(r"cwe-(\d+)", cwe, re.I).group(1)) for cwe in cwes]
    prints = list(result.get("fingerprints", {}).values())
    return {
        "title": result["message"]["text"][:150],
        "severity": severity,
        "cwe": numbers[-1] if numbers else None,
        "file": result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "line": result["locations"][0]["physicalLocation"]["region"]["startLine"],
        "active": not result.get("suppressions"),
        "unique_id": prints[0] if prints else None,
    }


ORDER = ["Info", "Low", "Medium", "High", "Critical"]


def of_defectdojo(document):
    for r, run in enumerate(document["runs"]):
        for i, result in enumerate(run["results"]):
            got = defectdojo(result, run)
            said = result["properties"]["severity"].capitalize()
            if ORDER.index(got["severity"]) < ORDER.index(said):
                yield f"DefectDojo: run {r} result {i} is {said}, shown as {got['severity']}"
            cwe = result["properties"].get("cwe")
            if cwe and cwe != f"CWE-{got['cwe']}":
                yield f"DefectDojo: run {r} result {i} is {cwe}, shown as CWE-{got['cwe']}"


def problems(document, schema=None):
    found = list(of_schema(document, DOCUMENT, "structure"))
    if schema:
        found += of_schema(document, schema, "schema")
    if found:
        return found
    for r, run in enumerate(document["runs"]):
        for i, result in enumerate(run["results"]):
            found += of_result(result, run, f"run {r} result {i}")
        known = {kind["id"] for kind in run["tool"]["driver"]["notifications"]}
        for note in run["invocations"][0]["toolExecutionNotifications"]:
            if note["descriptor"]["id"] not in known:
                found.append(f"notification {note['descriptor']['id']} is not described")
            for location in note.get("locations", []):
                found += of_place(location["physicalLocation"], "notification")
    return found + list(of_github(document)) + list(of_defectdojo(document))


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--schema")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    schema = None
    if args.schema:
        with open(args.schema, encoding="utf-8") as f:
            schema = json.load(f)
    bad = 0
    for path in args.files:
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        for problem in problems(document, schema)[:20]:
            print(f"{path}: {problem}")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
