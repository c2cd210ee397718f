"""Results leave in six formats, come in from files of other programs, and are compared."""

import csv
import gzip
import html.parser
import io
import json
import re
import subprocess
import time
import xml.etree.ElementTree as etree
from pathlib import Path

import pytest

from conftest import ROOT, Listener, free_port

V1 = "/api/v1/scans"
FORMATS = ["nmap-xml", "grepable", "csv", "ndjson", "markdown", "html"]
DATA = ROOT / "tests/data"
SHARED = ROOT.parent / "shared/fixtures"
DTD = "/usr/share/nmap/nmap.dtd"

FORMULA = "=cmd|' /C calc'!A0"
BIDI, C1 = "\u202e", "\u009b"


def hostile_xml(big=0):
    """What nmap writes of a service that would like to do harm to those who read of it."""
    banner = f"{FORMULA} {BIDI}{C1}31m&lt;script&gt;alert(1)&lt;/script&gt; \\x1b[2J"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -oX - x" start="1795262400" version="7.93" xmloutputversion="1.05">
<host starttime="1795262400" endtime="1795262401"><status state="up" reason="reset" reason_ttl="0"/>
<address addr="192.0.2.9" addrtype="ipv4"/>
<hostnames><hostname name="&quot;&gt;&lt;img src=x onerror=alert(1)&gt;.example" type="PTR"/></hostnames>
<ports><port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="64"/>
<service name="http" product="{banner}" version="1&#9;2&#13;3|`4" extrainfo="@SUM(1)" method="probed" conf="10"/>
<script id="http-title" output="+1+1&#10;&lt;a href=&quot;javascript:alert(1)&quot;&gt;x{'A' * big}"/></port></ports>
<times srtt="1" rttvar="1" to="1"/></host>
<runstats><finished time="1795262402" timestr="x" elapsed="2" exit="success"/><hosts up="1" down="0" total="1"/></runstats>
</nmaprun>
""".encode()


def hand_in(srv, data, **query):
    return srv.post("/api/v1/imports", data=data, params=query)


def ended(srv, job_id, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = srv.get(f"{V1}/{job_id}?wait=30").json()
        if job["completed_at"]:
            return job
    pytest.fail(f"{job_id} did not end in {seconds} s: {job}")


def imported(srv, data, **query):
    r = hand_in(srv, data, **query)
    assert r.status_code == 202, r.text
    return ended(srv, r.json()["id"])


def scanned(srv, targets, ports, **body):
    r = srv.post(V1, json={"targets": targets, "ports": ",".join(map(str, ports)), **body})
    assert r.status_code == 202, r.text
    job = ended(srv, r.json()["id"])
    assert job["state"] == "completed", job
    return job


def export(srv, job, form):
    r = srv.get(f"{V1}/{job['id']}/export", params={"format": form})
    assert r.status_code == 200, r.text
    return r


def hosts_of(srv, job):
    r = srv.get(f"{V1}/{job['id']}/hosts?format=ndjson&order=address")
    assert r.status_code == 200, r.text
    return [json.loads(line) for line in r.text.splitlines()]


def facts(hosts):
    """What must survive any way through a file: not the place in a list."""
    return [{k: v for k, v in h.items() if k != "seq"} for h in hosts]


def findings(hosts):
    """{(address, protocol, port): state}"""
    return {(h["address"], p["protocol"], p["port"]): p["state"] for h in hosts for p in h["ports"]}


def nmap_valid(path):
    done = subprocess.run(
        ["xmllint", "--noout", "--nonet", "--dtdvalid", DTD, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ndiff of nmap 7.93 sorts results of scripts, which cannot be compared since it is Python 3.
NDIFF = [
    "/usr/bin/python3", "-c",
    "import sys, ndiff; ndiff.ScriptResult.__lt__ = lambda a, b: a.id < b.id; sys.exit(ndiff.main())",
]  # fmt: skip

SOURCES = [
    "nmap/version.xml", "nmap/os.xml", "nmap/udp.xml", "nmap/ipv6.xml", "nmap/host_timeout.xml",
    "masscan/all.json", "masscan/all.xml", "zmap/v4.json", "zmap/v2.csv",
]  # fmt: skip


@pytest.fixture
def real(make_server, real_nmap):
    return make_server(tool=real_nmap)


@pytest.fixture(scope="module")
def hostile(server):
    return imported(server, hostile_xml(), name="hostile.xml")


# ---------------------------------------------------------------- out


@pytest.mark.parametrize("profile", ["standard", None])
def test_a_real_scan_is_exported_as_nmap_itself_would_write_it(real, scanpod, listener, workdir, profile):
    how = {"profile": profile} if profile else {"tool": "nmap", "arguments": "-sV"}
    closed = free_port()
    job = scanned(real, "127.0.0.1 127.0.0.2", [listener.port, closed], **how)
    path = workdir / "scan.xml"
    scanpod("export", job["id"], "--file", path, server=real, check=True)
    assert path.read_bytes() == export(real, job, "nmap-xml").content
    nmap_valid(path)

    from libnmap.parser import NmapParser

    report = NmapParser.parse_fromfile(str(path))
    assert {(h.address, port) for h in report.hosts for port, _ in h.get_open_ports()} == {
        ("127.0.0.1", listener.port)
    }
    assert {h.address for h in report.hosts if h.is_up()} == {"127.0.0.1", "127.0.0.2"}
    assert report.hosts_up == 2 and report.summary is not None
    root = etree.parse(path).getroot()
    assert root.get("scanner") == "nmap" and root.find("runstats/finished").get("exit") == "success"
    # The same, read by ndiff: no difference to itself, one to a scan without the listener.
    same = subprocess.run([*NDIFF, path, path], capture_output=True, text=True)
    assert same.returncode == 0, same.stderr
    other = workdir / "other.xml"
    port = str(listener.port)
    other.write_text(re.sub(
        rf'(portid="{port}"><state state=)"open"', r'\1"closed"', path.read_text()))  # fmt: skip
    found = subprocess.run([*NDIFF, path, other], capture_output=True, text=True)
    assert found.returncode == 1 and re.search(rf"^-{port}/tcp open", found.stdout, re.M)


def test_each_format_tells_of_the_same_port(real, scanpod, listener):
    job = scanned(real, "127.0.0.1", [listener.port], profile="quick")
    port = listener.port
    for form in FORMATS:
        r = export(real, job, form)
        done = scanpod("export", job["id"], "--format", form, server=real, check=True, text=False)
        assert done.stdout == r.content and done.stderr == b""
        assert r.headers["Content-Disposition"].startswith("attachment")
        assert r.headers["X-Content-Type-Options"] == "nosniff"
        again = real.get(f"{V1}/{job['id']}/export?format={form}",
                         headers={"If-None-Match": r.headers["ETag"]})  # fmt: skip
        assert again.status_code == 304
        assert "127.0.0.1" in r.text and str(port) in r.text
    assert f"Ports: {port}/open/tcp//" in export(real, job, "grepable").text
    (row,) = csv.DictReader(io.StringIO(export(real, job, "csv").content.decode(), newline=""))
    assert (row["address"], row["port"], row["state"]) == ("127.0.0.1", str(port), "open")
    lines = export(real, job, "ndjson").text.splitlines()
    assert [json.loads(x) for x in lines] == hosts_of(real, job)
    assert f"| `{port}/tcp` | `open` |" in export(real, job, "markdown").text


@pytest.mark.parametrize("source", SOURCES)
def test_what_came_from_files_is_exported_as_valid_xml(server, workdir, source):
    job = imported(server, (DATA / source).read_bytes(), name=source)
    path = workdir / "export.xml"
    path.write_bytes(export(server, job, "nmap-xml").content)
    nmap_valid(path)
    same = subprocess.run([*NDIFF, path, path], capture_output=True, text=True)
    assert same.returncode == 0, same.stderr

    from libnmap.parser import NmapParser

    opened = {(h.address, n) for h in NmapParser.parse_fromfile(str(path)).hosts
              for n, _ in h.get_open_ports()}  # fmt: skip
    assert opened == {(a, n) for (a, _, n), s in findings(hosts_of(server, job)).items() if s == "open"}


def test_a_format_that_is_none_and_a_job_that_runs_are_refused(make_server, scanpod, fake_nmap):
    srv = make_server(tool=fake_nmap("hang"))
    job = srv.submit()
    srv.wait_running(job)
    assert srv.get(f"{V1}/{job}/export?format=csv").status_code == 409
    assert srv.get(f"{V1}/{job}/export?format=pdf").status_code == 422
    assert srv.get(f"{V1}/{job}/export").status_code == 422
    assert srv.get(f"{V1}/{'0' * 32}/export?format=csv").status_code == 404
    done = scanpod("export", job, "--format", "pdf", server=srv)
    assert done.returncode == 2 and "nmap-xml, grepable, csv, ndjson, markdown, html" in done.stderr
    done = scanpod("export", job, "--file", "never", server=srv)
    assert done.returncode == 1 and done.stdout == ""
    assert scanpod("diff", job, job, server=srv).returncode == 2, "it still runs"
    srv.post(f"/scans/{job}/cancel")


def test_a_file_that_cannot_be_written_is_told_and_not_left(server, scanpod, hostile, workdir):
    full = Path("/dev/full")
    done = scanpod("export", hostile["id"], "--file", full, server=server)
    assert done.returncode != 0 and "No space left" in done.stderr
    assert full.is_char_device(), "what is no file is not removed"
    done = scanpod("export", "0" * 32, "--file", workdir / "none.xml", server=server)
    assert done.returncode == 1 and not (workdir / "none.xml").exists()


# ---------------------------------------------------------------- hostile text


class Page(html.parser.HTMLParser):
    """All that could act in a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.acts, self.policy = set(), [], None

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        if tag == "meta" and (given.get("http-equiv") or "").lower() == "content-security-policy":
            self.policy = given["content"]
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "srcdoc", "action", "formaction", "data"):
                self.acts.append((tag, name, value))
            if name in ("href", "xlink:href") and not (value or "").startswith("#"):
                self.acts.append((tag, name, value))


