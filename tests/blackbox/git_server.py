"""
A git server on https://127.0.0.1:PORT, as a test wants it: `git http-backend` behind TLS with a
certificate of its own, with faults by the first part of the path.

    /git/NAME            as it is                       /private/NAME    401 without user:secret
    /forbidden/NAME      403                            /moved/NAME      301 to another port
    /tofile/NAME         301 to file:///etc             /garbage/NAME    bytes that are no git
    /html/NAME           200 with a page                /stall/NAME      head, then nothing
    /cut/NAME            closes after 2000 bytes        /late/NAME       /git after 2 s each
    /nodotgit/NAME       301 unless it ends with .git   /broken/NAME     500
    /v0/NAME             only the old protocol, which gives out no commits by their ids
    /huge/NAME           an answer without an end

`requests` has method and path of each; `elsewhere` counts connections to the port that redirects
name.
"""

import base64
import http.server
import io
import os
import shlex
import socket
import ssl
import subprocess
import threading
import time

USER, SECRET = "x-access-token", "canary-7f1c9a"


def make_certificate(folder, name="server"):
    """A key and a certificate for 127.0.0.1 and localhost that is its own authority."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", cert]
        + ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True,
        capture_output=True,
    )
    return key, cert


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                parts.append(self.rfile.read(size))
                self.rfile.readline()
                if size == 0:
                    return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def plain(self, status, text=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def serve(self):
        owner = self.server.owner
        path, _, query = self.path.partition("?")
        mode, _, rest = path.lstrip("/").partition("/")
        body = self.body()
        owner.requests.append((self.command, self.path))
        fault = getattr(self, f"do_{mode}", None)
        if fault:
            return fault(rest, query, body)
        return self.plain(404, b"no such place\n")

    do_GET = do_POST = serve

    # ---- as it should be ----

    def do_git(self, rest, query, body, cut=None):
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "HOME": "/nonexistent",
            "PATH_INFO": "/" + rest,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        if self.headers.get("Content-Encoding"):
            env["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
        if self.headers.get("Git-Protocol") and cut != "v0":
            env["GIT_PROTOCOL"] = env["HTTP_GIT_PROTOCOL"] = self.headers["Git-Protocol"]
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True)
        head, _, text = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((v for k, v in headers if k == "Status"), "200")
        headers = [(k, v) for k, v in headers if k != "Status"]
        if isinstance(cut, int) and self.command == "POST" and len(text) > cut:
            self.send_response(200)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[:cut])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return None
        return self.plain(int(status[:3]), text, headers)

    # ---- and as it should not ----

    def do_v0(self, rest, query, body):
        return self.do_git(rest, query, body, cut="v0")

    def do_private(self, rest, query, body):
        word = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {word}":
            return self.plain(401, b"", [("WWW-Authenticate", 'Basic realm="git"')])
        return self.do_git(rest, query, body)

    def do_forbidden(self, rest, query, body):
        return self.plain(403, b"no\n")

    def do_broken(self, rest, query, body):
        return self.plain(500, b"no\n")

    def do_moved(self, rest, query, body):
        where = f"https://127.0.0.1:{self.server.owner.elsewhere_port}/git/{rest}?{query}"
        return self.plain(301, b"", [("Location", where)])

    def do_tofile(self, rest, query, body):
        return self.plain(302, b"", [("Location", "file:///etc/passwd")])

    def do_nodotgit(self, rest, query, body):
        name = rest.split("/")[0]
        if not name.endswith(".git"):
            return self.plain(301, b"", [("Location", f"/nodotgit/{name}.git/info/refs?{query}")])
        return self.do_git(rest, query, body)

    def do_garbage(self, rest, query, body):
        kind = "application/x-git-upload-pack-advertisement"
        return self.plain(200, os.urandom(5000), [("Content-Type", kind)])

    def do_html(self, rest, query, body):
        return self.plain(200, b"<html>\n<body>\thello\n</html>\n", [("Content-Type", "text/html")])

    def do_stall(self, rest, query, body):
        if self.command == "GET":
            return self.do_git(rest, query, body)
        if b"command=ls-refs" in body:
            return self.do_git(rest, query, body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-result")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.flush()
        self.server.owner.stop.wait(120)
        self.close_connection = True
        return None

    def do_huge(self, rest, query, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        line = b"003d" + b"1" * 40 + b" refs/heads/endless-1234\n"
        line = b"%04x" % (len(line)) + line[4:]
        self.close_connection = True
        try:
            self.wfile.write(b"001e# service=git-upload-pack\n0000")
            while not self.server.owner.stop.is_set():
                self.wfile.write(line * 1000)
        except OSError:
            pass

    def do_cut(self, rest, query, body):
        if b"command=ls-refs" in body:
            return self.do_git(rest, query, body)
        return self.do_git(rest, query, body, cut=2000)

    def do_late(self, rest, query, body):
        time.sleep(2)
        return self.do_git(rest, query, body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # whoever breaks off is the other side's business


class GitServer:
    """Serves the repositories below `root`; close() ends it."""

    def __init__(self, root, folder):
        self.root, self.requests = root, []
        self.stop = threading.Event()
        self.key, self.cert = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.owner = self
        self.http.socket = context.wrap_socket(
            self.http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self.http.server_address[1]
        self.elsewhere = 0
        self.other = socket.create_server(("127.0.0.1", 0))
        self.elsewhere_port = self.other.getsockname()[1]
        self.threads = [
            threading.Thread(target=self.http.serve_forever, daemon=True),
            threading.Thread(target=self.watch_elsewhere, daemon=True),
        ]
        for t in self.threads:
            t.start()

    def watch_elsewhere(self):
        while True:
            try:
                self.other.accept()[0].close()
            except OSError:
                return
            self.elsewhere += 1

    def url(self, path):
        return f"https://127.0.0.1:{self.port}/{path}"

    def close(self):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()
        self.other.close()


# ---- repositories ----


class Repo:
    """A bare repository that is written with plumbing, so that anything can be in it."""

    def __init__(self, path):
        self.path = path
        self.git("init", "-q", "--bare", "--initial-branch=main", str(path), inside=False)
        for name in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
            self.git("config", name, "false")

    def git(self, *args, text=b"", inside=True):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_AUTHOR_DATE": "1700000000 +0000",
            "GIT_COMMITTER_DATE": "1700000000 +0000",
        }
        where = ["--git-dir", str(self.path)] if inside else []
        done = subprocess.run(["git", *where, *args], input=text, env=env, capture_output=True)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def blob(self, content):
        return self.git("hash-object", "-w", "--stdin", text=content)

    def raw(self, kind, content):
        """An object as it is, without git's checks."""
        return self.git("hash-object", "-w", "--literally", "-t", kind, "--stdin", text=content)

    def tree(self, rows):
        """rows: (mode, name, id), written as they come but in git's order."""

        def key(row):
            name = os.fsencode(row[1])
            return name + b"/" if row[0] == "40000" else name

        raw = b"".join(
            mode.encode() + b" " + os.fsencode(name) + b"\0" + bytes.fromhex(oid)
            for mode, name, oid in sorted(rows, key=key)
        )
        return self.raw("tree", raw)

    def files(self, files):
        """A tree from {path: content}; content may be (mode, content or id)."""
        below, rows = {}, []
        for path, content in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                below.setdefault(first, {})[rest] = content
            elif isinstance(content, tuple):
                mode, value = content
                rows.append((mode, first, value if isinstance(value, str) else self.blob(value)))
            else:
                rows.append(("100644", first, self.blob(content)))
        rows += [("40000", name, self.files(inner)) for name, inner in below.items()]
        return self.tree(rows)

    def commit(self, tree, branch="main", parent=None):
        args = ["-p", parent] if parent else []
        oid = self.git("commit-tree", tree, "-m", "a commit", *args)
        if branch:
            self.git("update-ref", f"refs/heads/{branch}", oid)
        return oid


