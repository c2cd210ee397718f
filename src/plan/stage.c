/* One stage, from what a profile says and a request asks: tool, ports, options, rate. */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"
#include "tool/tool.h"

/* "top:100" or a list. */
int stage_read_ports(const char *text, struct stage *s, struct err *e)
{
    int rc;

    if (str_starts(text, "top:")) {
        uint64_t n;

        if (!str_to_u64(text + 4, 1, UINT16_MAX, &n)) {
            return err_set(e, ERR_INVALID, "'%.40s': top: is followed by a number from 1 to 65535",
                           text);
        }
        free(s->ports);
        s->ports = NULL;
        s->top = (uint32_t)n;
        return 0;
    }
    rc = ports_parse(text, e);
    if (rc == 0) {
        free(s->ports);
        s->ports = ports_canonical(text);
        s->top = 0;
    }
    return rc;
}

/* Which tool finds ports where the profile leaves it open. Discovery first: nmap, which probes
 * hosts that are up; without it the tools that do not wait for answers. */
static const char *best_tool(const struct plan_request *q, const struct stage *s, bool sweep)
{
    bool wide = sweep && q->raw && s->ports && !target_set_has_v6(q->targets) &&
                s->protocols == 1u << PROTO_TCP;

    if (wide && q->have_zmap && s->n_ports == 1) {
        return "zmap";
    }
    return wide && q->have_masscan ? "masscan" : "nmap";
}

int stage_check(const struct plan_request *q, const struct stage *s, struct err *e)
{
    bool masscan = str_eq(s->tool, "masscan"), zmap = str_eq(s->tool, "zmap");
    const struct tool *t = tool_find(s->tool);

    if (t && t->instant) {
        return err_set(e, ERR_INVALID, "%s has no part in a profile: give it alone", s->tool);
    }
    if (!masscan && !zmap) {
        return 0;
    }
    if (s->kind != STAGE_PORTS) {
        return err_set(e, ERR_INVALID, "a stage of %s is work for nmap, %s cannot do it",
                       stage_kind_name(s->kind), s->tool);
    }
    if (masscan ? !q->have_masscan : !q->have_zmap) {
        return err_set(e, ERR_INVALID, "%s is not installed here: use nmap, or install it",
                       s->tool);
    }
    if (!q->raw) {
        return err_set(e, ERR_INVALID,
                       "%s needs raw sockets, which cannot be had for these targets: use nmap",
                       s->tool);
    }
    if (zmap && target_set_has_v6(q->targets)) {
        return err_set(e, ERR_INVALID, "zmap reads IPv4 targets only: use nmap or masscan");
    }
    if (q->profile && (s->top || !s->ports)) {
        return err_set(e, ERR_INVALID,
                       "%s has no list of popular ports: name the ports, as in "
                       "\"22,80,443\"",
                       s->tool);
    }
    if (q->profile && zmap && s->n_ports != 1) {
        return err_set(e, ERR_INVALID, "zmap takes one port per job, got %u: use masscan or nmap",
                       s->n_ports);
    }
    return zmap ? zmap_takes_ports(q->zmap_version, s->n_ports, e) : 0;
}

/* What the letters of a list ask for; numbers without one mean TCP. */
unsigned list_protocols(const char *list)
{
    unsigned any = ports_of(list, 1u << PROTO_TCP) ? 1u << PROTO_TCP : 0;

    any |= strstr(list, "U:") ? 1u << PROTO_UDP : 0;
    any |= strstr(list, "S:") ? 1u << PROTO_SCTP : 0;
    return any;
}

static void count_ports(struct stage *s, const struct strvec *extra)
{
    unsigned asked = options_protocols(extra);

    s->protocols = asked ? asked : s->ports ? list_protocols(s->ports) : 1u << PROTO_TCP;
    if (s->ports) {
        s->n_ports = ports_of(s->ports, s->protocols);
    } else {
        s->n_ports = s->top * (uint32_t)__builtin_popcount(s->protocols);
    }
}

uint32_t least_rate(uint32_t a, uint32_t b)
{
    return !a ? b : !b ? a : MIN(a, b);
}

static void choose_rate(const struct plan_request *q, uint32_t of_profile, struct stage *s)
{
    bool nmap = str_eq(s->tool, "nmap");

    if (q->own_pace && nmap) {
        return;
    }
    if (s->kind == STAGE_HOSTS) {
        s->rate = least_rate(least_rate(q->rate, PACE_HOSTS_RATE), q->max_rate);
    } else if (s->kind == STAGE_SERVICES) {
        uint32_t slots = MIN(MAX(q->slots, 1u), (uint32_t)PLAN_SHARDS_MAX);

        s->rate =
            least_rate(least_rate(q->rate, slots * (uint32_t)PACE_SERVICES_RATE), q->max_rate);
    }
    if (s->kind != STAGE_PORTS) {
        return;
    }
    s->rate = least_rate(least_rate(q->rate, of_profile), q->max_rate);
    if (!of_profile && nmap && !q->rate) {
        s->rate = 0; /* the profile leaves it to nmap: a cap makes no stage fast */
    }
    if (nmap && s->rate && !q->raw) {
        s->rate = MIN(s->rate, (uint32_t)PACE_CONNECT_RATE);
    }
    if (s->protocols != 1u << PROTO_TCP && nmap) {
        s->rate = 0; /* answers of closed UDP ports are limited by the targets themselves */
    }
}

