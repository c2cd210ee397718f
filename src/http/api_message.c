#include "http/api_message.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_repo.h"
#include "http/api_submit.h"
#include "http/api_v1.h"
#include "store/digest.h"

enum {
    BODY_SHOWN = 4096, /* bytes of a dead letter */
    KEY_AFTER_MS = 5000,
    BUSY_AFTER_MS = 5000,
    FAULT_AFTER_MS = 2000,
    TWIN_AFTER_MS = 200, /* the same task_id is being looked at */
    AFTER_MAX_S = 60,    /* a quota may be raised meanwhile */
};

struct api_asked {
    struct api *api;
    api_message_fn fn;
    void *arg;
    const char *intake;
    const struct key *key; /* NULL: not known */
    int32_t form;
    char *task_id, *reply_to, *correlation, *body; /* owned; body: its beginning */
    char *queue; /* owned: whose task_ids they are, in the place of a key's id */
    uint8_t print[32];
    struct submit *submit; /* names are being resolved; NULL: not */
};

static void asked_free(struct api_asked *x)
{
    free(x->task_id);
    free(x->reply_to);
    free(x->correlation);
    free(x->body);
    free(x->queue);
    free(x);
}

static void finish(struct api_asked *x, const struct api_message_end *end)
{
    x->fn(x->arg, end);
    asked_free(x);
}

static void later(struct api_asked *x, uint32_t after_ms, const char *why)
{
    finish(x, &(struct api_message_end){.how = MESSAGE_LATER, .after_ms = after_ms, .why = why});
}

/* ---- refusals ---- */

/* At most `max` bytes of it, as valid UTF-8. */
static char *text_of(const char *s, size_t max)
{
    size_t n = strlen(s);
    auto_buf out = {0};

    for (size_t len; n > 0 && out.len + 4 <= max; s += len, n -= len) {
        len = utf8_len(s, n);
        buf_adds(&out, len ? "" : "\xef\xbf\xbd");
        buf_add(&out, s, len);
        len = len ? len : 1;
    }
    return buf_take(&out);
}

static void note_dead(struct api *a, const char *intake, const char *task_id, const char *why,
                      const char *body)
{
    auto_free char *id = text_of(task_id, 256);
    auto_free char *reason = text_of(why, sizeof((struct err *)0)->msg);
    auto_free char *shown = text_of(body, BODY_SHOWN);
    const struct dead_letter d = {
        .at_us = wall_us(), .source = intake, .task_id = id, .reason = reason, .body = shown};
    struct err e = {0};

    if (store_dead_add(a->store, &d, &e) < 0) {
        log_error("dead_letter_failed", KV("intake", intake), KV("error", e.msg));
    }
}

static void note_audit(struct api *a, const struct key *k, const char *intake, const char *task_id,
                       const char *why)
{
    static const struct key nobody = {.id = "system"};
    struct audit_note n;

    log_warn("message_refused", KV("intake", intake), KV("task", task_id), KV("error", why));
    audit_begin_from(&n, "intake", intake);
    json_str(&n.j, "task_id", task_id);
    json_str(&n.j, "reason", why);
    audit_add(a, k ? k : &nobody, "scan.refused", "", &n);
}

void api_message_refuse(struct api *a, const struct api_message *m, const char *why)
{
    note_audit(a, api_key_named(a, m->key), m->intake, m->task_id, why);
    note_dead(a, m->intake, m->task_id, why, m->body);
}

static void refuse_as(struct api_asked *x, const char *why, bool another)
{
    note_audit(x->api, x->key, x->intake, x->task_id, why);
    note_dead(x->api, x->intake, x->task_id, why, x->body);
    finish(x, &(struct api_message_end){.how = MESSAGE_REFUSED, .why = why, .another = another});
}

static void refuse(struct api_asked *x, const char *why)
{
    refuse_as(x, why, false);
}

/* "/ports: ...; /tool: ..." */
static void refuse_problems(struct api_asked *x, struct problems *p)
{
    auto_free char *text = str_fmt("[%s]", p->json.data ? p->json.data : "");
    json_t *list = json_loads(text, 0, NULL);
    auto_buf why = {0};
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *at = json_string_value(json_object_get(item, "pointer"));
        const char *what = json_string_value(json_object_get(item, "detail"));

        buf_addf(&why, "%s%s%s%s", i ? "; " : "", at ? at : "", at && *at ? ": " : "",
                 what ? what : "");
    }
    json_decref(list);
    buf_done(&p->json);
    refuse(x, why.data ? why.data : "the request is not valid");
}

/* ---- ends of the submit ---- */

