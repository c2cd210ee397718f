/* The API as clients meet it: the old surface, /api/v1, waiting answers, streams. */
#include "api_rig.h"

/* ---- the old surface ---- */

static void a_job_goes_through_the_old_surface_with_its_words(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(0, NULL);
    {
        auto_answer none = ask("GET", "/scans", NULL);

        CHECK_STR(none.body, "[]");
    }
    id = submit("127.0.0.1");
    path = str_fmt("/scans/%s", id);
    {
        auto_answer got = ask("GET", path, NULL);
        auto_answer list = ask("GET", "/scans", NULL);
        auto_answer refused = ask("DELETE", path, NULL);
        auto_free char *want = str_fmt("[{\"job_id\":\"%s\",\"status\":\"pending\"}]", id);

        CHECK_STR(list.body, want);
        CHECK(strstr(got.body, "\"request\":{\"targets\":\"127.0.0.1\",\"ports\":null,"
                               "\"arguments\":null,\"timeout\":null},\"result\":null,"
                               "\"error\":null,\"created_at\":\"20"));
        CHECK(strstr(got.body, "Z\",\"started_at\":null,\"completed_at\":null}"));
        CHECK_INT(refused.status, 409);
        CHECK_STR(refused.body, "{\"detail\":\"Job cannot be deleted in status 'pending' — cancel "
                                "it first\"}");
    }
    {
        auto_free char *cancel = str_fmt("%s/cancel", path);
        auto_answer got = ask("POST", cancel, NULL);
        auto_answer again = ask("POST", cancel, NULL);

        CHECK_INT(got.status, 200);
        CHECK(strstr(got.body, "\"status\":\"cancelled\""));
        CHECK(strstr(got.body, "\"result\":null"));
        CHECK(!strstr(got.body, "\"completed_at\":null"));
        CHECK_INT(again.status, 409);
        CHECK_STR(again.body, "{\"detail\":\"Job cannot be cancelled in status 'cancelled' — it "
                              "has already finished\"}");
    }
    {
        auto_answer gone = ask("DELETE", path, NULL);
        auto_answer lost = ask("GET", path, NULL);
        auto_answer purged = ask("DELETE", "/scans", NULL);

        CHECK_INT(gone.status, 204);
        CHECK_INT(lost.status, 404);
        CHECK_STR(lost.body, "{\"detail\":\"Job not found\"}");
        CHECK_STR(purged.body, "{\"deleted\":0}");
    }
    rig_stop();
}

static void paths_and_methods_that_do_not_exist_are_told_as_before(void)
{
    rig_start(0, NULL);
    {
        auto_answer nothing = ask("GET", "/nothing", NULL);
        auto_answer method = ask("PUT", "/scans", NULL);
        auto_answer slash = ask("GET", "/scans/", NULL);
        auto_answer odd = ask("GET", "/scans/a%3fb%0d%0aX:%20y/", NULL);
        auto_answer v1 = ask("GET", "/api/v1/nothing", NULL);
        auto_answer v1_slash = ask("GET", "/api/v1/scans/", NULL);

        CHECK_INT(nothing.status, 404);
        CHECK_STR(nothing.body, "{\"detail\":\"Not Found\"}");
        CHECK_INT(method.status, 405);
        CHECK_STR(method.body, "{\"detail\":\"Method Not Allowed\"}");
        CHECK(has_header(&method, "\r\nAllow: "));
        CHECK_INT(slash.status, 307);
        CHECK(has_header(&slash, "\r\nLocation: /scans\r\n"));
        CHECK_INT(odd.status, 307);
        CHECK(has_header(&odd, "\r\nLocation: /scans/a%3Fb%0D%0AX%3A%20y\r\n"));
        CHECK_INT(v1.status, 404);
        CHECK(has_header(&v1, "application/problem+json"));
        CHECK_INT(v1_slash.status, 404);
    }
    rig_stop();
}

static void check_silent(int fd)
{
    auto_buf got = {0};

    CHECK(take(fd, &got));
    CHECK_INT(got.len, 0);
}

