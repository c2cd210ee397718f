/*
 * shellcheck - reads shell scripts. Most of what it says is about portability and taste: only codes
 * of the table below are findings.
 *
 * --norc: a .shellcheckrc of the tree is not read; without --external-sources no other file is. It
 * cannot be told to look past "# shellcheck disable=..." in the script itself: such lines are told
 * (engine_mark()), but they are obeyed.
 */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "engine/hit.h"

/* In the order of strcmp(): as text, not as numbers. */
static const struct hit_rule rules[] = {
    {"1017", "logic-error", "Carriage returns in a script", 0, SEVERITY_INFO},
    {"2010", "shell-quoting", "Names are taken from the output of ls", 20, SEVERITY_INFO},
    {"2011", "shell-quoting", "Names from ls for xargs", 78, SEVERITY_LOW},
    {"2012", "shell-quoting", "Names are taken from the output of ls", 20, SEVERITY_INFO},
    {"2024", "insecure-permissions", "sudo does not write the file", 250, SEVERITY_INFO},
    {"2027", "shell-quoting", "Quotes end where they should begin", 78, SEVERITY_LOW},
    {"2029", "command-injection", "Variable becomes part of a command on another machine", 78,
     SEVERITY_MEDIUM},
    {"2035", "shell-quoting", "Name that begins with - becomes an option", 88, SEVERITY_LOW},
    {"2038", "shell-quoting", "Names with spaces or line ends for xargs", 78, SEVERITY_LOW},
    {"2044", "shell-quoting", "Names from find are split at spaces", 78, SEVERITY_LOW},
    {"2045", "shell-quoting", "Names from ls are split at spaces", 78, SEVERITY_LOW},
    {"2046", "shell-quoting", "Output of a command is split into words", 78, SEVERITY_LOW},
    {"2048", "shell-quoting", "Arguments are split into words", 78, SEVERITY_LOW},
    {"2053", "logic-error", "Right side of a comparison is a pattern", 183, SEVERITY_LOW},
    {"2059", "format-string", "Variable as the format of printf", 134, SEVERITY_LOW},
    {"2064", "command-injection", "Trap runs what a variable holds now", 78, SEVERITY_LOW},
    {"2066", "shell-quoting", "Loop over words runs only once", 0, SEVERITY_INFO},
    {"2068", "shell-quoting", "Arguments are split into words", 78, SEVERITY_LOW},
    {"2078", "logic-error", "Condition that is always true", 571, SEVERITY_LOW},
    {"2086", "shell-quoting", "Variable without quotes is split into words", 78, SEVERITY_LOW},
    {"2087", "command-injection", "Variable of the here-document is put in on this side", 78,
     SEVERITY_LOW},
    {"2089", "shell-quoting", "Quotes inside of a variable are text", 78, SEVERITY_LOW},
    {"2090", "shell-quoting", "Quotes inside of a variable are text", 78, SEVERITY_LOW},
    {"2091", "command-injection", "Output of a command is run as a command", 78, SEVERITY_MEDIUM},
    {"2092", "command-injection", "Output of a command is run as a command", 78, SEVERITY_MEDIUM},
    {"2103", "unchecked-return", "cd may fail", 252, SEVERITY_INFO},
    {"2114", "path-traversal", "A directory of the system is removed", 73, SEVERITY_MEDIUM},
    {"2115", "path-traversal", "rm removes / when a variable is empty", 73, SEVERITY_MEDIUM},
    {"2117", "insecure-permissions", "su does not make the script another user", 250, SEVERITY_LOW},
    {"2145", "shell-quoting", "Array and text are mixed", 78, SEVERITY_INFO},
    {"2146", "logic-error", "find groups -o in another way", 783, SEVERITY_LOW},
    {"2156", "command-injection", "Name of a file becomes part of a command", 78, SEVERITY_HIGH},
    {"2164", "unchecked-return", "cd may fail", 252, SEVERITY_LOW},
    {"2174", "insecure-permissions", "mkdir -m -p leaves parents open", 732, SEVERITY_LOW},
    {"2206", "shell-quoting", "Variable without quotes is split into words", 78, SEVERITY_LOW},
    {"2207", "shell-quoting", "Output of a command is split into words", 78, SEVERITY_LOW},
    {"2223", "shell-quoting", "Default without quotes is expanded", 78, SEVERITY_INFO},
    {"2231", "shell-quoting", "Pattern without quotes around the variable", 78, SEVERITY_INFO},
    {"2245", "logic-error", "Test looks at the first name only", 0, SEVERITY_INFO},
    {"2254", "shell-quoting", "Variable in a case is a pattern", 78, SEVERITY_INFO},
    {"2294", "command-injection", "eval joins arguments into one command", 95, SEVERITY_MEDIUM},
    {"2295", "shell-quoting", "Variable in an expansion is a pattern", 78, SEVERITY_INFO},
};

static const char *text_of(struct arena *a, const json_t *o, const char *name, size_t max)
{
    const json_t *v = json_object_get(o, name);
    size_t n = json_string_length(v);

    return n ? hit_text(a, json_string_value(v), n, max, false) : NULL;
}

static int32_t number_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    json_int_t i = json_integer_value(v);

    return json_is_integer(v) && i > 0 && i <= INT32_MAX ? (int32_t)i : 0;
}

/* Its end is the first character behind; ours the last one inside. */
static struct finding_place place(struct arena *a, const json_t *o)
{
    const json_t *file = json_object_get(o, "file");
    struct finding_place at = {.line = number_of(o, "line"),
                               .column = number_of(o, "column"),
                               .end_line = number_of(o, "endLine"),
                               .end_column = number_of(o, "endColumn")};

