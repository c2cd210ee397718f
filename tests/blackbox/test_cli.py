"""The command line as a person or a script meets it: streams, forms, exit statuses, terminals."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest
from conftest import clean_env, free_port, is_loopback, wait_until

HEX_ID = re.compile(r"[0-9a-f]{32}")
ESC = "\x1b"

# What a hostile service would like to see on a screen, in a page or in a sheet.
HOSTILE_BANNER = "=cmd|' /C calc'!A0 &#x202e;&lt;script&gt;"


def hostile_script():
    """A stand-in for nmap whose output carries what XML lets through."""
    return r"""
esc=$(printf '\302\233')
cat <<XML
<?xml version="1.0" encoding="UTF-8"?>
<nmaprun scanner="nmap" args="nmap -oX - hostile" start="1795262400" version="7.93" xmloutputversion="1.05">
<host><status state="up" reason="localhost-response" reason_ttl="0"/>
<address addr="127.0.0.1" addrtype="ipv4"/>
<hostnames><hostname name="=evil&#10;host" type="PTR"/></hostnames>
<ports><port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="0"/>
<service name="http" product="BANNER ${esc}31m" version="1&#9;2&#13;3" method="probed" conf="10"/>
<script id="x" output="one&#10;two &#x202e;"/></port></ports></host>
<runstats><finished time="1795262402" elapsed="2.00" exit="success"/><hosts up="1" down="0" total="1"/></runstats>
</nmaprun>
XML
""".replace("BANNER", HOSTILE_BANNER)


@pytest.fixture(scope="module")
def done_job(server):
    """A finished job of the stand-in: one host, port 80."""
    job = server.submit("127.0.0.1", ports="80")
    server.wait(job)
    return job


@pytest.fixture
def real(make_server, real_nmap):
    return make_server(tool=real_nmap)


def dead_url():
    return f"http://127.0.0.1:{free_port()}"


# ---------------------------------------------------------------- real nmap


def test_a_scan_with_real_nmap_ends_with_the_table(real, scanpod, listener):
    done = scanpod("scan", "127.0.0.1", "-p", listener.port, "--arguments", "-sT -Pn", server=real)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["HOST", "PORT", "STATE", "SERVICE", "VERSION"]
    assert f"{listener.port}/tcp" in lines[1] and "open" in lines[1]
    states = [line.split() for line in done.stderr.splitlines()]
    assert states[-1][1] == "completed" and HEX_ID.fullmatch(states[-1][0])
    assert not set(done.stderr) & {ESC, "\r"}, "no bar without a terminal"


def test_each_form_of_a_real_result(real, scanpod, listener):
    def scan(form):
        done = scanpod("scan", "-q", "127.0.0.1", "-p", listener.port, "-o", form,
                       "--arguments=-sT -Pn", server=real, check=True)  # fmt: skip
        assert done.stderr == ""
        return done.stdout

    doc = json.loads(scan("json"))
    assert doc["state"] == "completed" and doc["results"][0]["address"] == "127.0.0.1"
    assert doc["results"][0]["ports"][0]["port"] == listener.port
    hosts = [json.loads(line) for line in scan("ndjson").splitlines()]
    assert [h["address"] for h in hosts] == ["127.0.0.1"]
    rows = list(csv.DictReader(io.StringIO(scan("csv"), newline="")))
    assert [(r["address"], r["port"], r["state"]) for r in rows] == [
        ("127.0.0.1", str(listener.port), "open")
    ]
    text = scan("nmap")
    assert re.search(r"^Nmap scan report for .*127\.0\.0\.1", text)
    assert re.search(rf"^PORT\s+STATE\s+SERVICE.*\n{listener.port}/tcp\s+open", text, re.M)


def test_run_needs_no_server(scanpod, real_nmap, listener, workdir):
    done = scanpod("run", "127.0.0.1", "-p", listener.port, "--arguments", "-sT -Pn",
                   env={"SCANPOD_TOOL_NMAP": real_nmap, "SCANPOD_DATA_DIR": workdir / "none"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{listener.port}/tcp" in done.stdout
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["running", "completed"]
    assert not (workdir / "none").exists(), "nothing is kept"


def test_run_gives_the_same_json_as_scan(server, scanpod, fake_nmap):
    env = {"SCANPOD_TOOL_NMAP": fake_nmap("ok")}
    here = json.loads(scanpod("run", "-q", "127.0.0.1", "-o", "json", env=env, check=True).stdout)
    there = json.loads(scanpod("scan", "-q", "127.0.0.1", "-o", "json", server=server, check=True).stdout)
    assert here.keys() == there.keys()
    assert here["results"] == there["results"]


@pytest.mark.parametrize(
    "standin, status, says",
    [("fail", 3, "tool_failed"), ("garbage", 3, ""), ("crash", 3, "tool_crashed"), ("ok", 0, "")],
)
def test_run_ends_with_the_status_of_the_scan(scanpod, fake_nmap, standin, status, says):
    done = scanpod("run", "127.0.0.1", env={"SCANPOD_TOOL_NMAP": fake_nmap(standin)})
    assert done.returncode == status, done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_stops_when_told_to_and_leaves_nothing(scanpod_bin, workdir, fake_nmap, signo):
    workdir.chmod(0o1777)
    proc = subprocess.Popen(
        [scanpod_bin, "run", "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env=clean_env(workdir, SCANPOD_TOOL_NMAP=fake_nmap("hang"), TMPDIR=workdir), cwd=workdir,
    )  # fmt: skip
    line = proc.stderr.readline()
    while line and "running" not in line:
        line = proc.stderr.readline()
    time.sleep(0.3)
    assert list(workdir.glob("scanpod-*"))
    if os.geteuid() == 0:
        uids = re.search(r"^Uid:(.*)$", open(f"/proc/{proc.pid}/status").read(), re.M)[1]
        assert "0" not in uids.split(), "nothing that reads a tool's output is root"
    proc.send_signal(signo)
    proc.communicate(timeout=20)
    assert proc.returncode == 130
    assert not list(workdir.glob("scanpod-*")), "the working directory is removed"


# ---------------------------------------------------------------- jobs


def test_detach_prints_the_id_alone(server, scanpod):
    done = scanpod("scan", "-d", "127.0.0.1", server=server, check=True)
    assert HEX_ID.fullmatch(done.stdout.strip()) and done.stdout.count("\n") == 1
    assert server.wait(done.stdout.strip())["status"] == "completed"


def test_the_life_of_a_job(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    job = scanpod("scan", "-d", "127.0.0.1", server=srv, check=True).stdout.strip()
    srv.wait_running(job)
    assert "running" in scanpod("job", "show", job, server=srv, check=True).stdout
    assert scanpod("job", "delete", job, server=srv).returncode == 1, "it still runs"
    assert job in scanpod("job", "cancel", job, server=srv, check=True).stdout
    assert srv.wait(job)["status"] == "cancelled"
    assert scanpod("job", "cancel", job, server=srv).returncode == 1, "it has ended"
    assert scanpod("job", "watch", job, server=srv).returncode == 3
    again = scanpod("job", "retry", job, server=srv, check=True).stdout.strip()
    assert HEX_ID.fullmatch(again) and again != job
    scanpod("job", "cancel", again, server=srv, check=True)
    srv.wait(again)
    scanpod("job", "delete", job, again, server=srv, check=True)
    assert scanpod("job", "show", job, server=srv).returncode == 1
    assert scanpod("jobs", "-o", "json", server=srv, check=True).stdout == "[]\n"


def test_lists_in_each_form(server, scanpod, done_job):
    table = scanpod("jobs", server=server, check=True).stdout.splitlines()
    assert table[0].split()[:3] == ["ID", "STATE", "TOOL"]
    assert any(done_job.startswith(line.split()[0]) for line in table[1:])
    jobs = json.loads(scanpod("job", "list", "-o", "json", "-n", "0", server=server).stdout)
    assert done_job in [j["id"] for j in jobs]
    lines = scanpod("job", "list", "-o", "ndjson", "-n", "1", server=server).stdout.splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["id"]
    rows = list(csv.DictReader(io.StringIO(scanpod("jobs", "-o", "csv", server=server).stdout)))
    assert done_job in [r["id"] for r in rows]
    none = scanpod("jobs", "--state", "timed_out", "-o", "ndjson", server=server, check=True)
    assert none.stdout == ""


def test_pages_are_put_together(make_server, scanpod):
    srv = make_server(env={"SCANPOD_MAX_SCAN_WORKERS": "0"})
    for _ in range(1003):
        srv.submit()
    done = scanpod("jobs", "-n", "0", "-o", "ndjson", server=srv, check=True)
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert len(ids) == len(set(ids)) == 1003


def test_a_prefix_stands_for_a_job(server, scanpod, done_job):
    jobs = json.loads(scanpod("jobs", "-o", "json", "-n", "0", server=server).stdout)
    others = [j["id"] for j in jobs if j["id"] != done_job]
    n = next(n for n in range(4, 33) if not any(o.startswith(done_job[:n]) for o in others))
    short = done_job[:n].upper()
    shown = json.loads(scanpod("job", "show", short, "-o", "json", server=server, check=True).stdout)
    assert shown["id"] == done_job


@pytest.mark.parametrize("given", ["abc", "xyz1", "0" * 33, "..", "a/b/c/d", "%2e%2e"])
def test_what_is_no_id_is_refused_without_asking(scanpod, given):
    done = scanpod("job", "show", given, "--server", dead_url())
    assert done.returncode == 2 and "is no job id" in done.stderr


def test_an_ambiguous_prefix_is_refused(server, scanpod, done_job):
    server.wait(server.submit())
    done = scanpod("job", "show", done_job[:4], server=server)
    assert done.returncode == 2 and "more than one" in done.stderr


def test_raw_output_is_written_as_it_was(server, scanpod, done_job):
    done = scanpod("job", "raw", done_job, server=server, text=False, check=True)
    assert done.stdout == server.get(f"/api/v1/scans/{done_job}/raw").content
    assert b"<nmaprun" in done.stdout


def test_reparse_gives_the_same_result(server, scanpod, done_job):
    before = json.loads(scanpod("job", "show", done_job, "-o", "json", server=server).stdout)
    after = json.loads(scanpod("reparse", done_job, "-o", "json", server=server, check=True).stdout)
    assert after["results"] == before["results"] != []


# ---------------------------------------------------------------- exit statuses


@pytest.mark.parametrize(
    "args, status, says",
    [
        ([], 2, "a command is missing"),
        (["scna"], 2, "did you mean 'scan'?"),
        (["job"], 2, "a command is missing"),
        (["job", "lst"], 2, "did you mean 'list'?"),
        (["scan"], 2, "TARGET... is missing"),
        (["scan", "127.0.0.1", "--prots", "1"], 2, "did you mean '--ports'?"),
        (["scan", "127.0.0.1", "--timeout", "0"], 2, "--timeout '0'"),
        (["scan", "127.0.0.1", "--priority", "10"], 2, "--priority '10'"),
        (["jobs", "-o", "nmap"], 2, "no such form"),
        (["jobs", "-o", "yaml"], 2, "expected table, json"),
        (["version", "extra"], 2, "unexpected 'extra'"),
        (["--color", "blue", "version"], 2, "expected auto"),
        (["scan", "x", "--server", "ftp://127.0.0.1"], 2, "expected http://"),
        (["jobs", "--key-file", "/nonexistent"], 2, "/nonexistent"),
        (["run", "127.0.0.1;id"], 2, "invalid target"),
        (["run", "127.0.0.1", "-p", "99999"], 2, "invalid ports"),
        (["run", "127.0.0.1", "--arguments", "-oN /tmp/x"], 2, "disallowed argument: '-oN'"),
        (["run", "127.0.0.1", "--arguments", "--script=x"], 2, "no such script or category: 'x'"),
        (["serve", "--max-jobs", "many"], 2, "max-jobs"),
        (["help", "nothing"], 2, "unknown command"),
        (["version"], 0, ""),
        (["help"], 0, ""),
        (["help", "exit-codes"], 0, ""),
        (["job", "list", "--help"], 0, ""),
    ],
)
def test_exit_status_without_a_server(scanpod, args, status, says):
    done = scanpod(*args)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    if status == 2:
        assert done.stdout == "" and done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "args, status, says",
    [
        (["scan", "127.0.0.1;id"], 2, "invalid target"),
        (["scan", "127.0.0.1", "-p", "99999"], 2, "invalid ports"),
        (["scan", "127.0.0.1", "--arguments", "-oN /tmp/x"], 2, "disallowed argument: '-oN'"),
        (["scan", "127.0.0.1", "--arguments", "--script=x"], 2, "no such script or category: 'x'"),
        (["scan", "127.0.0.1", "--tool", "nothing"], 2, "/tool: "),
        (["jobs", "--state", "odd"], 2, "state"),
        (["job", "show", "0" * 32], 1, ""),
        (["job", "raw", "0" * 32], 1, ""),
        (["job", "cancel", "0" * 32], 1, ""),
        (["key", "revoke", "nobody"], 1, ""),
        (["key", "create", "1bad"], 2, "expected a letter"),
        (["scan", "127.0.0.1"], 0, ""),
    ],
)
def test_exit_status_with_a_server(server, scanpod, args, status, says):
    done = scanpod(*args, server=server)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    if status:
        assert done.stdout == ""


def test_a_failed_scan_is_3_and_says_why(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap("fail"))
    done = scanpod("scan", "127.0.0.1", "--retries", "0", server=srv)
    assert done.returncode == 3
    assert "error: failed: tool_failed" in done.stderr and "hint: scanpod job show " in done.stderr
    job = HEX_ID.search(done.stderr)[0]
    assert "failed on purpose" in scanpod("job", "show", job, server=srv).stdout


def test_a_scan_that_times_out_is_3_and_shows_what_it_found(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    done = scanpod("scan", "127.0.0.1", "--tool", "nmap", "--timeout", "1", "--retries", "0",
                   server=srv)  # fmt: skip
    assert done.returncode == 3
    assert "timed_out" in done.stderr and "partial" in done.stderr
    assert "80/tcp" in done.stdout


def test_a_wrong_key_is_4_and_an_absent_one_too(server, scanpod):
    wrong = scanpod("jobs", server=server, env={"SCANPOD_API_KEY": "wrong"})
    assert wrong.returncode == 4 and "SCANPOD_API_KEY" in wrong.stderr
    none = scanpod("jobs", server=server, env={"SCANPOD_API_KEY": None})
    assert none.returncode == 4 and "--key-file" in none.stderr


def test_no_server_is_5_with_what_to_do(scanpod):
    for command in (["scan", "127.0.0.1"], ["jobs"], ["reparse", "0" * 32], ["key", "list"]):
        done = scanpod(*command, "--server", dead_url())
        assert done.returncode == 5, command
        assert "cannot connect" in done.stderr and "hint: scanpod serve" in done.stderr


def test_what_is_no_scanpod_is_5(scanpod):
    """A server that answers HTTP, but nothing that makes sense."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        import threading

        def serve():
            for _ in range(2):
                conn, _ = sock.accept()
                with conn:
                    conn.recv(65536)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert scanpod("jobs", "--server", url).returncode == 5
        assert scanpod("job", "show", "0" * 32, "--server", url).returncode == 5