static void a_cancel_answers_when_the_tool_is_dead(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    struct answer got;
    int fd;

    rig_start(1, NULL);
    id = submit("127.0.0.1");
    turns(3);
    CHECK_INT(rig.runs, 1);
    path = str_fmt("/scans/%s/cancel", id);
    fd = say("POST", path, NULL, NULL);
    turns(20);
    CHECK_INT(rig.cancels, 1);
    check_silent(fd);
    finish(JOB_CANCELLED);
    got = hear(fd);
    CHECK_INT(got.status, 200);
    CHECK(strstr(got.body, "\"status\":\"cancelled\""));
    CHECK(strstr(got.body, "\"result\":null"));
    answer_done(&got);
    rig_stop();
}

static void a_run_that_ends_before_its_cancel_was_not_cancelled(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    struct answer got;
    int fd;

    rig_start(1, NULL);
    id = submit("127.0.0.1");
    turns(3);
    path = str_fmt("/scans/%s/cancel", id);
    fd = say("POST", path, NULL, NULL);
    turns(5);
    finish(JOB_FAILED);
    got = hear(fd);
    CHECK(got.status == 409 || got.status == 200);
    CHECK(got.status == 409 ? strstr(got.body, "status 'failed'") != NULL
                            : strstr(got.body, "\"status\":\"cancelled\"") != NULL);
    answer_done(&got);
    rig_stop();
}

static void a_client_that_leaves_while_it_waits_leaves_nothing_behind(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = submit("127.0.0.1");
    turns(3);
    path = str_fmt("/api/v1/scans/%s?wait=30", id);
    for (int i = 0; i < 5; i++) {
        int fd = say("GET", path, NULL, NULL);

        turns(3);
        close(fd);
        turns(3);
    }
    finish(JOB_COMPLETED);
    rig_stop();
}

/* ---- results ---- */

