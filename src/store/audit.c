#include "store/audit.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/digest.h"
#include "store/internal.h"

enum { TEXT_MAX = 1 << 20, LIST_MAX = 1000, LINE_ROOM = 256 };

/* ---- the chain ---- */

static void put_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);

    buf_addu(b, n);
    buf_addc(b, ':');
    buf_add(b, s, n);
    buf_addc(b, ',');
}

static void put_number(struct buf *b, int64_t v)
{
    char text[24];
    size_t at = sizeof text - 1;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

    text[at] = '\0';
    do {
        text[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (v < 0) {
        text[--at] = '-';
    }
    put_text(b, text + at);
}

void audit_hash(const uint8_t before[32], const struct audit *a, uint8_t out[32])
{
    auto_buf line = {0};

    buf_space(&line, LINE_ROOM + strlen(a->object) + strlen(a->detail));
    buf_add(&line, before, 32);
    put_number(&line, a->seq);
    put_number(&line, a->at_us);
    put_text(&line, a->actor);
    put_text(&line, a->action);
    put_text(&line, a->object);
    put_text(&line, a->detail);
    sha256_of(line.data, line.len, out);
}

int audit_chain_next(struct audit_chain *c, const struct audit *a, const struct audit *expect,
                     struct err *e)
{
    uint8_t want[32];

    if (a->seq != c->n + 1) {
        return err_set(e, ERR_CONFLICT,
                       "audit log: entry %" PRId64 " is missing, %" PRId64 " stands in its place",
                       c->n + 1, a->seq);
    }
    audit_hash(c->head, a, want);
    if (memcmp(want, a->hash, sizeof want) != 0) {
        return err_set(e, ERR_CONFLICT,
                       "audit log: entry %" PRId64 " is not what was written, or not what stood "
                       "before it: its hash does not fit",
                       a->seq);
    }
    if (expect && expect->seq == a->seq) {
        if (memcmp(expect->hash, a->hash, sizeof a->hash) != 0) {
            return err_set(e, ERR_CONFLICT,
                           "audit log: entry %" PRId64 " is not the one whose head was exported: "
                           "the log was written anew",
                           a->seq);
        }
        c->expected = true;
    }
    c->n = a->seq;
    memcpy(c->head, a->hash, sizeof c->head);
    return 0;
}

int audit_chain_end(const struct audit_chain *c, const struct audit *expect, struct err *e)
{
    if (expect && !c->expected) {
        return err_set(e, ERR_CONFLICT,
                       "audit log: it ends at entry %" PRId64 ", but the head of entry %" PRId64
                       " was exported: its end is cut off",
                       c->n, expect->seq);
    }
    return 0;
}

/* ---- the log ---- */

static bool fits(const char *s, size_t max)
{
    size_t n = strlen(s);

    return n <= max && utf8_valid(s, n);
}

static int audit_add(struct store *s, const struct audit *from)
{
    struct audit a = *from;
    int rc = store_whole(s);

    if (rc != 0) {
        return rc;
    }
    a.object = a.object ? a.object : "";
    a.detail = a.detail ? a.detail : "{}";
    if (!a.actor || !*a.actor || !a.action || !*a.action || !fits(a.actor, 256) ||
        !fits(a.action, 256) || !fits(a.object, 4096) || !fits(a.detail, TEXT_MAX) ||
        a.detail[0] != '{') {
        return store_fail(s, ERR_INVALID,
                          "audit: an entry needs an actor, an action and a JSON object, in UTF-8 "
                          "and at most 1 MiB");
    }
    rc = store_begin(s);
    if (rc != 0) {
        return rc;
    }
    a.seq = s->now.next_audit;
    if (a.at_us == 0) {
        a.at_us = store_now(s);
    }
    audit_hash(s->now.audit_head, &a, a.hash);
    rc = s->ops->audit_put(s, &a);
    if (rc == 0) {
        s->now.next_audit++;
        memcpy(s->now.audit_head, a.hash, sizeof a.hash);
    }
    return rc;
}

int store_audit_add(struct store *s, const struct audit *a, struct err *e)
{
    return store_change_end(s, audit_add(s, a), e);
}

int store_audit_list(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg,
                     struct err *e)
{
    if (limit == 0 || limit > LIST_MAX) {
        limit = LIST_MAX;
    }
    return store_read_end(s, s->ops->audits(s, after, limit, fn, arg), e);
}

struct verify {
    struct audit_chain chain;
    const struct audit *expect;
};

static int verify_one(void *arg, const struct audit *a, struct err *e)
{
    struct verify *v = arg;

    return audit_chain_next(&v->chain, a, v->expect, e);
}

static int verify(struct store *s, struct verify *v)
{
    int rc = s->ops->audits(s, 0, UINT32_MAX, verify_one, v);

    if (rc == 0) {
        rc = audit_chain_end(&v->chain, v->expect, &s->err);
    }
    if (rc == 0 && (v->chain.n != s->now.next_audit - 1 ||
                    memcmp(v->chain.head, s->now.audit_head, sizeof v->chain.head) != 0)) {
        rc = store_fail(s, ERR_CONFLICT,
                        "audit log: it ends at entry %" PRId64 ", but entry %" PRId64
                        " was the last one written: its end is cut off",
                        v->chain.n, s->now.next_audit - 1);
    }
    return rc;
}

int store_audit_verify(struct store *s, const struct audit *expect, int64_t *n, uint8_t head[32],
                       struct err *e)
{
    struct verify v = {.expect = expect};
    int rc = verify(s, &v);

    if (rc == 0) {
        *n = v.chain.n;
        memcpy(head, v.chain.head, sizeof v.chain.head);
    }
    return store_read_end(s, rc, e);
}
