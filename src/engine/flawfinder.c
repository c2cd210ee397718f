/*
 * flawfinder - words of C and C++ that are dangerous where they stand, without understanding the
 * code: a list of places to look at, so its confidence is low.
 *
 * Its CSV has more than its SARIF: columns, the note and what to do instead. Hits of level 1 and 0
 * (strlen, read, ...) are in every program and are not asked for. One file that is not UTF-8 ends
 * it with status 15 before it has written a hit.
 */
#include <string.h>

#include "base/mem.h"
#include "engine/hit.h"

enum { FIELDS = 24, CWES_MAX = 8 };

/* '%s' in a title is the word that was found. */
static const struct hit_rule rules[] = {
    {"FF1001", "buffer-overflow", "%s() copies without knowing how much room there is", 120, 0},
    {"FF1002", "buffer-overflow", "%s() copies without knowing how much room there is", 120, 0},
    {"FF1003", "buffer-overflow", "%s() copies without knowing how much room there is", 120, 0},
    {"FF1004", "buffer-overflow", "%s() copies as much as it is told", 120, 0},
    {"FF1005", "buffer-overflow", "%s() appends without knowing how much room there is", 120, 0},
    {"FF1006", "buffer-overflow", "%s() appends without knowing how much room there is", 120, 0},
    {"FF1007", "buffer-overflow", "%s() appends without knowing how much room there is", 120, 0},
    {"FF1008", "buffer-overflow", "%s() may leave text without its end", 120, 0},
    {"FF1009", "buffer-overflow", "%s() may leave text without its end", 120, 0},
    {"FF1010", "buffer-overflow", "%s() is easily told the wrong room", 120, 0},
    {"FF1011", "buffer-overflow", "%s() is easily told the wrong room", 120, 0},
    {"FF1012", "buffer-overflow", "%s() overflows a buffer smaller than claimed", 120, 0},
    {"FF1013", "buffer-overflow", "An array of fixed size (%s) may be too small", 119, 0},
    {"FF1014", "buffer-overflow", "%s() reads a line of any length into a buffer", 120, 0},
    {"FF1015", "buffer-overflow", "%s() formats without knowing how much room there is", 120, 0},
    {"FF1016", "format-string", "%s() with a format that is no constant", 134, 0},
    {"FF1017", "format-string", "%s() with a format that is no constant", 134, 0},
    {"FF1018", "format-string", "%s() with a format that is no constant", 134, 0},
    {"FF1019", "format-string", "%s() with a format that is no constant", 134, 0},
    {"FF1020", "buffer-overflow", "%s() reads a word of any length into a buffer", 120, 0},
    {"FF1021", "buffer-overflow", "%s() reads a word of any length into a buffer", 120, 0},
    {"FF1022", "out-of-bounds", "%s() reads on where text has no end", 126, 0},
    {"FF1023", "buffer-overflow", "%s() counts characters, not bytes", 120, 0},
    {"FF1024", "buffer-overflow", "%s() writes without knowing how much room there is", 120, 0},
    {"FF1025", "buffer-overflow", "%s() writes without knowing how much room there is", 120, 0},
    {"FF1026", "buffer-overflow", "%s() writes a path of any length", 120, 0},
    {"FF1027", "buffer-overflow", "%s() of old systems overflows inside", 120, 0},
    {"FF1028", "buffer-overflow", "%s() writes a path of any length", 120, 0},
    {"FF1029", "buffer-overflow", "%s() in a loop needs a bound", 120, 0},
    {"FF1030", "race-condition", "%s() checks a file that may be another one when it is used", 362,
     0},
    {"FF1031", "race-condition", "%s() by name may change another file", 362, 0},
    {"FF1032", "race-condition", "%s() by name may change another file", 362, 0},
    {"FF1033", "race-condition", "%s() by name may change another file", 362, 0},
    {"FF1034", "dangerous-function", "%s() is hard to use correctly", 362, 0},
    {"FF1035", "race-condition", "%s() by name may read another link", 362, 0},
    {"FF1036", "insecure-temporary-file", "%s() is not safe on some systems", 377, 0},
    {"FF1037", "insecure-temporary-file", "%s() gives a name that somebody else may take", 377, 0},
    {"FF1038", "insecure-temporary-file", "%s() gives a name that somebody else may take", 377, 0},
    {"FF1039", "insecure-temporary-file", "%s() depends on the umask on old systems", 377, 0},
    {"FF1040", "race-condition", "%s() may open another file than the one that was meant", 362, 0},
    {"FF1041", "insecure-permissions", "%s() decides who may use new files", 732, 0},
    {"FF1042", "insecure-temporary-file", "%s() gives a name that somebody else may take", 377, 0},
    {"FF1043", "command-injection", "%s() starts another program", 78, 0},
    {"FF1044", "command-injection", "%s() runs a command in a shell", 78, 0},
    {"FF1045", "command-injection", "%s() starts another program", 78, 0},
    {"FF1046", "command-injection", "%s() starts another program", 78, 0},
    {"FF1047", "integer-overflow", "%s() does not tell a number that is out of range", 190, 0},
    {"FF1048", "weak-random", "%s() can be guessed", 338, 0},
    {"FF1049", "weak-cryptography", "%s() hashes passwords too weakly", 327, 0},
    {"FF1050", "weak-cryptography", "DES (%s) has keys that are too short", 327, 0},
    {"FF1051", "weak-cryptography", "A cipher (%s) with keys that are too short", 327, 0},
    {"FF1052", "insecure-configuration", "%s() is hard to use correctly", 250, 0},
    {"FF1053", "input-validation", "%s() gives text that others may have set", 807, 0},
    {"FF1054", "input-validation", "%s() gives text that others may have set", 807, 0},
    {"FF1055", "input-validation", "%s() gives text that others may have set", 807, 0},
    {"FF1056", "unchecked-return", "%s() may fail and leave privileges as they are", 250, 0},
    {"FF1057", "resource-exhaustion", "%s() may throw when memory runs out", 0, 0},
    {"FF1058", "input-validation", "%s() may load a library from the current directory", 829, 0},
    {"FF1059", "input-validation", "%s() may load a library from the current directory", 829, 0},
    {"FF1060", "insecure-permissions", "%s() may let everybody in", 732, 0},
    {"FF1061", "insecure-permissions", "%s() leaves out what is inherited", 732, 0},
    {"FF1062", "dangerous-function", "%s() is easily fooled about who the user is", 807, 0},
    {"FF1063", "dangerous-function", "%s() is defined poorly and may overflow", 120, 0},
    {"FF1064", "buffer-overflow", "%s() may overflow its buffer", 676, 0},
    {"FF1065", "dangerous-function", "%s() is obsolete and may overflow", 676, 0},
    {"FF1066", "dangerous-function", "%s() is obsolete", 676, 0},
    {"FF1067", "dangerous-function", "%s() gives memory that some systems cannot free", 676, 0},
    {"FF1068", "dangerous-function", "%s() is obsolete", 676, 0},
    {"FF1069", "dangerous-function", "%s() is obsolete", 676, 0},
    {"FF1070", "input-validation", "%s() reads what comes from outside", 20, 0},
    {"FF1071", "out-of-bounds", "%s() reads on where the second range is shorter", 126, 0},
};

