"""Redis with the settings, and with the users, that deploy/ gives it."""

import subprocess

from brokers import RedisServer, free_port
from conftest import ROOT, _new_dir

CONF = ROOT / "deploy/kubernetes/redis/redis.conf"


class FleetRedis(RedisServer):
    """
    redis-server with redis.conf, and with secrets in workdir/secrets that name its port. A user
    "admin", password "admin", may do everything.
    """

    # pylint: disable=super-init-not-called
    def __init__(self, workdir):
        self.port = free_port()
        self.secrets = workdir / "secrets"
        subprocess.run([ROOT / "deploy/make-secrets", self.secrets, f"127.0.0.1:{self.port}"],
                       check=True, capture_output=True)  # fmt: skip
        for path in (self.secrets, self.secrets / "api-key"):
            path.chmod(0o755)  # the service users of tests are not ours
        with open(self.secrets / "users.acl", "a", encoding="ascii") as f:
            f.write("user admin on >admin ~* +@all\n")
        lines = [x.split(None, 1) for x in CONF.read_text().splitlines()
                 if x and not x.startswith("#")]  # fmt: skip
        given = {**dict(lines), "aclfile": str(self.secrets / "users.acl")}
        self.aof = None
        self.options = [word for name, value in given.items() if name not in ("port", "dir", "save")
                        for word in (f"--{name}", *value.split())]  # fmt: skip
        self.dir = str(_new_dir(workdir, "redis"))
        self.process = None
        self.start()

    @property
    def key(self):
        return (self.secrets / "api-key").read_text().strip()
