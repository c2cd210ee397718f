"""
A whole server in the laboratory's `host`, spoken to over a unix socket from anywhere; with fixtures
for tests of it: lab, make, script.
"""

import http.client
import json
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import (
    SANITIZER_REPORT, TERMINAL, alive, clean_env, descendants, kill_if_there, proc_text,
    reap_orphans, wait_until,
)  # fmt: skip
from lab import GATEWAY_OUT, IN, IN6, OUT, OUT6, Lab
from standins import STANDINS, standin_script

NOTHING = {"v4": 0, "v6": 0, "own": 0}

SCOPE = """\
version: 1
scope:
  allow:
    - {target: 127.0.0.0/8, note: this machine}
    - {target: 10.77.1.0/24, note: lab}
    - {target: 'fd77:1::/64'}
    - {target: name.test, within: [10.77.1.0/24]}
policies:
  - {name: default, options: advanced}
"""


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def one_tool(body):
    """One run of nmap, unless the request says otherwise."""
    return body if body.keys() & {"tool", "profile"} else {"tool": "nmap", **body}


class LabServer:
    """
    .start() .stop(sig) .restart(sig)  a server with root's rights at its start
    .submit(targets, **body) gives the job's id, .refused(targets, **body) the text of a refusal
    .wait(id) the finished job; .scan(...) both; .ports(job) what was found
    .role("netd") pid of one of its processes
    """

    def __init__(self, lab, binary, home, *args, scope=SCOPE, prefix=(), **env):
        self.lab, self.binary, self.home, self.prefix = lab, binary, home, prefix
        self.socket = home / "socket"
        self.args = args
        self.key = secrets.token_hex(16)
        self.scope = home / "scope.yaml"
        self.scope.write_text(scope)
        self.scope.chmod(0o644)
        self.log_path = home / "log"
        own = {"SCANPOD_API_KEY": self.key, "SCANPOD_RETRIES": 0, "SCANPOD_WITHOUT": None}
        self.env = clean_env(home, **{**own, **env})
        self.proc = None

    # -- life

    def start(self, *more):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [*self.lab.inside("host"), *self.prefix, str(self.binary), "serve",
                 "--listen", f"unix:{self.socket}", "--data-dir", str(self.home / "data"),
                 "--scope", str(self.scope), "--log-format", "json", *map(str, self.args), *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.home,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self._ready, 30, "the server; " + self.log())
        return self

    def _ready(self):
        assert self.proc.poll() is None, self.log()
        try:
            status, body = self.request("GET", "/api/v1/capabilities")
        except OSError:
            return False
        return status == 200 and not body["sandbox"].get("probing")

    def stop(self, sig=signal.SIGTERM):
        """Gives its status. Nothing of it may be left."""
        if not self.proc:
            return None
        tree = descendants(self.proc.pid)
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        status = self.proc.wait(30)
        self.proc = None
        left = lambda: [p for p, start in tree if alive(p, start)]
        wait_until(lambda: not left(), 10, "the end of every process")
        reap_orphans()
        return status

    def kill_all(self):
        """SIGKILL to every process of it at the same time."""
        tree = descendants(self.proc.pid)
        for pid in (self.proc.pid, *(p for p, _ in tree)):
            kill_if_there(pid)
        self.proc.wait(10)
        self.proc = None
        wait_until(lambda: not [p for p, start in tree if alive(p, start)], 10, "their end")
        reap_orphans()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def role(self, name):
        """pid of a role: by what it holds open or calls itself."""
        for pid, _ in descendants(self.proc.pid):
            if (proc_text(pid, "comm") or "").strip() == f"scanpod-{name}":
                return pid
        return None

    # -- talking to it

    def request(self, method, path, body=None):
        c = _Unix(self.socket)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None,
                      {"X-API-Key": self.key, "Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None
        finally:
            c.close()

    def get(self, path):
        status, body = self.request("GET", path)
        assert status == 200, f"{path}: {status} {body}"
        return body

    def caps(self):
        return self.get("/api/v1/capabilities")["sandbox"]

    def submit(self, targets, **body):
        status, answer = self.request("POST", "/api/v1/scans",
                                      {"targets": targets, "retries": 0, **one_tool(body)})
        assert status in (200, 201, 202), f"{status} {answer}"
        return answer["id"]

    def refused(self, targets, **body):
        body = {"targets": targets, **one_tool(body)}
        status, answer = self.request("POST", "/api/v1/scans", body)
        assert status in (403, 422), f"{status} {answer}"
        return json.dumps(answer)

    def job(self, job):
        return self.get(f"/api/v1/scans/{job}")

    def wait(self, job, states=TERMINAL, seconds=60):
        def done():
            j = self.job(job)
            return j if j["state"] in states else None

        return wait_until(done, seconds, f"the job to be {' or '.join(states)}")

    def scan(self, targets, seconds=90, **body):
        return self.wait(self.submit(targets, **body), seconds=seconds)

    def hosts(self, job):
        return self.get(f"/api/v1/scans/{job['id']}/hosts")["items"]

    def ports(self, job):
        """{(protocol, port): state} of the one host."""
        return {(p["protocol"], p["port"]): p["state"] for h in self.hosts(job) for p in h["ports"]}


def tool(scanpod_bin, name):
    return Path(scanpod_bin).parent / "tests/tools" / name


@pytest.fixture(scope="module")
def lab(need_root):
    with Lab() as made:
        yield made


@pytest.fixture
def make(lab, scanpod_bin, workdir):
    """
    make(*arguments, **environment) starts a server in the lab; it is ended with the test, and what
    it made must be gone then.
    """
    made = []
    before = state(lab)

    def start(*args, home=None, begin=True, **more):
        home = home or workdir / f"s{len(made)}"
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        lab.forget()
        server = LabServer(lab, scanpod_bin, home, *args, **more)
        made.append(server)
        return server.start() if begin else server

    yield start
    for server in made:
        status = server.stop()
        assert status in (0, None), f"{status}\n{server.log()}"
        assert not SANITIZER_REPORT.search(server.log()), server.log()
    assert state(lab) == before, (state(lab), before)


@pytest.fixture
def script(workdir):
    """script(text, *names) makes an nmap of ours: a shell program beside which `names` lie."""
    tools = workdir / "tools"
    tools.mkdir()
    tools.chmod(0o755)

    def write(text=None, name="ok", programs=(), **parameters):
        for program in programs:
            copy = tools / Path(program).name
            copy.write_bytes(Path(program).read_bytes())
            copy.chmod(0o755)
        path = tools / "nmap"
        path.write_text(standin_script(name, text, parameters).replace("@tools", str(tools)))
        path.chmod(0o755)
        return path

    return write


def xml(before):
    """An nmap that does something first, and then says that a host is up."""
    return before + "\n" + STANDINS["ok"]()


def hostile(gateway="198.18.0.1"):
    return xml(
        f"@tools/hostile net --in {IN} --out {OUT} --in6 {IN6} --out6 {OUT6} --gateway {gateway}"
        f" --own {GATEWAY_OUT} >&2"
    )


def dropped(job):
    """Of a run at level nft or rootless."""
    return job["sandbox"]["packets"]["dropped"]


def state(lab):
    """What a server may not leave behind in `host`, once it no longer changes: the way of the last
    scan of a server that lives on is removed a moment after its end."""
    seen = [seen_now(lab)]

    def settled():
        seen.append(seen_now(lab))
        return seen[-1] == seen[-2]

    wait_until(settled, 10, "the network of the laboratory to come to rest", seen)
    return seen[-1]


def seen_now(lab):
    time.sleep(0.1)
    proxies = lab.run("host", "ip", "neigh", "show", "proxy").stdout.split("\n")
    routes = lab.run("host", "ip", "route").stdout.split("\n")
    return lab.leftovers(), lab.forwarding(), proxies, routes, lab.tables()
