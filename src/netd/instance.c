#include "netd/instance.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif

enum { PREFIX_LEN = sizeof NETD_PREFIX - 1, DIGITS = 2 };

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "sp_II" and "sp_II_..."; -1: not a name of ours. */
static int number_of(const char *name)
{
    const char *at = name + PREFIX_LEN;

    if (!str_starts(name, NETD_PREFIX) || digit(at[0]) < 0 || digit(at[1]) < 0 ||
        (at[DIGITS] != '\0' && at[DIGITS] != '_')) {
        return -1;
    }
    return digit(at[0]) * 16 + digit(at[1]);
}

struct table {
    uint8_t family;
    char name[64];
};

struct survey {
    bool held[INSTANCES];
    struct table *tables; /* owned: of ours, but the holders' */
    size_t n_tables, tables_size;
    const char *wanted;
    bool found;
    int *links; /* owned */
    size_t n_links, links_size;
};

static void survey_done(struct survey *s)
{
    free(s->tables);
    free(s->links);
}

#define auto_survey __attribute__((cleanup(survey_done))) struct survey

static void on_table(void *arg, uint8_t family, const char *name, uint32_t flags)
{
    struct survey *s = arg;
    int number = number_of(name);

    if (s->wanted && family == NFPROTO_IPV4 && str_eq(name, s->wanted)) {
        s->found = true;
    }
    if (number < 0) {
        return;
    }
    if (strlen(name) == PREFIX_LEN + DIGITS) {
        s->held[number] = s->held[number] || flags & NFT_TABLE_F_OWNER;
    } else if (strlen(name) < sizeof s->tables->name) {
        if (s->n_tables == s->tables_size) {
            s->tables_size = s->tables_size ? 2 * s->tables_size : 16;
            s->tables = xrealloc(s->tables, s->tables_size * sizeof *s->tables);
        }
        s->tables[s->n_tables].family = family;
        memcpy(s->tables[s->n_tables++].name, name, strlen(name) + 1);
    }
}

static void on_link(void *arg, int index, const char *name)
{
    struct survey *s = arg;
    int number = number_of(name);

    if (number < 0 || s->held[number]) {
        return;
    }
    if (s->n_links == s->links_size) {
        s->links_size = s->links_size ? 2 * s->links_size : 16;
        s->links = xrealloc(s->links, s->links_size * sizeof *s->links);
    }
    s->links[s->n_links++] = index;
}

int instance_take(struct nft *n, unsigned *out, struct err *e)
{
    auto_survey s = {0};
    int rc = nft_tables(n, on_table, &s, e);

    for (unsigned i = 0; rc == 0 && i < INSTANCES; i++) {
        char name[NAME_LEN];

        if (s.held[i]) {
            continue;
        }
        snprintf(name, sizeof name, NETD_PREFIX "%02x", i);
        nft_begin(n, NFPROTO_NETDEV, name);
        nft_mark(n, "the number of this netd");
        nft_table(n, NFT_TABLE_F_OWNER);
        rc = nft_commit(n, e);
        if (rc == 0) {
            *out = i;
            return 0;
        }
        if (n->error == EEXIST || n->error == EPERM) {
            rc = 0; /* another one was faster */
        }
    }
    return rc != 0 ? rc : err_set(e, ERR_SANDBOX, "%d netd are here already", INSTANCES);
}

int instance_sweep(struct nft *n, struct link *l, unsigned self, struct err *e)
{
    auto_survey s = {0};
    size_t removed = 0;
    int rc = nft_tables(n, on_table, &s, e);

    s.held[self] = false; /* ours, and nothing of it was made by us */
    if (rc == 0) {
        rc = link_list(l, on_link, &s, e);
    }
    for (size_t i = 0; rc == 0 && i < s.n_links; i++) {
        rc = link_del(l, s.links[i], e);
        removed++;
    }
    for (size_t i = 0; rc == 0 && i < s.n_tables; i++) {
        int number = number_of(s.tables[i].name);

        if (number >= 0 && !s.held[number]) {
            nft_begin(n, s.tables[i].family, s.tables[i].name);
            nft_mark(n, "its removal");
            nft_table_del(n);
            rc = nft_commit(n, e);
            removed++;
        }
    }
    if (removed) {
        fprintf(stderr, "netd: removed %zu interfaces and tables of a former netd\n", removed);
    }
    return rc;
}

bool instance_alone(struct nft *n, unsigned self)
{
    auto_survey s = {0};
    bool alone = nft_tables(n, on_table, &s, NULL) == 0;

    for (unsigned i = 0; i < INSTANCES; i++) {
        alone = alone && (i == self || !s.held[i]);
    }
    return alone;
}

bool table_exists(struct nft *n, const char *name)
{
    auto_survey s = {.wanted = name};

    return nft_tables(n, on_table, &s, NULL) == 0 && s.found;
}
