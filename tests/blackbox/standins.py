"""
Stand-ins for nmap: small /bin/sh programs that behave in one way, well or badly.

    ok         hosts=1, ports=(80,): that many hosts of 127.0.0.0/8, up, with those open ports
    instant    the same as ok with one host, without any loop: the cheapest run
    hang       reports one complete host, then never ends (dies of TERM)
    stubborn   as hang, but ignores TERM and INT: only KILL ends it
    tree       as hang, with children and a grandchild that ignore TERM, one in its own session
    progress   steps=10, pause=0.1: taskprogress between hosts, then ends well
    fail       status=3, text=...: writes to stderr and exits with that status
    crash      one complete host, then SIGSEGV
    truncated  one complete host and half of a second one, then exit 0
    garbage    no XML at all, exit 0
    flood      mb=512: one comment that never ends, larger than any cap
    noisy      kb=1024 on stderr, then a good result
    timedout   one host with timedout="true" and no ports
    stdin      proves that stdin is empty and the environment is clean: writes what it sees to stderr
    guarded    program=...: the real one, for loopback targets only
"""

VERSION = """case "$1" in --version|-V)
    echo "Nmap version 7.93 ( https://nmap.org )"; exit 0 ;;
esac
"""

HEAD = """cat <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<!-- Nmap 7.93 scan initiated Sat Nov 21 12:00:00 2026 as: nmap -oX - stand-in -->
<nmaprun scanner="nmap" args="nmap -oX - stand-in" start="1795262400" version="7.93" \
xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="1" services="80"/>
XML
"""

PORT = (
    '<port protocol="tcp" portid="{port}"><state state="open" reason="syn-ack" reason_ttl="0"/>'
    '<service name="{service}" product="Stand-in" version="1.0" method="probed" conf="10">'
    "<cpe>cpe:/a:example:stand-in:1.0</cpe></service></port>"
)

HOST_HEAD = (
    '<host starttime="1795262400" endtime="1795262401">'
    '<status state="up" reason="localhost-response" reason_ttl="0"/>'
    '<address addr="{addr}" addrtype="ipv4"/>'
    '<hostnames><hostname name="localhost" type="PTR"/></hostnames><ports>'
)
HOST_TAIL = '</ports><times srtt="100" rttvar="100" to="100000"/></host>'


def host_xml(addr, ports=(80,)):
    services = {22: "ssh", 80: "http", 443: "https"}
    rows = "".join(PORT.format(port=p, service=services.get(p, "unknown")) for p in ports)
    return HOST_HEAD.format(addr=addr) + rows + HOST_TAIL


def tail_xml(hosts):
    return (
        '<runstats><finished time="1795262402" elapsed="2.00" exit="success" '
        'summary="Nmap done"/><hosts up="%d" down="0" total="%d"/></runstats>\n</nmaprun>' % (hosts, hosts)
    )


def here(text):
    return f"cat <<'XML'\n{text}\nXML\n"


def host_address(i):
    return f"127.{(i >> 16) & 255}.{(i >> 8) & 255}.{i & 255}"


def _ok(hosts=1, ports=(80,)):
    rows = "\n".join(host_xml(host_address(i + 1), ports) for i in range(hosts))
    return HEAD + here(rows + "\n" + tail_xml(hosts))


def _instant():
    return _ok()


FOR_EVER = "while :; do sleep 1000 & wait $!; done\n"


def _hang():
    return "trap 'kill $! 2>/dev/null; exit 143' TERM INT\n" + HEAD + here(host_xml("127.0.0.1")) + FOR_EVER


def _stubborn():
    return "trap '' TERM INT HUP\n" + HEAD + here(host_xml("127.0.0.1")) + FOR_EVER


def _tree():
    return (
        "trap '' TERM INT HUP\n"
        "(trap '' TERM INT HUP; (trap '' TERM INT HUP; sleep 1001) & sleep 1002; sleep 1003) &\n"
        "setsid sh -c \"trap '' TERM INT HUP; sleep 1004; sleep 1005\" &\n"
        + HEAD + here(host_xml("127.0.0.1")) + FOR_EVER
    )  # fmt: skip


