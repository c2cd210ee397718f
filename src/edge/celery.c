#include "edge/celery.h"

#include <nettle/base64.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "edge/edge_name.h"

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

/* ---- kombu's envelope ---- */

static bool decode(const json_t *body, const char *encoding, struct buf *out)
{
    size_t n = json_string_length(body), got = 0;
    struct base64_decode_ctx ctx;
    char *to;

    if (!str_eq(encoding, "base64")) {
        buf_add(out, json_string_value(body), n);
        return !encoding;
    }
    to = buf_space(out, BASE64_DECODE_LENGTH(n) + 1);
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &got, (uint8_t *)to, n, json_string_value(body)) ||
        !base64_decode_final(&ctx)) {
        return false;
    }
    to[got] = '\0';
    out->len += got;
    return true;
}

bool kombu_open(const struct raw_message *r, struct kombu *out, int *rc, struct err *e)
{
    json_t *root = json_loadb(r->body, r->n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *body = json_object_get(root, "body");
    const json_t *properties = json_object_get(root, "properties");
    const json_t *headers = json_object_get(root, "headers");

    if (!json_is_string(body) || !json_is_object(properties)) {
        json_decref(root);
        return false;
    }
    *out = (struct kombu){.root = root, .message = *r};
    *rc = 0;
    if (!decode(body, text_of(properties, "body_encoding"), &out->body)) {
        *rc = err_set(e, ERR_INVALID, "the body of the envelope is not base64");
    }
    out->message.redis = true;
    out->message.body = out->body.data ? out->body.data : "";
    out->message.n = out->message.size = out->body.len;
    out->message.content_type = text_of(root, "content-type");
    out->message.content_encoding = text_of(root, "content-encoding");
    out->message.correlation = text_of(properties, "correlation_id");
    out->message.reply_to = text_of(properties, "reply_to");
    out->message.headers = json_is_object(headers) ? headers : NULL;
    return true;
}

void kombu_done(struct kombu *k)
{
    json_decref(k->root);
    buf_done(&k->body);
}

/* ---- tasks ---- */

/* Where the parts of a task are: protocol 2 has them in headers, 1 in the body. */
struct task {
    const json_t *about; /* task, id, eta, expires, group */
    const json_t *args, *kwargs;
    const json_t *around; /* callbacks, errbacks, chain, chord */
};

bool celery_is(const struct raw_message *r, const json_t *body)
{
    return text_of(r->headers, "task") ||
           (json_is_object(body) && text_of(body, "task") && json_object_get(body, "id") &&
            (json_object_get(body, "args") || json_object_get(body, "kwargs")));
}

static int check_encoding(const struct raw_message *r, struct err *e)
{
    if (text_of(r->headers, "compression")) {
        return err_set(e, ERR_INVALID, "compressed bodies are not taken: %.60s",
                       text_of(r->headers, "compression"));
    }
    if (!str_eq(r->content_type, "application/json")) {
        return err_set(e, ERR_INVALID,
                       "the task is not JSON (task_serializer must be 'json'): its content type is "
                       "%.60s",
                       r->content_type ? r->content_type : "not said");
    }
    return 0;
}

static bool is_empty(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0);
}

static int check_alone(const struct task *t, struct err *e)
{
    static const char *const around[] = {"callbacks", "errbacks", "chain", "chord"};

    for (size_t i = 0; i < ARRAY_LEN(around); i++) {
        if (!is_empty(json_object_get(t->around, around[i]))) {
            return err_set(e, ERR_INVALID, "the task has '%s', which is not supported", around[i]);
        }
    }
    if (!is_empty(json_object_get(t->about, "group")) ||
        !is_empty(json_object_get(t->about, "taskset"))) {
        return err_set(e, ERR_INVALID, "the task is part of a group, which is not supported");
    }
    return 0;
}

static int time_of(const struct task *t, const char *member, int64_t *us, struct err *e)
{
    const json_t *v = json_object_get(t->about, member);

    *us = 0;
    if (!v || json_is_null(v)) {
        return 0;
    }
    return json_is_string(v) && rfc3339_parse(json_string_value(v), us)
               ? 0
               : err_set(e, ERR_INVALID, "%s is not a time", member);
}

static int check_times(const struct task *t, int64_t now_us, struct err *e)
{
    int64_t eta, expires;
    int rc = time_of(t, "eta", &eta, e);

    rc = rc ? rc : time_of(t, "expires", &expires, e);
    if (rc == 0 && eta > now_us) {
        rc = err_set(e, ERR_INVALID,
                     "eta and countdown are not supported: send the task when it is due");
    }
    if (rc == 0 && expires && expires < now_us) {
        rc = err_set(e, ERR_INVALID, "the task has expired");
    }
    return rc;
}

