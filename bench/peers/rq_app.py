"""RQ's load for the fleet's part; `rq worker` imports noop() from rq_task.

usage: rq_app.py COUNT    prints tasks a second, from the first submit to the last result
"""
import os
import sys
import time

from redis import Redis
from rq import Queue

from rq_task import noop


def main():
    client = Redis(unix_socket_path=os.environ["PEER_REDIS"])
    queue = Queue("noop", connection=client)
    first = queue.enqueue(noop)
    while not first.is_finished:  # the workers are there
        time.sleep(0.01)
    start = time.monotonic()
    left = [queue.enqueue(noop).id for _ in range(int(sys.argv[1]))]
    count = len(left)
    while left:
        time.sleep(0.02)
        pipe = client.pipeline(transaction=False)
        for job in left:
            pipe.hget(f"rq:job:{job}", "status")
        left = [job for job, state in zip(left, pipe.execute()) if state != b"finished"]
    print(count / (time.monotonic() - start))


if __name__ == "__main__":
    main()
