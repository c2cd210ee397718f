/*
 * What a result says of how it came about. Coverage counts pairs of an address and a port, or
 * addresses where no stage looks at ports: an address that was looked for and is not up is covered.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"

enum { MISSING_MAX = 100, TEXT_ITEMS = 3, LIST_MOST = 1000, SHOWN = 80 };

struct missing {
    size_t task;
    uint64_t probes; /* that nothing made up for */
};

struct count {
    uint64_t asked, covered;
    bool ports;
    struct missing *missing; /* owned; tasks that failed, in their order */
    size_t n_missing;
};

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool ended_badly(const struct plan_task *t)
{
    return t->state == JOB_FAILED || t->state == JOB_TIMED_OUT || t->state == JOB_CANCELLED;
}

/* Ports that the stages before are asked about, of each address. */
static uint64_t ports_asked(const struct plan *p)
{
    uint64_t n = 0;

    for (size_t i = 0; i < p->n; i++) {
        n += p->v[i].kind == STAGE_PORTS ? MAX(p->v[i].n_ports, 1u) : 0;
    }
    return n;
}

/* What completed repetitions of a task did in its place. */
static uint64_t made_up(const struct plan_task *v, size_t n, const struct plan_spec *failed)
{
    uint64_t sum = 0;
    char key[17];

    spec_key(failed, key);
    for (size_t i = 0; i < n; i++) {
        __attribute__((cleanup(checks_done))) struct checks c = {0};
        const struct plan_spec *s = v[i].spec;

        if (s->repeats && s->stage == failed->stage && v[i].state == JOB_COMPLETED && s->checks &&
            strstr(s->checks, key) && checks_read(s->checks, &c, NULL) == 0 && str_eq(c.of, key)) {
            sum = add_sat(sum, s->probes);
        }
    }
    return sum;
}

static void add_missing(struct count *c, size_t task, uint64_t probes)
{
    c->missing = xrealloc(c->missing, (c->n_missing + 1) * sizeof *c->missing);
    c->missing[c->n_missing++] = (struct missing){task, probes};
}

/* One that failed, and that nothing was done in place of. */
static void count_failed(const struct plan *p, const struct plan_task *v, size_t n, size_t i,
                         struct count *c)
{
    const struct plan_spec *s = v[i].spec;
    bool counts = s->kind == STAGE_HOSTS || s->kind == STAGE_PORTS;
    uint64_t lost =
        s->kind == STAGE_HOSTS ? mul_sat(s->addresses, MAX(ports_asked(p), 1u)) : s->probes;

    if (s->repeats && counts) {
        return; /* what it repeats was done */
    }
    if (s->kind == STAGE_PORTS) {
        lost = less(lost, made_up(v, n, s));
        if (lost == 0) {
            return;
        }
    }
    if (!counts && v[i].state == JOB_TIMED_OUT && !s->light) {
        return; /* the light set follows */
    }
    add_missing(c, i,
                counts ? lost : 0); /* all of it: what was found of it is not known for sure */
}

static void count_all(const struct plan *p, const struct plan_task *v, size_t n, uint64_t lost,
                      struct count *c)
{
    uint64_t each = MAX(ports_asked(p), UINT64_C(1)), open = 0;
    bool hosts = p->v[0].kind == STAGE_HOSTS;

    c->ports = ports_asked(p) > 0;
    c->asked = mul_sat(p->addresses, each);
    for (size_t i = 0; i < n; i++) {
        const struct plan_spec *s = v[i].spec;
        bool over = job_state_terminal(v[i].state);

        if (over && ended_badly(&v[i])) {
            count_failed(p, v, n, i, c);
        }
        if (hosts && s->kind == STAGE_HOSTS && over) {
            c->covered = add_sat(c->covered, mul_sat(s->addresses, each));
        } else if (hosts && s->kind == STAGE_PORTS && !over && !s->repeats) {
            open = add_sat(open, s->probes); /* to come: the hosts are up */
        } else if (!hosts && s->kind == STAGE_PORTS && over && !s->repeats) {
            c->covered = add_sat(c->covered, s->probes);
        }
    }
    for (size_t i = 0; i < c->n_missing; i++) {
        open = add_sat(open, c->missing[i].probes);
    }
    c->covered = MIN(c->covered, c->asked);
    c->covered = less(c->covered, add_sat(open, lost));
}

