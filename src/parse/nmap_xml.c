/*
 * The nmap parser: from bytes to elements.
 *
 * expat reads one document. What it cannot do is done around it:
 *   - a file may hold several documents (--append-output): the parser stops expat at the end of a
 *     root element and begins anew with what follows. A document that was cut by a crash and then
 *     appended to is noticed by the XML declaration in its middle;
 *   - expat scans a token that is not complete again with each piece of input, and keeps it
 *     whatever its size. Here long tokens are collected until twice as much is there, and a cap
 *     holds.
 * Nothing is resolved, fetched or expanded: an internal subset of the document type ends the run.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "parse/nmap.h"

/* From 2.6.0 on, and in older ones that were patched, expat defers by itself; then it could report
 * the end of a document long after the input that held it. */
extern XML_Bool XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled)
    __attribute__((weak));

enum {
    HOLD_MIN = 32 * 1024, /* tokens shorter than that are scanned again */
};

void nmap_fail(struct nmap *p, int code, const char *fmt, ...)
{
    va_list ap;

    if (p->code) {
        return;
    }
    va_start(ap, fmt);
    p->code = err_setv(&p->err, code, fmt, ap);
    va_end(ap);
    err_prefix(&p->err, code, "nmap output, line %" PRIu64 ", column %lu",
               p->lines + p->prolog.lines + XML_GetCurrentLineNumber(p->xml),
               XML_GetCurrentColumnNumber(p->xml) + 1);
    XML_StopParser(p->xml, XML_FALSE);
}

void nmap_sink_failed(struct nmap *p, int code)
{
    p->code = code;
    p->sink_failed = true;
    XML_StopParser(p->xml, XML_FALSE);
}

enum nmap_id nmap_parent(const struct nmap *p)
{
    return p->depth > 1 ? p->stack[p->depth - 2]->id : E_NONE;
}

/* --- elements --- */

static uint8_t hash(const char *name, size_t n)
{
    return (uint8_t)(n * 31 + (unsigned char)name[0] * 7 + (unsigned char)name[n / 2] * 13 +
                     (unsigned char)name[n - 1]);
}

static void index_rows(struct nmap *p, const struct nmap_element *row)
{
    for (; row->name; row++) {
        uint8_t h = hash(row->name, strlen(row->name));

        while (p->index[h]) {
            h++;
        }
        p->rows[p->n_rows++] = row;
        p->index[h] = (uint8_t)p->n_rows;
    }
}

