"""
Egress level proxy with a real client: curl in a box reaches the one place on its list, through the
one socket that it has, and nothing else. Only loopback is ever asked for.
"""

import json
import os
import subprocess
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from conftest import clean_env, descendants, wait_until

Run = namedtuple("Run", "status out err end connections")
TEXT = b"found\n" * 1000


class Web(ThreadingHTTPServer):
    """A web server on loopback that counts who came."""

    def __init__(self):
        self.seen = 0
        super().__init__(("127.0.0.1", 0), Page)
        self.port = self.server_address[1]
        Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        self.seen += 1
        return super().get_request()


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    with Web() as server:
        yield server
        server.shutdown()


@pytest.fixture
def witness():
    with Web() as server:
        yield server
        server.shutdown()
        assert server.seen == 0, "somebody came who was not to"


@pytest.fixture
def boxed(scanpod_bin, workdir):
    """boxed("curl", ..., allow=[...]) at level proxy."""
    boxrun = Path(scanpod_bin).parent / "tests/tools/boxrun"
    assert os.access(boxrun, os.X_OK), f"{boxrun} is not built"

    def run(*words, allow=(), flags=()):
        report = workdir / "report"
        entries = [word for entry in allow for word in ("--proxy-allow", entry)]
        before = descendants(os.getpid())
        done = subprocess.run(
            ["sh", "-c", 'report=$1; shift; exec "$@" 3>"$report"', "sh", str(report),
             str(boxrun), "--egress", "proxy", *entries, *flags, "--", *words],
            env=clean_env(workdir, SCANPOD_WITHOUT=None), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        wait_until(lambda: not descendants(os.getpid()) - before, 5, "the end of every process")
        end = json.loads(report.read_text())
        if "egress level proxy:" in end["why"] and not os.environ.get("SCANPOD_MUST_SANDBOX"):
            pytest.skip(end["why"])
        return Run(done.returncode, done.stdout, done.stderr, end, end["sandbox"]["connections"])

    return run


def curl(boxed, url, *more, allow):
    """-p: a tunnel for plain HTTP, too. What the proxy says is in .err."""
    return boxed("curl", "-sS", "-p", "-m", "20", "-w", "%{http_connect}", *more, url, allow=allow)


def answer(run):
    """The answer to CONNECT, as curl printed it last."""
    return run.out[-3:]


def test_the_one_allowed_place_is_reached(boxed, web, witness):
    run = curl(boxed, f"http://127.0.0.1:{web.port}/", allow=[f"127.0.0.1:{web.port}=127.0.0.0/8"])
    assert run.status == 0, run
    assert run.out == TEXT.decode() + "200"
    assert run.connections["passed"] == 1 and run.connections["dropped"]["out_of_scope"] == 0
    assert web.seen == 1


def test_a_name_is_resolved_outside(boxed, web):
    run = curl(boxed, f"http://localhost:{web.port}/", "--noproxy", "",
               allow=[f"localhost:{web.port}=127.0.0.0/8"])  # fmt: skip
    assert run.status == 0 and answer(run) == "200", run


@pytest.mark.parametrize(
    "host, entry",
    [
        ("127.0.0.1:{other}", "127.0.0.1:{port}=127.0.0.0/8"),  # another port
        ("127.0.0.2:{port}", "127.0.0.1:{port}=127.0.0.0/8"),  # another address
        ("localhost:{port}", "127.0.0.1:{port}=127.0.0.0/8"),  # another name of it
        ("127.0.0.1:{port}", "127.0.0.1:{port}"),  # no range lifts the hard denial
        ("127.0.0.1:{port}", "127.0.0.1:{port}=0.0.0.0/0"),  # not from outside of it
        ("localhost:{port}", "localhost:{port}"),
        ("127.0.0.1:{port}", "example.org:443"),
    ],
)
def test_nothing_else_is_reached(boxed, witness, host, entry):
    place = {"port": witness.port, "other": witness.port}
    if "{other}" in host:
        place["port"] = witness.port - 1
    run = curl(boxed, f"http://{host.format(**place)}/", "--noproxy", "",
               allow=[entry.format(**place)])  # fmt: skip
    assert run.status == 56 and answer(run) == "403", run
    assert run.connections["passed"] == 0 and run.connections["dropped"]["out_of_scope"] == 1


def test_there_is_no_way_around_the_proxy(boxed, witness):
    allow = [f"127.0.0.1:{witness.port}=127.0.0.0/8"]
    for url in (f"http://127.0.0.1:{witness.port}/", f"http://[::1]:{witness.port}/"):
        run = curl(boxed, url, "--noproxy", "*", allow=allow)
        assert run.status == 7, run
        assert run.connections["passed"] == 0
    # The proxy fetches nothing itself, whatever the address.
    run = boxed("curl", "-sS", "-m", "20", "-w", "%{http_code}", "--noproxy", "",
                f"http://127.0.0.1:{witness.port}/", allow=allow)  # fmt: skip
    assert "405" in run.out and "CONNECT host:port" in run.out, run
    assert run.connections["dropped"]["out_of_scope"] == 1


def test_a_proxy_that_dies_fails_the_run(boxed):
    run = boxed("sleep", "30", flags=("--kill-proxy", "50"))
    assert run.status != 0
    assert run.end["why"] == "the proxy ended while the tool ran", run