    if (json_is_string(file)) {
        at.path = hit_path(a, json_string_value(file), json_string_length(file));
    }
    if (at.end_line < at.line || at.end_column == 0) {
        at.end_line = at.end_column = 0;
    } else if (at.end_line > at.line || at.end_column > at.column) {
        at.end_column--;
    }
    if (at.end_column == 0) {
        at.end_line = 0;
    }
    return at;
}

/* Codes of a script that could not be read to its end. */
static const char *refusal(int32_t code)
{
    return code == 1071 ? "a shell that shellcheck does not read"
           : code == 1070 || code == 1072 || code == 1088 || code == 1089
               ? "not parsed: a syntax error"
               : NULL;
}

static int read_comment(struct hits *h, const json_t *o, struct err *e)
{
    struct finding f = {.at = place(h->arena, o)};
    int32_t code = number_of(o, "code");
    auto_free char *digits = str_fmt("%d", code);
    auto_free char *id = str_fmt("SC%d", code);
    const struct hit_rule *rule = hit_rule(rules, ARRAY_LEN(rules), digits);
    const char *reason = refusal(code);

    if (!f.at.path || f.at.line == 0 || code == 0) {
        return hit_failure(h->notes, e, "shellcheck wrote a comment that makes no sense");
    }
    if (reason) {
        hit_failed(h->notes, f.at.path, reason);
    }
    if (!rule) {
        arena_reset(h->arena);
        return 0;
    }
    hit_classify(&f, rule);
    f.message = text_of(h->arena, o, "message", FINDING_TEXT_MAX);
    f.confidence_x100 = 50;
    f.engines[0] = (struct finding_engine){.name = "shellcheck",
                                           .rule = id,
                                           .severity = text_of(h->arena, o, "level", 32),
                                           .confidence_x100 = 50};
    f.n_engines = 1;
    return hits_add(h, &f, e);
}

/* Status 2: "NAME: NAME: openBinaryFile: ..." for each file that it could not read. */
static bool read_complaints(struct hits *h, const struct engine_end *end)
{
    const char *s = end->err, *stop = end->err + end->n_err;
    bool any = false;

    while (s < stop) {
        const char *nl = memchr(s, '\n', (size_t)(stop - s));
        size_t n = (size_t)((nl ? nl : stop) - s);
        const char *colon = memmem(s, n, ": ", 2);
        const char *path = colon ? hit_path(h->arena, s, (size_t)(colon - s)) : NULL;

        if (path) {
            hit_failed(h->notes, path, "could not be read");
            any = true;
        }
        s += n + 1;
    }
    arena_reset(h->arena);
    return any;
}

static int read_document(struct hits *h, const struct engine_end *end, const json_t *root,
                         struct err *e)
{
    const json_t *comments = json_object_get(root, "comments");
    size_t i;
    const json_t *o;
    int rc = 0;

    if (!json_is_array(comments)) {
        return hit_failure(h->notes, e, "shellcheck did not write its JSON");
    }
    json_array_foreach(comments, i, o)
    {
        rc = read_comment(h, o, e);
        if (rc != 0) {
            return rc;
        }
    }
    if (end->exit_status == 2 && !read_complaints(h, end)) {
        return hit_failure(h->notes, e, "shellcheck could not read a file and does not say which");
    }
    if (end->exit_status != 2 && (end->exit_status == 1) != (json_array_size(comments) > 0)) {
        return hit_failure(h->notes, e, "shellcheck's status %d does not fit its %zu comments",
                           end->exit_status, json_array_size(comments));
    }
    return 0;
}

static int shellcheck_read(const struct engine_end *end, finding_fn fn, void *arg,
                           struct engine_notes *notes, struct err *e)
{
    json_error_t why;
    json_t *root;
    struct hits h;
    int rc = hit_end(end, "shellcheck", 1 << 0 | 1 << 1 | 1 << 2, notes, e);

    if (rc < 0) {
        return rc;
    }
    root = json_loadb(end->out, end->n_out, JSON_ALLOW_NUL, &why);
    hits_init(&h, fn, arg, notes);
    rc = root ? read_document(&h, end, root, e)
              : hit_failure(notes, e, "shellcheck did not write its JSON: line %d: %s", why.line,
                            why.text);
    hits_done(&h);
    json_decref(root);
    return rc;
}

static int shellcheck_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    (void)e;
    strvec_push(argv, a->program);
    strvec_push(argv, "--norc");
    strvec_push(argv, "--format=json1");
    strvec_push(argv, "--");
    for (size_t i = 0; i < a->n_files; i++) {
        hit_push_path(argv, a->files[i].path);
    }
    return 0;
}

/* "version: 0.9.0" */
static bool shellcheck_version(const char *output, char *version, size_t size)
{
    return hit_version(output, "version: ", version, size);
}

const struct engine engine_shellcheck = {
    .tool = {.name = "shellcheck",
             .summary = "quoting and commands in shell scripts",
             .setting = "engine-shellcheck",
             .program = "shellcheck",
             .version_args = (const char *const[]){"--version", NULL},
             .read_version = shellcheck_version,
             .limits = {.wall_s = 60, .memory_mb = 2048, .output_mb = 128, .processes = 16},
             .files = 256},
    .languages = LANG_SHELL,
    .obeys = "shellcheck",
    .family = "shell",
    .chunk = 50,
    .per_file_s = 3,
    .usual_us = 2500,
    .build_argv = shellcheck_argv,
    .read = shellcheck_read,
};
