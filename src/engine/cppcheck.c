/*
 * cppcheck - reads C and C++ and follows values through functions. It knows no headers but those of
 * the tree, and tries several configurations of a file.
 *
 * Files come as a list, so that it walks through no directory (it would follow links there). What
 * it could not parse is an <error> like any other: those become files that it failed at.
 */
#include <expat.h>
#include <string.h>

#include "base/mem.h"
#include "engine/cppcheck_rules.h"
#include "engine/hit.h"

#define OUTPUT "/tmp/cppcheck.xml"

enum { MESSAGE_MAX = 1500 };

struct reader {
    XML_Parser xml;
    struct hits hits;
    struct err *e;
    int rc;
    unsigned depth;
    bool root, closed, in_error;
    char version[32];
    /* the error at hand; strings live in the arena */
    struct finding f;
    const char *id, *message, *file;
    int32_t cwe;
    bool inconclusive, said; /* said: it is of a severity that counts */
};

static const char *attribute(const XML_Char **atts, const char *name)
{
    for (; *atts; atts += 2) {
        if (strcmp(atts[0], name) == 0) {
            return atts[1];
        }
    }
    return NULL;
}

static int32_t number(const XML_Char **atts, const char *name)
{
    const char *s = attribute(atts, name);
    uint64_t v;

    return s && str_to_u64(s, 0, INT32_MAX, &v) ? (int32_t)v : 0;
}

