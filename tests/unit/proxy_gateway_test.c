/* What a gateway may be, and what it lets through. */
#include "proxy/gateway.h"
#include "proxy/proto.h"
#include "tap.h"

static const struct proxy_gateway api = {.kind = GATEWAY_MESSAGES,
                                         .prefix = "/anthropic",
                                         .upstream = "api.anthropic.com:443",
                                         .tls = true,
                                         .path = "",
                                         .secret = "anthropic"};
static const struct proxy_gateway git = {.kind = GATEWAY_GIT,
                                         .prefix = "/git",
                                         .upstream = "example.org:443",
                                         .tls = true,
                                         .path = "/owner/name.git",
                                         .secret = "token",
                                         .username = "x-access-token"};

static void wrong(struct proxy_gateway g, const char *member)
{
    CHECK_ERR(proxy_gateway_check(&g, ERR), ERR_INVALID);
    if (!strstr(tap_err.msg, member)) {
        tap_fail(__FILE__, __LINE__, "not '%s', but: %s", member, tap_err.msg);
    }
}

#define BUT(base, ...)                 \
    __extension__({                    \
        struct proxy_gateway g = base; \
        g.__VA_ARGS__;                 \
        g;                             \
    })

static void a_wrong_gateway_is_named(void)
{
    static const char *const paths[] = {"/",    "a",    "/a/",  "//a",  "/a//b", "/../a",  "/a/..",
                                        "/a/.", "/./a", "/a b", "/a?b", "/a%2e", "/a\r\nb"};
    static const char *const prefixes[] = {"/", "a", "/A", "/a/", "/a1", "", "/a b"};

    CHECK_OK(proxy_gateway_check(&api, ERR));
    CHECK_OK(proxy_gateway_check(&git, ERR));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        wrong(BUT(git, path = paths[i]), "path");
    }
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        wrong(BUT(api, prefix = prefixes[i]), "prefix");
    }
    wrong(BUT(api, kind = (enum gateway_kind)7), "kind");
    wrong(BUT(api, prefix = NULL), "prefix");
    wrong(BUT(api, upstream = NULL), "upstream");
    wrong(BUT(api, upstream = "example.org"), "upstream");
    wrong(BUT(api, upstream = "https://example.org:443"), "upstream");
    wrong(BUT(api, tls = false), "tls");
    wrong(BUT(api, secret = "Bad Name"), "secret");
    wrong(BUT(api, username = "x"), "username");
    wrong(BUT(api, ca_file = "relative.pem"), "ca_file");
    wrong(BUT(git, path = ""), "path");
    wrong(BUT(git, path = NULL), "path");
    wrong(BUT(git, username = NULL), "username");
    wrong(BUT(git, username = ""), "username");
    wrong(BUT(git, username = "a:b"), "username");
    wrong(BUT(git, username = "a\r\nb"), "username");
}

static void gateways_survive_the_way(void)
{
    const struct proxy_gateway two[] = {BUT(api, tokens_max = 7), BUT(git, body_max = 9)};
    auto_strvec allow = {0};
    struct proxy_ask ask = {.run = 3, .allow = &allow, .gateways = two, .n_gateways = 2};
    struct open_in in;
    auto_buf body = {0};
    struct wire w;

    strvec_push(&allow, "example.org:443");
    CHECK_OK(open_put(&body, &ask, ERR));
    w = (struct wire){.p = (uint8_t *)body.data, .end = (uint8_t *)body.data + body.len};
    CHECK(open_get(&w, &in));
    CHECK_INT(in.allow.n, 1);
    CHECK_INT(in.gateways.n, 2);
    CHECK_STR(in.gateways.v[0].prefix, "/anthropic");
    CHECK_STR(in.gateways.v[0].upstream.v[0].place.name, "api.anthropic.com");
    CHECK_STR(in.gateways.v[0].secret, "anthropic");
    CHECK_INT(in.gateways.v[0].tokens_max, 7);
    CHECK_INT(in.gateways.v[0].body_max, 32 << 20);
    CHECK_INT(in.gateways.v[1].kind, GATEWAY_GIT);
    CHECK_STR(in.gateways.v[1].path, "/owner/name.git");
    CHECK_STR(in.gateways.v[1].username, "x-access-token");
    CHECK_INT(in.gateways.v[1].body_max, 9);
    CHECK(in.gateways.v[1].tls);
    allow_done(&in.allow);
    gateways_done(&in.gateways);
    for (size_t n = 0; n < body.len; n++) { /* and nothing less does */
        w = (struct wire){.p = (uint8_t *)body.data, .end = (uint8_t *)body.data + n};
        CHECK(!open_get(&w, &in));
    }
}

static void too_many_gateways_are_refused(void)
{
    struct proxy_gateway many[GATEWAYS_MAX + 1];
    auto_strvec allow = {0};
    struct proxy_ask ask = {.run = 3, .allow = &allow, .gateways = many, .n_gateways = 2};
    auto_buf body = {0};

    many[0] = many[1] = api;
    CHECK_ERR(open_put(&body, &ask, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "'/anthropic' is there twice"));
    ask.n_gateways = ARRAY_LEN(many);
    CHECK_ERR(open_put(&body, &ask, ERR), ERR_LIMIT);
}

