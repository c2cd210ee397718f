"""
Black-box tests: the real binary, real sockets, real processes, nothing mocked inside.

Fixtures
    scanpod_bin   path of the binary: $SCANPOD_BIN, else build-test/scanpod, else build/scanpod
    scanpod       scanpod("job", "list", server=srv) runs the command line, gives CompletedProcess
    make_server   make_server(...) starts `scanpod serve` on a free loopback port; see Server
    server        one server for the whole run, with a stand-in for nmap: for tests that change
                  nothing but jobs of their own
    fake_nmap     fake_nmap("hang") makes a stand-in program and gives its path
    real_nmap     path of a wrapper that runs the installed nmap, on loopback targets only
    listener      a TCP listener on 127.0.0.1 that sends a banner (.port, .banner)
    workdir       an empty directory that the service user can reach

No packet leaves the machine: servers use a stand-in unless they are given `real_nmap`, whose
wrapper refuses everything but loopback, whatever way the target got there.

Every server is stopped at the end of its test; the test fails if its log has a report of a
sanitizer, if it did not exit in order, or if a process of it is left.
"""

import collections
import contextlib
import ctypes
import json
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import requests

from standins import STANDINS, standin_script

ROOT = Path(__file__).resolve().parents[2]
CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
TERMINAL = ("completed", "failed", "cancelled", "timed_out")

# What may be skipped in CI too: the reason starts with one of these.
ALLOWED_SKIPS = tuple(
    line
    for line in (ROOT / "script/allowed-skips").read_text().splitlines()
    if line and not line.startswith("#")
)

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error: |AddressSanitizer:DEADLYSIGNAL"
)
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=98",
    "LSAN_OPTIONS": "report_objects=1",
}

# A run in the background inherits that Ctrl-C is ignored, and so would all that it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Orphans come to us, not to the machine's init, so that they can be seen.
ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


# ---------------------------------------------------------------- small helpers


