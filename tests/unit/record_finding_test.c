/* Findings on the record stream: what goes in comes out, and nothing else does. */
#include "ipc/record.h"
#include "tap.h"

static struct finding sample(void)
{
    struct finding f = {
        .rule = "command-injection",
        .title = "Shell command from input",
        .message = "os.system(arg)",
        .cwe = {78, 77},
        .n_cwe = 2,
        .severity = SEVERITY_HIGH,
        .confidence_x100 = 90,
        .at = {.path = "src/a b.py", .line = 9, .column = 3, .end_line = 9, .end_column = 20},
        .function = "run",
        .line = "os.system(arg)",
        .snippet = "def run(arg):\n    os.system(arg)\n",
        .snippet_line = 8,
        .verified = true,
        .engines = {{"bandit", "1.6.2", "B605", "HIGH", 90}, {.name = "claude"}},
        .n_engines = 2,
        .related = {{.path = "src/b.py", .line = 1, .message = "comes from here"}},
        .n_related = 1,
        .identity = {.primary = "00ff", .github = "39fa2ee980eb94b0:1"},
    };

    return f;
}

struct got {
    struct finding f;
    unsigned n;
    char path[64], engine[64], related[64], github[24];
};

static int take(void *arg, const struct finding *f, struct err *e)
{
    struct got *g = arg;

    (void)e;
    g->n++;
    g->f = *f;
    strncpy(g->path, f->at.path, sizeof g->path - 1);
    strncpy(g->engine, f->n_engines ? f->engines[0].rule : "", sizeof g->engine - 1);
    strncpy(g->related, f->n_related ? f->related[0].message : "", sizeof g->related - 1);
    snprintf(g->github, sizeof g->github, "%s", f->identity.github);
    return 0;
}

static int feed(const struct buf *b, size_t step, struct got *g, struct err *e)
{
    static const struct record_sink sink = {.finding = take};
    struct record_reader r = {.sink = &sink, .arg = g};
    int rc = 0;

    for (size_t at = 0; at < b->len && rc == 0; at += step) {
        rc = record_feed(&r, b->data + at, MIN(step, b->len - at), e);
    }
    record_reader_done(&r);
    return rc;
}

static void a_finding_survives_the_stream_in_chunks_of_any_size(void)
{
    struct finding f = sample();
    auto_buf b = {0};

    record_put_finding(&b, &f);
    record_put_finding(&b, &f);
    for (size_t step = 1; step <= b.len; step += 7) {
        struct got g = {0};
        struct err e = {0};

        CHECK_INT(feed(&b, step, &g, &e), 0);
        CHECK_INT(g.n, 2);
        CHECK_STR(g.path, "src/a b.py");
        CHECK_STR(g.engine, "B605");
        CHECK_STR(g.related, "comes from here");
        CHECK_STR(g.github, "39fa2ee980eb94b0:1");
        CHECK_INT(g.f.cwe[1], 77);
        CHECK_INT(g.f.engines[0].confidence_x100, 90);
        CHECK_INT(g.f.related[0].line, 1);
        CHECK_INT(g.f.at.end_column, 20);
        CHECK(g.f.verified);
    }
}

static void a_finding_that_breaks_a_rule_ends_the_stream(void)
{
    const char *const paths[] = {"/etc/passwd", "../x", "a//b", "a/./b", "a\nb", ""};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct finding f = sample();
        auto_buf b = {0};
        struct got g = {0};
        struct err e = {0};

        f.at.path = paths[i];
        record_put_finding(&b, &f);
        CHECK_INT(feed(&b, b.len, &g, &e), ERR_TOOL);
        CHECK_INT(g.n, 0);
    }
}

static void bytes_that_were_changed_never_crash_the_reader(void)
{
    struct finding f = sample();
    auto_buf b = {0};

    record_put_finding(&b, &f);
    for (size_t i = 0; i < b.len; i++) {
        for (unsigned v = 0; v < 256; v += 51) {
            struct got g = {0};
            struct err e = {0};
            char was = b.data[i];

            b.data[i] = (char)v;
            (void)feed(&b, b.len, &g, &e);
            b.data[i] = was;
        }
    }
    CHECK(b.len > 0);
}

TESTS(a_finding_survives_the_stream_in_chunks_of_any_size,
      a_finding_that_breaks_a_rule_ends_the_stream, bytes_that_were_changed_never_crash_the_reader)
