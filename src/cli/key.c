/* key - API keys: through the server when it runs, else in the store itself, under its lock. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/local.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"
#include "store/secret.h"
#include "store/store.h"

static const char *const head[] = {"ID",      "NAME",      "SCOPES", "CREATED",
                                   "EXPIRES", "LAST USED", "REVOKED"};

/* ---- what is shown ---- */

static void show_secret(struct cli *c, const char *id, const char *name, const char *secret)
{
    auto_buf b = {0};

    if (c->format == FORMAT_JSON) {
        struct json j = json_to(&b);

        json_obj(&j);
        json_str(&j, "id", id);
        json_str(&j, "name", name);
        json_str(&j, "key", secret);
        json_end(&j);
    } else {
        buf_adds(&b, secret);
    }
    buf_addc(&b, '\n');
    out_buf(&b);
    say(&c->term, "key '%s' (%s) is shown only now; keep it in a file with mode 0600", name, id);
}

/* ---- create ---- */

static const struct flag create_flags[] = {
    {.name = "scopes", .value = "LIST", .help = "what it may do: read,submit:network,... (all)"},
    {.name = "expires", .value = "WHEN", .help = "90d, 12h, or a time: 2027-01-01 (never)"},
    {.name = "waiting", .value = "N", .help = "jobs that may wait at the same time"},
    {.name = "jobs-per-day", .value = "N", .help = "jobs in 24 hours"},
    {.name = "addresses-per-day", .value = "N", .help = "addresses in 24 hours"},
    {0},
};

/* "90d", "12h", "30m", "4w", or a time that is to come. */
static int expiry_parse(const char *s, int64_t now_us, int64_t *out, struct err *e)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    size_t n = strlen(s);

    for (size_t i = 0; n > 1 && i < ARRAY_LEN(units); i++) {
        auto_free char *digits = xstrndup(s, n - 1);
        int64_t v;

        if (s[n - 1] == units[i].unit && str_to_i64(digits, 1, 5256000, &v)) {
            *out = now_us + v * units[i].s * 1000000;
            return 0;
        }
    }
    if (!rfc3339_parse(s, out)) {
        return err_set(e, ERR_INVALID,
                       "--expires '%s': expected 90d, 12h, 30m, or a time such as "
                       "2027-01-01T00:00:00Z",
                       s);
    }
    return *out > now_us ? 0 : err_set(e, ERR_INVALID, "--expires '%s': that is over", s);
}

static int number_flag(const struct args *a, const char *name, int64_t max, int64_t *out,
                       struct err *e)
{
    const char *v = args_value(a, name);

    *out = 0;
    if (v && !str_to_i64(v, 1, max, out)) {
        return err_set(e, ERR_INVALID, "--%s '%s': expected a number from 1 to %" PRId64, name, v,
                       max);
    }
    return 0;
}

/* What the flags ask of a key. */
static int wanted(const struct args *a, struct key *k, struct err *e)
{
    const char *scopes = args_value(a, "scopes");
    const char *expires = args_value(a, "expires");
    int64_t waiting = 0;
    int64_t jobs = 0;
    int rc = 0;

    *k = (struct key){.scopes = KEY_ALL};
    if (scopes) {
        rc = key_scopes_parse(scopes, &k->scopes, e);
    }
    if (rc == 0 && expires) {
        rc = expiry_parse(expires, wall_us(), &k->expires_us, e);
    }
    if (rc == 0) {
        rc = number_flag(a, "waiting", INT32_MAX, &waiting, e);
    }
    if (rc == 0) {
        rc = number_flag(a, "jobs-per-day", INT32_MAX, &jobs, e);
    }
    if (rc == 0) {
        rc = number_flag(a, "addresses-per-day", INT64_MAX, &k->quota.addresses_per_day, e);
    }
    k->quota.waiting = (int32_t)waiting;
    k->quota.jobs_per_day = (int32_t)jobs;
    return rc;
}

