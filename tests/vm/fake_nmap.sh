#!/bin/sh
# A scanner that does what its target asks for: x.x.x.5 takes memory, x.x.x.6 processes,
# x.x.x.8 its time.
case " $* " in *" --version "* | *" -V "*)
    echo "Nmap version 7.93 ( https://nmap.org )"
    exit 0
    ;;
esac
cat <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap" start="1795262400" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="3" services="1-3"/>
XML
target=$(cat targets)
case $target in
*.5) exec /usr/bin/cgroup_guest hog memory ;;
*.6) exec /usr/bin/cgroup_guest hog processes ;;
*.8) exec sleep 600 ;;
esac
cat <<XML
<host><status state="up" reason="user-set" reason_ttl="0"/>
<address addr="$target" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="1"><state state="open" reason="syn-ack" reason_ttl="0"/>
</port></ports></host>
<runstats><finished time="1795262401" elapsed="1" exit="success"/>
<hosts up="1" down="0" total="1"/></runstats>
</nmaprun>
XML
