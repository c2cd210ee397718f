/*
 * Who did what: entries of the audit log, written in the transaction of the change, and the list.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "http/api_priv.h"

void audit_begin_from(struct audit_note *n, const char *what, const char *name)
{
    n->text = (struct buf){0};
    n->j = json_to(&n->text);
    json_obj(&n->j);
    json_str(&n->j, what, name);
}

void audit_begin(struct audit_note *n, const struct http_req *r)
{
    audit_begin_from(n, "peer", http_peer(r));
}

void audit_add(struct api *a, const struct key *k, const char *action, const char *object,
               struct audit_note *n)
{
    struct audit entry = {
        .at_us = wall_us(), .actor = *k->id ? k->id : "config", .action = action, .object = object};
    struct err e = {0};

    json_end(&n->j);
    entry.detail = n->text.data;
    if (store_audit_add(a->store, &entry, &e) < 0) {
        log_error("audit_failed", KV("action", action), KV("error", e.msg));
    }
    buf_done(&n->text);
}

void audit_job(struct api *a, const struct http_req *r, const char *action, const struct id *job)
{
    struct audit_note n;
    char id[ID_TEXT + 1];

    id_text(job, id);
    audit_begin(&n, r);
    audit_add(a, api_key(r), action, id, &n);
}

static int put_entry(void *arg, const struct audit *e, struct err *err)
{
    struct number_page *pg = arg;
    char hex[65];

    for (size_t i = 0; i < sizeof e->hash; i++) {
        snprintf(hex + 2 * i, 3, "%02x", e->hash[i]);
    }
    json_obj(&pg->j);
    json_int(&pg->j, "seq", e->seq);
    json_time(&pg->j, "at", e->at_us);
    json_str(&pg->j, "actor", e->actor);
    json_str(&pg->j, "action", e->action);
    json_str(&pg->j, "object", e->object);
    json_raw(&pg->j, "detail", e->detail);
    json_str(&pg->j, "hash", hex);
    json_end(&pg->j);
    pg->last = e->seq;
    pg->n++;
    return 0;
}

void api_number_page(struct http_req *r, struct store *s,
                     int (*list)(struct store *s, int64_t after, uint32_t limit,
                                 struct number_page *pg, struct err *e))
{
    static const char *const known[] = {"after", "limit", NULL};
    struct number_page pg = {0};
    int64_t after = 0;
    int64_t limit = API_PAGE_DEFAULT;
    struct err e = {0};

    if (!api_query_known(r, known) || !api_query_int(r, "after", 0, INT64_MAX, &after) ||
        !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit)) {
        return;
    }
    http_not_stored(r);
    pg.j = json_to(http_out(r));
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    if (list(s, after, (uint32_t)limit, &pg, &e) < 0) {
        buf_reset(pg.j.b);
        api_fail(r, &e);
        return;
    }
    json_end(&pg.j);
    view_known(&pg.j, "next", pg.n == limit ? pg.last : 0, 0);
    json_end(&pg.j);
    api_json_reply(r, 200);
}

static int list_audit(struct store *s, int64_t after, uint32_t limit, struct number_page *pg,
                      struct err *e)
{
    return store_audit_list(s, after, limit, put_entry, pg, e);
}

void v1_audit(struct http_req *r, void *app)
{
    struct api *a = app;

    api_number_page(r, a->store, list_audit);
}
