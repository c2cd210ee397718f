#include "runner/run_spec.h"

#include <string.h>

#include "base/mem.h"
#include "proxy/proxy.h"
#include "runner/process.h"

enum { OWN_FILES = 4 };

static void add_file(struct run_spec *s, const char *path, const char *text)
{
    s->files[s->box.n_files++] = (struct box_file){.path = path, .text = text, .n = strlen(text)};
}

/* Ours first: what the launch names twice is refused by the box. */
static void add_brought(struct run_spec *s, const struct runner_launch *l)
{
    for (size_t i = 0; i < l->n_texts; i++) {
        s->files[s->box.n_files++] = l->texts[i];
    }
    for (size_t i = 0; i < l->n_binds; i++) {
        s->binds[s->box.n_binds++] = l->binds[i];
    }
}

/* Names mean what they were pinned to when the job was accepted. Only where the policy names a
 * resolver may anything else be asked, and then it alone. */
static void add_names(struct run_spec *s, const struct runner_launch *l)
{
    char text[NET_TEXT];

    add_file(s, "/etc/hosts", l->hosts ? l->hosts : "127.0.0.1 localhost\n::1 localhost\n");
    if (!l->has_dns) {
        add_file(s, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
        return;
    }
    net_ip_text(&l->dns, text);
    buf_addf(&s->resolver, "nameserver %s\n", text);
    add_file(s, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    add_file(s, "/etc/resolv.conf", s->resolver.data);
}

/* In lower case too: curl takes http_proxy by no other name. */
static void add_proxy(struct run_spec *s)
{
    static const char *const names[] = {"HTTPS_PROXY", "https_proxy", "http_proxy"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        strvec_pushf(&s->env, "%s=http://127.0.0.1:%d", names[i], PROXY_PORT);
    }
}

static void add_environment(struct run_spec *s, const char *home, const struct runner_launch *l)
{
    strvec_push(&s->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strvec_pushf(&s->env, "HOME=%s", home);
    strvec_pushf(&s->env, "TMPDIR=%s", home);
    strvec_push(&s->env, "LC_ALL=C.UTF-8");
    strvec_push(&s->env, "TZ=UTC");
    /* nmap judges by the uid what it may do; the capability decides it here. */
    strvec_push(&s->env, s->box.raw_sockets ? "NMAP_PRIVILEGED=1" : "NMAP_UNPRIVILEGED=1");
    if (l->egress == EGRESS_PROXY) {
        add_proxy(s);
    }
    s->box.env = s->env.v;
}

static void choose_network(struct box_spec *b, const struct runner_process *rp,
                           const struct runner_launch *l)
{
    const struct box_can *can = box_probe();

    b->calls = BOX_CALLS_NETWORK;
    switch (l->egress) {
    case EGRESS_NFT:
    case EGRESS_ROOTLESS:
        b->net = BOX_NET_OWN;
        b->raw_sockets = l->raw_sockets;
        b->net_admin = rp->config->net_admin;
        break;
    case EGRESS_PROXY:
        b->net = BOX_NET_EMPTY;
        b->listen_port = PROXY_PORT;
        break;
    case EGRESS_BROKER:
        b->net = BOX_NET_SHARED;
        b->calls = BOX_CALLS_BROKER;
        break;
    case EGRESS_UNCONFINED:
        b->net = BOX_NET_SHARED;
        b->raw_sockets = l->raw_sockets && can->raw_shared;
        break;
    default:
        b->net = BOX_NET_EMPTY;
        b->calls = l->raw_sockets ? BOX_CALLS_NETWORK : BOX_CALLS_OFFLINE;
        b->raw_sockets = l->raw_sockets;
        b->net_admin = rp->config->net_admin;
        break;
    }
    if (l->nest) {
        b->nest = true;
        b->calls = BOX_CALLS_NESTING;
    }
}

/*
 * With `nest` they hold for the boxes inside, too. Processes are counted in all user namespaces
 * above one, so that is a sum over all of them. Memory, processor time and the size of a file by
 * rlimit are of one process each, and the most that an inner box can be given: it takes the smaller
 * one of both. A cgroup counts all together. /tmp of the outer box is one tmpfs; each inner box
 * makes its own, which only a cgroup counts.
 */
static void set_limits(struct box_limits *out, const struct runner_process *rp,
                       const struct runner_launch *l, bool cgroup)
{
    uint32_t others = 0;

    /* Without a user namespace of its own the tool is counted together with all that runs as our
     * user: other tools, parsers, ourselves. */
    if (box_probe()->level != BOX_USERNS) {
        others = l->limits.processes * (rp->n_runs > 0 ? rp->n_runs - 1 : 0) + 2 * rp->n_runs + 32;
    }
    *out = (struct box_limits){
        .cpu_s = l->limits.cpu_s,
        .mem_mb = cgroup ? 0 : l->limits.memory_mb,
        .procs = cgroup || l->limits.processes == 0 ? 0 : l->limits.processes + others,
        .file_mb = l->limits.file_mb,
        .disk_mb = l->limits.disk_mb,
        .inodes = l->limits.inodes,
        .files = l->files,
    };
}

void run_spec_fill(struct run_spec *s, const struct runner_process *rp,
                   const struct runner_launch *l, const char *dir, bool cgroup)
{
    *s = (struct run_spec){
        .box = {.argv = l->argv->v,
                .dir = dir,
                .in = -1,
                .out = -1,
                .err = -1,
                .cgroup_fd = -1,
                .hold_fd = rp->config->hold_fd},
    };
    s->files = xcalloc(OWN_FILES + l->n_texts, sizeof *s->files);
    s->binds = xcalloc(rp->config->n_binds + l->n_binds, sizeof *s->binds);
    s->box.files = s->files;
    s->box.binds = s->binds;
    for (size_t i = 0; i < rp->config->n_binds; i++) {
        s->binds[s->box.n_binds++] = rp->config->binds[i];
    }
    choose_network(&s->box, rp, l);
    set_limits(&s->box.limits, rp, l, cgroup);
    add_environment(s, dir ? dir : "/tmp", l);
    if (l->target_lines) {
        add_file(s, "/tmp/" TARGETS_FILE, l->target_lines);
    }
    if (!dir) {
        add_names(s, l);
    }
    add_brought(s, l);
}

void run_spec_done(struct run_spec *s)
{
    strvec_done(&s->env);
    buf_done(&s->resolver);
    free(s->files);
    free(s->binds);
}
