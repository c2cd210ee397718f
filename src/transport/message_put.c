/*
 * Messages as they are written. What is for people is cut and made UTF-8, so that no odd byte of a
 * tool makes a report that the other side must refuse; what means something is sent as it is.
 */
#include <endian.h>
#include <string.h>

#include "ipc/chan.h"
#include "transport/message.h"
#include "transport/message_inside.h"

static size_t begin(struct buf *b, enum message_type type)
{
    size_t at = b->len;

    wire_u32(b, 0);
    wire_u8(b, (uint8_t)type);
    return at;
}

/* A message is there whole or not at all. */
static void end(struct buf *b, size_t at)
{
    uint32_t n;

    if (b->over || b->len - at > MESSAGE_HEAD + MESSAGE_MAX) {
        b->over = true;
        if (b->len > at) {
            b->len = at;
            b->data[at] = '\0';
        }
        return;
    }
    n = htole32((uint32_t)(b->len - at - MESSAGE_HEAD));
    memcpy(b->data + at, &n, sizeof n);
}

/* At most `max` bytes of it, malformed ones replaced. */
static void put_words(struct buf *b, const char *s, size_t max)
{
    auto_buf clean = {0};
    size_t n = s ? strlen(s) : 0;

    if (n <= max && (!s || utf8_valid(s, n))) {
        wire_str(b, s);
        return;
    }
    for (size_t i = 0, len; i < n; i += len ? len : 1) {
        len = utf8_len(s + i, n - i);
        if (clean.len + (len ? len : 3) > max) {
            break;
        }
        buf_add(&clean, len ? s + i : "\xef\xbf\xbd", len ? len : 3);
    }
    wire_str(b, clean.data ? clean.data : "");
}

/* The last lines of a tool, as they came. */
static void put_raw_words(struct buf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;

    wire_str(b, n > MESSAGE_WORDS_MAX ? s + n - MESSAGE_WORDS_MAX : s);
}

static void put_list(struct buf *b, const struct strvec *list, size_t max)
{
    size_t n = list->n < MESSAGE_LIST_MAX ? list->n : MESSAGE_LIST_MAX;

    wire_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        put_words(b, list->v[i], max);
    }
}

static void put_lease(struct buf *b, const struct lease *l)
{
    buf_add(b, l->job_id.b, sizeof l->job_id.b);
    wire_i32(b, l->idx);
    wire_u32(b, l->epoch);
    wire_u64(b, l->token);
}

/* Those that carry a lease and nothing else. */
static void put_bare(struct buf *b, enum message_type type, const struct lease *l)
{
    size_t at = begin(b, type);

    put_lease(b, l);
    end(b, at);
}

void put_hello(struct buf *b, const struct hello *h)
{
    size_t at = begin(b, MSG_HELLO);

    put_words(b, h->version ? h->version : "", MESSAGE_NAME_MAX);
    put_words(b, h->zone ? h->zone : "", MESSAGE_NAME_MAX);
    put_words(b, h->host ? h->host : "", MESSAGE_NAME_MAX);
    put_words(b, h->home ? h->home : "", MESSAGE_NAME_MAX);
    wire_u32(b, h->slots);
    put_list(b, &h->queues, MESSAGE_NAME_MAX);
    put_list(b, &h->tools, MESSAGE_NAME_MAX);
    put_list(b, &h->held, MESSAGE_NAME_MAX);
    wire_u8(b, h->draining);
    put_words(b, h->confinement, sizeof h->confinement - 1);
    end(b, at);
}

void put_beat(struct buf *b, const struct beat *h)
{
    size_t at = begin(b, MSG_BEAT);

    wire_u64(b, h->n);
    wire_u32(b, h->busy);
    wire_u32(b, h->load_x100);
    wire_u64(b, h->spool_bytes);
    wire_u32(b, h->spooled);
    wire_u8(b, h->draining);
    wire_u32(b, h->n_leases);
    for (uint32_t i = 0; i < h->n_leases; i++) {
        put_lease(b, &h->leases[i]);
    }
    end(b, at);
}

void put_took(struct buf *b, const struct lease *l)
{
    put_bare(b, MSG_TOOK, l);
}

void put_hosts(struct buf *b, const struct lease *l, uint64_t seq, const void *records, size_t n)
{
    size_t at = begin(b, MSG_HOSTS);

    put_lease(b, l);
    wire_u64(b, seq);
    buf_add(b, records, n);
    end(b, at);
}

void put_progress(struct buf *b, const struct lease *l, const struct progress *p)
{
    size_t at = begin(b, MSG_PROGRESS);

    put_lease(b, l);
    put_words(b, p->task, MESSAGE_NAME_MAX);
    wire_i32(b, p->percent_x100);
    wire_i32(b, p->remaining_s);
    end(b, at);
}

void put_raw(struct buf *b, const struct lease *l, uint64_t seq, uint64_t offset, const void *p,
             size_t n)
{
    size_t at = begin(b, MSG_RAW);

    put_lease(b, l);
    wire_u64(b, seq);
    wire_u64(b, offset);
    buf_add(b, p, n);
    end(b, at);
}

