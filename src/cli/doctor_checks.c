#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/connect.h"
#include "cli/doctor.h"
#include "cli/pair.h"
#include "cli/view.h"
#include "daemon/look.h"
#include "daemon/privilege.h"
#include "daemon/probe.h"
#include "edge/curl_lib.h"
#include "edge/depot.h"
#include "policy/policy.h"
#include "tool/tool.h"

enum { DISK_FAIL_MB = 100, DISK_WARN_MB = 1024, EXPIRES_SOON_S = 14 * 86400 };
enum { YEAR_2025_S = 1735689600 };

void doctor_result(struct check_result *r, enum doctor_finding f, const char *fix, const char *fmt,
                   ...)
{
    va_list ap;

    r->finding = f;
    buf_reset(&r->detail);
    buf_reset(&r->fix);
    va_start(ap, fmt);
    buf_vaddf(&r->detail, fmt, ap);
    va_end(ap);
    if (fix) {
        buf_adds(&r->fix, fix);
    }
}

static void check_settings(struct cli *c, struct check_result *r)
{
    struct err e = {0};

    if (connect_settings_check(&c->args, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod config show --origin", "%s", e.msg);
    } else {
        doctor_result(r, FINDING_OK, NULL, "valid");
    }
}

/* Who has to be able to write: the user that a server started by us would work as. */
static bool may_write(const struct stat *st, const struct service_user *u)
{
    if (!u->change) {
        return st->st_uid == geteuid() && (st->st_mode & 0700) == 0700;
    }
    return st->st_uid == u->uid && (st->st_mode & 0700) == 0700;
}

/* The nearest directory that exists. Caller frees. */
static char *existing(const char *dir)
{
    char *path = xstrdup(dir);
    struct stat st;

    while (stat(path, &st) < 0) {
        char *slash = strrchr(path, '/');

        if (!slash || slash == path) {
            free(path);
            return xstrdup("/");
        }
        *slash = '\0';
    }
    return path;
}

/* It is not there: can it be made? */
static void absent_data_dir(const char *dir, struct check_result *r)
{
    auto_free char *parent = existing(dir);

    if (access(parent, W_OK | X_OK) < 0) {
        doctor_result(r, FINDING_FAIL, "scanpod serve --data-dir DIR",
                      "%s cannot be made: '%s': %s", dir, parent, strerror(errno));
        return;
    }
    doctor_result(r, FINDING_OK, NULL, "%s (made at the first start)", dir);
}

static void check_data_dir(struct cli *c, struct check_result *r)
{
    struct option_set *s = cli_settings(c);
    const char *dir = option_str(s, "data-dir");
    struct service_user user;
    struct err e = {0};
    struct stat st;

    if (!dir) {
        doctor_result(r, FINDING_FAIL, "export SCANPOD_DATA_DIR=/path", "there is none");
    } else if (service_user_find(option_str(s, "user"), &user, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod config show --origin", "%s", e.msg);
    } else if (stat(dir, &st) < 0 && errno == ENOENT) {
        absent_data_dir(dir, r);
    } else if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
        doctor_result(r, FINDING_FAIL, "scanpod serve --data-dir DIR", "%s cannot be used: %s", dir,
                      S_ISDIR(st.st_mode) ? strerror(errno) : "it is no directory");
    } else if (!may_write(&st, &user)) {
        auto_free char *fix = user.change
                                  ? str_fmt("chown %s '%s' && chmod 700 '%s'", user.name, dir, dir)
                                  : str_fmt("sudo chown $(id -u) '%s' && chmod 700 '%s'", dir, dir);

        doctor_result(r, FINDING_FAIL, fix, "%s belongs to another user, or is not writable", dir);
    } else {
        doctor_result(r, FINDING_OK, NULL, "%s", dir);
    }
}

static void check_disk(struct cli *c, struct check_result *r)
{
    const char *dir = option_str(cli_settings(c), "data-dir");
    auto_free char *there = dir ? existing(dir) : NULL;
    struct statvfs v;
    uint64_t free_mb, total_mb;

    if (!there || statvfs(there, &v) < 0) {
        doctor_result(r, FINDING_WARN, "df -h",
                      "the disk of the data directory cannot be looked at");
        return;
    }
    free_mb = (uint64_t)v.f_bavail * v.f_frsize >> 20;
    total_mb = (uint64_t)v.f_blocks * v.f_frsize >> 20;
    if (free_mb < DISK_WARN_MB) {
        doctor_result(r, free_mb < DISK_FAIL_MB ? FINDING_FAIL : FINDING_WARN,
                      "scanpod serve --retention-days N    (keep less), or a larger disk",
                      "%" PRIu64 " MB free of %" PRIu64 " MB", free_mb, total_mb);
        return;
    }
    doctor_result(r, FINDING_OK, NULL, "%" PRIu64 " GB free of %" PRIu64 " GB", free_mb >> 10,
                  total_mb >> 10);
}

bool doctor_find_tool(struct cli *c, const struct tool *t, char version[64], char **path,
                      struct err *e)
{
    const char *configured = option_str(cli_settings(c), t->setting);

    return tool_path(t, configured, path, e) == 0 && tool_probe(t, configured, version, 64, e) == 0;
}

static void check_nmap(struct cli *c, struct check_result *r)
{
    bool configured = option_str(cli_settings(c), tool_nmap.setting) != NULL;
    auto_free char *path = NULL;
    char version[64];
    struct err e = {0};

    if (doctor_find_tool(c, &tool_nmap, version, &path, &e)) {
        doctor_result(r, FINDING_OK, NULL, "%s (%s)", version, path);
    } else {
        doctor_result(r, FINDING_FAIL,
                      configured ? "scanpod serve --tool-nmap PATH" : "sudo apt-get install nmap",
                      "%s", e.msg);
    }
}

/* Sweeps are faster with them; nothing needs them. */
static void check_sweepers(struct cli *c, struct check_result *r)
{
    static const struct tool *const tools[] = {&tool_masscan, &tool_zmap};
    auto_buf text = {0};
    unsigned there = 0;

    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        auto_free char *path = NULL;
        char version[64];

        if (doctor_find_tool(c, tools[i], version, &path, NULL)) {
            buf_addf(&text, "%s%s %s (%s)", there++ ? ", " : "", tools[i]->name, version, path);
        }
    }
    if (there > 0) {
        doctor_result(r, FINDING_OK, NULL, "%s", text.data);
    } else {
        doctor_result(r, FINDING_WARN, "sudo apt-get install masscan zmap",
                      "neither masscan nor zmap is here: nmap sweeps, too, and takes longer");
    }
}

