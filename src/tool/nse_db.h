/*
 * nse_db - what was read from script.db, for the choice among it.
 */
#pragma once

#include "tool/nse.h"

enum {
    CAT_SAFE = 1,
    CAT_VERSION = 2,
    CAT_DEFAULT = 4,
    CAT_DISCOVERY = 8,
    CAT_VULN = 16,
    CAT_INTRUSIVE = 32,
    CAT_AUTH = 64,
    CAT_BRUTE = 128,
    CAT_FUZZER = 256,
    CAT_MALWARE = 512,
    CAT_DOS = 1024,
    CAT_EXPLOIT = 2048,
    CAT_EXTERNAL = 4096,
    CAT_BROADCAST = 8192,
    CAT_OTHER = 16384, /* none of nmap's own */
};

struct nse_script {
    char *name; /* owned */
    unsigned cats;
};

struct nse_db {
    struct nse_script *v; /* owned; sorted by name */
    size_t n, size;
};

/* 0: none of nmap's own. */
unsigned nse_category(const char *s, size_t n);
/* NULL: CAT_OTHER. */
const char *nse_category_name(unsigned bit);
/* By name, with or without ".nse"; NULL if there is none. */
const struct nse_script *nse_find(const struct nse_db *db, const char *name, size_t n);