/* Tenths of a percent, never all unless it is all. */
static unsigned tenths(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned)((u128)part * 1000 / whole) : 1000;
}

/* ---- writing ---- */

static void put_stages(const struct plan *p, const struct plan_task *v, size_t n, struct json *j)
{
    json_arr_in(j, "stages");
    for (size_t i = 0; i < p->n; i++) {
        int64_t tasks = 0, done = 0, running = 0, failed = 0, repeated = 0;
        double all = 0, part = 0;

        for (size_t k = 0; k < n; k++) {
            double weight = (double)MAX(v[k].spec->probes, UINT64_C(1));
            bool over = job_state_terminal(v[k].state), runs = v[k].state == JOB_RUNNING;

            if ((size_t)v[k].spec->stage != i) {
                continue;
            }
            tasks++;
            done += v[k].state == JOB_COMPLETED;
            running += runs;
            failed += ended_badly(&v[k]);
            repeated += v[k].spec->repeats;
            all += weight;
            part += over ? weight
                    : runs && v[k].percent_x100 > 0
                        ? weight * MIN(v[k].percent_x100, 10000) / 10000.0
                        : 0;
        }
        json_obj(j);
        json_str(j, "name", stage_kind_name(p->v[i].kind));
        json_str(j, "tool", p->v[i].tool);
        json_int(j, "tasks", tasks);
        json_int(j, "done", done);
        json_int(j, "running", running);
        json_int(j, "failed", failed);
        json_int(j, "repeated", repeated);
        json_num(j, "percent", all > 0 ? 100 * part / all : 0, 1);
        json_end(j);
    }
    json_end(j);
}

static const char *why(const struct plan_task *t)
{
    return t->reason != REASON_NONE ? job_reason_name(t->reason) : job_state_name(t->state);
}

static void put_list(struct json *j, const char *key, const char *s)
{
    if (s && strlen(s) > LIST_MOST) {
        auto_free char *cut = xstrndup(s, LIST_MOST);

        memcpy(cut + LIST_MOST - 3, "...", 3);
        json_str(j, key, cut);
    } else {
        json_str(j, key, s);
    }
}

static void add_short(struct buf *b, const char *s)
{
    buf_add(b, s, MIN(strlen(s), (size_t)SHOWN));
    buf_adds(b, strlen(s) > SHOWN ? "..." : "");
}

/* "covered 98.4 %, 2 shards failed: ports 10.0.0.0/26 tcp 1-1000 (tool_crashed)" */
static void put_text(const struct plan_task *v, const struct count *c, uint64_t lost,
                     struct json *j)
{
    unsigned part = tenths(c->covered, c->asked);
    auto_buf b = {0};

    buf_addf(&b, "covered %u.%u %%", part / 10, part % 10);
    if (c->n_missing) {
        buf_addf(&b, ", %zu shard%s failed: ", c->n_missing, c->n_missing == 1 ? "" : "s");
    }
    for (size_t i = 0; i < c->n_missing && i < TEXT_ITEMS; i++) {
        const struct plan_task *t = &v[c->missing[i].task];

        buf_addf(&b, "%s%s ", i ? "; " : "", stage_kind_name(t->spec->kind));
        add_short(&b, t->spec->targets);
        if (t->spec->ports && t->spec->kind != STAGE_HOSTS) {
            buf_adds(&b, strchr(t->spec->ports, ':') ? " " : " tcp ");
            add_short(&b, t->spec->ports);
        }
        buf_addf(&b, " (%s)", why(t));
    }
    if (c->n_missing > TEXT_ITEMS) {
        buf_addf(&b, "; %zu more", c->n_missing - TEXT_ITEMS);
    }
    if (lost) {
        buf_addf(&b, "%s %" PRIu64 " %s of hosts that were given up", c->n_missing ? ";" : ",",
                 lost, c->ports ? "ports" : "addresses");
    }
    json_str(j, "text", b.data);
}

