"""Who did what: the audit log over the wire and offline, and what keys may ask for."""

import hashlib
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


def chain(items):
    """The hashes as docs and store/audit.h describe them, computed by somebody else."""
    head = bytes(32)
    for item, at_us, detail in items:
        line = "".join(
            f"{len(str(text).encode())}:{text},"
            for text in (item["seq"], at_us, item["actor"], item["action"], item["object"], detail)
        )
        head = hashlib.sha256(head + line.encode()).digest()
        yield item["seq"], head.hex()


@pytest.fixture
def logged(make_server, scanpod):
    """A server that has something to tell."""
    srv = make_server()
    for name in ("one", "two", "three"):
        scanpod("key", "create", name, "--scopes", "read", server=srv, check=True)
    scanpod("key", "revoke", "two", server=srv, check=True)
    srv.wait(srv.submit("127.0.0.1", ports="80"))
    return srv


class Liar:
    """Hands out an audit log that somebody has changed."""

    def __init__(self, body):
        data = body.encode()
        pages = [data, b'{"items":[],"next":null}']

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                page = pages[0] if "after=0" in self.path else pages[1]
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *args):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.key = "x"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.http.shutdown()
        self.http.server_close()


def test_the_log_tells_what_was_done_and_verifies(logged, scanpod):
    entries = json.loads(scanpod("audit", "list", "--json", server=logged, check=True).stdout)
    actions = [e["action"] for e in entries]
    assert actions.count("key.create") == 3 and "key.revoke" in actions and "scan.submit" in actions
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    assert "sp_" not in json.dumps(entries), "no secret in the log"
    later = json.loads(scanpod("audit", "list", "--after", "2", "--json", server=logged).stdout)
    assert later == entries[2:]
    head = scanpod("audit", "verify", server=logged, check=True).stdout.strip()
    assert head == f"{entries[-1]['seq']}:{entries[-1]['hash']}"
    scanpod("key", "revoke", "three", server=logged, check=True)
    assert scanpod("audit", "verify", "--head", head, server=logged).returncode == 0
    wrong = head[:-1] + ("0" if head[-1] != "0" else "1")
    assert scanpod("audit", "verify", "--head", wrong, server=logged).returncode == 1
    beyond = "999:" + head.split(":")[1]
    cut = scanpod("audit", "verify", "--head", beyond, server=logged)
    assert cut.returncode == 1 and "cut off" in cut.stderr


def test_the_chain_is_the_documented_one(logged):
    logged.stop()
    db = sqlite3.connect(f"{logged.data_dir}/scanpod.db")
    rows = db.execute("SELECT seq, at_us, actor, action, object, detail, hash FROM audit").fetchall()
    db.close()
    names = ("seq", "at", "actor", "action", "object")
    items = [(dict(zip(names, row)), row[1], row[5]) for row in rows]
    assert [h for _, h in chain(items)] == [row[6].hex() for row in rows]


def test_a_server_that_lies_is_found_out(logged, scanpod):
    body = logged.get("/api/v1/audit?limit=200").text
    doc = json.loads(body)
    n = len(doc["items"])
    first, second = body.index('{"seq":1'), body.index('{"seq":2')
    third = body.index('{"seq":3')
    lies = {
        "changed": body.replace('"name":"one"', '"name":"owe"', 1),
        "another time": body.replace(doc["items"][0]["at"], "2026-01-01T00:00:00.000001Z", 1),
        "dropped": body[:second] + body[third:],
        "first dropped": body[:first] + body[second:],
        "exchanged": body[:first] + body[second:third] + body[first:second] + body[third:],
        "spaces": body.replace('{"peer"', '{ "peer"', 1),
    }
    with Liar(body) as honest:
        head = scanpod("audit", "verify", server=honest, check=True).stdout.strip()
    for what, told in lies.items():
        assert told != body, what
        with Liar(told) as liar:
            assert scanpod("audit", "verify", server=liar).returncode == 1, what
    cut = body[: body.index(f',{{"seq":{n}')] + '],"next":null}'
    with Liar(cut) as liar:
        assert scanpod("audit", "verify", server=liar).returncode == 0, "a head is needed for that"
        assert scanpod("audit", "verify", "--head", head, server=liar).returncode == 1
    for nonsense in ("{}", "[]", "null", '{"items":[1]}', '{"items":[{}]}', "<html>", ""):
        with Liar(nonsense) as liar:
            assert scanpod("audit", "verify", server=liar).returncode not in (0, 1), nonsense


def test_the_log_of_a_stopped_server_is_verified_in_its_store(logged, scanpod):
    here = {"SCANPOD_DATA_DIR": logged.data_dir}
    busy = scanpod("audit", "verify", "--data-dir", logged.data_dir, env=here)
    assert busy.returncode == 1 and str(logged.pid) in busy.stderr and "--server" in busy.stderr
    head = scanpod("audit", "verify", server=logged, check=True).stdout
    logged.stop()
    assert scanpod("audit", "verify", "--data-dir", logged.data_dir, check=True).stdout == head
    db = sqlite3.connect(f"{logged.data_dir}/scanpod.db")
    db.executescript(
        "DROP TRIGGER audit_stay; DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"
    )
    db.close()
    cut = scanpod("audit", "verify", "--data-dir", logged.data_dir)
    assert cut.returncode == 1 and "cut off" in cut.stderr


def test_a_key_may_ask_for_no_more_than_its_quota(make_server, scanpod):
    srv = make_server()
    key = scanpod(
        "key", "create", "few", "--jobs-per-day", "2", "--addresses-per-day", "4", server=srv,
        check=True,
    ).stdout.strip()  # fmt: skip
    body = {"tool": "nmap", "targets": ["127.0.0.1"], "ports": "80"}
    many = {"tool": "nmap", "targets": ["127.0.0.0/29"], "ports": "80"}
    never = srv.post("/api/v1/scans", json=many, key=key)
    assert never.status_code == 403 and "4 addresses in 24 hours" in never.text
    assert srv.post("/api/v1/scans", json=body, key=key).status_code == 202
    assert srv.post("/api/v1/scans", json=body, key=key).status_code == 202
    third = srv.post("/api/v1/scans", json=body, key=key)
    assert third.status_code == 429 and "2 jobs in 24 hours" in third.text
    assert int(third.headers["Retry-After"]) > 0
    assert srv.post("/api/v1/scans", json=body).status_code == 202, "another key goes on"
    srv.stop()
    srv.start()
    assert srv.post("/api/v1/scans", json=body, key=key).status_code == 429


@pytest.mark.parametrize(
    "flags, says",
    [
        (["--scopes", "read,everything"], "everything"),
        (["--scopes", ""], "is no scope"),
        (["--expires", "soon"], "soon"),
        (["--expires", "0d"], "0d"),
        (["--expires", "2020-01-01"], "over"),
        (["--waiting", "0"], "--waiting"),
        (["--jobs-per-day", "-1"], "--jobs-per-day"),
        (["--addresses-per-day", "many"], "--addresses-per-day"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(server, scanpod, flags, says):
    done = scanpod("key", "create", "odd", *flags, server=server)
    assert done.returncode == 2 and says in done.stderr
