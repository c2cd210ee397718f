"""GET of a finished job with ten hosts: against the peers, with a million stored, with TLS."""
import shutil

from measure import rounds, submit, wait_completed, wrk
from nmap_xml import document
from servers import FastApi, Nginx, ScanPod, stand_in, store_copy, temp_dir, tls_pair

REQUEST = {"targets": "127.0.0.1", "ports": "22,80,443", "arguments": "-sT"}


def finished_job(server):
    """Runs one scan with the stand-in; its path and its body."""
    c = server.connect()
    path = f"/scans/{submit(server, c, REQUEST)}"
    wait_completed(server, c, path.rsplit("/", 1)[1], 0.01)
    status, body = server.ask(c, "GET", path)
    c.close()
    assert status == 200 and body.count('"ports"') >= 10, body[:300]
    return path, body


def case(server, path, plan):
    return lambda seconds: wrk(server.url(path), seconds or plan.seconds, key=server.key)


def run(plan, report):
    nmap = stand_in(document(10))
    many_dir, many_data, _ = store_copy(plan.stored)
    pair_dir = temp_dir()
    try:
        with ScanPod(nmap / "nmap") as one, \
                ScanPod(nmap / "nmap", data_dir=many_data) as many, \
                ScanPod(nmap / "nmap", tls=tls_pair(pair_dir)) as secure, \
                FastApi(nmap) as peer:
            measure(plan, report, one, many, secure, peer, pair_dir)
    finally:
        for path in (nmap, many_dir, pair_dir):
            shutil.rmtree(path, ignore_errors=True)


def measure(plan, report, one, many, secure, peer, pair_dir):
    path, body = finished_job(one)
    peer_path, peer_body = finished_job(peer)
    many_path, _ = finished_job(many)
    secure_path, _ = finished_job(secure)
    with Nginx(body, tls=(pair_dir / "cert.pem", pair_dir / "key.pem")) as nginx:
        got = rounds({
            "one": case(one, path, plan),
            "peer": case(peer, peer_path, plan),
            "nginx": case(nginx, "/body", plan),
            "many": case(many, many_path, plan),
            "tls": case(secure, secure_path, plan),
            "nginx tls": lambda seconds: wrk(f"https://127.0.0.1:{nginx.tls_port}/body",
                                             seconds or plan.seconds),
        }, plan.rounds)
    report.note("bytes of the body", f"{len(body)}", f"peer {len(peer_body)}")
    report.ratio("GET by id, against FastAPI", got["one"]["rate"], got["peer"]["rate"],
                 got["one"].ratio(got["peer"]), 8)
    report.ratio("GET by id, against nginx", got["one"]["rate"], got["nginx"]["rate"],
                 got["one"].ratio(got["nginx"]), 0.5)
    report.ratio(f"GET by id, {plan.stored:,} jobs against one", got["many"]["rate"],
                 got["one"]["rate"], got["many"].ratio(got["one"]), 0.9)
    report.ratio("GET by id, TLS against plain", got["tls"]["rate"], got["one"]["rate"],
                 got["tls"].ratio(got["one"]), 0.7)
    report.note("the same of nginx", f"{got['nginx tls']['rate']:,.0f}/s",
                f"{got['nginx tls'].ratio(got['nginx']):.2f}x of its plain")
    report.note("GET by id with TLS, against nginx with TLS", f"{got['tls']['rate']:,.0f}/s",
                f"{got['tls'].ratio(got['nginx tls']):.2f}x")
    report.note("p99", f"{got['one']['p99_us'] / 1000:.2f} ms",
                f"peer {got['peer']['p99_us'] / 1000:.2f} ms, "
                f"nginx {got['nginx']['p99_us'] / 1000:.2f} ms")