/* ---- what a server started now could do: found out once, by starting its roles ---- */

static struct {
    bool known;
    int rc;
    struct err why;
    struct look look;
} looked;

static const struct look *look_at(struct cli *c, struct check_result *r)
{
    if (!looked.known) {
        looked.known = true;
        looked.rc = sandbox_look(cli_settings(c), &looked.look, &looked.why);
    }
    if (looked.rc != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod config check", "%s", looked.why.msg);
        return NULL;
    }
    return &looked.look;
}

const struct sandbox_caps *doctor_caps(struct cli *c)
{
    struct check_result unused = {0};
    const struct look *l = look_at(c, &unused);

    buf_done(&unused.detail);
    buf_done(&unused.fix);
    return l ? &l->caps : NULL;
}

static void check_sandbox(struct cli *c, struct check_result *r)
{
    const struct look *l = look_at(c, r);

    if (!l) {
        return;
    }
    if (!l->caps.view) {
        doctor_result(
            r, FINDING_WARN,
            str_eq(l->caps.box, "plain")
                ? "sudo sysctl kernel.unprivileged_userns_clone=1    (or start the server as root)"
                : "let the server mount: a container needs CAP_SYS_ADMIN, or a seccomp and "
                  "AppArmor profile that does not forbid it",
            "boxes at level %s: tools see the machine's files%s", l->caps.box,
            l->caps.landlock ? ", guarded by Landlock" : "");
        return;
    }
    doctor_result(r, FINDING_OK, NULL, "boxes at level %s, limits by %s", l->caps.box,
                  l->caps.limits);
}

static void check_egress(struct cli *c, struct check_result *r)
{
    const struct look *l = look_at(c, r);
    auto_buf text = {0};
    bool filtered;

    if (!l) {
        return;
    }
    for (int level = 0; level < EGRESS_LEVELS; level++) {
        buf_addf(&text, "%s%s: ", text.len ? "; " : "", egress_name((enum egress)level));
        buf_adds(&text, l->caps.usable[level] ? "yes" : l->caps.why[level]);
    }
    filtered = l->caps.usable[EGRESS_NFT] || l->caps.usable[EGRESS_ROOTLESS];
    doctor_result(r, filtered ? FINDING_OK : FINDING_WARN,
                  filtered ? NULL
                           : "start the server as root (it drops its privileges), or run 'scanpod "
                             "netd' beside it",
                  "%s", text.data);
}

