/*
 * record - what a parser process sends to the worker: hosts, progress, the run's own record.
 *
 * A byte stream (SOCK_STREAM pair: one host can be larger than any packet) of records: u32 length
 * of what follows, u8 type, body. A host is HOST, then its PORTs, then HOST_END, so that the reader
 * never holds more than one of them. Order: hosts, findings and progress in any order, then at most
 * one RUN, at most one RAW, and END, after which nothing may come. Strings carry their NUL, so that
 * the reader hands them out where they lie, without a copy.
 *
 * The reader checks lengths against RECORD_MAX, types, order, ranges of numbers, that strings are
 * UTF-8 without NUL and that JSON fields begin and end as JSON does; a stream that breaks a rule is
 * the parser's failure, never the daemon's. The writer keeps to the rules whatever it is given, as
 * long as strings are UTF-8: numbers out of range become "not said", text is cut at
 * RECORD_TEXT_MAX, lists at RECORD_LIST_MAX, and a record that would still be too large loses its
 * JSON fields.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/finding.h"
#include "model/host.h"

enum { RECORD_MAX = 4 << 20, RECORD_TEXT_MAX = 256 << 10, RECORD_LIST_MAX = 256 };

/* Everything of the raw output was read; tells its size and hash. */
struct raw_info {
    char sha256[65];
    uint64_t size, stored; /* bytes before and after compression */
    bool truncated;        /* the output cap was reached */
};

/* How parsing itself ended: 0, or an ERR_* with a message. */
struct parse_end {
    int code;
    const char *message;
};

void record_put_host(struct buf *b, const struct host *h); /* HOST, PORTs, HOST_END */
void record_put_head(struct buf *b, const struct host *h); /* the same in parts */
void record_put_port(struct buf *b, const struct port *p);
void record_put_host_end(struct buf *b);
void record_put_finding(struct buf *b, const struct finding *f);
void record_put_progress(struct buf *b, const struct progress *p);
void record_put_run(struct buf *b, const struct run_info *r);
void record_put_raw(struct buf *b, const struct raw_info *r);
void record_put_end(struct buf *b, const struct parse_end *end);

/* Members may be NULL. Pointers are borrowed for the call. A non-zero return stops the reader. */
struct record_sink {
    int (*host)(void *arg, const struct host *head, struct err *e); /* without ports */
    int (*port)(void *arg, const struct port *p, struct err *e);    /* of the last host */
    int (*host_end)(void *arg, struct err *e);
    int (*finding)(void *arg, const struct finding *f, struct err *e); /* checked */
    int (*progress)(void *arg, const struct progress *p, struct err *e);
    int (*run)(void *arg, const struct run_info *r, struct err *e);
    int (*raw)(void *arg, const struct raw_info *r, struct err *e);
    int (*end)(void *arg, const struct parse_end *end, struct err *e);
};

/* Push reader; zeroed but for sink and arg at the start. `in` keeps what is not yet complete. */
struct record_reader {
    struct buf in;
    const struct record_sink *sink;
    void *arg;
    bool in_host, ended; /* ended: END was read; a stream that stops before is broken */
    uint8_t last;        /* type that forbids earlier ones: RUN, RAW, END */
    bool failed;         /* a rule was broken or the sink said stop: nothing more is read */
    struct err why;
};

/* 0, ERR_TOOL when a rule is broken, or what the sink returned; then the same for ever. */
int record_feed(struct record_reader *r, const void *p, size_t n, struct err *e);
void record_reader_done(struct record_reader *r);