static void put_scopes(struct json *j, unsigned scopes)
{
    json_arr_in(j, "scopes");
    for (const struct key_scope_row *r = key_scopes; r->name; r++) {
        if (scopes & r->bit) {
            json_str(j, NULL, r->name);
        }
    }
    json_end(j);
}

static void put_quota(struct json *j, const struct key_quota *q)
{
    json_obj_in(j, "quota");
    json_int(j, "waiting", q->waiting);
    json_int(j, "jobs_per_day", q->jobs_per_day);
    json_int(j, "addresses_per_day", q->addresses_per_day);
    json_end(j);
}

/* What was not asked for is not sent. */
static void put_request(struct buf *b, const char *name, const struct key *k)
{
    const struct key_quota *q = &k->quota;
    struct json j = json_to(b);

    json_obj(&j);
    json_str(&j, "name", name);
    if (k->scopes != KEY_ALL) {
        put_scopes(&j, k->scopes);
    }
    if (k->expires_us) {
        json_time(&j, "expires_at", k->expires_us);
    }
    if (q->waiting || q->jobs_per_day || q->addresses_per_day) {
        put_quota(&j, q);
    }
    json_end(&j);
}

/* The change and the log of it in one transaction, as the server does it. */
static int log_change(struct store *st, const char *action, const char *key, const char *name,
                      struct err *e)
{
    auto_buf detail = {0};
    struct json j = json_to(&detail);

    json_obj(&j);
    json_str(&j, "name", name);
    json_end(&j);
    return store_audit_add(st,
                           &(struct audit){.at_us = wall_us(),
                                           .actor = "cli",
                                           .action = action,
                                           .object = key,
                                           .detail = detail.data},
                           e);
}

static int create_local(struct cli *c, const char *name, const struct key *want)
{
    char secret[SECRET_TEXT + 1];
    struct store *st = NULL;
    struct key k;
    struct err e = {0};
    int status = local_open(c, &st);
    int rc;

    if (status != STATUS_OK) {
        return status;
    }
    key_make(name, secret, &k);
    k.scopes = want->scopes;
    k.expires_us = want->expires_us;
    k.quota = want->quota;
    rc = store_key_add(st, &k, &e);
    if (rc == 0) {
        rc = log_change(st, "key.create", k.id, k.name, &e);
    }
    if (rc == 0) {
        rc = store_commit(st, &e);
    }
    store_close(st);
    if (rc != 0) {
        status = cli_fail(c, &e, "scanpod key list");
    } else {
        show_secret(c, k.id, k.name, secret);
    }
    secure_zero(secret, sizeof secret);
    return status;
}

/* The same rule as the server's: a letter, then letters, digits, '.', '_' or '-'. */
static bool name_ok(const char *s)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(s);

    return n >= 1 && n <= 64 && memchr(allowed, s[0], 52) && strspn(s, allowed) == n;
}

static int create(struct cli *c)
{
    const char *name = c->args.operands[0];
    struct answer a = {0};
    struct err e = {0};
    auto_buf body = {0};
    struct key want;
    bool local;
    int status;

    if (!name_ok(name)) {
        err_set(
            &e, ERR_INVALID,
            "key name '%s': expected a letter, then at most 63 letters, digits, '.', '_' or '-'",
            name);
        return cli_fail(c, &e, NULL);
    }
    if (wanted(&c->args, &want, &e) != 0) {
        return cli_fail(c, &e, "scanpod key create --help");
    }
    put_request(&body, name, &want);
    status = local_or_server(
        c, &(struct call){.method = "POST", .path = "/api/v1/keys", .body = body.data}, &a, &local);
    if (local) {
        status = create_local(c, name, &want);
    } else if (status == STATUS_OK) {
        json_t *doc = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
        const char *secret = json_text(doc, "key");

        if (!*secret) {
            secret = json_text(doc, "secret");
        }
        show_secret(c, json_text(doc, "id"), name, secret);
        json_decref(doc);
    }
    if (a.body.data) {
        secure_zero(a.body.data, a.body.len);
    }
    answer_done(&a);
    return status;
}