void put_end(struct buf *b, const struct lease *l, uint64_t seq, const struct outcome *o)
{
    size_t at = begin(b, MSG_END);

    put_lease(b, l);
    wire_u64(b, seq);
    wire_u8(b, (uint8_t)o->state);
    wire_u8(b, (uint8_t)o->reason);
    wire_u8(b, o->retryable);
    wire_u8(b, o->partial);
    put_words(b, o->error, MESSAGE_WORDS_MAX);
    wire_i32(b, o->exit_status);
    wire_i32(b, o->exit_signal);
    put_raw_words(b, o->stderr_tail);
    put_words(b, o->command_line, MESSAGE_MAX);
    put_words(b, o->tool_version, MESSAGE_NAME_MAX);
    put_words(b, o->confinement, MESSAGE_NAME_MAX);
    wire_str(b, o->run_json);
    wire_str(b, o->sandbox_json);
    wire_str(b, o->summary_json);
    wire_str(b, o->raw_sha256);
    wire_i64(b, o->raw_size);
    wire_i64(b, o->raw_stored);
    wire_u32(b, (uint32_t)o->n_cells);
    for (size_t i = 0; i < o->n_cells; i++) {
        const struct coverage_cell *c = &o->cells[i];

        wire_str(b, c->addresses);
        wire_str(b, c->protocol);
        wire_str(b, c->ports);
        wire_u8(b, c->up_only);
        wire_i64(b, c->start_us);
        wire_i64(b, c->end_us);
    }
    end(b, at);
}

void put_release(struct buf *b, const struct lease *l, uint64_t seq, enum release_why why)
{
    size_t at = begin(b, MSG_RELEASE);

    put_lease(b, l);
    wire_u64(b, seq);
    wire_u8(b, (uint8_t)why);
    end(b, at);
}

void put_wait(struct buf *b, const struct lease *l, uint64_t seq, int64_t until_us)
{
    size_t at = begin(b, MSG_WAIT);

    put_lease(b, l);
    wire_u64(b, seq);
    wire_i64(b, until_us);
    end(b, at);
}

void put_bye(struct buf *b)
{
    end(b, begin(b, MSG_BYE));
}

void put_offer(struct buf *b, const struct lease *l)
{
    put_bare(b, MSG_OFFER, l);
}

void put_assign(struct buf *b, const struct assignment *a)
{
    const struct job *j = &a->job;
    size_t at = begin(b, MSG_ASSIGN);

    put_lease(b, &a->lease);
    wire_u64(b, a->boot);
    wire_i64(b, a->at_ms);
    wire_str(b, a->queue);
    wire_str(b, a->key_name);
    wire_str(b, j->tool);
    wire_str(b, j->targets);
    wire_str(b, j->ports);
    wire_str(b, j->arguments);
    wire_i32(b, j->run_timeout_s);
    wire_u8(b, j->old_route);
    wire_str(b, j->pins);
    wire_str(b, j->limits);
    wire_u8(b, j->clip);
    wire_u8(b, j->planned);
    wire_str(b, j->task_spec);
    wire_str(b, j->repo);
    wire_i64(b, j->spent_us);
    wire_str(b, j->key_id);
    wire_i64(b, j->created_us);
    wire_i32(b, j->priority);
    end(b, at);
}

void put_answer(struct buf *b, const struct answer *a)
{
    size_t at = begin(b, MSG_ANSWER);

    wire_u64(b, a->beat);
    wire_u64(b, a->boot);
    wire_i64(b, a->at_ms);
    wire_u8(b, a->drain);
    wire_u32(b, a->lease_ms);
    wire_u32(b, a->beat_ms);
    wire_u32(b, a->kill_ms);
    end(b, at);
}

void put_ack(struct buf *b, const struct lease *l, uint64_t seq)
{
    size_t at = begin(b, MSG_ACK);

    put_lease(b, l);
    wire_u64(b, seq);
    end(b, at);
}

void put_fenced(struct buf *b, const struct lease *l, bool open)
{
    size_t at = begin(b, MSG_FENCED);

    put_lease(b, l);
    wire_u8(b, open);
    end(b, at);
}

void put_cancel(struct buf *b, const struct lease *l)
{
    put_bare(b, MSG_CANCEL, l);
}

void put_adopt(struct buf *b, const struct lease *l, const struct lease *now)
{
    size_t at = begin(b, MSG_ADOPT);

    put_lease(b, l);
    put_lease(b, now);
    end(b, at);
}

void put_drain(struct buf *b, bool on)
{
    size_t at = begin(b, MSG_DRAIN);

    wire_u8(b, on);
    end(b, at);
}

void put_refused(struct buf *b, const char *text)
{
    size_t at = begin(b, MSG_REFUSED);

    put_words(b, text ? text : "", MESSAGE_WORDS_MAX);
    end(b, at);
}