static void add_host(unsigned n, const uint16_t *ports, size_t n_ports)
{
    char addr[32];
    struct host_addr a = {.addr = addr, .type = "ipv4"};
    struct host h = {.addrs = &a, .n_addrs = 1, .state = "up", .reason_ttl = -1};
    int64_t seq;

    snprintf(addr, sizeof addr, "127.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
    CHECK_OK(store_host_begin(rig.store, &rig.run, &h, &seq, ERR));
    for (size_t i = 0; i < n_ports; i++) {
        struct port p = {.number = ports[i],
                         .protocol = i % 2 ? "udp" : "tcp",
                         .state = "open",
                         .reason_ttl = -1,
                         .conf = -1,
                         .service = "<script>\"\n",
                         .has_service = true};

        CHECK_OK(store_host_port(rig.store, &p, ERR));
    }
    CHECK_OK(store_host_end(rig.store, ERR));
}

static char *completed_job(unsigned hosts)
{
    static const uint16_t ports[] = {443, 53, 22, 161, 80};
    char *id = submit("127.0.0.1");

    turns(3);
    for (unsigned i = 0; i < hosts; i++) {
        add_host(i + 1, ports, ARRAY_LEN(ports));
        if (i % 500 == 499) {
            turns(1);
        }
    }
    finish(JOB_COMPLETED);
    return id;
}

static void ports_are_sorted_inside_each_protocol_whatever_the_tool_said(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = completed_job(2);
    path = str_fmt("/scans/%s", id);
    for (int i = 0; i < 2; i++) { /* from the store, then from the cache */
        auto_answer got = ask("GET", path, NULL);
        static const char *const order[] = {"\"port\":22,\"protocol\":\"tcp\"", "\"port\":80,",
                                            "\"port\":443,", "\"port\":53,\"protocol\":\"udp\"",
                                            "\"port\":161,"};
        const char *at = got.body;
        json_t *v = json_loads(got.body, 0, NULL);

        CHECK(v);
        json_decref(v);
        for (size_t k = 0; k < ARRAY_LEN(order); k++) {
            at = strstr(at, order[k]);
            CHECK(at);
        }
        CHECK(strstr(got.body, "\"service\":\"<script>\\\"\\n\""));
        CHECK(strstr(got.body, "\"command_line\":\"nmap -oX - x\""));
    }
    rig_stop();
}

static size_t count(const char *s, const char *needle)
{
    size_t n = 0;

    while ((s = strstr(s, needle)) != NULL) {
        n++;
        s += strlen(needle);
    }
    return n;
}

static void many_hosts_are_streamed_whole_in_every_form(void)
{
    enum { HOSTS = 3000 };
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = completed_job(HOSTS);
    path = str_fmt("/scans/%s", id);
    {
        auto_answer whole = ask("GET", path, NULL);
        json_t *v = json_loads(whole.body, 0, NULL);

        CHECK_INT(json_array_size(json_object_get(json_object_get(v, "result"), "hosts")), HOSTS);
        json_decref(v);
    }
    {
        auto_free char *lines = str_fmt("/api/v1/scans/%s/hosts?format=ndjson", id);
        auto_answer got = ask("GET", lines, NULL);

        CHECK(has_header(&got, "application/x-ndjson"));
        CHECK_INT(count(got.body, "\n"), HOSTS);
        CHECK_INT(count(got.body, "\"seq\":"), HOSTS);
    }
    {
        auto_free char *next = str_fmt("/api/v1/scans/%s/hosts?limit=1000&state=up", id);
        size_t seen = 0;

        for (int pages = 0; next; pages++) {
            auto_answer got = ask("GET", next, NULL);
            json_t *v = json_loads(got.body, 0, NULL);
            const char *cursor = json_string_value(json_object_get(v, "next_cursor"));

            CHECK(pages < 20);
            seen += json_array_size(json_object_get(v, "items"));
            free(next);
            next = cursor
                       ? str_fmt("/api/v1/scans/%s/hosts?limit=1000&state=up&cursor=%s", id, cursor)
                       : NULL;
            CHECK(!cursor || has_header(&got, "\r\nLink: </api/v1/scans/"));
            json_decref(v);
        }
        CHECK_INT(seen, HOSTS);
    }
    rig_stop();
}

/* Lets the kernel take little from the server's end of this connection. */
static void narrow(int fd)
{
    struct sockaddr_in mine;
    struct sockaddr_in peer;
    socklen_t len = sizeof mine;
    int small = 8192;

    CHECK_INT(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
    for (int other = 0; other < 256; other++) {
        len = sizeof peer;
        if (getpeername(other, (struct sockaddr *)&peer, &len) == 0 &&
            peer.sin_port == mine.sin_port) {
            CHECK_INT(setsockopt(other, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        }
    }
}

static void a_list_that_is_deleted_while_it_is_sent_does_not_look_whole(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    auto_buf got = {0};
    struct id raw;
    int fd;

    rig_start(1, NULL);
    id = completed_job(1500);
    path = str_fmt("/api/v1/scans/%s/hosts?format=ndjson", id);
    fd = say("GET", path, NULL, NULL);
    turns(1);
    narrow(fd);
    turns(3);
    CHECK(id_parse(id, &raw));
    CHECK_OK(store_job_delete(rig.store, &raw, ERR));
    for (int i = 0; i < 5000 && take(fd, &got); i++) {
        turns(1);
    }
    close(fd);
    CHECK(got.len > 0 && !strstr(got.data, "\r\n0\r\n\r\n"));
    rig_stop();
}

static void a_cached_job_that_was_deleted_is_gone_at_once(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = completed_job(1);
    path = str_fmt("/scans/%s", id);
    for (int i = 0; i < 3; i++) {
        auto_answer got = ask("GET", path, NULL);

        CHECK_INT(got.status, 200);
    }
    CHECK(view_cache_bytes(rig.api->cache) > 0);
    {
        struct id raw;

        CHECK(id_parse(id, &raw));
        CHECK_OK(store_job_delete(rig.store, &raw, ERR)); /* not through the API: expired, say */
    }
    {
        auto_answer got = ask("GET", path, NULL);

        CHECK_INT(got.status, 404);
    }
    rig_stop();
}

/* ---- /api/v1 ---- */

static void a_request_is_refused_with_a_pointer_to_each_wrong_member(void)
{
    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", "/api/v1/scans",
                              "{\"targets\":[\"127.0.0.1\",\"-oN\"],\"port\":\"80\",\"timeout\":0,"
                              "\"priority\":\"4\",\"retries\":21,\"a/b~\":1,\"tool\":\"vi\"}");
        json_t *v = json_loads(got.body, 0, NULL);
        static const char *const pointers[] = {"/port",    "/a~1b~0",   "/tool",   "/targets",
                                               "/timeout", "/priority", "/retries"};
        const json_t *errors = json_object_get(v, "errors");

        CHECK_INT(got.status, 422);
        CHECK(has_header(&got, "application/problem+json"));
        CHECK(has_header(&got, "X-Request-Id: "));
        CHECK_INT(json_array_size(errors), ARRAY_LEN(pointers));
        for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
            auto_free char *want = str_fmt("\"pointer\":\"%s\"", pointers[i]);

            CHECK(strstr(got.body, want));
        }
        CHECK(strstr(got.body, "did you mean \\\"ports\\\"?"));
        json_decref(v);
    }
    {
        auto_answer cut = ask("POST", "/api/v1/scans", "{\"targets\":");
        auto_answer list = ask("POST", "/api/v1/scans", "[]");
        auto_answer query = ask("GET", "/api/v1/scans?limit=1001", NULL);
        auto_answer unknown = ask("GET", "/api/v1/scans?page=2", NULL);
        auto_answer type = hear(say("POST", "/api/v1/scans", "Content-Type: text/plain\r\n", "{}"));

        CHECK_INT(cut.status, 400);
        CHECK_INT(list.status, 422);
        CHECK_INT(query.status, 422);
        CHECK(strstr(query.body, "\"pointer\":\"?limit\""));
        CHECK_INT(unknown.status, 422);
        CHECK_INT(type.status, 415);
    }
    {
        int64_t counts[JOB_STATES];

        store_job_counts(rig.store, counts);
        CHECK_INT(counts[JOB_QUEUED], 0);
    }
    rig_stop();
}

static void arguments_in_an_array_stay_apart(void)
{
    static const char *const odd[] = {"[\"-sT -sV\"]", "[\"\"]", "[\"-sT\",\"a='b c'\"]"};

    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", "/api/v1/scans",
                              "{\"targets\":[\"127.0.0.1\",\"127.0.0.2\"],"
                              "\"arguments\":[\"-sT\",\"--top-ports\",\"10\"]}");

        CHECK_INT(got.status, 202);
        CHECK(strstr(got.body, "\"targets\":\"127.0.0.1 127.0.0.2\""));
        CHECK(strstr(got.body, "\"arguments\":\"-sT --top-ports 10\""));
    }
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        auto_free char *body = str_fmt("{\"targets\":\"127.0.0.1\",\"arguments\":%s}", odd[i]);
        auto_answer got = ask("POST", "/api/v1/scans", body);

        CHECK_INT(got.status, 422);
        CHECK(strstr(got.body, "\"pointer\":\"/arguments\""));
    }
    rig_stop();
}

