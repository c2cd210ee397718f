/*
 * An entry of a transport's stream: messages one after the other. What is accepted is what the
 * writer makes: written again it is the same bytes, and its texts may be handed on.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "transport/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *s)
{
    assert(!s || utf8_valid(s, strlen(s)));
}

static void check(const struct message *m)
{
    const struct outcome *o = &m->outcome;
    const struct job *j = &m->assign.job;
    char text[LEASE_TEXT + 1];
    struct lease back;

    check_text(m->text);
    check_text(o->error);
    check_text(o->run_json);
    check_text(j->targets);
    check_text(m->hello.host);
    assert(m->beat.n_leases <= BEAT_LEASES_MAX && m->hello.slots <= WORKER_SLOTS_MAX);
    assert(m->type != MSG_END || job_state_terminal(o->state));
    assert(m->type != MSG_RAW || m->n <= MESSAGE_RAW_MAX);
    lease_text(&m->lease, text);
    assert(lease_parse(text, &back));
}

static void put(struct buf *b, const struct message *m)
{
    switch (m->type) {
    case MSG_HELLO:
        put_hello(b, &m->hello);
        break;
    case MSG_BEAT:
        put_beat(b, &m->beat);
        break;
    case MSG_TOOK:
        put_took(b, &m->lease);
        break;
    case MSG_HOSTS:
        put_hosts(b, &m->lease, m->seq, m->data, m->n);
        break;
    case MSG_PROGRESS:
        put_progress(b, &m->lease, &m->progress);
        break;
    case MSG_RAW:
        put_raw(b, &m->lease, m->seq, m->offset, m->data, m->n);
        break;
    case MSG_END:
        put_end(b, &m->lease, m->seq, &m->outcome);
        break;
    case MSG_RELEASE:
        put_release(b, &m->lease, m->seq, m->why);
        break;
    case MSG_WAIT:
        put_wait(b, &m->lease, m->seq, m->until_us);
        break;
    case MSG_BYE:
        put_bye(b);
        break;
    case MSG_ASSIGN:
        put_assign(b, &m->assign);
        break;
    case MSG_ANSWER:
        put_answer(b, &m->answer);
        break;
    case MSG_ACK:
        put_ack(b, &m->lease, m->seq);
        break;
    case MSG_FENCED:
        put_fenced(b, &m->lease, m->on);
        break;
    case MSG_CANCEL:
        put_cancel(b, &m->lease);
        break;
    case MSG_ADOPT:
        put_adopt(b, &m->lease, &m->now);
        break;
    case MSG_DRAIN:
        put_drain(b, m->on);
        break;
    case MSG_REFUSED:
        put_refused(b, m->text);
        break;
    case MSG_OFFER:
        put_offer(b, &m->lease);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *p = data;
    struct err e = {0};
    struct message m;

    while (n > 0) {
        const uint8_t *from = p;
        auto_buf again = {0};

        if (message_next(&p, &n, &m, &e) != 0) {
            assert(e.code == ERR_INVALID && e.msg[0] && p == from);
            break;
        }
        check(&m);
        put(&again, &m);
        assert(!again.over && again.len == (size_t)(p - from));
        assert(memcmp(again.data, from, again.len) == 0);
        message_done(&m);
    }
    return 0;
}
