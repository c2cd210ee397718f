"""Results taken in and out over the API: imports, exports, differences."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest

from conftest import wait_until

V1 = "/api/v1"
MASSCAN = (
    b'[\n{"ip": "10.0.0.1", "timestamp": "1700000000", "ports": [{"port": 80, "proto": "tcp", '
    b'"status": "open", "reason": "syn-ack", "ttl": 64}]},\n'
    b'{"ip": "10.0.0.2", "timestamp": "1700000001", "ports": [{"port": 22, "proto": "tcp", '
    b'"status": "open", "reason": "syn-ack", "ttl": 64}]}\n]\n'
)
NMAP = (
    b'<?xml version="1.0"?>\n<!DOCTYPE nmaprun>\n<nmaprun scanner="nmap" args="nmap -oX - 10.0.0.1" '
    b'start="1700000000" version="7.93" xmloutputversion="1.05">\n'
    b'<host><status state="up" reason="syn-ack" reason_ttl="0"/>'
    b'<address addr="10.0.0.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="80">'
    b'<state state="open" reason="syn-ack" reason_ttl="0"/><service name="http" method="table" '
    b'conf="3"/></port></ports></host>\n<runstats><finished time="1700000001" exit="success"/>'
    b'<hosts up="1" down="0" total="1"/></runstats>\n</nmaprun>\n'
)
ZMAP = b"10.0.0.9\n10.0.0.3\n"


def ended(srv, job_id):
    path = f"{V1}/scans/{job_id}"
    return wait_until(
        lambda: (lambda j: j if j["completed_at"] else None)(srv.get(path).json()), 30, "the end"
    )


def imported(srv, data, **params):
    r = srv.post(f"{V1}/imports", data=data, params=params)
    assert r.status_code == 202, r.text
    job = ended(srv, r.json()["id"])
    assert job["state"] == "completed", job
    assert job["imported"] and "coverage" not in job
    return job


def export(srv, job, form):
    r = srv.get(f"{V1}/scans/{job['id']}/export", params={"format": form})
    assert r.status_code == 200, r.text
    return r


def test_a_file_is_imported_and_goes_out_in_every_format(server):
    job = imported(server, MASSCAN, name="office.json")
    assert (job["tool"], job["targets"]) == ("masscan", "office.json")
    assert job["counts"] == {"hosts": 2, "hosts_up": 2, "ports_open": 2}
    rows = list(csv.DictReader(io.StringIO(export(server, job, "csv").text)))
    assert [(r["address"], r["port"]) for r in rows] == [("10.0.0.1", "80"), ("10.0.0.2", "22")]
    lines = [json.loads(x) for x in export(server, job, "ndjson").text.splitlines()]
    assert [h["address"] for h in lines] == ["10.0.0.1", "10.0.0.2"]
    for form in ("grepable", "markdown", "html"):
        assert "10.0.0.2" in export(server, job, form).text
    raw = server.get(f"{V1}/scans/{job['id']}/raw", params={"task": 0})
    assert raw.content == MASSCAN


def test_an_exported_result_can_be_imported_and_is_the_same(server):
    first = imported(server, NMAP)
    xml = export(server, first, "nmap-xml").content
    assert ET.fromstring(xml).tag == "nmaprun"
    second = imported(server, xml)
    assert second["tool"] == "nmap" and second["counts"] == first["counts"]
    r = server.get(f"{V1}/diff", params={"a": first["id"], "b": second["id"]})
    counts = r.json()["counts"]
    assert (counts["hosts_same"], counts["ports_same"]) == (1, 1), r.text
    assert counts["opened"] == counts["closed"] == 0


def test_addresses_of_zmap_come_in_order(server):
    job = imported(server, ZMAP, format="zmap")
    hosts = server.get(f"{V1}/scans/{job['id']}/hosts", params={"order": "address"}).json()
    assert [h["address"] for h in hosts["items"]] == ["10.0.0.3", "10.0.0.9"]


@pytest.mark.parametrize(
    "data,params,says",
    [(b"hello world", {}, "text"), (b"", {}, "empty"), (MASSCAN, {"format": "nmap"}, "masscan"),
     (b"\x1f\x8b\x08\x00", {}, "compressed"), (MASSCAN, {"format": "xml"}, "auto, nmap")],
)  # fmt: skip
def test_a_file_that_is_not_what_it_says_is_refused_and_not_kept(server, data, params, says):
    kept = server.data_dir / "blob" / "import"
    before = set(kept.iterdir())
    r = server.post(f"{V1}/imports", data=data, params=params)
    assert r.status_code == 422 and says in r.text, r.text
    assert set(kept.iterdir()) <= before
