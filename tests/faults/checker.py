"""
What must be true after faults. Reads only what the API said, the truth log, and what is left over.

    wrong = check(history)        sentences, empty if all is well
    tally(history)                figures for people
"""

from collections import Counter
from dataclasses import dataclass, field

from load import COMPLETES, CRASHES, CRASHES_ONCE, FAILS_ONCE, GARBAGE, SECONDS, TERMINAL
from truth import Truth

MAX_LOST = 3  # runs that may be lost before the job fails for it
MAY_COMPLETE = (COMPLETES, FAILS_ONCE, CRASHES_ONCE, SECONDS)
REASONS = {CRASHES: "tool_crashed", GARBAGE: "bad_output"}
LOSSES = ("worker_lost", "sandbox")  # the latter: its launcher died before it could be started
ONCE = {FAILS_ONCE: "tool_failed", CRASHES_ONCE: "tool_crashed"}


@dataclass
class History:
    accepted: dict = field(default_factory=dict)  # id: Spec
    asked: dict = field(default_factory=dict)  # task: Spec
    jobs: dict = field(default_factory=dict)  # id: as the API shows it at the end
    hosts: dict = field(default_factory=dict)  # id: its hosts
    seen: dict = field(default_factory=dict)  # id: [(state, rev), ...] in the order they were seen
    cancels: dict = field(default_factory=dict)  # id: status of the answer, None if there was none
    events: list = field(default_factory=list)  # of the event log, in its order
    truth: Truth = field(default_factory=Truth)
    metrics: dict = field(default_factory=dict)  # since the server's last start
    left: list = field(default_factory=list)  # sentences on what should not be there any more
    # Could runs begin of which the server never heard? Their tries are not charged.
    unheard: bool = False


def task_of(job):
    return job["targets"].split("/")[0]


def check(h):
    wrong = list(h.truth.errors) + list(h.left)
    tasks = h.truth.by_task()
    for job_id, spec in h.accepted.items():
        if job_id not in h.jobs:
            wrong.append(f"{job_id}: was accepted, and is not there")
        elif task_of(h.jobs[job_id]) != spec.task:
            wrong.append(f"{job_id}: has other targets: {h.jobs[job_id]['targets']}")
    owners = Counter(task_of(job) for job in h.jobs.values())
    wrong += [f"{task}: is {n} jobs" for task, n in owners.items() if n > 1]
    wrong += [f"{task}: ran, and is no job's" for task in tasks if task not in owners]
    for task, runs in tasks.items():
        wrong += check_runs(task, runs)
    ends = {}
    for event in h.events:
        ends.setdefault(event["job_id"], []).append(event["state"])
    for job_id, job in h.jobs.items():
        wrong += check_states(job_id, job, h.seen.get(job_id, []), ends.get(job_id, []))
        spec = h.asked.get(task_of(job))
        if spec is None:
            wrong.append(f"{job_id}: nobody asked for {job['targets']}")
        else:
            wrong += check_cancel(job_id, job, h.cancels)
            wrong += check_result(job_id, job, spec, h.hosts.get(job_id, []),
                                  tasks.get(spec.task, []), job_id in h.cancels)
            runs = len(tasks.get(spec.task, []))
            if runs > job["attempts"] and not h.unheard:
                wrong.append(f"{job_id}: ran {runs} times in {job['attempts']} attempts")
    return wrong


def check_runs(task, runs):
    """No two of them lived at the same time: neither says the kernel, nor do their clocks."""
    wrong = [f"{task}: run {r.run} on {r.worker} began while another one lived"
             for r in runs if not r.alone]
    for before, after in zip(runs, runs[1:]):
        if after.start <= before.last:
            wrong.append(f"{task}: run {before.run} on {before.worker} lived "
                         f"{(before.last - after.start) / 1e6:.1f} ms after the start of "
                         f"{after.run} on {after.worker}")
    return wrong


