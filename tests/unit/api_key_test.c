/* Who may do what: scopes of keys against the table of routes, expiry, and what the audit log says.
 */
#include "api_rig.h"
#include "store/secret.h"

/* Makes a key in the store. Caller frees the secret. */
static char *make_key(const char *name, unsigned scopes, int64_t expires_us)
{
    char *secret = xcalloc(1, SECRET_TEXT + 1);
    struct key k;

    key_make(name, secret, &k);
    k.scopes = scopes;
    k.expires_us = expires_us;
    CHECK_OK(store_key_add(rig.store, &k, ERR));
    CHECK_OK(api_keys_load(rig.api, ERR));
    return secret;
}

/* The path with something in place of {id}. Caller frees. */
static char *path_of(const struct http_route *route)
{
    const char *at = strstr(route->pattern, "{id}");

    return at ? str_fmt("%.*s%032d%s", (int)(at - route->pattern), route->pattern, 0, at + 4)
              : xstrdup(route->pattern);
}

/* Only the head is waited for: some answers are streams. */
static struct answer head_of(const char *key, const struct http_route *route)
{
    auto_free char *path = path_of(route);
    struct answer a = {0};
    int fd = say_as(key, route->method, path, NULL, NULL);

    for (int i = 0; i < 500 && !(a.text.data && strstr(a.text.data, "\r\n\r\n")); i++) {
        turns(1);
        take(fd, &a.text);
    }
    turns(2);
    take(fd, &a.text);
    close(fd);
    turns(1);
    CHECK(a.text.data && str_starts(a.text.data, "HTTP/1.1 ") && strstr(a.text.data, "\r\n\r\n"));
    a.status = atoi(a.text.data + 9);
    a.body = strstr(a.text.data, "\r\n\r\n") + 4;
    return a;
}

static void check_pair(const struct http_route *route, const struct key_scope_row *scope,
                       const char *secret)
{
    const struct key k = {.scopes = scope->bit};
    bool either = route->flags & ROUTE_EITHER && scope->bit & KEY_SUBMIT_REPO;
    bool may = route->flags & ROUTE_OPEN || either || !(route->needs & ~key_scopes_held(&k));
    auto_answer got = head_of(secret, route);
    bool refused = got.status == 403 && strstr(got.body, "lacks the scope");

    if (got.status == 401 || refused == may) {
        tap_fail(__FILE__, __LINE__, "%s %s with scope %s: %d %s", route->method, route->pattern,
                 scope->name, got.status, got.body);
    }
}

static void every_route_lets_in_the_scope_of_its_row_and_no_other(void)
{
    rig_start(0, NULL);
    for (const struct key_scope_row *scope = key_scopes; scope->name; scope++) {
        auto_free char *name = str_fmt("key%u", scope->bit);
        auto_free char *secret = make_key(name, scope->bit, 0);

        for (const struct http_route *route = api_routes; route->method; route++) {
            check_pair(route, scope, secret);
        }
    }
    rig_stop();
}

static void a_route_is_open_or_names_one_scope(void)
{
    for (const struct http_route *route = api_routes; route->method; route++) {
        unsigned n = 0;

        for (const struct key_scope_row *scope = key_scopes; scope->name; scope++) {
            n += (route->needs & scope->bit) != 0;
        }
        if (n != (route->flags & ROUTE_OPEN ? 0 : 1)) {
            tap_fail(__FILE__, __LINE__, "%s %s names %u scopes", route->method, route->pattern, n);
        }
    }
}