/* Its columns, by name: later versions add some. */
enum column {
    FILE_,
    LINE,
    COLUMN,
    LEVEL,
    CATEGORY,
    NAME,
    WARNING,
    SUGGESTION,
    NOTE,
    CWES,
    CONTEXT,
    VERSION,
    RULE,
    COLUMNS
};
static const char *const columns[COLUMNS] = {
    "File",       "Line", "Column", "Level",   "Category",    "Name",   "Warning",
    "Suggestion", "Note", "CWEs",   "Context", "ToolVersion", "RuleId",
};

struct csv {
    const char *p, *end;
    struct buf text; /* of the row's fields, one after the other, each with a NUL */
    size_t start[FIELDS], len[FIELDS];
    size_t n;
    bool broken; /* it ends inside of a row */
};

static bool csv_quoted(struct csv *c)
{
    for (c->p++; c->p < c->end; c->p++) {
        if (*c->p != '"') {
            buf_addc(&c->text, *c->p);
        } else if (c->p + 1 < c->end && c->p[1] == '"') {
            buf_addc(&c->text, '"');
            c->p++;
        } else {
            c->p++;
            return true;
        }
    }
    return false;
}

/* One row; false: there is none, or not all of it. */
static bool csv_row(struct csv *c)
{
    buf_reset(&c->text);
    c->n = 0;
    while (c->p < c->end && c->n < FIELDS) {
        size_t from = c->text.len;
        const char *stop;

        if (*c->p == '"' && !csv_quoted(c)) {
            c->broken = true;
            return false;
        }
        for (stop = c->p; stop < c->end && *stop != ',' && *stop != '\n' && *stop != '\r'; stop++) {
        }
        buf_add(&c->text, c->p, (size_t)(stop - c->p));
        c->start[c->n] = from;
        c->len[c->n++] = c->text.len - from;
        buf_addc(&c->text, 0);
        c->p = stop;
        if (c->p < c->end && *c->p == ',') {
            c->p++;
            continue;
        }
        if (c->end - c->p >= 2 && c->p[0] == '\r' && c->p[1] == '\n') {
            c->p += 2;
            return true;
        }
        if (c->p < c->end && *c->p == '\n') {
            c->p++;
            return true;
        }
        break;
    }
    c->broken = c->n > 0 || c->p < c->end;
    return false;
}