def check_states(job_id, job, seen, events):
    wrong = []
    if job["state"] not in TERMINAL:
        wrong.append(f"{job_id}: is {job['state']}")
    changes = [*seen, (job["state"], job["rev"])]
    for (state, rev), (then, next_rev) in zip(changes, changes[1:]):
        if next_rev < rev:
            wrong.append(f"{job_id}: revision {rev} was followed by {next_rev}")
        if state in TERMINAL and (then, next_rev) != (state, rev):
            wrong.append(f"{job_id}: was {state} (revision {rev}), and then {then} ({next_rev})")
    ends = [state for state in events if state in TERMINAL]
    if ends != [job["state"]] or events[-1] != ends[0]:
        wrong.append(f"{job_id}: is {job['state']}, and its events are {events}")
    return wrong


def check_cancel(job_id, job, cancels):
    """Only who was asked to is cancelled, and whoever was told so stays it."""
    if job["state"] == "cancelled" and job_id not in cancels:
        return [f"{job_id}: is cancelled, and nobody asked for that"]
    if job["state"] != "cancelled" and cancels.get(job_id) == 200:
        return [f"{job_id}: was cancelled, and is {job['state']}"]
    return []


def check_result(job_id, job, spec, hosts, runs, cancelled):
    """The outcome is what was asked for; the hosts are what one run printed, each once."""
    wrong = []
    addresses = sorted(host["address"] for host in hosts)
    printed_by = {port.get("product") for host in hosts for port in host["ports"]}
    by_id = {r.run: r for r in runs}
    if len(set(addresses)) != len(addresses):
        wrong.append(f"{job_id}: a host is there twice: {addresses}")
    if not set(addresses) <= set(spec.addresses):
        wrong.append(f"{job_id}: hosts that nobody asked for: {addresses}")
    if len(printed_by) > 1:
        wrong.append(f"{job_id}: its hosts are of {len(printed_by)} runs: {sorted(printed_by)}")
    if not printed_by <= set(by_id):
        wrong.append(f"{job_id}: its hosts are of a run that is not in the truth log")
    for host in hosts:
        if [port["port"] for port in host["ports"]] != [spec.port]:
            wrong.append(f"{job_id}: {host['address']} has the ports {host['ports']}")
    if job["state"] == "completed":
        wrong += check_completed(job_id, spec, addresses, [by_id.get(p) for p in printed_by])
    elif job["state"] == "failed" and job["reason"] in LOSSES:
        if job["lost"] < MAX_LOST:
            wrong.append(f"{job_id}: failed with {job['reason']} after {job['lost']} losses: "
                         f"{job['error']}")
    elif job["state"] != "cancelled" and not failed_as_it_must(job, spec, cancelled):
        wrong.append(f"{job_id}: kind {spec.kind} ended as {job['state']}, {job['reason']}: "
                     f"{job['error']}")
    return wrong


def failed_as_it_must(job, spec, cancelled):
    """Who is to be cancelled is not tried again, if its tool was the first to fail."""
    reasons = {**REASONS, **(ONCE if cancelled else {})}
    return spec.kind in reasons and (job["state"], job["reason"]) == ("failed", reasons[spec.kind])


def check_completed(job_id, spec, addresses, by):
    if spec.kind not in MAY_COMPLETE:
        return [f"{job_id}: kind {spec.kind} completed"]
    if addresses != sorted(spec.addresses):
        return [f"{job_id}: completed with {addresses} instead of {spec.addresses}"]
    if len(by) == 1 and by[0] and (by[0].end is None or by[0].status != 0):
        return [f"{job_id}: run {by[0].run} was accepted and did not end well"]
    return []


def tally(h):
    states = Counter(j["state"] + (f"/{j['reason']}" if j["reason"] else "")
                     for j in h.jobs.values())
    tasks = h.truth.by_task()
    twice = sum(sum(r.status == 0 for r in runs) > 1 for runs in tasks.values())
    counted = {name: int(h.metrics.get(f"scanpod_{name}_total", 0))
               for name in ("reports_duplicate", "reports_fenced", "lease_adopted")}
    return {
        "jobs": len(h.jobs), "runs": len(h.truth.runs), "states": dict(states),
        "lost": sum(j["lost"] for j in h.jobs.values()),
        "ended twice, accepted once": twice,
        "broken off": sum(r.end is None for r in h.truth.runs.values()), **counted,
    }
