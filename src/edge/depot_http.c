#include "edge/depot_http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "edge/s3.h"
#include "version.h"

enum {
    CONNECT_MS = 10000,
    SILENCE_S = 30,
    CONTROL_S = 120, /* what moves no content; the end of an upload in parts takes its time */
    PIECE = 64 << 10,
    HEAD_MAX = 64 << 10,
    STATUS_OK = 200,
};

static const char nothing_sha256[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* ---- what comes ---- */

static bool is(const char *p, size_t n, const char *name)
{
    return n == strlen(name) && strncasecmp(p, name, n) == 0;
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
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)value[i] < ' ' || (unsigned char)value[i] > '~') {
            n = size; /* nothing that could be sent back */
        }
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

    (void)size;
    t->head += n;
    if (t->head > HEAD_MAX) {
        return 0;
    }
    if (!colon) {
        return n;
    }
    if (is(p, name, "etag")) {
        keep(t->etag, sizeof t->etag, colon + 1, n - name - 1);
    } else if (is(p, name, "x-amz-meta-sha256")) {
        keep(t->meta, sizeof t->meta, colon + 1, n - name - 1);
    } else if (is(p, name, "content-length")) {
        char text[24] = "";

        keep(text, sizeof text, colon + 1, n - name - 1);
        if (!str_to_i64(text, 0, INT64_MAX, &t->length)) {
            t->length = -1;
        }
    }
    return n;
}

static bool put(struct transfer *t, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = write(t->out_fd, p + done, n - done);

        if (k < 0 && errno != EINTR) {
            t->disk = true;
            snprintf(t->why, sizeof t->why, "write what was fetched: %s", strerror(errno));
            return false;
        }
        done += k > 0 ? (size_t)k : 0;
    }
    sha256_add(t->hash, p, n);
    t->got += n;
    return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    (void)size;
    t->http->lib->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->out_fd >= 0 && status == STATUS_OK) {
        return put(t, p, n) ? n : 0;
    }
    buf_add(&t->text, p, n);
    return t->text.over ? 0 : n;
}

/* ---- what goes ---- */

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    uint64_t want = MIN(t->size - t->at, (uint64_t)(size * n));
    ssize_t got;

    do {
        got = pread(t->in_fd, p, want, (off_t)(t->from + t->at));
    } while (got < 0 && errno == EINTR);
    if (got < 0 || (got == 0 && want > 0)) { /* it became shorter */
        return CURL_READFUNC_ABORT;
    }
    t->at += (uint64_t)got;
    return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct transfer *t = arg;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->size) {
        return CURL_SEEKFUNC_FAIL;
    }
    t->at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- a request ---- */

static void header(struct transfer *t, const char *name, const char *value)
{
    auto_free char *line = str_fmt("%s: %s", name, value);

    t->headers = t->http->lib->slist_append(t->headers, line);
}

