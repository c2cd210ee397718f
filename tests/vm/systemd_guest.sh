#!/bin/sh
# Runs as a unit of its own once the server's units are up; lines "guest: KEY VALUE" are what
# test_vm.py looks at.
export PATH=/usr/sbin:/usr/bin HOME=/root
say() { echo "guest: $*"; }

state() { systemctl show -p ActiveState --value "$1"; }

# What a process may do: "uid 61001 CapEff 0 CapBnd 0 NoNewPrivs 1 Seccomp 2"
rights() {
    awk '/^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):/ {printf "%s %s ", $1, $2}' "/proc/$1/status"
}

# Until a command succeeds, 20 s at most.
wait_for() {
    i=0
    until "$@" >/tmp/waited 2>&1 || [ $i -ge 100 ]; do
        i=$((i + 1))
        sleep 0.2
    done
}

# One line: the job as JSON, and a message if it did not end well.
scan() { scanpod scan -o json --wait --wait-timeout 60 --retries 0 -p 1-3 "$@" 2>&1 | tr -d '\n'; }

pid_of() { systemctl show -p MainPID --value "$1"; }

wait_for scanpod job list -o json
say server "$(state scanpod)" netd "$(state scanpod-netd)"
[ "$(state scanpod)" = active ] || journalctl -b --no-pager -u scanpod -u scanpod-netd | tail -n 40

main=$(pid_of scanpod)
netd=$(pid_of scanpod-netd)
say rights-netd "$(rights "$netd")"
say user-netd "$(stat -c %U "/proc/$netd")"
while read -r pid; do
    say rights-server "$(rights "$pid")" user "$(stat -c %U "/proc/$pid")"
done </sys/fs/cgroup/system.slice/scanpod.service/supervisor/cgroup.procs
say main-group "$(cut -d: -f3 "/proc/$main/cgroup")"
say controllers "$(cat /sys/fs/cgroup/system.slice/scanpod.service/cgroup.subtree_control)"

for target in 10.77.1.7 10.77.1.5 10.77.1.6 127.0.0.5; do
    say "scan-$target" "$(scan $target)"
done

# Netd dies in the middle of a scan: both come back, and nothing of the scan is left.
job=$(scanpod scan --detach --retries 0 -p 1-3 10.77.1.8)
running() { scanpod job show "$job" -o json | grep -q '"state":"running"'; }
wait_for running
say before-crash "$(scanpod job show "$job" -o json 2>&1 | tr -d '\n')"
kill -9 "$netd"
came_back() {
    new=$(pid_of scanpod-netd)
    [ "$new" != 0 ] && [ "$new" != "$netd" ] && [ "$(state scanpod)" = active ] &&
        scanpod job list -o json
}
wait_for came_back
scanpod job cancel "$job" >/tmp/cancel 2>&1
say after-crash "$(scanpod job show "$job" -o json 2>&1 | tr -d '\n')"
say scan-again "$(scan 10.77.1.7)"
sleep 0.5

# Nothing is left over.
say groups "$(find /sys/fs/cgroup/system.slice/scanpod.service -name 'run-*' | wc -l)"
say links "$(find /sys/class/net -name 'sp*' | wc -l)"
say processes "$(pgrep -f 'cgroup_guest hog|sleep 600' | wc -l)"

systemctl stop scanpod scanpod-netd
say stopped "$(state scanpod)" "$(state scanpod-netd)"
say result "$(systemctl show -p Result --value scanpod)" \
    "$(systemctl show -p Result --value scanpod-netd)"
say left "$(ps -o user | awk '/^scanpod/ {n++} END {print n + 0}')"

# A fleet: the server leaves its scans, and netd, to the worker. Redis is between them.
mkdir -p /etc/systemd/system/scanpod.service.d
cp /usr/share/scanpod-fleet.conf /etc/systemd/system/scanpod.service.d/fleet.conf
echo SCANPOD_TRANSPORT=redis://127.0.0.1 >/etc/scanpod/server.env
chmod 600 /etc/scanpod/server.env /etc/scanpod/worker.env
systemctl daemon-reload
systemctl start guest-redis scanpod scanpod-worker
worker_is() { scanpod worker list -o json | grep -q "\"state\":\"$1\""; }
wait_for worker_is up
say fleet "$(state scanpod)" worker "$(state scanpod-worker)"
say fleet-workers "$(scanpod worker list -o json 2>&1 | tr -d '\n')"
while read -r pid; do
    say rights-worker "$(rights "$pid")" user "$(stat -c %U "/proc/$pid")"
done </sys/fs/cgroup/system.slice/scanpod-worker.service/supervisor/cgroup.procs
say fleet-scan-127.0.0.1 "$(scan 127.0.0.1)"
say fleet-scan-10.77.1.7 "$(scan 10.77.1.7)"

# Told to end, it hands back what runs on after the drain time, and nothing of it is left.
job=$(scanpod scan --detach --retries 0 --tool nmap -p 1-3 10.77.1.8)
wait_for running
systemctl stop scanpod-worker
handed_back() { ! running; }
wait_for handed_back
say fleet-handed-back "$(scanpod job show "$job" -o json 2>&1 | tr -d '\n')"
say fleet-worker-result "$(systemctl show -p Result --value scanpod-worker)"
say fleet-processes "$(pgrep -f 'sleep 600' | wc -l)"
systemctl stop scanpod scanpod-netd guest-redis
journalctl -b --no-pager -o cat -u scanpod-worker -u guest-redis | tail -n 30 | sed 's/^/log: /'
journalctl -b --no-pager -o cat -u scanpod -u scanpod-netd | tail -n 60 | sed 's/^/log: /'
say end
poweroff -f
