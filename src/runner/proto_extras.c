/*
 * What a launch may bring along: files for its view, parts of the machine, and gateways of the
 * proxy. Names and sizes travel with the targets; what the files hold travels in one sealed memfd,
 * which the runner maps as long as it makes the box.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "box/box.h"
#include "proxy/proxy.h"
#include "runner/proto.h"
#include "runner/run.h"

const int launch_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/* ---- checks ---- */

/* Absolute, and no part of it empty, "." or "..". */
static bool is_plain_path(const char *path)
{
    if (!path || path[0] != '/' || strlen(path) >= PATH_MAX) {
        return false;
    }
    while (*path == '/') {
        size_t n = strcspn(++path, "/");

        if (n == 0 || (n <= 2 && strncmp(path, "..", n) == 0)) {
            return false;
        }
        path += n;
    }
    return true;
}

static bool is_below(const char *path, const char *dir)
{
    return strncmp(path, dir, strlen(dir)) == 0;
}

static int texts_check(const struct runner_launch *l, struct err *e)
{
    uint64_t sum = 0;

    if (l->n_texts > TEXTS_COUNT_MAX) {
        return err_set(e, ERR_LIMIT, "a run brings at most %d files", TEXTS_COUNT_MAX);
    }
    for (size_t i = 0; i < l->n_texts; i++) {
        const struct box_file *f = &l->texts[i];

        if (!is_plain_path(f->path) ||
            (!is_below(f->path, "/tmp/") && !is_below(f->path, "/etc/"))) {
            return err_set(e, ERR_INVALID, "'%s' is no place for a file of a run",
                           f->path ? f->path : "");
        }
        sum += f->n;
        if (sum > TEXTS_MAX) {
            return err_set(e, ERR_LIMIT, "the files of a run hold more than %d bytes", TEXTS_MAX);
        }
    }
    return 0;
}

static int binds_check(const struct runner_launch *l, struct err *e)
{
    if (l->n_binds > BINDS_MAX) {
        return err_set(e, ERR_LIMIT, "a run sees at most %d more parts of the machine", BINDS_MAX);
    }
    for (size_t i = 0; i < l->n_binds; i++) {
        if (!is_plain_path(l->binds[i].path)) {
            return err_set(e, ERR_INVALID, "'%s' is not a full path without '..'",
                           l->binds[i].path ? l->binds[i].path : "");
        }
        if (l->binds[i].write) {
            return err_set(e, ERR_INVALID, "'%s': a run writes to no part of the machine",
                           l->binds[i].path);
        }
    }
    return 0;
}

static int gateways_check(const struct runner_launch *l, struct err *e)
{
    if (l->n_gateways > 0 && l->egress != EGRESS_PROXY) {
        return err_set(e, ERR_INVALID, "only level proxy has gateways");
    }
    if (l->n_gateways > GATEWAYS_MAX) {
        return err_set(e, ERR_LIMIT, "a run has at most %d gateways", GATEWAYS_MAX);
    }
    for (size_t i = 0; i < l->n_gateways; i++) {
        if (proxy_gateway_check(&l->gateways[i], e) != 0) {
            return ERR_INVALID;
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(l->gateways[k].prefix, l->gateways[i].prefix)) {
                return err_set(e, ERR_INVALID, "two gateways have the prefix '%s'",
                               l->gateways[i].prefix);
            }
        }
    }
    return 0;
}

int extras_check(const struct runner_launch *l, struct err *e)
{
    bool tool = l->argv && l->argv->n > 0;
    int rc;

    if (!tool && (l->nest || l->n_texts > 0 || l->n_binds > 0 || l->stdin_fd > 0)) {
        return err_set(e, ERR_INVALID, "only a tool has a box");
    }
    if (l->nest && ((l->egress != EGRESS_NONE && l->egress != EGRESS_PROXY) || l->raw_sockets)) {
        return err_set(e, ERR_INVALID, "what makes boxes itself has no network but the proxy");
    }
    rc = texts_check(l, e);
    rc = rc != 0 ? rc : binds_check(l, e);
    return rc != 0 ? rc : gateways_check(l, e);
}

/* ---- names, sizes, gateways ---- */

void extras_put(struct buf *b, const struct runner_launch *l)
{
    wire_u32(b, (uint32_t)l->n_texts);
    for (size_t i = 0; i < l->n_texts; i++) {
        wire_str(b, l->texts[i].path);
        wire_u32(b, (uint32_t)l->texts[i].n);
    }
    wire_u32(b, (uint32_t)l->n_binds);
    for (size_t i = 0; i < l->n_binds; i++) {
        wire_str(b, l->binds[i].path);
    }
    wire_u32(b, (uint32_t)l->n_gateways);
    for (size_t i = 0; i < l->n_gateways; i++) {
        const struct proxy_gateway *g = &l->gateways[i];

        wire_u8(b, (uint8_t)g->kind);
        wire_str(b, g->prefix);
        wire_str(b, g->upstream);
        wire_u8(b, g->tls);
        wire_str(b, g->path);
        wire_str(b, g->ca_file);
        wire_str(b, g->secret);
        wire_str(b, g->username);
        wire_u64(b, g->tokens_max);
        wire_u32(b, g->requests_max);
        wire_u32(b, g->body_max);
    }
}

