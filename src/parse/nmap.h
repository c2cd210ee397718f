/*
 * nmap - what the parts of the nmap parser share; for src/parse only.
 *
 *   nmap_xml.c      the parser: expat, documents one after the other, limits
 *   nmap_prolog.c   what may stand before a root element, made palatable for expat
 *   nmap_host.c     host elements, handed out one at a time
 *   nmap_port.c     ports and services in them
 *   nmap_json.c     attributes as values and as JSON
 *   nmap_script.c   script elements with their trees of tables
 *   nmap_run.c      everything else: the run record and progress
 *
 * Each noun owns a table of elements: name, where it may stand, what to do at its start and end.
 * An element that is unknown, or stands where it has no business, is skipped with all below it.
 */
#pragma once

#include <expat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "parse/parse.h"

enum {
    NMAP_DEPTH_MAX = 256,     /* nested elements, tables of scripts included */
    NMAP_TOKEN_MAX = 8 << 20, /* bytes of one tag with all its attributes */
    NMAP_HOST_MAX = 64 << 20, /* bytes kept for one host */
    NMAP_RUN_MAX = 16 << 20,  /* bytes kept for the run records of all documents */
    NMAP_SLICE = 64 * 1024,   /* bytes that expat gets at a time, unless a token is longer */
};

enum nmap_id {
    E_NONE, /* above the root */
    E_NMAPRUN,
    E_PRESCRIPT,
    E_POSTSCRIPT,
    E_RUNSTATS,
    E_HOST,
    E_HOSTNAMES,
    E_PORTS,
    E_EXTRAPORTS,
    E_PORT,
    E_SERVICE,
    E_OS,
    E_OSMATCH,
    E_OSCLASS,
    E_TRACE,
    E_HOSTSCRIPT,
    E_SCRIPT,
    E_TABLE,
    E_LEAF, /* all elements in which no other may stand */
};

#define IN(id) (1u << (id))

struct nmap;

struct nmap_element {
    const char *name;
    enum nmap_id id;
    uint32_t parents;                                 /* IN() of each */
    void (*start)(struct nmap *p, const char **atts); /* may be NULL */
    void (*end)(struct nmap *p);                      /* may be NULL */
};

/* Each ends with a row whose name is NULL. */
extern const struct nmap_element nmap_host_elements[], nmap_port_elements[], nmap_script_elements[],
    nmap_run_elements[];

/* Drops comments (old versions wrote `--` inside) and what stands before an XML declaration. */
struct nmap_prolog {
    enum {
        PROLOG_TEXT,
        PROLOG_LESS,    /* < */
        PROLOG_BANG,    /* <! */
        PROLOG_DASH,    /* <!- */
        PROLOG_COMMENT, /* until --> */
        PROLOG_PI,      /* until ?> */
        PROLOG_DONE,    /* expat gets everything from here on as it is */
    } state;
    bool later;   /* not the first document */
    bool passed;  /* expat has got something of this document */
    char last[2]; /* the two bytes before this one */
    size_t lines; /* line ends that expat did not see */
};

/* Appends to `out` what expat is to see; returns how much of the n bytes was used. */
size_t nmap_prolog_filter(struct nmap_prolog *f, const char *s, size_t n, struct buf *out);

struct nmap_run {
    bool root; /* the root element was there */
    struct buf attrs, scaninfo, targets, pre, post, finished, hosts;
    uint64_t hosthints, tasks_begun, tasks_ended, tasks_progress;
    int64_t verbose, debugging; /* -1: not said */
};

struct nmap {
    const struct parse_sink *sink;
    int code; /* of the failure that stopped the parser; 0 */
    struct err err;
    bool sink_failed;

    /* input */
    XML_Parser xml; /* of the current document */
    struct nmap_prolog prolog;
    struct buf filtered; /* the prolog as expat is to see it */
    struct buf hold;     /* input that waits for the end of a long token */
    uint64_t fed;        /* bytes that expat got of this document */
    size_t pending;      /* of these: bytes of a token that is not complete yet */
    char last;           /* the last byte before this piece */
    uint64_t lines;      /* line ends before this document */
    unsigned documents;  /* complete ones */
    bool ended;          /* the root element was closed */
    bool cut;            /* a document was not: another one began inside */

    /* elements */
    const struct nmap_element *stack[NMAP_DEPTH_MAX];
    unsigned depth;
    unsigned skip; /* depth inside an element that is skipped */
    uint8_t index[256];
    const struct nmap_element *rows[64];
    unsigned n_rows;
    struct buf text; /* of the current cpe or elem */

    /* the host at hand; lists without brackets, objects without braces */
    struct host host;
    struct port *port; /* the open one */
    struct buf cpe, port_scripts, host_scripts, extraports, more;
    struct buf os_portused, os_match, os_class, os_fingerprints;
    struct buf scratch;
    unsigned seen;                           /* members of `more` that are there already */
    bool has_os, cpe_ignored, trace_ignored; /* the latter: inside a second service or trace */

    /* the script at hand */
    struct buf *script;
    size_t script_at; /* where it begins in *script */
    bool script_data;

    /* the run records */
    struct nmap_run run;
    struct buf first, later; /* members of the first record; the records after it */
    struct arena *names;     /* scanner, version, ... of the first */
    struct run_info info;
    bool no_runstats; /* of a document: nmap did not end it */
};

/* Stops the parser; the message gets the place in the input. Only the first failure counts. */
void nmap_fail(struct nmap *p, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The receiver wants no more. */
void nmap_sink_failed(struct nmap *p, int code);
/* The element that holds the current one. */
enum nmap_id nmap_parent(const struct nmap *p);
/* Collect text into p->text from here on, until nmap_text_end(). */
void nmap_text_begin(struct nmap *p);
void nmap_text_end(struct nmap *p);

/* NULL if there is none. */
const char *nmap_att(const char **atts, const char *name);
/* A comma, unless this is the first of its list or object. */
void nmap_comma(struct buf *b);
/* `{"name":"value",...` without the closing brace, and without the attribute `except`. */
void nmap_object(struct buf *b, const char **atts, const char *except);
void nmap_member(struct buf *b, const char *name, const char *value);
/* All digits, at most 18 of them that count: a number of ours. */
bool nmap_number(const char *s, int64_t *out);

/* -1 if it is no number up to max. */
int32_t nmap_small(const char *s, int32_t max);
/* Copies that live as long as the host. */
const char *nmap_keep(struct nmap *p, const char *s);
const char *nmap_keep_list(struct nmap *p, struct buf *items); /* with brackets; NULL if empty */
/* Puts brackets or braces around what is there. NULL if nothing is; else items->data. */
const char *nmap_wrap(struct buf *items, char open, char close);
/* Where classes of operating systems go whose element stands in `above`. */
struct buf *nmap_osclass_list(struct nmap *p, enum nmap_id above);

/* Throws the open host away. */
void nmap_host_reset(struct nmap *p);
void nmap_host_free(struct nmap *p);
/* Bytes that the open host holds. */
size_t nmap_host_size(const struct nmap *p);
/* Takes an unfinished script out of the list that it was in. */
void nmap_script_drop(struct nmap *p);
/* The document is over: writes its run record down, without a script that was not finished. */
void nmap_run_close(struct nmap *p);
void nmap_run_free(struct nmap *p);
size_t nmap_run_size(const struct nmap *p);