static const struct command command_key_create = {
    .name = "create",
    .operands = "NAME",
    .summary = "make a key and show it once",
    .flags = create_flags,
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = create,
};

/* ---- list ---- */

struct key_list {
    struct cli *c;
    struct table table;
    struct buf out;
    size_t n;
};

static void put_time(struct json *j, const char *name, const char *text)
{
    json_str(j, name, *text ? text : NULL);
}

/* A key as it is shown: times are text, "" when there is none. */
struct key_row {
    const char *id, *name;
    unsigned scopes;
    const char *created, *expires, *used, *revoked;
    struct key_quota quota;
};

static void list_object(struct key_list *l, const struct key_row *k)
{
    struct json j = json_to(&l->out);

    json_obj(&j);
    json_str(&j, "id", k->id);
    json_str(&j, "name", k->name);
    put_scopes(&j, k->scopes);
    put_time(&j, "created_at", k->created);
    put_time(&j, "expires_at", k->expires);
    put_time(&j, "last_used_at", k->used);
    put_time(&j, "revoked_at", k->revoked);
    put_quota(&j, &k->quota);
    json_end(&j);
}

static void list_row(struct key_list *l, const struct key_row *k)
{
    auto_buf scopes = {0};
    const char *cells[] = {k->id, k->name, "all", k->created, k->expires, k->used, k->revoked};

    if (k->scopes != KEY_ALL) {
        key_scopes_text(k->scopes, &scopes);
        cells[2] = scopes.data ? scopes.data : "";
    }
    switch (l->c->format) {
    case FORMAT_TABLE:
        table_row(&l->table, cells);
        return;
    case FORMAT_CSV:
        csv_row(&l->out, cells, ARRAY_LEN(head));
        break;
    case FORMAT_NDJSON:
        list_object(l, k);
        buf_addc(&l->out, '\n');
        break;
    default:
        buf_addc(&l->out, l->n ? ',' : '[');
        list_object(l, k);
    }
    l->n++;
    out_buf(&l->out);
}

/* Scopes that this program does not know are left out. */
static unsigned scopes_of(const json_t *k)
{
    const json_t *one;
    unsigned scopes = 0;
    size_t i;

    json_array_foreach(json_object_get(k, "scopes"), i, one)
    {
        const char *word = json_string_value(one);
        unsigned bit = 0;

        if (word && key_scopes_parse(word, &bit, NULL) == 0) {
            scopes |= bit;
        }
    }
    return scopes;
}

static void list_item(struct key_list *l, const json_t *k)
{
    const json_t *q = json_object_get(k, "quota");
    struct key_row row = {
        .id = json_text(k, "id"),
        .name = json_text(k, "name"),
        .scopes = scopes_of(k),
        .created = json_text(k, "created_at"),
        .expires = json_text(k, "expires_at"),
        .used = json_text(k, "last_used_at"),
        .revoked = json_text(k, "revoked_at"),
        .quota = {(int32_t)json_number(q, "waiting", 0), (int32_t)json_number(q, "jobs_per_day", 0),
                  json_number(q, "addresses_per_day", 0)},
    };

    list_row(l, &row);
}

static int list_key(void *arg, const struct key *k, struct err *e)
{
    const int64_t times[] = {k->created_us, k->expires_us, k->last_used_us, k->revoked_us};
    char text[ARRAY_LEN(times)][RFC3339_LEN + 1] = {{0}};

    (void)e;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (times[i]) {
            rfc3339_us(times[i], text[i]);
        }
    }
    list_row(arg, &(struct key_row){k->id, k->name, k->scopes, text[0], text[1], text[2], text[3],
                                    k->quota});
    return 0;
}

static int list_local(struct cli *c, struct key_list *l)
{
    struct store *st = NULL;
    struct err e = {0};
    int status = local_open(c, &st);

    if (status == STATUS_OK) {
        if (store_keys(st, list_key, l, &e) != 0) {
            status = cli_fail(c, &e, NULL);
        }
        store_close(st);
    }
    return status;
}