static const struct nmap_element *find_row(const struct nmap *p, const char *name)
{
    uint8_t h = hash(name, strlen(name));

    for (; p->index[h]; h++) {
        const struct nmap_element *row = p->rows[p->index[h] - 1];

        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

static void on_start(void *arg, const char *name, const char **atts)
{
    struct nmap *p = arg;
    enum nmap_id above;
    const struct nmap_element *row;

    if (p->code) {
        return;
    }
    if (p->depth + p->skip >= NMAP_DEPTH_MAX) {
        nmap_fail(p, ERR_LIMIT, "elements are nested deeper than %d", NMAP_DEPTH_MAX);
        return;
    }
    if (p->skip) {
        p->skip++;
        return;
    }
    above = p->depth ? p->stack[p->depth - 1]->id : E_NONE;
    row = find_row(p, name);
    if (!row || !(row->parents & IN(above))) {
        if (above == E_NONE) {
            nmap_fail(p, ERR_TOOL, "not of nmap: the root element is '%.40s'", name);
            return;
        }
        p->skip = 1;
        return;
    }
    p->stack[p->depth++] = row;
    if (row->start) {
        row->start(p, atts);
    }
}

static void on_end(void *arg, const char *name)
{
    struct nmap *p = arg;
    const struct nmap_element *row;

    (void)name;
    if (p->code) {
        return;
    }
    if (p->skip) {
        p->skip--;
        return;
    }
    row = p->stack[p->depth - 1];
    if (row->end) {
        row->end(p);
    }
    p->depth--;
    if (nmap_host_size(p) > NMAP_HOST_MAX) {
        nmap_fail(p, ERR_LIMIT, "one host needs more than %d bytes", NMAP_HOST_MAX);
    } else if (nmap_run_size(p) > NMAP_RUN_MAX) {
        nmap_fail(p, ERR_LIMIT, "the run records need more than %d bytes", NMAP_RUN_MAX);
    } else if (p->depth == 0 && !p->code) {
        p->ended = true;
        XML_StopParser(p->xml, XML_FALSE);
    }
}

static void on_text(void *arg, const char *s, int n)
{
    struct nmap *p = arg;

    if (!p->code && !p->skip) {
        buf_add(&p->text, s, (size_t)n);
        if (p->text.over) {
            nmap_fail(p, ERR_LIMIT, "a text is longer than %d bytes", NMAP_TOKEN_MAX);
        }
    }
}

void nmap_text_begin(struct nmap *p)
{
    buf_reset(&p->text);
    XML_SetCharacterDataHandler(p->xml, on_text);
}

void nmap_text_end(struct nmap *p)
{
    XML_SetCharacterDataHandler(p->xml, NULL);
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int internal_subset)
{
    (void)name;
    (void)system;
    (void)public;
    if (internal_subset) {
        nmap_fail(arg, ERR_TOOL, "a document type with declarations of its own is refused");
    }
}

static void on_entity(void *arg, const char *name, int parameter, const char *value, int n,
                      const char *base, const char *system, const char *public,
                      const char *notation)
{
    (void)name;
    (void)parameter;
    (void)value;
    (void)n;
    (void)base;
    (void)system;
    (void)public;
    (void)notation;
    nmap_fail(arg, ERR_TOOL, "an entity declaration is refused");
}

/* --- documents --- */

static void document_begin(struct nmap *p)
{
    XML_ParserReset(p->xml, NULL);
    XML_SetUserData(p->xml, p);
    XML_SetElementHandler(p->xml, on_start, on_end);
    XML_SetDoctypeDeclHandler(p->xml, on_doctype, NULL);
    XML_SetEntityDeclHandler(p->xml, on_entity);
    XML_SetParamEntityParsing(p->xml, XML_PARAM_ENTITY_PARSING_NEVER);
    if (XML_SetReparseDeferralEnabled) {
        XML_SetReparseDeferralEnabled(p->xml, XML_FALSE);
    }
    p->fed = 0;
    p->pending = 0;
    p->ended = false;
    p->depth = p->skip = 0;
}

/* The document is over, complete or not; what follows is another one. */
static void document_end(struct nmap *p)
{
    p->lines += p->prolog.lines + XML_GetCurrentLineNumber(p->xml) - 1;
    nmap_host_reset(p);
    nmap_run_close(p);
    if (nmap_run_size(p) > NMAP_RUN_MAX) {
        nmap_fail(p, ERR_LIMIT, "the run records need more than %d bytes", NMAP_RUN_MAX);
        return;
    }
    p->prolog = (struct nmap_prolog){.later = true};
    document_begin(p);
}

/*
 * An XML declaration inside a document: that one was cut, this one appended. Returns where in the
 * slice the declaration ends, which need not have begun there; 0 if it is something else.
 */
static size_t appended_at(const struct nmap *p, const char *s, size_t n)
{
    uint64_t begin = (uint64_t)XML_GetCurrentByteIndex(p->xml);
    uint64_t base = p->fed - n;
    char before = p->last;

    if (XML_GetErrorCode(p->xml) != XML_ERROR_MISPLACED_XML_PI || p->depth == 0) {
        return 0;
    }
    for (size_t i = begin > base ? (size_t)(begin - base) : 0; i < n; i++) {
        if (s[i] == '>' && before == '?') {
            return i + 1;
        }
        before = s[i];
    }
    return 0;
}

static void xml_failed(struct nmap *p)
{
    enum XML_Error code = XML_GetErrorCode(p->xml);

    if (code == XML_ERROR_NO_MEMORY) {
        nmap_fail(p, ERR_INTERNAL, "out of memory");
    } else {
        nmap_fail(p, ERR_TOOL, "%s", XML_ErrorString(code));
    }
}

/* How far the slice belongs to the document that ended in it; 0: none did. */
static size_t ended_at(const struct nmap *p, size_t n)
{
    uint64_t end;

    if (!p->ended) {
        return 0;
    }
    end = (uint64_t)XML_GetCurrentByteIndex(p->xml) + (uint64_t)XML_GetCurrentByteCount(p->xml);
    assert(end > p->fed - n && end <= p->fed); /* expat defers nothing */
    return (size_t)(end - (p->fed - n));
}

/*
 * Gives expat a slice: as much again as there is of an unfinished token, so that scanning it anew
 * costs no more than twice. Returns how much of s is done with.
 */
static size_t give(struct nmap *p, const char *s, size_t n)
{
    enum XML_Status status;
    size_t end;

    n = MIN(n, MAX((size_t)NMAP_SLICE, p->pending));
    n = MIN(n, NMAP_TOKEN_MAX + 1 - p->pending); /* else the limit would depend on the pieces */
    status = XML_Parse(p->xml, s, (int)n, XML_FALSE);
    p->fed += n;
    if (p->code) {
        return n;
    }
    if (status == XML_STATUS_OK) {
        XML_Index at = XML_GetCurrentByteIndex(p->xml);

        p->last = s[n - 1];
        p->pending = (size_t)(p->fed - (at < 0 ? 0 : (uint64_t)at));
        if (p->pending > NMAP_TOKEN_MAX) {
            nmap_fail(p, ERR_LIMIT, "a tag is longer than %d bytes", NMAP_TOKEN_MAX);
        }
        return n;
    }
    end = ended_at(p, n);
    if (end) {
        p->documents++;
    } else {
        end = appended_at(p, s, n);
        p->cut = true;
    }
    if (!end) {
        xml_failed(p);
        return n;
    }
    document_end(p);
    return end;
}

static void give_all(struct nmap *p, const char *s, size_t n)
{
    while (n && !p->code) {
        size_t used;

        if (p->prolog.state == PROLOG_DONE) {
            used = give(p, s, n);
        } else {
            used = nmap_prolog_filter(&p->prolog, s, MIN(n, (size_t)NMAP_SLICE), &p->filtered);
            /* Before the root element no document can end: all of it is taken. */
            for (size_t at = 0; at < p->filtered.len && !p->code;) {
                at += give(p, p->filtered.data + at, p->filtered.len - at);
            }
            buf_reset(&p->filtered);
        }
        s += used;
        n -= used;
    }
}

/* --- struct parser --- */

static void nmap_free(void *arg)
{
    struct nmap *p = arg;

    if (!p) {
        return;
    }
    XML_ParserFree(p->xml);
    nmap_host_free(p);
    nmap_run_free(p);
    buf_done(&p->filtered);
    buf_done(&p->hold);
    buf_done(&p->text);
    free(p);
}

static void *nmap_new(const struct parse_sink *sink)
{
    struct nmap *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    p->xml = XML_ParserCreate(NULL);
    if (!p->xml) {
        abort();
    }
    p->text.cap = NMAP_TOKEN_MAX;
    index_rows(p, nmap_host_elements);
    index_rows(p, nmap_port_elements);
    index_rows(p, nmap_script_elements);
    index_rows(p, nmap_run_elements);
    p->names = arena_new();
    p->run.verbose = p->run.debugging = -1;
    p->host.arena = arena_new();
    nmap_host_reset(p);
    document_begin(p);
    return p;
}

static int result(const struct nmap *p, struct err *e)
{
    if (p->code && e) {
        *e = p->err;
    }
    return p->code;
}

static int nmap_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct nmap *p = arg;

    if (p->hold.len || p->pending >= HOLD_MIN) {
        buf_add(&p->hold, data, n);
        if (p->hold.len >= p->pending) {
            give_all(p, p->hold.data, p->hold.len);
            buf_done(&p->hold);
        }
    } else {
        give_all(p, data, n);
    }
    return result(p, e);
}

/* Nothing more will come: was all of it there? */
static void close_input(struct nmap *p)
{
    if (p->documents && !p->prolog.passed && p->prolog.state == PROLOG_TEXT) {
        if (p->cut) {
            p->code = err_set(&p->err, ERR_TOOL,
                              "nmap output: a document ends early, another one was appended");
        }
        return;
    }
    if (p->prolog.state != PROLOG_DONE && p->prolog.state != PROLOG_TEXT) {
        nmap_fail(p, ERR_TOOL, "the input ends early");
        return;
    }
    if (XML_Parse(p->xml, "", 0, XML_TRUE) == XML_STATUS_ERROR) {
        xml_failed(p);
    } else {
        nmap_fail(p, ERR_TOOL, "the input ends early");
    }
}

static int nmap_finish(void *arg, struct err *e)
{
    struct nmap *p = arg;

    if (!p->code && p->hold.len) {
        give_all(p, p->hold.data, p->hold.len);
        buf_reset(&p->hold);
    }
    if (!p->code) {
        close_input(p);
    }
    if (p->run.root || !p->first.len) {
        nmap_run_close(p);
    }
    if (p->sink_failed || !p->sink->run) {
        return result(p, e);
    }
    if (p->later.len) {
        p->first.len--; /* its brace */
        buf_addf(&p->first, ",\"more_documents\":[%s]}", p->later.data);
    }
    p->info.json = p->first.data;
    p->info.complete = p->code == 0 && !p->no_runstats;
    if (p->code) {
        p->sink->run(p->sink->arg, &p->info, NULL);
    } else {
        p->code = p->sink->run(p->sink->arg, &p->info, &p->err);
    }
    return result(p, e);
}

const struct parser parser_nmap_xml = {
    .name = "nmap-xml",
    .new = nmap_new,
    .feed = nmap_feed,
    .finish = nmap_finish,
    .free = nmap_free,
};
