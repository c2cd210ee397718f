#include "assess/lexer.h"

#include <string.h>

#include "base/mem.h"

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool line_end(char c)
{
    return c == '\n' || c == '\r';
}

static char peek(const struct lexer *x, size_t ahead)
{
    return x->n - x->i > ahead ? x->t[x->i + ahead] : '\0';
}

static bool at_text(const struct lexer *x, const char *s)
{
    size_t n = strlen(s);

    return x->n - x->i >= n && memcmp(x->t + x->i, s, n) == 0;
}

bool token_is(const struct lexer *x, const struct token *k, const char *word)
{
    return k->type == TOKEN_WORD && strlen(word) == k->n && memcmp(x->t + k->at, word, k->n) == 0;
}

/* ---- what is skipped ---- */

static void skip_line(struct lexer *x)
{
    while (x->i < x->n && !line_end(x->t[x->i])) {
        x->i++;
    }
}

/* PHP: a comment of one line also ends with the code. */
static void skip_line_comment(struct lexer *x)
{
    while (x->i < x->n && !line_end(x->t[x->i]) && !((x->syntax & SYN_TAGS) && at_text(x, "?>"))) {
        x->i++;
    }
}

static void skip_block_comment(struct lexer *x)
{
    size_t deep = 1;

    x->i += 2;
    while (x->i < x->n && deep) {
        if (at_text(x, "*/")) {
            deep--;
            x->i += 2;
        } else if ((x->syntax & SYN_NESTED) && at_text(x, "/*")) {
            deep++;
            x->i += 2;
        } else {
            x->i++;
        }
    }
}

static void skip_past(struct lexer *x, const char *end)
{
    const char *p = memmem(x->t + x->i, x->n - x->i, end, strlen(end));

    x->i = p ? (size_t)(p - x->t) + strlen(end) : x->n;
}

/* From behind the quote on. */
static void skip_quoted(struct lexer *x, char quote, bool over_lines)
{
    while (x->i < x->n) {
        char c = x->t[x->i];

        if (c == quote) {
            x->i++;
            return;
        }
        if (line_end(c) && !over_lines) {
            return;
        }
        x->i += c == '\\' && x->n - x->i > 1 ? 2 : 1;
    }
}

static void skip_verbatim(struct lexer *x)
{
    while (x->i < x->n) {
        if (x->t[x->i] != '"') {
            x->i++;
        } else if (peek(x, 1) == '"') {
            x->i += 2;
        } else {
            x->i++;
            return;
        }
    }
}

/* R"x( ... )x": i is at the quote. */
static void skip_raw_cxx(struct lexer *x)
{
    char end[20] = ")";
    size_t n = 1;

    for (x->i++; x->i < x->n && x->t[x->i] != '(' && !line_end(x->t[x->i]) && n < 17; x->i++) {
        end[n++] = x->t[x->i];
    }
    end[n++] = '"';
    end[n] = '\0';
    if (peek(x, 0) == '(') {
        skip_past(x, end);
    }
}

/* r##" ... "##: i is behind the r. */
static bool skip_raw_rust(struct lexer *x)
{
    char end[34] = "\"";
    size_t n = 0;

    while (peek(x, n) == '#' && n < 32) {
        end[++n] = '#';
    }
    if (peek(x, n) != '"') {
        return false;
    }
    end[n + 1] = '\0';
    x->i += n + 1;
    skip_past(x, end);
    return true;
}

/* <<<NAME ... NAME of PHP; i is behind the <<<. */
static void skip_heredoc(struct lexer *x)
{
    size_t from, n;

    while (peek(x, 0) == ' ' || peek(x, 0) == '\t' || peek(x, 0) == '\'' || peek(x, 0) == '"') {
        x->i++;
    }
    for (from = x->i; x->i < x->n && word_byte(x->t[x->i]); x->i++) {
    }
    n = x->i - from;
    while (n > 0 && x->i < x->n) {
        skip_line(x);
        while (x->i < x->n && (line_end(x->t[x->i]) || x->t[x->i] == ' ' || x->t[x->i] == '\t')) {
            x->i++;
        }
        if (x->n - x->i >= n && memcmp(x->t + x->i, x->t + from, n) == 0 &&
            !word_byte(peek(x, n))) {
            x->i += n;
            return;
        }
    }
}

