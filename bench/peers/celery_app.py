"""Celery's side of the fleet's part: `celery -A celery_app worker`, and with COUNT the load.

usage: celery_app.py COUNT    prints tasks a second, from the first submit to the last result
"""
import os
import sys
import time

from celery import Celery

SOCKET = os.environ["PEER_REDIS"]
app = Celery("noop", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(task_acks_late=True, worker_hijack_root_logger=False)


@app.task(name="noop")
def noop():
    return None


def results(client, ids):
    """Those of which no result is there yet: asked by hundreds, which costs the server little."""
    left = []
    for i in range(0, len(ids), 500):
        part = ids[i:i + 500]
        found = client.mget([f"celery-task-meta-{t}" for t in part])
        left += [t for t, value in zip(part, found) if value is None]
    return left


def main():
    from redis import Redis
    noop.delay().get(timeout=60)  # the worker is there
    client = Redis(unix_socket_path=SOCKET)
    start = time.monotonic()
    left = [noop.apply_async().id for _ in range(int(sys.argv[1]))]
    count = len(left)
    while left:
        time.sleep(0.02)
        left = results(client, left)
    print(count / (time.monotonic() - start))


if __name__ == "__main__":
    main()
