"""The checker must be able to fail: each of these puts one fault into a history without any."""

import copy

import pytest

from checker import History, check, tally
from load import Spec
from truth import parse

SPECS = {
    "a": Spec("127.1.0.4", 32, 50),  # completes
    "b": Spec("127.1.0.8", 30, 50),  # completes at its second run: the first one was broken off
    "c": Spec("127.1.0.12", 32, 20050),  # crashes
    "d": Spec("127.1.0.16", 32, 50),  # its workers died three times
    "e": Spec("127.1.0.20", 32, 50),  # was cancelled
}
TRUTH = """\
start 127.1.0.4 a1 w0 1000 1
tick 127.1.0.4 a1 w0 2000 0
end 127.1.0.4 a1 w0 3000 0
start 127.1.0.8 b1 w0 1000 1
tick 127.1.0.8 b1 w0 2000 0
start 127.1.0.8 b2 w1 5000 1
end 127.1.0.8 b2 w1 6000 0
start 127.1.0.12 c1 w1 1000 1
end 127.1.0.12 c1 w1 2000 139
start 127.1.0.16 d1 w0 1000 1
start 127.1.0.16 d2 w0 2000 1
start 127.1.0.16 d3 w0 3000 1
"""


def host(address, run, port=50):
    return {"address": address, "ports": [{"port": port, "product": run}]}


def job(name, state, reason=None, attempts=1, lost=0):
    return {"targets": SPECS[name].targets, "state": state, "reason": reason, "rev": 9,
            "attempts": attempts, "lost": lost, "error": None}


@pytest.fixture
def good():
    jobs = {"a": job("a", "completed"), "b": job("b", "completed", attempts=2, lost=1),
            "c": job("c", "failed", "tool_crashed"),
            "d": job("d", "failed", "worker_lost", attempts=3, lost=3),
            "e": job("e", "cancelled", "cancelled", attempts=0)}
    return History(
        accepted=dict(SPECS), asked={s.task: s for s in SPECS.values()}, jobs=jobs,
        hosts={"a": [host("127.1.0.4", "a1")],
               "b": [host(a, "b2") for a in SPECS["b"].addresses], "c": [], "d": [], "e": []},
        cancels={"e": 200, "a": 409},
        seen={name: [("queued", 1), ("running", 3), (j["state"], 9)] for name, j in jobs.items()},
        events=[{"job_id": name, "state": state} for name, j in jobs.items()
                for state in ("queued", "running", j["state"])],
        truth=parse(TRUTH))


def test_nothing_is_wrong_with_a_good_history(good):
    assert check(good) == []
    assert tally(good)["broken off"] == 4


def set_state(h, name, state):
    h.jobs[name]["state"] = state
    h.seen[name] = [(state, 9)]
    for event in h.events:
        if event["job_id"] == name and event["state"] not in ("queued", "running"):
            event["state"] = state


def new_truth(h, old, new):
    assert old in TRUTH
    h.truth = parse(TRUTH.replace(old, new))


MUTATIONS = {
    "cancelled and nobody asked": lambda h: h.cancels.pop("e"),
    "cancelled, and it came back": lambda h: h.cancels.update(a=200),
    "a job is lost": lambda h: h.jobs.pop("a"),
    "a job is there twice": lambda h: h.jobs.update(f=copy.deepcopy(h.jobs["a"])),
    "a job never ends": lambda h: set_state(h, "a", "running"),
    "a job has somebody else's targets": lambda h: h.jobs["a"].update(targets="127.1.0.8"),
    "nobody asked for it": lambda h: h.asked.pop("127.1.0.4"),
    "it was over, and then not": lambda h: h.seen["b"].insert(1, ("failed", 2)),
    "it was over, and changed": lambda h: h.seen["b"].insert(2, ("completed", 8)),
    "its revision went back": lambda h: h.seen["a"].insert(1, ("running", 12)),
    "two ends in the event log": lambda h: h.events.append({"job_id": "a", "state": "completed"}),
    "no end in the event log": lambda h: h.events.pop(2),
    "an event after the end": lambda h: h.events.append({"job_id": "a", "state": "running"}),
    "another end in the event log": lambda h: h.events[2].update(state="failed"),
    "an overlap of clocks": lambda h: new_truth(h, "tick 127.1.0.8 b1 w0 2000 0",
                                                "tick 127.1.0.8 b1 w0 5001 0"),
    "an overlap the kernel saw": lambda h: new_truth(h, "b2 w1 5000 1", "b2 w1 5000 0"),
    "a run lives on after its successor": lambda h: new_truth(
        h, "end 127.1.0.8 b2 w1 6000 0",
        "end 127.1.0.8 b2 w1 6000 0\nend 127.1.0.8 b1 w0 7000 0"),
    "the run that was accepted has no end": lambda h: new_truth(
        h, "end 127.1.0.4 a1 w0 3000 0\n", ""),
    "the run that was accepted had failed": lambda h: new_truth(
        h, "end 127.1.0.4 a1 w0 3000 0", "end 127.1.0.4 a1 w0 3000 3"),
    "a run of no job": lambda h: new_truth(h, "start 127.1.0.4 a1 w0 1000 1",
                                           "start 127.9.9.9 z w0 1 1\n"
                                           "start 127.1.0.4 a1 w0 1000 1"),
    "an end without a start": lambda h: new_truth(h, "start 127.1.0.4 a1 w0 1000 1\n", ""),
    "two ends of a run": lambda h: new_truth(h, "end 127.1.0.4 a1 w0 3000 0",
                                             "end 127.1.0.4 a1 w0 3000 0\n"
                                             "end 127.1.0.4 a1 w0 3000 0"),
    "torn lines": lambda h: new_truth(h, "end 127.1.0.4 a1 w0 3000 0", "end 127.1.0"),
    "more runs than attempts": lambda h: h.jobs["b"].update(attempts=1),
    "a doubled host": lambda h: h.hosts["a"].append(host("127.1.0.4", "a1")),
    "a missing host": lambda h: h.hosts["b"].pop(),
    "a host too many": lambda h: h.hosts["a"].append(host("127.1.0.5", "a1")),
    "hosts of two runs": lambda h: h.hosts["b"].__setitem__(0, host("127.1.0.8", "b1")),
    "a host of nobody's run": lambda h: h.hosts["a"].__setitem__(0, host("127.1.0.4", "x")),
    "a host of another job's run": lambda h: h.hosts["a"].__setitem__(0, host("127.1.0.4", "b2")),
    "another port": lambda h: h.hosts["a"].__setitem__(0, host("127.1.0.4", "a1", 51)),
    "a completed job whose tool crashed": lambda h: set_state(h, "c", "completed"),
    "a failure without a cause": lambda h: set_state(h, "a", "failed"),
    "given up too early": lambda h: h.jobs["d"].update(lost=2),
    "an entry left in a stream": lambda h: h.left.append("reports has 1 entry"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_it_sees(good, name):
    MUTATIONS[name](good)
    assert check(good), name
