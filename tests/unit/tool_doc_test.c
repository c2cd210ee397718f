/* The tables in docs/TOOL.md are the tables in the code. SCANPOD_WRITE_DOCS=1 writes them anew. */
#include "tap.h"
#include "tool/scan_type.h"
#include "tool/tool.h"

#define OPTIONS  "<!-- begin: written from src/tool/%s_options.c -->\n"
#define TYPES    "<!-- begin: scan types -->\n"
#define REFUSALS "<!-- begin: refusals -->\n"
#define END      "<!-- end -->\n"

static void add_value(struct buf *b, const struct tool_option *o)
{
    static const char *const kinds[] = {
        [TOOL_PORTS] = "ports",
        [TOOL_PROTOCOLS] = "protocols, 0 to 255",
        [TOOL_SCRIPTS] = "names and categories",
        [TOOL_SCRIPT_ARGS] = "`KEY=VALUE,...`",
        [TOOL_HEX] = "hexadecimal digits",
        [TOOL_ADDRESS] = "address",
        [TOOL_DECOYS] = "addresses, `ME`, `RND`, `RND:n`",
        [TOOL_MAC] = "hardware address, or 0",
        [TOOL_NAME] = "name",
        [TOOL_TCP_FLAGS] = "`SYNACK`..., or 0 to 255",
    };

    switch (o->value) {
    case TOOL_FLAG:
        buf_adds(b, o->word ? "" : "flag");
        if (o->word) {
            buf_addf(b, "`\"%s\"`", o->word);
        }
        break;
    case TOOL_COUNT:
    case TOOL_RATE:
        buf_addf(b, "%" PRId64 " to %" PRId64, o->min, o->max);
        break;
    case TOOL_TIME:
        buf_addf(b, "time, %" PRId64 " ms to %" PRId64 " s", o->min, o->max / 1000);
        break;
    case TOOL_SHARD:
        buf_addf(b, "`i/n`, `n` at most %" PRId64, o->max);
        break;
    case TOOL_CHOICE:
        buf_addf(b, "`%.*s` or `%s`", (int)strcspn(o->choices, "|"), o->choices,
                 o->choices + strcspn(o->choices, "|") + 1);
        break;
    default:
        buf_adds(b, kinds[o->value]);
    }
    buf_adds(b, o->glued ? ", or none" : "");
}

static void add_word(struct buf *b, size_t from, bool yes, const char *word)
{
    if (yes) {
        buf_addf(b, "%s%s", b->len > from ? ", " : "", word);
    }
}

static void add_options(const struct tool *t, struct buf *b)
{
    static const char *const classes[] = {"", "advanced", "debug", "unsafe"};

    buf_adds(b, "| Option | Field | Value | Who | Network |\n| --- | --- | --- | --- | --- |\n");
    for (const struct tool_option *o = t->options; o->name; o++) {
        size_t from;

        buf_addf(b, "| `%s` | ", o->name);
        if (o->field) {
            buf_addf(b, "`%s`", o->field);
        } else {
            buf_adds(b, "(`ports` of the request)");
        }
        buf_adds(b, " | ");
        add_value(b, o);
        buf_adds(b, " | ");
        from = b->len;
        add_word(b, from, o->class_ != OPTION_PLAIN, classes[o->class_]);
        add_word(b, from, o->old, "old");
        buf_adds(b, " | ");
        from = b->len;
        add_word(b, from, o->needs_raw, "raw");
        add_word(b, from, o->nat_lies, "no NAT");
        add_word(b, from, o->slirp_lies, "no user stack");
        buf_adds(b, " |\n");
    }
}

static void add_type(const struct tool *t, const char *type, struct buf *b)
{
    auto_strvec tokens = {0};
    const char *ports = NULL;
    struct err e = {0};

    buf_addf(b, "| `%s` | ", type);
    if (scan_type_tokens(t, type, &tokens, &ports, &e) < 0) {
        buf_addf(b, "an error: %s |\n", e.msg);
        return;
    }
    for (size_t i = 0; i < tokens.n; i++) {
        buf_addf(b, "%s%s%s", i ? " " : "`", tokens.v[i], i + 1 == tokens.n ? "`" : "");
    }
    buf_adds(b, ports ? ", and the hundred most frequent ports if none are named |\n" : " |\n");
}

static void add_types(const struct tool *t, struct buf *b)
{
    buf_adds(b, "| `scan_type` | Becomes |\n| --- | --- |\n");
    for (size_t i = 0; scan_types[i]; i++) {
        add_type(t, scan_types[i], b);
    }
}

/* Rows of the table of options have their reason there only for those who may not use them. */
static void add_refusals(const struct tool *t, struct buf *b)
{
    buf_adds(b, "| Option | Why |\n| --- | --- |\n");
    for (const struct tool_refusal *r = t->refusals; r->name; r++) {
        buf_addf(b, "| `%s` | %s |\n", r->name, r->why);
    }
}

/* Puts a table between the marks, or compares it with what is there. */
static void section(const struct tool *t, const char *mark,
                    void (*add)(const struct tool *t, struct buf *b), char **text)
{
    const char *begin = strstr(*text, mark);
    const char *end = begin ? strstr(begin, END) : NULL;
    auto_buf want = {0}, out = {0};

    CHECK(begin && end);
    begin += strlen(mark);
    add(t, &want);
    if (!getenv("SCANPOD_WRITE_DOCS") &&
        ((size_t)(end - begin) != want.len || memcmp(begin, want.data, want.len) != 0)) {
        tap_fail(__FILE__, __LINE__,
                 "docs/%s.md is not what the code says; write it anew with "
                 "SCANPOD_WRITE_DOCS=1 meson test -C build-test tool_doc_test",
                 t->name);
    }
    buf_addf(&out, "%.*s%s%s", (int)(begin - *text), *text, want.data, end);
    free(*text);
    *text = buf_take(&out);
}

static void each_document_has_every_option_as_it_is(void)
{
    for (const struct tool *const *t = tool_all(); *t; t++) {
        if ((*t)->instant) { /* it has no options to write of */
            continue;
        }

        auto_free char *name = str_fmt("../../docs/%s.md", (*t)->name);
        auto_free char *mark = str_fmt(OPTIONS, (*t)->name);
        size_t n;
        auto_free char *text = test_data(name, &n);

        section(*t, mark, add_options, &text);
        section(*t, TYPES, add_types, &text);
        section(*t, REFUSALS, add_refusals, &text);
        if (getenv("SCANPOD_WRITE_DOCS")) {
            auto_free char *path = str_fmt("%s/%s", getenv("SCANPOD_TEST_DATA"), name);
            FILE *f = fopen(path, "w");

            CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
        }
    }
}

TESTS(each_document_has_every_option_as_it_is)
