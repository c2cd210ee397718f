"""
What a client can send that two programs might read differently: each such request gets exactly one
answer and a closed connection, and what was hidden behind it is never carried out.
"""

import json
import socket
import time
from typing import NamedTuple

import pytest

HOST = b"Host: 127.0.0.1\r\n"
END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
JOB = json.dumps({"targets": "127.0.0.1"}).encode()


class Answer(NamedTuple):
    heads: int  # how many answers began
    status: int  # of the first; 0: none
    closed: bool
    raw: bytes


def talk(port, *parts, quiet=0.7, patience=30):
    """Sends the parts, reads until the server closes or is quiet for a while."""
    got, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        for i, part in enumerate(parts):
            if i:
                time.sleep(0.05)
            try:
                s.sendall(part)
            except OSError:  # it closed already: what it said is still there to read
                break
        first = time.monotonic() + patience
        while True:
            s.settimeout(quiet if got else max(0.1, min(first - time.monotonic(), 3)))
            try:
                data = s.recv(65536)
            except socket.timeout:
                if got or time.monotonic() > first or patience <= 3:
                    break
                continue
            except ConnectionResetError:
                closed = True
                break
            if not data:
                closed = True
                break
            got += data
    status = int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else 0
    return Answer(got.count(b"HTTP/1.1 "), status, closed, got)


def get(headers=HOST, path=b"/health", version=b"HTTP/1.1"):
    return b"GET " + path + b" " + version + b"\r\n" + headers + END


def post(headers, body=b"", version=b"HTTP/1.1"):
    return b"POST /scans " + version + b"\r\n" + HOST + headers + END + body


def key_of(server):
    return b"X-API-Key: " + server.key.encode() + b"\r\n"


def job_ids(server):
    r = server.get("/scans")
    assert r.status_code == 200
    return {job["job_id"] if "job_id" in job else job["id"] for job in r.json()}


def hidden(server):
    """A whole request that would be carried out, if anyone took it for one."""
    return (
        b"POST /scans HTTP/1.1\r\n" + HOST + key_of(server) + b"Content-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB
    )


# ---------------------------------------------------------------- the probes

