/*
 * Answers of the API: errors in the shape of their surface, opaque cursors, query parameters.
 * Messages about our own failures name the request's id, not our files; the log has the rest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_priv.h"

static const char *const problem_type = "application/problem+json";

static const struct {
    int status;
    const char *name, *title;
} by_status[] = {
    {400, "bad-request", "The request is malformed"},
    {401, "denied", "Not signed in"},
    {403, "forbidden", "This is not allowed"},
    {404, "not-found", "There is no such thing"},
    {405, "method-not-allowed", "The resource does not know this method"},
    {408, "request-timeout", "The request took too long to arrive"},
    {409, "conflict", "The state of the resource forbids this"},
    {413, "limit", "Too large"},
    {415, "unsupported-media-type", "The body has a type that is not read here"},
    {422, "invalid", "The request is not valid"},
    {429, "busy", "Full for now"},
    {431, "header-too-large", "The header is too large"},
    {500, "internal", "A fault of the server"},
    {503, "io", "The server cannot do this now"},
    {507, "disk-full", "No space left on the server"},
};

static size_t status_row(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(by_status); i++) {
        if (by_status[i].status == status) {
            return i;
        }
    }
    return status_row(500);
}

bool api_old(const struct http_req *r)
{
    const struct http_route *route = http_req_route(r);

    if (route) {
        return route->flags & ROUTE_LEGACY;
    }
    return !str_starts(http_path(r), "/api/");
}

void api_request_id(struct http_req *r, char out[ID_TEXT + 1])
{
    struct id id = id_new();

    id_text(&id, out);
    http_add_header(r, "X-Request-Id", out);
}

void api_json_reply(struct http_req *r, int status)
{
    http_reply_buf(r, status, "application/json");
}

void problem_write(struct buf *out, const struct problem *p)
{
    size_t row = status_row(p->status);
    struct json j = json_to(out);
    char type[64];

    snprintf(type, sizeof type, "/problems/%s", by_status[row].name);
    json_obj(&j);
    json_str(&j, "type", type);
    json_str(&j, "title", by_status[row].title);
    json_int(&j, "status", p->status);
    json_str(&j, "detail", p->detail);
    if (p->rule) {
        json_str(&j, "rule", p->rule);
    }
    if (p->instance) {
        json_str(&j, "instance", p->instance);
    }
    if (p->hint) {
        json_str(&j, "hint", p->hint);
    }
    if (p->errors) {
        buf_adds(out, ",\"errors\":[");
        buf_adds(out, p->errors);
        buf_addc(out, ']');
    }
    json_end(&j);
}

static void old_write(struct buf *out, const char *detail)
{
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "detail", detail);
    json_end(&j);
}

static void answer(struct http_req *r, struct problem p)
{
    char id[ID_TEXT + 1];

    if (api_old(r)) {
        old_write(http_out(r), p.detail);
        http_reply_buf(r, p.status, "application/json");
        return;
    }
    api_request_id(r, id);
    p.instance = id;
    problem_write(http_out(r), &p);
    http_reply_buf(r, p.status, problem_type);
}

void api_status(struct http_req *r, int status, const char *detail, const char *hint)
{
    answer(r, (struct problem){.status = status, .detail = detail, .hint = hint});
}

void api_refuse(struct http_req *r, const char *rule, const struct err *e)
{
    answer(r, (struct problem){.status = 403, .detail = e->msg, .rule = rule});
}

static const char *hint_for(int status)
{
    switch (status) {
    case 429:
        return "delete finished jobs, or try again after the time in Retry-After";
    case 507:
        return "free space on the server's data directory; nothing of this request was stored";
    default:
        return NULL;
    }
}

void api_busy(struct http_req *r, const struct err *e, int32_t retry_s)
{
    char seconds[16];

    snprintf(seconds, sizeof seconds, "%d", retry_s);
    http_add_header(r, "Retry-After", seconds);
    answer(r, (struct problem){.status = 429, .detail = e->msg, .hint = hint_for(429)});
}

void api_fail(struct http_req *r, const struct err *e)
{
    int status = err_http_status(e->code);
    const char *detail = e->msg;

    if (status >= 500) {
        log_error("request_failed", KV("method", http_method(r)), KV("path", http_path(r)),
                  KV("error", e->msg));
        detail = e->code == ERR_FULL ? "no space left on the server"
                 : e->code == ERR_IO ? "the server's store cannot be used at the moment"
                                     : "internal error";
    }
    if (status == 429 || status == 503 || status == 507) {
        http_add_header(r, "Retry-After", "10");
    }
    answer(r, (struct problem){.status = status, .detail = detail, .hint = hint_for(status)});
}

void api_error(struct http_req *r, int code, const char *fmt, ...)
{
    char msg[sizeof((struct err *)0)->msg];
    struct err e = {0};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    err_set(&e, code, "%s", msg);
    api_fail(r, &e);
}

void problem_add(struct problems *p, const char *pointer, const char *fmt, ...)
{
    struct json j = json_to(&p->json);
    auto_buf text = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    if (p->n++) {
        buf_addc(&p->json, ',');
    }
    json_obj(&j);
    json_str(&j, "pointer", pointer);
    json_strn(&j, "detail", text.data ? text.data : "", text.len);
    json_end(&j);
}

void problems_reply(struct http_req *r, struct problems *p)
{
    auto_free char *detail =
        str_fmt("%u %s not accepted", p->n, p->n == 1 ? "field is" : "fields are");

    answer(r, (struct problem){.status = 422, .detail = detail, .errors = p->json.data});
    buf_done(&p->json);
}

bool api_job_of(struct api *a, struct http_req *r, struct job *out)
{
    struct err e = {0};
    struct id id;

    if (!id_parse(http_param(r, "id"), &id)) {
        api_error(r, ERR_NOT_FOUND, "Job not found");
        return false;
    }
    job_init(out);
    if (store_job_get(a->store, &id, out, &e) < 0) {
        job_done(out);
        if (e.code == ERR_NOT_FOUND) {
            err_set(&e, ERR_NOT_FOUND, "Job not found");
        }
        api_fail(r, &e);
        return false;
    }
    if (a->cfg.ttl_us && job_state_terminal(out->state) &&
        out->completed_us < wall_us() - a->cfg.ttl_us) {
        job_done(out);
        api_error(r, ERR_NOT_FOUND, "Job not found");
        return false;
    }
    return true;
}

bool api_query_known(struct http_req *r, const char *const *known)
{
    struct problems p = {0};
    const char *name;

    for (unsigned i = 0; (name = http_query_name(r, i)) != NULL; i++) {
        bool found = false;

        for (const char *const *k = known; *k && !found; k++) {
            found = str_eq(*k, name);
        }
        if (!found) {
            auto_free char *pointer = str_fmt("?%s", name);

            problem_add(&p, pointer, "unknown query parameter");
        }
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

bool api_query_int(struct http_req *r, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = http_query(r, name);
    struct problems p = {0};

    if (!text || str_to_i64(text, min, max, out)) {
        return true;
    }

    auto_free char *pointer = str_fmt("?%s", name);

    problem_add(&p, pointer, "must be an integer from %" PRId64 " to %" PRId64, min, max);
    problems_reply(r, &p);
    return false;
}

/* A cursor is text that clients hand back unread: the kind of list and where it goes on, mixed so
 * that nobody is tempted to count with it. */
