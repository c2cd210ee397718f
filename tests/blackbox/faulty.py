"""
A scanner that does as it is ordered: nmap as planned jobs start it, stage by stage.

    world = World(directory)             writes the programs; give world.nmap, world.masscan
    world.hosts = {"127.0.0.1": {22: "ssh"}}
    world.order("crash", stage="ports", target="127.0.0.1", times=1)
    world.runs()                         what was started, in order: stage, targets, ports, rate, ...

The program looks at its orders each time it starts: the first that fits is obeyed. It tells what
really ran in a log of its own, and whether the same work was under way twice at the same time.
"""

import json
import os

PROGRAM = r'''#!/usr/bin/python3 -IS
import fcntl, hashlib, json, os, signal, sys, time

HOME = os.path.dirname(os.path.abspath(sys.argv[0]))
MASSCAN = sys.argv[0].endswith("masscan")
if "--version" in sys.argv or "-V" in sys.argv:
    print("\nMasscan version 1.3.2 ( https://github.com/robertdavidgraham/masscan )" if MASSCAN
          else "Nmap version 7.93 ( https://nmap.org )")
    sys.exit(0)


def number(ip):
    a, b, c, d = map(int, ip.split("."))
    return a << 24 | b << 16 | c << 8 | d


def text(n):
    return ".".join(str(n >> s & 255) for s in (24, 16, 8, 0))


def spread(word):
    """(first, last) of an address, prefix or range."""
    if "/" in word:
        ip, bits = word.split("/")
        n = 1 << (32 - int(bits))
        first = number(ip) // n * n
        return first, first + n - 1
    if "-" in word:
        first, last = word.split("-")
        first = number(first)
        return first, number(last) if "." in last else first // 256 * 256 + int(last)
    return number(word), number(word)


def value(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def port_list(words):
    found = set()
    for word in (words or "").split(","):
        if word:
            first, _, last = word.replace("T:", "").partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


with open(HOME + "/world.json") as f:
    world = json.load(f)
with open(value("-iL")) as f:
    lines = f.read().split()
ranges = sorted(spread(w) for w in lines)
asked = port_list(value("-p"))
stage = "sweep" if MASSCAN else "hosts" if "-sn" in sys.argv else "services" if "-sV" in sys.argv else "ports"
mine = [h for h in sorted(world["hosts"], key=number)
        if any(a <= number(h) <= b for a, b in ranges)]
key = hashlib.sha1(json.dumps([stage, ranges, sorted(asked)]).encode()).hexdigest()


def tell(what, **more):
    row = {"what": what, "key": key, "stage": stage, "at": time.monotonic(), **more}
    with open(HOME + "/log", "a") as f:
        f.write(json.dumps(row) + "\n")


lock = open(f"{HOME}/lock-{key}", "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    tell("twice")
tell("start", targets=lines, ports=value("-p"), argv=sys.argv[1:],
     rate=int(value("--rate" if MASSCAN else "--max-rate", 0)), addresses=sum(b - a + 1 for a, b in ranges))


def fits(o):
    if o.get("stage") not in (None, stage):
        return False
    if o.get("target") and not any(a <= number(o["target"]) <= b for a, b in ranges):
        return False
    if o.get("port") and o["port"] not in asked:
        return False
    for i in range(o["times"]) if o.get("times") else ():
        try:
            os.close(os.open(f"{HOME}/order-{o['id']}-{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return True
        except FileExistsError:
            pass
    return not o.get("times")


order = next((o for o in world["orders"] if fits(o)), {"do": "well"})
do = order["do"]
out = sys.stdout


def say(s):
    out.write(s)
    out.flush()


def die(do):
    if do == "crash":
        import ctypes
        ctypes.string_at(0)  # no signal sent: filters may refuse that
    if do == "fail":
        sys.stderr.write("QUITTING!\n\x1b[31mstand-in failed on purpose\n")
        sys.exit(3)


if order.get("pause"):
    time.sleep(order["pause"])
if do in ("crash", "fail"):
    die(do)
if do == "nothing":
    sys.exit(0)
if do == "garbage":
    say("Segmentation violation in libnothing: this is no XML <<<>>>\n\0\xff")
    sys.exit(0)



def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1000)


if MASSCAN:
    rows = ['{"ip": "%s", "timestamp": "1795262400", "ports": [ {"port": %d, "proto": "tcp", '
            '"status": "open", "reason": "syn-ack", "ttl": 64} ] }' % (ip, p)
            for ip in mine for p in sorted(asked & set(map(int, world["hosts"][ip])))]
    say("[\n")
    for i, row in enumerate(rows):
        if do == "half" and i == len(rows) // 2:
            say(row[: len(row) // 2])
            sys.exit(0)
        say(("," if i else "") + row + "\n")
    if do in ("hang", "mute"):
        hang()
    while do == "flood":
        say(rows[0] + ",\n" * 20000)
    if do in ("late-crash", "late-fail"):
        die(do[5:])
    say("]\n")
    tell("end")
    sys.exit(0)

say('<?xml version="1.0"?>\n<!DOCTYPE nmaprun>\n<nmaprun scanner="nmap" args="nmap %s" '
    'start="1795262400" version="7.93" xmloutputversion="1.05">\n' % " ".join(sys.argv[1:]))
if asked:
    say('<scaninfo type="connect" protocol="tcp" numservices="%d" services="%s"/>\n'
        % (len(asked), value("-p").replace("T:", "")))
if do == "flood":
    say("<!-- ")
    sent = 0
    try:
        while sent < order["mb"]:
            os.write(1, b"x" * (1 << 20))
            sent += 1
    finally:
        tell("sent", mb=sent)
    sys.exit(0)


def host(ip):
    rows = ""
    here = {int(p): s for p, s in world["hosts"][ip].items()}
    if stage != "hosts":
        for p in sorted(asked & set(here)):
            service = ('<service name="%s" product="Stand-in" method="probed" conf="10"/>'
                       if stage == "services" else '<service name="%s" method="table" conf="3"/>')
            rows += ('<port protocol="tcp" portid="%d"><state state="open" reason="syn-ack" '
                     'reason_ttl="0"/>%s</port>' % (p, service % here[p]))
        shut = sorted(asked - set(here))
        if shut:
            rows = ('<extraports state="closed" count="%d"><extrareasons reason="conn-refused" '
                    'count="%d" proto="tcp" ports="%s"/></extraports>'
                    % (len(shut), len(shut), ",".join(map(str, shut)))) + rows
        rows = "<ports>" + rows + "</ports>"
    return ('<host starttime="1795262400" endtime="1795262401"><status state="up" '
            'reason="conn-refused" reason_ttl="0"/><address addr="%s" addrtype="ipv4"/>'
            '%s<times srtt="100" rttvar="100" to="100000"/></host>\n' % (ip, rows))


if do == "mute":
    hang()
for i, ip in enumerate(mine):
    row = host(ip)
    if do == "half" and i == len(mine) - 1:
        say(row[: len(row) // 2])
        sys.exit(0)
    if do == "drip":
        for k in range(0, len(row), 40):
            say(row[k:k + 40])
            time.sleep(order.get("every", 0.01))
    else:
        say(row)
    if do == "steps":
        say('<taskprogress task="Connect Scan" time="1795262400" percent="%.2f" remaining="1" '
            'etc="1795262500"/>\n' % (100.0 * (i + 1) / len(mine)))
        time.sleep(order.get("every", 0.05))
if do == "half":
    sys.exit(0)
if do == "hang":
    hang()
if do in ("late-crash", "late-fail"):
    die(do[5:])
say('<runstats><finished time="1795262402" elapsed="2.00" exit="success" summary="done"/>'
    '<hosts up="%d" down="0" total="%d"/></runstats>\n</nmaprun>\n' % (len(mine), len(mine)))
tell("end")
'''