def test_a_page_loads_nothing_and_does_nothing(server, hostile):
    r = export(server, hostile, "html")
    assert r.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in r.headers["Content-Security-Policy"]
    assert "sandbox" in r.headers["Content-Security-Policy"]
    page = Page()
    page.feed(r.text)
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    assert page.acts == [] and "default-src 'none'" in page.policy
    assert "&lt;script&gt;alert(1)" in r.text, "it is shown, as text"
    assert "url(" not in r.text and "@import" not in r.text


def test_no_cell_of_a_sheet_is_a_formula(server, hostile):
    text = export(server, hostile, "csv").content.decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == 2 and len(rows[0]) == len(rows[1])
    row = dict(zip(*rows))
    assert row["product"].startswith("'" + FORMULA) and row["extrainfo"] == "'@SUM(1)"
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")) for cell in rows[1])


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_text_moves_no_cursor_in_any_format(server, hostile, form):
    text = export(server, hostile, form).content.decode("utf-8")
    assert "\x1b" not in text and "\0" not in text
    if form not in ("ndjson",):  # there text is as it is, for programs
        assert BIDI not in text and C1 not in text
    plain = text.replace("\r\n", "\n") if form == "csv" else text
    assert {c for c in plain if ord(c) < 32} <= ({"\n", "\t"} if form == "grepable" else {"\n"})
    if form == "nmap-xml":
        service = etree.fromstring(text.encode()).find(".//service")
        assert service.get("product").startswith(f"{FORMULA} {BIDI}{C1}31m<script>")
        assert service.get("version") == "1\t2\r3|`4"
    elif form == "ndjson":
        assert json.loads(text)["ports"][0]["product"].startswith(f"{FORMULA} {BIDI}")
    elif form == "grepable":
        assert all(re.match(r"#|Host: ", line) for line in text.splitlines())
        ports = re.search(r"\tPorts: (.*)", text)[1].split("\t")[0]
        assert ports.count(",") == 0 and ports.count("/") == 7
    elif form == "markdown":
        outside = [re.sub(r"`[^`]*`", "", x) for x in text.splitlines() if not x.startswith("    ")]
        assert not any("<" in x or "javascript:" in x for x in outside), "it is code, all of it"