static void skip_regex(struct lexer *x)
{
    bool set = false;

    while (x->i < x->n && !line_end(x->t[x->i])) {
        char c = x->t[x->i];

        x->i += c == '\\' && x->n - x->i > 1 ? 2 : 1;
        set = c == '[' || (set && c != ']');
        if (c == '/' && !set) {
            break;
        }
    }
}

/* A line of the preprocessor with those that go on from it. */
static void skip_directive(struct lexer *x)
{
    while (x->i < x->n) {
        skip_line(x);
        if (x->i >= x->n || x->t[x->i - 1] != '\\') {
            return;
        }
        x->i += at_text(x, "\r\n") ? 2 : 1;
    }
}

/* ---- tokens ---- */

/* Up to "${" or the end; true: "${" was met, and i stands behind it. */
static bool template_text(struct lexer *x)
{
    while (x->i < x->n) {
        char c = x->t[x->i];

        if (c == '$' && peek(x, 1) == '{') {
            x->i += 2;
            return true;
        }
        x->i += c == '\\' && x->n - x->i > 1 ? 2 : 1;
        if (c == '`') {
            break;
        }
    }
    return false;
}

void lexer_resume_template(struct lexer *x)
{
    if (template_text(x)) {
        x->i -= 2; /* lexer_next() finds the "${" again */
    }
    x->last = (struct token){.type = TOKEN_LITERAL};
}

static bool after_value(const struct lexer *x)
{
    static const char *const words[] = {"return", "typeof",     "case",  "in",    "of",
                                        "delete", "void",       "throw", "else",  "do",
                                        "new",    "instanceof", "await", "yield", "extends"};

    switch (x->last.type) {
    case TOKEN_LITERAL:
        return true;
    case TOKEN_PUNCTUATION:
        return x->last.c == ')' || x->last.c == ']' || x->last.c == '}';
    case TOKEN_WORD:
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            if (token_is(x, &x->last, words[k])) {
                return false;
            }
        }
        return true;
    default:
        return false;
    }
}

/* White space and comments. */
static void skip_nothing(struct lexer *x)
{
    while (x->i < x->n) {
        char c = x->t[x->i];

        if (line_end(c)) {
            x->line_begun = false;
            x->i++;
        } else if (c == ' ' || c == '\t' || c == '\f' || c == '\v') {
            x->i++;
        } else if (at_text(x, "//")) {
            skip_line_comment(x);
        } else if (at_text(x, "/*")) {
            skip_block_comment(x);
        } else if (c == '#' && (x->syntax & SYN_HASH) && peek(x, 1) != '[') {
            skip_line_comment(x);
        } else if ((x->syntax & SYN_TAGS) && at_text(x, "?>")) {
            skip_past(x, "<?");
        } else {
            return;
        }
    }
}

static bool raw_prefix(const char *w, size_t n)
{
    return w[n - 1] == 'R' && n <= 3;
}

static void read_word(struct lexer *x, struct token *k)
{
    while (x->i < x->n && word_byte(x->t[x->i])) {
        x->i++;
    }
    k->type = TOKEN_WORD;
    k->n = x->i - k->at;
    if ((x->syntax & SYN_RAW_CXX) && peek(x, 0) == '"' && raw_prefix(x->t + k->at, k->n)) {
        skip_raw_cxx(x);
        k->type = TOKEN_LITERAL;
    } else if ((x->syntax & SYN_RAW_RUST) && x->t[x->i - 1] == 'r' && k->n <= 2 &&
               skip_raw_rust(x)) {
        k->type = TOKEN_LITERAL;
    }
}

static void read_number(struct lexer *x, struct token *k)
{
    while (x->i < x->n &&
           (word_byte(x->t[x->i]) ||
            (x->t[x->i] == '\'' && (x->syntax & SYN_DIRECTIVES) && word_byte(peek(x, 1))) ||
            (x->t[x->i] == '.' && digit(peek(x, 1))))) {
        x->i++;
    }
    k->type = TOKEN_LITERAL;
}