static struct route route(const struct proxy_gateway *of, const char *line, const char *lines)
{
    auto_free char *text = str_fmt("%s HTTP/1.1\r\nHost: a\r\n%s\r\n", line, lines);
    struct gateway g = {.kind = of->kind, .prefix = xstrdup(of->prefix), .path = xstrdup(of->path)};
    struct gateway_list l = {.v = &g, .n = 1};
    auto_buf target = {0};
    const char *why;
    struct route r;
    struct msg m;
    size_t len;

    CHECK_INT(msg_request(text, strlen(text), &m, &len, &why), 200);
    CHECK(gateway_of_head(&l, text, strlen(text)) == &g);
    CHECK(gateway_of_target(&l, m.target) == &g);
    r = gateway_route(&g, &m, &target);
    CHECK(r.status != 0 || str_starts(target.data, of->path));
    msg_done(&m);
    free(g.prefix);
    free(g.path);
    return r;
}

static void of_the_api_little_is_let_through(void)
{
    static const char *const no[] = {
        "GET /anthropic/v1/messages",
        "POST /anthropic/v1/messages/",
        "POST /anthropic/v1/messagesX",
        "POST /anthropic/v1/models",
        "POST /anthropic//v1/messages",
        "POST /anthropic/v1/files",
        "POST /anthropic/v1/messages/batches",
        "POST /anthropic/v1/../v1/messages",
        "POST /anthropic/v1/complete",
        "POST /anthropic/",
        "POST /anthropic",
        "PUT /anthropic/v1/messages",
        "post /anthropic/v1/messages",
        "GET /anthropic/",
        "OPTIONS /anthropic/",
        "POST /anthropic/v1/%6dessages",
        "POST /anthropic?/v1/messages",
        "HEAD /anthropic/v1/messages",
    };

    CHECK_INT(route(&api, "POST /anthropic/v1/messages", "").status, 0);
    CHECK(route(&api, "POST /anthropic/v1/messages?beta=true", "").counts);
    CHECK_INT(route(&api, "POST /anthropic/v1/messages/count_tokens", "").status, 0);
    CHECK(!route(&api, "POST /anthropic/v1/messages/count_tokens?beta=true", "").counts);
    CHECK_INT(route(&api, "HEAD /anthropic/", "").status, 200);
    CHECK_INT(route(&api, "HEAD /anthropic", "").status, 200);
    CHECK_INT(route(&api, "POST /anthropic/v1/messages", "Host: b\r\n").status, 400);
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        if (route(&api, no[i], "").status != 403) {
            tap_fail(__FILE__, __LINE__, "let through: %s", no[i]);
        }
    }
}

static void of_git_only_a_fetch_is_let_through(void)
{
    static const char *const no[] = {
        "GET /git/info/refs",
        "GET /git/info/refs?service=git-receive-pack",
        "GET /git/info/refs?service=git-upload-pack&x=y",
        "GET /git/HEAD",
        "GET /git/objects/info/packs",
        "POST /git/git-receive-pack",
        "POST /git/info/refs",
        "GET /git/git-upload-pack",
        "POST /git/git-upload-pack?x",
        "GET /git/../other/info/refs",
        "POST /git/info/lfs/objects/batch",
        "GET /git",
        "GET /git/",
    };
    static const char type[] = "Content-Type: application/x-git-upload-pack-request\r\n";

    CHECK_STR(route(&git, "GET /git/info/refs?service=git-upload-pack", "").is,
              "application/x-git-upload-pack-advertisement");
    CHECK_INT(route(&git, "POST /git/git-upload-pack", type).status, 0);
    CHECK_INT(route(&git, "POST /git/git-upload-pack", "").status, 403);
    CHECK_INT(route(&git, "POST /git/git-upload-pack", "Content-Type: text/plain\r\n").status, 403);
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        if (route(&git, no[i], type).status != 403) {
            tap_fail(__FILE__, __LINE__, "let through: %s", no[i]);
        }
    }
}

static void a_gateway_is_known_by_its_prefix_alone(void)
{
    char prefix[] = "/git";
    struct gateway g = {.prefix = prefix};
    const struct gateway_list l = {.v = &g, .n = 1};
    static const char *const no[] = {"",         "GET",
                                     "GET ",     "GET /gi",
                                     "GET /git", "GET /gitx",
                                     "GET /x",   "CONNECT git:443",
                                     " /git/",   "AVERYVERYLONGMETHOD /git/"};

    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        CHECK(!gateway_of_head(&l, no[i], strlen(no[i])));
    }
    CHECK(gateway_of_head(&l, "GET /git/", 9) && gateway_of_head(&l, "GET /git ", 9));
    CHECK(gateway_of_head(&l, "X /git?", 7));
    CHECK(!gateway_of_target(&l, "/gitx") && gateway_of_target(&l, "/git"));
}

TESTS(a_wrong_gateway_is_named, gateways_survive_the_way, too_many_gateways_are_refused,
      of_the_api_little_is_let_through, of_git_only_a_fetch_is_let_through,
      a_gateway_is_known_by_its_prefix_alone)