struct reader {
    struct hits hits;
    struct csv csv;
    int at[COLUMNS]; /* which field; -1: there is none */
    size_t fields;   /* of a row */
};

static const char *field(const struct reader *r, enum column c, size_t *n)
{
    int i = r->at[c];

    *n = i < 0 ? 0 : r->csv.len[i];
    return i < 0 ? "" : r->csv.text.data + r->csv.start[i];
}

static const char *text_of(const struct reader *r, enum column c, size_t max)
{
    size_t n;
    const char *s = field(r, c, &n);

    return n ? hit_text(r->hits.arena, s, n, max, false) : NULL;
}

static int32_t number_of(const struct reader *r, enum column c)
{
    size_t n;
    uint64_t v;

    return str_to_u64(field(r, c, &n), 0, INT32_MAX, &v) ? (int32_t)v : -1;
}

static bool read_header(struct reader *r)
{
    if (!csv_row(&r->csv)) {
        return false;
    }
    for (int c = 0; c < COLUMNS; c++) {
        r->at[c] = -1;
        for (size_t i = 0; i < r->csv.n; i++) {
            if (strcmp(r->csv.text.data + r->csv.start[i], columns[c]) == 0) {
                r->at[c] = (int)i;
            }
        }
    }
    r->fields = r->csv.n;
    return r->at[FILE_] >= 0 && r->at[LINE] >= 0 && r->at[LEVEL] >= 0 && r->at[NAME] >= 0 &&
           r->at[WARNING] >= 0 && r->at[CWES] >= 0;
}

/* "CWE-119!/CWE-120", "CWE-120, CWE-20": the first is the rule's. */
static void read_cwes(const struct reader *r, struct finding *f)
{
    size_t n;
    const char *s = field(r, CWES, &n);

    for (int i = 0; i < CWES_MAX && (s = strstr(s, "CWE-")); i++) {
        int32_t cwe = 0;

        for (s += 4; *s >= '0' && *s <= '9' && cwe < 100000; s++) {
            cwe = cwe * 10 + (*s - '0');
        }
        hit_cwe(f, cwe);
    }
}

/*
 * __attribute__((format(printf, 2, 3))): the name is that of a family of formats, nothing is
 * called; such lines make compilers find what this engine only guesses at.
 */
static bool names_format(const char *line, const char *name)
{
    static const char attribute[] = "format";
    const char *p = strstr(line, attribute);
    size_t n = strlen(name);

    if (!p || (!str_eq(name, "printf") && !str_eq(name, "scanf"))) {
        return false;
    }
    p += strlen(attribute);
    p += strspn(p, "_ ");
    if (*p != '(') {
        return false;
    }
    p++;
    p += strspn(p, "_ ");
    if (strncmp(p, name, n) != 0 || !p[n] || !strchr("_ ,", p[n])) {
        return false;
    }
    return !strstr(p + n, name) && strstr(line, name) == p;
}

static void classify(const struct reader *r, struct finding *f, int32_t level)
{
    static const enum severity severities[] = {SEVERITY_INFO,   SEVERITY_INFO, SEVERITY_LOW,
                                               SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_HIGH};
    const struct hit_rule *rule = hit_rule(rules, ARRAY_LEN(rules), f->engines[0].rule);
    const char *name = text_of(r, NAME, 64);
    const char *percent;
    size_t n;
    struct finding cwes = {0};

    read_cwes(r, &cwes);
    if (rule) {
        hit_classify(f, rule);
        percent = strstr(rule->title, "%s");
        if (percent) {
            auto_free char *title = str_fmt("%.*s%s%s", (int)(percent - rule->title), rule->title,
                                            name ? name : "?", percent + 2);

            f->title = hit_text(r->hits.arena, title, strlen(title), 255, true);
        }
    } else {
        hit_classify_cwe(f, cwes.n_cwe ? cwes.cwe[0] : 0);
    }
    for (uint32_t i = 0; i < cwes.n_cwe; i++) {
        hit_cwe(f, cwes.cwe[i]);
    }
    f->severity = severities[level];
    /* It cannot tell good code from bad; there is no good use of gets. */
    f->confidence_x100 = level == 5 ? 50 : 30;
    if (name && names_format(field(r, CONTEXT, &n), name)) {
        f->severity = SEVERITY_INFO;
        f->confidence_x100 = 5;
    }
}

