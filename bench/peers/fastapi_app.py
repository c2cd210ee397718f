"""The peer: a REST service in the usual way, FastAPI and python-nmap, jobs in a dict.

It has the routes, bodies and checks of the old ScanPod service, keeps everything in memory, and
runs nmap through python-nmap in a pool of four threads. Written for the benchmarks from the
service's described behaviour.

Environment: PEER_KEY (the key), PEER_RUN=0 (accept jobs and run none).
"""
import os
import re
import secrets
import shlex
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from enum import Enum
from typing import List, Optional

import nmap
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, validator

KEY = os.environ["PEER_KEY"]
RUN = os.environ.get("PEER_RUN", "1") != "0"

TOKEN = re.compile(r"^[A-Za-z0-9.\-/*]+$")
PORTS = re.compile(r"^([TUS]:)?\d+(-\d+)?(,([TUS]:)?\d+(-\d+)?)*$")
VALUE = re.compile(r"^\d+(?:ms|s|m|h)?$")
FLAGS = set(
    "-sS -sT -sU -sA -sW -sM -sN -sF -sX -sn -sV -Pn -n -R -6 -r -F -O -v -vv -vvv -d -dd -T0 -T1 "
    "-T2 -T3 -T4 -T5 --open --reason --traceroute --packet-trace".split())
VALUED = set(
    "--top-ports --max-retries --host-timeout --scan-delay --max-scan-delay --min-rate --max-rate "
    "--min-parallelism --max-parallelism --min-hostgroup --max-hostgroup --max-rtt-timeout "
    "--min-rtt-timeout --initial-rtt-timeout --mtu".split())


class Status(str, Enum):
    pending = "pending"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class ScanRequest(BaseModel):
    targets: str
    ports: Optional[str] = None
    arguments: Optional[str] = None
    timeout: Optional[int] = None

    @validator("targets")
    def check_targets(cls, v):
        tokens = shlex.split(v)
        if not tokens:
            raise ValueError("targets must not be empty")
        for t in tokens:
            if t.startswith("-") or not TOKEN.match(t):
                raise ValueError(f"invalid target: '{t}'")
        return v

    @validator("ports")
    def check_ports(cls, v):
        if v is not None and not PORTS.match(v):
            raise ValueError(f"invalid ports specification: '{v}'")
        return v

    @validator("arguments")
    def check_arguments(cls, v):
        tokens = iter(shlex.split(v)) if v else iter(())
        for t in tokens:
            flag, eq, value = t.partition("=")
            if t in FLAGS:
                continue
            if flag not in VALUED:
                raise ValueError(f"disallowed argument: '{t}'")
            if not eq:
                value = next(tokens, None)
                if value is None:
                    raise ValueError(f"argument '{flag}' requires a value")
            if not VALUE.match(value):
                raise ValueError(f"invalid value for '{flag}': '{value}'")
        return v


class Port(BaseModel):
    port: int
    protocol: str
    state: str
    service: str


class Host(BaseModel):
    host: str
    state: str
    ports: List[Port]


class Result(BaseModel):
    hosts: List[Host]
    command_line: str


class Accepted(BaseModel):
    job_id: str
    status: Status
    created_at: datetime


class Job(BaseModel):
    job_id: str
    status: Status
    request: ScanRequest
    result: Optional[Result] = None
    error: Optional[str] = None
    created_at: datetime
    started_at: Optional[datetime] = None
    completed_at: Optional[datetime] = None


class Listed(BaseModel):
    job_id: str
    status: Status


jobs = {}
pool = ThreadPoolExecutor(max_workers=4)
header = APIKeyHeader(name="X-API-Key")
app = FastAPI(title="peer")


def now():
    return datetime.now(timezone.utc)


async def check_key(key: str = Depends(header)):
    if not secrets.compare_digest(key.encode(), KEY.encode()):
        raise HTTPException(status_code=401, detail="Invalid API key")


def scan(job):
    if job.status != Status.pending:
        return
    job.status = Status.running
    job.started_at = now()
    try:
        scanner = nmap.PortScanner()
        request = job.request
        scanner.scan(hosts=request.targets, ports=request.ports, arguments=request.arguments or "")
        hosts = []
        for name in scanner.all_hosts():
            ports = [
                Port(port=number, protocol=protocol, state=p.get("state", "unknown"),
                     service=p.get("name", ""))
                for protocol in scanner[name].all_protocols()
                for number, p in sorted(scanner[name][protocol].items())
            ]
            hosts.append(Host(host=name, state=scanner[name].state(), ports=ports))
        job.result = Result(hosts=hosts, command_line=scanner.command_line())
        job.status = Status.completed
    except Exception as e:  # whatever the scanner or its wrapper raised is the job's error
        job.error = str(e)
        job.status = Status.failed
    job.completed_at = now()


def find(job_id):
    job = jobs.get(job_id)
    if job is None:
        raise HTTPException(status_code=404, detail="Job not found")
    return job


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.post("/scans", status_code=202, response_model=Accepted, dependencies=[Depends(check_key)])
async def submit(request: ScanRequest):
    job = Job(job_id=uuid.uuid4().hex, status=Status.pending, request=request, created_at=now())
    jobs[job.job_id] = job
    if RUN:
        pool.submit(scan, job)
    return job


@app.get("/scans", response_model=List[Listed], dependencies=[Depends(check_key)])
async def listed():
    return list(jobs.values())


@app.get("/scans/{job_id}", response_model=Job, dependencies=[Depends(check_key)])
async def show(job_id: str):
    return find(job_id)


@app.post("/scans/{job_id}/cancel", response_model=Job, dependencies=[Depends(check_key)])
async def cancel(job_id: str):
    job = find(job_id)
    if job.status not in (Status.pending, Status.running):
        raise HTTPException(status_code=409, detail="Job cannot be cancelled in status "
                            f"'{job.status.value}' — it has already finished")
    job.status = Status.cancelled
    job.completed_at = now()
    return job


@app.delete("/scans/{job_id}", status_code=204, dependencies=[Depends(check_key)])
async def delete(job_id: str):
    job = find(job_id)
    if job.status in (Status.pending, Status.running):
        raise HTTPException(status_code=409, detail="Job cannot be deleted in status "
                            f"'{job.status.value}' — cancel it first")
    del jobs[job_id]


@app.delete("/scans", dependencies=[Depends(check_key)])
async def purge():
    done = [k for k, j in jobs.items() if j.status not in (Status.pending, Status.running)]
    for key in done:
        del jobs[key]
    return {"deleted": len(done)}