static void put_missing(const struct plan_task *v, const struct count *c, struct json *j)
{
    json_arr_in(j, "missing");
    for (size_t i = 0; i < c->n_missing && i < MISSING_MAX; i++) {
        const struct plan_task *t = &v[c->missing[i].task];

        json_obj(j);
        json_int(j, "task", (int64_t)c->missing[i].task);
        json_str(j, "stage", stage_kind_name(t->spec->kind));
        put_list(j, "addresses", t->spec->targets);
        put_list(j, "ports", t->spec->ports);
        json_str(j, "reason", why(t));
        json_str(j, "error", t->error);
        json_end(j);
    }
    json_end(j);
    json_int(j, "more", c->n_missing > MISSING_MAX ? (int64_t)(c->n_missing - MISSING_MAX) : 0);
}

static void put_number(struct json *j, const char *key, uint64_t v)
{
    json_int(j, key, (int64_t)MIN(v, (uint64_t)INT64_MAX));
}

static void put_coverage(const struct plan *p, const struct plan_task *v, size_t n, uint64_t lost,
                         struct json *j)
{
    struct count c = {0};

    count_all(p, v, n, lost, &c);
    json_obj_in(j, "coverage");
    json_num(j, "percent", tenths(c.covered, c.asked) / 10.0, 1);
    put_number(j, "asked", c.asked);
    put_number(j, "covered", c.covered);
    json_str(j, "unit", c.ports ? "ports" : "addresses");
    put_text(v, &c, lost, j);
    put_missing(v, &c, j);
    json_end(j);
    free(c.missing);
}

/* ---- what was said before ---- */

static bool has(const json_t *list, const char *s)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (str_eq(json_string_value(v), s)) {
            return true;
        }
    }
    return false;
}

/* Silent services are told by many tasks, and once in the result: true if that is such a note. */
static bool add_silent(const char *note, uint64_t *sum)
{
    uint64_t n;

    if (!note || !str_starts(note, SILENT_NOTE) ||
        !str_to_u64(note + strlen(SILENT_NOTE), 0, UINT64_MAX, &n)) {
        return false;
    }
    *sum = add_sat(*sum, n);
    return true;
}

static void put_notes(const json_t *old, const struct strvec *notes, struct json *j)
{
    const json_t *list = json_object_get(old, "notes"), *v;
    uint64_t silent = 0;
    size_t i;

    json_arr_in(j, "notes");
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && !add_silent(json_string_value(v), &silent)) {
            json_strn(j, NULL, json_string_value(v), json_string_length(v));
        }
    }
    for (i = 0; notes && i < notes->n; i++) {
        bool twice = has(list, notes->v[i]);

        if (add_silent(notes->v[i], &silent) || str_starts(notes->v[i], WAITING_NOTE)) {
            continue;
        }
        for (size_t k = 0; k < i && !twice; k++) {
            twice = str_eq(notes->v[k], notes->v[i]);
        }
        if (!twice) {
            json_str(j, NULL, notes->v[i]);
        }
    }
    if (silent) {
        auto_free char *text = str_fmt(SILENT_NOTE "%" PRIu64, silent);

        json_str(j, NULL, text);
    }
    json_end(j);
}

