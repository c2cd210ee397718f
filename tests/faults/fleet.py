"""
A fleet under a supervisor: a server, workers and Redis, each on a host of its own (hosts.py), each
started again when it ends, as systemd would with Restart=always.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from hosts import Hosts

HERE = Path(__file__).resolve().parent
REDIS_PORT, SLOW_PORT = 6379, 6380
BEAT_S, KILL_S, LEASE_S = 10, 60, 80
KEY = "a-key-for-tests-of-faults"
RESTART_S = 0.1


class Down(Exception):
    """The API did not answer, or not with what was asked for."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """One request, one connection: the server may die between any two."""

    def __init__(self, path):
        self.path = path

    def request(self, method, path, body=None, headers=None, timeout=20):
        c = _UnixConnection(self.path, timeout)
        try:
            data = None if body is None else json.dumps(body)
            more = {"Content-Type": "application/json"} if data else {}
            c.request(method, path, data, {"X-API-Key": KEY, **more, **(headers or {})})
            r = c.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException) as exc:
            raise Down(str(exc)) from exc
        finally:
            c.close()

    def get(self, path, **kw):
        status, text = self.request("GET", path, **kw)
        if status != 200:
            raise Down(f"{path}: {status} {text[:300]!r}")
        return json.loads(text)

    def metrics(self):
        """{name: value} of those without labels, once it is certain that each family is there once."""
        status, text = self.request("GET", "/metrics")
        lines = text.decode().splitlines()
        families = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        assert status == 200 and len(families) == len(set(families)), sorted(families)
        return {line.split()[0]: float(line.split()[1]) for line in lines
                if line[:1] != "#" and "{" not in line}

    def pages(self, path):
        """All items, page by page."""
        items, cursor = [], None
        while True:
            sep = "&" if "?" in path else "?"
            page = self.get(f"{path}{sep}limit=1000" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items

    def events(self, silence=3):
        """The event log of jobs' states from its start, until nothing comes for so long."""
        c = _UnixConnection(self.path, 20)
        found, event = [], {}
        try:
            c.request("GET", "/api/v1/events?topics=job.state", headers={
                "X-API-Key": KEY, "Last-Event-ID": "0", "Accept": "text/event-stream"})
            r = c.getresponse()
            c.sock.settimeout(silence)
            while True:
                line = r.readline().decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if line == "" and "data" in event:
                    found.append(json.loads(event["data"]))
                    event = {}
                elif name:
                    event[name] = value
        except TimeoutError:
            return found
        except (OSError, http.client.HTTPException) as exc:
            raise Down(str(exc)) from exc
        finally:
            c.close()


