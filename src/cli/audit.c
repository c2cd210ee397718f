/*
 * audit - the log of who did what, from the server or, where none listens, from the store itself.
 *
 * `verify` computes the chain anew from the entries that it is given, byte for byte: a server that
 * was taken over cannot vouch for its own log.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/local.h"
#include "cli/raw_json.h"
#include "cli/table.h"
#include "cli/view.h"
#include "store/audit.h"
#include "store/digest.h"

enum { PAGE = 200 };

static const char *const head[] = {"SEQ", "TIME", "ACTOR", "ACTION", "OBJECT", "DETAIL"};

static const struct flag list_flags[] = {
    {.name = "after", .value = "SEQ", .help = "only entries after this one"},
    {.name = "json", .help = "the same as -o json"},
    {0},
};
static const struct flag verify_flags[] = {
    {.name = "head",
     .value = "SEQ:HASH",
     .help = "an entry that was written down: it must be there"},
    {.name = "json", .help = "the same as -o json"},
    {0},
};

/* ---- entries, from the server ---- */

static bool hash_parse(const char *hex, uint8_t out[32])
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(hex) != 64 || strspn(hex, digits) != 64) {
        return false;
    }
    for (size_t i = 0; i < 32; i++) {
        out[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
                           (strchr(digits, hex[2 * i + 1]) - digits));
    }
    return true;
}

/* `text` keeps the detail as it stands in the answer. */
static bool entry_read(const json_t *item, struct span raw, struct audit *a, struct buf *text)
{
    struct span detail;
    const char *hash = json_text(item, "hash");

    if (!raw_member(raw, "detail", &detail) || !hash_parse(hash, a->hash) ||
        !rfc3339_parse(json_text(item, "at"), &a->at_us)) {
        return false;
    }
    buf_reset(text);
    buf_add(text, detail.p, detail.n);
    a->seq = json_number(item, "seq", 0);
    a->actor = json_text(item, "actor");
    a->action = json_text(item, "action");
    a->object = json_text(item, "object");
    a->detail = text->data;
    return true;
}

/* Calls fn with each entry of a page; *last is the seq of the last one, and left alone if there is
 * none. */
static int page_read(const struct answer *a, audit_fn fn, void *arg, int64_t *last, struct err *e)
{
    struct span body = {a->body.data ? a->body.data : "", a->body.len};
    json_t *doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *items = json_object_get(doc, "items");
    auto_buf text = {0};
    struct span array = {"", 0};
    struct span raw;
    struct audit entry;
    size_t at = 0;
    int rc = 0;

    if (!json_is_array(items) || !raw_member(body, "items", &array)) {
        rc = err_set(e, ERR_IO, "this is not the answer of a ScanPod server");
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(items); i++) {
        if (!raw_element(array, &at, &raw) ||
            !entry_read(json_array_get(items, i), raw, &entry, &text)) {
            rc = err_set(e, ERR_IO, "entry %zu of the answer cannot be read", i + 1);
        } else if (entry.seq <= *last) {
            rc =
                err_set(e, ERR_CONFLICT, "audit log: entry %" PRId64 " stands after entry %" PRId64,
                        entry.seq, *last);
        } else {
            *last = entry.seq;
            rc = fn(arg, &entry, e);
        }
    }
    json_decref(doc);
    return rc;
}

/* ---- entries, from wherever they are ---- */

struct pages {
    audit_fn fn;
    void *arg;
    int64_t last;
};

static int paged(void *arg, const struct audit *a, struct err *e)
{
    struct pages *p = arg;

    p->last = a->seq;
    return p->fn(p->arg, a, e);
}

static int each_local(struct cli *c, int64_t after, audit_fn fn, void *arg)
{
    struct pages p = {fn, arg, after};
    struct store *st = NULL;
    struct err e = {0};
    int status = local_open(c, &st);
    int rc = 0;

    if (status != STATUS_OK) {
        return status;
    }
    do {
        after = p.last;
        rc = store_audit_list(st, after, 0, paged, &p, &e);
    } while (rc == 0 && p.last > after);
    store_close(st);
    return rc == 0 ? STATUS_OK : cli_fail(c, &e, NULL);
}