static int find_parts(const struct raw_message *r, const json_t *body, struct task *t,
                      struct err *e)
{
    if (!text_of(r->headers, "task")) {
        *t = (struct task){.about = body,
                           .args = json_object_get(body, "args"),
                           .kwargs = json_object_get(body, "kwargs"),
                           .around = body};
        return 0;
    }
    *t = (struct task){.about = r->headers,
                       .args = json_array_get(body, 0),
                       .kwargs = json_array_get(body, 1),
                       .around = json_array_get(body, 2)};
    if (!json_is_array(body) || json_array_size(body) != 3 || !json_is_object(t->around)) {
        return err_set(e, ERR_INVALID, "the body of the task is not [args, kwargs, embed]");
    }
    return 0;
}

/* Keywords, or one object as the only argument. */
static int find_request(const struct task *t, const json_t **request, struct err *e)
{
    const json_t *first = json_array_get(t->args, 0);

    if (!is_empty(t->args) && json_array_size(t->args) == 1 && json_is_object(first) &&
        (!t->kwargs || json_is_null(t->kwargs) || json_object_size(t->kwargs) == 0)) {
        *request = first;
        return 0;
    }
    if (!is_empty(t->args) || !json_is_object(t->kwargs)) {
        return err_set(e, ERR_INVALID, "the request must be given as keyword arguments");
    }
    *request = t->kwargs;
    return 0;
}

static int check_name(const char *name, const json_t *request, struct err *e)
{
    bool repo = str_eq(name, "scanpod.repo");

    if (!repo && !str_eq(name, "scanpod.scan")) {
        return err_set(e, ERR_INVALID,
                       "there is no task '%.80s': there are scanpod.scan and scanpod.repo", name);
    }
    if (repo != !!json_object_get(request, "repo_url")) {
        return err_set(e, ERR_INVALID,
                       repo ? "repo_url is missing"
                            : "scanpod.scan takes no repo_url: scanpod.repo does");
    }
    return 0;
}

static void put_request(const json_t *request, struct buf *out)
{
    char *text = json_dumps(request, JSON_COMPACT);

    if (text) {
        buf_adds(out, text);
        free(text);
    }
}

static int take_id(const struct raw_message *r, const struct task *t, struct taken *out,
                   struct err *e)
{
    const char *id = text_of(t->about, "id");

    if (!id || !edge_text_ok(id)) {
        return err_set(e, ERR_INVALID, "the task's id must have 1 to %d printable characters",
                       EDGE_TEXT_MAX);
    }
    free(out->task_id);
    out->task_id = xstrdup(id);
    if (!r->redis && !*out->correlation) { /* what rpc:// looks for */
        free(out->correlation);
        out->correlation = xstrdup(id);
    }
    return 0;
}

int celery_take(const struct raw_message *r, const json_t *body, struct taken *out, struct err *e)
{
    const json_t *request = NULL;
    struct task t = {.about = r->headers};
    int rc;

    out->form = EDGE_CELERY;
    if (!text_of(r->headers, "task")) {
        t.about = body;
    }
    rc = take_id(r, &t, out, e); /* first: an answer needs it */
    rc = rc ? rc : check_encoding(r, e);
    if (rc == 0 && !body) {
        rc = err_set(e, ERR_INVALID, "the body of the task is not JSON");
    }
    rc = rc ? rc : find_parts(r, body, &t, e);
    rc = rc ? rc : check_alone(&t, e);
    rc = rc ? rc : check_times(&t, r->now_us, e);
    rc = rc ? rc : find_request(&t, &request, e);
    rc = rc ? rc : check_name(text_of(t.about, "task"), request, e);
    if (rc == 0) {
        put_request(request, &out->body);
    }
    return rc;
}

/* ---- results ---- */

static void put_failure(struct json *j, const struct edge_result *r)
{
    json_obj_in(j, "result");
    json_str(j, "exc_type", "ScanFailed");
    json_arr_in(j, "exc_message");
    json_str(j, NULL, r->error && *r->error ? r->error : "the scan failed");
    json_end(j);
    json_str(j, "exc_module", "builtins");
    json_end(j);
}

void celery_result(const struct edge_result *r, int64_t now_us, struct buf *out)
{
    static const char *const states[] = {"STARTED", "SUCCESS", "FAILURE"};
    struct json j = json_to(out);
    char when[RFC3339_LEN + 8];

    rfc3339_us(now_us, when);
    memcpy(strchr(when, 'Z'), "+00:00", sizeof "+00:00"); /* older Pythons know no Z */
    json_obj(&j);
    json_str(&j, "status", states[r->state]);
    if (r->state == RESULT_FAILED) {
        put_failure(&j, r);
    } else {
        json_raw(&j, "result", r->state == RESULT_OK ? r->body : NULL);
    }
    json_nil(&j, "traceback");
    json_arr_in(&j, "children");
    json_end(&j);
    json_str(&j, "date_done", when);
    json_str(&j, "task_id", r->task_id);
    json_end(&j);
}