static void failed(struct api_asked *x, const struct err *e)
{
    switch (e->code) {
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_LIMIT:
    case ERR_SCOPE:
        refuse(x, e->msg);
        break;
    case ERR_BUSY:
        later(x, BUSY_AFTER_MS, e->msg);
        break;
    default:
        later(x, FAULT_AFTER_MS, e->msg);
        break;
    }
}

static int on_stored(void *arg, const struct job *job, struct err *e)
{
    const struct api_asked *x = arg;
    const struct origin o = {.intake = x->intake,
                             .task_id = x->task_id,
                             .reply_to = x->reply_to,
                             .correlation = x->correlation,
                             .form = x->form};
    int rc =
        store_idem_put(x->api->store, x->queue, x->task_id, x->print, &job->id, job->created_us, e);

    return rc == 0 ? store_origin_put(x->api->store, job->num, &o, e) : rc;
}

static void on_ended(void *arg, const struct job *job, const struct submit_end *end)
{
    struct api_asked *x = arg;
    auto_free char *why = NULL;

    x->submit = NULL;
    if (job) {
        finish(x, &(struct api_message_end){.how = MESSAGE_TAKEN});
        return;
    }
    switch (end->how) {
    case SUBMIT_WRONG:
        why = str_fmt("%s%s%s", end->at, *end->at ? ": " : "", end->err->msg);
        refuse(x, why);
        break;
    case SUBMIT_UNRESOLVED:
        why = str_fmt("/target: %s", end->err->msg);
        refuse(x, why);
        break;
    case SUBMIT_REFUSED: /* the audit log has it */
        note_dead(x->api, x->intake, x->task_id, end->err->msg, x->body);
        finish(x, &(struct api_message_end){.how = MESSAGE_REFUSED, .why = end->err->msg});
        break;
    case SUBMIT_BUSY:
        later(x, 1000 * (uint32_t)MIN(end->retry_s, AFTER_MAX_S), end->err->msg);
        break;
    case SUBMIT_NO_KEY:
        later(x, KEY_AFTER_MS, end->err->msg);
        break;
    case SUBMIT_FAILED:
        failed(x, end->err);
        break;
    }
}

static const struct submit_how message_how = {.stored = on_stored, .ended = on_ended};

/* ---- one job for a task_id ---- */

/* What makes two requests the same, however they are written. */
static void print_of(json_t *body, uint8_t out[32])
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);

    sha256_of(text ? text : "", text ? strlen(text) : 0, out);
    free(text);
}

static bool has_twin(const struct api_asked *x)
{
    for (const struct submit *s = x->api->submits; s; s = s->next) {
        const struct api_asked *other = s->how == &message_how ? s->arg : NULL;

        if (other && str_eq(other->intake, x->intake) && str_eq(other->task_id, x->task_id)) {
            return true;
        }
    }
    return false;
}

/* True: there is a job of this task_id, or will be; x has ended. */
static bool known(struct api_asked *x)
{
    uint8_t before[32];
    struct err e = {0};
    struct id id;
    bool found = false;

    if (store_idem_get(x->api->store, x->queue, x->task_id, before, &id, &found, &e) < 0) {
        failed(x, &e);
    } else if (found && memcmp(before, x->print, sizeof before) != 0) {
        refuse_as(x, "this task_id was used with another request", true);
    } else if (found) {
        x->api->replayed++;
        finish(x, &(struct api_message_end){.how = MESSAGE_TAKEN});
    } else if (has_twin(x)) {
        later(x, TWIN_AFTER_MS, "the same task_id is being looked at");
    } else {
        return false;
    }
    return true;
}

/* ---- the way in ---- */

static bool key_fault(const struct key *k, const char *name, struct err *e)
{
    if (!k && !name) {
        err_set(e, ERR_DENIED,
                "no key is configured: name one with key=NAME in the setting intake");
    } else if (!k) {
        err_set(e, ERR_DENIED, "there is no key '%.64s'", name);
    } else if (!key_in_force(k)) {
        err_set(e, ERR_DENIED, "the key '%.64s' is not in force any more", name);
    } else if (!(key_scopes_held(k) & (KEY_SUBMIT_NETWORK | KEY_SUBMIT_REPO))) {
        key_scope_fault(KEY_SUBMIT_NETWORK, e);
    }
    return e->code != 0;
}

static struct api_asked *take_scan(struct api_asked *x, json_t *body)
{
    struct v1_request q = {0};
    struct problems p = {0};
    struct submit from = {.api = x->api, .key = x->key, .intake = x->intake, .arg = x};

    if (!(key_scopes_held(x->key) & KEY_SUBMIT_NETWORK)) {
        struct err e = {0};

        key_scope_fault(KEY_SUBMIT_NETWORK, &e);
        refuse(x, e.msg);
        return NULL;
    }

