#include "edge/edge_message.h"

#include <string.h>

#include "base/mem.h"
#include "edge/celery.h"
#include "edge/edge_name.h"

enum { RAW_MAX = 4 * EDGE_BODY_MAX, SHOWN_MAX = 2048, REASON_MAX = 400 };

static bool one_of(const char *s, const char *const *list)
{
    while (*list && !str_eq(s, *list)) {
        list++;
    }
    return *list;
}

static int check_encoding(const struct raw_message *r, struct err *e)
{
    static const char *const types[] = {
        "", "application/json", "text/plain", "application/data", "application/octet-stream", NULL};
    static const char *const encodings[] = {"", "utf-8", "utf8", "us-ascii", "binary", NULL};

    if (r->content_type && !one_of(r->content_type, types)) {
        return err_set(e, ERR_INVALID, "the content type %.60s is not taken: only JSON is",
                       r->content_type);
    }
    if (r->content_encoding && !one_of(r->content_encoding, encodings)) {
        return err_set(e, ERR_INVALID, "the content encoding %.60s is not taken: only utf-8 is",
                       r->content_encoding);
    }
    return 0;
}

static void set(char **to, const char *s)
{
    free(*to);
    *to = xstrdup(s);
}

static int take_reply(const struct raw_message *r, const char *name, struct taken *out,
                      struct err *e)
{
    if (!name || !*name) {
        return 0;
    }
    if (!edge_name_ok(name) || edge_name_is_ours(name, r->queue)) {
        return err_set(e, ERR_INVALID, "reply_to is not a queue that results may be sent to");
    }
    set(&out->reply_to, name);
    return 0;
}

static int take_about(const struct raw_message *r, struct taken *out, struct err *e)
{
    if (r->correlation && *r->correlation) {
        if (!edge_text_ok(r->correlation)) {
            return err_set(e, ERR_INVALID, "correlation_id has more than %d characters",
                           EDGE_TEXT_MAX);
        }
        set(&out->correlation, r->correlation);
    }
    return take_reply(r, r->reply_to, out, e);
}

static const char *first_of(const json_t *body, const char *const *members, const json_t **v)
{
    for (; *members; members++) {
        *v = json_object_get(body, *members);
        if (*v && !json_is_null(*v)) {
            return *members;
        }
    }
    *v = NULL;
    return NULL;
}

static int take_plain_id(const struct raw_message *r, const json_t *body, struct taken *out,
                         struct err *e)
{
    static const char *const scan[] = {"task_id", NULL};
    static const char *const repo[] = {"task_id", "job_id", NULL};
    const json_t *id;
    const char *member = first_of(body, out->form == EDGE_REPO ? repo : scan, &id);

    if (member && (!json_is_string(id) || !edge_text_ok(json_string_value(id)))) {
        return err_set(e, ERR_INVALID, "%s must be text of 1 to %d printable characters", member,
                       EDGE_TEXT_MAX);
    }
    if (member) {
        set(&out->task_id, json_string_value(id));
    } else if (r->message_id && edge_text_ok(r->message_id)) {
        set(&out->task_id, r->message_id);
    }
    return 0;
}

static int take_plain(const struct raw_message *r, const json_t *body, struct taken *out,
                      struct err *e)
{
    const json_t *reply = json_object_get(body, "reply_to");
    int rc = check_encoding(r, e);

    if (rc == 0 && !json_is_object(body)) {
        rc = err_set(e, ERR_INVALID, "the message is not a JSON object");
    }
    if (rc != 0) {
        return rc;
    }
    out->form = json_object_get(body, "repo_url") ? EDGE_REPO : EDGE_SCAN;
    rc = take_plain_id(r, body, out, e);
    if (rc == 0 && reply && !json_is_null(reply) && !json_is_string(reply)) {
        rc = err_set(e, ERR_INVALID, "reply_to must be text");
    }
    if (rc == 0 && !*out->reply_to) {
        rc = take_reply(r, json_string_value(reply), out, e);
    }
    if (rc == 0) {
        buf_add(&out->body, r->body, r->n);
    }
    return rc;
}

static int not_json(const json_error_t *at, struct err *e)
{
    return err_set(e, ERR_INVALID, "the message is not JSON: line %d, column %d: %.100s", at->line,
                   at->column, at->text);
}

