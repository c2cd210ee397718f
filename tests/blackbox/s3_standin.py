"""
An S3-compatible storage of our own, with faults to order.

It checks every signature (AWS signature version 4 in the Authorization header) as S3 documents it:
canonical request from what arrived, clock, scope, signed headers, session token, and the sha256 of
the body against x-amz-content-sha256. PUT, GET, HEAD, DELETE of objects, and multipart uploads.

    with S3Standin(bucket="raw") as s3:
        s3.fault("slowdown", times=2)      # the next two requests
        s3.fault("truncate", method="PUT") # for ever, until s3.heal()
        s3.outage() ... s3.recover()
        s3.objects["prefix/name"].data

Faults: 500, slowdown (503), refuse (403 AccessDenied), no-bucket (404 NoSuchBucket), redirect (307
to elsewhere), truncate (keeps half of what came, and says 200), etag (HEAD tells another ETag),
corrupt (GET gives other bytes), cut (GET breaks off in the middle), reset (closes in the middle of
the body), hang (no answer), huge (an endless answer), complete-error (200 with an error inside).
"""

import contextlib
import hashlib
import hmac
import re
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MIN_PART = 5 << 20
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass
class Object:
    data: bytes
    etag: str
    meta: dict


@dataclass
class Upload:
    key: str
    meta: dict
    parts: dict = field(default_factory=dict)


@dataclass
class Fault:
    kind: str
    times: float
    method: str
    match: str