static int read_hit(struct reader *r, struct err *e)
{
    struct finding f = {0};
    int32_t level = number_of(r, LEVEL);
    size_t n;
    const char *s = field(r, FILE_, &n);
    char severity[2] = "0";

    f.at.path = hit_path(r->hits.arena, s, n);
    f.at.line = number_of(r, LINE);
    f.at.column = r->at[COLUMN] < 0 ? 0 : number_of(r, COLUMN);
    if (!f.at.path || f.at.line < 1 || f.at.column < 0 || level < 0 || level > 5) {
        return hit_failure(r->hits.notes, e, "flawfinder wrote a row that makes no sense");
    }
    severity[0] = (char)('0' + level);
    s = field(r, CONTEXT, &n);
    f.quote = hit_quote(r->hits.arena, s, n);
    f.message = text_of(r, WARNING, FINDING_TEXT_MAX);
    f.recommendation = text_of(r, SUGGESTION, FINDING_TEXT_MAX);
    f.engines[0] = (struct finding_engine){.name = "flawfinder",
                                           .version = text_of(r, VERSION, 64),
                                           .rule = text_of(r, RULE, 64),
                                           .severity = severity};
    f.n_engines = 1;
    classify(r, &f, level);
    f.engines[0].confidence_x100 = f.confidence_x100;
    return hits_add(&r->hits, &f, e);
}

/* "Error: encoding error in FILE", where a row would be. */
static void read_refusal(const struct engine_end *end, struct reader *r)
{
    static const struct {
        const char *text, *reason;
    } refusals[] = {{"Error: encoding error in ", "not UTF-8"},
                    {"Error: failed to open ", "could not be opened"}};

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        size_t n = strlen(refusals[i].text);
        const char *at = end->n_out ? memmem(end->out, end->n_out, refusals[i].text, n) : NULL;

        if (at && (at == end->out || at[-1] == '\n')) {
            const char *stop = memchr(at, '\n', (size_t)(end->out + end->n_out - at));
            const char *path =
                stop ? hit_path(r->hits.arena, at + n, (size_t)(stop - at) - n) : NULL;

            if (path) {
                hit_failed(r->hits.notes, path, refusals[i].reason);
            }
        }
    }
}

static int flawfinder_read(const struct engine_end *end, finding_fn fn, void *arg,
                           struct engine_notes *notes, struct err *e)
{
    struct reader r = {.csv = {.p = end->out, .end = end->out + end->n_out}};
    int rc;

    hits_init(&r.hits, fn, arg, notes);
    rc = hit_end(end, "flawfinder", 1, notes, e);
    if (rc < 0) {
        read_refusal(end, &r);
    } else if (end->n_out == 0 || !read_header(&r)) {
        rc = hit_failure(notes, e, "flawfinder did not write its CSV");
    }
    while (rc == 0 && csv_row(&r.csv)) {
        rc = r.csv.n == r.fields
                 ? read_hit(&r, e)
                 : hit_failure(notes, e, "flawfinder wrote a row that makes no sense");
    }
    if (rc == 0 && r.csv.broken) {
        notes->cut = true;
        rc = hit_failure(notes, e, "flawfinder's output ends inside of a row");
    }
    buf_done(&r.csv.text);
    hits_done(&r.hits);
    return rc;
}

static int flawfinder_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    static const char *const options[] = {"--csv",         "--quiet",      "--dataonly",
                                          "--neverignore", "--minlevel=2", "--"};

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

/* "2.0.19" */
static bool flawfinder_version(const char *output, char *version, size_t size)
{
    return hit_version(output, "", version, size);
}

const struct engine engine_flawfinder = {
    .tool = {.name = "flawfinder",
             .summary = "dangerous calls in C and C++",
             .setting = "engine-flawfinder",
             .program = "flawfinder",
             .version_args = (const char *const[]){"--version", NULL},
             .read_version = flawfinder_version,
             .limits = {.wall_s = 60, .memory_mb = 1024, .output_mb = 128, .processes = 8},
             .files = 256},
    .languages = LANG_C | LANG_CXX,
    .family = "words",
    .chunk = 200,
    .per_file_s = 1,
    .usual_us = 800,
    .env = (const char *const[]){"PYTHONUTF8=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1",
                                 NULL},
    .build_argv = flawfinder_argv,
    .read = flawfinder_read,
};
