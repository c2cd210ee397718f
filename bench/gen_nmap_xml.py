#!/usr/bin/python3
"""Writes about 100 MB of nmap XML, always the same: gen_nmap_xml.py PATH [MEGABYTES].

22,000 hosts with 24 ports each in the style of nmap 7.93; one host in four was asked for versions
and scripts. Addresses are from the range for benchmarks (RFC 2544); nothing is scanned.
"""
import random
import sys

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/bin/../share/nmap/nmap.xsl" type="text/xsl"?>
<!-- Nmap 7.93 scan initiated Tue Nov 14 22:13:20 2023 as: nmap -sV -sC -oX - 198.18.0.0/17 -->
<nmaprun scanner="nmap" args="nmap -sV -sC -oX - 198.18.0.0/17" start="1700000000" startstr="Tue Nov 14 22:13:20 2023" version="7.93" xmloutputversion="1.05">
<scaninfo type="syn" protocol="tcp" numservices="1000" services="1,3-4,6-7,9,13,17,19-26"/>
<verbose level="0"/>
<debugging level="0"/>
"""
TAIL = """<runstats><finished time="1700009999" timestr="Wed Nov 15 00:59:59 2023" summary="Nmap done" elapsed="9999.00" exit="success"/><hosts up="{up}" down="0" total="{up}"/>
</runstats>
</nmaprun>
"""
PORTS = [21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 993, 995, 1433, 1723, 3306,
         3389, 5432, 5900, 8080, 8443]
NAMES = ["ftp", "ssh", "telnet", "smtp", "domain", "http", "pop3", "rpcbind", "msrpc", "netbios-ssn",
         "imap", "ldap", "https", "microsoft-ds", "imaps", "pop3s", "ms-sql-s", "pptp", "mysql",
         "ms-wbt-server", "postgresql", "vnc", "http-proxy", "https-alt"]
PRODUCTS = [("OpenSSH", "9.2p1 Debian 2+deb12u3", "protocol 2.0", "cpe:/a:openbsd:openssh:9.2p1"),
            ("nginx", "1.22.1", None, "cpe:/a:igor_sysoev:nginx:1.22.1"),
            ("Postfix smtpd", None, None, "cpe:/a:postfix:postfix"),
            ("Apache httpd", "2.4.57", "(Debian)", "cpe:/a:apache:http_server:2.4.57"),
            ("MariaDB", "10.11.4", "unauthorized", "cpe:/a:mariadb:mariadb:10.11.4")]


def port(out, rnd, number, name, detailed):
    state, reason = rnd.choice([("open", "syn-ack"), ("closed", "reset"), ("filtered", "no-response")])
    out.append(f'<port protocol="tcp" portid="{number}"><state state="{state}" reason="{reason}" '
               f'reason_ttl="{rnd.choice((0, 63, 64))}"/>')
    if state != "open" or not detailed:
        out.append(f'<service name="{name}" method="table" conf="3"/></port>\n')
        return
    product, version, extra, cpe = rnd.choice(PRODUCTS)
    out.append(f'<service name="{name}" product="{product}"')
    if version:
        out.append(f' version="{version}"')
    if extra:
        out.append(f' extrainfo="{extra}"')
    out.append(f' method="probed" conf="10"><cpe>{cpe}</cpe><cpe>cpe:/o:linux:linux_kernel</cpe></service>')
    if rnd.random() < 0.5:
        key = "".join(rnd.choice("0123456789abcdef") for _ in range(32))
        out.append('<script id="ssh-hostkey" output="&#xa;  256 '
                   f'{key} (ECDSA)&#xa;  256 {key[::-1]} (ED25519)"><table>\n'
                   f'<elem key="type">ecdsa-sha2-nistp256</elem>\n<elem key="bits">256</elem>\n'
                   f'<elem key="fingerprint">{key}</elem>\n</table>\n</script>')
    out.append("</port>\n")


def host(rnd, k):
    out = [f'<host starttime="{1700000000 + k // 10}" endtime="{1700000060 + k // 10}">'
           '<status state="up" reason="echo-reply" reason_ttl="63"/>\n'
           f'<address addr="198.18.{k >> 8 & 127}.{k & 255}" addrtype="ipv4"/>\n<hostnames>\n'
           f'<hostname name="host-{k}.bench.example" type="PTR"/>\n</hostnames>\n'
           '<ports><extraports state="filtered" count="976">\n'
           '<extrareasons reason="no-response" count="976" proto="tcp" ports="1,3-4,6-7,9"/>\n</extraports>\n']
    for number, name in zip(PORTS, NAMES):
        port(out, rnd, number, name, k % 4 == 0)
    out.append(f'</ports>\n<times srtt="{rnd.randrange(100, 90000)}" rttvar="{rnd.randrange(9999)}" '
               'to="100000"/>\n</host>\n')
    return "".join(out)


def main():
    path = sys.argv[1]
    limit = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 100_000_000
    rnd = random.Random(1)
    size = k = 0
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD)
        while size < limit:
            text = host(rnd, k)
            f.write(text)
            size += len(text)
            k += 1
        f.write(TAIL.format(up=k))
    print(f"{path}: {k} hosts, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