/* It writes what is no printable ASCII as \ooo. */
static const char *message_text(struct arena *a, const char *s)
{
    auto_buf b = {0};

    while (s && *s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            buf_addc(&b, (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')));
            s += 4;
        } else {
            buf_addc(&b, *s++);
        }
    }
    return b.len ? hit_text(a, b.data, b.len, MESSAGE_MAX, false) : NULL;
}

static void error_begins(struct reader *r, const XML_Char **atts)
{
    struct arena *a = r->hits.arena;
    const char *severity = attribute(atts, "severity");
    const char *verbose = attribute(atts, "verbose");
    const char *id = attribute(atts, "id");

    r->in_error = true;
    r->f = (struct finding){0};
    r->file = NULL;
    r->id = hit_text(a, id ? id : "", id ? strlen(id) : 0, 128, true);
    r->message = message_text(a, verbose ? verbose : attribute(atts, "msg"));
    r->cwe = number(atts, "cwe");
    r->inconclusive = str_eq(attribute(atts, "inconclusive"), "true");
    r->said =
        str_eq(severity, "error") || str_eq(severity, "warning") || str_eq(severity, "portability");
    r->f.engines[0] =
        (struct finding_engine){.name = "cppcheck",
                                .version = r->version[0] ? r->version : NULL,
                                .rule = r->id,
                                .severity = hit_text(a, severity ? severity : "",
                                                     severity ? strlen(severity) : 0, 32, true)};
    r->f.n_engines = 1;
}

/* The first is where it is; the others are how it came to that. */
static void location(struct reader *r, const XML_Char **atts)
{
    const char *file = attribute(atts, "file");
    const char *info = attribute(atts, "info");
    struct finding_place at = {.line = number(atts, "line"), .column = number(atts, "column")};

    at.path = file ? hit_path(r->hits.arena, file, strlen(file)) : NULL;
    if (!r->f.at.path) {
        r->f.at = at;
        r->file = at.path;
    } else if (at.path && r->f.n_related < FINDING_RELATED) {
        at.message = message_text(r->hits.arena, info);
        r->f.related[r->f.n_related++] = at;
    }
}

/* Why it did not look at a file, or not at all of it. */
static const char *diagnostic(const char *id)
{
    static const char *const reasons[][2] = {
        {"syntaxError", "not parsed"},
        {"unknownMacro", "not parsed: a macro is not known"},
        {"internalError", "given up inside"},
        {"internalAstError", "given up inside"},
        {"cppcheckError", "given up inside"},
        {"instantiationError", "given up inside"},
        {"AnalyzerInternalError", "given up inside"},
        {"premium-internalError", "given up inside"},
        {"preprocessorErrorDirective", "not parsed: an #error"},
        {"noValidConfiguration", "not parsed: no configuration is valid"},
        {"missingFile", "could not be opened"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (strcmp(reasons[i][0], id) == 0) {
            return reasons[i][1];
        }
    }
    return NULL;
}

/* Made to be a part of other files, it may be no C by itself; it was read where it is included. */
static bool is_part(const char *path)
{
    static const char *const ends[] = {".h",   ".hh",  ".hpp", ".hxx", ".H",   ".h++",
                                       ".inc", ".inl", ".ipp", ".tcc", ".def", ".tbl"};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < ARRAY_LEN(ends); i++) {
        if (strcmp(dot, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void classify(struct reader *r, const struct hit_rule *rule)
{
    size_t n = strlen(r->id);

    if (rule) {
        if (rule->cwe == 0) {
            hit_cwe(&r->f, r->cwe);
        }
        hit_classify(&r->f, rule);
        hit_cwe(&r->f, r->cwe);
    } else if (n > 6 && strcmp(r->id + n - 6, "Called") == 0) { /* of its library: asctimeCalled */
        static const struct hit_rule called = {
            "", "dangerous-function", "A function that is better not called", 676, SEVERITY_LOW};

        hit_classify(&r->f, &called);
    } else {
        hit_classify_cwe(&r->f, r->cwe);
        r->f.severity = SEVERITY_LOW;
    }
}

static void error_ends(struct reader *r)
{
    const char *reason = diagnostic(r->id);
    const struct hit_rule *rule = cppcheck_rule(r->id);

    r->in_error = false;
    if (reason && r->file) {
        if (!(is_part(r->file) && str_starts(reason, "not parsed"))) {
            hit_failed(r->hits.notes, r->file, reason);
        }
    } else if (reason || !r->said || !r->file || (rule && !rule->class_)) {
        /* of no file, of the configuration, of style */
    } else {
        classify(r, rule);
        r->f.message = r->message;
        r->f.confidence_x100 = r->inconclusive ? 40 : 70;
        r->f.engines[0].confidence_x100 = r->f.confidence_x100;
        r->rc = hits_add(&r->hits, &r->f, r->e);
    }
    arena_reset(r->hits.arena);
    if (r->rc) {
        XML_StopParser(r->xml, XML_FALSE);
    }
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **atts)
{
    struct reader *r = arg;

    r->depth++;
    if (r->depth == 1) {
        r->root = strcmp(name, "results") == 0;
    } else if (r->depth == 2 && strcmp(name, "cppcheck") == 0) {
        const char *v = attribute(atts, "version");

        if (v && strlen(v) < sizeof r->version) {
            memcpy(r->version, v, strlen(v) + 1);
        }
    } else if (r->depth == 3 && strcmp(name, "error") == 0) {
        error_begins(r, atts);
    } else if (r->depth == 4 && r->in_error && strcmp(name, "location") == 0) {
        location(r, atts);
    }
    if (!r->root) {
        XML_StopParser(r->xml, XML_FALSE);
    }
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
    struct reader *r = arg;

    (void)name;
    if (r->depth == 3 && r->in_error) {
        error_ends(r);
    }
    r->depth--;
    r->closed = r->depth == 0;
}

/* A document type could define entities; cppcheck writes none. */
static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    struct reader *r = arg;

    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    XML_StopParser(r->xml, XML_FALSE);
}

static int read_xml(struct reader *r, const struct engine_end *end, struct engine_notes *notes,
                    struct err *e)
{
    enum XML_Status ok = XML_STATUS_ERROR;

    r->xml = XML_ParserCreate("UTF-8");
    XML_SetUserData(r->xml, r);
    XML_SetElementHandler(r->xml, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(r->xml, on_doctype);
    if (end->n_out <= INT32_MAX) {
        ok = XML_Parse(r->xml, end->out, (int)end->n_out, 1);
    }
    XML_ParserFree(r->xml);
    if (r->rc) {
        return r->rc;
    }
    if (!r->root) {
        return hit_failure(notes, e, "cppcheck did not write its XML");
    }
    if (ok != XML_STATUS_OK || !r->closed) {
        notes->cut = true;
        return hit_failure(notes, e, "cppcheck's XML is broken off");
    }
    return 0;
}

static int cppcheck_read(const struct engine_end *end, finding_fn fn, void *arg,
                         struct engine_notes *notes, struct err *e)
{
    struct reader r = {.e = e};
    int rc = hit_end(end, "cppcheck", 1, notes, e);

    if (rc == 0) {
        hits_init(&r.hits, fn, arg, notes);
        rc = read_xml(&r, end, notes, e);
        hits_done(&r.hits);
    }
    return rc;
}

static int cppcheck_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    static const char *const options[] = {
        "--quiet",        "--xml",           "--xml-version=2", "--enable=warning,portability",
        "--inconclusive", "--library=posix", "--max-configs=8",
    };

    if (!a->list_file) {
        return err_set(e, ERR_INTERNAL, "cppcheck needs a list of files");
    }
    strvec_push(argv, a->program);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        strvec_push(argv, options[i]);
    }
    strvec_pushf(argv, "--output-file=%s", OUTPUT);
    strvec_pushf(argv, "--file-list=%s", a->list_file);
    return 0;
}

/* "Cppcheck 2.10" */
static bool cppcheck_version(const char *output, char *version, size_t size)
{
    return hit_version(output, "Cppcheck ", version, size);
}

const struct engine engine_cppcheck = {
    .tool = {.name = "cppcheck",
             .summary = "errors in C and C++ that follow from values",
             .setting = "engine-cppcheck",
             .program = "cppcheck",
             .version_args = (const char *const[]){"--version", NULL},
             .read_version = cppcheck_version,
             .limits = {.wall_s = 120, .memory_mb = 2048, .output_mb = 128, .processes = 8},
             .files = 256},
    .languages = LANG_C | LANG_CXX,
    .family = "values",
    .chunk = 64,
    .per_file_s = 8,
    .usual_us = 2200,
    .output = OUTPUT,
    .build_argv = cppcheck_argv,
    .read = cppcheck_read,
};
