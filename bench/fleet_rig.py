"""A fleet and its peers: Redis servers, ScanPod's server and workers, Celery and RQ."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from measure import children
from scan_server import LabScanPod
from servers import BENCH, BUILD, ScanPod, many_files, temp_dir

KEY = "a-key-for-the-fleet-bench"


class Process:
    """A program that is ended by its own handle."""

    def __init__(self, argv, log, **more):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=many_files, start_new_session=True, **more)

    def stop(self, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Redis:
    """The same settings for all: an append-only file, synced each second."""

    def __init__(self):
        self.dir = temp_dir()
        self.path = str(self.dir / "redis.sock")
        self.url = f"unix://{self.path}"

    def __enter__(self):
        self.process = Process(
            ["redis-server", "--port", 0, "--unixsocket", self.path, "--unixsocketperm", 777,
             "--dir", self.dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
             "--maxmemory-policy", "noeviction"], self.dir / "log")
        until("redis-server", self.listens, self.process)
        return self

    def listens(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.path) == 0

    def __exit__(self, *_):
        self.process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def until(what, done, process=None, seconds=60, pause=0.005):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end or (process and process.process.poll() is not None):
            raise SystemExit(f"{what}: not ready")
        time.sleep(pause)


class Workers:
    """What a server with workers elsewhere has, beside what it is: it runs nothing itself."""

    def fleet(self, redis, workers, slots):
        self.wanted, self.slots, self.workers = workers, slots, []
        self.settings.update(transport=f"unix:{redis.path}", max_jobs="0", api_key=KEY)

    def worker_command(self, name, data):
        return [BUILD / "scanpod", "worker", "--worker-name", name, "--data-dir", data]

    def start(self):
        super().start()
        self.add_workers(self.wanted)
        return self

    def started(self):
        self.key = KEY

    def add_workers(self, count):
        env = {**self.environment(), "SCANPOD_MAX_SCAN_WORKERS": str(self.slots)}
        for _ in range(count):
            name = f"w{len(self.workers) + 1}"
            self.workers.append(Process(self.worker_command(name, self.dir / name),
                                        self.dir / f"{name}.log", env=env, cwd=self.dir))
        c = self.connect()
        until("workers", lambda: self.said(c) == len(self.workers), pause=0.02)
        c.close()

    def said(self, c):
        """Workers that said what they are."""
        status, text = self.ask(c, "GET", "/api/v1/workers")
        if status != 200:
            raise SystemExit(f"workers: {status} {text[:300]}")
        return sum(w["slots"] == self.slots for w in json.loads(text)["items"])

    def states(self, c):
        """Jobs by state."""
        status, text = self.ask(c, "GET", "/metrics")
        if status != 200:
            raise SystemExit(f"metrics: {status} {text[:300]}")
        name = 'scanpod_jobs{state="'
        return {line[len(name):line.index('"', len(name))]: int(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line.startswith(name)}

    def end(self):
        for w in self.workers:
            w.process.send_signal(signal.SIGTERM)
        for w in self.workers:
            w.stop()
        self.workers = []
        super().end()

    def rss_mib(self):
        """Of the server and its processes; what they share counts for each of them."""
        total = 0
        for pid in children(self.process.pid):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                total += int(line.split()[1]) if line.startswith("VmRSS:") else 0
        return total / 1024


class Fleet(Workers, ScanPod):
    def __init__(self, redis, workers, slots, nmap=None, **settings):
        super().__init__(nmap, **settings)
        self.fleet(redis, workers, slots)


class LabFleet(Workers, LabScanPod):
    """The server and its workers in the namespace `host` of a lab."""

    def __init__(self, lab, redis, workers, slots):
        super().__init__(lab)
        self.fleet(redis, workers, slots)

    def worker_command(self, name, data):
        return [*self.lab.inside("host"), *super().worker_command(name, data)]


class Celery:
    """`celery worker`, prefork 2, acks late, results in the same Redis."""

    def __init__(self, redis):
        self.redis = redis

    def __enter__(self):
        env = {**os.environ, "PEER_REDIS": self.redis.path, "PYTHONDONTWRITEBYTECODE": "1"}
        self.env = env
        self.process = Process(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "prefork",
             "--concurrency", 2, "--loglevel", "WARNING", "--without-gossip", "--without-mingle",
             "--without-heartbeat"], self.redis.dir / "celery.log", env=env, cwd=BENCH / "peers")
        return self

    def run(self, count):
        return peer_run("celery_app.py", count, self.env)

    def __exit__(self, *_):
        self.process.stop()


class Rq:
    """Two `rq worker`."""

    def __init__(self, redis):
        self.redis = redis

    def __enter__(self):
        self.env = {**os.environ, "PEER_REDIS": self.redis.path, "PYTHONDONTWRITEBYTECODE": "1"}
        self.processes = [
            Process([sys.executable, "-m", "rq.cli", "worker", "--quiet", "--url", self.redis.url,
                     "noop"], self.redis.dir / f"rq{i}.log", env=self.env, cwd=BENCH / "peers")
            for i in range(2)]
        return self

    def run(self, count):
        return peer_run("rq_app.py", count, self.env)

    def __exit__(self, *_):
        for p in self.processes:
            p.stop()


def peer_run(program, count, env):
    """Tasks a second, from the first submit to the last result."""
    out = subprocess.run([sys.executable, program, str(count)], cwd=BENCH / "peers", env=env,
                         check=True, text=True, stdout=subprocess.PIPE, timeout=600).stdout
    return float(out.split()[-1])
