/*
 * The shell of the parsers of masscan and zmap. A record that is cut at the end of a piece waits in
 * `hold`, which gets more in doubling steps, so that the pieces behind it are not copied as a
 * whole. Nothing is looked at twice (`seen`), nothing longer than a record may be is kept.
 */
#include "parse/scan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { STEP = 4096 };

void scan_fail(struct scan *p, int code, const char *fmt, ...)
{
    va_list ap;

    if (p->code) {
        return;
    }
    va_start(ap, fmt);
    p->code = err_setv(&p->err, code, fmt, ap);
    va_end(ap);
    if (p->xml) { /* whose lines are counted by nmap's parser */
        err_prefix(&p->err, code, "%s output", p->tool);
    } else {
        err_prefix(&p->err, code, "%s output, line %" PRIu64, p->tool, p->lines + 1);
    }
}

static void sink_failed(struct scan *p, int code)
{
    p->code = code;
    p->sink_failed = true;
}

struct sighting scan_finding(void)
{
    return (struct sighting){.port = -1, .ttl = -1};
}

bool scan_report(struct scan *p, const struct sighting *x)
{
    int rc = sightings_add(p->found, x, &p->err);

    if (rc) {
        sink_failed(p, rc);
    }
    return rc == 0;
}

/* --- pieces --- */

const char *scan_quote(struct scan *p, const char *s, size_t n)
{
    buf_reset(&p->scratch);
    buf_add_escaped(&p->scratch, s, MIN(n, (size_t)40));
    return p->scratch.data ? p->scratch.data : "";
}

void scan_count_lines(struct scan *p, const char *s, size_t n)
{
    const char *end = s + n;

    while ((s = memchr(s, '\n', (size_t)(end - s)))) {
        p->lines++;
        s++;
    }
}