def test_a_banner_of_a_mebibyte_goes_through_every_format(server, scanpod):
    job = imported(server, hostile_xml(big=1 << 20))
    assert job["state"] in ("completed", "failed")
    if job["state"] == "completed":
        for form in FORMATS:
            r = export(server, job, form)
            assert b"192.0.2.9" in r.content and b"=cmd" in r.content
        assert scanpod("job", "show", job["id"], server=server).returncode == 0
    else:
        assert job["reason"] == "limit" or "limit" in (job["error"] or ""), job


# ---------------------------------------------------------------- in


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_exported_comes_in_again_as_the_same_hosts(server, source):
    first = imported(server, (DATA / source).read_bytes(), name=source)
    assert first["imported"] is True and first["targets"] == source
    second = imported(server, export(server, first, "nmap-xml").content)
    third = imported(server, export(server, second, "nmap-xml").content)
    hosts = hosts_of(server, second)
    assert findings(hosts) == findings(hosts_of(server, first)) and len(hosts) > 0
    assert facts(hosts_of(server, third)) == facts(hosts)
    if source.startswith("nmap/"):
        assert facts(hosts) == facts(hosts_of(server, first))
    assert second["counts"] == first["counts"]


def test_a_scan_comes_in_again_as_the_same_hosts(real, scanpod, listener, workdir):
    job = scanned(real, "127.0.0.1 127.0.0.2", [listener.port], tool="nmap", arguments="-sV")
    path = workdir / "result.xml"
    scanpod("export", job["id"], "--format", "nmap-xml", "--file", path, server=real, check=True)
    done = scanpod("import", path, "--detach", server=real, check=True)
    again = ended(real, done.stdout.strip())
    assert facts(hosts_of(real, again)) == facts(hosts_of(real, job))
    assert again["targets"] == "result.xml" and again["tool"] == "nmap"
    raw = ended(real, hand_in(real, real.get(f"{V1}/{job['id']}/raw").content).json()["id"])
    assert facts(hosts_of(real, raw)) == facts(hosts_of(real, job))
    assert scanpod("diff", job["id"], again["id"], server=real).returncode == 0


