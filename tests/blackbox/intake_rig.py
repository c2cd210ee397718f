"""What the tests of message queues share: a server with an intake, and what it wrote down."""

import json

from conftest import wait_until

JOBS, RESULTS, DEAD = "network_scan_jobs", "network_scan_results", "network_scan_jobs.dead"


def message(task_id, **more):
    return {"task_id": task_id, "tool": "noop", "target": "127.0.0.1", **more}


def nmap(task_id, **more):
    return {"task_id": task_id, "tool": "nmap", "target": "127.0.0.1", "scan_type": "CONNECT_SCAN",
            "ports": "80", "timeout_seconds": 60, **more}


def jobs(srv):
    return srv.get("/api/v1/scans?limit=1000").json()["items"]


def dead_letters(srv):
    return srv.get("/api/v1/dead-letters?limit=1000").json()["items"]


def wait_jobs(srv, n, seconds=40):
    """That many, all of them ended."""

    def look():
        now = jobs(srv)
        return now if len(now) >= n and all(j["completed_at"] for j in now) else None

    return wait_until(look, seconds, f"{n} jobs that have ended")


def wait_dead(srv, n, seconds=40):
    def look():
        now = dead_letters(srv)
        return now if len(now) >= n else None

    return wait_until(look, seconds, f"{n} dead letters")


def wait_log(srv, text, seconds=40):
    wait_until(lambda: text in srv.log(), seconds, f"'{text}' in the log")


def audit(srv, action):
    return [
        entry
        for entry in srv.get("/api/v1/audit?limit=1000").json()["items"]
        if entry["action"] == action
    ]


def text(value):
    return value if isinstance(value, str) else json.dumps(value)
