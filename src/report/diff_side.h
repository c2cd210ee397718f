/*
 * diff_side - one result, host by host in the order of addresses. For src/report only.
 *
 * Rows come from the store in pages of some thousand, or of one host with more; hosts that have one
 * address in common because the tool told of them twice are joined, the later one's words holding.
 * Hosts without an address cannot be compared with anything and are not handed out.
 */
#pragma once

#include "model/host.h"
#include "report/diff_cover.h"

struct diff_page {
    struct host *hosts; /* owned; their strings are in `arena` */
    size_t n, size, at;
    struct arena *arena; /* owned */
    size_t rows;
};

struct diff_side {
    struct store *store;
    int64_t num;
    bool tells; /* what the tool did not tell of a host or service is not there */
    struct diff_cover *cover;
    struct diff_page pages[2]; /* the one at hand, and the next when it is needed already */
    unsigned page;
    uint8_t after_key[HOST_KEY]; /* where the next page begins */
    int64_t after;
    bool started, end;  /* end: no more pages */
    bool taken;         /* the next host is at hand, but not all of its rows */
    struct host joined; /* of more than one row */

    const struct host *host; /* at hand; NULL: there are no more */
    uint8_t key[HOST_KEY];
    const struct port **ports; /* owned array: its ports by protocol and number */
    size_t n_ports, size_ports;
};

int diff_side_init(struct diff_side *d, struct store *s, int64_t num, struct err *e);
void diff_side_done(struct diff_side *d);
/* 1: a page was read, which may be much (a host with all of its ports); call again. *rows: how many
 * rows were read is added. */
int diff_side_next(struct diff_side *d, uint32_t *rows, struct err *e);
/* By protocol, then number. */
int diff_port_order(const struct port *a, const struct port *b);
