"""
A small machine of our own: Debian's cloud kernel under qemu, without acceleration and without a
network card, with a file system that is put together from files of this machine.

    image = Image(kernel)
    image.program("/usr/bin/busybox")               with the libraries that it loads
    image.put("/etc/passwd", "root:x:0:0::/:/bin/sh\n")
    console = image.boot("/init.sh", seconds=120)   lines; the last word is a status

The file system is one archive in memory. A script of ours moves it to a tmpfs before anything
else: from the archive's own root, pivot_root() does not work.
"""

import lzma
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64")

FIRST = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mkdir /new
mount -t tmpfs -o size=80%,mode=755 none /new
cp -a /dev /etc /home /init.sh /mods /proc /root /run /sys /tmp /usr /var /bin /sbin /lib /lib64 /new/
mount -t devtmpfs dev /new/dev
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
for m in /new/mods/*.ko; do [ -e "$m" ] && insmod "$m"; done
exec switch_root /new START
"""

# For machines whose first process is a script: the rest of what it needs, and its status.
SECOND = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root
mount -t tmpfs none /tmp
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
sh /init.sh
echo "machine: status $?"
poweroff -f
"""


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


class Kernel:
    """Downloaded once, and unpacked, never installed."""

    def __init__(self, cache):
        self.root = Path(cache) / "kernel"
        if not (self.root / "done").exists():
            self._fetch()
        self.image = next((self.root / "boot").glob("vmlinuz-*"))
        self.version = self.image.name.removeprefix("vmlinuz-")
        modules = [self.root / "usr/lib/modules", self.root / "lib/modules"]
        self.modules = next(m for m in modules if m.exists()) / self.version

    def _fetch(self):
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            self._download()
        except (LookupError, subprocess.CalledProcessError):  # no lists, or old ones
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            run(*as_root, "apt-get", "-qq", "update")
            self._download()
        (self.root / "done").touch()

    def _download(self):
        for name in KERNELS:
            depends = subprocess.run(
                ["apt-cache", "depends", name], capture_output=True, text=True, check=False
            ).stdout
            # The kernel, and where that is a package of its own, its modules.
            wanted = re.findall(r"Depends: (linux-(?:image|modules)-[0-9]\S*)", depends)
            if wanted:
                break
        else:
            raise LookupError("apt knows no kernel")
        with tempfile.TemporaryDirectory() as folder:
            run("apt-get", "-q", "download", *wanted, cwd=folder)
            for package in Path(folder).glob("*.deb"):
                run("dpkg-deb", "-x", str(package), str(self.root))

    def module_files(self, names):
        """Files of the modules and of all they depend on, in the order to load them."""
        found = {}
        for path in self.modules.rglob("*.ko*"):
            found[path.name.split(".ko")[0].replace("-", "_")] = path
        order = []

        def add(name):
            path = found.get(name.replace("-", "_"))
            if path is None or path in order:  # built in, or there already
                return
            depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
            for other in (depends.group(1).decode().split(",") if depends else []):
                if other:
                    add(other)
            order.append(path)

        for name in names:
            add(name)
        return order


def libraries(program):
    """What the loader would map, as paths."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    if "not found" in listed:
        raise RuntimeError(f"{program}: {listed}")
    return re.findall(r"(/\S+) \(0x", listed)


class Image:
    def __init__(self, kernel):
        self.kernel = kernel
        self.entries = {}  # path without the first slash: (mode, bytes)
        for folder in ("dev", "etc", "home", "mods", "proc", "root", "run", "sys", "tmp", "var",
                       "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
            self.folder("/" + folder)
        for link, to in LINKS.items():
            self.link("/" + link, to)
        self.program("/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox",
                     "/usr/bin/busybox")
        for name in run("busybox", "--list").split():
            if not name.startswith("busybox"):
                self.entries.setdefault(f"usr/bin/{name}", (stat.S_IFLNK | 0o777, b"busybox"))

    @staticmethod
    def _place(path):
        parts = path.strip("/").split("/")
        return "/".join([LINKS.get(parts[0], parts[0])] + parts[1:])

    def _put(self, path, mode, content):
        place = self._place(path)
        parent = os.path.dirname(place)
        if parent and parent not in self.entries:
            self.folder("/" + parent)
        self.entries[place] = (mode, content)

    def folder(self, path):
        self._put(path, stat.S_IFDIR | 0o755, b"")

    def link(self, path, to):
        entry = (stat.S_IFLNK | 0o777, to.encode())
        if path.strip("/") in LINKS:
            self.entries[path.strip("/")] = entry
        else:
            self._put(path, *entry)

    def put(self, path, content, mode=0o644):
        data = content.encode() if isinstance(content, str) else content
        self._put(path, stat.S_IFREG | mode, data)

    def file(self, path, at=None):
        """A file of this machine, links followed."""
        self.put(at or path, Path(path).read_bytes(), os.stat(path).st_mode & 0o755)

    def program(self, path, at=None):
        self.file(path, at)
        for library in libraries(path):
            self.file(library)

    def modules(self, *names):
        for i, path in enumerate(self.kernel.module_files(names)):
            data = path.read_bytes()
            if path.suffix == ".zst":
                data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True,
                                      check=True).stdout
            elif path.suffix == ".xz":
                data = lzma.decompress(data)
            self.put(f"/mods/{i:03d}-{path.name.split('.ko')[0]}.ko", data)

    def archive(self, out):
        """The format that the kernel unpacks: cpio "newc", everything owned by root."""
        def row(number, name, mode, data):
            head = b"070701" + b"%08x" * 13 % (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                                              len(name) + 1, 0)
            out.write(head + name.encode() + b"\0")
            out.write(b"\0" * (-(len(head) + len(name) + 1) % 4) + data + b"\0" * (-len(data) % 4))

        for number, (name, (mode, data)) in enumerate(sorted(self.entries.items()), 1):
            row(number, name, mode, data)
        row(0, "TRAILER!!!", 0, b"")

    def boot(self, start, seconds, memory_mb=512, append=""):
        """Runs until it powers off; the console's lines. `start`: the script's text, or the path
        of another first process."""
        if start.startswith("/"):
            first = start
            self.put("/init.sh", "")
        else:
            first = "/usr/sbin/second"
            self.put("/usr/sbin/second", SECOND, 0o755)
            self.put("/init.sh", start)
        self.put("/init", FIRST.replace("START", first), 0o755)
        with tempfile.NamedTemporaryFile() as archive:
            self.archive(archive)
            archive.flush()
            command = [
                "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-m", str(memory_mb),
                "-smp", "2", "-display", "none", "-monitor", "none", "-serial", "stdio",
                "-no-reboot", "-nic", "none", "-kernel", str(self.kernel.image),
                "-initrd", archive.name, "-append",
                f"console=ttyS0 quiet panic=-1 {append}",
            ]
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=seconds,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                output = done.stdout
            except subprocess.TimeoutExpired as late:
                output = (late.stdout or b"") + b"\nmachine: broken off\n"
        text = output.decode(errors="replace").replace("\r", "")
        return re.sub(r"\x1b\[?[0-9;?]*[a-zA-Z]", "", text).splitlines()


def why_not():
    """Why no machine can be booted here; None if one can."""
    for command in ("qemu-system-x86_64", "busybox", "apt-get", "dpkg-deb"):
        if not shutil.which(command):
            return f"there is no {command}"
    if os.uname().machine != "x86_64":
        return "these machines are x86-64"
    return None
