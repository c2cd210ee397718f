#include "daemon/settings.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/job.h"

#define CONFIG_DEFAULT "/etc/scanpod/scanpod.conf"
#define DOTENV         ".env"

#define STR(flag, envname, ...) \
    .name = (flag), .env = "SCANPOD_" envname, .type = OPT_STR, __VA_ARGS__
#define INT(flag, envname, lo, hi, ...)                                                   \
    .name = (flag), .env = "SCANPOD_" envname, .type = OPT_INT, .min = (lo), .max = (hi), \
    __VA_ARGS__
#define BOOL(flag, envname, ...) \
    .name = (flag), .env = "SCANPOD_" envname, .type = OPT_BOOL, __VA_ARGS__
#define ENUM(flag, envname, words, ...) \
    .name = (flag), .env = "SCANPOD_" envname, .type = OPT_ENUM, .values = (words), __VA_ARGS__

/*
 * The settings that the old service read from ./.env are marked `dotenv`; no others are, so that a
 * directory that somebody else filled cannot choose which program is run or which file is written
 * to beyond what the old service allowed.
 */
const struct option settings_table[] = {
    {STR("listen", "LISTEN", .def = "127.0.0.1:8000",
         .help = "where to listen: ADDR:PORT, [v6]:PORT or unix:PATH")},
    {STR("data-dir", "DATA_DIR",
         .help = "jobs, results, raw output and the key (root: /var/lib/scanpod; else "
                 "$XDG_DATA_HOME/scanpod or ~/.local/share/scanpod)")},
    {STR("config", "CONFIG",
         .help = "configuration file of NAME = VALUE lines (" CONFIG_DEFAULT ", if it is there)")},
    {STR("api-key", "API_KEY", .secret = true, .dotenv = true,
         .help = "key that clients send as X-API-Key (made at the first start: DATA_DIR/key)")},
    {STR("api-key-file", "API_KEY_FILE",
         .help = "file that holds the API key that commands send; a server takes api-key")},
    {INT("scan-timeout", "SCAN_TIMEOUT", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S, .def = "900",
         .dotenv = true, .help = "seconds a scan may run when the job does not say")},
    {INT("max-scan-workers", "MAX_SCAN_WORKERS", 0, 256, .def = "4", .dotenv = true,
         .help = "scans that run at the same time; 0 accepts jobs and runs none")},
    {BOOL("allow-unsafe-args", "ALLOW_UNSAFE_ARGS", .def = "false", .dotenv = true,
          .help =
              "accept more of nmap's options: all that neither read, write nor run files; never "
              "more targets")},
    {INT("max-jobs", "MAX_JOBS", 0, 1000000000, .dotenv = true,
         .help = "jobs kept, finished ones too; more are refused; 0: no cap (no cap)")},
    {INT("job-ttl-seconds", "JOB_TTL_SECONDS", 0, 3153600000, .dotenv = true,
         .help = "seconds a finished job is kept; 0: not limited (retention-days counts)")},
    {INT("retention-days", "RETENTION_DAYS", 0, 36500, .def = "90",
         .help = "days a finished job is kept; 0: for ever")},
    {INT("max-waiting", "MAX_WAITING", 0, 1000000000, .def = "10000",
         .help = "jobs that may wait; more are refused; 0: no cap")},
    {INT("queue-timeout", "QUEUE_TIMEOUT", 1, 2592000, .def = "86400",
         .help = "seconds a job may wait before it fails")},
    {INT(
        "retries", "RETRIES", 0, JOB_RETRIES_MAX, .def = "3",
        .help =
            "further attempts after the scanner failed, where a job does not say (old routes: none "
            "unless this is set)")},
    {INT("retry-delay-ms", "RETRY_DELAY_MS", 0, 600000, .def = "10000",
         .help = "milliseconds before the first further attempt; doubles")},
    {INT("kill-grace-ms", "KILL_GRACE_MS", 0, 60000, .def = "1000",
         .help = "milliseconds between TERM and KILL when a scan is ended")},
    {INT("max-output-mb", "MAX_OUTPUT_MB", 1, 65536, .def = "1024",
         .help = "MiB of output after which a scan is ended")},
    {ENUM("log-level", "LOG_LEVEL", "DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL", .def = "INFO",
          .dotenv = true, .help = "least severe events that are logged")},
    {STR("log-file", "LOG_FILE", .dotenv = true,
         .help = "log file of the service user, rotated at 5 MiB, three kept (standard error)")},
    {ENUM("log-format", "LOG_FORMAT", "text|json|logfmt|journald", .def = "text",
          .help = "form of a log line; journald: datagrams with fields to systemd's journal")},
    {STR("log-endpoint", "LOG_ENDPOINT", .env2 = "LOGGING_SERVICE_ENDPOINT",
         .help = "a syslog server that gets every event as well: syslog://HOST[:PORT] (UDP), "
                 "syslog+tcp://HOST[:PORT], syslog+unix:PATH")},
    {STR("tool-nmap", "TOOL_NMAP", .env2 = "TOOL_PATHS_NMAP",
         .help = "path of nmap (looked up in PATH)")},
    {STR("tool-masscan", "TOOL_MASSCAN", .help = "path of masscan (looked up in PATH)")},
    {STR("tool-zmap", "TOOL_ZMAP", .help = "path of zmap (looked up in PATH)")},
    {STR("blob", "BLOB",
         .help =
             "where raw output is kept: s3://BUCKET[/PREFIX][?endpoint=URL&region=R&style=path or "
             "host], see docs/storage.md (the data directory)")},
    {STR("blob-config", "BLOB_CONFIG", .env2 = "OUTPUT_STORAGE_CONFIG", .secret = true,
         .help = "the same as JSON, which may hold credentials; counts where blob is not set")},
    {STR("profiles", "PROFILES_FILE",
         .help = "profiles of your own, YAML, see docs/profiles.md (only the built-in ones)")},
    {INT("network-pps", "NETWORK_PPS", 0, 100000000, .def = "50000",
         .help = "packets a second that all scans together may send to one /24 or /64; 0: no "
                 "limit")},
    {INT("max-import-mb", "MAX_IMPORT_MB", 1, 1048576, .def = "1024",
         .help = "MiB of a file that is imported")},
    {STR("nmap-data", "NMAP_DATA", .def = "/usr/share/nmap",
         .help = "directory of nmap's data files; scripts are looked up in scripts/script.db")},
    {STR("scope", "SCOPE_FILE",
         .help = "scope and policy file, see docs/policy.md (loopback and private ranges)")},
    {BOOL("allow-unconfined", "ALLOW_UNCONFINED", .def = "false",
          .help = "where no packet filter can be had, run scans with none; results say so")},
    {STR("scan-addresses", "SCAN_ADDRESSES",
         .help = "IP addresses, by commas, that scans use as their own instead of NAT; at most as "
                 "many scans run at the same time")},
    {BOOL("proxy-neighbours", "PROXY_NEIGHBOURS", .def = "false",
          .help = "answer ARP and ND for scan-addresses, where no router sends them here")},
    {BOOL("net-forwarding", "NET_FORWARDING", .def = "true",
          .help = "turn IPv4 forwarding on, for scans only, where it is off")},
    {STR("pool-v4", "POOL_V4", .def = "198.18.0.0/16",
         .help = "IPv4 range of which each scan behind NAT gets a /30")},
    {STR("pool-v6", "POOL_V6", .def = "fd5c:a17e:5ca0::/64",
         .help = "IPv6 range of which each scan behind NAT gets a /126")},
    {STR("netd", "NETD",
         .help = "socket of a netd that runs on its own: unix:PATH (one is started "
                 "by a server that was started as root)")},
    {STR("slirp4netns", "SLIRP4NETNS",
         .help = "path of slirp4netns, for scans without privilege (looked up in PATH)")},
    {STR("box-paths", "BOX_PATHS",
         .help = "further paths, by commas, that tools may read; with :rw behind, write")},
    {STR("without", "WITHOUT",
         .help = "kernel features not to use, by commas (support and tests): userns, privilege, "
                 "mount, net, notify, landlock, cgroup, nft, slirp")},
    {STR("transport", "TRANSPORT", .secret = true,
         .help = "how tasks reach workers elsewhere: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], "
                 "unix:PATH, or redis for what REDIS_URL or REDIS_HOST, REDIS_PORT, REDIS_DB and "
                 "REDIS_PASSWORD say; see docs/fleet.md (the worker of this server)")},
    {STR("worker-name", "WORKER_NAME",
         .help = "name of a worker elsewhere, unlike all others' (the host's)")},
    {STR("zone", "ZONE",
         .help = "zone of a worker elsewhere: it takes the tasks of requests that name it (none)")},
    {INT("drain-timeout", "DRAIN_TIMEOUT", 0, 86400, .def = "60",
         .help = "seconds after which a worker elsewhere that ends hands back what still runs")},
    {STR("intake", "INTAKE", .env2 = "MESSAGE_QUEUE_URL", .secret = true,
         .help = "message queues from which requests come: amqp://... or redis://..., with "
                 "?queue=NAME&key=KEY&results=NAME, blanks between; see docs/queues.md (none)")},
    {STR("secrets-dir", "SECRETS_DIR",
         .help = "directory of named secrets, a file each, see docs/secrets.md (none)")},
    {STR("tool-git", "TOOL_GIT", .help = "path of git (looked up in PATH)")},
    {STR("tool-ssh", "TOOL_SSH", .help = "path of ssh, for checkouts (looked up in PATH)")},
    {STR("engine-flawfinder", "ENGINE_FLAWFINDER",
         .help = "path of flawfinder (looked up in PATH)")},
    {STR("engine-cppcheck", "ENGINE_CPPCHECK", .help = "path of cppcheck (looked up in PATH)")},
    {STR("engine-bandit", "ENGINE_BANDIT", .help = "path of bandit (looked up in PATH)")},
    {STR("engine-shellcheck", "ENGINE_SHELLCHECK",
         .help = "path of shellcheck (looked up in PATH)")},
    {STR("engine-claude", "ENGINE_CLAUDE",
         .help = "path of the Claude Code CLI's native program (claude, looked up in PATH)")},
    {STR("engines-file", "ENGINES_FILE",
         .help = "further engines, programs that write SARIF: YAML, see docs/engines.md (none)")},
    {STR("rules-file", "RULES_FILE",
         .help = "rules of your own beside the built-in ones, YAML, see docs/rules.md (none)")},
    {STR("repo-ca-file", "REPO_CA_FILE",
         .help = "certificates that checkouts trust, PEM (the system's)")},
    {STR("repo-known-hosts", "REPO_KNOWN_HOSTS",
         .help = "host keys of ssh servers, as known_hosts has them; others are refused (none)")},
    {INT("repo-max-mb", "REPO_MAX_MB", 1, 8192, .def = "1024",
         .help = "MiB that a checkout may have, in memory (tmpfs)")},
    {INT("repo-max-files", "REPO_MAX_FILES", 1, 1000000, .def = "200000",
         .help = "files that a checkout may have")},
    {INT("repo-timeout", "REPO_TIMEOUT", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S, .def = "3600",
         .help = "seconds a repository scan may run when the job does not say")},
    {STR("agent-url", "AGENT_URL", .def = "https://api.anthropic.com",
         .help = "where the model's API is; http:// only with agent-within")},
    {STR("agent-within", "AGENT_WITHIN",
         .help = "address ranges, by commas, in which agent-url may be, if it is not public")},
    {STR("agent-ca-file", "AGENT_CA_FILE",
         .help = "certificates that connections to agent-url trust, PEM (the system's)")},
    {STR("agent-secret", "AGENT_SECRET", .def = "anthropic-api-key",
         .help = "name of the secret that is sent to agent-url; the claude engine is off without "
                 "it")},
    {STR("agent-models", "AGENT_MODELS",
         .help = "models, by commas, that requests may name (all)")},
    {INT("agent-max-tokens", "AGENT_MAX_TOKENS", 1000, 1000000000, .def = "5000000",
         .help = "tokens, in and out together, that one scan may use of the model's API")},
    {STR("anonymous-repo-key", "ANONYMOUS_REPO_KEY",
         .help = "name of the API key whose rights requests without one have on /scan/repo and "
                 "/jobs: the clients of the old repository scanner send none (they are refused)")},
    {ENUM("old-health", "OLD_HEALTH", "scanpod|scan-orchestrator", .def = "scanpod",
          .help = "which of the old services GET /health answers like")},
    {STR("cors-origins", "CORS_ORIGINS",
         .help = "origins, by commas, whose pages may call the API, such as "
                 "https://app.example.org (none)")},
    {STR("tls-cert", "TLS_CERT", .help = "certificate chain, PEM; listen with TLS")},
    {STR("tls-key", "TLS_KEY", .help = "private key of the certificate, PEM")},
    {STR("hosts", "HOSTS",
         .help = "host names, by commas, accepted in Host beside IP addresses and localhost")},
    {STR("user", "USER",
         .help = "user to become when started as root (scanpod if it exists, else nobody)")},
    {INT("max-conns", "MAX_CONNS", 1, 100000, .def = "4096", .help = "open connections")},
    {INT("max-conns-per-address", "MAX_CONNS_PER_ADDRESS", 1, 100000, .def = "256",
         .help = "open connections from one address")},
    {INT("lease-scale", "LEASE_SCALE", 1, 100, .def = "1",
         .help = "divides the time between renewals of a lease (tests)")},
    {0},
};