class World:
    def __init__(self, directory):
        self.home = directory
        directory.mkdir()
        directory.chmod(0o777)
        self.nmap, self.masscan = directory / "nmap", directory / "masscan"
        for program in (self.nmap, self.masscan):
            program.write_text(PROGRAM)
            program.chmod(0o755)
        (directory / "log").touch()
        (directory / "log").chmod(0o666)
        self._hosts, self._orders = {}, []
        self._write()

    def _write(self):
        new = self.home / "world.new"
        new.write_text(json.dumps({"hosts": self._hosts, "orders": self._orders}))
        new.chmod(0o644)
        os.rename(new, self.home / "world.json")

    @property
    def hosts(self):
        return self._hosts

    @hosts.setter
    def hosts(self, hosts):
        self._hosts = hosts
        self._write()

    def order(self, do, **when):
        self._orders.append({"do": do, "id": len(self._orders), **when})
        self._write()

    def forget_orders(self):
        for row in self._orders:
            row["stage"] = "none"
        self._write()

    def log(self):
        return [json.loads(line) for line in (self.home / "log").read_text().splitlines()]

    def runs(self, stage=None):
        return [r for r in self.log() if r["what"] == "start" and stage in (None, r["stage"])]

    def twice(self):
        """Work that was under way twice at the same time."""
        return [r for r in self.log() if r["what"] == "twice"]