def test_redirects_are_not_followed(scanpod):
    got = []
    with socket.create_server(("127.0.0.1", 0)) as sock, socket.create_server(("127.0.0.1", 0)) as other:
        import threading

        def serve():
            conn, _ = sock.accept()
            with conn:
                got.append(conn.recv(65536))
                conn.sendall(
                    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n"
                    b"Content-Length: 0\r\n\r\n" % other.getsockname()[1]
                )

        threading.Thread(target=serve, daemon=True).start()
        done = scanpod("jobs", "--server", f"http://127.0.0.1:{sock.getsockname()[1]}",
                       env={"SCANPOD_API_KEY": "secret-key"})  # fmt: skip
        assert done.returncode == 5
        assert b"secret-key" in got[0] and "secret-key" not in done.stderr + done.stdout
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_the_time_limit_for_waiting_is_124_and_the_job_goes_on(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    done = scanpod("scan", "127.0.0.1", "--wait-timeout", "1", server=srv)
    assert done.returncode == 124 and done.stdout == ""
    job = re.search(r"scanpod job watch ([0-9a-f]{32})", done.stderr)[1]
    assert srv.job(job)["status"] == "running"
    assert scanpod("job", "watch", job, "--timeout", "1", server=srv).returncode == 124


def test_a_full_disk_on_the_way_out_is_told(server, scanpod_bin, workdir):
    with open("/dev/full", "w") as full:
        done = subprocess.run([scanpod_bin, "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=clean_env(workdir))  # fmt: skip
    assert done.returncode == 5 and "No space left" in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(server, scanpod_bin, workdir):
    read, write = os.pipe()
    os.close(read)
    env = clean_env(workdir, SCANPOD_SERVER=server.url, SCANPOD_API_KEY=server.key)
    done = subprocess.run([scanpod_bin, "jobs"], stdout=write, stderr=subprocess.PIPE, env=env)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE and done.stderr == b""


# ---------------------------------------------------------------- hostile text


def test_a_hostile_banner_is_inert_in_every_form(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap(script=hostile_script()))
    job = srv.submit()
    srv.wait(job)
    for form in ("table", "nmap", "csv"):
        out = scanpod("job", "show", job, "-o", form, server=srv, text=False, check=True).stdout.decode()
        assert ESC not in out and "\u009b" not in out and "\u202e" not in out, form
        # Lines end as they do in a CSV file; nothing else may move the cursor.
        plain = out.replace("\r\n", "\n") if form == "csv" else out
        controls = {c for c in plain if ord(c) < 32 and c != "\n"}
        assert controls <= ({"\t", "\r"} if form == "csv" else set()), form
        assert "\\u{202e}" in out and "\\u{9b}" in out, form
    table = scanpod("job", "show", job, server=srv).stdout
    assert "\\x0ahost" in table
    text = scanpod("job", "show", job, "-o", "csv", server=srv, text=False).stdout.decode()
    row = list(csv.DictReader(io.StringIO(text, newline="")))[0]
    assert row["product"].startswith("'=cmd") and row["hostname"].startswith("'=evil")
    doc = json.loads(scanpod("job", "show", job, "-o", "json", server=srv).stdout)
    assert doc["results"][0]["ports"][0]["product"].startswith("=cmd"), "JSON is as it is"


def test_hostile_arguments_are_escaped_in_errors(scanpod):
    done = scanpod("scan\x1b]0;evil\x07")
    assert done.returncode == 2 and ESC not in done.stderr and "\\x1b" in done.stderr


# ---------------------------------------------------------------- terminals


class Terminal:
    """The program on a pseudo terminal. .text is what it wrote so far."""

    def __init__(self, binary, args, env, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(binary, [str(binary), *map(str, args)], env)
        self.text, self.status = "", None

    def read(self, until=None, seconds=30):
        """Reads to the end, or until the text matches."""
        deadline = time.monotonic() + seconds
        while until is None or not re.search(until, self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {until!r} in {self.text!r}"
            if not select.select([self.fd], [], [], min(left, 0.2))[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.text += data.decode("utf-8", "replace")
        return self.text

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        self.read()
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(scanpod_bin, workdir):
    made = []

    def start(*args, server, **env):
        env = {"TERM": "xterm", **env}
        full = clean_env(workdir, SCANPOD_SERVER=server.url, SCANPOD_API_KEY=server.key, **env)
        made.append(Terminal(scanpod_bin, args, full, workdir))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_a_terminal_gets_a_progress_bar(make_server, fake_nmap, terminal):
    srv = make_server(tool=fake_nmap("progress", steps=4, pause=0.7))
    t = terminal("scan", "127.0.0.1", server=srv)
    assert t.wait() == 0
    assert "━" in t.text and re.search(r"\d+%", t.text) and "\r\x1b[K" in t.text
    table = t.text[t.text.rindex("\x1b[K") :]
    assert "HOST" in table and "80/tcp" in table and "━" not in table, "the bar is gone at the end"


@pytest.mark.parametrize("env, flags", [({"TERM": "dumb"}, []), ({"CI": "1"}, []), ({}, ["-q"])])
def test_no_bar_where_something_speaks_against_it(make_server, fake_nmap, terminal, env, flags):
    srv = make_server(tool=fake_nmap("progress", steps=3, pause=0.3))
    t = terminal("scan", "127.0.0.1", *flags, server=srv, **env)
    assert t.wait() == 0
    assert "━" not in t.text and "\r\x1b[K" not in t.text
    assert ("completed" in t.text) == (not flags), "a line for each state, none with -q"


@pytest.mark.parametrize(
    "env, flags, color",
    [
        ({}, [], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": ""}, [], True),
        ({"TERM": "dumb"}, [], False),
        ({}, ["--color", "never"], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ],
)
def test_color_on_a_terminal(server, terminal, env, flags, color):
    t = terminal("jobs", *flags, server=server, **env)
    assert t.wait() == 0
    assert (ESC in t.text) == color


@pytest.mark.parametrize(
    "env, flags, color",
    [
        ({}, [], False),
        ({"CLICOLOR_FORCE": "1"}, [], True),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, [], False),
        ({}, ["--color=always"], True),
    ],
)
def test_color_in_a_pipe(server, scanpod, env, flags, color):
    done = scanpod("jobs", *flags, server=server, env={"TERM": "xterm", **env}, check=True)
    assert (ESC in done.stdout) == color


def test_ctrl_c_leaves_the_job_running(make_server, fake_nmap, terminal):
    srv = make_server(tool=fake_nmap("hang"))
    t = terminal("scan", "127.0.0.1", server=srv)
    t.read(until="running")
    t.type("\x03")
    assert t.wait() == 130
    job = re.search(r"scanpod job watch ([0-9a-f]{32})", t.text)[1]
    assert srv.job(job)["status"] == "running"


def test_a_second_ctrl_c_cancels_the_job(make_server, fake_nmap, terminal):
    srv = make_server(tool=fake_nmap("hang"))
    t = terminal("scan", "127.0.0.1", server=srv)
    t.read(until="running")
    t.type("\x03")
    t.read(until="scanpod job watch")
    t.type("\x03")
    assert t.wait() == 130
    job = re.search(r"scanpod job watch ([0-9a-f]{32})", t.text)[1]
    assert srv.wait(job)["status"] == "cancelled"


def test_watching_outlives_a_restart_of_the_server(make_server, scanpod_bin, workdir, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"), env={"SCANPOD_RETRY_DELAY_MS": "0"})
    job = srv.submit()
    srv.wait_running(job)
    env = clean_env(workdir, SCANPOD_SERVER=srv.url, SCANPOD_API_KEY=srv.key)
    proc = subprocess.Popen([scanpod_bin, "job", "watch", job], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert "running" in proc.stderr.readline()
    srv.stop()
    srv.start()
    wait_until(lambda: srv.job(job)["status"] in ("pending", "running"))
    srv.post(f"/scans/{job}/cancel")
    _, errors = proc.communicate(timeout=60)
    assert proc.returncode == 3 and "cancelled" in errors


# ---------------------------------------------------------------- keys, TLS, settings, doctor


def test_keys_through_the_server(make_server, scanpod):
    srv = make_server()
    made = json.loads(scanpod("key", "create", "ci", "-o", "json", server=srv, check=True).stdout)
    as_ci = {"SCANPOD_API_KEY": made["key"]}
    assert scanpod("jobs", server=srv, env=as_ci).returncode == 0
    listing = scanpod("key", "list", server=srv, check=True).stdout
    assert "ci" in listing and made["id"] in listing and made["key"] not in listing
    assert scanpod("key", "create", "ci", server=srv).returncode == 1, "the name is taken"
    scanpod("key", "revoke", "ci", server=srv, check=True)
    assert scanpod("jobs", server=srv, env=as_ci).returncode == 4


def test_keys_without_a_server_work_on_the_store(make_server, scanpod, scanpod_bin):
    srv = make_server(key=None)
    srv.stop()
    env = {"SCANPOD_DATA_DIR": srv.data_dir, "SCANPOD_LISTEN": f"127.0.0.1:{srv.port}"}
    secret = scanpod("key", "create", "offline", env=env, check=True).stdout.strip()
    names = [k["name"] for k in json.loads(scanpod("key", "list", "-o", "json", env=env).stdout)]
    assert "offline" in names
    srv.start()
    assert srv.get("/api/v1/scans", key=secret).status_code == 200
    srv.stop()
    scanpod("key", "revoke", "offline", env=env, check=True)
    srv.start()
    assert srv.get("/api/v1/scans", key=secret).status_code == 401


def test_the_store_of_a_running_server_is_not_touched(make_server, scanpod):
    srv = make_server()
    env = {"SCANPOD_DATA_DIR": srv.data_dir, "SCANPOD_LISTEN": f"127.0.0.1:{free_port()}"}
    done = scanpod("key", "create", "sneaky", env=env)
    assert done.returncode == 1 and str(srv.pid) in done.stderr


def test_the_key_of_the_first_start_is_found_by_itself(make_server, scanpod):
    srv = make_server(key=None)
    env = {"SCANPOD_DATA_DIR": srv.data_dir, "SCANPOD_LISTEN": f"127.0.0.1:{srv.port}"}
    done = scanpod("scan", "127.0.0.1", env=env)
    assert done.returncode == 0, done.stderr


def test_a_key_file_that_others_can_read_gets_a_warning(server, scanpod, workdir):
    path = workdir / "k"
    path.write_text(server.key + "\n")
    path.chmod(0o644)
    loose = scanpod("jobs", "--server", server.url, "--key-file", path)
    assert loose.returncode == 0 and "chmod 600" in loose.stderr
    path.chmod(0o600)
    assert scanpod("jobs", "--server", server.url, "--key-file", path).stderr == ""
    by_env = scanpod("jobs", env={"SCANPOD_SERVER": server.url, "SCANPOD_API_KEY_FILE": path})
    assert by_env.returncode == 0


def test_tls_init_makes_a_pair_that_works(make_server, scanpod, workdir):
    data = workdir / "data"
    done = scanpod("tls", "init", env={"SCANPOD_DATA_DIR": data}, check=True)
    cert, key = done.stdout.split()
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert scanpod("tls", "init", env={"SCANPOD_DATA_DIR": data}).returncode == 1, "not replaced"
    before = open(cert).read()
    scanpod("tls", "init", "--force", env={"SCANPOD_DATA_DIR": data}, check=True)
    assert open(cert).read() != before
    srv = make_server(args=("--tls-cert", cert, "--tls-key", key), data_dir=data)
    context = ssl.create_default_context(cafile=cert)
    for name in ("localhost", "127.0.0.1"):
        with socket.create_connection(("127.0.0.1", srv.port)) as raw:
            with context.wrap_socket(raw, server_hostname=name) as tls:
                assert tls.version() in ("TLSv1.2", "TLSv1.3")
    own = scanpod("jobs", server=srv, env={"SCANPOD_DATA_DIR": data})
    assert own.returncode == 0, own.stderr
    named = scanpod("jobs", "--ca-file", cert, server=srv, env={"SCANPOD_DATA_DIR": workdir / "x"})
    assert named.returncode == 0, named.stderr
    stranger = scanpod("jobs", server=srv, env={"SCANPOD_DATA_DIR": workdir / "x"})
    assert stranger.returncode == 5 and "not trusted" in stranger.stderr
    assert "hint: name the certificate to trust: --ca-file" in stranger.stderr
    assert "scanpod serve" not in stranger.stderr, "it runs"
    (workdir / "junk.pem").write_text("junk")
    junk = scanpod("jobs", "--ca-file", workdir / "junk.pem", server=srv)
    assert junk.returncode == 5 and "junk.pem" in junk.stderr


def test_a_certificate_that_does_not_fit_is_refused_with_the_reason(make_server, scanpod, workdir):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", workdir / "k.pem", "-out", workdir / "c.pem", "-subj", "/CN=other",
         "-addext", "subjectAltName=DNS:other.example"], capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    srv = make_server(args=("--tls-cert", workdir / "c.pem", "--tls-key", workdir / "k.pem"))
    done = scanpod("jobs", "--ca-file", workdir / "c.pem", server=srv)
    assert done.returncode == 5 and "127.0.0.1" in done.stderr.split("not trusted")[1]


def test_a_unix_socket_is_a_server_too(scanpod, scanpod_bin, workdir, fake_nmap):
    path = workdir / "s.sock"
    env = clean_env(workdir, SCANPOD_API_KEY="unix-key", SCANPOD_TOOL_NMAP=fake_nmap("ok"))
    with open(workdir / "log", "wb") as log:
        proc = subprocess.Popen([scanpod_bin, "serve", "--listen", f"unix:{path}", "--data-dir",
                                 workdir / "data"], env=env, stdout=log, stderr=log)  # fmt: skip
    try:
        client = {"SCANPOD_SERVER": f"unix:{path}", "SCANPOD_API_KEY": "unix-key"}
        wait_until(lambda: scanpod("jobs", env=client).returncode == 0)
        assert "80/tcp" in scanpod("scan", "127.0.0.1", env=client, check=True).stdout
    finally:
        proc.terminate()
        assert proc.wait(20) == 0


def test_config_shows_values_and_where_they_come_from(scanpod, workdir):
    conf = workdir / "c.conf"
    conf.write_text("max-conns = 77\n")
    env = {"SCANPOD_RETRIES": "5", "SCANPOD_API_KEY": "very-secret", "SCANPOD_CONFIG": conf}
    done = scanpod("config", "show", "--origin", env=env, check=True)
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["retries"] == ["5", "SCANPOD_RETRIES"]
    assert rows["max-conns"][0] == "77" and str(conf) in rows["max-conns"][1]
    assert rows["max-waiting"] == ["10000", "default"]
    assert "very-secret" not in done.stdout
    doc = json.loads(scanpod("config", "show", "-o", "json", env=env, check=True).stdout)
    assert doc["retries"] == {"value": "5", "origin": "SCANPOD_RETRIES"}


@pytest.mark.parametrize(
    "env, says",
    [
        ({"SCANPOD_RETRIES": "-1"}, "retries"),
        ({"SCANPOD_LISTEN": "0.0.0.0:8000"}, "without TLS"),
        ({"SCANPOD_TLS_CERT": "/tmp/c.pem"}, "--tls-key"),
        ({"SCANPOD_CONFIG": "/nonexistent"}, "/nonexistent"),
    ],
)
def test_config_check_finds_problems(scanpod, env, says):
    done = scanpod("config", "check", env=env)
    assert done.returncode == 1 and says in done.stderr
    assert scanpod("config", "check").returncode == 0


def doctor(scanpod, **env):
    done = scanpod("doctor", "--json", env=env)
    doc = json.loads(done.stdout)
    return done.returncode, {c["check"]: c for c in doc["checks"]}, doc


def test_doctor_is_content_with_a_running_server(make_server, scanpod, real_nmap):
    srv = make_server(tool=real_nmap)
    status, checks, doc = doctor(
        scanpod, SCANPOD_SERVER=srv.url, SCANPOD_API_KEY=srv.key, SCANPOD_TOOL_NMAP=real_nmap,
        SCANPOD_DATA_DIR=srv.data_dir,
    )  # fmt: skip
    assert status == 0 and doc["problems"] == 0, doc
    assert [c["status"] for n, c in checks.items() if n in ("nmap", "server", "data", "settings")] == ["ok"] * 4
    assert all(c["fix"] is None for c in checks.values() if c["status"] == "ok")


def test_doctor_names_each_problem_with_its_fix(scanpod, workdir):
    (workdir / "cert.pem").write_text("no certificate")
    (workdir / "key.pem").write_text("no key")
    status, checks, doc = doctor(
        scanpod, SCANPOD_SERVER=dead_url(), SCANPOD_TOOL_NMAP="/nonexistent/nmap",
        SCANPOD_DATA_DIR="/proc/nothing", SCANPOD_TLS_CERT=workdir / "cert.pem",
        SCANPOD_TLS_KEY=workdir / "key.pem",
    )  # fmt: skip
    assert status == 1
    for name in ("nmap", "server", "tls"):
        assert checks[name]["status"] == "fail" and checks[name]["fix"], name
    assert doc["problems"] >= 3


def test_doctor_tells_a_refused_key_from_an_absent_server(server, scanpod):
    _, checks, _ = doctor(scanpod, SCANPOD_SERVER=server.url, SCANPOD_API_KEY="wrong")
    assert checks["server"]["status"] == "fail" and "refuses the key" in checks["server"]["detail"]


def test_doctor_is_readable(scanpod):
    done = scanpod("doctor", "--server", dead_url())
    assert done.returncode == 1
    assert re.search(r"^fail  server ", done.stdout, re.M)
    assert re.search(r"^      fix: scanpod serve", done.stdout, re.M)
    assert re.search(r"^\d+ problems?, \d+ warnings?$", done.stdout, re.M)


def test_version_in_both_forms(scanpod):
    text = scanpod("version", check=True).stdout
    doc = json.loads(scanpod("version", "--json", check=True).stdout)
    assert text == f"scanpod {doc['version']}\n" == scanpod("--version").stdout


def test_every_command_has_help_that_names_its_flags(scanpod):
    top = scanpod("help", check=True).stdout
    names = re.findall(r"^  (\w+)  ", top.split("Commands")[1].split("Flags")[0], re.M)
    assert {"serve", "scan", "run", "job", "key", "tls", "doctor", "reparse", "config"} <= set(names)
    assert "raw-cat" not in top
    for name in names:
        text = scanpod(name, "--help", check=True).stdout
        assert text.startswith(f"usage: scanpod {name}")
    assert "--ports PORTS" in scanpod("help", "scan", check=True).stdout


def test_the_documentation_has_every_command_and_flag(scanpod):
    from conftest import ROOT

    text = (ROOT / "docs/cli.md").read_text()
    settings = (ROOT / "docs/settings.md").read_text()
    top = scanpod("help", check=True).stdout
    todo = [[x] for x in re.findall(r"^  (\w+)  ", top.split("Commands")[1].split("Flags")[0], re.M)]
    lacks = []
    while todo:
        words = todo.pop()
        shown = scanpod(*words, "--help", check=True).stdout
        if "\nCommands\n" in shown:
            part = shown.split("\nCommands\n")[1].split("\n\n")[0]
            todo += [[*words, name] for name in re.findall(r"^  (\w+) ", part, re.M)]
            continue
        if not re.search(rf"`{' '.join(words)}\b", text):
            lacks.append(" ".join(words))
        for flag in re.findall(r"^  (?:-\w, |    )--([\w-]+)", shown, re.M):
            if f"--{flag}" not in text and not (words == ["serve"] and f"`{flag}`" in settings):
                lacks.append(f"{' '.join(words)} --{flag}")
    assert not lacks


def test_examples_of_the_documentation_are_commands(scanpod):
    """Every command line in docs/cli.md is understood: it fails for want of a server, not of sense."""
    from conftest import ROOT

    lines = re.findall(r"^\$ (?:id=\$\()?scanpod ([^|>\n)]*)", (ROOT / "docs/cli.md").read_text(), re.M)
    assert len(lines) >= 6
    for line in lines:
        import shlex

        words = [w.replace("$id", "0" * 32) for w in shlex.split(line)]
        assert all(is_loopback(w) for w in words if re.fullmatch(r"[\d.:]*[.:][\d.:]*", w)), words
        if words[0] == "run":
            continue
        done = scanpod(*words, "--server", dead_url())
        assert done.returncode in (1, 5), (line, done.stderr)