static void a_route_whose_scope_was_forgotten_is_closed(void)
{
    static const struct http_route forgotten = {"GET", "/x", api_healthz, 0, 0, "x", 0};
    static const struct http_route table[] = {{"GET", "/x", api_healthz, 0, 0, "x", 0}, {NULL}};
    struct http_config hc = {.max_conns = 4};
    struct http_server *main_server;
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    int fd;

    rig_start(0, NULL);
    main_server = rig.server;
    addr = rig.addr;
    api_http_config(rig.api, &hc);
    hc.routes = table;
    CHECK_OK(http_server_new(rig.loop, &hc, &rig.server, ERR));
    CHECK_OK(http_listen("127.0.0.1:0", &fd, ERR));
    CHECK_INT(getsockname(fd, (struct sockaddr *)&rig.addr, &len), 0);
    CHECK_OK(http_server_listen(rig.server, fd, ERR));
    {
        auto_answer got = head_of("k", &forgotten); /* the configured key has every scope */

        CHECK_INT(got.status, 403);
    }
    http_server_free(rig.server);
    rig.server = main_server;
    rig.addr = addr;
    rig_stop();
}

static void the_admin_scope_includes_all_but_the_flags(void)
{
    const struct key admin = {.scopes = KEY_ADMIN};
    const struct key reader = {.scopes = KEY_READ};

    CHECK_INT(key_scopes_held(&admin), KEY_ALL & ~(KEY_RAW | KEY_AGGRESSIVE));
    CHECK_INT(key_scopes_held(&reader), KEY_READ);
}

static void an_expired_key_is_refused_and_told_so(void)
{
    auto_free char *old = NULL;
    auto_free char *good = NULL;

    rig_start(0, NULL);
    old = make_key("old", KEY_ALL, wall_us() - 1);
    good = make_key("good", KEY_ALL, wall_us() + INT64_C(3600) * 1000000);
    {
        auto_answer v1 = ask_as(old, "GET", "/api/v1/scans", NULL);
        auto_answer legacy = ask_as(old, "GET", "/scans", NULL);
        auto_answer fine = ask_as(good, "GET", "/scans", NULL);

        CHECK_INT(v1.status, 401);
        CHECK(strstr(v1.body, "expired"));
        CHECK_INT(legacy.status, 401);
        CHECK_STR(legacy.body, "{\"detail\":\"API key has expired\"}");
        CHECK_INT(fine.status, 200);
    }
    rig_stop();
}

static void an_event_stream_ends_with_its_key(void)
{
    auto_free char *secret = NULL;
    auto_buf got = {0};
    bool open = true;
    int fd;

    rig_start(0, NULL);
    secret = make_key("watcher", KEY_READ, 0);
    fd = say_as(secret, "GET", "/api/v1/events", NULL, NULL);
    for (int i = 0; i < 100 && !(got.data && strstr(got.data, "retry: ")); i++) {
        turns(1);
        open = take(fd, &got);
    }
    CHECK(open && strstr(got.data, "text/event-stream"));
    {
        auto_answer gone = ask("DELETE", "/api/v1/keys/watcher", NULL);

        CHECK_INT(gone.status, 204);
    }
    buf_reset(&got);
    free(submit("127.0.0.1"));
    for (int i = 0; i < 100 && open; i++) {
        turns(1);
        open = take(fd, &got);
    }
    close(fd);
    CHECK(!open);
    CHECK(!got.len || !strstr(got.data, "job.created"));
    rig_stop();
}

static void a_key_shows_its_scopes_expiry_and_quotas(void)
{
    rig_start(0, NULL);
    {
        auto_answer made = ask("POST", "/api/v1/keys",
                               "{\"name\":\"night\",\"scopes\":[\"read\",\"submit:network\"],"
                               "\"expires_at\":\"2999-01-31\",\"quota\":{\"waiting\":3,"
                               "\"addresses_per_day\":1000}}");
        auto_answer list = ask("GET", "/api/v1/keys", NULL);
        auto_answer plain = ask("POST", "/api/v1/keys", "{\"name\":\"plain\"}");

        CHECK_INT(made.status, 201);
        CHECK(has_header(&made, "Cache-Control: no-store"));
        CHECK(strstr(made.body, "\"scopes\":[\"read\",\"submit:network\"],\"quota\":{\"waiting\":3,"
                                "\"jobs_per_day\":null,\"addresses_per_day\":1000}"));
        CHECK(strstr(made.body, "\"expires_at\":\"2999-01-31T00:00:00.000000Z\""));
        CHECK(strstr(list.body, "\"scopes\":[\"read\",\"submit:network\"]"));
        CHECK(strstr(list.body, "\"expires_at\":\"2999-01-31T00:00:00.000000Z\""));
        CHECK(!strstr(list.body, "\"key\""));
        CHECK(strstr(plain.body, "\"admin\"") && strstr(plain.body, "\"raw\"")); /* its maker's */
        CHECK(strstr(plain.body, "\"expires_at\":null"));
    }
    rig_stop();
}