static void check_raw(struct cli *c, struct check_result *r)
{
    const struct look *l = look_at(c, r);

    if (!l) {
        return;
    }
    if (!l->caps.usable[EGRESS_NFT] && !l->caps.usable[EGRESS_ROOTLESS]) {
        doctor_result(r, FINDING_WARN, "start the server as root (it drops its privileges)",
                      "not available: nmap makes connect scans, no OS detection");
    } else if (!l->caps.usable[EGRESS_NFT]) {
        doctor_result(
            r, FINDING_OK, NULL,
            "for -sS and -sU, through a user-mode network stack (level rootless); the other scan "
            "types need netd");
    } else if (!l->caps.dedicated_v4 && !l->caps.dedicated_v6) {
        doctor_result(r, FINDING_OK, NULL,
                      "available to tools, behind NAT (-sF, -sN, -sX, -sM need scan-addresses)");
    } else {
        doctor_result(r, FINDING_OK, NULL, "available to tools");
    }
}

static void check_roles(struct cli *c, struct check_result *r)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } known[] = {{UINT64_C(1) << 12, "net_admin"},
                 {UINT64_C(1) << 13, "net_raw"},
                 {UINT64_C(1) << 21, "sys_admin"}};
    const struct look *l = look_at(c, r);
    auto_buf text = {0};
    bool loose = false;

    for (unsigned i = 0; l && i < l->n; i++) {
        const struct role_seen *s = &l->roles[i];
        uint64_t rest = s->capabilities;

        buf_addf(&text, "%s%s: uid %u, capabilities", text.len ? "; " : "", s->name, s->uid);
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            buf_addf(&text, "%s%s", rest & known[k].bit ? " " : "",
                     rest & known[k].bit ? known[k].name : "");
            rest &= ~known[k].bit;
        }
        buf_addf(&text, "%s%s",
                 !s->capabilities ? " none"
                 : rest           ? " and others"
                                  : "",
                 s->filter ? ", filtered" : ", NOT filtered");
        loose = loose || s->uid == 0 || rest || !s->filter || !s->no_new_privs;
    }
    if (l) {
        doctor_result(r, loose ? FINDING_FAIL : FINDING_OK,
                      loose ? "scanpod serve --user USER" : NULL, "%s",
                      text.len ? text.data : "none could be seen");
    }
}