def wait_until(check, seconds=20, what="it", said=None):
    """
    Polls check() until it gives something true, and gives that; fails after `seconds`, with the
    last item of `said`.
    """
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > deadline:
            last = f"; last seen: {said[-1]}" if said else ""
            pytest.fail(f"waited {seconds} s in vain for {what}{last}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


_claims = collections.deque(maxlen=128)


def free_port(family=socket.AF_INET):
    """
    Below the ports that the kernel takes for connections, and given to nobody else: a name in the
    kernel says so to tests in other processes. The oldest of them are given back.
    """
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0scanpod-test-port-{port}")
            with socket.socket(family, socket.SOCK_STREAM) as s:
                s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        if len(_claims) == _claims.maxlen:
            _claims[0].close()
        _claims.append(claim)
        return port


def is_loopback(target):
    """An address, name or CIDR that lies wholly in 127.0.0.0/8 or is ::1."""
    if target in ("localhost", "::1", "::1/128"):
        return True
    octet = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
    m = re.fullmatch(rf"127(\.{octet}){{3}}(/(\d+))?", target)
    return bool(m) and (m.group(4) is None or 8 <= int(m.group(4)) <= 32)


def assert_loopback(targets):
    """Fails unless every target (one string or a list) is on this machine."""
    tokens = shlex.split(targets) if isinstance(targets, str) else list(targets)
    wrong = [t for t in tokens if not is_loopback(t)]
    assert tokens and not wrong, f"a real tool may scan loopback only, not {wrong or 'nothing'}"


def proc_text(pid, name):
    """
    /proc/PID/NAME, or None when the process is gone. One that ends is ENOENT before the file is
    opened, ESRCH behind that, and then a file without text.
    """
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode("utf-8", "replace") or None
    except OSError:
        return None


def proc_stat(pid):
    """(ppid, state, start time) of a process, or None when it is gone."""
    text = proc_text(pid, "stat")
    if not text:
        return None
    rest = text[text.rindex(")") + 2 :].split()
    return int(rest[1]), rest[0], int(rest[19])


def kill_if_there(pid):
    """SIGKILL, to one that may have ended by itself meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def all_pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def descendants(pid):
    """{(pid, start time)} of everything below pid, itself left out; the dead are left out."""
    kids = {}
    for p in all_pids():
        st = proc_stat(p)
        if st and st[1] not in "ZX":
            kids.setdefault(st[0], []).append((p, st[2]))
    found, todo = set(), [pid]
    while todo:
        for child in kids.get(todo.pop(), []):
            found.add(child)
            todo.append(child[0])
    return found


def alive(pid, start=None):
    st = proc_stat(pid)
    return bool(st) and st[1] not in "ZX" and (start is None or st[2] == start)


def reap_orphans():
    """Collects dead processes that came to us as subreaper, but not those of a Popen."""
    mine = {p.pid for p in _popens}
    for p in all_pids():
        st = proc_stat(p)
        if st and st[0] == os.getpid() and st[1] == "Z" and p not in mine:
            try:
                os.waitpid(p, os.WNOHANG)
            except ChildProcessError:
                pass


_popens = set()


def processes_of(directory):
    """Living processes that have `directory` in their arguments, environment or working dir."""
    needle = str(directory)
    found = []
    for p in all_pids():
        if p == os.getpid() or not alive(p):
            continue
        parts = [proc_text(p, name) or "" for name in ("cmdline", "environ")]
        try:
            parts.append(os.readlink(f"/proc/{p}/cwd"))
        except OSError:
            pass
        if any(needle in part for part in parts):
            found.append((p, parts[0].replace("\0", " ").strip() or "?"))
    return found


def private_kb(pid):
    """Private resident memory of one process."""
    return sum(
        int(line.split()[1])
        for line in (proc_text(pid, "smaps_rollup") or "").splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


# ---------------------------------------------------------------- pytest's own


class _TookTooLong(Exception):
    pass


@pytest.fixture(autouse=True)
def _time_limit(request):
    marker = request.node.get_closest_marker("seconds")
    seconds = marker.args[0] if marker else 180

    def ring(signo, frame):
        raise _TookTooLong(f"the test took longer than {seconds} s")

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


# Most tests wait: for tools, for networks that are slow on purpose. So ./test runs several at the
# same time, in workers of pytest-xdist (--dist loadgroup). A module goes to one of them as a whole,
# with what it made for all of its tests, and in its own order; but for these, each test of which
# stands for itself and may go anywhere.
SPREAD = (
    "test_scan_lab", "test_scan_faults_lab", "test_scan_faults", "test_profiles",
    "test_crash", "test_agent",
)  # fmt: skip
# What takes long comes first, so that no worker is left alone with it at the end.
LONG_FIRST = ("test_scan_lab", "test_scan_faults_lab", "test_up", "test_confinement", "test_scope",
              "test_disk_full", "test_house", "test_scan_faults")  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before xdist makes groups of the marks
def pytest_collection_modifyitems(config, items):
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        module = item.module.__name__
        if module not in SPREAD:
            item.add_marker(pytest.mark.xdist_group(module))
    if hasattr(config, "workerinput"):
        rank = {name: i for i, name in enumerate(LONG_FIRST)}
        items.sort(key=lambda item: rank.get(item.module.__name__, len(rank)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skip is a failure, unless its reason is one that we know."""
    outcome = yield
    report = outcome.get_result()
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        reason = reason.replace("Skipped: ", "", 1)
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where everything must run: {reason}"


# ---------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def scanpod_bin():
    given = os.environ.get("SCANPOD_BIN")
    tries = [Path(given)] if given else [ROOT / "build-test/scanpod", ROOT / "build/scanpod"]
    for path in tries:
        if os.access(path, os.X_OK):
            return path.resolve()
    pytest.exit(f"no binary: {' '.join(map(str, tries))}; run ./test, or set SCANPOD_BIN", 3)


@pytest.fixture(scope="session")
def _session_dir():
    path = Path(tempfile.mkdtemp(prefix="scanpod-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _new_dir(parent, name):
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    path.chmod(0o755)
    return path


@pytest.fixture
def workdir(_session_dir, request):
    name = re.sub(r"\W+", "_", request.node.name)[:40]
    path = _new_dir(_session_dir, name)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def fake_nmap(_session_dir):
    """
    fake_nmap(name, **parameters) or fake_nmap(script="..."): gives the path of a stand-in.
    See standins.py for the names. `script` is the body of a /bin/sh program that runs after
    --version was taken care of; it has the arguments of nmap in "$@".
    """
    made = {}
    bin_dir = _new_dir(_session_dir, "tools")

    def make(name="ok", script=None, **parameters):
        text = standin_script(name, script, parameters)
        if text not in made:
            path = bin_dir / f"nmap-{len(made)}-{'script' if script else name}"
            path.write_text(text)
            path.chmod(0o755)
            made[text] = path
        return made[text]

    return make


@pytest.fixture(scope="session")
def real_nmap(_session_dir):
    """The installed nmap behind a wrapper that starts it for loopback targets only."""
    program = shutil.which("nmap", path="/usr/bin:/usr/local/bin:/usr/sbin:/bin")
    if not program:
        pytest.skip("nmap is not installed")
    path = _new_dir(_session_dir, "real") / "nmap"
    path.write_text(standin_script("guarded", None, {"program": program}))
    path.chmod(0o755)
    return path


def _session_root(path):
    """The directory of this run that everything made by fixtures is in."""
    return next((p for p in (path, *path.parents) if p.name.startswith("scanpod-test-")), path)


def clean_env(home, **more):
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SCANPOD_BOX_PATHS": f"{_session_root(Path(home))}:rw",  # stand-ins live there
        # No netd in the machine's own network: tests of it have a laboratory.
        "SCANPOD_WITHOUT": "nft",
        **SANITIZER_ENV,
    }
    for name in ("SCANPOD_MUST_SANDBOX", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    for name, value in more.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)
    return env


class StartFailed(Exception):
    """The server ended before it was ready: .status, .log."""

    def __init__(self, status, log):
        super().__init__(f"scanpod serve ended with status {status} before it was ready:\n{log}")
        self.status, self.log = status, log


class Server:
    """
    A running `scanpod serve`.

    .url .port .key .data_dir .pid .proc .env .args
    .get/.post/.put/.patch/.delete(path, **requests' own)  with the key; key=None: without it
    .submit(targets=..., ...)  POST /scans; gives the id       .job(id)  GET /scans/{id}
    .wait(id)     polls GET /scans/{id} until the job is terminal; gives the job
    .start() .stop(sig) .kill() .restart(sig) .log() .rss() .children() .own_processes()
    """

    def __init__(self, binary, home, data_dir, port, key, env, args):
        self.binary, self.home, self.data_dir = binary, home, Path(data_dir)
        self.port, self.key = port, key
        self.args = list(args)
        self.scheme = "https" if "--tls-cert" in self.args else "http"
        self.url = f"{self.scheme}://127.0.0.1:{port}"
        self.env = env
        self.log_path = home / "server.log"
        self.proc = None
        self.killed = False  # by SIGKILL: no order at exit is expected
        self.session = requests.Session()
        self.session.trust_env = False

    # -- life

    @property
    def pid(self):
        return self.proc.pid

    def command(self):
        return [
            str(self.binary), "serve", "--listen", f"127.0.0.1:{self.port}",
            "--data-dir", str(self.data_dir), *map(str, self.args),
        ]  # fmt: skip

    def start(self, wait=True, seconds=30):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.env, cwd=self.home, start_new_session=True,
            )  # fmt: skip
        _popens.add(self.proc)
        self.killed = False
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=30):
        said = ["nothing"]

        def ready():
            if self.proc.poll() is not None:
                raise StartFailed(self.proc.returncode, self.log())
            try:
                r = requests.get(f"{self.url}/readyz", timeout=2, verify=False)
                said[0] = f"{r.status_code} {r.text}"
                return r.status_code == 200
            except requests.RequestException as exc:
                said[0] = str(exc)
                return False

        wait_until(ready, seconds, f"/readyz of {self.url}", said)
        if self.key is None:
            self.key = self.key_file().read_text().strip()
        wait_until(self._probed, seconds, "what the sandbox can do to be known")
        return self

    def _probed(self):
        """It has all the processes that stay; before, some requests are told to come again."""
        r = self.get("/api/v1/capabilities", timeout=5)
        return r.status_code != 200 or not r.json()["sandbox"]["probing"]

    def key_file(self):
        """The key made at the first start."""
        found = [p for p in self.data_dir.iterdir() if "key" in p.name and p.suffix != ".pem"]
        assert len(found) == 1, f"one key file expected in {self.data_dir}, got {found}"
        return found[0]

    def stop(self, sig=signal.SIGTERM, seconds=30):
        """Ends it and gives its exit status (negative: signal). Nothing of it may be left."""
        if self.proc is None:
            return None
        tree = descendants(self.proc.pid)
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.killed = self.killed or sig == signal.SIGKILL
            try:
                self.proc.wait(seconds)
            except subprocess.TimeoutExpired:
                for pid, start in tree:
                    if alive(pid, start):
                        kill_if_there(pid)
                self.proc.kill()
                self.proc.wait()
                pytest.fail(f"the server did not end within {seconds} s of signal {sig}:\n"
                            + self.log()[-4000:])
        _popens.discard(self.proc)
        self.session.close()
        wait_until(lambda: not self.left_of(tree), 10, f"the end of {self.left_of(tree)}")
        reap_orphans()
        return self.proc.returncode

    def left_of(self, tree):
        return [pid for pid, start in tree if alive(pid, start)]

    def kill(self):
        return self.stop(signal.SIGKILL)

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        return self.start()

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    # -- looking at it

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_events(self):
        """The log's lines that are JSON objects."""
        events = []
        for line in self.log().splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                pass
        return events

    def children(self):
        """[(pid, command line)] of everything below the server, the server left out."""
        found = []
        for pid, _ in sorted(descendants(self.pid)):
            text = proc_text(pid, "cmdline")
            if text:
                found.append((pid, text.replace("\0", " ").strip()))
        return found

    def own_processes(self):
        """[(pid, command line)] of all processes that belong to the data directory."""
        return processes_of(self.data_dir)

    def rss(self):
        """Private memory in KiB, all roles together."""
        return sum(private_kb(p) for p in [self.pid, *(pid for pid, _ in self.children())])

    def integrity(self):
        """What SQLite says of the database; the server must not run."""
        with contextlib.closing(sqlite3.connect(self.data_dir / "scanpod.db")) as db:
            return db.execute("PRAGMA integrity_check").fetchone()[0]

    # -- talking to it

    def request(self, method, path, key=..., headers=None, timeout=60, **kw):
        headers = dict(headers or {})
        key = self.key if key is ... else key
        if key is not None and not any(h.lower() == "x-api-key" for h in headers):
            headers["X-API-Key"] = key
        kw.setdefault("verify", False)
        return self.session.request(
            method, self.url + path, headers=headers, timeout=timeout, **kw
        )

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, **kw):
        return self.request("POST", path, **kw)

    def put(self, path, **kw):
        return self.request("PUT", path, **kw)

    def patch(self, path, **kw):
        return self.request("PATCH", path, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def submit(self, targets="127.0.0.1", **body):
        r = self.post("/scans", json={"targets": targets, **body})
        assert r.status_code == 202, f"{r.status_code} {r.text}"
        return r.json()["job_id"]

    def job(self, job_id):
        r = self.get(f"/scans/{job_id}")
        assert r.status_code == 200, f"{r.status_code} {r.text}"
        return r.json()

    def wait(self, job_id, seconds=60, states=TERMINAL):
        def done():
            job = self.job(job_id)
            return job if job["status"] in states else None

        return wait_until(done, seconds, f"job {job_id} to become {' or '.join(states)}")

    def wait_running(self, job_id, seconds=30):
        return self.wait(job_id, seconds, states=("running",))


class _Factory:
    """Makes servers, and looks at each when it is over."""

    def __init__(self, binary, parent, fake):
        self.binary, self.parent, self.fake, self.made = binary, parent, fake, []

    def __call__(self, env=None, args=(), tool=None, key=..., data_dir=None, port=None,
                 start=True, wait=True):  # fmt: skip
        """
        env: more environment (a value of None removes); args: more arguments of `serve`;
        tool: path of a stand-in or of real_nmap (default: the stand-in "ok");
        key: the API key (default: a random one in SCANPOD_API_KEY; None: the one that the server
        makes at its first start, read from its file); data_dir: default is a new, absent one;
        start=False: only prepared; wait=False: does not wait for /readyz.
        """
        home = _new_dir(self.parent, "server")
        key = secrets.token_hex(16) if key is ... else key
        settings = {
            "SCANPOD_API_KEY": key,
            "SCANPOD_TOOL_NMAP": tool or self.fake("ok"),
            **(env or {}),
        }
        srv = Server(
            self.binary, home, data_dir or home / "data", port or free_port(), key,
            clean_env(home, **settings), args,
        )  # fmt: skip
        self.made.append(srv)
        if start:
            srv.start(wait=wait)
        return srv

    def finish(self):
        faults = []
        for srv in self.made:
            name = f"server on port {srv.port}"
            try:
                if srv.running():
                    status = srv.stop()
                    if status != 0:
                        faults.append(f"{name} ended with status {status}")
            except BaseException as exc:  # pytest.fail is one too; all servers must be stopped
                faults.append(f"{name}: {exc}")
            if srv.proc and srv.proc.returncode in (98, 99):
                faults.append(f"{name} was ended by a sanitizer")
            hit = SANITIZER_REPORT.search(srv.log())
            if hit:
                faults.append(f"{name}: {srv.log()[hit.start():][:6000]}")
            left = srv.own_processes()
            if left:
                faults.append(f"{name} left processes: {left}")
                for pid, _ in left:
                    kill_if_there(pid)
        self.made.clear()
        if faults:
            pytest.fail("\n".join(faults))


@pytest.fixture
def make_server(scanpod_bin, workdir, fake_nmap):
    factory = _Factory(scanpod_bin, workdir, fake_nmap)
    yield factory
    factory.finish()


@pytest.fixture(scope="session")
def server(scanpod_bin, _session_dir, fake_nmap):
    factory = _Factory(scanpod_bin, _session_dir, fake_nmap)
    yield factory()
    factory.finish()


@pytest.fixture
def scanpod(scanpod_bin, workdir):
    """
    scanpod(*args, server=None, env=None, input=None, check=False, timeout=60, cwd=None) runs the
    command line as a person would, without a terminal. With `server` it is told where and how.
    """

    def run(*args, server=None, env=None, input=None, check=False, timeout=60, cwd=None,
            text=True):  # fmt: skip
        more = {}
        if server is not None:
            more = {"SCANPOD_SERVER": server.url, "SCANPOD_API_KEY": server.key}
        done = subprocess.run(
            [str(scanpod_bin), *map(str, args)], env=clean_env(workdir, **{**more, **(env or {})}),
            cwd=cwd or workdir, input=input, timeout=timeout, text=text,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        errors = done.stderr if text else done.stderr.decode("utf-8", "replace")
        assert not SANITIZER_REPORT.search(errors), errors
        if check:
            assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}\n{errors}"
        return done

    return run


class Listener:
    """A TCP service on 127.0.0.1 that sends a banner to everyone and then hangs up."""

    def __init__(self, banner=b"220 scanpod-test ready\r\n", port=0):
        self.banner = banner
        self.sock = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            with conn:
                try:
                    conn.sendall(self.banner)
                except OSError:
                    pass

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.fixture
def listener():
    one = Listener()
    yield one
    one.close()


@pytest.fixture(scope="session")
def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


__all__ = [
    "STANDINS", "Listener", "Server", "StartFailed", "assert_loopback", "clean_env", "descendants",
    "free_port", "processes_of", "wait_until",
]  # fmt: skip
