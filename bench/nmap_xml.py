"""A small nmap document: what the stand-in prints."""

SERVICES = ((22, "ssh"), (80, "http"), (443, "https"))


def document(hosts):
    """Hosts 127.0.0.1, .2, ... with three open ports each."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE nmaprun>\n'
        '<nmaprun scanner="nmap" args="nmap -oX - -sT -p 22,80,443 127.0.0.1" start="1795297609" '
        'startstr="Sat Nov 21 21:46:49 2026" version="7.93" xmloutputversion="1.05">\n'
        '<scaninfo type="connect" protocol="tcp" numservices="3" services="22,80,443"/>\n'
        '<verbose level="0"/>\n<debugging level="0"/>\n'
    ]
    for n in range(1, hosts + 1):
        ports = "".join(
            f'<port protocol="tcp" portid="{port}"><state state="open" reason="syn-ack" '
            f'reason_ttl="0"/><service name="{name}" method="table" conf="3"/></port>\n'
            for port, name in SERVICES)
        parts.append(
            '<host starttime="1795297609" endtime="1795297609"><status state="up" '
            f'reason="localhost-response" reason_ttl="0"/>\n<address addr="127.0.0.{n}" '
            f'addrtype="ipv4"/>\n<hostnames>\n</hostnames>\n<ports>{ports}</ports>\n'
            '<times srtt="56" rttvar="5000" to="100000"/>\n</host>\n')
    parts.append(
        '<runstats><finished time="1795297609" timestr="Sat Nov 21 21:46:49 2026" '
        f'summary="Nmap done; {hosts} IP addresses scanned" elapsed="0.02" exit="success"/>'
        f'<hosts up="{hosts}" down="0" total="{hosts}"/>\n</runstats>\n</nmaprun>\n')
    return "".join(parts)
