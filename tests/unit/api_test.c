/* The API's parts that need no connection: reading JSON, the old 422 bodies, cursors, the cache. */
#include "http/api_docs.h"
#include "http/api_old.h"
#include "http/api_priv.h"
#include "tap.h"

/* ---- reading JSON ---- */

static void malformed_json_is_refused_in_the_words_of_pythons_decoder(void)
{
    static const struct {
        const char *text;
        size_t pos;
        const char *msg;
    } rows[] = {
        {"{", 1, "Expecting property name enclosed in double quotes"},
        {"{\"a\"", 4, "Expecting ':' delimiter"},
        {"{\"a\": ", 6, "Expecting value"},
        {"{\"a\": 1", 7, "Expecting ',' delimiter"},
        {"{\"a\": 1,}", 8, "Expecting property name enclosed in double quotes"},
        {"{'a': 1}", 1, "Expecting property name enclosed in double quotes"},
        {"[1, 2", 5, "Expecting ',' delimiter"},
        {"[1,]", 3, "Expecting value"},
        {"{\"a\": nope}", 6, "Expecting value"},
        {"{\"a\": NaN}", 6, "Expecting value"},
        {"{\"a\": -}", 6, "Expecting value"},
        {"{\"a\": 01}", 7, "Expecting ',' delimiter"},
        {"{\"a\": 1.}", 7, "Expecting ',' delimiter"},
        {"{\"a\": \"x", 6, "Unterminated string starting at"},
        {"{\"a\": \"x\\", 6, "Unterminated string starting at"},
        {"\"\xc3\xa9\xc3\xa9\" x", 5, "Extra data"},
        {"{\"a\": \"\n\"}", 7, "Invalid control character at"},
        {"{\"a\": \"\\x\"}", 7, "Invalid \\escape"},
        {"{\"a\": \"\\u12g4\"}", 8, "Invalid \\uXXXX escape"},
        {"{} {}", 3, "Extra data"},
        {"  ", 2, "Expecting value"},
        {"nul", 0, "Expecting value"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_fault f;
        json_t *v = api_json_load(rows[i].text, strlen(rows[i].text), &f);

        if (v || f.pos != rows[i].pos || !str_eq(f.msg, rows[i].msg)) {
            tap_fail(__FILE__, __LINE__, "%s: %zu '%s'", rows[i].text, f.pos, f.msg);
        }
    }
}

static json_t *load(const char *text, size_t n)
{
    /* exactly n bytes on the heap: reading past them is seen by the sanitizer */
    auto_free char *copy = xmalloc(n ? n : 1);
    struct json_fault f;

    memcpy(copy, text, n);
    return api_json_load(copy, n, &f);
}

static bool loads(const char *text, size_t n)
{
    json_t *v = load(text, n);

    json_decref(v);
    return v != NULL;
}

static void what_is_odd_or_hostile_does_not_reach_the_parser(void)
{
    char deep[2 * (API_JSON_DEPTH + 1)];

    memset(deep, '[', API_JSON_DEPTH);
    memset(deep + API_JSON_DEPTH, ']', API_JSON_DEPTH);
    CHECK(loads(deep, (size_t)API_JSON_DEPTH * 2));
    memset(deep, '[', API_JSON_DEPTH + 1);
    memset(deep + API_JSON_DEPTH + 1, ']', API_JSON_DEPTH + 1);
    CHECK(!loads(deep, sizeof deep));
    CHECK(!loads("", 0));
    CHECK(!loads("{\"a\":1,\"a\":2}", 13));
    CHECK(!loads("{\"a\":\"\\u0000\"}", 14));
    CHECK(!loads("{\"a\":\"\0\"}", 9));
    CHECK(!loads("{}\0", 3));
    CHECK(!loads("{\"a\":\"\\\0\"}", 10));
    CHECK(!loads("\"\xff\"", 3));
    CHECK(!loads("\"\xc3", 2));
    CHECK(!loads("\"\\ud800\"", 8));
    CHECK(!loads("\xef\xbb\xbf{}", 5));
    CHECK(loads("{\"a\": [1, -2.5e3, true, null, \"\\u00e9\"]}", 40));
}

static void a_document_cut_anywhere_is_refused(void)
{
    static const char whole[] =
        "{\"targets\": [\"a\\n\\u00e9\", \"b\"], \"timeout\": 15, \"x\": {}}";

    for (size_t n = 0; n < sizeof whole - 1; n++) {
        CHECK(!loads(whole, n));
    }
    CHECK(loads(whole, sizeof whole - 1));
}

static void a_value_is_written_back_as_it_was_read(void)
{
    static const char text[] =
        "{\"a\":[1,-5,1.5,100.0,true,false,null,\"x\\\"y\"],\"k\\\"\\n\":{}}";
    auto_buf out = {0};
    struct json j = json_to(&out);
    json_t *v = load(text, sizeof text - 1);

    CHECK(v);
    api_json_write(&j, NULL, v);
    json_decref(v);
    CHECK_STR(out.data, text);
}

/* ---- the old request ---- */

static struct policy *builtin(void *arg)
{
    static struct policy *p;

    if (!p) {
        p = policy_builtin();
    }
    return p;
}

static struct api plain = {.cfg = {.scan_timeout_s = 900, .policy = builtin}};
static const struct key every_scope = {.scopes = KEY_ALL};

static char *old_answer(const char *body, struct scan_request *q)
{
    auto_buf out = {0};
    auto_plan plan = {0};
    struct scan_faults f;
    struct json_fault fault;
    json_t *v = api_json_load(body, strlen(body), &fault);
    bool good;

    CHECK(v);
    good = old_request_check(&plain, &every_scope, v, q, &plan, &f, &out);
    json_decref(v);
    CHECK(!f.refused.code);
    CHECK(good == (out.len == 0));
    return buf_take(&out);
}

static void wrong_fields_are_described_as_the_old_framework_did(void)
{
    static const struct {
        const char *body, *detail;
    } rows[] = {
        {"{}", "{\"type\":\"missing\",\"loc\":[\"body\",\"targets\"],\"msg\":\"Field required\","
               "\"input\":{}}"},
        {"{\"targets\":5}", "{\"type\":\"string_type\",\"loc\":[\"body\",\"targets\"],\"msg\":"
                            "\"Input should be a valid string\",\"input\":5}"},
        {"{\"targets\":null}", "{\"type\":\"string_type\",\"loc\":[\"body\",\"targets\"],\"msg\":"
                               "\"Input should be a valid string\",\"input\":null}"},
        {"{\"targets\":\"\"}", "{\"type\":\"value_error\",\"loc\":[\"body\",\"targets\"],\"msg\":"
                               "\"Value error, targets must not be empty\",\"input\":\"\","
                               "\"ctx\":{\"error\":{}}}"},
        {"{\"targets\":\"-oN\"}",
         "{\"type\":\"value_error\",\"loc\":[\"body\",\"targets\"],\"msg\":"
         "\"Value error, invalid target: '-oN'\",\"input\":\"-oN\",\"ctx\":{\"error\":{}}}"},
        {"{\"targets\":\"a\",\"timeout\":1.5}",
         "{\"type\":\"int_from_float\",\"loc\":[\"body\",\"timeout\"],\"msg\":\"Input should be a "
         "valid integer, got a number with a fractional part\",\"input\":1.5}"},
        {"{\"targets\":\"a\",\"timeout\":\"x\"}",
         "{\"type\":\"int_parsing\",\"loc\":[\"body\",\"timeout\"],\"msg\":\"Input should be a "
         "valid integer, unable to parse string as an integer\",\"input\":\"x\"}"},
        {"{\"targets\":\"a\",\"timeout\":[1]}",
         "{\"type\":\"int_type\",\"loc\":[\"body\",\"timeout\"],\"msg\":\"Input should be a valid "
         "integer\",\"input\":[1]}"},
        {"{\"targets\":\"a\",\"timeout\":0}",
         "{\"type\":\"greater_than_equal\",\"loc\":[\"body\",\"timeout\"],\"msg\":\"Input should "
         "be "
         "greater than or equal to 1\",\"input\":0,\"ctx\":{\"ge\":1}}"},
        {"{\"targets\":\"a\",\"timeout\":86401}",
         "{\"type\":\"less_than_equal\",\"loc\":[\"body\",\"timeout\"],\"msg\":\"Input should be "
         "less than or equal to 86400\",\"input\":86401,\"ctx\":{\"le\":86400}}"},
        {"[]", "{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],\"msg\":\"Input should be a "
               "valid dictionary or object to extract fields from\",\"input\":[]}"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan_request q;
        auto_free char *got = old_answer(rows[i].body, &q);
        auto_free char *want = str_fmt("{\"detail\":[%s]}", rows[i].detail);

        CHECK_STR(got, want);
    }
}

static void every_wrong_field_has_its_entry_in_the_models_order(void)
{
    struct scan_request q;
    auto_free char *got = old_answer(
        "{\"timeout\":\"\",\"arguments\":\"-oN x\",\"ports\":\"99999\",\"targets\":\"a b;c\"}", &q);
    const char *targets = strstr(got, "\"targets\"");
    const char *ports = strstr(got, "\"ports\"");
    const char *arguments = strstr(got, "\"arguments\"");
    const char *timeout = strstr(got, "\"timeout\"");

    CHECK(targets && ports && arguments && timeout);
    CHECK(targets < ports && ports < arguments && arguments < timeout);
    CHECK(strstr(got, "Value error, invalid ports specification: '99999'"));
    CHECK(strstr(got, "Value error, disallowed argument: '-oN'"));
}

static void numbers_are_read_as_laxly_as_before(void)
{
    static const struct {
        const char *text;
        int64_t want; /* INT64_MIN: refused */
    } rows[] = {
        {"15", 15},          {"\"15\"", 15},   {"\" 15 \"", 15},
        {"true", 1},         {"2.0", 2},       {"\"+7\"", 7},
        {"\"1_000\"", 1000}, {"\"3.000\"", 3}, {"null", INT64_MIN},
        {"\"1__0\"", -1},    {"\"_1\"", -1},   {"\"1_\"", -1},
        {"\"1.5\"", -1},     {"\"\"", -1},     {"\"15 s\"", -1},
        {"false", -1},       {"-5", -1},       {"\"-5\"", -1},
        {"1e300", -1},       {"-1e300", -1},   {"\"3.\"", -1},
        {"{}", -1},          {"\"1e1\"", -1},  {"\"99999999999999999999999999\"", -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *body = str_fmt("{\"targets\":\"a\",\"timeout\":%s}", rows[i].text);
        struct scan_request q;
        auto_free char *got = old_answer(body, &q);

        if (rows[i].want == -1 ? !*got : *got || q.timeout_s != rows[i].want) {
            tap_fail(__FILE__, __LINE__, "timeout %s: %s", rows[i].text, got);
        }
    }
}

static void a_body_of_another_type_is_no_json(void)
{
    CHECK(old_request_reads_json(NULL));
    CHECK(old_request_reads_json("application/json"));
    CHECK(old_request_reads_json("Application/JSON; charset=utf-8"));
    CHECK(old_request_reads_json("application/vnd.x+json"));
    CHECK(!old_request_reads_json("text/plain"));
    CHECK(!old_request_reads_json("application/x-www-form-urlencoded"));
    CHECK(!old_request_reads_json("application/jsonp"));
    CHECK(!old_request_reads_json("application/+json"));
}

/* ---- cursors and tags ---- */

static void a_cursor_is_read_back_only_for_its_own_list(void)
{
    static const int64_t values[] = {1, 2, 1000, INT64_C(1) << 47};
    char text[40];
    int64_t got = 0;

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        cursor_write(text, 'j', values[i]);
        CHECK(cursor_read(text, 'j', &got));
        CHECK_INT(got, values[i]);
        CHECK(!cursor_read(text, 'h', &got));
        text[0] = 'h';
        CHECK(!cursor_read(text, 'h', &got) || got != values[i]);
    }
    CHECK(!cursor_read("", 'j', &got));
    CHECK(!cursor_read("j", 'j', &got));
    CHECK(!cursor_read("j0123456789abcdeX", 'j', &got));
    CHECK(!cursor_read("j0123456789abcdef0", 'j', &got));
}

static void entity_tags_match_as_rfc_9110_says(void)
{
    CHECK(etag_matches("\"r1\"", "\"r1\""));
    CHECK(etag_matches("W/\"r1\"", "\"r1\""));
    CHECK(etag_matches("\"x\", \"r1\"", "\"r1\""));
    CHECK(etag_matches("*", "\"r1\""));
    CHECK(!etag_matches("\"r11\"", "\"r1\""));
    CHECK(!etag_matches("r1", "\"r1\""));
    CHECK(!etag_matches("", "\"r1\""));
    CHECK(!etag_matches(NULL, "\"r1\""));
}

/* ---- the cache ---- */

static struct cached entry_of(struct id id, char *body, size_t n)
{
    return (struct cached){
        .id = id, .surface = SURFACE_OLD, .num = 1, .rev = 1, .n = n, .body = body};
}

static void the_least_recently_used_body_goes_first(void)
{
    struct view_cache *c = view_cache_new(4096);
    char body[1000];
    struct id ids[4];

    memset(body, 'x', sizeof body);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct cached e;

        ids[i] = id_new();
        e = entry_of(ids[i], body, sizeof body);
        view_cache_put(c, &e);
        CHECK(view_cache_find(c, &ids[0], SURFACE_OLD)); /* used all the time */
        CHECK(view_cache_bytes(c) <= 4096);
    }
    CHECK(!view_cache_find(c, &ids[1], SURFACE_OLD));
    CHECK(view_cache_find(c, &ids[3], SURFACE_OLD));
    CHECK(!view_cache_find(c, &ids[3], SURFACE_V1));
    view_cache_drop(c, &ids[3]);
    CHECK(!view_cache_find(c, &ids[3], SURFACE_OLD));
    view_cache_free(c);
}

static void the_cache_never_holds_more_than_it_may(void)
{
    struct view_cache *c = view_cache_new(CACHE_BYTES);
    auto_free char *body = xcalloc(1, CACHE_BODY_MAX + 1);
    unsigned seed = 1;

    for (int i = 0; i < 2000; i++) {
        struct cached e;

        seed = seed * 1103515245 + 12345;
        e = entry_of(id_new(), body, seed % (CACHE_BODY_MAX + 2));
        view_cache_put(c, &e);
        CHECK(view_cache_bytes(c) <= CACHE_BYTES);
        CHECK((view_cache_find(c, &e.id, SURFACE_OLD) != NULL) == (e.n <= CACHE_BODY_MAX));
    }
    view_cache_clear(c);
    CHECK_INT(view_cache_bytes(c), 0);
    view_cache_free(c);
}

/* ---- the description ---- */

static const json_t *operation(const json_t *doc, const struct http_route *route)
{
    char method[8] = {0};

    for (size_t i = 0; route->method[i] && i < sizeof method - 1; i++) {
        method[i] = (char)(route->method[i] | 0x20);
    }
    return json_object_get(json_object_get(json_object_get(doc, "paths"), route->pattern), method);
}

/* The operation names the scope of the route's row, and only routes without a key have none. */
static bool says_its_scope(const json_t *op, const struct http_route *route)
{
    const char *said = json_string_value(json_object_get(op, "x-scope"));
    auto_buf want = {0};

    key_scopes_text(route->needs, &want);
    return route->flags & ROUTE_OPEN ? !said : want.len && str_eq(said, want.data);
}

static void every_route_is_described_and_nothing_else_is(void)
{
    json_t *doc = json_loadb(openapi_json, openapi_json_len, JSON_REJECT_DUPLICATES, NULL);
    const char *path;
    json_t *item;
    size_t described = 0;
    size_t routes = 0;

    CHECK(doc);
    for (const struct http_route *route = api_routes; route->method; route++) {
        const json_t *op = operation(doc, route);
        const json_t *security = json_object_get(op, "security");

        routes++;
        CHECK_STR(json_string_value(json_object_get(op, "operationId")), route->id);
        CHECK((security && json_array_size(security) == 0) == ((route->flags & ROUTE_OPEN) != 0));
        if (!says_its_scope(op, route)) {
            tap_fail(__FILE__, __LINE__, "%s does not say its scope", route->id);
        }
        for (const struct http_route *other = api_routes; other < route; other++) {
            CHECK(!str_eq(other->id, route->id));
        }
    }
    json_object_foreach(json_object_get(doc, "paths"), path, item)
    {
        described += json_object_size(item);
    }
    CHECK_INT(described, routes);
    json_decref(doc);
}

TESTS(malformed_json_is_refused_in_the_words_of_pythons_decoder,
      what_is_odd_or_hostile_does_not_reach_the_parser, a_document_cut_anywhere_is_refused,
      a_value_is_written_back_as_it_was_read, wrong_fields_are_described_as_the_old_framework_did,
      every_wrong_field_has_its_entry_in_the_models_order, numbers_are_read_as_laxly_as_before,
      a_body_of_another_type_is_no_json, a_cursor_is_read_back_only_for_its_own_list,
      entity_tags_match_as_rfc_9110_says, the_least_recently_used_body_goes_first,
      the_cache_never_holds_more_than_it_may, every_route_is_described_and_nothing_else_is)
