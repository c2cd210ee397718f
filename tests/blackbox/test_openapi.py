"""/openapi.json: well formed, the same as the server, every example replayed."""

import json
import re
import subprocess

import jsonschema
import pytest

from conftest import ROOT

SOURCE = ROOT / "src/http/openapi.json"
DOC = json.loads(SOURCE.read_text(encoding="utf-8"))
OPERATIONS = [
    (path, method, op) for path, item in DOC["paths"].items() for method, op in item.items()
]
EXAMPLES = [
    (path, method, op, name, example)
    for path, method, op in OPERATIONS
    for name, example in op.get("requestBody", {})
    .get("content", {})
    .get("application/json", {})
    .get("examples", {})
    .items()
]


def response_of(op, status):
    found = op["responses"].get(str(status))
    assert found, f"{op['operationId']} answers {status}, which is not described"
    if "$ref" in found:
        found = DOC["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
    return found


def check(op, r):
    """The answer is one that is described: status, type, schema."""
    described = response_of(op, r.status_code)
    content = described.get("content")
    if not content:
        assert r.content == b"", r.text
        return
    kind = r.headers["Content-Type"].split(";")[0]
    assert kind in content, f"{op['operationId']} answers {kind}, described are {list(content)}"
    if kind.endswith("json") and kind != "application/x-ndjson":
        schema = dict(content[kind]["schema"], components=DOC["components"])
        jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.FormatChecker()
        ).validate(r.json())


@pytest.fixture(scope="module")
def srv(scanpod_bin, _session_dir, fake_nmap):
    from conftest import _Factory

    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    # No checkout begins: examples name hosts of others.
    yield factory(tool=fake_nmap("ok", hosts=2, ports=(22, 80)),
                  env={"SCANPOD_TOOL_GIT": "/nonexistent/git"})  # fmt: skip
    factory.finish()


@pytest.fixture
def job_id(srv):
    """A completed job."""
    found = srv.submit()
    srv.wait(found)
    return found


