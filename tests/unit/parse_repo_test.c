/* What the box of a repository scan writes: all of it, nothing that breaks a rule, and the same
 * however it is cut into pieces. */
#include <jansson.h>

#include "parse/finding_json.h"
#include "parse/parse.h"
#include "tap.h"

#define FINDING(path, line)                                                               \
    "{\"finding\":{\"rule\":\"command-injection\",\"title\":\"t\",\"severity\":\"high\"," \
    "\"confidence\":0.3,\"path\":\"" path "\",\"line\":" line ",\"verified\":true}}\n"
#define RUN                                                                                 \
    "{\"run\":{\"repository\":\"https://h/r\",\"assessment\":\"partial\",\"cost_usd\":0.3," \
    "\"notes\":[\"n\"]}}\n"

struct got {
    struct buf findings; /* as JSON, a line each */
    size_t n, runs, progress;
    int32_t percent_x100;
    char *json, *exit, *errormsg, *scanner; /* owned */
    bool complete;
    int feed_rc, finish_rc;
    struct err err;
    size_t stop_at;
};

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct got *g = arg;
    struct json j = json_to(&g->findings);

    if (g->stop_at && g->n + 1 == g->stop_at) {
        return err_set(e, ERR_FULL, "no more, please");
    }
    CHECK_OK(finding_check(f, ERR));
    finding_json(f, &j);
    buf_addc(&g->findings, '\n');
    g->n++;
    return 0;
}

static int on_progress(void *arg, const struct progress *p, struct err *e)
{
    struct got *g = arg;

    (void)e;
    g->progress++;
    g->percent_x100 = p->percent_x100;
    CHECK_STR(p->task, "engines");
    return 0;
}

static int on_run(void *arg, const struct run_info *r, struct err *e)
{
    struct got *g = arg;

    (void)e;
    g->runs++;
    g->json = xstrdup(r->json);
    g->exit = xstrdup(r->exit);
    g->errormsg = xstrdup(r->errormsg);
    g->scanner = xstrdup(r->scanner);
    g->complete = r->complete;
    return 0;
}

static void parse(const char *text, size_t n, size_t step, struct got *g)
{
    const struct parse_sink sink = {
        .finding = on_finding, .progress = on_progress, .run = on_run, .arg = g};
    void *p = parser_repo.new(&sink);

    for (size_t at = 0; at < n && g->feed_rc == 0; at += step) {
        g->feed_rc = parser_repo.feed(p, text + at, MIN(step, n - at), &g->err);
    }
    g->finish_rc = parser_repo.finish(p, &g->err);
    parser_repo.free(p);
}

static void done(struct got *g)
{
    buf_done(&g->findings);
    free(g->json);
    free(g->exit);
    free(g->errormsg);
    free(g->scanner);
    *g = (struct got){0};
}

static void findings_and_the_run_do_not_depend_on_chunking(void)
{
    static const char text[] =
        FINDING("a.c", "3") "{\"progress\":{\"task\":\"engines\",\"percent\":12.5}}\n" FINDING(
            "src/b.c", "9") RUN;

    for (size_t step = 1; step <= sizeof text; step++) {
        struct got g = {0};

        parse(text, sizeof text - 1, step, &g);
        CHECK_INT(g.finish_rc, 0);
        CHECK_INT(g.n, 2);
        CHECK_INT(g.progress, 1);
        CHECK_INT(g.percent_x100, 1250);
        CHECK_INT(g.runs, 1);
        CHECK(g.complete);
        CHECK_STR(g.exit, "success");
        CHECK_STR(g.scanner, "scanpod");
        CHECK_STR(g.json, "{\"repository\":\"https://h/r\",\"assessment\":\"partial\","
                          "\"cost_usd\":0.3,\"notes\":[\"n\"]}");
        CHECK(strstr(g.findings.data, "\"path\":\"src/b.c\",\"line\":9,"));
        done(&g);
    }
}

