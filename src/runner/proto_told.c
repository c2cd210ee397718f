/* What the runner tells: what it can do, and how runs ended. */
#include <string.h>

#include "base/mem.h"
#include "runner/proto.h"

/* A field of fixed size; false: too long, or none. */
static bool get_text(struct wire *w, char *out, size_t size)
{
    const char *s;
    size_t n;

    if (!wire_get_str(w, &s, &n) || !s || n >= size) {
        return false;
    }
    memcpy(out, s, n + 1);
    return true;
}

static bool get_bool(struct wire *w)
{
    uint8_t v = wire_get_u8(w);

    w->bad = w->bad || v > 1;
    return v == 1;
}

void caps_put(struct buf *b, const struct sandbox_caps *caps)
{
    wire_str(b, caps->box);
    wire_str(b, caps->limits);
    wire_u8(b, caps->view);
    wire_u8(b, caps->landlock);
    for (int i = 0; i < EGRESS_LEVELS; i++) {
        wire_u8(b, caps->usable[i]);
        wire_str(b, caps->why[i]);
    }
    wire_u8(b, caps->forward_v4);
    wire_u8(b, caps->forward_v6);
    wire_u32(b, caps->dedicated_v4);
    wire_u32(b, caps->dedicated_v6);
    wire_u8(b, caps->nest);
    wire_str(b, caps->why_nest);
}

bool caps_get(struct wire *w, struct sandbox_caps *caps)
{
    *caps = (struct sandbox_caps){0};
    if (!get_text(w, caps->box, sizeof caps->box) ||
        !get_text(w, caps->limits, sizeof caps->limits)) {
        return false;
    }
    caps->view = get_bool(w);
    caps->landlock = get_bool(w);
    for (int i = 0; i < EGRESS_LEVELS; i++) {
        caps->usable[i] = get_bool(w);
        if (!get_text(w, caps->why[i], sizeof caps->why[i])) {
            return false;
        }
    }
    caps->forward_v4 = get_bool(w);
    caps->forward_v6 = get_bool(w);
    caps->dedicated_v4 = wire_get_u32(w);
    caps->dedicated_v6 = wire_get_u32(w);
    caps->nest = get_bool(w);
    return get_text(w, caps->why_nest, sizeof caps->why_nest) && wire_end(w);
}

static uint64_t *const *counters(struct egress_counts *c, uint64_t *out[8])
{
    out[0] = &c->passed;
    out[1] = &c->out_of_scope;
    out[2] = &c->spoofed;
    out[3] = &c->protocol;
    out[4] = &c->options;
    out[5] = &c->link;
    out[6] = &c->rate;
    out[7] = &c->noise;
    return out;
}

static void put_report(struct buf *b, const struct sandbox_report *r)
{
    struct egress_counts counts = r->counts;
    uint64_t *at[8];

    counters(&counts, at);
    wire_str(b, r->box);
    wire_str(b, r->limits);
    wire_u8(b, (uint8_t)r->files);
    wire_u8(b, (uint8_t)r->egress);
    wire_u8(b, r->dedicated);
    wire_u8(b, r->raw_sockets);
    wire_u8(b, (uint8_t)r->limit);
    wire_u8(b, r->limit_certain);
    wire_i64(b, r->cpu_us);
    wire_i64(b, r->max_rss_kb);
    wire_i64(b, r->memory_peak_kb);
    wire_i64(b, r->output_bytes);
    wire_i64(b, r->disk_bytes);
    wire_u8(b, r->counted);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        wire_u64(b, *at[i]);
    }
    wire_u64(b, r->api.requests);
    wire_u64(b, r->api.refused);
    wire_u64(b, r->api.input_tokens);
    wire_u64(b, r->api.output_tokens);
}

static bool get_report(struct wire *w, struct sandbox_report *r)
{
    uint64_t *at[8];
    uint8_t files, egress, limit;

    counters(&r->counts, at);
    if (!get_text(w, r->box, sizeof r->box) || !get_text(w, r->limits, sizeof r->limits)) {
        return false;
    }
    files = wire_get_u8(w);
    egress = wire_get_u8(w);
    r->dedicated = get_bool(w);
    r->raw_sockets = get_bool(w);
    limit = wire_get_u8(w);
    r->limit_certain = get_bool(w);
    r->cpu_us = wire_get_i64(w);
    r->max_rss_kb = wire_get_i64(w);
    r->memory_peak_kb = wire_get_i64(w);
    r->output_bytes = wire_get_i64(w);
    r->disk_bytes = wire_get_i64(w);
    r->counted = get_bool(w);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        *at[i] = wire_get_u64(w);
    }
    r->api.requests = wire_get_u64(w);
    r->api.refused = wire_get_u64(w);
    r->api.input_tokens = wire_get_u64(w);
    r->api.output_tokens = wire_get_u64(w);
    r->files = (enum box_files)files;
    r->egress = (enum egress)egress;
    r->limit = (enum limit_kind)limit;
    return !w->bad && files < FILES_KINDS && egress < EGRESS_LEVELS && limit < LIMIT_KINDS;
}

void end_put(struct buf *b, const struct runner_end *end)
{
    wire_u64(b, end->run);
    wire_u8(b, end->started);
    wire_i32(b, end->errnum);
    wire_str(b, end->step);
    wire_i32(b, end->exit_status);
    wire_i32(b, end->exit_signal);
    wire_u8(b, (uint8_t)end->cause);
    wire_str(b, end->stderr_tail);
    wire_str(b, end->why);
    put_report(b, &end->sandbox);
    wire_u8(b, end->parser_failed);
}

bool end_get(struct wire *w, struct runner_end *end)
{
    uint8_t cause;

    *end = (struct runner_end){.run = wire_get_u64(w)};
    end->started = get_bool(w);
    end->errnum = wire_get_i32(w);
    wire_get_str(w, &end->step, NULL);
    end->exit_status = wire_get_i32(w);
    end->exit_signal = wire_get_i32(w);
    cause = wire_get_u8(w);
    wire_get_str(w, &end->stderr_tail, NULL);
    wire_get_str(w, &end->why, NULL);
    if (!get_report(w, &end->sandbox)) {
        return false;
    }
    end->parser_failed = get_bool(w);
    end->cause = (enum runner_cause)cause;
    return wire_end(w) && cause <= RUN_LEASE && end->step && end->why &&
           strlen(end->why) < WHY_MAX && end->stderr_tail &&
           strlen(end->stderr_tail) <= STDERR_TAIL_MAX;
}
