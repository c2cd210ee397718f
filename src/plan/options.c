/*
 * Options of stages as text: ours, and those that were asked for. What was asked for wins: of a
 * group, or of the same name, ours are then left out. Values are not looked at here; the tool's own
 * table checks every task before it runs.
 */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"

/* The row of a word such as "--max-retries", "--max-retries=3", "-PS22"; NULL: none. */
static const struct tool_option *row_of(const char *tool, const char *word)
{
    const struct tool *t = tool_find(tool);
    size_t n = strcspn(word, "=");

    for (const struct tool_option *o = t ? t->options : NULL; o && o->name; o++) {
        if (strlen(o->name) == n && strncmp(o->name, word, n) == 0) {
            return o;
        }
    }
    for (const struct tool_option *o = t ? t->options : NULL; o && o->name; o++) {
        if ((o->glued || o->apart) && str_starts(word, o->name)) {
            return o;
        }
    }
    return NULL;
}

bool options_have(const char *tool, const struct strvec *tokens, const char *name)
{
    const struct tool_option *ours = row_of(tool, name);
    size_t len = strcspn(name, "=");

    for (size_t i = 0; i < tokens->n; i++) {
        const char *word = tokens->v[i];
        const struct tool_option *row = word[0] == '-' ? row_of(tool, word) : NULL;

        if (strncmp(word, name, len) == 0 && (word[len] == '\0' || word[len] == '=')) {
            return true;
        }
        if (row && ours && (row == ours || (row->group && str_eq(row->group, ours->group)))) {
            return true;
        }
    }
    return false;
}

unsigned options_protocols(const struct strvec *tokens)
{
    static const struct {
        char letter;
        unsigned proto;
    } techniques[] = {
        {'S', PROTO_TCP}, {'T', PROTO_TCP},  {'A', PROTO_TCP},  {'W', PROTO_TCP},
        {'M', PROTO_TCP}, {'N', PROTO_TCP},  {'F', PROTO_TCP},  {'X', PROTO_TCP},
        {'U', PROTO_UDP}, {'Y', PROTO_SCTP}, {'Z', PROTO_SCTP},
    };
    unsigned found = 0;

    for (size_t i = 0; i < tokens->n; i++) {
        const char *word = tokens->v[i];

        for (size_t k = 0; k < ARRAY_LEN(techniques); k++) {
            if (word[0] == '-' && word[1] == 's' && word[2] == techniques[k].letter && !word[3]) {
                found |= 1u << techniques[k].proto;
            }
        }
    }
    return found;
}

void options_join(const struct strvec *tokens, struct buf *out)
{
    for (size_t i = 0; i < tokens->n; i++) {
        shell_quote(out, tokens->v[i]);
    }
}

static int take_list(const char *list, char **ports, struct err *e)
{
    int rc = ports_parse(list, e);

    if (rc == 0) {
        free(*ports);
        *ports = ports_canonical(list);
    }
    return rc;
}

static int take_top(const char *number, uint32_t *top, struct err *e)
{
    uint64_t n;

    if (!number || !str_to_u64(number, 1, UINT16_MAX, &n)) {
        return err_set(e, ERR_INVALID, "invalid value for '--top-ports': '%.40s'",
                       number ? number : "");
    }
    *top = (uint32_t)n;
    return 0;
}

int options_split(const char *tool, const char *arguments, char **ports, uint32_t *top,
                  struct strvec *rest, struct err *e)
{
    auto_strvec words = {0};
    bool nmap = str_eq(tool, "nmap");
    int rc = arguments ? shell_split(arguments, &words, e) : 0;

    for (size_t i = 0; i < words.n && rc == 0; i++) {
        const char *word = words.v[i], *value = words.v[i + 1];
        bool last = i + 1 == words.n;

        if (nmap && str_starts(word, "-p") && word[2] != '\0') {
            rc = take_list(word + 2 + (word[2] == '='), ports, e);
        } else if (str_eq(word, "-p") || (!nmap && str_eq(word, "--ports"))) {
            rc = last ? err_set(e, ERR_INVALID, "argument '%s' requires a value", word)
                      : take_list(value, ports, e);
            i++;
        } else if (nmap && str_starts(word, "--top-ports=")) {
            rc = take_top(word + strlen("--top-ports="), top, e);
        } else if (nmap && str_eq(word, "--top-ports")) {
            rc = take_top(last ? NULL : value, top, e);
            i++;
        } else if (nmap && str_eq(word, "-F")) {
            *top = 100;
        } else {
            strvec_push(rest, word);
        }
    }
    return rc;
}

/* ---- of a stage ---- */

