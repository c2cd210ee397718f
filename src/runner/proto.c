/*
 * What goes to the runner: launches and questions. The runner does not believe the daemon: every
 * field is checked again, and a message that no runner_launch() makes ends them both.
 */
#include "runner/proto.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "box/box.h"
#include "proxy/proxy.h"

enum {
    FLAG_RAW = 1,
    FLAG_DEDICATED = 2,
    FLAG_DNS = 4,
    FLAG_BLOB = 8,
    FLAG_INPUT = 16,
    FLAG_MORE = 32, /* targets and texts come by descriptor */
    FLAG_PLAIN = 64,
    FLAG_NEST = 128,
    FLAG_STDIN = 256,
    FLAG_TEXTS = 512,
    FLAGS_ALL = 1023,
    TAIL_MAX = 2 + 17 /* the flags and the resolver */
};

/* ---- parsers ---- */

static const struct parser *const parsers[] = {&parser_nmap_xml, &parser_masscan, &parser_zmap,
                                               &parser_repo, &parser_sarif};
static const struct parser *extra;

void runner_add_parser(const struct parser *p)
{
    extra = p;
}

const struct parser *parser_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
        if (str_eq(parsers[i]->name, name)) {
            return parsers[i];
        }
    }
    return extra && str_eq(extra->name, name) ? extra : NULL;
}

/* ---- command lines: tens of thousands of short words, parted by NULs ---- */

static int put_argv(struct buf *b, const struct strvec *argv, struct err *e)
{
    size_t n = argv ? argv->n : 0;

    wire_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_add(b, argv->v[i], strlen(argv->v[i]) + 1);
        if (b->len > CHAN_BODY_MAX) {
            return err_set(e, ERR_LIMIT, "the tool's command line is longer than %d bytes",
                           CHAN_BODY_MAX);
        }
    }
    return 0;
}

static bool get_argv(struct wire *w, struct strvec *argv)
{
    uint32_t n = wire_get_u32(w);

    for (uint32_t i = 0; i < n && !w->bad; i++) {
        const uint8_t *nul = memchr(w->p, '\0', (size_t)(w->end - w->p));

        if (!nul) {
            return false;
        }
        strvec_pushn(argv, (const char *)w->p, (size_t)(nul - w->p));
        w->p = nul + 1;
    }
    return !w->bad;
}

/* ---- addresses ---- */

static void put_ip(struct buf *b, const struct net_ip *ip)
{
    wire_u8(b, ip->v6);
    if (ip->v6) {
        wire_u64(b, ip->hi);
        wire_u64(b, ip->lo);
    } else {
        wire_u32(b, (uint32_t)ip->lo);
    }
}

static bool get_ip(struct wire *w, struct net_ip *ip)
{
    uint8_t v6 = wire_get_u8(w);

    *ip = (struct net_ip){.v6 = v6 == 1};
    if (v6 == 1) {
        ip->hi = wire_get_u64(w);
        ip->lo = wire_get_u64(w);
    } else {
        ip->lo = wire_get_u32(w);
    }
    return v6 <= 1 && !w->bad;
}

static void put_targets(struct buf *b, const struct netset *targets)
{
    size_t n = targets ? targets->n : 0;

    wire_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        put_ip(b, &targets->v[i].first);
        put_ip(b, &targets->v[i].last);
    }
}

/* In order and apart, as a set has them. */
static bool get_targets(struct wire *w, struct netset *out)
{
    uint32_t n = wire_get_u32(w);
    struct net_range r, last;

    for (uint32_t i = 0; i < n; i++) {
        if (i == RANGES_MAX || !get_ip(w, &r.first) || !get_ip(w, &r.last) ||
            r.first.v6 != r.last.v6 || net_ip_cmp(&r.first, &r.last) > 0 ||
            (i > 0 && net_ip_cmp(&last.last, &r.first) >= 0)) {
            return false;
        }
        netset_add(out, &r);
        last = r;
    }
    return !w->bad;
}

/* ---- limits, as the table of them says ---- */

static bool limits_sane(const struct limits *l)
{
    struct limits copy = *l;

    for (const struct limit_row *row = limit_rows; row->name; row++) {
        uint32_t v = *limit_at(&copy, row);

        if (v != 0 && (v < row->min || v > row->max)) {
            return false;
        }
    }
    return true;
}

static void put_limits(struct buf *b, const struct limits *l)
{
    struct limits copy = *l;

    for (const struct limit_row *row = limit_rows; row->name; row++) {
        wire_u32(b, *limit_at(&copy, row));
    }
}

static void get_limits(struct wire *w, struct limits *l)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        *limit_at(l, row) = wire_get_u32(w);
    }
}

/* ---- where the proxy may connect ---- */

static void put_hosts(struct buf *b, const struct strvec *allow)
{
    size_t n = allow ? allow->n : 0;

    wire_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        wire_str(b, allow->v[i]);
    }
}