static bool only_local(const struct cli *c)
{
    return args_has(&c->args, "data-dir") && !local_server_was_named(c);
}

/* Calls fn with each entry after `after`; prints a failure and gives its status. *local: nothing
 * listens, and no entry was given. */
static int each_of_server(struct cli *c, int64_t after, audit_fn fn, void *arg, bool *local)
{
    int64_t last = after - 1;
    unsigned n = 0;
    int status = STATUS_OK;

    *local = only_local(c);
    while (status == STATUS_OK && !*local && last != after) {
        auto_free char *path = str_fmt("/api/v1/audit?limit=%d&after=%" PRId64, PAGE, after);
        struct call call = {.method = "GET", .path = path};
        struct answer a = {0};
        struct err e = {0};

        last = after;
        status = n++ == 0 ? local_or_server(c, &call, &a, local) : cli_call(c, &call, &a);
        if (status == STATUS_OK && !*local && page_read(&a, fn, arg, &after, &e) != 0) {
            status = cli_fail(c, &e, NULL);
        }
        answer_done(&a);
    }
    return status;
}

/* ---- list ---- */

struct list {
    struct cli *c;
    struct table table;
    struct buf out;
    size_t n;
};

static void put_object(struct buf *b, const struct audit *a)
{
    char hash[65];
    struct json j = json_to(b);

    sha256_hex(a->hash, hash);
    json_obj(&j);
    json_int(&j, "seq", a->seq);
    json_time(&j, "at", a->at_us);
    json_str(&j, "actor", a->actor);
    json_str(&j, "action", a->action);
    json_str(&j, "object", a->object);
    json_raw(&j, "detail", a->detail);
    json_str(&j, "hash", hash);
    json_end(&j);
}

static int list_entry(void *arg, const struct audit *a, struct err *e)
{
    struct list *l = arg;
    char seq[24];
    char at[RFC3339_LEN + 1];
    const char *const cells[] = {seq, at, a->actor, a->action, a->object, a->detail};

    (void)e;
    snprintf(seq, sizeof seq, "%" PRId64, a->seq);
    rfc3339_us(a->at_us, at);
    if (l->c->format == FORMAT_TABLE) {
        table_row(&l->table, cells);
    } else if (l->c->format == FORMAT_CSV) {
        csv_row(&l->out, cells, ARRAY_LEN(head));
    } else {
        if (l->c->format == FORMAT_JSON) {
            buf_adds(&l->out, l->n ? ",\n" : "[");
        }
        put_object(&l->out, a);
        buf_adds(&l->out, l->c->format == FORMAT_NDJSON ? "\n" : "");
    }
    l->n++;
    out_buf(&l->out);
    return 0;
}

static int list(struct cli *c)
{
    struct list l = {.c = c};
    const char *given = args_value(&c->args, "after");
    struct err e = {0};
    int64_t after = 0;
    bool local;
    int status;

    if (given && !str_to_i64(given, 0, INT64_MAX, &after)) {
        err_set(&e, ERR_INVALID, "--after '%s': expected the number of an entry", given);
        return cli_fail(c, &e, "scanpod audit list --help");
    }
    if (args_has(&c->args, "json")) {
        c->format = FORMAT_JSON;
    }
    l.table = (struct table){.head = head,
                             .n = ARRAY_LEN(head),
                             .width = c->term.width,
                             .color = c->term.out_color,
                             .right = 1u,
                             .sink = out_sink};
    if (c->format == FORMAT_CSV) {
        csv_row(&l.out, head, ARRAY_LEN(head));
    }
    status = each_of_server(c, after, list_entry, &l, &local);
    if (local) {
        status = each_local(c, after, list_entry, &l);
    }
    if (c->format == FORMAT_TABLE && status == STATUS_OK) {
        table_end(&l.table);
    } else if (c->format == FORMAT_JSON && status == STATUS_OK) {
        buf_adds(&l.out, l.n ? "]\n" : "[]\n");
    }
    out_buf(&l.out);
    strvec_done(&l.table.cells);
    buf_done(&l.out);
    return status;
}