def _progress(steps=10, pause=0.1):
    text = HEAD
    for i in range(1, steps + 1):
        percent = 100.0 * i / steps
        text += here(
            f'<taskprogress task="Connect Scan" time="1795262400" percent="{percent:.2f}" '
            f'remaining="{steps - i}" etc="1795262500"/>'
        )
        text += f"sleep {pause}\n"
        text += here(host_xml(host_address(i)))
    return text + here(tail_xml(steps))


def _fail(status=3, text="QUITTING! stand-in failed on purpose"):
    return f"cat >&2 <<'XML'\n{text}\nXML\nexit {status}\n"


def _crash():
    # A stack that overflows: not every level lets a program signal itself.
    return HEAD + here(host_xml("127.0.0.1")) + "ulimit -s 256\nf() { f; }\nf\n"


def _truncated():
    half = host_xml("127.0.0.2")
    return HEAD + here(host_xml("127.0.0.1")) + f"printf '%s' '{half[: len(half) // 2]}'\n"


def _garbage():
    return "echo 'Segmentation violation in libnothing: this is no XML <<<>>>'\n"


def _flood(mb=512):
    return HEAD + f"printf '<!-- '\ndd if=/dev/zero bs=1M count={mb} 2>/dev/null | tr '\\0' x\n"


def _noisy(kb=1024):
    return (
        f"dd if=/dev/zero bs=1024 count={kb} 2>/dev/null | tr '\\0' 'e' >&2\n"
        "echo >&2; echo 'last line of stderr' >&2\n" + _ok()
    )  # fmt: skip


def _timedout():
    host = (
        '<host starttime="1795262400" endtime="1795262401" timedout="true">'
        '<status state="up" reason="localhost-response" reason_ttl="0"/>'
        '<address addr="127.0.0.1" addrtype="ipv4"/></host>\n'
    )
    return HEAD + here(host + tail_xml(1))


def _stdin():
    return "env >&2\ncat >&2\necho \"cwd $(pwd)\" >&2\nid >&2\n" + _ok()


def _guarded(program):
    octet = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
    loopback = f"(127(\\.{octet}){{3}}(/([89]|[12][0-9]|3[0-2]))?|localhost|::1(/128)?)"
    return f"""file=
for word in "$@"; do
    if [ "$file" = next ]; then
        file=$word
        continue
    fi
    case "$word" in
    -iL) file=next ;;
    --) echo "refused: targets come in a file" >&2; exit 77 ;;
    -iL*|-iR*|--resume*|--script*|-D*|-S*|-b*|-sI*|-e*|--proxies*|-PS*|-PA*)
        echo "refused: '$word'" >&2; exit 77 ;;
    esac
done
[ -s "$file" ] || {{ echo "refused: no targets" >&2; exit 77; }}
while read -r word || [ -n "$word" ]; do
    printf '%s\\n' "$word" | grep -Eqx '{loopback}' || {{
        echo "refused: '$word' is not on this machine" >&2; exit 77
    }}
done <"$file"
exec {program} "$@"
"""


STANDINS = {
    "ok": _ok,
    "instant": _instant,
    "hang": _hang,
    "stubborn": _stubborn,
    "tree": _tree,
    "progress": _progress,
    "fail": _fail,
    "crash": _crash,
    "truncated": _truncated,
    "garbage": _garbage,
    "flood": _flood,
    "noisy": _noisy,
    "timedout": _timedout,
    "stdin": _stdin,
    "guarded": _guarded,
}


def standin_script(name, script, parameters):
    """The text of a program: the one called `name`, or `script` as its body."""
    if script is None:
        script = STANDINS[name](**parameters)
    version = "" if name == "guarded" else VERSION
    if name == "guarded":
        version = f'case "$1" in --version|-V) exec {parameters["program"]} --version ;; esac\n'
    return "#!/bin/sh\n" + version + script
