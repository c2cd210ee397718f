/*
 * bandit - patterns in the syntax trees of Python files.
 *
 * The tree's own .bandit is not read: --ini names a file of ours, without it bandit looks for one.
 * Newer versions leave out directories by name (.git also means .github): --exclude names what is
 * in no path. Files with syntax that its Python does not know are skipped with status 1 like any
 * run with findings: they are in errors[].
 */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "engine/hit.h"

#define INI "/tmp/bandit.ini"

/* It says no CWE (1.6.2). Class NULL: no finding, and why stands beside it. */
static const struct hit_rule rules[] = {
    {"B101", NULL, NULL, 703, SEVERITY_INFO}, /* assert: tests are full of them */
    {"B102", "code-injection", "exec() runs text as code", 95, SEVERITY_MEDIUM},
    {"B103", "insecure-permissions", "File that everybody may change", 732, SEVERITY_MEDIUM},
    {"B104", "insecure-configuration", "Listens on all addresses", 605, SEVERITY_LOW},
    {"B105", "hardcoded-secret", "Password in the source", 259, SEVERITY_LOW},
    {"B106", "hardcoded-secret", "Password as an argument", 259, SEVERITY_LOW},
    {"B107", "hardcoded-secret", "Password as a default", 259, SEVERITY_LOW},
    {"B108", "insecure-temporary-file", "File of a known name in /tmp", 377, SEVERITY_LOW},
    {"B109", "information-exposure", "Password option that is not marked secret", 532,
     SEVERITY_LOW},
    {"B110", "unchecked-return", "Exception is passed over", 703, SEVERITY_INFO},
    {"B111", "insecure-permissions", "Command is run as root", 250, SEVERITY_MEDIUM},
    {"B112", "unchecked-return", "Exception is passed over", 703, SEVERITY_INFO},
    {"B113", "resource-exhaustion", "Request without a time limit", 400, SEVERITY_LOW},
    {"B201", "debug-enabled", "Flask with its debugger, which runs code", 94, SEVERITY_HIGH},
    {"B202", "path-traversal", "Archive is unpacked without a check of its names", 22,
     SEVERITY_HIGH},
    {"B301", "unsafe-deserialization", "pickle runs code of what it reads", 502, SEVERITY_MEDIUM},
    {"B302", "unsafe-deserialization", "marshal reads what it should not", 502, SEVERITY_MEDIUM},
    {"B303", "weak-hash", "Hash that is broken (MD2, MD4, MD5, SHA-1)", 327, SEVERITY_MEDIUM},
    {"B304", "weak-cryptography", "Cipher that is broken", 327, SEVERITY_HIGH},
    {"B305", "weak-cryptography", "Cipher mode that shows patterns", 327, SEVERITY_MEDIUM},
    {"B306", "insecure-temporary-file", "mktemp() gives a name that somebody else may take", 377,
     SEVERITY_MEDIUM},
    {"B307", "code-injection", "eval() runs text as code", 95, SEVERITY_MEDIUM},
    {"B308", "cross-site-scripting", "mark_safe() takes text for markup", 79, SEVERITY_MEDIUM},
    {"B309", "certificate-validation", "HTTPSConnection of old Python checks nothing", 295,
     SEVERITY_LOW},
    {"B310", "ssrf", "urlopen() takes any scheme, file: too", 918, SEVERITY_MEDIUM},
    {"B311", "weak-random", "random can be guessed", 330, SEVERITY_LOW},
    {"B312", "cleartext-transmission", "telnet sends everything in the clear", 319,
     SEVERITY_MEDIUM},
    {"B313", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B314", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B315", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B316", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B317", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B318", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B319", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B320", "xxe", "XML reader that expands entities", 611, SEVERITY_MEDIUM},
    {"B321", "cleartext-transmission", "FTP sends everything in the clear", 319, SEVERITY_MEDIUM},
    {"B322", "code-injection", "input() of Python 2 runs text as code", 95, SEVERITY_LOW},
    {"B323", "certificate-validation", "TLS without a check of certificates", 295, SEVERITY_MEDIUM},
    {"B324", "weak-hash", "Hash that is broken (MD4, MD5, SHA-1)", 327, SEVERITY_MEDIUM},
    {"B325", "insecure-temporary-file", "tempnam() gives a name that somebody else may take", 377,
     SEVERITY_MEDIUM},
    /* imports: not yet a use of what is imported */
    {"B401", "cleartext-transmission", "telnetlib is imported", 319, SEVERITY_INFO},
    {"B402", "cleartext-transmission", "ftplib is imported", 319, SEVERITY_INFO},
    {"B403", NULL, NULL, 502, SEVERITY_INFO},
    {"B404", NULL, NULL, 78, SEVERITY_INFO},
    {"B405", NULL, NULL, 611, SEVERITY_INFO},
    {"B406", NULL, NULL, 611, SEVERITY_INFO},
    {"B407", NULL, NULL, 611, SEVERITY_INFO},
    {"B408", NULL, NULL, 611, SEVERITY_INFO},
    {"B409", NULL, NULL, 611, SEVERITY_INFO},
    {"B410", NULL, NULL, 611, SEVERITY_INFO},
    {"B411", "xxe", "xmlrpclib is imported, which expands entities", 611, SEVERITY_LOW},
    {"B412", "input-validation", "CGI takes HTTP_PROXY from a header", 807, SEVERITY_MEDIUM},
    {"B413", "weak-cryptography", "pycrypto is imported, which nobody maintains", 327,
     SEVERITY_LOW},
    {"B415", "cleartext-transmission", "pyghmi is imported: IPMI is not safe", 319, SEVERITY_LOW},
    {"B501", "certificate-validation", "Request without a check of certificates", 295,
     SEVERITY_HIGH},
    {"B502", "weak-cryptography", "Old version of TLS", 326, SEVERITY_MEDIUM},
    {"B503", "weak-cryptography", "Old version of TLS as a default", 326, SEVERITY_MEDIUM},
    {"B504", "weak-cryptography", "TLS without a version", 326, SEVERITY_LOW},
    {"B505", "weak-cryptography", "Key that is too short", 326, SEVERITY_MEDIUM},
    {"B506", "unsafe-deserialization", "yaml.load() makes any object", 502, SEVERITY_MEDIUM},
    {"B507", "certificate-validation", "SSH without a check of the host's key", 295, SEVERITY_HIGH},
    {"B508", "cleartext-transmission", "SNMP of a version without encryption", 319,
     SEVERITY_MEDIUM},
    {"B509", "cleartext-transmission", "SNMP without encryption", 319, SEVERITY_MEDIUM},
    {"B601", "command-injection", "Command for a remote shell", 78, SEVERITY_MEDIUM},
    {"B602", "command-injection", "Process with a shell", 78, SEVERITY_HIGH},
    {"B603", NULL, NULL, 78, SEVERITY_INFO}, /* process without a shell: what one should do */
    {"B604", "command-injection", "Call with shell=True", 78, SEVERITY_MEDIUM},
    {"B605", "command-injection", "Command for a shell", 78, SEVERITY_HIGH},
    {"B606", NULL, NULL, 78, SEVERITY_INFO}, /* the same as B603 */
    {"B607", "command-injection", "Program without its full path", 426, SEVERITY_INFO},
    {"B608", "sql-injection", "SQL is put together from text", 89, SEVERITY_MEDIUM},
    {"B609", "command-injection", "Wildcard that may become an option", 155, SEVERITY_MEDIUM},
    {"B610", "sql-injection", "extra() of Django takes SQL", 89, SEVERITY_MEDIUM},
    {"B611", "sql-injection", "RawSQL of Django takes SQL", 89, SEVERITY_MEDIUM},
    {"B612", "code-injection", "logging.config.listen() runs what it is sent", 94, SEVERITY_MEDIUM},
    {"B613", "logic-error", "Characters that show the source in another order", 838, SEVERITY_HIGH},
    {"B614", "unsafe-deserialization", "torch.load() runs code of what it reads", 502,
     SEVERITY_MEDIUM},
    {"B615", "dependency-risk", "Model is loaded without its revision", 494, SEVERITY_MEDIUM},
    {"B701", "cross-site-scripting", "Templates (jinja2) that escape nothing", 79, SEVERITY_HIGH},
    {"B702", "cross-site-scripting", "Templates (mako) that escape nothing", 79, SEVERITY_MEDIUM},
    {"B703", "cross-site-scripting", "mark_safe() takes text for markup", 79, SEVERITY_MEDIUM},
    {"B704", "cross-site-scripting", "Markup() takes text for markup", 79, SEVERITY_MEDIUM},
};

static const char *text_of(struct arena *a, const json_t *o, const char *name, size_t max,
                           bool one_line)
{
    const json_t *v = json_object_get(o, name);
    size_t n = json_string_length(v);

    return n ? hit_text(a, json_string_value(v), n, max, one_line) : NULL;
}

static int32_t number_of(const json_t *v)
{
    json_int_t i = json_integer_value(v);

    return json_is_integer(v) && i > 0 && i <= INT32_MAX ? (int32_t)i : 0;
}

/* Its excerpt has lines as "17 text". */
static const char *line_in(struct arena *a, const json_t *code, int32_t line)
{
    auto_free char *number = str_fmt("%d ", line);
    const char *s = json_string_value(code);
    size_t n = strlen(number);

    for (; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL) {
        if (strncmp(s, number, n) == 0) {
            return hit_quote(a, s + n, strcspn(s + n, "\n"));
        }
    }
    return NULL;
}

/* What it calls severity is what would happen; the table says the same but where we know better.
 * The milder of both counts for what is only a hint. */
static void classify(struct finding *f, const json_t *o)
{
    const struct hit_rule *rule = hit_rule(rules, ARRAY_LEN(rules), f->engines[0].rule);
    const char *severity = f->engines[0].severity;
    const char *confidence = json_string_value(json_object_get(o, "issue_confidence"));
    enum severity own = str_eq(severity, "HIGH")     ? SEVERITY_HIGH
                        : str_eq(severity, "MEDIUM") ? SEVERITY_MEDIUM
                                                     : SEVERITY_LOW;

    if (rule) {
        hit_classify(f, rule);
        f->severity = MIN(rule->severity, own);
    } else {
        int32_t cwe = number_of(json_object_get(json_object_get(o, "issue_cwe"), "id"));

        hit_classify_cwe(f, cwe);
        f->severity = own;
    }
    f->confidence_x100 = str_eq(confidence, "HIGH") ? 90 : str_eq(confidence, "MEDIUM") ? 60 : 30;
    f->engines[0].confidence_x100 = f->confidence_x100;
}

static int read_result(struct hits *h, const json_t *o, struct err *e)
{
    const json_t *file = json_object_get(o, "filename");
    const json_t *range = json_object_get(o, "line_range");
    const char *id = text_of(h->arena, o, "test_id", 64, true);
    const struct hit_rule *rule = hit_rule(rules, ARRAY_LEN(rules), id);
    struct finding f = {0};
    int32_t last = number_of(json_array_get(range, json_array_size(range) - 1));

    f.at.path = json_is_string(file)
                    ? hit_path(h->arena, json_string_value(file), json_string_length(file))
                    : NULL;
    f.at.line = number_of(json_object_get(o, "line_number"));
    if (!f.at.path || f.at.line == 0 || !id) {
        return hit_failure(h->notes, e, "bandit wrote a result that makes no sense");
    }
    if (rule && !rule->class_) {
        arena_reset(h->arena);
        return 0;
    }
    f.at.end_line = json_array_size(range) && last > f.at.line ? last : 0;
    f.message = text_of(h->arena, o, "issue_text", FINDING_TEXT_MAX, false);
    f.quote = line_in(h->arena, json_object_get(o, "code"), f.at.line);
    f.engines[0] = (struct finding_engine){
        .name = "bandit", .rule = id, .severity = text_of(h->arena, o, "issue_severity", 32, true)};
    f.n_engines = 1;
    classify(&f, o);
    return hits_add(h, &f, e);
}

static void read_errors(struct hits *h, const json_t *errors)
{
    size_t i;
    const json_t *o;

    json_array_foreach(errors, i, o)
    {
        const json_t *file = json_object_get(o, "filename");
        const char *reason = text_of(h->arena, o, "reason", 200, true);
        const char *path = json_is_string(file) ? hit_path(h->arena, json_string_value(file),
                                                           json_string_length(file))
                                                : NULL;

        if (path) {
            hit_failed(h->notes, path, reason ? reason : "not read");
        }
        arena_reset(h->arena);
    }
}

static int read_document(struct hits *h, const struct engine_end *end, const json_t *root,
                         struct err *e)
{
    const json_t *results = json_object_get(root, "results");
    const json_t *errors = json_object_get(root, "errors");
    size_t i;
    const json_t *o;
    int rc = 0;

    if (!json_is_array(results) || !json_is_array(errors)) {
        return hit_failure(h->notes, e, "bandit did not write its JSON");
    }
    read_errors(h, errors);
    json_array_foreach(results, i, o)
    {
        rc = read_result(h, o, e);
        if (rc != 0) {
            return rc;
        }
    }
    if ((end->exit_status == 1) != (json_array_size(results) > 0)) {
        return hit_failure(h->notes, e, "bandit's status %d does not fit its %zu results",
                           end->exit_status, json_array_size(results));
    }
    return 0;
}

static int bandit_read(const struct engine_end *end, finding_fn fn, void *arg,
                       struct engine_notes *notes, struct err *e)
{
    json_error_t why;
    json_t *root;
    struct hits h;
    int rc = hit_end(end, "bandit", 1 << 0 | 1 << 1, notes, e);

    if (rc < 0) {
        return rc;
    }
    root = json_loadb(end->out, end->n_out, JSON_ALLOW_NUL, &why);
    hits_init(&h, fn, arg, notes);
    if (root) {
        rc = read_document(&h, end, root, e);
    } else { /* status 1 is also that of Python, when it gives up */
        rc =
            hit_failure(notes, e, "bandit did not write its JSON: line %d: %s", why.line, why.text);
    }
    hits_done(&h);
    json_decref(root);
    return rc;
}

static int bandit_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    static const char *const options[] = {"--format",       "json",      "--quiet", "--ini", INI,
                                          "--ignore-nosec", "--exclude", "//",      "--"};

    (void)e;
    strvec_push(argv, a->program);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        strvec_push(argv, options[i]);
    }
    for (size_t i = 0; i < a->n_files; i++) {
        hit_push_path(argv, a->files[i].path);
    }
    return 0;
}

/* "bandit 1.6.2" */
static bool bandit_version(const char *output, char *version, size_t size)
{
    return hit_version(output, "bandit ", version, size) ||
           hit_version(output, "__main__.py ", version, size);
}

const struct engine engine_bandit = {
    .tool = {.name = "bandit",
             .summary = "dangerous patterns in Python",
             .setting = "engine-bandit",
             .program = "bandit",
             .version_args = (const char *const[]){"--version", NULL},
             .read_version = bandit_version,
             .limits = {.wall_s = 60, .memory_mb = 2048, .output_mb = 128, .processes = 8},
             .files = 256},
    .languages = LANG_PYTHON,
    .family = "python-trees",
    .chunk = 400,
    .per_file_s = 2,
    .usual_us = 5000,
    .inputs = (const struct engine_input[]){{INI, "[bandit]\n"}, {NULL, NULL}},
    .env = (const char *const[]){"PYTHONUTF8=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1",
                                 NULL},
    .build_argv = bandit_argv,
    .read = bandit_read,
};
