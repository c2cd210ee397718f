"""Pages of other origins: those of the list may call the API, and nobody else."""

import pytest

ALLOWED, OTHER = "https://app.example.org", "https://evil.example.org"
ASK = {"Access-Control-Request-Method": "POST",
       "Access-Control-Request-Headers": "X-API-Key, Content-Type"}  # fmt: skip
HEADERS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
           "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")  # fmt: skip


@pytest.fixture(scope="module")
def srv(scanpod_bin, _session_dir, fake_nmap):
    from conftest import _Factory

    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield factory(env={"SCANPOD_CORS_ORIGINS": f"{ALLOWED}, http://localhost:3000"})
    factory.finish()


def has_none(r):
    return not [h for h in HEADERS if h in r.headers]


@pytest.mark.parametrize("path", ["/scan/repo", "/scans", "/api/v1/repo-scans", "/api/v1/scans"])
@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_a_page_of_the_list_may_ask_first(srv, path, origin):
    r = srv.request("OPTIONS", path, key=None, headers={"Origin": origin, **ASK})
    assert r.status_code == 204 and not r.content
    assert r.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in r.headers["Access-Control-Allow-Methods"]
    allowed = [h.strip().lower() for h in r.headers["Access-Control-Allow-Headers"].split(",")]
    assert {"x-api-key", "content-type", "idempotency-key", "if-match"} <= set(allowed)
    assert "Access-Control-Allow-Credentials" not in r.headers
    assert "Origin" in r.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [OTHER, "null", "*", "", "https://app.example.org.evil.org", "https://app.example.or",
     "http://app.example.org", "https://app.example.org:8443", "https://app.example.org/",
     "HTTPS://APP.EXAMPLE.ORG", "https://app.example.org, http://localhost:3000", "example.org"],
)  # fmt: skip
def test_a_page_of_another_origin_is_told_nothing(srv, origin):
    r = srv.request("OPTIONS", "/scan/repo", key=None, headers={"Origin": origin, **ASK})
    assert has_none(r) and r.status_code in (401, 404, 405)
    r = srv.get("/api/v1/scans", headers={"Origin": origin})
    assert r.status_code == 200 and has_none(r)
    assert "Origin" in r.headers["Vary"], "a cache must not hand one page's answer to another"


def test_answers_to_a_page_of_the_list_say_so_errors_too(srv):
    head = {"Origin": ALLOWED}
    for r, status in ((srv.get("/api/v1/scans", headers=head), 200),
                      (srv.get("/jobs", headers=head), 200),
                      (srv.get("/api/v1/scans", headers=head, key="wrong"), 401),
                      (srv.get("/api/v1/scans/x", headers=head), 404),
                      (srv.post("/scan/repo", headers=head, data=b"{"), 422),
                      (srv.get("/health", headers=head, key=None), 200)):  # fmt: skip
        assert r.status_code == status
        assert r.headers["Access-Control-Allow-Origin"] == ALLOWED
        assert "Access-Control-Allow-Credentials" not in r.headers
    exposed = r.headers["Access-Control-Expose-Headers"]
    assert "Location" in exposed and "ETag" in exposed


def test_to_be_of_the_list_is_no_key(srv):
    r = srv.get("/api/v1/scans", headers={"Origin": ALLOWED}, key=None)
    assert r.status_code == 401


def test_without_a_list_no_page_may(server):
    r = server.request("OPTIONS", "/scan/repo", key=None, headers={"Origin": ALLOWED, **ASK})
    assert has_none(r) and r.status_code in (401, 404, 405)
    r = server.get("/api/v1/scans", headers={"Origin": ALLOWED})
    assert has_none(r)


@pytest.mark.parametrize("word", ["*", "https://a.example.org, *"])
def test_a_wildcard_is_no_origin(make_server, word):
    srv = make_server(env={"SCANPOD_CORS_ORIGINS": word})
    for origin in (OTHER, "*"):
        r = srv.get("/api/v1/scans", headers={"Origin": origin})
        assert has_none(r), "a wildcard would allow every page"
