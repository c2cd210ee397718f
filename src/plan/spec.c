/* Tasks as they are stored, and what they carry for those that follow. */
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "plan/internal.h"

void plan_spec_done(struct plan_spec *s)
{
    free(s->tool);
    free(s->targets);
    free(s->ports);
    free(s->arguments);
    free(s->pins);
    free(s->open);
    free(s->sample);
    free(s->checks);
    *s = (struct plan_spec){0};
}

void plan_tasks_done(struct plan_tasks *t)
{
    for (size_t i = 0; i < t->n; i++) {
        plan_spec_done(&t->v[i]);
    }
    free(t->v);
    *t = (struct plan_tasks){0};
}

static void put_text(struct json *j, const char *key, const char *s)
{
    if (s) {
        json_str(j, key, s);
    }
}

/* Numbers above 2^63 are not of this world, and no JSON reader has them. */
static void put_number(struct json *j, const char *key, uint64_t v)
{
    if (v) {
        json_int(j, key, (int64_t)MIN(v, (uint64_t)INT64_MAX));
    }
}

static void put_flag(struct json *j, const char *key, bool v)
{
    if (v) {
        json_bool(j, key, true);
    }
}

static void spec_json(const struct plan_spec *s, struct json *j)
{
    json_int(j, "stage", s->stage);
    json_str(j, "kind", stage_kind_name(s->kind));
    put_text(j, "tool", s->tool);
    put_text(j, "targets", s->targets);
    put_text(j, "ports", s->ports);
    put_text(j, "arguments", s->arguments);
    put_text(j, "pins", s->pins);
    put_number(j, "rate", s->rate);
    put_number(j, "wall_s", s->wall_s);
    put_number(j, "probes", s->probes);
    put_number(j, "addresses", s->addresses);
    put_flag(j, "found_only", s->found_only);
    put_flag(j, "repeats", s->repeats);
    put_flag(j, "light", s->light);
    put_number(j, "round", (uint64_t)s->round);
    put_text(j, "open", s->open);
    put_text(j, "sample", s->sample);
    put_text(j, "checks", s->checks);
}

void plan_spec_write(const struct plan_spec *s, struct buf *out)
{
    struct json j = json_to(out);

    json_obj(&j);
    spec_json(s, &j);
    json_end(&j);
}

static bool get_text(const json_t *o, const char *key, char **out)
{
    const json_t *v = json_object_get(o, key);

    if (!v) {
        return true;
    }
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
        return false;
    }
    *out = xstrdup(json_string_value(v));
    return true;
}

static bool get_number(const json_t *o, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);

    *out = 0;
    if (!v) {
        return true;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max) {
        return false;
    }
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_flag(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);

    *out = json_is_true(v);
    return !v || json_is_boolean(v);
}

static bool get_kind(const json_t *o, enum stage_kind *out)
{
    const char *word = json_string_value(json_object_get(o, "kind"));

    for (int k = 0; k < STAGE_KINDS; k++) {
        if (str_eq(word, stage_kind_name((enum stage_kind)k))) {
            *out = (enum stage_kind)k;
            return true;
        }
    }
    return false;
}

static bool spec_members(const json_t *o, struct plan_spec *s)
{
    uint64_t stage, rate, wall, round;
    bool ok = json_is_object(o) && get_kind(o, &s->kind) &&
              get_number(o, "stage", PLAN_STAGES_MAX - 1, &stage) &&
              get_text(o, "tool", &s->tool) && get_text(o, "targets", &s->targets) &&
              get_text(o, "ports", &s->ports) && get_text(o, "arguments", &s->arguments) &&
              get_text(o, "pins", &s->pins) && get_number(o, "rate", UINT32_MAX, &rate) &&
              get_number(o, "wall_s", UINT32_MAX, &wall) &&
              get_number(o, "probes", INT64_MAX, &s->probes) &&
              get_number(o, "addresses", INT64_MAX, &s->addresses) &&
              get_flag(o, "found_only", &s->found_only) && get_flag(o, "repeats", &s->repeats) &&
              get_flag(o, "light", &s->light) && get_number(o, "round", 1000, &round) &&
              get_text(o, "open", &s->open) && get_text(o, "sample", &s->sample) &&
              get_text(o, "checks", &s->checks);

    if (!ok || !s->tool || !s->targets) {
        return false;
    }
    s->stage = (int32_t)stage;
    s->rate = (uint32_t)rate;
    s->wall_s = (uint32_t)wall;
    s->round = (int32_t)round;
    return true;
}

static int spec_of(const json_t *o, struct plan_spec *out, struct err *e)
{
    struct plan_spec s = {0};

    if (!spec_members(o, &s)) {
        plan_spec_done(&s);
        return err_set(e, ERR_INTERNAL, "a task that was planned cannot be read");
    }
    *out = s;
    return 0;
}

int plan_spec_read(const char *text, struct plan_spec *out, struct err *e)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int rc = spec_of(o, out, e);

    json_decref(o);
    return rc;
}

/* ---- what they carry ---- */

void checks_done(struct checks *c)
{
    plan_spec_done(&c->fast);
    free(c->known);
    free(c->of);
    *c = (struct checks){0};
}

char *checks_text(const struct checks *c)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_obj(&j);
    if (c->fast.targets) {
        struct plan_spec s = c->fast;

        s.sample = NULL;
        s.checks = NULL;
        json_obj_in(&j, "fast");
        spec_json(&s, &j);
        json_end(&j);
    }
    put_text(&j, "known", c->known);
    put_text(&j, "of", c->of);
    put_number(&j, "quiet", c->quiet);
    put_number(&j, "spoke", c->spoke);
    put_number(&j, "open", c->open);
    put_number(&j, "from", c->from);
    json_end(&j);
    return buf_take(&b);
}

int checks_read(const char *text, struct checks *out, struct err *e)
{
    __attribute__((cleanup(checks_done))) struct checks c = {0};
    json_t *o = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *fast = json_object_get(o, "fast");
    bool ok = !text || (json_is_object(o) && get_text(o, "known", &c.known) &&
                        get_text(o, "of", &c.of) && get_number(o, "quiet", INT64_MAX, &c.quiet) &&
                        get_number(o, "spoke", INT64_MAX, &c.spoke) &&
                        get_number(o, "open", INT64_MAX, &c.open) &&
                        get_number(o, "from", INT64_MAX, &c.from));
    int rc = ok ? 0 : err_set(e, ERR_INTERNAL, "what a task carries cannot be read");

    if (rc == 0 && fast) {
        rc = spec_of(fast, &c.fast, e);
    }
    json_decref(o);
    if (rc == 0) {
        *out = c;
        memset(&c, 0, sizeof c); /* moved out */
    }
    return rc;
}
