/* Plans as they are stored with the job. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum { VERSION = 1 };

void plan_write(const struct plan *p, struct buf *out)
{
    struct json j = json_to(out);
    char seed[24];

    snprintf(seed, sizeof seed, "%" PRIu64, p->seed);
    json_obj(&j);
    json_int(&j, "version", VERSION);
    json_str(&j, "profile", p->profile);
    json_str(&j, "seed", seed);
    json_int(&j, "slots", p->slots);
    json_int(&j, "shards", p->shards);
    json_int(&j, "service_s", p->service_s);
    json_int(&j, "most", p->most);
    json_int(&j, "first_tasks", p->first_tasks);
    json_int(&j, "batch", p->batch);
    json_int(&j, "addresses", (int64_t)MIN(p->addresses, (uint64_t)INT64_MAX));
    json_bool(&j, "own_pace", p->own_pace);
    json_bool(&j, "raw", p->raw);
    json_bool(&j, "connect", p->connect);
    json_bool(&j, "one", p->one);
    json_str(&j, "ports", p->ports);
    json_arr_in(&j, "stages");
    for (size_t i = 0; i < p->n; i++) {
        const struct stage *s = &p->v[i];

        json_obj(&j);
        json_str(&j, "kind", stage_kind_name(s->kind));
        json_str(&j, "tool", s->tool);
        json_str(&j, "options", s->extra);
        json_str(&j, "ports", s->ports);
        json_int(&j, "top", s->top);
        json_int(&j, "n_ports", s->n_ports);
        json_int(&j, "rate", s->rate);
        json_int(&j, "protocols", s->protocols);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
}

static bool text_in(const json_t *o, const char *key, char **out)
{
    const json_t *v = json_object_get(o, key);

    if (!v || json_is_null(v)) {
        return true;
    }
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
        return false;
    }
    *out = xstrdup(json_string_value(v));
    return true;
}

static bool number_in(const json_t *o, const char *key, int64_t min, int64_t max, uint32_t *out)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        return false;
    }
    *out = (uint32_t)json_integer_value(v);
    return true;
}

static bool flag_in(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);

    *out = json_is_true(v);
    return json_is_boolean(v);
}

static bool stage_in(const json_t *o, struct stage *s)
{
    const char *kind = json_string_value(json_object_get(o, "kind"));
    bool known = false;

    for (int k = 0; k < STAGE_KINDS && !known; k++) {
        s->kind = (enum stage_kind)k;
        known = str_eq(kind, stage_kind_name(s->kind));
    }
    return known && text_in(o, "tool", &s->tool) && s->tool && text_in(o, "options", &s->extra) &&
           text_in(o, "ports", &s->ports) && (!s->ports || ports_parse(s->ports, NULL) == 0) &&
           number_in(o, "top", 0, UINT16_MAX, &s->top) &&
           number_in(o, "n_ports", 0, 65536 * PROTOS, &s->n_ports) &&
           number_in(o, "rate", 0, UINT32_MAX, &s->rate) &&
           number_in(o, "protocols", 1, (1 << PROTOS) - 1, &s->protocols);
}

static bool stages_in(const json_t *o, struct plan *p)
{
    const json_t *list = json_object_get(o, "stages");
    size_t n = json_array_size(list);

    if (n == 0 || n > PLAN_STAGES_MAX) {
        return false;
    }
    while (p->n < n) {
        size_t i = p->n++;

        if (!stage_in(json_array_get(list, i), &p->v[i])) {
            return false;
        }
    }
    return true;
}

static bool plan_in(const json_t *o, struct plan *p)
{
    const json_t *addresses = json_object_get(o, "addresses");
    const char *seed = json_string_value(json_object_get(o, "seed"));
    uint32_t version;

    if (!json_is_object(o) || !number_in(o, "version", VERSION, VERSION, &version) || !seed ||
        !str_to_u64(seed, 0, UINT64_MAX, &p->seed) || !json_is_integer(addresses) ||
        json_integer_value(addresses) < 0) {
        return false;
    }
    p->addresses = (uint64_t)json_integer_value(addresses);
    return text_in(o, "profile", &p->profile) && text_in(o, "ports", &p->ports) &&
           number_in(o, "slots", 1, PLAN_SHARDS_MAX, &p->slots) &&
           number_in(o, "shards", 0, PLAN_SHARDS_MAX, &p->shards) &&
           number_in(o, "service_s", 1, JOB_TIMEOUT_MAX_S, &p->service_s) &&
           number_in(o, "most", 0, UINT32_MAX, &p->most) &&
           number_in(o, "first_tasks", 1, PLAN_SHARDS_MAX, &p->first_tasks) &&
           number_in(o, "batch", 1, PLAN_SHARDS_MAX, &p->batch) &&
           flag_in(o, "own_pace", &p->own_pace) && flag_in(o, "raw", &p->raw) &&
           flag_in(o, "connect", &p->connect) && flag_in(o, "one", &p->one) && stages_in(o, p);
}

int plan_read(const char *text, struct plan **out, struct err *e)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    struct plan *p = plan_new();
    bool ok = plan_in(o, p);

    json_decref(o);
    if (!ok) {
        plan_free(p);
        return err_set(e, ERR_INTERNAL, "the plan of the job cannot be read");
    }
    plan_arguments(p);
    *out = p;
    return 0;
}
