#include "cli/client.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "edge/curl_lib.h"
#include "version.h"

enum {
    BODY_MAX = 16 << 20,
    ERROR_BODY_MAX = 64 << 10,
    CONNECT_MS = 5000,
    DEFAULT_MS = 30000,
    SILENCE_S = 60,
};

struct client {
    const struct curl_lib *lib;
    CURL *easy;
    CURLM *multi;
    char *server;              /* owned; as given */
    char *base;                /* owned; prefix of every URL */
    char *unix_path;           /* owned; NULL: TCP */
    char *key;                 /* owned */
    char *ca_file;             /* owned */
    bool untrusted;            /* the last call failed because of the server's certificate */
    char why[CURL_ERROR_SIZE]; /* libcurl's own words, where it has any */
};

/* One call in progress. */
struct transfer {
    struct client *c;
    const struct call *call;
    struct answer *a;
    int stopped; /* what the sink or the pause function said */
};

static int parse_server(struct client *c, const char *s, struct err *e)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] <= 0x20 || s[i] == 0x7f) {
            return err_set(e, ERR_INVALID, "server '%s': blanks are not allowed", s);
        }
    }
    if (str_starts(s, "unix:")) {
        if (!s[5]) {
            return err_set(e, ERR_INVALID, "server 'unix:': the path is missing");
        }
        c->unix_path = xstrdup(s + 5);
        c->base = xstrdup("http://localhost");
        return 0;
    }
    if (str_starts(s, "http://") || str_starts(s, "https://")) {
        if (strpbrk(s, "?#@")) {
            return err_set(e, ERR_INVALID, "server '%s': only scheme, host and port are allowed",
                           s);
        }
        while (n && s[n - 1] == '/') {
            n--;
        }
        c->base = xstrndup(s, n);
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "server '%s': expected http://HOST:PORT, https://HOST:PORT or unix:PATH", s);
}

int client_new(const struct client_config *conf, struct client **out, struct err *e)
{
    struct client *c = xcalloc(1, sizeof *c);
    int rc = parse_server(c, conf->server, e);

    if (rc == 0 && conf->key && strpbrk(conf->key, "\r\n")) {
        rc = err_set(e, ERR_INVALID, "the API key holds a line break");
    }
    if (rc != 0) {
        client_free(c);
        return rc;
    }
    c->server = xstrdup(conf->server);
    c->key = xstrdup(conf->key);
    c->ca_file = xstrdup(conf->ca_file);
    rc = curl_lib(&c->lib, e);
    if (rc != 0) {
        client_free(c);
        return rc;
    }
    c->easy = c->lib->easy_init();
    c->multi = c->lib->multi_init();
    if (!c->easy || !c->multi) {
        client_free(c);
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    }
    *out = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c) {
        return;
    }
    if (c->lib) {
        c->lib->easy_cleanup(c->easy);
        c->lib->multi_cleanup(c->multi);
    }
    if (c->key) {
        secure_zero(c->key, strlen(c->key));
    }
    free(c->server);
    free(c->base);
    free(c->unix_path);
    free(c->key);
    free(c->ca_file);
    free(c);
}

const char *client_server(const struct client *c)
{
    return c->server;
}