# ---- ssh ----


class SshServer:
    """git over ssh on 127.0.0.1 for one user and one key; `asked` has the commands."""

    def __init__(self, root, folder):
        import paramiko

        self.paramiko, self.root, self.asked = paramiko, root, []
        self.host_key = paramiko.ECDSAKey.generate()
        self.client_key = paramiko.ECDSAKey.generate()
        self.other_key = paramiko.ECDSAKey.generate()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def private(key):
        text = io.StringIO()
        key.write_private_key(text)
        return text.getvalue()

    def known_hosts(self, key=None):
        key = key or self.host_key
        return f"[127.0.0.1]:{self.port} {key.get_name()} {key.get_base64()}\n"

    def serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.session, args=(connection,), daemon=True).start()

    def session(self, connection):
        paramiko, server = self.paramiko, self

        class Rules(paramiko.ServerInterface):
            words, env = None, {}

            def __init__(self):
                self.asked = threading.Event()

            def get_allowed_auths(self, username):
                return "publickey"

            def check_auth_publickey(self, username, key):
                good = username == "git" and key == server.client_key
                return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

            def check_channel_request(self, kind, chanid):
                good = kind == "session"
                return (
                    paramiko.OPEN_SUCCEEDED
                    if good
                    else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
                )

            def check_channel_env_request(self, channel, name, value):
                if name == b"GIT_PROTOCOL":
                    self.env = {"GIT_PROTOCOL": value.decode()}
                return True

            def check_channel_exec_request(self, channel, command):
                self.words = shlex.split(command.decode())
                server.asked.append(command.decode())
                self.asked.set()
                return True

        try:
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            rules = Rules()
            transport.start_server(server=rules)
            channel = transport.accept(20)
            if channel is None or not rules.asked.wait(20):
                transport.close()
                return
            self.run(channel, rules)
            transport.close()
        except (paramiko.SSHException, OSError, EOFError):
            connection.close()

    def run(self, channel, rules):
        program, path = rules.words
        assert program == "git-upload-pack"
        place = self.root / path.lstrip("/")
        child = subprocess.Popen(
            ["git", "-c", "safe.directory=*", "upload-pack", str(place)],
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", **rules.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

        def feed():
            try:
                while data := channel.recv(65536):
                    child.stdin.write(data)
                    child.stdin.flush()
                child.stdin.close()
            except OSError:
                pass

        threading.Thread(target=feed, daemon=True).start()
        while data := child.stdout.read1(65536):
            channel.sendall(data)
        channel.sendall_stderr(child.stderr.read())
        channel.send_exit_status(child.wait())
        channel.close()

    def close(self):
        self.listener.close()