static bool get_hosts(struct wire *w, struct strvec *out)
{
    uint32_t n = wire_get_u32(w);

    for (uint32_t i = 0; i < n; i++) {
        const char *entry;

        if (i == PROXY_ENTRIES_MAX || !wire_get_str(w, &entry, NULL) || !entry) {
            return false;
        }
        strvec_push(out, entry);
    }
    return !w->bad;
}

/* ---- launches ---- */

int launch_check(const struct runner_launch *l, struct err *e)
{
    bool tool = l->argv && l->argv->n > 0;

    if (!parser_find(l->parser)) {
        return err_set(e, ERR_INVALID, "there is no parser '%s'", l->parser ? l->parser : "");
    }
    if (tool == (l->input_fd >= 0)) {
        return err_set(e, ERR_INVALID, "a run is of a tool or of stored output, not of %s",
                       tool ? "both" : "nothing");
    }
    if (tool && l->plain) {
        return err_set(e, ERR_INVALID, "only what is read from a file can be plain");
    }
    if (tool && l->argv->v[0][0] != '/') {
        return err_set(e, ERR_INVALID, "'%s' is not a full path", l->argv->v[0]);
    }
    if (l->egress >= EGRESS_LEVELS) {
        return err_set(e, ERR_INVALID, "runs have no egress level %d", (int)l->egress);
    }
    if (l->dedicated && l->egress != EGRESS_NFT) {
        return err_set(e, ERR_INVALID, "only level nft has addresses of its own");
    }
    if (l->proxy_allow && l->proxy_allow->n > 0) {
        if (l->egress != EGRESS_PROXY) {
            return err_set(e, ERR_INVALID, "only level proxy has a list of hosts");
        }
        if (proxy_allow_check(l->proxy_allow, e) != 0) {
            return ERR_INVALID;
        }
    }
    if (!limits_sane(&l->limits)) {
        return err_set(e, ERR_INVALID, "a limit of the run is out of its bounds");
    }
    if (l->targets && l->targets->n > RANGES_MAX) {
        return err_set(e, ERR_LIMIT, "the targets are more than %d ranges", RANGES_MAX);
    }
    return extras_check(l, e);
}

static int seal(const struct buf *text, int *out_fd, struct err *e)
{
    auto_fd int fd = memfd_create("scanpod-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    while (fd >= 0 && done < text->len) {
        ssize_t n = write(fd, text->data + done, text->len - done);

        if (n <= 0) {
            break;
        }
        done += (size_t)n;
    }
    if (fd < 0 || done < text->len || fcntl(fd, F_ADD_SEALS, launch_seals) < 0) {
        return err_errno(e, "pass the targets on");
    }
    *out_fd = take_fd(&fd);
    return 0;
}

static bool unseal(int fd, struct buf *text)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    char *room;

    if (seals < 0 || (seals & launch_seals) != launch_seals || fstat(fd, &st) < 0 ||
        st.st_size <= 0 || st.st_size > MORE_MAX) {
        return false;
    }
    room = buf_space(text, (size_t)st.st_size);
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = pread(fd, room + at, (size_t)(st.st_size - at), at);

        if (n <= 0) {
            return false;
        }
        at += n;
    }
    text->len = (size_t)st.st_size;
    return true;
}

static uint16_t flags_of(const struct runner_launch *l)
{
    return (uint16_t)((l->raw_sockets ? FLAG_RAW : 0) | (l->dedicated ? FLAG_DEDICATED : 0) |
                      (l->has_dns ? FLAG_DNS : 0) | (l->blob_fd >= 0 ? FLAG_BLOB : 0) |
                      (l->input_fd >= 0 ? FLAG_INPUT : 0) | (l->plain ? FLAG_PLAIN : 0) |
                      (l->nest ? FLAG_NEST : 0) | (l->stdin_fd > 0 ? FLAG_STDIN : 0) |
                      (l->n_texts > 0 ? FLAG_TEXTS : 0));
}