def test_every_form_of_masscan_says_the_same(server, scanpod):
    seen = []
    for form in ("json", "ndjson", "list", "xml", "grepable"):
        path = DATA / f"masscan/all.{form}"
        done = scanpod("import", path, "-o", "json", server=server, check=True)
        job = json.loads(done.stdout)
        assert job["tool"] == "masscan" and (job["state"], job["partial"]) == ("completed", False)
        assert job["targets"] == f"all.{form}"
        seen.append(findings(job["results"]))
    assert all(one == seen[0] for one in seen)
    assert set(seen[0].items()) == {
        (("192.0.2.10", "tcp", 80), "open"), (("192.0.2.10", "tcp", 22), "open"),
        (("192.0.2.20", "tcp", 22), "open"), (("192.0.2.20", "tcp", 8080), "open"),
    }  # fmt: skip
    (extra,) = [h["extraports"] for h in job["results"] if h["address"] == "192.0.2.30"][0]
    assert (extra["state"], extra["count"]) == ("closed", 3)


def test_every_form_of_zmap_says_the_same(server):
    v2c, v4c, v2j, v4j = (
        findings(hosts_of(server, imported(server, (DATA / f"zmap/{name}").read_bytes())))
        for name in ("v2.csv", "v4.csv", "v2.json", "v4.json")
    )
    assert v2c == v4c and v2j == v4j
    assert v4j["192.0.2.10", "tcp", 80] == "open" and v4j["192.0.2.20", "tcp", 22] == "open"
    listed = hosts_of(server, imported(server, (DATA / "zmap/addresses.csv").read_bytes()))
    assert [h["address"] for h in listed] == ["192.0.2.10", "192.0.2.20"]


