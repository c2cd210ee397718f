"""
What is in deploy/ and cannot be run here is read: images, compositions, manifests and units name
each other, settings, routes, ports, files and packages as they are.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from brokers import have_redis
from conftest import ROOT, SANITIZER_ENV, SANITIZER_REPORT, free_port, proc_text, wait_until
from fleet_rig import FleetRedis

DEPLOY = ROOT / "deploy"
SETTINGS = {
    row[0]: row[1]
    for row in re.findall(r"^\| `[\w-]+` \| `(SCANPOD_\w+)`[^|]*\| [^|]*\| (?:`([^`]*)`)? ?\|",
                          (ROOT / "docs/settings.md").read_text(), re.M)
}
OPENAPI = json.loads((ROOT / "src/http/openapi.json").read_text())
VERSION = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text()).group(1)
NEEDED = [line.split() for line in (ROOT / "script/packages").read_text().splitlines()
          if line and not line.startswith("#")]
MADE = {"users.acl", "server.conf", "worker.conf", "api-key"}  # by deploy/make-secrets
LEFT_AFTER_DRAIN_S = 25  # a run is stopped, what it found is delivered


class OnceLoader(yaml.SafeLoader):
    """A key that is given twice is an error, merges left out."""

    def construct_mapping(self, node, deep=False):
        keys = [k.value for k, _ in node.value if k.tag != "tag:yaml.org,2002:merge"]
        assert len(set(keys)) == len(keys), f"{node.start_mark}: a key twice"
        self.flatten_mapping(node)
        return yaml.SafeLoader.construct_mapping(self, node, deep)


def documents(path):
    return [d for d in yaml.load_all(path.read_text(), OnceLoader) if d is not None]


def seconds(text):
    m = re.fullmatch(r"(\d+)(s|m|min)?", str(text))
    return int(m.group(1)) * (60 if m.group(2) in ("m", "min") else 1)


# ---- the image


class Containerfile:
    """.stages: [(name, image, [(instruction, text)])]"""

    KNOWN = {"FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK",
             "ENTRYPOINT", "CMD"}  # fmt: skip

    def __init__(self, text):
        self.stages = []
        lines = [x for x in text.splitlines() if not x.lstrip().startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ")
        for line in filter(None, map(str.strip, joined.splitlines())):
            word, rest = line.split(None, 1)
            assert word in self.KNOWN, line
            if word == "FROM":
                m = re.fullmatch(r"(\S+)(?: AS (\w+))?", rest)
                self.stages.append((m.group(2), m.group(1), []))
            else:
                self.stages[-1][2].append((word, rest))

    def all(self, stage, word):
        return [text for w, text in self.stages[stage][2] if w == word]

    def packages(self, stage):
        text = " ".join(self.all(stage, "RUN"))
        m = re.search(r"apt-get install -y --no-install-recommends ([^&]*)&&", text)
        return m.group(1).split()


@pytest.fixture(scope="module")
def image():
    return Containerfile((DEPLOY / "Containerfile").read_text())


def test_the_image_is_built_in_stages_of_debian_12_and_is_not_root(image):
    assert [(name, base.split("-")[0]) for name, base, _ in image.stages] == [
        ("build", "debian:12"), (None, "debian:12")]  # fmt: skip
    (user,) = image.all(-1, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    made = " ".join(image.all(-1, "RUN"))
    assert f"--uid {user.split(':', maxsplit=1)[0]} " in made and f"--gid {user.split(':')[1]} " in made


def test_what_the_image_copies_is_there_and_not_left_out(image):
    rules = [x for x in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
             if x and not x.startswith("#")]  # fmt: skip
    assert rules[0] == "*"
    for i, (name, _, _) in enumerate(image.stages):
        for text in image.all(i, "COPY"):
            words = text.split()
            if words[0].startswith("--from="):
                assert words[0].removeprefix("--from=") in [n for n, _, _ in image.stages[:i]], text
                continue
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in rules, f"{source} is not in the context"
    assert not any(fnmatch.fnmatch("LICENSE", r) for r in rules[1:] if not r.startswith("!"))


def test_packages_of_the_image_are_those_that_are_needed(image):
    build, run = image.packages(0), image.packages(-1)
    for group, check, package in (row[:3] for row in NEEDED):
        if group == "build" and check != "cmd:cc":
            assert package in build, f"the build wants {package}"
        if group == "run":
            assert package in run, f"a run wants {package}"
    assert {"nmap", "masscan", "zmap", "ca-certificates"} <= set(run)
    for packages in (build, run):
        assert len(set(packages)) == len(packages)
        assert not {"curl", "wget"} & set(packages)
    for i in range(len(image.stages)):
        for text in image.all(i, "RUN"):
            if "apt-get install" in text:
                assert text.startswith("apt-get update ") and "rm -rf /var/lib/apt/lists/*" in text


def test_every_library_of_the_program_is_in_the_image(image, scanpod_bin):
    """Those that it is linked with, and those that it loads when they are wanted."""
    listed = subprocess.run(["readelf", "-d", scanpod_bin], capture_output=True, text=True,
                            check=True).stdout  # fmt: skip
    needed = set(re.findall(r"\(NEEDED\).*\[(\S+)\]", listed))
    for source in (ROOT / "src").rglob("*_lib.c"):
        needed |= set(re.findall(r'"(lib[\w-]+\.so\.\d+)"', source.read_text())[:1])
    assert len(needed) > 8
    for name in sorted(needed):
        if re.match(r"lib(c|m|dl|gcc_s|asan|ubsan|pthread)\.so|ld-", name):
            continue  # of every image, or of a build for tests
        # Not "dpkg -S": packages' own file lists, whichever way /lib and /usr/lib are one.
        owners = [p.stem.split(":")[0] for p in Path("/var/lib/dpkg/info").glob("lib*.list")
                  if re.search(rf"/{re.escape(name)}$", p.read_text(), re.M)]  # fmt: skip
        assert owners, f"nobody has {name}"
        assert set(owners) & set(image.packages(-1)), f"{name} is in {owners}"


def test_what_the_image_copies_is_enough_to_build(image, workdir):
    for text in image.all(0, "COPY"):
        *sources, to = text.split()
        for source in sources:
            at = workdir / "source" / (to if to != "./" else source)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, at)
            else:
                at.parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, at)
    run = " ".join(image.all(0, "RUN"))
    setup = re.search(r"meson setup /build ([^&]*)&&", run).group(1).split()
    done = subprocess.run(["meson", "setup", workdir / "b", workdir / "source", *setup],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    target = re.search(r"ninja -C /build (\w+)", run).group(1)
    done = subprocess.run(["ninja", "-C", workdir / "b", "-n", target], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and "Linking target scanpod" in done.stdout, done.stdout[-2000:]


def test_the_image_starts_scanpod_and_asks_it_for_its_health(image, scanpod):
    (entry,), (command,) = image.all(-1, "ENTRYPOINT"), image.all(-1, "CMD")
    assert json.loads(entry) == ["/usr/bin/scanpod"]
    (health,) = image.all(-1, "HEALTHCHECK")
    words = json.loads(health.split("CMD", 1)[1])
    assert words[0] == "/usr/bin/scanpod"
    for arguments in (json.loads(command), words[1:]):
        scanpod(*arguments, "--help", check=True)
    assert image.all(-1, "COPY")[0].split()[-1] == "/usr/bin/scanpod"
    assert seconds(re.search(r"--timeout=(\w+)", health).group(1)) > 5
    for text in image.all(-1, "ENV"):
        assert text.split("=")[0] in SETTINGS


# ---- the composition


@pytest.fixture(scope="module")
def compose():
    (doc,) = documents(DEPLOY / "compose.yaml")
    return doc


def scanpods(doc):
    return {n: s for n, s in doc["services"].items() if s["image"].startswith("scanpod")}


def test_everything_that_the_composition_names_is_there(compose):
    assert {"redis", "server", "worker-1", "worker-2"} <= compose["services"].keys()
    for name, service in compose["services"].items():
        for other in service.get("depends_on", {}):
            assert other in compose["services"], (name, other)
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], (name, secret)
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"], (name, config)
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], (name, volume)
    for config in compose["configs"].values():
        assert (DEPLOY / config["file"]).is_file(), config
    for name, secret in compose["secrets"].items():
        assert secret["file"] == f"secrets/{name}" and name in MADE
    (build,) = [s["build"] for s in compose["services"].values() if "build" in s]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert {s["image"] for s in scanpods(compose).values()} == {f"scanpod:{VERSION}"}


def test_settings_of_the_composition_are_settings_and_name_what_is_mounted(compose):
    for name, service in scanpods(compose).items():
        mounted = {c["target"] for c in service.get("configs", [])}
        mounted |= {f"/run/secrets/{s}" for s in service.get("secrets", [])}
        folders = [v.split(":")[1] for v in service.get("volumes", [])]
        for key, value in service.get("environment", {}).items():
            assert key in SETTINGS, (name, key)
            assert isinstance(value, str), (name, key, "a number or a truth in YAML")
            if value.startswith("/"):
                assert value in mounted or any(value.startswith(f + "/") for f in folders), value


def test_containers_have_no_capability_and_no_way_to_one(compose):
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True and "privileged" not in service, name
        assert "network_mode" not in service and "pid" not in service, name
    for port in compose["services"]["server"]["ports"]:
        assert port.startswith("127.0.0.1:")


def test_the_servers_port_is_one_everywhere(compose, image):
    server = compose["services"]["server"]
    port = server["environment"]["SCANPOD_LISTEN"].rsplit(":", 1)[1]
    assert server["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert image.all(-1, "EXPOSE") == [port]
    assert server["command"] == ["serve"]


def test_each_worker_has_a_name_a_directory_and_time_to_end(compose):
    workers = {n: s for n, s in scanpods(compose).items() if s["command"] == ["worker"]}
    assert len(workers) == 2
    for key in ("SCANPOD_WORKER_NAME",):
        assert len({s["environment"][key] for s in workers.values()}) == len(workers)
    assert len({s["volumes"][0] for s in workers.values()}) == len(workers)
    for service in workers.values():
        drain = int(service["environment"]["SCANPOD_DRAIN_TIMEOUT"])
        assert seconds(service["stop_grace_period"]) >= drain + LEFT_AFTER_DRAIN_S
        assert service["healthcheck"] == {"disable": True} and "ports" not in service
        assert service["depends_on"]["redis"] == {"condition": "service_healthy"}


def test_what_workers_with_raw_sockets_get_beside_is_for_them_alone(compose):
    (raw,) = documents(DEPLOY / "compose.raw.yaml")
    workers = {n for n, s in scanpods(compose).items() if s["command"] == ["worker"]}
    assert set(raw["services"]) == workers
    for service in raw["services"].values():
        assert set(service) == {"devices", "security_opt"}
        assert service["devices"] == ["/dev/net/tun"]
    assert "profile scanpod " in (DEPLOY / "apparmor/scanpod").read_text()


class Container:
    """
    What the composition gives a service, by bubblewrap: first process of its own PID namespace, user
    10001 without capabilities and without a way to user namespaces, a read-only system, a volume.
    """

    def __init__(self, name, service, binary, workdir, secrets):
        self.volume = workdir / service["volumes"][0].split(":")[0]
        self.volume.mkdir(exist_ok=True)
        self.log_path = workdir / f"{name}.log"
        self.proc = None
        env = {"PATH": "/usr/bin:/bin:/usr/sbin", **SANITIZER_ENV,
               "SCANPOD_DATA_DIR": "/var/lib/scanpod", **service.get("environment", {})}  # fmt: skip
        # The files are elsewhere: /etc and /var are this machine's here.
        env = {k: v.replace("/etc/scanpod", "/run/etc").replace("/var/lib/scanpod", "/run/data")
               for k, v in env.items()}  # fmt: skip
        self.env = env
        # A scope file belongs to root or to whom it is for, and root is nobody in here.
        etc = workdir / "etc"
        etc.mkdir(exist_ok=True)
        shutil.copy(DEPLOY / "kubernetes/base/scope.yaml", etc)
        as_user = []
        if os.geteuid() == 0:
            os.chown(self.volume, 10001, 10001)
            os.chown(etc / "scope.yaml", 10001, 10001)
            as_user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups",
                       "--bounding-set=-all"]  # fmt: skip
        self.argv = [
            *as_user, "bwrap", "--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc",
            "--as-pid-1", "--die-with-parent", "--uid", "10001", "--gid", "10001",
            "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
            "--tmpfs", "/run", "--ro-bind", str(secrets), "/run/secrets",
            "--ro-bind", str(etc), "/run/etc",
            "--bind", str(self.volume), "/run/data",
            "--ro-bind", str(binary), "/run/scanpod", "--chdir", "/run/data", "--clearenv",
        ]  # fmt: skip

    def command(self, words):
        env = [w for k, v in self.env.items() for w in ("--setenv", k, v)]
        return [*self.argv, *env, "/run/scanpod", *words]

    def run(self, *words):
        return subprocess.run(self.command(words), capture_output=True, text=True, timeout=60,
                              check=False)  # fmt: skip

    def start(self, words):
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.proc = subprocess.Popen(self.command(words), stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log)  # fmt: skip
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        """As `docker stop`: SIGTERM to the first process in it."""
        for pid in (proc_text(self.proc.pid, f"task/{self.proc.pid}/children") or "").split():
            os.kill(int(pid), signal.SIGTERM)
        try:
            return self.proc.wait(60)
        finally:
            self.proc.kill()
            self.proc.wait()


@pytest.mark.skipif(not have_redis() or not shutil.which("bwrap"), reason="no redis-server, or no bwrap")
def test_the_composition_works_in_containers_that_may_do_nothing(
    compose, scanpod, scanpod_bin, workdir, listener
):
    """Server and worker with the environment and the files of the composition; a scan goes through."""
    services = compose["services"]
    port = free_port()
    services["server"]["environment"]["SCANPOD_LISTEN"] = f"127.0.0.1:{port}"
    started = []
    with FleetRedis(workdir) as redis:
        box = {n: Container(n, services[n], scanpod_bin, workdir, redis.secrets)
               for n in ("certificate", "server", "worker-1")}  # fmt: skip
        try:
            made = box["certificate"].run("tls", "init", "--host", "server")
            assert made.returncode == 0, made.stderr
            for name in ("server", "worker-1"):
                started.append(box[name].start(services[name]["command"]))

            said = [""]

            def healthy():
                done = box["server"].run("health")
                said.append(f"{done.returncode} {done.stdout!r}" + done.stderr + box["server"].log()[-1500:])
                return done.returncode == 0 and done.stdout == "degraded\n"  # box: plain

            wait_until(healthy, 30, "the health of the server", said)
            env = {"SCANPOD_SERVER": f"https://127.0.0.1:{port}", "SCANPOD_API_KEY": redis.key}
            ca = ("--ca-file", workdir / "server/tls/cert.pem")

            def workers():
                done = scanpod("worker", "list", "-o", "json", *ca, env=env)
                return json.loads(done.stdout) if done.returncode == 0 else []

            (worker,) = wait_until(workers, 30, "the worker")
            assert worker["name"] == "worker-1" and worker["queues"] == ["net"], worker
            assert "egress broker" in worker["confinement"]
            done = scanpod("scan", "127.0.0.1", "-p", listener.port, "-o", "json", *ca, env=env,
                           check=True)  # fmt: skip
            job = json.loads(done.stdout)
            assert job["counts"]["ports_open"] == 1 and "+broker+" in job["confinement"], job
            raw = scanpod("scan", "127.0.0.1", "--tool", "masscan", "-p", "1", "--wait-timeout", "1",
                          *ca, env=env)  # fmt: skip
            assert raw.returncode in (2, 124) or "raw" in raw.stderr, raw.stderr
        finally:
            ends = {c.log_path.name: c.stop() for c in reversed(started)}
        logs = "".join(c.log() for c in started)
        assert set(ends.values()) == {0} and not SANITIZER_REPORT.search(logs), (ends, logs)


# ---- Kubernetes

KINDS = {
    "Namespace": "v1", "Service": "v1", "Secret": "v1", "StatefulSet": "apps/v1",
    "Deployment": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1",
    "ScaledObject": "keda.sh/v1alpha1", "TriggerAuthentication": "keda.sh/v1alpha1",
}  # fmt: skip


class Manifests:
    """What kustomize reads: .objects, .config_maps {name: [keys]}"""

    def __init__(self, folder):
        self.objects, self.config_maps, self.files = [], {}, set()
        self.read(folder.resolve())

    def read(self, folder):
        (top,) = documents(folder / "kustomization.yaml")
        self.files.add(folder / "kustomization.yaml")
        assert (top["apiVersion"], top["kind"]) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
        for name in top["resources"]:
            at = (folder / name).resolve()
            assert at.exists(), at
            if at.is_dir():
                self.read(at)
            else:
                self.files.add(at)
                self.objects += documents(at)
        for made in top.get("configMapGenerator", []):
            for name in made["files"]:
                assert (folder / name).is_file() and "/" not in name
                self.files.add(folder / name)
            self.config_maps[made["name"]] = made["files"]

    def of(self, kind):
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def workloads(self):
        return {**self.of("StatefulSet"), **self.of("Deployment")}


@pytest.fixture(scope="module")
def manifests():
    return Manifests(DEPLOY / "kubernetes/overlays/keda")


@pytest.fixture(scope="module")
def expected_secrets():
    found = {}
    for doc in documents(DEPLOY / "kubernetes/secrets.example.yaml"):
        assert doc["kind"] == "Secret" and not any(doc["stringData"].values()), "a secret"
        found[doc["metadata"]["name"]] = set(doc["stringData"])
    return found


def test_manifests_are_of_known_kinds_and_all_are_used(manifests):
    names = set()
    for o in manifests.objects:
        assert KINDS[o["kind"]] == o["apiVersion"], o
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", o["metadata"]["name"])
        assert (o["kind"], o["metadata"]["name"]) not in names, "twice"
        names.add((o["kind"], o["metadata"]["name"]))
    there = {p.resolve() for p in (DEPLOY / "kubernetes").rglob("*") if p.is_file()}
    left = there - manifests.files - {(DEPLOY / "kubernetes/secrets.example.yaml").resolve()}
    assert not left
    (base,) = documents(DEPLOY / "kubernetes/base/kustomization.yaml")
    assert base["images"] == [{"name": "scanpod", "newTag": VERSION}]
    assert set(manifests.of("Namespace")) == {base["namespace"]}


def test_selectors_choose_the_pods_that_are_meant(manifests):
    pods = {n: w["spec"]["template"]["metadata"]["labels"] for n, w in manifests.workloads().items()}

    def chosen(labels):
        return {n for n, have in pods.items() if labels.items() <= have.items()}

    for name, w in manifests.workloads().items():
        assert chosen(w["spec"]["selector"]["matchLabels"]) == {name}
        if w["kind"] == "StatefulSet":
            assert w["spec"]["serviceName"] in manifests.of("Service")
    for name, service in manifests.of("Service").items():
        assert chosen(service["spec"]["selector"]) == {name}
        (container,) = manifests.workloads()[name]["spec"]["template"]["spec"]["containers"]
        for port in service["spec"]["ports"]:
            (target,) = [p for p in container["ports"] if p["name"] == port["targetPort"]]
            assert target["containerPort"] == port["port"]
    for name, policy in manifests.of("NetworkPolicy").items():
        assert len(chosen(policy["spec"]["podSelector"]["matchLabels"])) == 1, name
        for rule in policy["spec"].get("ingress", []):
            for peer in rule["from"]:
                assert "podSelector" not in peer or chosen(peer["podSelector"].get("matchLabels", {}))


def test_volumes_and_what_is_mounted_fit_together(manifests, expected_secrets):
    for name, w in manifests.workloads().items():
        spec = w["spec"]["template"]["spec"]
        volumes = {v["name"]: v for v in spec["volumes"]}
        volumes.update({v["metadata"]["name"]: v for v in w["spec"].get("volumeClaimTemplates", [])})
        (container,) = spec["containers"]
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert volumes.keys() == mounts.keys(), name
        files = {}
        for v in volumes.values():
            at = mounts[v.get("name") or v["metadata"]["name"]]
            if "configMap" in v:
                files[at["mountPath"]] = manifests.config_maps[v["configMap"]["name"]]
            elif "secret" in v:
                files[at["mountPath"]] = expected_secrets[v["secret"]["secretName"]]
            if "subPath" in at:
                assert at["subPath"] in files[at["mountPath"]]
        writable = [m["mountPath"] for m in mounts.values() if not m.get("readOnly")]
        for env in container.get("env", []):
            assert env["name"] in SETTINGS, env
            value = env.get("value", "")
            assert isinstance(value, str), env
            if value.startswith("/"):
                folder, file = os.path.split(value)
                assert file in files.get(folder, []) or folder in writable, env


def test_pods_keep_to_the_strictest_profile(manifests):
    for name, w in manifests.workloads().items():
        spec = w["spec"]["template"]["spec"]
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0 and pod["runAsGroup"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        # Else the server finds its data directory open for a group, and refuses it.
        assert pod["fsGroupChangePolicy"] == "OnRootMismatch", name
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for c in spec["containers"]:
            assert c["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]}}, name  # fmt: skip
            assert "memory" in c["resources"]["limits"]


def test_probes_ask_for_routes_that_need_no_key(manifests):
    (server,) = manifests.workloads()["scanpod"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = server[probe]["httpGet"]
        assert OPENAPI["paths"][get["path"]]["get"]["security"] == []
        assert get["scheme"] == "HTTPS" and get["port"] in [p["name"] for p in server["ports"]]
    env = {e["name"]: e.get("value") for e in server["env"]}
    assert int(env["SCANPOD_LISTEN"].split(":")[1]) == server["ports"][0]["containerPort"]
    (worker,) = manifests.workloads()["scanpod-worker"]["spec"]["template"]["spec"]["containers"]
    assert not [k for k in worker if k.endswith("Probe")] and "ports" not in worker
    assert server["image"] == worker["image"] == "scanpod"


def test_a_worker_has_time_to_end_and_the_server_is_alone(manifests):
    w = manifests.workloads()["scanpod-worker"]["spec"]["template"]["spec"]
    env = {e["name"]: e.get("value") for e in w["containers"][0]["env"]}
    assert w["terminationGracePeriodSeconds"] >= (
        int(env["SCANPOD_DRAIN_TIMEOUT"]) + LEFT_AFTER_DRAIN_S)  # fmt: skip
    assert manifests.workloads()["scanpod"]["spec"]["replicas"] == 1


def test_the_scaler_asks_for_a_number_that_the_api_gives(manifests, expected_secrets):
    (scaled,) = manifests.of("ScaledObject").values()
    target = scaled["spec"]["scaleTargetRef"]
    assert target["name"] in manifests.of(target["kind"])
    (trigger,) = scaled["spec"]["triggers"]
    meta = trigger["metadata"]
    assert trigger["type"] == "metrics-api" and all(isinstance(v, str) for v in meta.values())
    scheme, host, port, path = re.fullmatch(r"(\w+)://([\w.-]+):(\d+)(/.*)", meta["url"]).groups()
    service, namespace, _ = host.split(".")
    assert scheme == "https" and namespace in manifests.of("Namespace")
    assert [p["port"] for p in manifests.of("Service")[service]["spec"]["ports"]] == [int(port)]
    (server,) = manifests.workloads()["scanpod"]["spec"]["template"]["spec"]["containers"]
    hosts = next(e["value"] for e in server["env"] if e["name"] == "SCANPOD_HOSTS").split(",")
    assert host in hosts
    route = OPENAPI["paths"][re.sub(r"[^/]+$", "{name}", path)]["get"]
    assert route["x-scope"] == "read" and path.endswith("/net")
    schema = OPENAPI["components"]["schemas"]["Queue"]
    assert schema["properties"][meta["valueLocation"]]["type"] == "integer"
    auth = manifests.of("TriggerAuthentication")[trigger["authenticationRef"]["name"]]
    (ref,) = auth["spec"]["secretTargetRef"]
    assert meta["authMode"] == "bearer" and ref["parameter"] == "token"
    assert ref["key"] in expected_secrets[ref["name"]]


def test_redis_is_set_up_as_a_fleet_needs_it():
    lines = (DEPLOY / "kubernetes/redis/redis.conf").read_text().splitlines()
    conf = dict(x.split(None, 1) for x in lines if x and not x.startswith("#"))
    assert conf["maxmemory-policy"] == "noeviction" and conf["appendonly"] == "yes"
    assert conf["appendfsync"] in ("everysec", "always")
    assert Path(conf["aclfile"]).name in MADE


# ---- units


def unit(name):
    """{(section, key): [values]}"""
    found, section = {}, ""
    for line in (DEPLOY / "systemd" / name).read_text().splitlines():
        if m := re.fullmatch(r"\[(\w+)\]", line):
            section = m.group(1)
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault((section, key), []).append(value)
    return found


def test_systemd_finds_nothing_wrong_with_the_units(workdir):
    for path in (DEPLOY / "systemd").glob("*.service"):
        text = path.read_text().replace("/usr/bin/scanpod", "/bin/true")
        (workdir / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(workdir.glob("*.service")))],
        capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr


def test_the_worker_is_as_hardened_as_the_server():
    server, worker = unit("scanpod.service"), unit("scanpod-worker.service")
    differ = {k for k in server.keys() | worker.keys() if server.get(k) != worker.get(k)}
    assert differ == {
        ("Unit", "Description"), ("Unit", "StartLimitIntervalSec"), ("Service", "Environment"),
        ("Service", "EnvironmentFile"), ("Service", "ExecStart"), ("Service", "StateDirectory"),
        ("Service", "Restart"), ("Service", "RestartSec"), ("Service", "TimeoutStopSec"),
    }  # fmt: skip
    assert worker["Service", "Restart"] == ["always"]
    assert worker["Service", "KillMode"] == ["mixed"]
    assert worker["Service", "Delegate"] == ["cpu memory pids"]
    assert worker["Service", "CapabilityBoundingSet"] == [""]
    (stop,) = worker["Service", "TimeoutStopSec"]
    assert seconds(stop) >= int(SETTINGS["SCANPOD_DRAIN_TIMEOUT"]) + LEFT_AFTER_DRAIN_S


@pytest.mark.parametrize("name", ["scanpod.service", "scanpod-worker.service", "scanpod-netd.service",
                                  "scanpod-fleet.conf"])
def test_flags_and_settings_of_units_are_there(scanpod, name):
    found = unit(name)
    words = shlex.split(found["Service", "ExecStart"][-1])
    shown = scanpod(words[1], "--help", check=True).stdout
    for flag in (w for w in words if w.startswith("--")):
        assert f"{flag} " in shown, flag
    for line in found.get(("Service", "Environment"), []):
        assert line.split("=")[0] in SETTINGS


@pytest.mark.parametrize("name", ["server.env.example", "worker.env.example"])
def test_examples_of_environments_have_settings_only(name):
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    rows = [m.groups() for x in lines if (m := re.fullmatch(r"#?([A-Z]\w*)=(.*)", x))]
    assert "SCANPOD_TRANSPORT" in dict(rows)
    assert {key for key, _ in rows} <= SETTINGS.keys()
    at = f"/etc/scanpod/{name.removesuffix('.example')}"
    kind = "scanpod-worker.service" if "worker" in name else "scanpod.service"
    assert unit(kind)["Service", "EnvironmentFile"][0].lstrip("-") == at


# ---- secrets


def test_secrets_are_random_closed_and_never_overwritten(workdir):
    made = []
    for name in ("one", "two"):
        done = subprocess.run([DEPLOY / "make-secrets", workdir / name, "redis.test:7000"],
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert set(done.stdout.split(": ")[1].split()) == MADE
        assert {p.name for p in (workdir / name).iterdir()} == MADE
        assert (workdir / name).stat().st_mode & 0o777 == 0o700
        assert (workdir / name / "api-key").stat().st_mode & 0o777 == 0o600
        text = "".join(p.read_text() for p in sorted((workdir / name).iterdir()))
        assert "HASH" not in text and "@redis.test:7000\n" in text
        made += re.findall(r"\b[0-9a-f]{64}\b", text)
    assert len(made) == 12 and len(set(made)) == 10  # the API key is in two files each
    again = subprocess.run([DEPLOY / "make-secrets", workdir / "one"], capture_output=True, text=True,
                           check=False)  # fmt: skip
    assert again.returncode == 1 and "is there already" in again.stderr
    assert subprocess.run([DEPLOY / "make-secrets"], capture_output=True, check=False).returncode == 2


def test_secrets_do_not_go_into_the_repository():
    for name in MADE:
        done = subprocess.run(["git", "check-ignore", "-q", f"deploy/secrets/{name}"], cwd=ROOT,
                              check=False)  # fmt: skip
        assert done.returncode in (0, 128), f"{name} would be committed"  # 128: no repository


# ---- documents


def test_files_that_the_documents_name_are_there():
    for name in ("fleet", "containers", "kubernetes", "systemd", "deploy"):
        text = (ROOT / f"docs/{name}.md").read_text()
        for path in set(re.findall(r"\bdeploy/[\w./-]*\w", text)):
            assert (ROOT / path).exists() or path.startswith("deploy/secrets"), f"{name}: {path}"


def test_the_scope_file_of_the_manifests_is_one(scanpod):
    scanpod("policy", "check", DEPLOY / "kubernetes/base/scope.yaml", check=True)