static void the_same_idempotency_key_gives_the_same_job(void)
{
    static const char head[] = "Content-Type: application/json\r\nIdempotency-Key: order-1\r\n";

    rig_start(0, NULL);
    {
        auto_answer one = hear(say("POST", "/api/v1/scans", head, "{\"targets\":\"127.0.0.1\"}"));
        auto_answer two = hear(say("POST", "/api/v1/scans", head, "{\"targets\":\"127.0.0.1\"}"));
        auto_answer other = hear(say("POST", "/api/v1/scans", head, "{\"targets\":\"127.0.0.2\"}"));
        auto_answer bad = hear(say("POST", "/api/v1/scans",
                                   "Content-Type: application/json\r\nIdempotency-Key: a b\r\n",
                                   "{\"targets\":\"127.0.0.1\"}"));
        auto_free char *a = member_of(one.body, "id");
        auto_free char *b = member_of(two.body, "id");

        CHECK_INT(one.status, 202);
        CHECK(!has_header(&one, "Idempotency-Replayed"));
        CHECK_INT(two.status, 202);
        CHECK(has_header(&two, "\r\nIdempotency-Replayed: true\r\n"));
        CHECK_STR(a, b);
        CHECK_INT(other.status, 422);
        CHECK_INT(bad.status, 400);
    }
    rig_stop();
}