def test_the_document_is_well_formed():
    done = subprocess.run(["/usr/bin/python3", ROOT / "script/lint-openapi"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_serves_this_document(srv):
    assert srv.get("/openapi.json", key=None).json() == DOC


@pytest.mark.parametrize(
    "path,method,op,name,example", EXAMPLES, ids=[f"{e[2]['operationId']}: {e[3]}" for e in EXAMPLES]
)
def test_every_example_gets_the_answer_it_promises(srv, path, method, op, name, example):
    r = srv.request(method.upper(), path, json=example["value"])
    assert r.status_code == example["x-status"], r.text
    check(op, r)


GETS = [(p, o) for p, m, o in OPERATIONS if m == "get" and o["operationId"] != "streamEvents"]


@pytest.mark.parametrize("path,op", GETS, ids=[o["operationId"] for _, o in GETS])
def test_every_get_answers_as_described(srv, job_id, path, op):
    check(op, srv.get(path.replace("{id}", job_id)))
    if "{id}" in path:
        check(op, srv.get(path.replace("{id}", "0" * 32)))
    if op.get("security") != []:
        check(op, srv.get(path.replace("{id}", job_id), key="wrong"))


PARAMETERS = [
    (path, op, p)
    for path, method, op in OPERATIONS
    for p in op.get("parameters", [])
    if p["in"] == "query" and method == "get" and op["operationId"] != "streamEvents"
    if p["name"] != "cursor" or op["operationId"] not in ("listTasks", "listCoverage")  # one item
    if "repositories" not in op["tags"] and "/jobs" not in path  # test_repo_api.py
]
SAMPLES = {"limit": "1", "wait": "1", "state": "up", "open": "true", "format": "ndjson",
           "tool": "nmap", "since": "2026-01-01", "verbose": "1", "after": "0",
           "order": "address", "task": "0"}  # fmt: skip


@pytest.mark.parametrize(
    "path,op,p", PARAMETERS, ids=[f"{o['operationId']}?{p['name']}" for _, o, p in PARAMETERS]
)
def test_every_described_query_parameter_is_known(srv, job_id, path, op, p):
    name = p["name"]
    samples = {**SAMPLES, "a": job_id, "b": job_id}
    given = {q["name"]: samples[q["name"]] for q in op["parameters"]
             if q["in"] == "query" and q["required"]}  # fmt: skip
    if name == "cursor":
        srv.submit()
        value = srv.get(path.replace("{id}", job_id), params={"limit": 1}).json()["next_cursor"]
        assert value
    else:
        value = "completed" if op["operationId"] == "listScans" and name == "state" else samples[name]
    r = srv.get(path.replace("{id}", job_id), params={**given, name: value})
    assert r.status_code == 200, r.text
    check(op, r)


def test_jobs_in_every_state_fit_their_schemas(make_server, fake_nmap):
    ops = {op["operationId"]: op for _, _, op in OPERATIONS}

    def look(server, found):
        for path, name in ((f"/api/v1/scans/{found}", "getScan"), (f"/scans/{found}", "oldGet"),
                           ("/api/v1/scans", "listScans"), ("/scans", "oldList"),
                           (f"/api/v1/scans/{found}/hosts", "listHosts")):  # fmt: skip
            check(ops[name], server.get(path))

    for tool in ("fail", "crash", "truncated", "garbage", "timedout", "noisy"):
        server = make_server(tool=fake_nmap(tool), env={"SCANPOD_RETRIES": "0"})
        found = server.submit()
        server.wait(found)
        look(server, found)
        server.stop()
    server = make_server(tool=fake_nmap("progress"), env={"SCANPOD_MAX_SCAN_WORKERS": "1"})
    running, queued = server.submit(), server.submit()
    server.wait_running(running)
    look(server, running)
    look(server, queued)
    check(ops["cancelScan"], server.post(f"/api/v1/scans/{running}/cancel?wait=30"))
    check(ops["oldCancel"], server.post(f"/scans/{queued}/cancel"))
    look(server, running)
    check(ops["retryScan"], server.post(f"/api/v1/scans/{running}/retry"))
    check(ops["reparseScan"], server.post(f"/api/v1/scans/{queued}/reparse"))
    check(ops["deleteScan"], server.delete(f"/api/v1/scans/{queued}"))
    check(ops["oldPurge"], server.delete("/scans"))


def test_changing_routes_answer_as_described(srv, job_id):
    ops = {op["operationId"]: op for _, _, op in OPERATIONS}
    check(ops["reparseScan"], srv.post(f"/api/v1/scans/{job_id}/reparse"))
    check(ops["cancelScan"], srv.post(f"/api/v1/scans/{job_id}/cancel"))
    check(ops["oldCancel"], srv.post(f"/scans/{job_id}/cancel"))
    check(ops["oldDelete"], srv.delete(f"/scans/{job_id}"))
    check(ops["oldDelete"], srv.delete(f"/scans/{job_id}"))
    made = srv.post("/api/v1/keys", json={"name": "openapi"})
    check(ops["createKey"], made)
    check(ops["revokeKey"], srv.delete(f"/api/v1/keys/{made.json()['id']}"))
    check(ops["revokeKey"], srv.delete("/api/v1/keys/nobody"))
    check(ops["reloadPolicy"], srv.post("/api/v1/policy/reload"))


def test_what_a_key_may_not_is_answered_as_described(srv, job_id):
    made = srv.post("/api/v1/keys", json={"name": "nothing", "scopes": ["raw"]}).json()
    for path, method, op in OPERATIONS:
        if op.get("security") == []:
            continue
        r = srv.request(method.upper(), path.replace("{id}", job_id), key=made["key"])
        assert r.status_code == 403, (op["operationId"], r.text)
        assert op["x-scope"] in r.text
        check(op, r)
    srv.delete(f"/api/v1/keys/{made['id']}")


def test_the_route_table_and_the_document_agree():
    table = re.findall(
        r'\{"(\w+)", "([^"]+)", \w+, [^,]+, \w+,\s+"(\w+)",\s+\w+\}',
        (ROOT / "src/http/api_routes.c").read_text(),
    )
    described = {(m.upper(), p, op["operationId"]) for p, m, op in OPERATIONS}
    assert described == set(table)
    assert len(table) == len(set(table))