static const uint64_t cursor_mix = UINT64_C(0x9e3779b97f4a7c15);
static const uint64_t cursor_max = UINT64_C(1) << 48;

void cursor_write(char out[40], char kind, int64_t at)
{
    snprintf(out, 40, "%c%016" PRIx64, kind, ((uint64_t)at * cursor_mix) ^ (uint64_t)kind);
}

bool cursor_read(const char *text, char kind, int64_t *at)
{
    /* inverse of cursor_mix modulo 2^64 */
    static const uint64_t unmix = UINT64_C(0xf1de83e19937733d);
    uint64_t v = 0;

    if (text[0] != kind || strlen(text) != 17) {
        return false;
    }
    for (const char *p = text + 1; *p; p++) {
        int d = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;

        if (d < 0) {
            return false;
        }
        v = v << 4 | (unsigned)d;
    }
    v = (v ^ (uint64_t)kind) * unmix;
    if (v == 0 || v > cursor_max) {
        return false; /* made up: one guess in 65,536 would get through, and could only skip rows */
    }
    *at = (int64_t)v;
    return true;
}

void cursor_write_place(char out[64], const uint8_t key[HOST_KEY], int64_t seq)
{
    char *at = out;

    *at++ = 'a';
    for (size_t i = 0; i < HOST_KEY; i++) {
        at += snprintf(at, 3, "%02x", key[i]);
    }
    snprintf(at, 17, "%012" PRIx64, (uint64_t)seq & (cursor_max - 1));
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

bool cursor_read_place(const char *text, uint8_t key[HOST_KEY], int64_t *seq)
{
    uint64_t v = 0;

    if (text[0] != 'a' || strlen(text) != 1 + 2 * HOST_KEY + 12 ||
        strspn(text + 1, "0123456789abcdef") != 2 * HOST_KEY + 12) {
        return false;
    }
    for (size_t i = 0; i < HOST_KEY; i++) {
        key[i] = (uint8_t)(hex_digit(text[1 + 2 * i]) << 4 | hex_digit(text[2 + 2 * i]));
    }
    for (const char *p = text + 1 + 2 * HOST_KEY; *p; p++) {
        v = v << 4 | hex_digit(*p);
    }
    *seq = (int64_t)v;
    return true;
}

/* Link: <...>; rel="next" with the query as it came, but the new cursor. */
static void link_next(struct http_req *r, const char *cursor)
{
    static const char *const keep[] = {
        "state",  "open",   "order", "limit", "tool", "since", "severity",   "triage",
        "counts", "engine", "rule",  "path",  "cwe",  "text",  "repository", "branch"};
    auto_buf link = {0};

    buf_addf(&link, "<%s?cursor=%s", http_path(r), cursor);
    for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
        const char *v = http_query(r, keep[i]);

        if (!v) {
            continue;
        }
        buf_addf(&link, "&%s=", keep[i]);
        for (; *v; v++) {
            if (strchr("-._~,:", *v) || (*v >= '0' && *v <= '9') ||
                ((*v | 0x20) >= 'a' && (*v | 0x20) <= 'z')) {
                buf_addc(&link, *v);
            } else {
                buf_addf(&link, "%%%02X", (unsigned char)*v);
            }
        }
    }
    buf_adds(&link, ">; rel=\"next\"");
    http_add_header(r, "Link", link.data);
}

void api_page_end(struct http_req *r, struct json *j, char kind, int64_t last, bool more)
{
    char cursor[40];

    cursor_write(cursor, kind, last);
    api_page_end_at(r, j, more ? cursor : NULL);
}

void api_page_end_at(struct http_req *r, struct json *j, const char *cursor)
{
    json_end(j);
    if (cursor) {
        json_str(j, "next_cursor", cursor);
        link_next(r, cursor);
    } else {
        json_nil(j, "next_cursor");
    }
    json_end(j);
}