static void a_list_is_paged_and_filtered(void)
{
    rig_start(0, NULL);
    for (int i = 0; i < 5; i++) {
        free(submit("127.0.0.1"));
    }
    {
        auto_answer first = ask("GET", "/api/v1/scans?limit=3", NULL);
        json_t *v = json_loads(first.body, 0, NULL);
        auto_free char *path = str_fmt("/api/v1/scans?limit=3&cursor=%s",
                                       json_string_value(json_object_get(v, "next_cursor")));
        auto_answer second = ask("GET", path, NULL);
        auto_answer none = ask("GET", "/api/v1/scans?state=running,failed", NULL);
        auto_answer all = ask("GET", "/api/v1/scans?state=queued&tool=nmap&since=2020-01-01", NULL);
        auto_answer bad = ask("GET", "/api/v1/scans?state=done", NULL);
        auto_answer forged = ask("GET", "/api/v1/scans?cursor=j0000000000000000", NULL);

        CHECK_INT(count(first.body, "\"state\":\"queued\""), 3);
        CHECK(has_header(&first, "\r\nLink: </api/v1/scans?cursor="));
        CHECK_INT(count(second.body, "\"state\":\"queued\""), 2);
        CHECK(strstr(second.body, "\"next_cursor\":null"));
        CHECK_STR(none.body, "{\"items\":[],\"next_cursor\":null}");
        CHECK_INT(count(all.body, "\"state\":\"queued\""), 5);
        CHECK_INT(bad.status, 422);
        CHECK_INT(forged.status, 422);
        json_decref(v);
    }
    rig_stop();
}

static void a_long_poll_answers_when_the_job_changes(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    auto_free char *wait = NULL;
    struct answer got;
    char head[64];
    int fd;

    rig_start(1, NULL);
    id = submit("127.0.0.1");
    turns(3);
    path = str_fmt("/api/v1/scans/%s", id);
    wait = str_fmt("%s?wait=60", path);
    {
        auto_answer now = ask("GET", path, NULL);
        const char *etag = strstr(now.text.data, "\r\nETag: ");

        CHECK_INT(now.status, 200);
        CHECK(etag);
        snprintf(head, sizeof head, "If-None-Match: %.*s\r\n", (int)strcspn(etag + 8, "\r"),
                 etag + 8);
        auto_answer same = hear(say("GET", path, head, NULL));
        auto_answer other = hear(say("GET", wait, "If-None-Match: \"r0\"\r\n", NULL));

        CHECK_INT(same.status, 304);
        CHECK_INT(other.status, 200);
    }
    fd = say("GET", wait, head, NULL);
    turns(10);
    check_silent(fd);
    finish(JOB_COMPLETED);
    got = hear(fd);
    CHECK_INT(got.status, 200);
    CHECK(strstr(got.body, "\"state\":\"completed\""));
    CHECK(strstr(got.body, "\"remaining_s\":0}")); /* nothing, not nothing known */
    answer_done(&got);
    got = ask("GET", wait, NULL); /* terminal: at once */
    CHECK_INT(got.status, 200);
    answer_done(&got);
    rig_stop();
}

static void a_long_poll_gives_up_with_304(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(0, NULL);
    id = submit("127.0.0.1");
    path = str_fmt("/api/v1/scans/%s?wait=1", id);
    {
        auto_answer got = hear(say("GET", path, "If-None-Match: \"r1\"\r\n", NULL));

        CHECK_INT(got.status, 304);
    }
    rig_stop();
}