    from.how = &message_how;
    if (!v1_request_check(x->api, x->key, body, &q, &p)) {
        refuse_problems(x, &p);
        x = NULL;
    } else if (q.refused.code) {
        from.q = q.scan;
        submit_refused(&from, q.rule, &q.refused);
        x = NULL;
    } else {
        struct submit *s;

        from.q = q.scan;
        s = submit_message(&from, &q.plan);
        if (s) {
            x->submit = s;
        } else {
            x = NULL; /* ended */
        }
    }
    v1_request_done(&q);
    return x;
}

/* In the old scanner's words or ours; always at once: no name is resolved. */
static void take_repo(struct api_asked *x, json_t *body)
{
    struct repo_submit s = {.api = x->api,
                            .key = x->key,
                            .from = "intake",
                            .by = x->intake,
                            .stored = on_stored,
                            .arg = x};
    struct problems p = {0};
    auto_buf limits = {0};
    struct job job;
    const char *rule = NULL;
    int32_t retry_s = 0;
    struct err e = {0};

    if (json_object_get(body, "repo_url")) {
        struct old_repo_fault f = {0};

        s.timeout_s = s.priority = s.retries = s.queue_timeout_s = INT64_MIN;
        if (!old_repo_request(x->api, body, &s.q, &f)) {
            auto_free char *at = f.field ? str_fmt("/%s", f.field) : NULL;

            problem_add(&p, at ? at : "", "%s", f.err.msg);
        }
    } else {
        (void)api_repo_read(&s, body, &limits, &p);
    }
    if (p.n) {
        refuse_problems(x, &p);
        repo_submit_done(&s);
        return;
    }
    switch (api_repo_submit(&s, &job, &rule, &retry_s, &e)) {
    case 0:
        finish(x, &(struct api_message_end){.how = MESSAGE_TAKEN});
        break;
    case ERR_SCOPE: /* the audit log has it */
        note_dead(x->api, x->intake, x->task_id, e.msg, x->body);
        finish(x, &(struct api_message_end){.how = MESSAGE_REFUSED, .why = e.msg});
        break;
    case ERR_BUSY:
        later(x, 1000 * (uint32_t)MIN(retry_s, AFTER_MAX_S), e.msg);
        break;
    default:
        failed(x, &e);
    }
    job_done(&job);
    repo_submit_done(&s);
}

/* Who takes a request of which form. NULL: it has ended. */
static struct api_asked *take(struct api_asked *x, json_t *body)
{
    if (json_object_get(body, "repo_url") || json_object_get(body, "url")) {
        take_repo(x, body);
        return NULL;
    }
    return take_scan(x, body);
}

static json_t *body_of(const struct api_message *m, struct err *e)
{
    struct json_fault f;
    json_t *body = api_json_load(m->body, strlen(m->body), &f);

    if (!body) {
        err_set(e, ERR_INVALID, "the request is not JSON: %s", f.msg);
    } else if (!json_is_object(body)) {
        err_set(e, ERR_INVALID, "the request is not a JSON object");
    } else if (!*m->task_id) {
        err_set(e, ERR_INVALID,
                "/task_id: is required: it makes one job of a message that comes "
                "twice");
    } else if (!v1_idempotency_valid(m->task_id)) {
        err_set(e, ERR_INVALID, "/task_id: must be 1 to 128 visible ASCII characters");
    }
    if (e->code) {
        json_decref(body);
        body = NULL;
    }
    return body;
}

struct api_asked *api_message(struct api *a, const struct api_message *m, api_message_fn fn,
                              void *arg)
{
    struct api_asked *x = xcalloc(1, sizeof *x);
    struct err e = {0};
    json_t *body;

    *x = (struct api_asked){.api = a,
                            .fn = fn,
                            .arg = arg,
                            .intake = m->intake,
                            .key = api_key_named(a, m->key),
                            .form = m->form,
                            .task_id = xstrdup(m->task_id),
                            .reply_to = xstrdup(m->reply_to),
                            .correlation = xstrdup(m->correlation),
                            .body = text_of(m->body, BODY_SHOWN),
                            .queue = str_fmt("queue:%s", m->intake)};
    if (key_fault(x->key, m->key, &e)) {
        finish(x, &(struct api_message_end){
                      .how = MESSAGE_LATER, .after_ms = KEY_AFTER_MS, .why = e.msg, .key = true});
        return NULL;
    }
    body = body_of(m, &e);
    if (!body) {
        refuse(x, e.msg);
        return NULL;
    }
    json_object_del(body, "reply_to"); /* said by the message */
    print_of(body, x->print);
    x = known(x) ? NULL : take(x, body);
    json_decref(body);
    return x;
}

void api_message_give_up(struct api_asked *x)
{
    submit_give_up(x->submit);
    asked_free(x);
}