/* Words of ours, each with its value if one follows, unless they were asked for otherwise. */
static void add_ours(const char *tool, const char *ours, const struct strvec *asked,
                     struct strvec *out)
{
    auto_strvec words = {0};

    shell_split(ours, &words, NULL);
    for (size_t i = 0; i < words.n; i++) {
        bool valued = i + 1 < words.n && words.v[i + 1][0] != '-';

        if (!options_have(tool, asked, words.v[i])) {
            strvec_push(out, words.v[i]);
            if (valued) {
                strvec_push(out, words.v[i + 1]);
            }
        }
        i += valued;
    }
}

static void add_techniques(const struct plan *p, unsigned protocols, const struct strvec *asked,
                           struct strvec *out)
{
    static const char *const words[PROTOS] = {"-sS", "-sU", "-sY"};

    if (options_protocols(asked)) {
        return;
    }
    for (unsigned k = 0; k < PROTOS; k++) {
        if (protocols >> k & 1) {
            strvec_push(out, k == PROTO_TCP && p->connect ? "-sT" : words[k]);
        }
    }
}

static void nmap_arguments(const struct plan *p, const struct stage *s, const struct manner *m,
                           const struct strvec *asked, struct strvec *out)
{
    static const char *const paces[STAGE_KINDS] = {
        [STAGE_HOSTS] = PACE_HOSTS,
        [STAGE_PORTS] = PACE_PORTS,
        [STAGE_SERVICES] = PACE_SERVICES,
        [STAGE_VERIFY] = PACE_VERIFY,
    };

    if (s->kind == STAGE_HOSTS) {
        add_ours("nmap", "-sn", asked, out);
    } else {
        add_techniques(p, m->protocols ? m->protocols : s->protocols, asked, out);
        add_ours("nmap", s->kind == STAGE_SERVICES && !m->bare ? "-sV -Pn" : "-Pn", asked, out);
    }
    if (m->host_s) {
        auto_free char *limit = str_fmt("--host-timeout %us", m->host_s);

        add_ours("nmap", limit, asked, out);
    }
    if (m->group) {
        auto_free char *group = str_fmt("--min-hostgroup %u", m->group);

        add_ours("nmap", group, asked, out);
    }
    if (m->light) {
        add_ours("nmap", PACE_LIGHT, asked, out);
    }
    if (m->fast) {
        add_ours("nmap", paces[s->kind], asked, out);
    }
    if (m->fast && m->rate) {
        auto_free char *rate = str_fmt("--min-rate %u", m->rate);

        add_ours("nmap", rate, asked, out);
    }
    if (p->most && !options_have("nmap", asked, "--min-rate")) {
        /* what is asked is never gone beyond: all slots together, whatever a task is about */
        auto_free char *most =
            str_fmt("--max-rate %u", m->rate ? m->rate : MAX(p->most / p->slots, 1u));

        add_ours("nmap", most, asked, out);
    }
}

char *stage_arguments(const struct plan *p, const struct stage *s, const struct manner *m)
{
    const char *tool = m->tool ? m->tool : s->tool;
    bool own = str_eq(tool, s->tool); /* else what was asked for is of another tool */
    auto_strvec asked = {0}, all = {0};
    auto_buf out = {0};

    if (own && s->extra) {
        shell_split(s->extra, &asked, NULL);
    }
    if (str_eq(tool, "nmap") && !p->one) {
        nmap_arguments(p, s, m, &asked, &all);
    } else if (!str_eq(tool, "nmap")) {
        auto_free char *rate = m->rate ? str_fmt("--rate %u", m->rate) : NULL;

        if (m->fast && !p->one) {
            add_ours(tool, str_eq(tool, "masscan") ? PACE_MASSCAN : PACE_ZMAP, &asked, &all);
        }
        add_ours(tool, rate ? rate : "", &asked, &all);
    }
    for (size_t i = 0; i < asked.n; i++) {
        strvec_push(&all, asked.v[i]);
    }
    options_join(&all, &out);
    return out.len ? buf_take(&out) : NULL;
}

void plan_arguments(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct stage *s = &p->v[i];
        auto_buf b = {0};
        auto_free char *text = stage_arguments(
            p, s,
            &(struct manner){.fast = s->kind == STAGE_PORTS ? stage_fast(p, s) : !p->own_pace});

        buf_adds(&b, text ? text : "");
        if (s->top && str_eq(s->tool, "nmap")) {
            buf_addf(&b, "%s--top-ports %u", b.len ? " " : "", s->top);
        }
        free(s->arguments);
        s->arguments = b.len ? buf_take(&b) : NULL;
    }
}
