/* The table in docs/settings.md is the table in the code. SCANPOD_WRITE_DOCS=1 writes it anew. */
#include "daemon/settings.h"
#include "tap.h"

#define BEGIN "<!-- begin: written from src/daemon/settings.c -->\n"
#define END   "<!-- end -->\n"

static void add_type(struct buf *b, const struct option *o)
{
    switch (o->type) {
    case OPT_INT:
        buf_addf(b, "%" PRId64 " to %" PRId64, o->min, o->max);
        break;
    case OPT_BOOL:
        buf_adds(b, "true, false");
        break;
    case OPT_ENUM:
        for (const char *p = o->values; *p; p++) {
            if (*p == '|') {
                buf_adds(b, ", ");
            } else {
                buf_addc(b, *p);
            }
        }
        break;
    case OPT_STR:
        buf_adds(b, "text");
        break;
    }
}

static void add_table(struct buf *b)
{
    buf_adds(b, "| In the file, `--flag` | Environment | Value | Default | |\n"
                "| --- | --- | --- | --- | --- |\n");
    for (const struct option *o = settings_table; o->name; o++) {
        buf_addf(b, "| `%s` | `%s`%s", o->name, o->env, o->dotenv ? " *" : "");
        if (o->env2) {
            buf_addf(b, ", `%s`", o->env2);
        }
        buf_adds(b, " | ");
        add_type(b, o);
        if (o->def) {
            buf_addf(b, " | `%s` | %s |\n", o->def, o->help);
        } else {
            buf_addf(b, " | | %s |\n", o->help);
        }
    }
}

static void the_document_has_every_setting_as_it_is(void)
{
    size_t n;
    auto_free char *text = test_data("../../docs/settings.md", &n);
    char *begin = strstr(text, BEGIN);
    char *end = strstr(text, END);
    auto_buf want = {0};

    CHECK(begin && end && begin < end);
    begin += strlen(BEGIN);
    add_table(&want);
    if (getenv("SCANPOD_WRITE_DOCS")) {
        auto_free char *path = str_fmt("%s/../../docs/settings.md", getenv("SCANPOD_TEST_DATA"));
        FILE *f = fopen(path, "w");

        CHECK(f);
        fprintf(f, "%.*s%.*s%s", (int)(begin - text), text, (int)want.len, want.data, end);
        CHECK(fclose(f) == 0);
        return;
    }
    if ((size_t)(end - begin) != want.len || memcmp(begin, want.data, want.len) != 0) {
        tap_fail(__FILE__, __LINE__,
                 "docs/settings.md is not what the code says; write it anew with "
                 "SCANPOD_WRITE_DOCS=1 meson test -C build-test settings_doc_test");
    }
}

TESTS(the_document_has_every_setting_as_it_is)