/* What plan_next() is to have back: see internal.h. Nothing waits once all is over. */
static void put_waiting(const json_t *old, const struct strvec *notes, bool over, struct json *j)
{
    const json_t *list = json_object_get(old, "waiting"), *v;
    size_t from = 0, i;
    bool kept = !over;

    for (i = 0; notes && i < notes->n; i++) {
        if (str_eq(notes->v[i], WAITING_NOTE)) {
            from = i + 1;
            kept = false;
        }
    }
    json_arr_in(j, "waiting");
    json_array_foreach(list, i, v)
    {
        if (kept && json_is_string(v)) {
            json_str(j, NULL, json_string_value(v));
        }
    }
    for (i = from; notes && i < notes->n && !over; i++) {
        if (str_starts(notes->v[i], WAITING_NOTE)) {
            json_str(j, NULL, notes->v[i] + strlen(WAITING_NOTE));
        }
    }
    json_end(j);
}

static bool all_over(const struct plan_task *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!job_state_terminal(v[i].state)) {
            return false;
        }
    }
    return true;
}

struct flag {
    char address[NET_TEXT];
    uint64_t open, probed;
};

/* Of one host several tasks may tell, each with ports of its own. */
static void add_flag(struct flag **v, size_t *n, const char *address, uint64_t open,
                     uint64_t probed)
{
    size_t i = 0;

    while (i < *n && strcmp((*v)[i].address, address) != 0) {
        i++;
    }
    if (i == *n) {
        *v = xrealloc(*v, (*n + 1) * sizeof **v);
        (*v)[i] = (struct flag){0};
        snprintf((*v)[i].address, NET_TEXT, "%s", address);
        (*n)++;
    }
    (*v)[i].open = add_sat((*v)[i].open, open);
    (*v)[i].probed = add_sat((*v)[i].probed, probed);
}

static void put_flags(const json_t *old, const struct strvec *flags, struct json *j)
{
    struct flag *v = NULL;
    size_t n = 0, i;
    const json_t *f;

    json_array_foreach(json_object_get(old, "flagged"), i, f)
    {
        const char *address = json_string_value(json_object_get(f, "address"));
        json_int_t open = json_integer_value(json_object_get(f, "open"));
        json_int_t probed = json_integer_value(json_object_get(f, "probed"));

        if (address && open >= 0 && probed >= 0) {
            add_flag(&v, &n, address, (uint64_t)open, (uint64_t)probed);
        }
    }
    for (i = 0; flags && i < flags->n; i++) {
        auto_strvec word = {0};
        uint64_t open, probed;

        if (shell_split(flags->v[i], &word, NULL) == 0 && word.n == 3 &&
            str_to_u64(word.v[1], 0, UINT64_MAX, &open) &&
            str_to_u64(word.v[2], 0, UINT64_MAX, &probed)) {
            add_flag(&v, &n, word.v[0], open, probed);
        }
    }
    json_arr_in(j, "flagged");
    for (i = 0; i < n; i++) {
        json_obj(j);
        json_str(j, "address", v[i].address);
        put_number(j, "open", v[i].open);
        put_number(j, "probed", v[i].probed);
        json_end(j);
    }
    json_end(j);
    free(v);
}

void plan_summary(const struct plan *p, const struct plan_task *v, size_t n, uint64_t lost,
                  const struct strvec *notes, const struct strvec *flags, const char *before,
                  struct buf *out)
{
    json_t *old = before ? json_loads(before, 0, NULL) : NULL;
    struct json j = json_to(out);

    json_obj(&j);
    put_stages(p, v, n, &j);
    put_coverage(p, v, n, lost, &j);
    put_notes(old, notes, &j);
    put_flags(old, flags, &j);
    put_waiting(old, notes, all_over(v, n), &j);
    json_end(&j);
    json_decref(old);
}

int32_t plan_summary_missing_x100(const char *text)
{
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *c = json_object_get(o, "coverage");
    json_int_t asked = json_integer_value(json_object_get(c, "asked"));
    json_int_t covered = json_integer_value(json_object_get(c, "covered"));
    int32_t part = 0;

    json_decref(o);
    if (asked > 0 && covered >= 0 && covered < asked) {
        part = (int32_t)(((u128)(asked - covered) * 10000 + (u128)asked - 1) / (u128)asked);
    }
    return part;
}
