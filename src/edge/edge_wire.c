#include "edge/edge_wire.h"

#include <string.h>

#include "base/mem.h"
#include "edge/edge_name.h"

/* Text of at most `most` bytes, never NULL. */
static bool get_text(struct wire *w, size_t most, const char **s)
{
    size_t n;

    return wire_get_str(w, s, &n) && *s && n <= most && utf8_valid(*s, n);
}

/* Cut at a character. */
static void put_why(struct buf *b, const char *why)
{
    auto_buf cut = {.cap = EDGE_WHY_MAX};

    why = why ? why : "";
    for (size_t n = strlen(why), len; n > 0; why += len, n -= len) {
        len = utf8_len(why, n);
        len = len ? len : 1;
        buf_add_escaped(&cut, why, len);
        if (cut.over) {
            break;
        }
    }
    wire_str(b, cut.data ? cut.data : "");
}

void edge_message_put(struct buf *b, const struct edge_message *m)
{
    wire_u64(b, m->id);
    wire_u8(b, (uint8_t)m->form);
    wire_u8(b, m->redelivered);
    wire_u8(b, m->bad != NULL);
    wire_str(b, m->task_id);
    wire_str(b, m->reply_to);
    wire_str(b, m->correlation);
    wire_str(b, m->body);
    put_why(b, m->bad);
}

bool edge_message_get(struct wire *w, struct edge_message *m)
{
    uint8_t form, bad;

    *m = (struct edge_message){.id = wire_get_u64(w)};
    form = wire_get_u8(w);
    m->redelivered = wire_get_u8(w) != 0;
    bad = wire_get_u8(w);
    if (!get_text(w, EDGE_TEXT_MAX, &m->task_id) || !get_text(w, EDGE_TEXT_MAX, &m->reply_to) ||
        !get_text(w, EDGE_TEXT_MAX, &m->correlation) || !get_text(w, EDGE_BODY_MAX, &m->body) ||
        !get_text(w, EDGE_WHY_MAX, &m->bad) || form > EDGE_CELERY || bad > 1 || !wire_end(w) ||
        (*m->task_id && !edge_text_ok(m->task_id)) ||
        (*m->reply_to && !edge_name_ok(m->reply_to)) ||
        (*m->correlation && !edge_text_ok(m->correlation))) {
        return false;
    }
    m->form = form;
    if (!bad) {
        m->bad = NULL;
    }
    return true;
}

void edge_result_put(struct buf *b, const struct edge_result *r)
{
    wire_u64(b, r->id);
    wire_u8(b, (uint8_t)r->form);
    wire_u8(b, (uint8_t)r->state);
    wire_str(b, r->event_id ? r->event_id : "");
    wire_str(b, r->task_id ? r->task_id : "");
    wire_str(b, r->reply_to ? r->reply_to : "");
    wire_str(b, r->correlation ? r->correlation : "");
    wire_str(b, r->body ? r->body : "");
    put_why(b, r->error);
}

bool edge_result_get(struct wire *w, struct edge_result *r)
{
    uint8_t form, state;

    *r = (struct edge_result){.id = wire_get_u64(w)};
    form = wire_get_u8(w);
    state = wire_get_u8(w);
    if (!get_text(w, EDGE_TEXT_MAX, &r->event_id) || !get_text(w, EDGE_TEXT_MAX, &r->task_id) ||
        !get_text(w, EDGE_TEXT_MAX, &r->reply_to) || !get_text(w, EDGE_TEXT_MAX, &r->correlation) ||
        !get_text(w, EDGE_RESULT_MAX, &r->body) || !get_text(w, EDGE_WHY_MAX, &r->error) ||
        form > EDGE_CELERY || state > RESULT_FAILED || !wire_end(w)) {
        return false;
    }
    r->form = form;
    r->state = state;
    return true;
}

void edge_verdict_put(struct buf *b, const struct edge_verdict_in *v)
{
    wire_u64(b, v->id);
    wire_u8(b, (uint8_t)v->verdict);
    wire_u32(b, v->after_ms);
    put_why(b, v->reason);
}

bool edge_verdict_get(struct wire *w, struct edge_verdict_in *v)
{
    uint8_t verdict;

    *v = (struct edge_verdict_in){.id = wire_get_u64(w)};
    verdict = wire_get_u8(w);
    v->after_ms = wire_get_u32(w);
    if (!get_text(w, EDGE_WHY_MAX, &v->reason) || verdict > EDGE_LATER || !wire_end(w)) {
        return false;
    }
    v->verdict = verdict;
    return true;
}

void edge_note_put(struct buf *b, const struct edge_note *n)
{
    wire_u64(b, n->id);
    wire_i32(b, n->code);
    put_why(b, n->why);
}

bool edge_note_get(struct wire *w, struct edge_note *n)
{
    *n = (struct edge_note){.id = wire_get_u64(w)};
    n->code = wire_get_i32(w);
    return get_text(w, EDGE_WHY_MAX, &n->why) && wire_end(w);
}