def proc_children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(p) for p in (task / "children").read_text().split()]
    return found


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class Child:
    """A program that is kept running."""

    def __init__(self, name, argv, env, log):
        self.name, self.argv, self.env, self.log_path = name, argv, env, log
        self.proc, self.wanted, self.ended_at = None, False, 0.0
        self.starts, self.deaths = 0, []  # how it ended: statuses
        self.held = False  # not to be started again for now

    def start(self):
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, env=self.env, start_new_session=True,
                                         cwd=self.log_path.parent)
        self.starts += 1
        self.wanted = True

    def tend(self):
        if self.proc is None or not self.wanted:
            return
        status = self.proc.poll()
        if status is None:
            return
        if not self.ended_at:
            self.ended_at = time.monotonic()
            self.deaths.append(status)
        elif not self.held and time.monotonic() - self.ended_at >= RESTART_S:
            self.ended_at = 0.0
            self.start()

    def signal(self, number):
        """False: it is not there just now."""
        if self.proc is None or self.proc.poll() is not None:
            return False
        self.proc.send_signal(number)
        return True

    def stop(self, seconds=30):
        """Asks it to end; gives its status, None if it had to be killed."""
        self.wanted = False
        if self.proc is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(self.proc.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.proc.wait()

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""


class Fleet:
    """
    with Fleet(binary, tools, directory, scale=20, workers=4, slots=8) as fleet: ...

    tools: where fakescan and stepclock.so are. slow: Redis is reached through the proxy. broker: a
    function that gives a RabbitServer; it runs on the server's host, and is where requests come from.
    """

    def __init__(self, binary, tools, directory, scale=20, workers=4, slots=8, slow=False,
                 broker=None):
        self.binary, self.tools, self.dir = Path(binary), Path(tools), Path(directory)
        self.scale, self.slots = scale, slots
        self.worker_names = [f"w{i}" for i in range(workers)]
        self.hosts = Hosts(["redis", "server", *self.worker_names])
        self.port = SLOW_PORT if slow else REDIS_PORT
        self.make_broker, self.broker = broker, None
        self.slow = slow
        self.truth = self.dir / "truth"
        self.api = Api(self.dir / "api.sock")
        self.children, self.server, self.redis, self.workers = [], None, None, []
        self._halt = threading.Event()
        self._tender = threading.Thread(target=self._tend, daemon=True)

    # ---- start

    @property
    def lease_s(self):
        return LEASE_S / self.scale

    def _child(self, name, host, argv, env=None):
        child = Child(name, [*self.hosts.inside(host), *map(str, argv)],
                      {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})},
                      self.dir / f"{name}.log")
        self.children.append(child)
        return child

    def _env(self, name, **more):
        env = {
            "HOME": str(self.dir), "SCANPOD_API_KEY": KEY, "SCANPOD_LEASE_SCALE": str(self.scale),
            "SCANPOD_WITHOUT": "nft", "SCANPOD_BOX_PATHS": f"{self.truth}:rw",
            "SCANPOD_TOOL_NMAP": str(self.truth / "bin" / name / "nmap"),
            "SCANPOD_DRAIN_TIMEOUT": "1", "SCANPOD_RETRY_DELAY_MS": "200", "SCANPOD_MAX_WAITING": "0",
            "SCANPOD_TRANSPORT": f"redis://{self.hosts.address['redis']}:{self.port}/0",
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99:verify_asan_link_order=0",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=98",
            **more,
        }
        if "SCANPOD_MUST_SANDBOX" in os.environ:
            env["SCANPOD_MUST_SANDBOX"] = os.environ["SCANPOD_MUST_SANDBOX"]
        return env

    def _make_truth(self):
        for name in ("server", *self.worker_names):
            (self.truth / "bin" / name).mkdir(parents=True)
            shutil.copy(self.tools / "fakescan", self.truth / "bin" / name / "nmap")
            self.set_clock(name)
        for folder in ("locks", "marks"):
            (self.truth / folder).mkdir()
            (self.truth / folder).chmod(0o777)
        (self.truth / "truth.log").touch()
        (self.truth / "truth.log").chmod(0o666)

    def set_clock(self, name, step_ns=0, slow=0):
        """Of a worker: see stepclock.c. In place: it is mapped."""
        path = self.dir / f"{name}.clock"
        path.touch()
        with open(path, "r+b") as f:
            f.write(struct.pack("=qqq", step_ns, slow, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))

    def _start_redis(self):
        (self.dir / "redis").mkdir()
        self.redis = self._child("redis", "redis", [
            "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--port", REDIS_PORT,
            "--dir", self.dir / "redis", "--save", "", "--appendonly", "yes",
            "--appendfsync", "always", "--maxmemory-policy", "noeviction"])
        self.redis.start()
        if self.slow:
            (self.dir / "pace").touch()
            self._child("proxy", "redis", ["/usr/bin/python3", HERE / "slow_redis.py", SLOW_PORT,
                                           REDIS_PORT, self.dir / "pace"]).start()
        self.wait(lambda: self.redis_says("PING") == "PONG", 20, "Redis")

    def start(self):
        self._make_truth()
        self.hosts.start()
        self._start_redis()
        intake = {}
        if self.make_broker:
            self.broker = self.hosts.call("server", self.make_broker)
            intake["SCANPOD_INTAKE"] = self.broker.url()
        self.server = self._child("server", "server", [
            self.binary, "serve", "--listen", f"unix:{self.api.path}",
            "--data-dir", self.dir / "server"], self._env("server", **intake))
        self.server.start()
        for name in self.worker_names:
            env = self._env(name, SCANPOD_WORKER_NAME=name, STEPCLOCK=self.dir / f"{name}.clock",
                            SCANPOD_MAX_SCAN_WORKERS=str(self.slots),
                            LD_PRELOAD=str(self.tools / "stepclock.so"))
            self.workers.append(self._child(name, name, [
                self.binary, "worker", "--data-dir", self.dir / name], env))
            self.workers[-1].start()
        self._tender.start()
        self.wait(self.ready, 30, "the server")
        return self

    # ---- looking

    def ready(self):
        try:
            return self.api.request("GET", "/readyz")[0] == 200
        except Down:
            return False

    def redis_says(self, *words):
        """What redis-cli prints, None if Redis does not answer."""
        try:
            done = subprocess.run([*self.hosts.inside("redis"), "redis-cli", *map(str, words)],
                                  capture_output=True, text=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def wait(self, check, seconds, what):
        end = time.monotonic() + seconds
        while True:
            got = check()
            if got:
                return got
            if time.monotonic() > end:
                logs = "\n".join(f"== {c.name}\n{c.log()[-1500:]}" for c in self.children)
                raise AssertionError(f"waited {seconds} s in vain for {what}\n{logs}")
            time.sleep(0.05)

    def runner(self, worker):
        """The process id of a worker's launcher, None if there is none just now."""
        try:
            runners = [p for p in proc_children(worker.proc.pid) if comm(p) == "scanpod-runner"]
        except OSError:
            runners = []
        return runners[0] if runners else None

    def own_processes(self):
        """Living processes, of this fleet, by what they were started with."""
        found = []
        needle = str(self.dir).encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if int(pid) != os.getpid() and needle in words:
                    found.append((int(pid), words.replace(b"\0", b" ").decode(errors="replace")))
            except OSError:
                pass
        return found

    # ---- supervising

    def _tend(self):
        while not self._halt.wait(0.02):
            for child in self.children:
                child.tend()

    def _stop(self, children):
        """Ends them in order; gives what went wrong with that."""
        wrong = []
        for child in children:
            status = child.stop()
            if status != 0:
                wrong.append(f"{child.name} was asked to end, and ended with {status}")
        return wrong

    def stop_workers(self):
        return self._stop(self.workers)

    def stop_server(self):
        return self._stop([self.server])

    def close(self):
        self._halt.set()
        if self._tender.is_alive():
            self._tender.join()
        for child in self.children:
            child.wanted = False
            if child.proc is not None:
                try:
                    os.killpg(child.proc.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.proc.wait()
        if self.broker:
            self.broker.stop()
        self.hosts.close()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()
