"""POST /scans, on disk before the answer: against the peer's dict, nginx, the disk itself."""
import json
import shutil
import subprocess

from measure import load, rounds, wrk
from servers import FastApi, Nginx, ScanPod, program, store_copy

REQUEST = {"targets": "127.0.0.1", "ports": "22,80,443", "arguments": "-sT"}


def post(server, plan):
    return lambda seconds: wrk(server.url("/scans"), seconds or plan.seconds, method="POST",
                               key=server.key, body=REQUEST)


def alone(server, plan):
    return lambda seconds: load(server, "/scans", seconds or plan.seconds, connections=1,
                                method="POST", body=REQUEST)


def append(directory, plan):
    """One fdatasync append after the other, on the disk that the store is on."""
    count = 200 if plan.quick else 5000

    def one(_):
        out = subprocess.run([program("append"), str(directory / "append"), str(count)], check=True,
                             text=True, stdout=subprocess.PIPE).stdout
        return json.loads(out)
    return one


def run(plan, report):
    many_dir, many_data, _ = store_copy(plan.stored)
    settings = {"max_scan_workers": "0", "max_jobs": "0"}
    try:
        with ScanPod(**settings) as few, ScanPod(data_dir=many_data, **settings) as many, \
                FastApi(run=False) as peer:
            c = few.connect()
            _, accepted = few.ask(c, "POST", "/scans", REQUEST)
            c.close()
            with Nginx(accepted=accepted) as nginx:
                measure(plan, report, few, many, peer, nginx)
    finally:
        shutil.rmtree(many_dir, ignore_errors=True)


def measure(plan, report, few, many, peer, nginx):
    got = rounds({
        "few": post(few, plan),
        "peer": post(peer, plan),
        "nginx": post(nginx, plan),
        "many": post(many, plan),
        "append": append(few.dir, plan),
        "alone": alone(few, plan),
    }, plan.rounds)
    few_, many_ = got["few"], got["many"]
    report.ratio("durable POST, against FastAPI's dict", few_["rate"], got["peer"]["rate"],
                 few_.ratio(got["peer"]), 6)
    report.ratio("durable POST, against nginx's static answer", few_["rate"], got["nginx"]["rate"],
                 few_.ratio(got["nginx"]), 0.3)
    report.at_most("durable POST, p99", few_["p99_us"] / 1000, 10, "ms",
                   f"peer {got['peer']['p99_us'] / 1000:.1f} ms")
    report.ratio(f"durable POST, {plan.stored:,} jobs stored", many_["rate"], few_["rate"],
                 many_.ratio(few_), 0.5)
    report.at_most("the same, p99", many_["p99_us"] / 1000, 10, "ms")
    report.at_most_times("one POST alone, against one fdatasync append", got["alone"]["p50_us"],
                         got["append"]["p50_us"], 1.5, "us")