class Refused(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(message or code)
        self.status, self.code = status, code


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, date, region, string):
    key = _mac(("AWS4" + secret).encode(), date[:8])
    for part in (region, "s3", "aws4_request"):
        key = _mac(key, part)
    return hmac.new(key, string.encode(), hashlib.sha256).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "s3-standin"
    timeout = 60

    def log_message(self, *_):
        pass

    # ---- the signature ----

    def canonical(self, signed, payload):
        parts = urlsplit(self.path)
        query = sorted(
            (quote(k, safe="-_.~"), quote(v, safe="-_.~"))
            for k, v in parse_qsl(parts.query, keep_blank_values=True)
        )
        headers = "".join(
            f"{name}:{' '.join(','.join(self.headers.get_all(name, [])).split())}\n"
            for name in signed
        )
        return "\n".join(
            [
                self.command,
                quote(unquote(parts.path), safe="/-_.~"),
                "&".join(f"{k}={v}" for k, v in query),
                headers,
                ";".join(signed),
                payload,
            ]
        )

    def authorize(self, s3):
        m = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/s3/aws4_request, ?"
            r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""),
        )
        if not m:
            raise Refused(403, "AccessDenied", "no signature")
        access, day, region, signed, given = m.groups()
        signed = signed.split(";")
        date = self.headers.get("x-amz-date", "")
        payload = self.headers.get("x-amz-content-sha256", "")
        if access != s3.access_key:
            raise Refused(403, "InvalidAccessKeyId")
        if region != s3.region:
            raise Refused(400, "AuthorizationHeaderMalformed", "region")
        if not date.startswith(day):
            raise Refused(403, "SignatureDoesNotMatch", "date")
        when = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs((datetime.now(timezone.utc) - when).total_seconds()) > 900:
            raise Refused(403, "RequestTimeTooSkewed")
        if not re.fullmatch("[0-9a-f]{64}", payload):
            raise Refused(400, "InvalidRequest", "the payload has to be signed")
        must = {"host"} | {n.lower() for n in self.headers if n.lower().startswith("x-amz-")}
        if not must <= set(signed) or signed != sorted(signed):
            raise Refused(403, "SignatureDoesNotMatch", f"not signed: {must - set(signed)}")
        if s3.session_token and self.headers.get("x-amz-security-token") != s3.session_token:
            raise Refused(403, "InvalidToken")
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                date,
                f"{day}/{region}/s3/aws4_request",
                hashlib.sha256(self.canonical(signed, payload).encode()).hexdigest(),
            ]
        )
        if not hmac.compare_digest(signature(s3.secret_key, date, region, text), given):
            raise Refused(403, "SignatureDoesNotMatch", self.canonical(signed, payload))
        return payload

    # ---- talking ----

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message=""):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
        )
        self.server.s3.refused.append((self.command, self.path, status, code, message))
        self.close_connection = True
        self.answer(status, text.encode(), [("Content-Type", "application/xml")])

    def hang_up(self):
        """With a reset, so that the other side cannot take it for an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def read_body(self, stop_at=None):
        left = int(self.headers.get("Content-Length", "0"))
        data = bytearray()
        while left > 0:
            chunk = self.rfile.read(min(left, 1 << 16))
            if not chunk:
                raise ConnectionError
            data += chunk
            left -= len(chunk)
            self.server.s3.received += len(chunk)
            if stop_at is not None and len(data) >= stop_at:
                raise ConnectionError
        return bytes(data)

    def handle_one(self):
        s3 = self.server.s3
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        host = self.headers.get("Host", "").split(":")[0]
        if host.startswith(s3.bucket + "."):
            bucket, key = s3.bucket, path
        else:
            bucket, _, key = path.partition("/")
        kind = s3.strike(self.command, self.path)
        s3.requests.append((self.command, self.path))
        if kind == "reset":
            self.read_body(stop_at=int(self.headers.get("Content-Length", "0")) // 2 + 1)
            raise ConnectionError
        if kind == "hang":
            s3.released.wait(s3.hang_s)
            raise ConnectionError
        try:
            data = self.read_body()
            payload = self.authorize(s3)
            if hashlib.sha256(data).hexdigest() != payload:
                raise Refused(400, "XAmzContentSHA256Mismatch")
            if kind in ("500", "slowdown", "refuse", "no-bucket"):
                raise Refused(
                    *{
                        "500": (500, "InternalError"),
                        "slowdown": (503, "SlowDown"),
                        "refuse": (403, "AccessDenied"),
                        "no-bucket": (404, "NoSuchBucket"),
                    }[kind]
                )
            if kind == "redirect":
                self.answer(307, b"", [("Location", s3.elsewhere)])
                return
            if kind == "huge":
                self.close_connection = True
                self.answer(500, b"x" * (8 << 20))
                return
            if bucket != s3.bucket:
                raise Refused(404, "NoSuchBucket")
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            getattr(self, "on_" + self.command)(s3, key, query, data, kind)
        except Refused as e:
            self.refuse(e.status, e.code, str(e))

    def do(self):
        self.server.s3.busy(1)
        try:
            self.handle_one()
        except (ConnectionError, TimeoutError, OSError):
            self.hang_up()
        finally:
            self.server.s3.busy(-1)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

    # ---- objects ----

    def meta(self):
        return {
            n.lower(): v for n, v in self.headers.items() if n.lower().startswith("x-amz-meta-")
        }

    def on_PUT(self, s3, key, query, data, kind):
        kept = data[: len(data) // 2] if kind == "truncate" else data
        etag = '"' + hashlib.md5(data).hexdigest() + '"'
        if "uploadId" in query:
            upload = s3.uploads.get(query["uploadId"])
            if not upload or upload.key != key:
                raise Refused(404, "NoSuchUpload")
            upload.parts[int(query["partNumber"])] = (etag, kept)
        else:
            s3.objects[key] = Object(kept, etag, self.meta())
            s3.puts += 1
        self.answer(200, b"", [("ETag", etag)])

    def on_POST(self, s3, key, query, data, kind):
        if "uploads" in query:
            s3.last_upload += 1
            # Characters that have to be encoded in a query, as some storages have them.
            name = f"up+load/{s3.last_upload}=~"
            s3.uploads[name] = Upload(key, self.meta())
            self.answer(
                200,
                f"<InitiateMultipartUploadResult><Bucket>{s3.bucket}</Bucket><Key>{key}</Key>"
                f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode(),
            )
            return
        upload = s3.uploads.get(query.get("uploadId", ""))
        if not upload:
            raise Refused(404, "NoSuchUpload")
        if kind == "complete-error":
            self.answer(200, b"<Error><Code>InternalError</Code></Error>")
            return
        listed = re.findall(
            r"<Part><PartNumber>(\d+)</PartNumber><ETag>([^<]*)</ETag></Part>", data.decode()
        )
        numbers = [int(n) for n, _ in listed]
        if not listed or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder")
        content = b""
        for n, etag in listed:
            have = upload.parts.get(int(n))
            if not have or have[0] != etag.replace("&quot;", '"'):
                raise Refused(400, "InvalidPart")
            if int(n) != numbers[-1] and len(have[1]) < MIN_PART:
                raise Refused(400, "EntityTooSmall")
            content += have[1]
        md5s = b"".join(bytes.fromhex(upload.parts[n][0].strip('"')) for n in numbers)
        etag = f'"{hashlib.md5(md5s).hexdigest()}-{len(numbers)}"'
        s3.objects[key] = Object(content, etag, upload.meta)
        del s3.uploads[query["uploadId"]]
        s3.puts += 1
        quoted = etag.replace('"', "&quot;")
        self.answer(
            200,
            f"<CompleteMultipartUploadResult><ETag>{quoted}</ETag>"
            "</CompleteMultipartUploadResult>".encode(),
        )

    def headers_of(self, o, etag):
        return [("ETag", etag), ("Content-Type", "binary/octet-stream"), *o.meta.items()]

    def on_HEAD(self, s3, key, query, data, kind):
        o = s3.objects.get(key)
        if not o:
            self.answer(404)
            return
        etag = '"00000000000000000000000000000000"' if kind == "etag" else o.etag
        self.answer(200, b"", self.headers_of(o, etag), length=len(o.data))

    def on_GET(self, s3, key, query, data, kind):
        o = s3.objects.get(key)
        if not o:
            raise Refused(404, "NoSuchKey")
        content = o.data
        if kind == "corrupt":
            content = bytes([content[0] ^ 1]) + content[1:]
        if kind == "cut":
            self.answer(200, content[: len(content) // 2], self.headers_of(o, o.etag), len(content))
            self.wfile.flush()
            raise ConnectionError
        self.answer(200, content, self.headers_of(o, o.etag))

    def on_DELETE(self, s3, key, query, data, kind):
        if "uploadId" in query:
            if not s3.uploads.pop(query["uploadId"], None):
                raise Refused(404, "NoSuchUpload")
            s3.aborted += 1
        else:
            s3.objects.pop(key, None)
        self.answer(204)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass

    def get_request(self):
        got = super().get_request()
        self.s3.open.add(got[0])
        return got

    def shutdown_request(self, request):
        self.s3.open.discard(request)
        super().shutdown_request(request)


class S3Standin:
    def __init__(
        self,
        bucket="raw-output",
        access_key="AKIASTANDIN",
        secret_key="s3cr3t/with+signs=",
        tls=None,  # (certificate, key)
    ):
        self.tls = tls
        self.bucket, self.access_key, self.secret_key = bucket, access_key, secret_key
        self.region, self.session_token = "eu-test-1", None
        self.objects, self.uploads, self.faults = {}, {}, []
        self.requests, self.refused = [], []
        self.puts = self.aborted = self.last_upload = self.received = 0
        self.active = self.most = 0
        self.elsewhere, self.hang_s = "http://127.0.0.1:9/", 60
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.http, self.port, self.open = None, 0, set()
        self.recover()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.outage()

    @property
    def endpoint(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def uri(self, prefix="scans", **more):
        more = {"endpoint": self.endpoint, "region": self.region, **more}
        query = "&".join(f"{k}={v}" for k, v in more.items())
        return f"s3://{self.bucket}/{prefix}?{query}"

    @property
    def env(self):
        got = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        if self.session_token:
            got["AWS_SESSION_TOKEN"] = self.session_token
        return got

    def recover(self):
        if not self.http:
            self.http = Server(("127.0.0.1", self.port), Handler)
            self.http.s3 = self
            self.port = self.http.server_address[1]
            if self.tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls)
                self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            threading.Thread(
                target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            ).start()

    def outage(self):
        """Nobody listens any more, and what was open is closed."""
        if self.http:
            http, self.http = self.http, None
            http.shutdown()
            http.server_close()
            for conn in list(self.open):
                with contextlib.suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)

    def fault(self, kind, times=float("inf"), method=None, match=""):
        with self.lock:
            self.faults.append(Fault(kind, times, method, match))

    def heal(self):
        with self.lock:
            self.faults.clear()
        self.released.set()

    def strike(self, method, path):
        with self.lock:
            for f in self.faults:
                if f.times > 0 and f.method in (None, method) and f.match in path:
                    f.times -= 1
                    return f.kind
        return None

    def busy(self, by):
        with self.lock:
            self.active += by
            self.most = max(self.most, self.active)


def main():
    with S3Standin() as s3:
        print(s3.uri(), flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
