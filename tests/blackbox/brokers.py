"""Real brokers for tests: redis-server and rabbitmq-server on free ports of loopback.

Each has a temporary directory of its own and is ended by its process id, with all that it started
(RabbitMQ: its own epmd too). Nothing listens on another address than 127.0.0.1.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

RABBIT_BIN = "/usr/lib/rabbitmq/bin"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def have_redis():
    return shutil.which("redis-server") is not None


def have_rabbit():
    return os.path.exists(RABBIT_BIN + "/rabbitmq-server") and shutil.which("epmd") is not None


def wait_for(what, within=60.0, every=0.05):
    """What it gives, once it gives something."""
    end = time.monotonic() + within
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise TimeoutError(f"nothing within {within} s: {what}")
        time.sleep(every)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def end_group(process, first=signal.SIGTERM, within=20.0):
    """Ends a process and the group that it leads."""
    if process is None:
        return
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class RedisServer:
    """redis-server; `aof` None, or what appendfsync is to be."""

    def __init__(self, aof="always", options=()):
        self.dir = tempfile.mkdtemp(prefix="scanpod-redis-")
        self.port = free_port()
        self.aof = aof
        self.options = list(options)
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.dir,
                "--save", "", "--daemonize", "no", "--logfile", self.dir + "/log"]
        if self.aof:
            argv += ["--appendonly", "yes", "--appendfsync", self.aof]
        self.process = subprocess.Popen(argv + self.options, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: accepts(self.port) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError("redis-server does not start: " + self.log())

    def log(self):
        try:
            with open(self.dir + "/log", encoding="utf-8", errors="replace") as f:
                return f.read()[-2000:]
        except OSError:
            return ""

    def kill(self):
        """As a machine's end would: kill -9."""
        end_group(self.process, signal.SIGKILL)

    def freeze(self, on=True):
        self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.freeze(False)
        end_group(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class RabbitServer:
    """rabbitmq-server with its own epmd; user guest, password guest, vhost /; TLS on tls_port."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="scanpod-rabbit-")
        self.port, self.epmd_port, self.dist_port = free_port(), free_port(), free_port()
        self.name = f"scanpod{self.port}@localhost"
        self.process = self.epmd = None
        os.mkdir(self.dir + "/home")
        with open(self.dir + "/plugins", "w", encoding="ascii") as f:
            f.write("[].\n")
        self.tls_port, self.ca = free_port(), self.dir + "/tls.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.dir + "/tls.key", "-out", self.ca, "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True)
        with open(self.dir + "/rabbitmq.conf", "w", encoding="ascii") as f:
            f.write(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
                    f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
                    f"ssl_options.certfile = {self.ca}\n"
                    f"ssl_options.keyfile = {self.dir}/tls.key\n"
                    "vm_memory_high_watermark.relative = 0.6\n"
                    "disk_free_limit.absolute = 1MB\n")
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": self.dir + "/home",
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": self.dir + "/mnesia",
            "RABBITMQ_LOG_BASE": self.dir + "/log",
            "RABBITMQ_CONFIG_FILE": self.dir + "/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": self.dir + "/none",
            "RABBITMQ_GENERATED_CONFIG_DIR": self.dir + "/generated",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.dir + "/plugins",
            "RABBITMQ_PID_FILE": self.dir + "/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +S 2:2",
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def url(self, user="guest", password="guest", vhost=""):
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    def start(self):
        if self.epmd is None:
            self.epmd = subprocess.Popen(
                ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)],
                env=self.env, start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: accepts(self.epmd_port))
        with open(self.dir + "/out", "ab") as out:
            self.process = subprocess.Popen(
                [RABBIT_BIN + "/rabbitmq-server"], env=self.env, start_new_session=True,
                cwd=self.dir, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for(lambda: accepts(self.port) or self.process.poll() is not None, 120)
        if self.process.poll() is not None:
            with open(self.dir + "/out", encoding="utf-8", errors="replace") as f:
                raise RuntimeError("rabbitmq-server does not start: " + f.read()[-3000:])
        self.ctl("await_startup")

    def ctl(self, *args):
        done = subprocess.run([RABBIT_BIN + "/rabbitmqctl", "-q", "-n", self.name, *args],
                              env=self.env, cwd=self.dir, capture_output=True, text=True,
                              timeout=120, check=False, start_new_session=True)
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {args[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def beam(self):
        """The process id of the Erlang machine: the shell that was started waits for it."""
        with open(self.dir + "/pid", encoding="ascii") as f:
            return int(f.read())

    def members(self):
        """Every process that was started with our directory as its home."""
        found = []
        mark = ("HOME=" + self.dir + "/home").encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if mark in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def kill(self):
        os.kill(self.beam(), signal.SIGKILL)
        end_group(self.process)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            try:
                os.kill(self.beam(), signal.SIGTERM)
                self.process.wait(20)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass
        end_group(self.process)
        end_group(self.epmd)
        for pid in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)  # an orphan may have become ours
            except (ProcessLookupError, ChildProcessError):
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
