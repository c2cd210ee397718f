"""
A stand-in for the model's API (the Messages API), on a free port of 127.0.0.1.

    with MessagesApi(script) as api: ...

`script(request)` says what is answered to each POST /v1/messages; it gives one of

    Answer(*blocks, stop="end_turn", usage=None)   a message; as events where they are asked for
    Failure(status, **headers)                     an error as the API writes it
    Raw(status, content_type, body)                anything else
    Fault("hang" | "stall" | "cut" | "event")      never an answer; the beginning of one and then
                                                   nothing; ... the end of the connection; ... an
                                                   event that says error

A request has .body (the JSON), .headers, .n (how many came before it), .results (what tools said,
in order), .said (all of it as text), .tools (the names of those that the client has). `api.seen`
has all requests, those to other paths too, as (method, path, headers, text). Requests that hang or
stall are let go when the stand-in closes.
"""

import itertools
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 529: "overloaded_error",
}  # fmt: skip

_ids = itertools.count(1)


def text(said):
    return {"type": "text", "text": said if isinstance(said, str) else json.dumps(said)}


def use(tool, **arguments):
    """The model wants a tool to be used."""
    return {"type": "tool_use", "id": f"toolu_standin{next(_ids):06}", "name": tool,
            "input": arguments}  # fmt: skip


def document(**answer):
    """The document that is asked for, as the client's own tool takes it."""
    return use("StructuredOutput", **answer)


class Answer:
    def __init__(self, *blocks, stop=None, usage=None):
        tools = any(b["type"] == "tool_use" for b in blocks)
        self.blocks, self.usage = blocks, usage or {}
        self.stop = stop or ("tool_use" if tools else "end_turn")


class Failure:
    def __init__(self, status, message="not today", **headers):
        self.status, self.message = status, message
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class Raw:
    def __init__(self, status, content_type, body):
        self.status, self.type, self.body = status, content_type, body


class Fault:
    def __init__(self, kind):
        self.kind = kind


class Request:
    def __init__(self, n, headers, body):
        self.n, self.headers, self.body = n, headers, body
        self.tools = [t.get("name") for t in body.get("tools", [])]
        self.results = []
        for message in body.get("messages", []):
            blocks = message["content"] if isinstance(message["content"], list) else []
            self.results += [_result(b) for b in blocks if b.get("type") == "tool_result"]
        self.said = json.dumps(body)


def _result(block):
    said = block.get("content") or ""
    if isinstance(said, list):
        said = "".join(part.get("text", "") for part in said)
    return said


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _take(self):
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size).decode("utf-8", "replace")
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.server.api.seen.append((self.command, self.path, headers, raw))
        return headers, raw

    def do_GET(self):
        self._take()
        self._send(404, "application/json", b"{}")

    def do_HEAD(self):
        self._take()
        self._send(200, "text/plain", b"")

    def do_POST(self):
        headers, raw = self._take()
        api = self.server.api
        if self.path.split("?")[0] != "/v1/messages":
            self._send(404, "application/json", b"{}")
            return
        with api.lock:
            request = Request(api.asked, headers, json.loads(raw))
            api.asked += 1
        try:
            self._reply(request, api.script(request))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _reply(self, request, reply):
        if isinstance(reply, Failure):
            error = {"type": ERRORS[reply.status], "message": reply.message}
            body = json.dumps({"type": "error", "error": error}).encode()
            self._send(reply.status, "application/json", body, reply.headers)
        elif isinstance(reply, Raw):
            self._send(reply.status, reply.type, reply.body.encode())
        elif isinstance(reply, Fault):
            self._break(request, reply.kind)
        elif request.body.get("stream"):
            self._stream(request, reply)
        else:
            message = _message(request, reply)
            message.update(content=list(reply.blocks), stop_reason=reply.stop)
            self._send(200, "application/json", json.dumps(message).encode())

    def _send(self, status, content_type, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # -- events

    def _begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, kind, **members):
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _stream(self, request, reply):
        self._begin()
        self._event("message_start", message=_message(request, reply))
        for i, block in enumerate(reply.blocks):
            if block["type"] == "text":
                empty, kind, whole = {"type": "text", "text": ""}, "text", block["text"]
            else:
                empty, kind = {**block, "input": {}}, "partial_json"
                whole = json.dumps(block["input"])
            delta = "text_delta" if kind == "text" else "input_json_delta"
            self._event("content_block_start", index=i, content_block=empty)
            for at in range(0, len(whole), 200):
                piece = {"type": delta, kind: whole[at : at + 200]}
                self._event("content_block_delta", index=i, delta=piece)
            self._event("content_block_stop", index=i)
        self._event("message_delta", delta={"stop_reason": reply.stop, "stop_sequence": None},
                    usage={"output_tokens": reply.usage.get("output_tokens", 50)})  # fmt: skip
        self._event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def _break(self, request, kind):
        if kind == "hang":
            self.server.api.closing.wait(600)
            self.close_connection = True
            return
        self._begin()
        self._event("message_start", message=_message(request, Answer()))
        self._event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        self._event("content_block_delta", index=0,
                    delta={"type": "text_delta", "text": "Let me"})  # fmt: skip
        if kind == "stall":
            self.server.api.closing.wait(600)
        elif kind == "event":
            error = {"type": "overloaded_error", "message": "too much to do"}
            self._event("error", error=error)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _message(request, reply):
    usage = {"input_tokens": 1000, "cache_creation_input_tokens": 0,
             "cache_read_input_tokens": 0, "output_tokens": 50, **reply.usage}  # fmt: skip
    return {"id": f"msg_standin{request.n:06}", "type": "message", "role": "assistant",
            "model": request.body.get("model"), "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": usage}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients go when they are killed


class MessagesApi:
    def __init__(self, script):
        self.script, self.seen, self.asked = script, [], 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.api = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def requests(self):
        """The JSON of what was asked of the model."""
        return [json.loads(t) for m, p, _, t in self.seen if m == "POST" and "/v1/messages" in p]