static void set_headers(struct transfer *t, const struct s3_call *c)
{
    header(t, "x-amz-content-sha256", c->sha256 ? c->sha256 : nothing_sha256);
    if (c->meta) {
        header(t, "Content-Type", "application/zstd");
        header(t, "x-amz-meta-sha256", c->meta);
    } else if (str_eq(c->method, "POST")) {
        header(t, "Content-Type", "application/xml");
    }
    if (t->http->config->session_token) {
        header(t, "x-amz-security-token", t->http->config->session_token);
    }
    t->http->lib->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

static void set_method(struct transfer *t, const struct s3_call *c)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = t->http->lib->easy_setopt;
    bool content = str_eq(c->method, "PUT") || str_eq(c->method, "GET");

    if (content) {
        set(t->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        set(t->easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    } else {
        set(t->easy, CURLOPT_TIMEOUT, (long)CONTROL_S);
    }
    if (str_eq(c->method, "PUT")) {
        set(t->easy, CURLOPT_UPLOAD, 1L);
        set(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->size);
        set(t->easy, CURLOPT_READFUNCTION, &on_read);
        set(t->easy, CURLOPT_READDATA, t);
        set(t->easy, CURLOPT_SEEKFUNCTION, &on_seek);
        set(t->easy, CURLOPT_SEEKDATA, t);
    } else if (str_eq(c->method, "HEAD")) {
        set(t->easy, CURLOPT_NOBODY, 1L);
    } else if (str_eq(c->method, "POST")) {
        set(t->easy, CURLOPT_POST, 1L);
        set(t->easy, CURLOPT_POSTFIELDS, c->text && c->text->data ? c->text->data : "");
        set(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(c->text ? c->text->len : 0));
    } else if (!str_eq(c->method, "GET")) {
        set(t->easy, CURLOPT_CUSTOMREQUEST, c->method);
    }
}

static void set_up(struct transfer *t, const struct s3_call *c)
{
    const struct depot_config *conf = t->http->config;
    CURLcode (*set)(CURL *, CURLoption, ...) = t->http->lib->easy_setopt;
    auto_free char *url = s3_url(conf, c->name, c->query);
    auto_free char *sign = str_fmt("aws:amz:%s:s3", conf->region);

    set(t->easy, CURLOPT_PRIVATE, t);
    set(t->easy, CURLOPT_ERRORBUFFER, t->why);
    set(t->easy, CURLOPT_URL, url);
    set(t->easy, CURLOPT_NOSIGNAL, 1L);
    set(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(t->easy, CURLOPT_USERAGENT, "scanpod/" SCANPOD_VERSION);
    set(t->easy, CURLOPT_AWS_SIGV4, sign);
    set(t->easy, CURLOPT_USERNAME, conf->access_key);
    set(t->easy, CURLOPT_PASSWORD, conf->secret_key);
    set(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    set(t->easy, CURLOPT_BUFFERSIZE, (long)PIECE);
    set(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)PIECE);
    set(t->easy, CURLOPT_HEADERFUNCTION, &on_header);
    set(t->easy, CURLOPT_HEADERDATA, t);
    set(t->easy, CURLOPT_WRITEFUNCTION, &on_body);
    set(t->easy, CURLOPT_WRITEDATA, t);
    set_method(t, c);
    set_headers(t, c);
}

struct transfer *transfer_start(struct depot_http *h, const struct s3_call *c, void *owner)
{
    bool gets = str_eq(c->method, "GET");
    struct transfer *t = xcalloc(1, sizeof *t);

    *t = (struct transfer){.http = h,
                           .owner = owner,
                           .in_fd = c->in_fd,
                           .out_fd = gets ? c->out_fd : -1,
                           .from = c->at,
                           .size = c->size,
                           .length = -1,
                           .text = {.cap = S3_XML_MAX},
                           .hash = gets ? sha256_new() : NULL};
    t->easy = h->lib->easy_init();
    if (t->easy) {
        set_up(t, c);
    }
    if (!t->easy || h->lib->multi_add_handle(h->multi, t->easy) != CURLM_OK) {
        transfer_free(t);
        return NULL;
    }
    return t;
}

struct transfer *transfer_ended(struct depot_http *h)
{
    int queued;
    CURLMsg *m = h->lib->multi_info_read(h->multi, &queued);
    struct transfer *t = NULL;
    CURLcode rc;

    if (!m || m->msg != CURLMSG_DONE) {
        return NULL;
    }
    rc = m->data.result;
    h->lib->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
    h->lib->easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &t->status);
    /* An answer that says no may come before everything was sent. */
    if (rc != CURLE_OK && (t->status < 300 || t->disk)) {
        t->status = 0;
        if (t->text.over || t->head > HEAD_MAX) {
            snprintf(t->why, sizeof t->why, "the answer is too long");
        } else if (!t->why[0]) {
            snprintf(t->why, sizeof t->why, "%s", h->lib->easy_strerror(rc));
        }
    }
    return t;
}

void transfer_free(struct transfer *t)
{
    uint8_t unused[32];

    if (!t) {
        return;
    }
    if (t->easy) {
        t->http->lib->multi_remove_handle(t->http->multi, t->easy);
        t->http->lib->easy_cleanup(t->easy);
    }
    t->http->lib->slist_free_all(t->headers);
    if (t->hash) {
        sha256_end(t->hash, unused);
    }
    buf_done(&t->text);
    free(t);
}