/* Options of a profile are those of its own tool. Another one that is asked for in its place is
 * told what to look for at least: UDP stays UDP. */
static int keep_technique(const struct plan_request *q, const char *tool, const char *arguments,
                          struct strvec *extra, struct err *e)
{
    auto_strvec words = {0};
    unsigned protocols;

    if (!arguments || shell_split(arguments, &words, NULL) < 0) {
        return 0; /* the profile was read: it splits */
    }
    protocols = options_protocols(&words);
    if (!(protocols & ~(1u << PROTO_TCP))) {
        return 0;
    }
    if (str_eq(tool, "zmap") || protocols >> PROTO_SCTP & 1) {
        return err_set(e, ERR_INVALID, "%s does not find what profile %s looks for (%s): use nmap",
                       tool, q->profile->name, arguments);
    }
    if (protocols >> PROTO_TCP & 1) {
        strvec_push(extra, "-sS");
    }
    strvec_push(extra, "-sU");
    return 0;
}

/* nmap's ways to find no ports, or those of one family only. */
static int check_technique(const struct plan_request *q, const struct strvec *extra, struct err *e)
{
    for (size_t i = 0; i < extra->n; i++) {
        if (str_eq(extra->v[i], "-6") && target_set_has_v4(q->targets)) {
            return err_set(e, ERR_INVALID, "contradicting arguments: '-6' and IPv4 targets");
        }
        if (str_eq(extra->v[i], "-sn") || str_eq(extra->v[i], "-sL") ||
            str_eq(extra->v[i], "-sO")) {
            return err_set(e, ERR_INVALID,
                           "'%s' finds no ports, which its stage is for: use nmap without a "
                           "profile, or profile ping",
                           extra->v[i]);
        }
    }
    return 0;
}

/* A stage of ports: ports and options of the request apply to it. */
static int make_ports(const struct plan_request *q, const struct profile_stage *from, bool sweep,
                      struct stage *s, struct strvec *extra, struct err *e)
{
    const char *tool = q->tool ? q->tool : from->tool;
    const char *reader = tool ? tool : "nmap";
    char *listed = NULL;
    int rc = from->ports ? stage_read_ports(from->ports, s, e) : 0;

    if (rc == 0 && str_eq(reader, from->tool ? from->tool : "nmap")) {
        rc = options_split(reader, from->arguments, &s->ports, &s->top, extra, e);
    }
    if (rc == 0) {
        rc = options_split(reader, q->arguments, &listed, &s->top, extra, e);
    }
    if (rc == 0 && !options_protocols(extra)) {
        rc = keep_technique(q, reader, from->arguments, extra, e);
    }
    if (rc == 0) {
        rc = check_technique(q, extra, e);
    }
    if (listed) {
        free(s->ports);
        s->ports = listed;
        s->top = 0;
    }
    if (rc == 0 && q->ports) {
        rc = stage_read_ports(q->ports, s, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (s->top && s->ports) {
        free(s->ports);
        s->ports = NULL;
    }
    if (!s->ports && !s->top && sweep) {
        return err_set(e, ERR_INVALID, "profile %s needs ports, for example \"443\"",
                       q->profile->name);
    }
    s->top = s->ports || s->top ? s->top : 1000;
    count_ports(s, extra);
    if (s->ports && s->n_ports == 0) {
        return err_set(e, ERR_INVALID, "ports '%.80s' has no port that its stage could probe",
                       s->ports);
    }
    s->tool = xstrdup(tool ? tool : best_tool(q, s, sweep));
    return 0;
}

/* The options of the request are for stages of ports; -Pn there means: take all for up. */
int stage_make(const struct plan_request *q, const struct profile_stage *from, bool sweep,
               struct stage *s, struct err *e)
{
    auto_strvec extra = {0};
    auto_buf text = {0};
    int rc;

    s->kind = from->kind;
    if (s->kind == STAGE_PORTS) {
        rc = make_ports(q, from, sweep, s, &extra, e);
    } else {
        s->tool = xstrdup(from->tool ? from->tool : "nmap");
        rc = from->arguments ? shell_split(from->arguments, &extra, e) : 0;
        s->protocols = 1u << PROTO_TCP;
    }
    if (rc == 0) {
        rc = stage_check(q, s, e);
    }
    if (rc < 0) {
        return rc;
    }
    options_join(&extra, &text);
    s->extra = text.len ? buf_take(&text) : NULL;
    choose_rate(q, from->rate, s);
    return 0;
}