static void a_retry_is_a_new_job_with_the_same_request(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = submit("127.0.0.7");
    turns(3);
    path = str_fmt("/api/v1/scans/%s/retry", id);
    {
        auto_answer early = ask("POST", path, NULL);

        CHECK_INT(early.status, 409);
    }
    finish(JOB_FAILED);
    {
        auto_answer got = ask("POST", path, NULL);
        auto_free char *again = member_of(got.body, "id");

        CHECK_INT(got.status, 202);
        CHECK(!str_eq(again, id));
        CHECK(strstr(got.body, "\"targets\":\"127.0.0.7\""));
    }
    rig_stop();
}

/* ---- keys ---- */

static int with(const char *method, const char *path, const char *headers)
{
    auto_free char *text = str_fmt("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s"
                                   "\r\n",
                                   method, path, headers);
    int fd = dial();

    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

static int status_with(const char *path, const char *headers)
{
    auto_answer a = hear(with("GET", path, headers));

    return a.status;
}

static void only_a_known_key_in_force_lets_in(void)
{
    auto_free char *secret = NULL;
    auto_free char *id = NULL;
    auto_free char *bearer = NULL;
    auto_free char *both = NULL;

    rig_start(0, NULL);
    CHECK_INT(status_with("/scans", ""), 401);
    CHECK_INT(status_with("/scans", "X-API-Key: wrong\r\n"), 401);
    CHECK_INT(status_with("/scans", "X-API-Key: \r\n"), 401);
    CHECK_INT(status_with("/scans", "X-API-Key: k\r\n"), 200);
    CHECK_INT(status_with("/scans", "Authorization: Bearer k\r\n"), 200);
    CHECK_INT(status_with("/scans", "Authorization: Basic k\r\n"), 401);
    CHECK_INT(status_with("/api/v1/scans", "X-API-Key: k\r\nAuthorization: Bearer k\r\n"), 200);
    CHECK_INT(status_with("/api/v1/scans", "X-API-Key: k\r\nAuthorization: Bearer x\r\n"), 400);
    CHECK_INT(status_with("/health", ""), 200);
    CHECK_INT(status_with("/metrics", ""), 401);
    {
        auto_answer none = hear(with("GET", "/scans", ""));
        auto_answer wrong = hear(with("GET", "/scans", "X-API-Key: x\r\n"));

        CHECK_STR(none.body, "{\"detail\":\"Not authenticated\"}");
        CHECK(has_header(&none, "\r\nWWW-Authenticate: "));
        CHECK_STR(wrong.body, "{\"detail\":\"Invalid API key\"}");
    }
    {
        auto_answer made = ask("POST", "/api/v1/keys", "{\"name\":\"ci\"}");
        auto_answer twice = ask("POST", "/api/v1/keys", "{\"name\":\"ci\"}");
        auto_answer list = ask("GET", "/api/v1/keys", NULL);

        CHECK_INT(made.status, 201);
        CHECK_INT(twice.status, 409);
        secret = member_of(made.body, "key");
        id = member_of(made.body, "id");
        CHECK(strstr(list.body, id));
        CHECK(!strstr(list.body, secret));
    }
    bearer = str_fmt("Authorization: Bearer %s\r\n", secret);
    both = str_fmt("X-API-Key: k\r\n%s", bearer);
    CHECK_INT(status_with("/api/v1/scans", bearer), 200);
    CHECK_INT(status_with("/api/v1/scans", both), 400);
    {
        auto_free char *path = str_fmt("/api/v1/keys/%s", id);
        auto_answer revoked = ask("DELETE", path, NULL);
        auto_answer unknown = ask("DELETE", "/api/v1/keys/nobody", NULL);

        CHECK_INT(revoked.status, 204);
        CHECK_INT(unknown.status, 404);
    }
    CHECK_INT(status_with("/api/v1/scans", bearer), 401);
    rig_stop();
}

/* ---- events ---- */

static int listen_events(const char *query, const char *headers, struct buf *got)
{
    auto_free char *path = str_fmt("/api/v1/events%s", query);
    int fd = say("GET", path, headers, NULL);

    for (int i = 0; i < 100 && (!got->len || !strstr(got->data, "retry: 2000")); i++) {
        turns(1);
        CHECK(take(fd, got));
    }
    CHECK(strstr(got->data, "text/event-stream"));
    return fd;
}

static void hear_until(int fd, struct buf *got, const char *needle)
{
    for (int i = 0; i < 500 && !(got->data && strstr(got->data, needle)); i++) {
        turns(1);
        if (!take(fd, got)) {
            break;
        }
    }
    CHECK(got->data && strstr(got->data, needle));
}

static void events_come_as_they_are_committed_and_are_replayed(void)
{
    auto_buf live = {0};
    auto_buf one_job = {0};
    auto_buf replayed = {0};
    auto_buf rest = {0};
    auto_free char *first = NULL;
    auto_free char *second = NULL;
    auto_free char *query = NULL;
    int fds[4];

    rig_start(1, NULL);
    fds[0] = listen_events("", NULL, &live);
    first = submit("127.0.0.1");
    hear_until(fds[0], &live, "event: job.state");
    CHECK(strstr(live.data, "event: job.created\ndata: {\"job_id\":\""));
    CHECK(strstr(live.data, first));
    second = submit("127.0.0.2");
    hear_until(fds[0], &live, second);

    query = str_fmt("?after=0&job=%s&topics=job.created,job.state", second);
    fds[1] = listen_events(query, NULL, &one_job);
    hear_until(fds[1], &one_job, second);
    CHECK(!strstr(one_job.data, first));

    fds[2] = listen_events("?after=0", NULL, &replayed);
    hear_until(fds[2], &replayed, second);
    CHECK(strstr(replayed.data, first));
    CHECK(strstr(replayed.data, "id: 1\n"));

    fds[3] = listen_events("", "Last-Event-ID: 1\r\n", &rest);
    hear_until(fds[3], &rest, second);
    CHECK(!strstr(rest.data, "id: 1\n"));
    CHECK(strstr(rest.data, "id: 2\n"));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    turns(5);
    rig_stop();
}

static void a_place_that_is_not_kept_is_a_gap(void)
{
    auto_buf got = {0};
    auto_free char *id = NULL;
    int64_t n = 0;
    int fd;

    rig_start(0, NULL);
    id = submit("127.0.0.1");
    free(submit("127.0.0.1"));
    turns(2);
    CHECK_OK(store_event_expire(rig.store, INT64_MAX, 1, &n, ERR));
    turns(2);
    if (n == 0) {
        tap_skip("the memory store expires no events");
    }
    fd = listen_events("?after=0", NULL, &got);
    hear_until(fd, &got, "event: gap\n");
    close(fd);
    buf_reset(&got);
    fd = listen_events("?after=99999", NULL, &got);
    hear_until(fd, &got, "event: gap\n");
    close(fd);
    turns(3);
    rig_stop();
}

static void a_client_that_does_not_read_is_told_that_it_lagged(void)
{
    auto_buf got = {0};
    bool open = true;
    int fd = 0;

    rig_start(0, NULL);
    rig.api->cfg.queue_timeout_s = 0;
    fd = listen_events("?after=0", NULL, &got);
    narrow(fd);
    for (int i = 0; i < 5000; i++) {
        struct job job = {.id = id_new(), .timeout_s = INT64_MIN, .max_attempts = 1};

        job.tool = xstrdup("nmap");
        job.targets = xstrdup("127.0.0.1");
        job.created_us = wall_us();
        CHECK_OK(store_job_add(rig.store, &job, ERR));
        job_done(&job);
        if (i % 200 == 199) {
            turns(1);
        }
    }
    for (int i = 0; i < 5000 && open; i++) {
        turns(1);
        open = take(fd, &got);
    }
    CHECK(!open);
    CHECK(strstr(got.data, "event: lagged\n"));
    close(fd);
    turns(2);
    rig_stop();
}

static void many_idle_listeners_do_not_hold_up_a_request(void)
{
    enum { CLIENTS = 40 };
    struct buf got[CLIENTS] = {0};
    auto_free char *id = NULL;
    int fds[CLIENTS];

    rig_start(0, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = listen_events("", NULL, &got[i]);
    }
    id = submit("127.0.0.1");
    for (int i = 0; i < CLIENTS; i++) {
        hear_until(fds[i], &got[i], id);
        buf_done(&got[i]);
        close(fds[i]);
    }
    turns(5);
    rig_stop();
}

/* ---- the server itself ---- */

static void metrics_have_help_and_type_for_each_name(void)
{
    const char *line;

    rig_start(1, NULL);
    free(submit("127.0.0.1"));
    {
        auto_answer got = ask("GET", "/metrics", NULL);

        CHECK_INT(got.status, 200);
        CHECK(has_header(&got, "text/plain; version=0.0.4"));
        for (line = got.body; line && *line; line = strchr(line, '\n') + 1) {
            size_t n = strcspn(line, "{ ");
            auto_free char *name = xstrndup(line, n);
            auto_free char *type = str_fmt("# TYPE %s ", name);
            bool part = n > 6 && (str_eq(name + n - 6, "_count") || str_eq(name + n - 4, "_sum"));

            CHECK(*line == '#' || part || strstr(got.body, type));
        }
        CHECK(strstr(got.body, "scanpod_http_requests_total{route=\"oldSubmit\",method=\"POST\","
                               "code=\"202\"} 1\n"));
        CHECK(strstr(got.body, "scanpod_jobs_submitted_total{source=\"old\",result=\"accepted\"} "
                               "1\n"));
    }
    rig_stop();
}

static void health_needs_no_key_and_says_what_is_wrong(void)
{
    rig_start(0, NULL);
    {
        auto_answer health = hear(with("GET", "/health", ""));
        auto_answer live = hear(with("GET", "/healthz", ""));
        auto_answer ready = hear(with("GET", "/readyz?verbose", ""));
        auto_answer api = hear(with("GET", "/openapi.json", ""));
        auto_answer docs = hear(with("GET", "/docs", ""));

        CHECK_STR(health.body, "{\"status\":\"ok\"}");
        CHECK_STR(live.body, "{\"status\":\"ok\"}");
        CHECK_INT(ready.status, 200);
        CHECK(strstr(ready.body, "\"status\":\"degraded\""));
        CHECK(strstr(ready.body, "nmap was not found"));
        CHECK_INT(api.status, 200);
        CHECK(strstr(docs.body, "/openapi.json"));
    }
    rig_stop();
}

TESTS(a_job_goes_through_the_old_surface_with_its_words,
      paths_and_methods_that_do_not_exist_are_told_as_before,
      a_cancel_answers_when_the_tool_is_dead, a_run_that_ends_before_its_cancel_was_not_cancelled,
      a_client_that_leaves_while_it_waits_leaves_nothing_behind,
      ports_are_sorted_inside_each_protocol_whatever_the_tool_said,
      many_hosts_are_streamed_whole_in_every_form,
      a_list_that_is_deleted_while_it_is_sent_does_not_look_whole,
      a_cached_job_that_was_deleted_is_gone_at_once,
      a_request_is_refused_with_a_pointer_to_each_wrong_member, arguments_in_an_array_stay_apart,
      the_same_idempotency_key_gives_the_same_job, a_list_is_paged_and_filtered,
      a_long_poll_answers_when_the_job_changes, a_long_poll_gives_up_with_304,
      a_retry_is_a_new_job_with_the_same_request, only_a_known_key_in_force_lets_in,
      events_come_as_they_are_committed_and_are_replayed, a_place_that_is_not_kept_is_a_gap,
      a_client_that_does_not_read_is_told_that_it_lagged,
      many_idle_listeners_do_not_hold_up_a_request, metrics_have_help_and_type_for_each_name,
      health_needs_no_key_and_says_what_is_wrong)