size_t scan_line(struct scan *p, const char *s, size_t n)
{
    const char *at = memchr(s + p->seen, '\n', n - p->seen);
    size_t len = at ? (size_t)(at - s) + 1 : n;

    if (len > SCAN_RECORD_MAX) {
        scan_fail(p, ERR_LIMIT, "it is longer than %d bytes", SCAN_RECORD_MAX);
        return 0;
    }
    p->seen = at ? 0 : n;
    return at ? len : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void scan_trim(const char **s, size_t *n)
{
    while (*n && is_blank(**s)) {
        ++*s;
        --*n;
    }
    while (*n && is_blank((*s)[*n - 1])) {
        --*n;
    }
}

static size_t take(struct scan *p, const char *s, size_t n)
{
    size_t used = p->code || !n ? 0 : p->form->take(p, s, n);

    return p->code ? n : used;
}

/* Goes on with the record that waits in hold. Returns how much of s is done with. */
static size_t continue_hold(struct scan *p, const char *s, size_t n)
{
    size_t step = MIN(n, MAX((size_t)STEP, p->hold.len));
    size_t before = p->hold.len;
    size_t used;

    buf_add(&p->hold, s, step);
    used = take(p, p->hold.data, p->hold.len);
    if (used < before) {
        buf_drop(&p->hold, used);
        return step;
    }
    if (p->hold.size > SCAN_RECORD_MAX / 8) {
        buf_done(&p->hold);
    } else {
        buf_reset(&p->hold);
    }
    p->seen = 0;
    p->edge = (struct json_edge){0};
    return used - before;
}

static void give(struct scan *p, const char *s, size_t n)
{
    while (n && !p->code) {
        size_t used;

        if (p->hold.len) {
            used = continue_hold(p, s, n);
        } else {
            used = take(p, s, n);
            if (used < n) {
                buf_add(&p->hold, s + used, n - used);
                used = n;
            }
        }
        s += used;
        n -= used;
    }
}

/* The first bytes tell the form; then they are read. */
static void choose(struct scan *p)
{
    struct buf head = p->hold;
    size_t n = MIN(head.len, (size_t)SCAN_HEAD);
    size_t bom = head.len >= 3 && memcmp(head.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    p->hold = (struct buf){0};
    p->form = p->choose(p, detect(head.data ? head.data : "", n));
    if (!p->form && !p->code) {
        const char *what = detect_text(detect(head.data ? head.data : "", n));

        scan_fail(p, ERR_TOOL, "this is no output of %s: %s", p->tool, what);
    }
    if (!p->code && head.len) {
        give(p, head.data + bom, head.len - bom);
    }
    buf_done(&head);
}

int scan_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct scan *p = arg;

    if (p->code) {
        n = 0;
    } else if (!p->form) {
        size_t k = MIN(n, SCAN_HEAD - p->hold.len);

        buf_add(&p->hold, data, k);
        data += k;
        n -= k;
        if (p->hold.len == SCAN_HEAD) {
            choose(p);
        }
    }
    give(p, data, n);
    if (p->code && e) {
        *e = p->err;
    }
    return p->code;
}

/* --- the end --- */

static void end_input(struct scan *p)
{
    const char *rest;
    size_t n;

    if (!p->form) {
        const char *blank = p->hold.data;

        n = p->hold.len;
        scan_trim(&blank, &n);
        if (n == 0) {
            return; /* nothing found */
        }
        choose(p);
    }
    if (p->code) {
        return;
    }
    rest = p->hold.data ? p->hold.data : "";
    n = p->hold.len;
    if (p->form->end) {
        p->form->end(p, rest, n);
        return;
    }
    scan_trim(&rest, &n);
    if (n) {
        scan_fail(p, ERR_TOOL, "the input ends inside a line");
    }
}

static void tell_run(struct scan *p)
{
    const struct sightings_count *c = sightings_count(p->found);
    auto_buf text = {0};
    struct json j = json_to(&text);
    struct run_info info = {.scanner = p->tool,
                            .version = *p->version ? p->version : NULL,
                            .start_s = c->first_s,
                            .complete = p->code == 0};

    json_obj(&j);
    json_str(&j, "scanner", p->tool);
    if (*p->version) {
        json_str(&j, "version", p->version);
    }
    if (p->form) {
        json_str(&j, "format", p->form->name);
    }
    json_int(&j, "records", (int64_t)c->records);
    json_int(&j, "duplicates", (int64_t)c->duplicates);
    json_int(&j, "up", (int64_t)c->up);
    json_int(&j, "open", (int64_t)c->open);
    json_int(&j, "unfiltered", (int64_t)c->unfiltered);
    json_int(&j, "filtered", (int64_t)c->filtered);
    json_int(&j, "closed", (int64_t)c->closed);
    json_int(&j, "banners", (int64_t)c->banners);
    json_int(&j, "banners_left_out", (int64_t)c->banners_left_out);
    if (c->first_s) {
        json_int(&j, "first", c->first_s);
        json_int(&j, "last", c->last_s);
    }
    json_bool(&j, "complete", info.complete);
    json_end(&j);
    info.json = text.data;
    if (p->code) {
        p->sink->run(p->sink->arg, &info, NULL);
    } else {
        p->code = p->sink->run(p->sink->arg, &info, &p->err);
    }
}

int scan_finish(void *arg, struct err *e)
{
    struct scan *p = arg;
    struct err of_sink = {0};
    int rc;

    if (!p->code) {
        end_input(p);
    }
    if (!p->sink_failed) {
        /* Also what came before the failure. */
        rc = sightings_flush(p->found, &of_sink);
        if (rc) {
            p->err = of_sink;
            sink_failed(p, rc);
        }
    }
    if (!p->sink_failed && p->sink->run) {
        tell_run(p);
    }
    if (p->code && e) {
        *e = p->err;
    }
    return p->code;
}

void *scan_new(const struct parse_sink *sink, const char *tool,
               const struct scan_form *(*choose_form)(struct scan *p, enum detected kind))
{
    struct scan *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    p->tool = tool;
    p->choose = choose_form;
    p->found = sightings_new(sink);
    return p;
}

void scan_free(void *arg)
{
    struct scan *p = arg;

    if (!p) {
        return;
    }
    if (p->form && p->form->free) {
        p->form->free(p);
    }
    sightings_free(p->found);
    buf_done(&p->hold);
    buf_done(&p->key);
    buf_done(&p->scratch);
    buf_done(&p->name);
    buf_done(&p->banner);
    free(p->columns.field);
    free(p);
}

/* --- JSON objects --- */

/* Takes what stands between records. False: something that has no business there. */
static bool between(struct scan *p, char c)
{
    if (c == '\n') {
        p->lines++;
        return true;
    }
    if (c == ' ' || c == '\t' || c == '\r') {
        return true;
    }
    if (c == ',' && p->after_record) {
        p->after_record = false;
        return true;
    }
    if (c == '[' && !p->in_array) { /* also another array behind the first: --append-output */
        p->in_array = p->unfinished = true;
        p->after_record = false;
        return true;
    }
    if (c == ']' && p->in_array) {
        p->in_array = p->unfinished = false;
        return true;
    }
    return false;
}

/* An object, from its brace; returns its length, or 0: it is not whole, or wrong. */
static size_t object(struct scan *p, const char *s, size_t n, const struct scan_json *how)
{
    bool whole;
    size_t len;

    if (p->seen == 0 && how->fast) {
        len = how->fast(p, s, n);
        if (len || p->code) {
            return len;
        }
    }
    len = p->seen + json_edge_find(&p->edge, s + p->seen, n - p->seen, &whole);
    if (len > SCAN_RECORD_MAX) {
        scan_fail(p, ERR_LIMIT, "a record is longer than %d bytes", SCAN_RECORD_MAX);
        return 0;
    }
    if (p->edge.broken) {
        scan_fail(p, ERR_TOOL, "a line ends inside a string");
        return 0;
    }
    if (p->edge.depth > JSON_SCAN_DEPTH) {
        scan_fail(p, ERR_LIMIT, "a record is nested deeper than %d", JSON_SCAN_DEPTH);
        return 0;
    }
    p->seen = whole ? 0 : len;
    if (!whole) {
        return 0;
    }
    p->edge = (struct json_edge){0};
    if (!how->record(p, s, len)) {
        return 0;
    }
    scan_count_lines(p, s, len);
    return len;
}

size_t scan_take_json(struct scan *p, const char *s, size_t n, const struct scan_json *how)
{
    size_t at = 0;

    while (at < n && !p->code) {
        size_t len;

        if (s[at] != '{') {
            if (!between(p, s[at])) {
                scan_fail(p, ERR_TOOL, "not JSON of %s: '%s'", p->tool,
                          scan_quote(p, s + at, n - at));
            }
            at++;
            continue;
        }
        len = object(p, s + at, n - at, how);
        if (!len) {
            break;
        }
        p->after_record = true;
        at += len;
    }
    return at;
}

void scan_end_json(struct scan *p, const char *rest, size_t n)
{
    (void)rest;
    if (n) {
        scan_fail(p, ERR_TOOL, "the input ends inside a record");
    } else if (p->unfinished) {
        scan_fail(p, ERR_TOOL, "the input ends before its closing bracket");
    }
}