/* Strings, characters, patterns. False: it is none. */
static bool read_literal(struct lexer *x, struct token *k)
{
    char c = x->t[x->i], next = peek(x, 1);

    k->type = TOKEN_LITERAL;
    if (c == '"' && (x->syntax & SYN_TRIPLE) && at_text(x, "\"\"\"")) {
        x->i += 3;
        skip_past(x, "\"\"\"");
    } else if (c == '@' && next == '"' && (x->syntax & SYN_VERBATIM)) {
        x->i += 2;
        skip_verbatim(x);
    } else if (c == '\'' && (x->syntax & SYN_RAW_RUST) && word_byte(next) &&
               (unsigned char)next < 0x80 && peek(x, 2) != '\'') {
        x->i++; /* a lifetime */
    } else if (c == '"' || c == '\'') {
        x->i++;
        skip_quoted(x, c, x->syntax & SYN_LONG);
    } else if (c == '`' && (x->syntax & SYN_BACKTICK)) {
        x->i++;
        skip_past(x, "`");
    } else if (c == '/' && (x->syntax & SYN_REGEX) && !after_value(x)) {
        x->i++;
        skip_regex(x);
    } else if ((x->syntax & SYN_TAGS) && at_text(x, "<<<")) {
        x->i += 3;
        skip_heredoc(x);
    } else {
        return false;
    }
    return true;
}

static void read_punctuation(struct lexer *x, struct token *k)
{
    char c = x->t[x->i], next = peek(x, 1);

    k->type = TOKEN_PUNCTUATION;
    k->c = c;
    k->arrow = c == '=' && next == '>';
    k->scope = c == ':' && next == ':';
    k->assign = (c == '=' && next != '=' && next != '>') || (c == ':' && next == '=');
    if (k->arrow) {
        k->c = '>';
    }
    if (k->arrow || k->scope || (c == ':' && next == '=') ||
        ((c == '=' || c == '!' || c == '<' || c == '>') && next == '=') ||
        (c == '-' && next == '>')) {
        x->i++;
    }
    x->i++;
}

/* A '`', or where a template was left. True: it has a "${", whose '{' is the token. */
static void read_template(struct lexer *x, struct token *k)
{
    if (x->t[x->i] == '`') {
        x->i++;
    }
    k->type = TOKEN_LITERAL;
    if (template_text(x)) {
        k->type = TOKEN_PUNCTUATION;
        k->c = '{';
        k->template = true;
    }
}

struct lexer lexer_new(const char *t, size_t n, unsigned syntax)
{
    struct lexer x = {.t = t, .n = n, .syntax = syntax};

    if (at_text(&x, "\xEF\xBB\xBF")) {
        x.i = 3;
    }
    if (syntax & SYN_TAGS) {
        skip_past(&x, "<?");
    }
    return x;
}

struct token lexer_next(struct lexer *x)
{
    struct token k = {.type = TOKEN_END};
    char c;

    skip_nothing(x);
    k.at = x->i;
    k.new_line = !x->line_begun;
    x->line_begun = true;
    if (x->i >= x->n) {
        return k;
    }
    c = x->t[x->i];
    if (c == '#' && k.new_line && (x->syntax & SYN_DIRECTIVES)) {
        skip_directive(x);
        k.type = TOKEN_DIRECTIVE;
    } else if ((x->syntax & SYN_TEMPLATE) &&
               (c == '`' || (c == '$' && peek(x, 1) == '{' && x->last.type == TOKEN_LITERAL))) {
        read_template(x, &k);
    } else if (digit(c)) {
        read_number(x, &k);
    } else if (word_byte(c)) {
        read_word(x, &k);
    } else if (!read_literal(x, &k)) {
        read_punctuation(x, &k);
    }
    k.n = x->i - k.at;
    if (k.type != TOKEN_DIRECTIVE) {
        x->last = k;
    }
    return k;
}
