/*
 * record_scan - where a record stream can be cut without cutting a host.
 *
 * Streams of several runs arrive in turns, and the store takes one host at a time: a host is read
 * only once all of its ports are there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct record_scan {
    size_t at; /* scanned so far; the caller subtracts what it removed from the front */
    bool in_host;
};

/* The length of the longest prefix of p that ends between records and outside a host. A stream
 * whose lengths make no sense is given out as it is: the reader says what is wrong. */
size_t record_whole(const void *p, size_t n, struct record_scan *s);