/* A message that is not, or no longer, in an envelope. */
static int take_open(const struct raw_message *r, struct taken *out, struct err *e)
{
    json_error_t at;
    json_t *body = json_loadb(r->body, r->n, JSON_REJECT_DUPLICATES, &at);
    int rc;

    if (celery_is(r, body)) {
        struct raw_message c = *r;

        if (r->redis) {
            c.reply_to = c.correlation = NULL; /* results have a key of their own */
        }
        out->form = EDGE_CELERY;
        rc = take_about(&c, out, e);
        rc = rc ? rc : celery_take(&c, body, out, e);
    } else {
        rc = take_about(r, out, e);
        rc = rc ? rc : check_encoding(r, e);
        rc = rc ? rc : body ? take_plain(r, body, out, e) : not_json(&at, e);
    }
    json_decref(body);
    if (rc == 0 && out->body.len > EDGE_BODY_MAX) {
        rc = err_set(e, ERR_LIMIT, "the request has %zu bytes, more than %d", out->body.len,
                     EDGE_BODY_MAX);
    }
    return rc;
}

static int take(const struct raw_message *r, struct taken *out, struct err *e)
{
    struct kombu k;
    int rc;

    if (r->size > RAW_MAX) {
        return err_set(e, ERR_LIMIT, "the message has %zu bytes, more than %d", r->size, RAW_MAX);
    }
    if (!r->redis || !kombu_open(r, &k, &rc, e)) {
        return take_open(r, out, e);
    }
    rc = rc ? rc : take_open(&k.message, out, e);
    kombu_done(&k);
    return rc;
}

void edge_take(const struct raw_message *r, struct taken *out)
{
    struct err e = {0};

    *out = (struct taken){.form = EDGE_SCAN,
                          .task_id = xstrdup(""),
                          .reply_to = xstrdup(""),
                          .correlation = xstrdup("")};
    if (take(r, out, &e) != 0) {
        auto_buf why = {.cap = REASON_MAX};

        buf_add_escaped(&why, e.msg, strlen(e.msg));
        out->bad = buf_take(&why);
        buf_reset(&out->body);
        buf_add_escaped(&out->body, r->body, MIN(r->n, SHOWN_MAX));
    }
    if (!out->body.data) {
        buf_adds(&out->body, "");
    }
}

void taken_done(struct taken *t)
{
    free(t->task_id);
    free(t->reply_to);
    free(t->correlation);
    free(t->bad);
    buf_done(&t->body);
    *t = (struct taken){0};
}

/* ---- streams ---- */

static bool is_whole(const struct raw_field *f)
{
    static const char *const names[] = {"body", "data", "message"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (f->n_name == strlen(names[i]) && memcmp(f->name, names[i], f->n_name) == 0) {
            return true;
        }
    }
    return false;
}

/* The members that are not text: numbers, and arrays as JSON. */
static json_t *value_of(const struct raw_field *f)
{
    static const char *const other[] = {"timeout_seconds", "retry_attempts", "priority",
                                        "arguments", "scan_options"};

    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        if (f->n_name == strlen(other[i]) && memcmp(f->name, other[i], f->n_name) == 0) {
            json_t *v =
                json_loadb(f->value, f->n_value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

            if (v) {
                return v;
            }
        }
    }
    return json_stringn(f->value, f->n_value); /* NULL: not UTF-8 */
}

void edge_fields(const struct raw_field *f, size_t n, struct buf *out)
{
    json_t *object = json_object();
    char *text = NULL;

    if (n == 1 && is_whole(f)) {
        buf_add(out, f->value, f->n_value);
        json_decref(object);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        auto_free char *name = xstrndup(f[i].name, f[i].n_name);
        json_t *v = value_of(&f[i]);

        if (strlen(name) != f[i].n_name || json_object_get(object, name)) {
            json_decref(v);
            v = NULL;
        }
        if (!v || json_object_set_new(object, name, v) != 0) {
            /* No member can be said so: it is shown as it is, and refused. */
            buf_add(out, f[i].name, f[i].n_name);
            buf_addc(out, '=');
            buf_add(out, f[i].value, f[i].n_value);
            json_decref(object);
            return;
        }
    }
    text = json_dumps(object, JSON_COMPACT);
    buf_adds(out, text ? text : "");
    free(text);
    json_decref(object);
}