static void keep(char *out, size_t size, const char *value, size_t n)
{
    while (n && (*value == ' ' || *value == '\t')) {
        value++;
        n--;
    }
    while (n && (unsigned char)value[n - 1] <= ' ') {
        n--;
    }
    if (n < size) {
        memcpy(out, value, n);
        out[n] = '\0';
    }
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    const char *colon = memchr(p, ':', n);
    size_t name = colon ? (size_t)(colon - p) : 0;
    const char *value = colon ? colon + 1 : p;
    size_t left = n - name - 1;

    if (!colon) {
        return n;
    }
    if (name == 4 && strncasecmp(p, "etag", 4) == 0) {
        keep(t->a->etag, sizeof t->a->etag, value, left);
    } else if (name == 12 && strncasecmp(p, "x-request-id", 12) == 0) {
        keep(t->a->request_id, sizeof t->a->request_id, value, left);
    } else if (name == 12 && strncasecmp(p, "content-type", 12) == 0) {
        keep(t->a->content_type, sizeof t->a->content_type, value, left);
    }
    return n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    t->c->lib->easy_getinfo(t->c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->call->sink && status >= 200 && status < 300) {
        t->stopped = t->call->sink(t->call->arg, p, n);
        return t->stopped ? 0 : n;
    }
    t->a->body.cap = status < 400 ? BODY_MAX : ERROR_BODY_MAX;
    buf_add(&t->a->body, p, n);
    if (t->a->body.over) {
        t->a->too_large = true;
        return 0;
    }
    return n;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    const struct transfer *t = arg;
    ssize_t got;

    do {
        got = read(t->call->upload_fd, p, size * n);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static struct curl_slist *header(const struct client *c, struct curl_slist *list, const char *name,
                                 const char *value)
{
    if (value) {
        auto_free char *line = str_fmt("%s: %s", name, value);

        list = c->lib->slist_append(list, line);
    }
    return list;
}

static struct curl_slist *headers(const struct client *c, const struct call *call)
{
    struct curl_slist *list = NULL;

    list = header(c, list, "X-API-Key", c->key);
    list = header(c, list, "Accept", call->accept ? call->accept : "application/json");
    list = header(c, list, "Content-Type",
                  call->body          ? "application/json"
                  : call->upload_size ? "application/octet-stream"
                                      : NULL);
    list = header(c, list, "Idempotency-Key", call->idempotency_key);
    list = header(c, list, "If-None-Match", call->if_none_match);
    return c->lib->slist_append(list, "Expect:");
}

static void set_up(struct transfer *t, const char *url, struct curl_slist *list)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = t->c->lib->easy_setopt;
    CURL *h = t->c->easy;
    const struct call *call = t->call;
    int64_t ms = call->timeout_ms ? call->timeout_ms : DEFAULT_MS;

    t->c->lib->easy_reset(h);
    t->c->why[0] = '\0';
    set(h, CURLOPT_ERRORBUFFER, t->c->why);
    set(h, CURLOPT_URL, url);
    set(h, CURLOPT_NOSIGNAL, 1L);
    set(h, CURLOPT_NOPROXY, "*");
    set(h, CURLOPT_PROTOCOLS_STR, "http,https");
    set(h, CURLOPT_FOLLOWLOCATION, 0L);
    set(h, CURLOPT_USERAGENT, "scanpod/" SCANPOD_VERSION);
    set(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(h, CURLOPT_HTTPHEADER, list);
    set(h, CURLOPT_CUSTOMREQUEST, call->method);
    set(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    set(h, CURLOPT_HEADERFUNCTION, &on_header);
    set(h, CURLOPT_HEADERDATA, t);
    set(h, CURLOPT_WRITEFUNCTION, &on_body);
    set(h, CURLOPT_WRITEDATA, t);
    if (call->sink || call->upload_size) {
        set(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
        set(h, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    } else {
        set(h, CURLOPT_TIMEOUT_MS, (long)ms);
    }
    if (call->body) {
        set(h, CURLOPT_POSTFIELDS, call->body);
        set(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->body));
    }
    if (call->upload_size) {
        set(h, CURLOPT_POST, 1L);
        set(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->upload_size);
        set(h, CURLOPT_READFUNCTION, &on_read);
        set(h, CURLOPT_READDATA, t);
    }
    if (t->c->unix_path) {
        set(h, CURLOPT_UNIX_SOCKET_PATH, t->c->unix_path);
    }
    if (t->c->ca_file) {
        set(h, CURLOPT_CAINFO, t->c->ca_file);
    }
}

/* Waits for the transfer, and meanwhile for the caller's descriptor. */
static int drive(struct transfer *t, CURLcode *result, struct err *e)
{
    const struct client_pause *pause = t->call->pause;
    const struct curl_lib *lib = t->c->lib;
    CURLM *m = t->c->multi;
    int64_t tick_at = pause ? boot_ms() + pause->tick_ms : 0;

    for (;;) {
        struct curl_waitfd extra = {.fd = pause ? pause->fd : -1, .events = CURL_WAIT_POLLIN};
        int running = 0, queued = 0, ready = 0;
        CURLMsg *msg;

        if (lib->multi_perform(m, &running) != CURLM_OK) {
            return err_set(e, ERR_INTERNAL, "libcurl failed");
        }
        msg = lib->multi_info_read(m, &queued);
        if (msg && msg->msg == CURLMSG_DONE) {
            *result = msg->data.result;
            return 0;
        }
        lib->multi_poll(m, &extra, extra.fd >= 0 ? 1 : 0, pause ? pause->tick_ms : 1000, &ready);
        if (pause && (extra.revents || boot_ms() >= tick_at)) {
            int rc = pause->fn(pause->arg);

            if (rc != 0) {
                t->stopped = rc;
                return rc;
            }
            tick_at = boot_ms() + pause->tick_ms;
        }
    }
}

static int unreachable(struct client *c, CURLcode rc, struct err *e)
{
    const char *why = c->why[0] ? c->why : c->lib->easy_strerror(rc);

    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        c->untrusted = true;
        return err_set(e, ERR_IO, "server %s: its certificate is not trusted: %s", c->server, why);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_IO, "server %s: no answer in time", c->server);
    case CURLE_COULDNT_CONNECT:
        return err_set(e, ERR_IO, "server %s: cannot connect", c->server);
    default:
        return err_set(e, ERR_IO, "server %s: %s", c->server, why);
    }
}

int client_call(struct client *c, const struct call *call, struct answer *a, struct err *e)
{
    auto_free char *url = str_fmt("%s%s", c->base, call->path);
    struct transfer t = {.c = c, .call = call, .a = a};
    struct curl_slist *list = headers(c, call);
    CURLcode result = CURLE_OK;
    int rc;

    a->status = 0;
    a->etag[0] = a->request_id[0] = a->content_type[0] = '\0';
    a->too_large = a->not_connected = false;
    c->untrusted = false;
    buf_reset(&a->body);
    set_up(&t, url, list);
    c->lib->multi_add_handle(c->multi, c->easy);
    rc = drive(&t, &result, e);
    if (rc == 0) {
        c->lib->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &a->status);
    }
    c->lib->multi_remove_handle(c->multi, c->easy);
    c->lib->slist_free_all(list);
    if (rc == 0 && t.stopped) {
        return t.stopped;
    }
    if (rc == 0 && a->too_large) {
        return a->status >= 400
                   ? 0
                   : err_set(e, ERR_LIMIT, "server %s: the answer is too large", c->server);
    }
    if (rc == 0 && result != CURLE_OK) {
        a->not_connected = result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST;
        return unreachable(c, result, e);
    }
    return rc;
}

bool client_untrusted(const struct client *c)
{
    return c->untrusted;
}

void answer_done(struct answer *a)
{
    buf_done(&a->body);
}

static int code_of(long status)
{
    switch (status) {
    case 401:
        return ERR_DENIED;
    case 403:
        return ERR_SCOPE;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 413:
        return ERR_LIMIT;
    case 429:
        return ERR_BUSY;
    case 507:
        return ERR_FULL;
    default:
        return status >= 500 || status < 400 ? ERR_IO : ERR_INVALID;
    }
}

int client_exit_status(long status)
{
    if (status < 400) {
        return 0;
    }
    return err_exit_status(code_of(status));
}

/* RFC 9457: the detail, then what was wrong with each member of the request. */
static void problem_text(const json_t *doc, struct buf *b)
{
    const char *detail = json_string_value(json_object_get(doc, "detail"));
    const char *title = json_string_value(json_object_get(doc, "title"));
    const json_t *errors = json_object_get(doc, "errors");
    const json_t *one;
    size_t i;

    buf_adds(b, detail ? detail : title ? title : "");
    json_array_foreach(errors, i, one)
    {
        const char *where = json_string_value(json_object_get(one, "pointer"));
        const char *what = json_string_value(json_object_get(one, "detail"));

        if (what && (!detail || strcmp(what, detail) != 0)) {
            bool named = where && *where; /* else it is about all of the body */

            buf_addf(b, "%s%s%s%s", b->len ? "; " : "", named ? where : "", named ? ": " : "",
                     what);
        }
    }
}

int client_check(const struct answer *a, struct err *e, char **hint)
{
    auto_buf text = {0};
    json_t *doc;

    if (hint) {
        *hint = NULL;
    }
    if ((a->status >= 200 && a->status < 300) || a->status == 304) {
        return 0;
    }
    doc = a->body.len ? json_loadb(a->body.data, a->body.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    problem_text(doc, &text);
    if (hint) {
        *hint = xstrdup(json_string_value(json_object_get(doc, "hint")));
    }
    json_decref(doc);
    if (!text.len) {
        buf_addf(&text, "the server answered with status %ld", a->status);
    }
    if (a->request_id[0] && a->status >= 500) {
        buf_addf(&text, " (request %s)", a->request_id);
    }
    return err_set(e, code_of(a->status), "%s", text.data);
}

void buf_add_url(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
            strchr("-._~", ch)) {
            buf_addc(b, (char)ch);
        } else {
            buf_addf(b, "%%%02X", ch);
        }
    }
}