static bool get_texts(struct wire *w, struct launch_in *in)
{
    uint32_t n = wire_get_u32(w);

    if (w->bad || n > TEXTS_COUNT_MAX) {
        return false;
    }
    in->texts = xcalloc(n, sizeof *in->texts);
    for (uint32_t i = 0; i < n; i++) {
        if (!wire_get_str(w, &in->texts[i].path, NULL)) {
            return false;
        }
        in->texts[i].n = wire_get_u32(w);
    }
    in->l.texts = in->texts;
    in->l.n_texts = n;
    return !w->bad;
}

static bool get_binds(struct wire *w, struct launch_in *in)
{
    uint32_t n = wire_get_u32(w);

    if (w->bad || n > BINDS_MAX) {
        return false;
    }
    in->binds = xcalloc(n, sizeof *in->binds);
    for (uint32_t i = 0; i < n; i++) {
        if (!wire_get_str(w, &in->binds[i].path, NULL)) {
            return false;
        }
    }
    in->l.binds = in->binds;
    in->l.n_binds = n;
    return true;
}

static bool get_gateway(struct wire *w, struct proxy_gateway *g)
{
    uint8_t kind = wire_get_u8(w);
    uint8_t tls;

    g->kind = (enum gateway_kind)kind;
    wire_get_str(w, &g->prefix, NULL);
    wire_get_str(w, &g->upstream, NULL);
    tls = wire_get_u8(w);
    g->tls = tls == 1;
    wire_get_str(w, &g->path, NULL);
    wire_get_str(w, &g->ca_file, NULL);
    wire_get_str(w, &g->secret, NULL);
    wire_get_str(w, &g->username, NULL);
    g->tokens_max = wire_get_u64(w);
    g->requests_max = wire_get_u32(w);
    g->body_max = wire_get_u32(w);
    return !w->bad && tls <= 1 && kind <= GATEWAY_GIT;
}

bool extras_get(struct wire *w, struct launch_in *in)
{
    uint32_t n;

    if (!get_texts(w, in) || !get_binds(w, in)) {
        return false;
    }
    n = wire_get_u32(w);
    if (w->bad || n > GATEWAYS_MAX) {
        return false;
    }
    in->gateways = xcalloc(n, sizeof *in->gateways);
    for (uint32_t i = 0; i < n; i++) {
        if (!get_gateway(w, &in->gateways[i])) {
            return false;
        }
    }
    in->l.gateways = in->gateways;
    in->l.n_gateways = n;
    return true;
}

/* ---- what the files hold ---- */

static bool write_all(int fd, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = write(fd, p + done, n - done);

        if (k < 0 && errno != EINTR) {
            return false;
        }
        done += k > 0 ? (size_t)k : 0;
    }
    return true;
}

int texts_seal(const struct runner_launch *l, int *out_fd, struct err *e)
{
    auto_fd int fd = memfd_create("scanpod-texts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool ok = fd >= 0;

    for (size_t i = 0; i < l->n_texts && ok; i++) {
        ok = write_all(fd, l->texts[i].text, l->texts[i].n);
    }
    if (!ok || fcntl(fd, F_ADD_SEALS, launch_seals) < 0) {
        return err_errno(e, "pass the files of a run on");
    }
    *out_fd = take_fd(&fd);
    return 0;
}

bool texts_map(int fd, struct launch_in *in)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    uint64_t sum = 0;
    char *at;

    for (size_t i = 0; i < in->l.n_texts; i++) {
        sum += in->texts[i].n;
    }
    if (seals < 0 || (seals & launch_seals) != launch_seals || fstat(fd, &st) < 0 ||
        st.st_size < 0 || (uint64_t)st.st_size != sum || sum > TEXTS_MAX) {
        return false;
    }
    if (sum > 0) {
        in->map = mmap(NULL, sum, PROT_READ, MAP_PRIVATE, fd, 0);
        if (in->map == MAP_FAILED) {
            in->map = NULL;
            return false;
        }
        in->map_size = sum;
    }
    at = in->map;
    for (size_t i = 0; i < in->l.n_texts; i++) {
        in->texts[i].text = sum > 0 ? at : "";
        at += sum > 0 ? in->texts[i].n : 0;
    }
    return true;
}

/* ---- kept by a run ---- */

static const char *keep(struct strvec *text, const char *s)
{
    if (s) {
        strvec_push(text, s);
    }
    return s ? text->v[text->n - 1] : NULL;
}

void run_gateways_copy(struct run_gateways *out, const struct proxy_gateway *v, size_t n)
{
    *out = (struct run_gateways){.v = xcalloc(n, sizeof *v), .n = n};
    for (size_t i = 0; i < n; i++) {
        struct proxy_gateway *g = &out->v[i];

        *g = v[i];
        g->prefix = keep(&out->text, g->prefix);
        g->upstream = keep(&out->text, g->upstream);
        g->path = keep(&out->text, g->path);
        g->ca_file = keep(&out->text, g->ca_file);
        g->secret = keep(&out->text, g->secret);
        g->username = keep(&out->text, g->username);
    }
}

void run_gateways_done(struct run_gateways *g)
{
    free(g->v);
    strvec_done(&g->text);
}

void extras_done(struct launch_in *in)
{
    if (in->map) {
        (void)munmap(in->map, in->map_size);
    }
    free(in->texts);
    free(in->binds);
    free(in->gateways);
}
