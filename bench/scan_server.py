"""ScanPod in the namespace `host` of a scan lab, spoken to over a unix socket."""
import http.client
import json
import socket
import time

import scan_lab
from servers import ScanPod

ENDED = ("completed", "failed", "cancelled", "timed_out")


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class LabScanPod(ScanPod):
    """A server that may scan the lab's network; job() is a whole scan."""

    def __init__(self, lab, **settings):
        super().__init__(**settings)
        self.lab = lab
        self.socket = str(self.dir / "socket")
        scope = self.dir / "scope.yaml"
        scope.write_text(scan_lab.SCOPE)
        scope.chmod(0o644)
        self.settings["scope_file"] = scope

    def command(self):
        own = super().command()
        own[own.index("--listen") + 1] = f"unix:{self.socket}"
        return [*self.lab.inside("host"), *own]

    def start(self):
        self.launch()
        end = time.monotonic() + 60
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = self.log_tail()
                self.stop()
                raise SystemExit(f"scanpod did not start:\n{tail}")
            time.sleep(0.02)
        return self

    def ready(self):
        """It answers, knows its levels, and can give boxes a filtered way out."""
        try:
            self.started()
            status, text = self.ask(self.connect(), "GET", "/api/v1/capabilities")
        except OSError:
            return False
        levels = json.loads(text).get("sandbox", {}).get("levels") if status == 200 else None
        if not levels:
            return False
        if not any(row["name"] == "nft" and row["usable"] for row in levels):
            raise SystemExit(f"level nft is not usable here: {text[:2000]}")
        return True

    def connect(self):
        return _Unix(self.socket)

    def get(self, c, path):
        status, text = self.ask(c, "GET", path)
        if status != 200:
            raise SystemExit(f"{path}: {status} {text[:500]}")
        return json.loads(text)

    def job(self, **request):
        """Seconds from submit to the end, and the job."""
        c = self.connect()
        start = time.monotonic()
        status, text = self.ask(c, "POST", "/api/v1/scans", request)
        if status not in (200, 201, 202):
            raise SystemExit(f"POST {request}: {status} {text[:1000]}")
        at = f"/api/v1/scans/{json.loads(text)['id']}"
        while True:
            job = self.get(c, f"{at}?wait=30")
            if job["state"] in ENDED:
                return time.monotonic() - start, job

    def hosts(self, job):
        """All hosts of a job, page by page."""
        c, at = self.connect(), f"/api/v1/scans/{job['id']}/hosts?limit=100"
        found, cursor = [], ""
        while True:
            page = self.get(c, at + cursor)
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def found(self, job):
        """As scan_lab.read_xml(): addresses that are up, {(address, port): service or None}."""
        up, opened = set(), {}
        for h in self.hosts(job):
            if h["state"] == "up":
                up.add(h["address"])
            for p in h["ports"]:
                if p["state"] == "open":
                    probed = p.get("method") == "probed"
                    opened[h["address"], p["port"]] = p["service"] if probed else None
        return up, opened
