/*
 * key - API keys: through the server when it runs, else in the store itself, under its lock.
 *
 * The server is only asked for another machine's keys when it was named; a local store is only
 * opened when nothing listens where the local server would.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/connect.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"
#include "daemon/access.h"
#include "daemon/privilege.h"
#include "store/store.h"

static const char *const head[] = {"ID", "NAME", "CREATED", "LAST USED", "REVOKED"};

/* ---- which way ---- */

static bool server_was_named(const struct cli *c)
{
    const char *env = getenv("SCANPOD_SERVER");

    return args_has(&c->args, "server") || (env && *env);
}

/* Makes a call. *local: nothing listens, and the store may be opened instead. */
static int call_server(struct cli *c, const struct call *call, struct answer *a, bool *local)
{
    struct err e = {0};
    int status;

    *local = false;
    if (!cli_client(c, &status)) {
        return status;
    }
    if (client_call(c->client, call, a, &e) == 0) {
        return cli_check(c, a);
    }
    if (a->not_connected && !server_was_named(c)) {
        *local = true;
        return STATUS_OK;
    }
    return cli_fail(c, &e, cli_hint_unreachable(c->client));
}

/* As the server does it: the lock first, then the user that the server works as, so that it can
 * read what is written. */
static int open_local(struct cli *c, struct store **out)
{
    struct option_set *s = cli_settings(c);
    const char *dir = option_str(s, "data-dir");
    auto_free char *url = str_fmt("sqlite:%s", dir ? dir : "");
    auto_fd int lock = -1;
    struct service_user user;
    struct err e = {0};
    int rc = dir ? service_user_find(option_str(s, "user"), &user, &e)
                 : err_set(&e, ERR_INVALID, "there is no data directory");

    if (rc == 0) {
        rc = data_dir_prepare(dir, &user, &e);
    }
    if (rc == 0) {
        rc = data_dir_lock(dir, &user, &lock, &e);
    }
    if (rc == 0) {
        rc = privilege_drop(&user, &e);
    }
    if (rc == 0) {
        rc = store_open_locked(url, lock, out, &e);
    }
    if (rc == 0) {
        lock = -1; /* the store's now */
    }
    return rc == 0 ? STATUS_OK : cli_fail(c, &e, NULL);
}

/* ---- what is shown ---- */

/* Appends an object of texts (name, value, name, value, ..., NULL); "" is null. */
static void add_object(struct buf *b, const char *const *pairs)
{
    json_t *o = json_object();
    char *text;

    for (; *pairs; pairs += 2) {
        json_object_set_new(o, pairs[0], *pairs[1] ? json_string(pairs[1]) : json_null());
    }
    text = json_dumps(o, JSON_COMPACT);
    buf_adds(b, text ? text : "{}");
    free(text);
    json_decref(o);
}

static void show_secret(struct cli *c, const char *id, const char *name, const char *secret)
{
    auto_buf b = {0};

    if (c->format == FORMAT_JSON) {
        add_object(&b, (const char *const[]){"id", id, "name", name, "key", secret, NULL});
    } else {
        buf_adds(&b, secret);
    }
    buf_addc(&b, '\n');
    out_buf(&b);
    say(&c->term, "key '%s' (%s) is shown only now; keep it in a file with mode 0600", name, id);
}

/* ---- create ---- */

static int create_local(struct cli *c, const char *name)
{
    char secret[SECRET_TEXT + 1];
    struct store *st = NULL;
    struct key k;
    struct err e = {0};
    int status = open_local(c, &st);
    int rc;

    if (status != STATUS_OK) {
        return status;
    }
    key_make(name, secret, &k);
    rc = store_key_add(st, &k, &e);
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
    bool local;
    int status;

    if (!name_ok(name)) {
        err_set(
            &e, ERR_INVALID,
            "key name '%s': expected a letter, then at most 63 letters, digits, '.', '_' or '-'",
            name);
        return cli_fail(c, &e, NULL);
    }
    add_object(&body, (const char *const[]){"name", name, NULL});
    status = call_server(
        c, &(struct call){.method = "POST", .path = "/api/v1/keys", .body = body.data}, &a, &local);
    if (local) {
        status = create_local(c, name);
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

static void list_object(struct key_list *l, const char *const *cells)
{
    add_object(&l->out,
               (const char *const[]){"id", cells[0], "name", cells[1], "created_at", cells[2],
                                     "last_used_at", cells[3], "revoked_at", cells[4], NULL});
}

static void list_row(struct key_list *l, const char *const *cells)
{
    switch (l->c->format) {
    case FORMAT_TABLE:
        table_row(&l->table, cells);
        return;
    case FORMAT_CSV:
        csv_row(&l->out, cells, ARRAY_LEN(head));
        break;
    case FORMAT_NDJSON:
        list_object(l, cells);
        buf_addc(&l->out, '\n');
        break;
    default:
        buf_addc(&l->out, l->n ? ',' : '[');
        list_object(l, cells);
    }
    l->n++;
    out_buf(&l->out);
}

static int list_item(void *arg, json_t *k)
{
    list_row(arg, (const char *const[]){json_text(k, "id"), json_text(k, "name"),
                                        json_text(k, "created_at"), json_text(k, "last_used_at"),
                                        json_text(k, "revoked_at")});
    return 0;
}

static int list_key(void *arg, const struct key *k, struct err *e)
{
    const int64_t times[] = {k->created_us, k->last_used_us, k->revoked_us};
    char text[ARRAY_LEN(times)][RFC3339_LEN + 1] = {{0}};

    (void)e;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (times[i]) {
            rfc3339_us(times[i], text[i]);
        }
    }
    list_row(arg, (const char *const[]){k->id, k->name, text[0], text[1], text[2]});
    return 0;
}

static int list_local(struct cli *c, struct key_list *l)
{
    struct store *st = NULL;
    struct err e = {0};
    int status = open_local(c, &st);

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
    status = call_server(c, &(struct call){.method = "GET", .path = "/api/v1/keys"}, &a, &local);
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

static int revoke_local(struct cli *c, const char *which)
{
    struct store *st = NULL;
    struct err e = {0};
    int status = open_local(c, &st);
    int rc;

    if (status != STATUS_OK) {
        return status;
    }
    rc = store_key_revoke(st, which, wall_us(), &e);
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
    status = call_server(c, &(struct call){.method = "DELETE", .path = path.data}, &a, &local);
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