static void the_last_line_end_may_be_missing_but_not_the_last_line(void)
{
    static const char text[] = FINDING("a.c", "3") RUN;
    struct got g = {0};

    parse(text, sizeof text - 2, 7, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK(g.complete);
    done(&g);
    for (size_t cut = 0; cut < sizeof text - 2; cut++) {
        parse(text, cut, 64, &g);
        CHECK_INT(g.finish_rc, ERR_TOOL);
        CHECK(!g.complete);
        CHECK_INT(g.runs, 1);
        CHECK_STR(g.exit, NULL);
        CHECK_INT(g.n, cut >= sizeof FINDING("a.c", "3") - 2 ? 1 : 0);
        done(&g);
    }
}

static void a_run_that_assessed_nothing_is_an_error(void)
{
    static const char text[] =
        "{\"run\":{\"assessment\":\"failed\",\"notes\":[\"flawfinder: status 15\"]}}\n";
    struct got g = {0};

    parse(text, sizeof text - 1, 1000, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK_STR(g.exit, "error");
    CHECK_STR(g.errormsg, "flawfinder: status 15");
    done(&g);
}

static void a_line_that_breaks_a_rule_is_the_end(void)
{
    static const char *const bad[] = {
        "\n",
        "[]\n",
        "{}\n",
        "nonsense\n",
        "{\"other\":{}}\n",
        "{\"finding\":{}}\n",
        "{\"finding\":{},\"run\":{}}\n",
        FINDING("../a.c", "3"),
        FINDING("/etc/passwd", "3"),
        FINDING("a.c", "-3"),
        FINDING("a.c", "\"3\""),
        FINDING("a\\nb.c", "3"),
        FINDING("a\\u0000.c", "3"),
        "{\"progress\":{}}\n",
        "{\"run\":[]}\n",
        "{\"run\":{\"assessment\":\"fine\"}}\n",
        RUN FINDING("a.c", "3"),
        RUN RUN,
        RUN "\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *text =
            str_fmt("%s%s%s%s", FINDING("first.c", "1"), bad[i], FINDING("last.c", "2"), RUN);
        struct got g = {0};

        parse(text, strlen(text), 50, &g);
        if (g.finish_rc != ERR_TOOL || g.complete || g.n != 1 || g.runs != 1 ||
            !strstr(g.err.msg, "line ")) {
            tap_fail(__FILE__, __LINE__, "%zu: %s: %d, %zu findings: %s", i, bad[i], g.finish_rc,
                     g.n, g.err.msg);
        }
        done(&g);
    }
}

static void a_line_without_end_is_cut_off_at_a_limit(void)
{
    auto_buf text = {0};
    struct got g = {0};

    buf_adds(&text, "{\"finding\":{\"title\":\"");
    while (text.len < 2 * REPO_LINE_MAX) {
        buf_adds(&text, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
    parse(text.data, text.len, 65536, &g);
    CHECK_INT(g.feed_rc, ERR_LIMIT);
    CHECK_INT(g.finish_rc, ERR_LIMIT);
    CHECK(!g.complete);
    done(&g);
}

static void a_sink_that_says_stop_is_obeyed_and_told_nothing_more(void)
{
    static const char text[] = FINDING("a.c", "3") FINDING("b.c", "3") RUN;
    struct got g = {.stop_at = 2};

    parse(text, sizeof text - 1, sizeof text, &g);
    CHECK_INT(g.feed_rc, ERR_FULL);
    CHECK_INT(g.finish_rc, ERR_FULL);
    CHECK_STR(g.err.msg, "no more, please");
    CHECK_INT(g.runs, 0);
    CHECK_INT(g.n, 1);
    done(&g);
}

TESTS(findings_and_the_run_do_not_depend_on_chunking,
      the_last_line_end_may_be_missing_but_not_the_last_line,
      a_run_that_assessed_nothing_is_an_error, a_line_that_breaks_a_rule_is_the_end,
      a_line_without_end_is_cut_off_at_a_limit,
      a_sink_that_says_stop_is_obeyed_and_told_nothing_more)