static void a_wrong_key_request_is_pointed_at(void)
{
    static const struct {
        const char *body, *pointer;
    } rows[] = {
        {"{\"name\":\"a\",\"scopes\":[]}", "/scopes"},
        {"{\"name\":\"a\",\"scopes\":\"read\"}", "/scopes"},
        {"{\"name\":\"a\",\"scopes\":[\"read\",\"root\"]}", "/scopes/1"},
        {"{\"name\":\"a\",\"scopes\":[\"read,admin\"]}", "/scopes/0"},
        {"{\"name\":\"a\",\"scopes\":[5]}", "/scopes/0"},
        {"{\"name\":\"a\",\"expires_at\":\"2001-01-01\"}", "/expires_at"},
        {"{\"name\":\"a\",\"expires_at\":\"soon\"}", "/expires_at"},
        {"{\"name\":\"a\",\"expires_at\":5}", "/expires_at"},
        {"{\"name\":\"a\",\"quota\":5}", "/quota"},
        {"{\"name\":\"a\",\"quota\":{\"jobs\":5}}", "/quota"},
        {"{\"name\":\"a\",\"quota\":{\"waiting\":-1}}", "/quota/waiting"},
        {"{\"name\":\"a\",\"quota\":{\"jobs_per_day\":2147483648}}", "/quota/jobs_per_day"},
        {"{\"name\":\"a\",\"scope\":[\"read\"]}", "/scope"},
    };

    rig_start(0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer got = ask("POST", "/api/v1/keys", rows[i].body);
        auto_free char *want = str_fmt("\"pointer\":\"%s\"", rows[i].pointer);

        if (got.status != 422 || !strstr(got.body, want)) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", rows[i].body, got.status, got.body);
        }
    }
    rig_stop();
}

static void a_key_makes_no_key_that_may_more_than_itself(void)
{
    auto_free char *admin = NULL;

    rig_start(0, NULL);
    admin = make_key("admin", KEY_ADMIN, 0);
    {
        auto_answer more =
            ask_as(admin, "POST", "/api/v1/keys", "{\"name\":\"a\",\"scopes\":[\"read\",\"raw\"]}");
        auto_answer same =
            ask_as(admin, "POST", "/api/v1/keys", "{\"name\":\"b\",\"scopes\":[\"admin\"]}");
        auto_answer list = ask("GET", "/api/v1/keys", NULL);

        CHECK_INT(more.status, 403);
        CHECK(strstr(more.body, "lacks the scope 'raw'"));
        CHECK(strstr(more.body, "\"rule\":\"key.scope\""));
        CHECK_INT(same.status, 201);
        CHECK(!strstr(list.body, "\"name\":\"a\""));
    }
    rig_stop();
}

/* ---- the audit log ---- */

static json_t *audit_log(const char *query)
{
    auto_free char *path = str_fmt("/api/v1/audit%s", query);
    auto_answer got = ask("GET", path, NULL);
    json_t *v = json_loads(got.body, 0, NULL);

    CHECK_INT(got.status, 200);
    CHECK(v);
    return v;
}

static const char *text_of(const json_t *item, const char *name)
{
    return json_string_value(json_object_get(item, name));
}

