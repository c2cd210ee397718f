"""
Faults: each function does one to a fleet that runs, and gives a word on it. What takes time is
undone before it returns; the supervisor starts again what was killed.
"""

import contextlib
import os
import signal
import threading
import time

CUT_S, AWAY_S, FREEZE_LEASES = (5, 120), 40, (1.1, 1.6)
HOUR_NS = 3600 * 10**9


def _present(fleet, child):
    """A child that was killed is back before the next fault meets it, if it can be."""
    fleet.wait(lambda: child.proc.poll() is None, 30, f"{child.name} to be there")
    return child


def _some_worker(fleet, rng):
    return _present(fleet, rng.choice(fleet.workers))


def _signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # another fault may have met it
            os.kill(pid, number)


def kill_server(fleet, rng):
    del rng
    _present(fleet, fleet.server).signal(signal.SIGKILL)
    return "server"


def kill_worker(fleet, rng):
    worker = _some_worker(fleet, rng)
    worker.signal(signal.SIGKILL)
    return worker.name


def kill_launcher(fleet, rng):
    worker = _some_worker(fleet, rng)
    pid = fleet.wait(lambda: fleet.runner(worker), 30, f"the launcher of {worker.name}")
    _signal_all([pid], signal.SIGKILL)
    return worker.name


def kill_redis(fleet, rng):
    redis = _present(fleet, fleet.redis)
    redis.held = True
    redis.signal(signal.SIGKILL)
    away = rng.uniform(0, AWAY_S) / fleet.scale
    time.sleep(away)
    redis.held = False
    fleet.wait(lambda: fleet.redis_says("PING") == "PONG", 30, "Redis")
    return f"for {away:.2f} s"


def restart(fleet, rng):
    """In order, as for a new version: what a worker cannot finish in a second it hands back."""
    child = _present(fleet, rng.choice([fleet.server, *fleet.workers]))
    child.signal(signal.SIGTERM)
    fleet.wait(lambda: child.proc.poll() is not None, 30, f"the end of {child.name}")
    return child.name


def empty_redis(fleet, rng):
    """It lost its data: streams, groups, whose it is."""
    del rng
    fleet.wait(lambda: fleet.redis_says("FLUSHALL") == "OK", 30, "Redis to forget")
    return "all keys"


def kill_broker(fleet, rng):
    """Of requests: RabbitMQ, which takes its time to come back."""
    fleet.hosts.call("server", fleet.broker.kill)
    time.sleep(rng.uniform(0, 1))
    fleet.hosts.call("server", fleet.broker.start)
    return "RabbitMQ"


def _log_uniform(rng, low, high):
    return low * (high / low) ** rng.random()


def cut_off(fleet, rng):
    """From one side or both, one host or several; shorter and longer than a lease."""
    peers = rng.sample(["server", *fleet.worker_names], rng.choice([1, 1, 2, len(fleet.workers)]))
    cuts = [(peer, rng.choice(["in", "out", "both", "wire"])) for peer in peers]
    seconds = _log_uniform(rng, *CUT_S) / fleet.scale
    for peer, how in cuts:
        fleet.hosts.cut("redis", peer, how)
    time.sleep(seconds)
    for peer, _ in cuts:
        fleet.hosts.heal("redis", peer)
    return f"{cuts} for {seconds:.2f} s"


def freeze(fleet, rng):
    """Beyond the end of its leases: the worker alone, or with its launcher."""
    worker = _some_worker(fleet, rng)
    pids = [worker.proc.pid]
    seconds = fleet.lease_s * rng.uniform(*FREEZE_LEASES)
    if rng.random() < 0.5:
        pids.append(fleet.wait(lambda: fleet.runner(worker), 30, "a launcher"))
    _signal_all(pids, signal.SIGSTOP)
    time.sleep(seconds)
    _signal_all(pids, signal.SIGCONT)
    return f"{worker.name}, {len(pids)} processes, for {seconds:.2f} s"


def step_clock(fleet, rng):
    """By hours, to and fro; it stays like that."""
    worker = rng.choice(fleet.workers)
    hours = rng.choice([-1, 1]) * rng.uniform(1, 48)
    fleet.set_clock(worker.name, int(hours * HOUR_NS))
    return f"{worker.name} by {hours:.1f} h"


def slow_redis(fleet, rng):
    """Long delays, or a trickle, or a server that does not move at all."""
    seconds = rng.uniform(0.5, 3)
    how = rng.choice(["delay", "trickle", "frozen"])
    if how == "frozen":
        _present(fleet, fleet.redis).signal(signal.SIGSTOP)
        time.sleep(seconds)
        fleet.redis.signal(signal.SIGCONT)
    else:
        pace = f"{rng.randrange(20, 300)} 65536" if how == "delay" else "2 200"
        (fleet.dir / "pace").write_text(pace, encoding="ascii")
        time.sleep(seconds)
        (fleet.dir / "pace").write_text("", encoding="ascii")
    return f"{how} for {seconds:.2f} s"


ALL = (kill_server, kill_worker, kill_launcher, kill_redis, cut_off, freeze, step_clock, slow_redis)


def anything(fleet, rng):
    inject = rng.choice(ALL)
    return f"{inject.__name__} {inject(fleet, rng)}"


def several(inject, how_many):
    """The same fault more than once at the same time, each a round; gives all words."""

    def many(fleet, rng):
        words, rngs = [], [type(rng)(rng.random()) for _ in range(how_many)]

        def one(own_rng):
            time.sleep(own_rng.uniform(0, 0.5))
            words.append(inject(fleet, own_rng))

        threads = [threading.Thread(target=one, args=(r,)) for r in rngs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(words) == how_many, "a fault could not be made"
        return "; ".join(words)

    return many