static void check_scope(struct cli *c, struct check_result *r)
{
    const char *path = option_str(cli_settings(c), "scope");
    struct service_user user;
    struct policy *p;
    struct err e = {0};

    if (!path) {
        doctor_result(r, FINDING_OK, NULL, "built-in: loopback and private ranges");
    } else if (service_user_find(option_str(cli_settings(c), "user"), &user, &e) != 0 ||
               policy_load(path, user.uid, &p, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod policy edit", "%s", e.msg);
    } else {
        doctor_result(r, FINDING_OK, NULL, "%s", path);
        policy_unref(p);
    }
}

static void check_pair_files(struct check_result *r, const char *cert, const char *key)
{
    int64_t expires = 0;
    int64_t now = wall_us() / 1000000;
    struct err e = {0};
    struct stat st;

    if (pair_check(cert, key, &expires, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod tls init --force", "%s", e.msg);
    } else if (stat(key, &st) == 0 && (st.st_mode & 077)) {
        auto_free char *fix = str_fmt("chmod 600 '%s'", key);

        doctor_result(r, FINDING_FAIL, fix, "'%s' can be read by others", key);
    } else if (expires < now) {
        doctor_result(r, FINDING_FAIL, "scanpod tls init --force", "'%s' has expired", cert);
    } else if (expires < now + EXPIRES_SOON_S) {
        doctor_result(r, FINDING_WARN, "scanpod tls init --force",
                      "'%s' expires in %" PRId64 " days", cert, (expires - now) / 86400);
    } else {
        doctor_result(r, FINDING_OK, NULL, "valid for %" PRId64 " days", (expires - now) / 86400);
    }
}

static void check_tls(struct cli *c, struct check_result *r)
{
    struct option_set *s = cli_settings(c);
    const char *cert = option_str(s, "tls-cert");
    const char *key = option_str(s, "tls-key");
    auto_free char *own_cert = connect_data_path(c, "tls/cert.pem");
    auto_free char *own_key = connect_data_path(c, "tls/key.pem");

    if (cert && key) {
        check_pair_files(r, cert, key);
    } else if (own_cert && own_key && access(own_cert, R_OK) == 0 && access(own_key, R_OK) == 0) {
        check_pair_files(r, own_cert, own_key);
    } else {
        doctor_result(r, FINDING_OK, NULL, "not used (needed to listen beyond this machine)");
    }
}

static void check_clock(struct cli *c, struct check_result *r)
{
    struct timex t = {0};
    int64_t now = wall_us() / 1000000;
    int state = adjtimex(&t);

    (void)c;
    if (now < YEAR_2025_S) {
        doctor_result(r, FINDING_FAIL, "sudo timedatectl set-ntp true",
                      "the clock is wrong: %" PRId64, now);
    } else if (state == TIME_ERROR || (t.status & STA_UNSYNC)) {
        doctor_result(r, FINDING_WARN, "sudo timedatectl set-ntp true", "not synchronised");
    } else {
        doctor_result(r, FINDING_OK, NULL, "synchronised");
    }
}

static void check_storage(struct cli *c, struct check_result *r)
{
    const char *uri = option_str(cli_settings(c), "blob");
    const char *json = option_str(cli_settings(c), "blob-config");
    struct depot_config to = {0};
    struct err e = {0};

    if (depot_config_parse(uri ? uri : json ? json : "", &to, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "docs/storage.md", "%s", e.msg);
    } else if (to.local) {
        doctor_result(r, FINDING_OK, NULL, "raw output stays in %s",
                      to.path ? to.path : "the data directory");
    } else {
        auto_free char *where = depot_uri(&to, "");

        doctor_result(r, FINDING_OK, NULL, "raw output goes to %s at %s, region %s", where,
                      to.endpoint, to.region);
    }
    depot_config_done(&to);
}

static void check_libcurl(struct cli *c, struct check_result *r)
{
    const struct curl_lib *lib;
    struct err e = {0};

    (void)c;
    if (curl_lib(&lib, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "sudo apt-get install libcurl3-gnutls", "%s", e.msg);
    } else {
        doctor_result(r, FINDING_OK, NULL, "there");
    }
}

/* "; it has none, nft, broker by FILE": of the running one, which may be set otherwise than what a
 * start from here would give. */
static void add_levels(struct client *client, struct buf *out)
{
    const struct call call = {.method = "GET", .path = "/api/v1/capabilities"};
    struct answer a = {0};
    struct err e = {0};
    json_t *doc = NULL;
    json_t *level;
    size_t i;
    bool any = false;

    if (client_call(client, &call, &a, &e) == 0 && a.status == 200) {
        doc = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
    }
    json_array_foreach(json_object_get(json_object_get(doc, "sandbox"), "levels"), i, level)
    {
        if (json_is_true(json_object_get(level, "usable"))) {
            buf_addf(out, "%s%s", any ? ", " : "; its levels: ", json_text(level, "name"));
            any = true;
        }
    }
    if (*json_text(doc, "policy")) {
        buf_addf(out, "; its scope: %s", json_text(doc, "policy"));
    }
    json_decref(doc);
    answer_done(&a);
}

static void check_server(struct cli *c, struct check_result *r)
{
    struct answer a = {0};
    struct err e = {0};
    auto_buf levels = {0};
    int status;
    struct client *client = cli_client(c, &status);
    auto_free char *hint = NULL;

    if (!client) {
        doctor_result(r, FINDING_FAIL, "scanpod doctor --server URL --key-file FILE",
                      "no server or key to try");
        return;
    }
    if (client_call(client, &(struct call){.method = "GET", .path = "/api/v1/scans?limit=1"}, &a,
                    &e) != 0) {
        doctor_result(r, FINDING_FAIL, cli_hint_unreachable(client), "%s", e.msg);
    } else if (a.status == 401) {
        hint = connect_key_hint(c);
        doctor_result(r, FINDING_FAIL, hint, "%s answers, but refuses the key",
                      client_server(client));
    } else if (client_check(&a, &e, &hint) != 0) {
        doctor_result(r, FINDING_FAIL, hint ? hint : "look at the server's log", "%s: %s",
                      client_server(client), e.msg);
    } else {
        add_levels(client, &levels);
        doctor_result(r, FINDING_OK, NULL, "%s, key accepted%s", client_server(client),
                      levels.data ? levels.data : "");
    }
    answer_done(&a);
}

const struct check doctor_checks[] = {
    {"settings", check_settings}, {"data", check_data_dir},
    {"disk", check_disk},         {"nmap", check_nmap},
    {"sweepers", check_sweepers}, {"engines", check_engines},
    {"scope", check_scope},       {"sandbox", check_sandbox},
    {"egress", check_egress},     {"raw sockets", check_raw},
    {"roles", check_roles},       {"repositories", check_repositories},
    {"agent", check_agent},       {"tls", check_tls},
    {"clock", check_clock},       {"transport", check_transport},
    {"storage", check_storage},   {"libcurl", check_libcurl},
    {"server", check_server},     {0},
};