static void what_was_done_stands_in_the_audit_log(void)
{
    static const char *const actions[] = {"scan.submit", "scan.cancel", "scan.delete",
                                          "scan.submit", "scan.purge",  "scan.refused",
                                          "key.create",  "key.revoke",  "policy.reload"};
    auto_free char *id = NULL;
    const json_t *log;
    json_t *page;
    uint8_t head[32];
    int64_t n = 0;

    rig_start(0, NULL);
    id = submit("127.0.0.1");
    {
        auto_free char *cancel = str_fmt("/api/v1/scans/%s/cancel", id);
        auto_free char *path = str_fmt("/scans/%s", id);
        auto_answer done = ask("POST", cancel, NULL);
        auto_answer again = ask("POST", cancel, NULL);
        auto_answer gone = ask("DELETE", path, NULL);

        CHECK_INT(done.status, 200);
        CHECK_INT(again.status, 409); /* nothing was done */
        CHECK_INT(gone.status, 204);
    }
    free(submit("127.0.0.2"));
    {
        auto_answer purge = ask("DELETE", "/scans", NULL);
        auto_answer refused = ask("POST", "/scans", "{\"targets\":\"203.0.113.7\"}");
        auto_answer key = ask("POST", "/api/v1/keys", "{\"name\":\"ci\"}");
        auto_answer revoke = ask("DELETE", "/api/v1/keys/ci", NULL);
        auto_answer reload = ask("POST", "/api/v1/policy/reload", NULL);

        CHECK_INT(purge.status, 200);
        CHECK_INT(refused.status, 403);
        CHECK_INT(key.status, 201);
        CHECK_INT(revoke.status, 204);
        CHECK_INT(reload.status, 409); /* there is no file */
    }
    page = audit_log("");
    log = json_object_get(page, "items");
    CHECK_INT(json_array_size(log), ARRAY_LEN(actions));
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        const json_t *item = json_array_get(log, i);

        CHECK_INT(json_integer_value(json_object_get(item, "seq")), i + 1);
        CHECK_STR(text_of(item, "action"), actions[i]);
        CHECK_STR(text_of(item, "actor"), "config");
        CHECK_INT(strlen(text_of(item, "hash")), 64);
        CHECK_STR(text_of(json_object_get(item, "detail"), "peer"), "127.0.0.1");
    }
    CHECK_STR(text_of(json_array_get(log, 0), "object"), id);
    CHECK_STR(text_of(json_object_get(json_array_get(log, 0), "detail"), "targets"), "127.0.0.1");
    CHECK_STR(text_of(json_object_get(json_array_get(log, 5), "detail"), "rule"), "policy.scope");
    json_decref(page);
    CHECK_OK(store_audit_verify(rig.store, NULL, &n, head, ERR));
    CHECK_INT(n, ARRAY_LEN(actions));
    rig_stop();
}

static void the_audit_log_is_read_in_pages(void)
{
    json_t *page;
    int64_t after = 0;
    int seen = 0;

    rig_start(0, NULL);
    for (int i = 0; i < 5; i++) {
        free(submit("127.0.0.1"));
    }
    for (int pages = 0; pages < 10; pages++) {
        auto_free char *query = str_fmt("?after=%" PRId64 "&limit=2", after);
        const json_t *next;

        page = audit_log(query);
        seen += (int)json_array_size(json_object_get(page, "items"));
        next = json_object_get(page, "next");
        after = json_integer_value(next);
        if (json_is_null(next)) {
            json_decref(page);
            break;
        }
        json_decref(page);
    }
    CHECK_INT(seen, 5);
    {
        auto_answer wrong = ask("GET", "/api/v1/audit?after=-1", NULL);
        auto_answer unknown = ask("GET", "/api/v1/audit?cursor=1", NULL);

        CHECK_INT(wrong.status, 422);
        CHECK_INT(unknown.status, 422);
    }
    rig_stop();
}

TESTS(every_route_lets_in_the_scope_of_its_row_and_no_other, a_route_is_open_or_names_one_scope,
      a_route_whose_scope_was_forgotten_is_closed, the_admin_scope_includes_all_but_the_flags,
      an_expired_key_is_refused_and_told_so, an_event_stream_ends_with_its_key,
      a_key_shows_its_scopes_expiry_and_quotas, a_wrong_key_request_is_pointed_at,
      a_key_makes_no_key_that_may_more_than_itself, what_was_done_stands_in_the_audit_log,
      the_audit_log_is_read_in_pages)
