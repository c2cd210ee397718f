"""The servers that are compared: ScanPod and its peers, on loopback, in temporary directories."""
import hashlib
import http.client
import json
import os
import pwd
import resource
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILD = Path(os.environ.get("SCANPOD_BENCH_BUILD", ROOT / "build-bench"))


def build():
    """The product as ./up builds it, and the programs of this directory."""
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, ROOT, "-Dbench=true", "-Dtests=false"],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD], check=True, stdout=subprocess.DEVNULL)


def program(name):
    return str(BUILD / "bench" / name)


def temp_dir():
    """A directory that the service user can reach; the caller removes it."""
    path = Path(tempfile.mkdtemp(prefix="scanpod-bench-"))
    path.chmod(0o755)
    return path


def service_user():
    """Who the server becomes when started as root: (uid, gid), or None."""
    if os.geteuid() != 0:
        return None
    for name in ("scanpod", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def many_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """A process with a port. start() returns when it answers; stop() ends it by its own handle."""

    health = "/health"
    key = ""

    def __init__(self):
        self.dir = temp_dir()
        self.port = free_port()
        self.process = None
        self.tls = False

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir), "LANG": "C.UTF-8"}

    def launch(self):
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen(
            self.command(), env=self.environment(), cwd=self.dir, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, preexec_fn=many_files)

    def start(self):
        self.launch()
        end = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                sys.exit(f"{self.command()[0]} did not start:\n{self.log_tail()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    break
            except OSError:
                time.sleep(0.005)
        self.started()
        return self

    def started(self):
        pass

    def log_tail(self):
        return (self.dir / "log").read_text(errors="replace")[-2000:]

    def end(self):
        """Ends the process and waits for it; the directory stays."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.log.close()
            self.process = None

    def stop(self):
        self.end()
        if not os.environ.get("SCANPOD_BENCH_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()

    def url(self, path):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def connect(self):
        if self.tls:
            context = ssl.create_default_context(cafile=self.settings["tls_cert"])
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=120,
                                               context=context)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return c

    def ask(self, connection, method, path, body=None, headers=None):
        """Status, body as text; on a connection of connect()."""
        all_headers = {"X-API-Key": self.key, **(headers or {})}
        data = None
        if body is not None:
            all_headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        connection.request(method, path, data, all_headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class ScanPod(Server):
    """`scanpod serve` on a data directory that is kept with the server, or on a given one."""

    def __init__(self, nmap=None, data_dir=None, tls=None, **settings):
        super().__init__()
        self.data_dir = Path(data_dir or self.dir / "data")
        self.settings = {"log_level": "ERROR", "max_waiting": "0", "max_conns": "8192",
                         "max_conns_per_address": "8192", **settings}
        if nmap:
            self.settings["tool_nmap"] = nmap
            self.settings["box_paths"] = Path(nmap).parent  # the stand-in reads a file beside it
        if tls:
            self.tls = True
            self.settings["tls_cert"], self.settings["tls_key"] = tls

    def command(self):
        return [str(BUILD / "scanpod"), "serve", "--listen", f"127.0.0.1:{self.port}",
                "--data-dir", str(self.data_dir)]

    def environment(self):
        return {**super().environment(),
                **{f"SCANPOD_{k.upper()}": str(v) for k, v in self.settings.items()}}

    def started(self):
        end = time.monotonic() + 5
        while not (self.data_dir / "key").exists() and time.monotonic() < end:
            time.sleep(0.01)
        self.key = (self.data_dir / "key").read_text().strip()


class FastApi(Server):
    """The peer service, one worker: with more, each has its own jobs."""

    def __init__(self, path=None, run=True):
        super().__init__()
        self.key = secrets.token_hex(16)
        self.path = path
        self.run = run

    def command(self):
        return [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--app-dir",
                str(BENCH / "peers"), "--host", "127.0.0.1", "--port", str(self.port),
                "--no-access-log", "--log-level", "warning"]

    def environment(self):
        env = super().environment()
        if self.path:
            env["PATH"] = f"{self.path}:{env['PATH']}"
        return {**env, "PEER_KEY": self.key, "PEER_RUN": "1" if self.run else "0",
                "PYTHONDONTWRITEBYTECODE": "1"}


class Nginx(Server):
    """Static bodies: /body (a file) and /scans (202, any method); /body by TLS too, with a pair."""

    def __init__(self, body="{}", accepted="{}", tls=None):
        super().__init__()
        self.tls_port = free_port()
        text = (BENCH / "peers" / "nginx.conf").read_text()
        listen = "" if not tls else (f"listen 127.0.0.1:{self.tls_port} ssl; "
                                     f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};")
        for word, value in (("DIR", self.dir), ("PORT", self.port), ("ACCEPTED", accepted),
                            ("TLS", listen)):
            text = text.replace(f"@{word}@", str(value))
        (self.dir / "nginx.conf").write_text(text)
        (self.dir / "body.json").write_text(body)

    def command(self):
        return ["/usr/sbin/nginx", "-p", str(self.dir), "-e", str(self.dir / "error.log"),
                "-c", str(self.dir / "nginx.conf")]


def stand_in(xml):
    """A directory with an instant `nmap` that prints `xml` (text, or the path of a file there)."""
    path = temp_dir()
    shutil.copy(program("stand_in"), path / "nmap")
    if isinstance(xml, Path):
        os.link(xml, path / "nmap.xml")  # no symlink: a box sees this directory only
    else:
        (path / "nmap.xml").write_text(xml)
    return path


def tls_pair(directory):
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(cert), str(key)


def filled_store(jobs):
    """A data directory with that many finished jobs; made once for a schema. (path, a job's id)"""
    schema = b"".join(f.read_bytes() for f in sorted((ROOT / "src/store/schema").glob("*.sql")))
    path = BUILD / f"store-{jobs}-{hashlib.sha256(schema).hexdigest()[:8]}"
    mark = path.with_suffix(".id")
    if not mark.exists():
        shutil.rmtree(path, ignore_errors=True)
        place = temp_dir()
        (place / "data").mkdir(mode=0o700)
        shutil.copy(program("fill_store"), place)
        user = service_user()
        as_user = {}
        if user:
            os.chown(place / "data", *user)
            as_user = {"user": user[0], "group": user[1], "extra_groups": []}
        made = subprocess.run([place / "fill_store", place / "data", str(jobs)], check=True,
                              text=True, stdout=subprocess.PIPE, **as_user)
        subprocess.run(["cp", "-a", place / "data", path], check=True)
        shutil.rmtree(place)
        mark.write_text(made.stdout.strip())
    return path, mark.read_text().strip()


def store_copy(jobs):
    """A copy of filled_store() that a server may change: (temporary directory, path, id)."""
    source, job = filled_store(jobs)
    directory = temp_dir()
    subprocess.run(["cp", "-a", "--reflink=auto", source, directory / "data"], check=True)
    return directory, directory / "data", job