int launch_put(struct buf *b, struct launch_fds *out, const struct runner_launch *l, struct err *e)
{
    auto_buf more = {.cap = MORE_MAX};
    auto_buf argv = {0};
    uint16_t flags = flags_of(l);
    int rc = launch_check(l, e);

    if (rc != 0 || (rc = put_argv(&argv, l->argv, e)) != 0) {
        return rc;
    }
    put_targets(&more, l->targets);
    wire_str(&more, l->target_lines);
    wire_str(&more, l->hosts);
    put_hosts(&more, l->proxy_allow);
    extras_put(&more, l);
    if (more.over) {
        return err_set(e, ERR_LIMIT, "the targets need more than %d bytes", MORE_MAX);
    }
    wire_u64(b, l->run);
    wire_str(b, l->parser);
    wire_u32(b, l->grace_ms);
    wire_u64(b, l->output_max);
    wire_u32(b, l->wall_ms);
    put_limits(b, &l->limits);
    wire_u32(b, l->files);
    wire_u8(b, (uint8_t)l->egress);
    flags |= b->len + TAIL_MAX + argv.len + more.len > CHAN_BODY_MAX ? FLAG_MORE : 0;
    wire_u16(b, flags);
    if (l->has_dns) {
        put_ip(b, &l->dns);
    }
    buf_add(b, argv.data, argv.len);
    if (b->len > CHAN_BODY_MAX) {
        return err_set(e, ERR_LIMIT, "the tool's command line is longer than %d bytes",
                       CHAN_BODY_MAX);
    }
    if (flags & FLAG_MORE) {
        rc = seal(&more, &out->more, e);
    } else {
        buf_add(b, more.data, more.len);
    }
    return rc == 0 && flags & FLAG_TEXTS ? texts_seal(l, &out->texts, e) : rc;
}

static bool get_more(struct wire *w, struct launch_in *in)
{
    if (!get_targets(w, &in->targets)) {
        return false;
    }
    in->l.targets = &in->targets;
    return wire_get_str(w, &in->l.target_lines, NULL) && wire_get_str(w, &in->l.hosts, NULL) &&
           get_hosts(w, &in->proxy_allow) && extras_get(w, in) && wire_end(w);
}

static bool get_head(struct wire *w, struct runner_launch *l, uint16_t *flags)
{
    l->run = wire_get_u64(w);
    if (!wire_get_str(w, &l->parser, NULL)) {
        return false;
    }
    l->grace_ms = wire_get_u32(w);
    l->output_max = wire_get_u64(w);
    l->wall_ms = wire_get_u32(w);
    get_limits(w, &l->limits);
    l->files = wire_get_u32(w);
    l->egress = (enum egress)wire_get_u8(w);
    *flags = wire_get_u16(w);
    l->raw_sockets = (*flags & FLAG_RAW) != 0;
    l->dedicated = (*flags & FLAG_DEDICATED) != 0;
    l->has_dns = (*flags & FLAG_DNS) != 0;
    l->blob_fd = *flags & FLAG_BLOB ? 0 : -1;
    l->input_fd = *flags & FLAG_INPUT ? 0 : -1;
    l->plain = (*flags & FLAG_PLAIN) != 0;
    l->nest = (*flags & FLAG_NEST) != 0;
    return !w->bad && *flags <= FLAGS_ALL && (!l->has_dns || get_ip(w, &l->dns));
}

bool launch_get(struct wire *w, const int *fds, unsigned n_fds, struct launch_in *in)
{
    struct wire more;
    unsigned want = 1;
    uint16_t flags;

    *in = (struct launch_in){.l = {.argv = &in->argv, .proxy_allow = &in->proxy_allow}};
    if (!get_head(w, &in->l, &flags) || !get_argv(w, &in->argv)) {
        return false;
    }
    in->record = 0;
    in->blob = flags & FLAG_BLOB ? want++ : 0;
    in->input = flags & FLAG_INPUT ? want++ : 0;
    in->l.stdin_fd = flags & FLAG_STDIN && want < n_fds ? fds[want] : -1;
    want += (flags & FLAG_STDIN) != 0;
    if (flags & FLAG_MORE) {
        if (want >= n_fds || !wire_end(w) || !unseal(fds[want++], &in->more)) {
            return false;
        }
        more = (struct wire){.p = (const uint8_t *)in->more.data,
                             .end = (const uint8_t *)in->more.data + in->more.len};
        w = &more;
    }
    if (n_fds != want + ((flags & FLAG_TEXTS) != 0) || !get_more(w, in) ||
        (in->l.n_texts > 0) != ((flags & FLAG_TEXTS) != 0)) {
        return false;
    }
    return (in->l.n_texts == 0 || texts_map(fds[want], in)) && launch_check(&in->l, NULL) == 0;
}

void launch_in_done(struct launch_in *in)
{
    strvec_done(&in->argv);
    netset_done(&in->targets);
    strvec_done(&in->proxy_allow);
    extras_done(in);
    buf_done(&in->more);
}

/* ---- questions ---- */

int ask_put(struct buf *b, uint64_t ask, const struct strvec *argv, struct err *e)
{
    if (argv->n == 0 || argv->v[0][0] != '/') {
        return err_set(e, ERR_INVALID, "a program is asked by its full path");
    }
    wire_u64(b, ask);
    return put_argv(b, argv, e);
}

bool ask_get(struct wire *w, uint64_t *ask, struct strvec *argv)
{
    *ask = wire_get_u64(w);
    return get_argv(w, argv) && wire_end(w) && argv->n > 0 && argv->v[0][0] == '/';
}
