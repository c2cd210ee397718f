"""Jobs that come through RabbitMQ, which runs on the server's host."""

import json
import logging
import random
import sys
from pathlib import Path

import pika

from load import Load, make_spec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "blackbox"))
from brokers import RabbitServer, have_rabbit  # noqa: E402  pylint: disable=wrong-import-position

logging.getLogger("pika").setLevel(logging.CRITICAL)  # that the broker is away is no news

JOBS, RESULTS, DEAD = "network_scan_jobs", "network_scan_results", "network_scan_jobs.dead"
__all__ = ["DEAD", "JOBS", "RESULTS", "MessageLoad", "RabbitServer", "body_of", "have_rabbit",
           "queues", "take_results"]


def body_of(spec):
    return json.dumps({"task_id": f"task-{spec.task}", "tool": "nmap", "target": spec.targets,
                       "scan_type": "CONNECT_SCAN", "ports": str(spec.port),
                       "timeout_seconds": 3600})


class MessageLoad(Load):
    """As Load; the broker confirms what it has, and one message in ten is sent twice."""

    def __init__(self, fleet, rabbit, seed, flight=220):
        super().__init__(fleet.api, seed, fleet.lease_s, flight)
        self.fleet, self.rabbit = fleet, rabbit
        self.twice = random.Random(f"{seed}-twice")
        self.confirmed = {}  # task: spec
        self.connection = self.channel = None

    def _connect(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(self.rabbit.url()))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def _feed(self, n):
        # Those that are not jobs yet are in flight too.
        n -= len(self.confirmed) - len(self.seen)
        try:
            if not self.channel or not self.channel.is_open:
                self._connect()
            for _ in range(n):
                spec = make_spec(len(self.asked), self.rng, self.lease_s)
                self.asked[spec.task] = spec
                for _ in range(2 if self.twice.random() < 0.1 else 1):
                    self.channel.basic_publish("", JOBS, body_of(spec).encode(),
                                               pika.BasicProperties(delivery_mode=2),
                                               mandatory=True)
                self.confirmed[spec.task] = spec
        except (pika.exceptions.AMQPError, OSError):
            self.channel = None

    def run(self):
        self.fleet.hosts.enter("server")
        super().run()
        if self.channel and self.channel.is_open:
            self.connection.close()

    def all_over(self):
        return super().all_over() and len(self.confirmed) <= len(self.seen)


def queues(rabbit):
    """{queue: (messages, of which were given out and not acknowledged)}"""
    found = {}
    for line in rabbit.ctl("list_queues", "name", "messages", "messages_unacknowledged",
                           "--no-table-headers").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit():
            found[words[0]] = (int(words[1]), int(words[2]))
    return found


def take_results(rabbit):
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url()))
    channel = connection.channel()
    results = []
    while True:
        method, _, body = channel.basic_get(RESULTS, auto_ack=True)
        if not method:
            break
        results.append(json.loads(body))
    connection.close()
    return results