def test_files_of_other_runs_come_in_as_expected(server):
    if not SHARED.is_dir():
        pytest.skip("shared fixtures are not beside")
    files = sorted((SHARED / "masscan").rglob("*.expect.json"))
    files += sorted((SHARED / "zmap").rglob("*.expect.json"))
    assert len(files) > 30
    for expectation in files:
        source = expectation.with_name(expectation.name.removesuffix(".expect.json"))
        tool = source.relative_to(SHARED).parts[0]
        want = json.loads(expectation.read_text())["findings"]
        job = imported(server, source.read_bytes(), format=tool)
        assert job["state"] == "completed", (source, job["error"])
        hosts = hosts_of(server, job)
        opened = {(a, n) for (a, _, n), s in findings(hosts).items() if s == "open"}
        expected = {(f["ip"], f["port"]) for f in want
                    if f["status"] == "open" and f["port"] and f.get("proto") != "icmp"}  # fmt: skip
        assert opened == expected, source
        up = {h["address"] for h in hosts if h["state"] == "up"}
        assert up >= {f["ip"] for f in want if f["status"] in ("open", "up", "listed")}, source


@pytest.mark.parametrize(
    "data, query, says",
    [
        (b"", {}, "it is empty"),
        (b"hello, world\n", {}, "it is text"),
        (b"\x7fELF\0\0\0\0", {}, "it is binary"),
        (gzip.compress(b"<nmaprun/>", mtime=0), {}, "compressed"),
        (b"<!DOCTYPE html><html><body>", {}, "web page"),
        (b"<?xml version='1.0'?><rss/>", {}, "no nmaprun"),
        (b'{"results": []}', {}, "it is JSON, but not of masscan"),
        ("Starting Nmap 7.93\nNmap scan report for x\n".encode(), {}, "-oX FILE"),
        ("<nmaprun/>".encode("utf-16"), {}, "UTF-16"),
        ((DATA / "zmap/status.csv").read_bytes(), {}, "zmap's status file"),
        ((DATA / "zmap/metadata.json").read_bytes(), {}, "zmap's metadata file"),
        ((DATA / "masscan/paused.conf").read_bytes(), {}, "paused.conf"),
        (b"masscan/1.1\n\0\0\0", {}, "--readscan"),
        ((DATA / "masscan/all.json").read_bytes(), {"format": "nmap"}, "it is that of masscan"),
        ((DATA / "zmap/v4.json").read_bytes(), {"format": "masscan"}, "it is that of zmap"),
        ((DATA / "nmap/version.xml").read_bytes(), {"format": "zmap"}, "it is that of nmap"),
        (b"x", {"format": "nessus"}, "auto, nmap, masscan, zmap or sarif"),
        ((DATA / "nmap/version.xml").read_bytes(), {"name": "a\nb"}, "control characters"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_what_it_is(server, data, query, says):
    before = server.get(f"{V1}?limit=1").json()["items"]
    r = hand_in(server, data, **query)
    assert r.status_code == 422 and r.headers["Content-Type"] == "application/problem+json", r.text
    assert says in r.json()["errors"][0]["detail"], r.text
    assert server.get(f"{V1}?limit=1").json()["items"] == before
    assert not list((server.data_dir).rglob("imports/*")), "nothing of it is left"


def test_what_the_command_line_says_of_such_files(server, scanpod, workdir):
    text = workdir / "notes.txt"
    text.write_text("hello\n")
    done = scanpod("import", text, server=server)
    assert done.returncode == 2 and "neither nmap's XML" in done.stderr and "; :" not in done.stderr
    (workdir / "empty").touch()
    done = scanpod("import", workdir / "empty", server=server)
    assert done.returncode == 2 and "it is empty" in done.stderr
    for tool in ("masscan", "zmap"):  # found nothing
        done = scanpod("import", workdir / "empty", "--format", tool, "-o", "json", server=server,
                       check=True)  # fmt: skip
        job = json.loads(done.stdout)
        assert (job["state"], job["tool"], job["results"]) == ("completed", tool, [])
    assert scanpod("import", workdir, server=server).returncode == 2
    missing = scanpod("import", workdir / "none.xml", server=server)
    assert missing.returncode == 2 and "No such file" in missing.stderr


@pytest.mark.parametrize("source", ["nmap/version.xml", "masscan/all.json", "masscan/all.xml"])
def test_a_file_that_was_cut_off_is_partial_and_says_why(server, scanpod, source):
    data = (DATA / source).read_bytes()
    whole = findings(hosts_of(server, imported(server, data)))
    kept = []
    for part in (0.97, 0.8):
        job = imported(server, data[: int(len(data) * part)], name="cut")
        hosts = findings(hosts_of(server, job))
        if source == "masscan/all.json" and job["state"] == "completed":
            # masscan leaves such files when it is ended; what it found by then is whole.
            assert job["partial"] or hosts.items() <= whole.items()
        else:
            assert job["state"] == "failed" and job["reason"] == "bad_output" and job["error"], job
        assert hosts.items() <= whole.items() or source.startswith("masscan"), "nothing is made up"
        kept.append(len(hosts))
    assert kept[0] >= kept[1]
    done = scanpod("job", "show", job["id"], server=server)
    assert job["state"] == "completed" or job["error"][:20] in done.stdout


def test_the_hosts_before_a_cut_are_kept(server):
    rows = [f'<host><status state="up" reason="reset" reason_ttl="0"/>'
            f'<address addr="192.0.2.{i}" addrtype="ipv4"/></host>\n' for i in range(1, 9)]  # fmt: skip
    text = ('<?xml version="1.0"?>\n<nmaprun scanner="nmap" args="x" start="1" version="7.93" '
            'xmloutputversion="1.05">\n' + "".join(rows))  # fmt: skip
    job = imported(server, (text + "<host><sta").encode())
    assert job["state"] == "failed" and job["partial"] is True, job
    assert [h["address"] for h in hosts_of(server, job)] == [f"192.0.2.{i}" for i in range(1, 9)]
    end = etree.fromstring(export(server, job, "nmap-xml").content).find("runstats/finished")
    assert end.get("exit") == "error" and end.get("errormsg")


def test_a_file_that_is_too_large_is_413_and_leaves_nothing(make_server, scanpod, workdir):
    srv = make_server(env={"SCANPOD_MAX_IMPORT_MB": "1"})
    data = hostile_xml(big=2 << 20)
    r = hand_in(srv, data)
    assert r.status_code == 413, r.text

    def blocks():
        for i in range(0, len(data), 1 << 16):
            yield data[i : i + (1 << 16)]

    try:
        assert hand_in(srv, blocks()).status_code == 413
    except ConnectionError:
        pass  # the answer came before all was sent
    path = workdir / "large.xml"
    path.write_bytes(data)
    done = scanpod("import", path, server=srv)
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert srv.get(V1).json()["items"] == []
    assert not [p for p in srv.data_dir.rglob("*") if p.is_file() and p.stat().st_size > 600_000
                and "scanpod.db" not in p.name]  # fmt: skip
    assert imported(srv, hostile_xml())["state"] == "completed"


def test_an_import_is_a_job_that_lives_on_but_does_not_run_again(make_server):
    srv = make_server()
    job = imported(srv, (DATA / "nmap/version.xml").read_bytes())
    hosts = hosts_of(srv, job)
    assert srv.post(f"{V1}/{job['id']}/retry").status_code == 409
    srv.restart()
    assert hosts_of(srv, job) == hosts and srv.get(f"{V1}/{job['id']}").json()["imported"] is True
    assert srv.get(f"{V1}/{job['id']}/raw").content == (DATA / "nmap/version.xml").read_bytes()
    assert srv.delete(f"{V1}/{job['id']}").status_code == 204


def test_importing_needs_a_key_that_may_submit(server):
    assert server.post("/api/v1/imports", data=b"<nmaprun", key=None).status_code == 401
    key = server.post("/api/v1/keys", json={"name": "looker", "scopes": ["read"]}).json()
    r = server.post("/api/v1/imports", data=hostile_xml(), key=key["key"])
    assert r.status_code == 403, r.text
    server.delete(f"/api/v1/keys/{key['id']}")


# ---------------------------------------------------------------- differences


def test_what_opened_closed_and_was_not_looked_at(real, scanpod):
    first, second, third = Listener(), free_port(), Listener()
    try:
        a = scanned(real, "127.0.0.1", [first.port, second], profile="quick")
        first.close()
        opened = Listener(port=second)
        try:
            b = scanned(real, "127.0.0.1", [first.port, second, third.port], profile="quick")
        finally:
            opened.close()
    finally:
        third.close()
    doc = real.get(f"/api/v1/diff?a={a['id']}&b={b['id']}").json()
    assert {(i["kind"], i["address"], i["port"]) for i in doc["items"]} == {
        ("closed", "127.0.0.1", first.port), ("opened", "127.0.0.1", second),
        ("not_scanned_a", "127.0.0.1", third.port),
    }, doc  # fmt: skip
    assert doc["counts"]["opened"] == doc["counts"]["closed"] == doc["counts"]["not_scanned_a"] == 1

    def run(x, y, *flags):
        return scanpod("diff", x["id"], y["id"], *flags, server=real)

    text = run(a, b)
    assert text.returncode == 1 and f"{second}/tcp" in text.stdout
    assert len(text.stdout.splitlines()) == 4 and text.stdout.splitlines()[-1].startswith("# ")
    assert json.loads(run(a, b, "-o", "json").stdout) == doc
    lines = [json.loads(x) for x in run(a, b, "-o", "ndjson").stdout.splitlines()]
    assert lines[:-1] == doc["items"] and lines[-1] == {"counts": doc["counts"]}
    back = real.get(f"/api/v1/diff?a={b['id']}&b={a['id']}").json()
    assert {i["kind"] for i in back["items"]} == {"closed", "opened", "not_scanned_b"}
    for flags in ([], ["-o", "json"], ["-o", "ndjson"]):
        assert run(a, b, *flags).returncode == 1
        assert run(a, a, *flags).returncode == 0
        assert run(b, b, *flags).returncode == 0


def test_what_cannot_be_compared_is_2_and_not_a_difference(server, scanpod, hostile):
    for other in ("0" * 32, "0000dead", "xyz"):
        done = scanpod("diff", hostile["id"], other, server=server)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("error: ")
    r = server.get(f"/api/v1/diff?a={hostile['id']}&format=xml")
    assert r.status_code == 422
    assert {e["pointer"] for e in r.json()["errors"]} == {"?b", "?format"}


def test_imports_without_coverage_never_say_closed(server):
    a = imported(server, (DATA / "masscan/all.json").read_bytes())
    b = imported(server, (DATA / "masscan/all.ndjson").read_bytes().splitlines(True)[0])
    kinds = {i["kind"] for i in server.get(f"/api/v1/diff?a={a['id']}&b={b['id']}").json()["items"]}
    assert "closed" not in kinds and "not_scanned_b" in kinds


def test_pairs_that_ndiff_knows_differ_where_it_says_so(server, scanpod):
    if not SHARED.is_dir():
        pytest.skip("shared fixtures are not beside")
    pairs = [p.parent for p in sorted((SHARED / "ndiff").glob("*/exit-status"))]
    assert len(pairs) >= 8
    for pair in pairs:
        a, b = (imported(server, (pair / name).read_bytes()) for name in ("a.xml", "b.xml"))
        status = int((pair / "exit-status").read_text().strip())
        done = scanpod("diff", a["id"], b["id"], server=server)
        assert done.returncode == status, (pair.name, done.stdout, done.stderr)
        assert scanpod("diff", a["id"], a["id"], server=server).returncode == 0


def test_a_hostile_difference_is_inert_on_a_terminal(server, scanpod, hostile):
    other = imported(server, hostile_xml().replace(FORMULA.encode(), b"nginx"))
    done = scanpod("diff", hostile["id"], other["id"], server=server)
    assert done.returncode == 1 and "product" in done.stdout
    assert BIDI not in done.stdout and C1 not in done.stdout and "\x1b" not in done.stdout