/* Owned result. An absolute $XDG_DATA_HOME, else the home directory. */
static char *data_dir_default(void)
{
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");

    if (geteuid() == 0) {
        return xstrdup("/var/lib/scanpod");
    }
    if (xdg && xdg[0] == '/') {
        return str_fmt("%s/scanpod", xdg);
    }
    if (!home || home[0] != '/') {
        const struct passwd *pw = getpwuid(geteuid());

        home = pw ? pw->pw_dir : NULL;
    }
    return home && home[0] == '/' ? str_fmt("%s/.local/share/scanpod", home) : NULL;
}

/* The .env comes last: of two values from files the later one counts. */
static int read_files(struct option_set *s, const char *config, struct err *e)
{
    const char *where;
    int rc;

    if (!config) {
        config = option_str(s, "config");
    }
    rc = option_read_file(s, config ? config : CONFIG_DEFAULT, false, e);
    if (rc < 0 && (config || rc != ERR_NOT_FOUND)) {
        return rc;
    }
    if (option_from(s, "config", &where) == FROM_FILE) {
        return err_set(e, ERR_INVALID, "%s: a configuration file cannot name another one", where);
    }
    rc = option_read_file(s, DOTENV, true, e);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int settings_load(struct option_set *s, const char *config, struct err *e)
{
    int rc = option_read_env(s, e);

    if (rc == 0) {
        rc = read_files(s, config, e);
    }
    if (rc == 0 && !option_is_set(s, "data-dir")) {
        auto_free char *dir = data_dir_default();

        if (!dir) {
            return err_set(e, ERR_INVALID,
                           "data-dir: there is no home directory; set SCANPOD_DATA_DIR");
        }
        rc = option_put(s, "data-dir", dir, option_from(s, "data-dir", NULL), "default", e);
    }
    return rc;
}