# (what is odd, the request, status). All are refused: one answer, and the connection is closed.
REFUSED = [
    ("length and chunked", post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"), 400),
    ("chunked and length", post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), 400),
    ("two lengths", post(b"Content-Length: 3\r\nContent-Length: 30\r\n", b"abc"), 400),
    ("the same length twice", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    ("list of lengths", post(b"Content-Length: 3, 3\r\n", b"abc"), 400),
    ("length with plus", post(b"Content-Length: +3\r\n", b"abc"), 400),
    ("negative length", post(b"Content-Length: -3\r\n", b"abc"), 400),
    ("hexadecimal length", post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    ("empty length", post(b"Content-Length:\r\n", b"abc"), 400),
    ("length of 2^64 + 3", post(b"Content-Length: 18446744073709551619\r\n", b"abc"), 400),
    ("unknown coding", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    ("two codings in a list", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 400),
    ("two coding lines", post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"), 400),
    ("coding with a control", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    ("chunked in 1.0", post(CHUNKED, b"0\r\n\r\n", b"HTTP/1.0"), 400),
    ("space before the colon", post(b"Content-Length : 3\r\n", b"abc"), 400),
    ("tab before the colon", post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"), 400),
    ("bare LF everywhere", b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n", 400),
    ("bare LF in one line", get(HOST + b"X: a\nY: b\r\n"), 400),
    ("bare CR in a value", get(HOST + b"X: a\rY: b\r\n"), 400),
    ("NUL in a value", get(HOST + b"X: a\x00b\r\n"), 400),
    ("NUL in a name", get(HOST + b"X\x00: b\r\n"), 400),
    ("folded line", get(HOST + b"X: a\r\n b\r\n"), 400),
    ("folded line by tab", get(HOST + b"X: a\r\n\tb\r\n"), 400),
    ("folded first line", get(b" " + HOST), 400),
    ("no Host", get(b""), 400),
    ("two Hosts", get(HOST + b"Host: localhost\r\n"), 400),
    ("the same Host twice", get(HOST + HOST), 400),
    ("empty Host", get(b"Host:\r\n"), 400),
    ("list in Host", get(b"Host: 127.0.0.1, localhost\r\n"), 400),
    ("user in Host", get(b"Host: a@127.0.0.1\r\n"), 400),
    ("somebody else's Host", get(b"Host: scanner.attacker.example\r\n"), 421),
    ("absolute target of another host", get(path=b"http://localhost/health"), 400),
    ("HTTP/9.9", get(version=b"HTTP/9.9"), 505),
    ("HTTP/1.2", get(version=b"HTTP/1.2"), 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("HTTP/0.9", b"GET /health\r\n\r\n", 400),
    ("tabs in the request line", b"GET\t/health\tHTTP/1.1\r\n" + HOST + END, 400),
    ("two spaces in the request line", b"GET  /health  HTTP/1.1\r\n" + HOST + END, 400),
    ("unknown method", b"BREW /health HTTP/1.1\r\n" + HOST + END, 501),
    ("CONNECT", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n" + HOST + END, 501),
    ("line without a colon", get(HOST + b"garbage\r\n"), 400),
    ("empty name", get(HOST + b": v\r\n"), 400),
    ("control in a name", get(HOST + b"X\x01Y: v\r\n"), 400),
    ("control in a value", get(HOST + b"X: \x1b[2J\r\n"), 400),
    ("17 digits of chunk size", post(CHUNKED, b"fffffffffffffffff\r\n"), 400),
    ("chunk lines with bare LF", post(CHUNKED, b"3\nabc\n0\n\n"), 400),
    ("negative chunk size", post(CHUNKED, b"-3\r\nabc\r\n0\r\n\r\n"), 400),
    ("space after the chunk size", post(CHUNKED, b"3 \r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk extension", post(CHUNKED, b"3;a=b\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk longer than said", post(CHUNKED, b"3\r\nabcdef\r\n0\r\n\r\n"), 400),
    ("folded trailer", post(CHUNKED, b"0\r\nX: a\r\n b\r\n\r\n"), 400),
    ("chunk of 4 GiB", post(CHUNKED, b"ffffffff\r\n"), 413),
    ("NUL in the path", get(path=b"/hea%00lth"), 400),
    ("half an escape in the path", get(path=b"/health%4"), 400),
    ("dots in the path", get(path=b"/scans/../health"), 400),
    ("NUL in the query", get(path=b"/health?a=%00"), 400),
    ("raw byte in the path", get(path=b"/health\xff"), 400),
    ("long request line", get(path=b"/" + b"a" * 9000), 414),
    ("2000 header lines", get(HOST + b"a: b\r\n" * 2000), 431),
    ("40 KB of header", get(HOST + b"X: " + b"a" * 40000 + b"\r\n"), 431),
    ("two API keys", get(HOST + b"X-API-Key: a\r\nX-API-Key: b\r\n"), 400),
    ("two authorizations", get(HOST + b"Authorization: a\r\nAuthorization: b\r\n"), 400),
    ("two idempotency keys", get(HOST + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), 400),
    ("two content types", post(b"Content-Type: a/b\r\nContent-Type: c/d\r\n"), 400),
    ("body larger than allowed", post(b"Content-Length: 1048577\r\n"), 413),
    ("unknown expectation", post(b"Expect: a-miracle\r\nContent-Length: 2\r\n", b"{}"), 417),
]


@pytest.mark.parametrize("what, request_bytes, status", REFUSED, ids=[r[0] for r in REFUSED])
def test_an_ambiguous_request_gets_one_answer_and_a_closed_connection(
    server, what, request_bytes, status
):
    answer = talk(server.port, request_bytes)
    assert (answer.heads, answer.status, answer.closed) == (1, status, True), answer.raw[:300]
    assert b"connection: close" in answer.raw.split(b"\r\n\r\n")[0].lower()


def test_nothing_behind_an_ambiguous_request_is_carried_out(server):
    before = job_ids(server)
    for what, request_bytes, status in REFUSED:
        answer = talk(server.port, request_bytes + hidden(server))
        # The hidden bytes can complete a request line or a body, but never be a second request.
        assert answer.heads == 1 and answer.closed, (what, answer.raw[:300])
        assert answer.status >= 400, (what, answer.raw[:300])
    assert job_ids(server) == before


def test_the_hidden_request_would_be_carried_out_if_it_were_seen(server):
    """The control of the test above: behind a sound request it is."""
    before = job_ids(server)
    answer = talk(server.port, get() + hidden(server))
    assert (answer.heads, answer.status, answer.closed) == (2, 200, False)
    new = job_ids(server) - before
    assert len(new) == 1
    server.wait(new.pop())


# (what is unusual, the request, answers, status). All are served and the connection is kept.
SERVED = [
    ("plain", get(), 1, 200),
    ("20 KB of header", get(HOST + b"X: " + b"a" * 20000 + b"\r\n"), 1, 200),
    ("three at once", get() * 3, 3, 200),
    ("an empty line first", END + get(), 1, 200),
    ("absolute target", get(path=b"http://127.0.0.1/health"), 1, 200),
    ("IPv6 literal as Host", get(b"Host: [::1]:8000\r\n"), 1, 200),
    ("odd case and spaces", get(b"hOsT: \t 127.0.0.1 \t\r\n"), 1, 200),
    ("keep-alive of 1.0", get(b"Connection: keep-alive\r\n", version=b"HTTP/1.0"), 1, 200),
    ("slash in an escape", get(path=b"/scans%2Fx"), 1, 404),
    ("key in a trailer", post(CHUNKED, b"2\r\n{}\r\n0\r\nX-API-Key: KEY\r\n\r\n"), 1, 401),
]


@pytest.mark.parametrize("what, request_bytes, heads, status", SERVED, ids=[s[0] for s in SERVED])
def test_an_unusual_but_clear_request_is_served(server, what, request_bytes, heads, status):
    answer = talk(server.port, request_bytes.replace(b"KEY", server.key.encode()))
    assert (answer.heads, answer.status, answer.closed) == (heads, status, False), answer.raw[:300]


# ---------------------------------------------------------------- follow-ups


def test_every_cut_of_a_request_gives_the_same_answer(server):
    whole = b"POST /scans HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n"
    for cut in range(1, len(whole), 3):
        answer = talk(server.port, whole[:cut], whole[cut:], quiet=0.05)
        assert (answer.heads, answer.status, answer.closed) == (1, 401, False), cut


def test_a_folded_line_cannot_make_a_key(server):
    """With libmicrohttpd 0.9.75 this arrived as X-API-Key."""
    key = server.key.encode()
    answer = talk(server.port, b"GET /scans HTTP/1.1\r\n" + HOST + b"X-API-Ke: " + key +
                  b"\r\n y\r\n\r\n")  # fmt: skip
    assert (answer.heads, answer.status, answer.closed) == (1, 400, True)


def test_a_folded_line_cannot_hide_a_length(server):
    before = job_ids(server)
    body = hidden(server)
    answer = talk(server.port, post(b"Content-Length: %d\r\n zz\r\n" % len(body), body))
    assert (answer.heads, answer.status, answer.closed) == (1, 400, True)
    assert job_ids(server) == before


def test_a_request_within_a_body_stays_a_body(server):
    before = job_ids(server)
    inner = hidden(server)
    for request_bytes in (
        post(key_of(server) + b"Content-Length: %d\r\n" % len(inner), inner),
        post(key_of(server) + CHUNKED, b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"),
        post(b"Content-Length: %d\r\n" % len(inner), inner),
    ):
        answer = talk(server.port, request_bytes)
        assert answer.heads == 1 and 400 <= answer.status < 500, answer.raw[:300]
    assert job_ids(server) == before


def test_a_trailer_does_not_replace_a_wrong_key(server):
    before = job_ids(server)
    body = b"%x\r\n" % len(JOB) + JOB + b"\r\n0\r\n" + key_of(server) + b"\r\n"
    answer = talk(server.port, post(b"X-API-Key: wrong\r\n" + CHUNKED, body))
    assert (answer.heads, answer.status) == (1, 401), answer.raw[:300]
    assert job_ids(server) == before


def test_a_client_that_waits_for_100_continue_gets_it(server):
    headers = key_of(server) + b"Expect: 100-continue\r\nContent-Length: 2\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(post(headers))
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"[]")
        assert s.recv(1000).startswith(b"HTTP/1.1 422 ")


def test_a_client_that_stops_sending_still_gets_its_answer(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(get())
        s.shutdown(socket.SHUT_WR)
        got = b""
        while data := s.recv(1000):
            got += data
    assert got.startswith(b"HTTP/1.1 200 ")


def test_a_refused_upload_shows_why(server):
    """The answer must not be lost in a reset because the client is still sending."""
    body = b"x" * 200_000
    answer = talk(server.port, post(b"Content-Length: 2000000\r\n"), body, body)
    assert (answer.heads, answer.status, answer.closed) == (1, 413, True)


def test_a_header_that_drips_in_is_not_waited_for(server):
    """Never silent, never complete: the time for a header is counted from its first byte."""
    got, begin = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"X: ")
        s.settimeout(0.5)
        while time.monotonic() - begin < 60:
            try:
                s.sendall(b"a")
            except OSError:
                break
            try:
                data = s.recv(1000)
            except socket.timeout:
                continue
            except OSError:
                break
            if not data:
                break
            got += data
    assert got.startswith(b"HTTP/1.1 408 ") and got.count(b"HTTP/1.1 ") == 1