static const struct command command_audit_list = {
    .name = "list",
    .summary = "list who did what, oldest first",
    .flags = list_flags,
    .formats = FORMATS_TEXT,
    .run = list,
};

/* ---- verify ---- */

/* "SEQ:HASH" */
static int head_parse(const char *s, struct audit *out, struct err *e)
{
    const char *colon = strchr(s, ':');
    auto_free char *seq = xstrndup(s, colon ? (size_t)(colon - s) : 0);

    if (!colon || !str_to_i64(seq, 1, INT64_MAX, &out->seq) || !hash_parse(colon + 1, out->hash)) {
        return err_set(e, ERR_INVALID,
                       "--head '%s': expected SEQ:HASH, as 'scanpod audit verify' prints it", s);
    }
    return 0;
}

struct check {
    struct audit_chain chain;
    const struct audit *expect;
};

static int check_entry(void *arg, const struct audit *a, struct err *e)
{
    struct check *k = arg;

    return audit_chain_next(&k->chain, a, k->expect, e);
}

/* The store also knows what it wrote last, which a list does not tell. */
static int verify_local(struct cli *c, struct check *k)
{
    struct store *st = NULL;
    struct err e = {0};
    int status = local_open(c, &st);

    if (status == STATUS_OK) {
        if (store_audit_verify(st, k->expect, &k->chain.n, k->chain.head, &e) != 0) {
            status = cli_fail(c, &e, NULL);
        }
        store_close(st);
    }
    return status;
}

static int verify_entries(struct cli *c, struct check *k)
{
    struct err e = {0};
    bool local;
    int status = each_of_server(c, 0, check_entry, k, &local);

    if (local) {
        return verify_local(c, k);
    }
    if (status == STATUS_OK && audit_chain_end(&k->chain, k->expect, &e) != 0) {
        status = cli_fail(c, &e, NULL);
    }
    return status;
}

static void show_head(struct cli *c, const struct audit_chain *chain)
{
    auto_buf b = {0};
    char hash[65];
    auto_free char *text = NULL;

    sha256_hex(chain->head, hash);
    text = str_fmt("%" PRId64 ":%s", chain->n, hash);
    if (c->format == FORMAT_JSON) {
        struct json j = json_to(&b);

        json_obj(&j);
        json_int(&j, "entries", chain->n);
        json_str(&j, "head", text);
        json_end(&j);
    } else {
        buf_adds(&b, text);
    }
    buf_addc(&b, '\n');
    out_buf(&b);
    say(&c->term,
        "the audit log is whole: %" PRId64 " entries; keep its head elsewhere, and pass it with "
        "--head the next time",
        chain->n);
}

static int verify(struct cli *c)
{
    struct audit expect = {0};
    struct check k = {0};
    struct err e = {0};
    const char *given = args_value(&c->args, "head");
    int status;

    if (given) {
        if (head_parse(given, &expect, &e) != 0) {
            return cli_fail(c, &e, "scanpod audit verify --help");
        }
        k.expect = &expect;
    }
    if (args_has(&c->args, "json")) {
        c->format = FORMAT_JSON;
    }
    status = verify_entries(c, &k);
    if (status == STATUS_OK) {
        show_head(c, &k.chain);
    }
    return status;
}

static const struct command command_audit_verify = {
    .name = "verify",
    .summary = "check that the audit log is whole, and print its head",
    .more = "Computes the chain of hashes anew. With --data-dir the store itself is read, under "
            "its lock.\nA log that was cut off at its end shows against a head that was kept "
            "elsewhere.\n",
    .flags = verify_flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = verify,
};

static const struct command *const subs[] = {&command_audit_list, &command_audit_verify, NULL};

const struct command command_audit = {
    .name = "audit",
    .summary = "who did what: list, verify",
    .subs = subs,
};
