"""Bad input: each kind gets one clear error, and nothing of it is stored."""

import json

import pytest

JSON = {"Content-Type": "application/json"}
OK = b'{"targets":"127.0.0.1"}'

BODIES = {
    "truncated": (b'{"targets":"127.0.0.1"', 422, 400),
    "not json": (b"targets=127.0.0.1", 422, 400),
    "not utf-8": (b'{"targets":"127.0.0.1\xff"}', 400, 400),
    "utf-16": ('{"targets":"127.0.0.1"}'.encode("utf-16"), 400, 400),
    "nul byte": (b'{"targets":"127.0.0.1\x00"}', 422, 400),
    "nul escape": (b'{"targets":"127.0.0.1\\u0000"}', 422, 400),
    "nul after": (OK + b"\x00", 422, 400),
    "duplicate member": (b'{"targets":"127.0.0.1","targets":"127.0.0.2"}', 422, 400),
    "nested deeply": (b'{"targets":"127.0.0.1","x":' + b"[" * 100000 + b"]" * 100000 + b"}", 422, 400),
    "nested objects": (b'{"x":' * 50000 + b"1" + b"}" * 50000, 422, 400),
    "two documents": (OK + OK, 422, 400),
    "nan": (b'{"targets":"127.0.0.1","timeout":NaN}', 422, 400),
    "lone surrogate": (b'{"targets":"\\ud800"}', 422, 400),
    "huge number": (b'{"targets":"127.0.0.1","timeout":' + b"9" * 5000 + b"}", 422, 400),
    "an array": (b"[]", 422, 422),
    "a string": (b'"127.0.0.1"', 422, 422),
    "null": (b"null", 422, 422),
}


@pytest.fixture(scope="module")
def srv(scanpod_bin, _session_dir, fake_nmap):
    from conftest import _Factory

    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    server = factory(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    yield server
    assert server.get("/scans").json() == [], "something of the bad input was stored"
    server.stop()
    assert server.integrity() == "ok"
    factory.finish()


def error_of(r, v1):
    """The body is an error in the shape of its surface."""
    if v1:
        assert r.headers["Content-Type"] == "application/problem+json", r.text
        assert r.json()["status"] == r.status_code and r.json()["detail"]
    else:
        assert r.headers["Content-Type"] == "application/json"
        assert r.json()["detail"]


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused_on_both_surfaces(srv, name):
    body, old, v1 = BODIES[name]
    r = srv.post("/scans", data=body, headers=JSON)
    assert r.status_code == old, r.text[:500]
    error_of(r, False)
    r = srv.post("/api/v1/scans", data=body, headers=JSON)
    assert r.status_code == v1, r.text[:500]
    error_of(r, True)


def test_an_empty_body_is_a_missing_body(srv):
    r = srv.post("/scans", data=b"", headers=JSON)
    assert r.status_code == 422
    assert r.json() == {
        "detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}]
    }
    assert srv.post("/api/v1/scans", data=b"", headers=JSON).status_code == 400


def test_a_body_that_is_not_json_is_shown_where_it_breaks(srv):
    r = srv.post("/scans", data=b'{"targets": oops}', headers=JSON)
    assert r.json() == {
        "detail": [
            {"type": "json_invalid", "loc": ["body", 12], "msg": "JSON decode error", "input": {},
             "ctx": {"error": "Expecting value"}}
        ]
    }  # fmt: skip
    assert "character 12" in srv.post("/api/v1/scans", data=b'{"targets": oops}', headers=JSON).text


def test_a_body_that_is_no_object_is_named(srv):
    r = srv.post("/scans", json=[1])
    assert r.json() == {
        "detail": [
            {"type": "model_attributes_type", "loc": ["body"],
             "msg": "Input should be a valid dictionary or object to extract fields from",
             "input": [1]}
        ]
    }  # fmt: skip


@pytest.mark.parametrize("path, mib", [("/scans", 1), ("/api/v1/scans", 3), ("/api/v1/keys", 1)])
def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not(srv, path, mib):
    head, tail = b'{"targets":5,"x":"', b'"}'
    fits = head + b"a" * (mib * 1024 * 1024 - len(head) - len(tail)) + tail
    assert srv.post(path, data=fits, headers=JSON).status_code == 422
    r = srv.post(path, data=fits + b" ", headers=JSON)
    assert r.status_code == 413
    error_of(r, path.startswith("/api"))


def test_a_body_of_another_type_is_not_read_as_json(srv):
    r = srv.post("/scans", data=OK, headers={"Content-Type": "text/plain"})
    assert r.status_code == 422
    assert r.json()["detail"][0]["type"] == "model_attributes_type"
    r = srv.post("/api/v1/scans", data=OK, headers={"Content-Type": "text/plain"})
    assert r.status_code == 415
    error_of(r, True)


@pytest.mark.parametrize(
    "targets",
    ["-iL/etc/passwd", "127.0.0.1\n--script=x", "127.0.0.1 '", '"', "127.0.0.1`id`", "\u202e127.0.0.1",
     "127.0.0.1/33", "127.0.0.256", "127.0.0.0/8 10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/64",
     "x" * 70000, ":::", "1::2::3", "[::1]", "fe80::1%eth0"],
)  # fmt: skip
def test_a_bad_target_is_refused_on_both_surfaces(srv, targets):
    r = srv.post("/scans", json={"targets": targets})
    assert r.status_code == 422, targets
    assert r.json()["detail"][0]["loc"] == ["body", "targets"]
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": targets})
    assert r.status_code == 422
    assert r.json()["errors"][0]["pointer"] == "/targets"


@pytest.mark.parametrize("ports", ["0-65536", "65536", "70000-80000", "1-2-3", "22,,80", "T:", "-1", "1" * 300,
                                   "80 ", "\u0662\u0663"])  # fmt: skip
def test_bad_ports_are_refused_on_both_surfaces(srv, ports):
    r = srv.post("/scans", json={"targets": "127.0.0.1", "ports": ports})
    assert r.status_code == 422
    assert r.json()["detail"][0]["msg"].startswith("Value error, invalid ports specification")
    r = srv.post("/api/v1/scans", json={"tool": "nmap", "targets": "127.0.0.1", "ports": ports})
    assert r.json()["errors"][0]["pointer"] == "/ports"


def test_an_unknown_member_is_ignored_before_and_refused_now(srv):
    body = {"targets": 5, "nonsense": {"a": [1, 2]}}
    entries = srv.post("/scans", json=body).json()["detail"]
    assert [e["loc"] for e in entries] == [["body", "targets"]]
    errors = srv.post("/api/v1/scans", json=body).json()["errors"]
    assert [e["pointer"] for e in errors] == ["/nonsense", "/targets"]


@pytest.mark.parametrize("path", ["/scans", "/scans/x", "/api/v1/scans", "/api/v1/scans/x", "/health"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_a_wrong_method_is_refused(srv, path, method):
    r = srv.request(method, path)
    assert r.status_code in (400, 405, 501), r.status_code
    if r.status_code == 405:
        assert r.headers["Allow"]


def test_thousands_of_wrong_members_get_a_short_answer(srv):
    body = {f"m{i}": i for i in range(20000)}
    r = srv.post("/api/v1/scans", data=json.dumps(body), headers=JSON)
    assert r.status_code == 422 and len(r.content) < 16384


@pytest.mark.parametrize("key", ["", "x" * 4096, "\u00e9", "' OR 1=1 --"])
def test_an_odd_key_lets_nobody_in(srv, key):
    r = srv.get("/scans", key=None, headers={"X-API-Key": key.encode("latin-1")})
    assert r.status_code in (400, 401, 431)