static int list_server(struct key_list *l, const struct answer *a)
{
    json_t *doc = json_loadb(a->body.data ? a->body.data : "", a->body.len, 0, NULL);
    json_t *items = json_is_array(doc) ? doc : json_object_get(doc, "items");
    json_t *one;
    size_t i;

    json_array_foreach(items, i, one)
    {
        list_item(l, one);
    }
    json_decref(doc);
    return STATUS_OK;
}

static int list(struct cli *c)
{
    struct key_list l = {.c = c};
    struct answer a = {0};
    bool local;
    int status;

    l.table = (struct table){
        .head = head, .n = ARRAY_LEN(head), .color = c->term.out_color, .sink = out_sink};
    if (c->format == FORMAT_CSV) {
        csv_row(&l.out, head, ARRAY_LEN(head));
    }
    status =
        local_or_server(c, &(struct call){.method = "GET", .path = "/api/v1/keys"}, &a, &local);
    if (status == STATUS_OK) {
        status = local ? list_local(c, &l) : list_server(&l, &a);
    }
    if (status == STATUS_OK && c->format == FORMAT_TABLE) {
        table_end(&l.table);
    }
    if (status == STATUS_OK && c->format == FORMAT_JSON) {
        buf_adds(&l.out, l.n ? "]\n" : "[]\n");
    }
    out_buf(&l.out);
    strvec_done(&l.table.cells);
    buf_done(&l.out);
    answer_done(&a);
    return status;
}

static const struct command command_key_list = {
    .name = "list",
    .summary = "list keys, never their text",
    .formats = FORMATS_TEXT,
    .run = list,
};

/* ---- revoke ---- */

/* The key that a revocation is about: by id, else by the name that is in force. */
static int find_key(void *arg, const struct key *k, struct err *e)
{
    struct key *found = arg;

    (void)e;
    if (str_eq(k->id, found->name) || (str_eq(k->name, found->name) && k->revoked_us == 0)) {
        memcpy(found->id, k->id, sizeof k->id);
    }
    return 0;
}

static int revoke_local(struct cli *c, const char *which)
{
    struct key found = {0};
    struct store *st = NULL;
    struct err e = {0};
    int status = local_open(c, &st);
    int rc;

    if (status != STATUS_OK) {
        return status;
    }
    snprintf(found.name, sizeof found.name, "%s", which);
    rc = store_keys(st, find_key, &found, &e);
    if (rc == 0) {
        rc = store_key_revoke(st, which, wall_us(), &e);
    }
    if (rc == 0 && *found.id) {
        rc = log_change(st, "key.revoke", found.id, which, &e);
    }
    if (rc == 0) {
        rc = store_commit(st, &e);
    }
    store_close(st);
    return rc == 0 ? STATUS_OK : cli_fail(c, &e, "scanpod key list");
}

static int end_key(struct cli *c)
{
    const char *which = c->args.operands[0];
    struct answer a = {0};
    auto_buf path = {0};
    bool local;
    int status;

    buf_adds(&path, "/api/v1/keys/");
    buf_add_url(&path, which);
    status = local_or_server(c, &(struct call){.method = "DELETE", .path = path.data}, &a, &local);
    if (local) {
        status = revoke_local(c, which);
    }
    if (status == STATUS_OK) {
        say(&c->term, "key '%s' is revoked", which);
    }
    answer_done(&a);
    return status;
}

static const struct command command_key_revoke = {
    .name = "revoke",
    .operands = "ID|NAME",
    .summary = "end a key at once",
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE,
    .run = end_key,
};

static const struct command *const subs[] = {&command_key_create, &command_key_list,
                                             &command_key_revoke, NULL};

const struct command command_key = {
    .name = "key",
    .summary = "API keys: create, list, revoke",
    .subs = subs,
};
