#include "tool/tool_option.h"

#include <string.h>

#include "base/mem.h"

void tool_uses_done(struct tool_uses *u)
{
    for (size_t i = 0; i < u->n; i++) {
        free(u->v[i].value);
    }
    free(u->v);
    *u = (struct tool_uses){0};
}

bool tool_old_only(const struct tool_request *q)
{
    return q->old && !q->unsafe;
}

const struct tool_use *tool_use_find(const struct tool_uses *u, const char *name)
{
    for (size_t i = 0; i < u->n; i++) {
        if (str_eq(u->v[i].row->name, name)) {
            return &u->v[i];
        }
    }
    return NULL;
}

bool tool_use_given(const struct tool_uses *u, const char *name)
{
    return tool_use_find(u, name) != NULL;
}

int tool_use_contradiction(const char *a, const char *b, struct err *e)
{
    return err_set(e, ERR_INVALID, "contradicting arguments: '%s' and '%s'", a, b);
}

/* ---- names ---- */

/* The row of a token: its whole text, or its name with the value behind it. */
static const struct tool_option *row_of(const struct tool *t, const char *token, bool old,
                                        const char **value)
{
    *value = NULL;
    for (const struct tool_option *o = t->options; o->name; o++) {
        if (str_eq(o->name, token) && (o->old || !old)) {
            return o;
        }
    }
    for (const struct tool_option *o = t->options; o->name; o++) {
        size_t n = strlen(o->name);

        if (o->value == TOOL_FLAG || (old && !o->old) || !str_starts(token, o->name)) {
            continue;
        }
        if (o->glued || o->apart) {
            *value = token + n;
            return o;
        }
        if (token[n] == '=') {
            *value = token + n + 1;
            return o;
        }
    }
    return NULL;
}

/* Why it is refused, if it is an option of the tool that we know; only for the message. */
static const char *refusal_of(const struct tool *t, const char *token)
{
    for (const struct tool_refusal *r = t->refusals; r && r->name; r++) {
        size_t n = strlen(r->name);
        bool two_letters = n == 3 && r->name[1] != '-';

        if (str_starts(token, r->name) && (!token[n] || token[n] == '=' || two_letters)) {
            return r->why;
        }
    }
    return NULL;
}

static int disallowed(const struct tool *t, const struct tool_request *q, const char *token,
                      struct err *e)
{
    const char *why = tool_old_only(q) ? NULL : refusal_of(t, token);

    return err_set(e, ERR_INVALID, "disallowed argument: '%s'%s%s", token, why ? ": " : "",
                   why ? why : "");
}

static int class_check(const struct tool *t, const struct tool_request *q,
                       const struct tool_option *o, const char *token, struct err *e)
{
    if (q->unsafe || o->class_ == OPTION_PLAIN || (q->old && o->old)) {
        return 0;
    }
    if (o->class_ == OPTION_UNSAFE) {
        return disallowed(t, q, token, e);
    }
    if (!q->advanced) {
        return err_set(e, ERR_SCOPE,
                       "argument '%s' is not allowed: the policy would need 'options: advanced'",
                       o->name);
    }
    return 0;
}

/* ---- uses ---- */

/* Adds a use. The old service took what contradicts itself, and the last value held. */
static int use_add(struct tool_uses *u, bool old, struct tool_use use, struct err *e)
{
    for (size_t i = 0; i < u->n; i++) {
        struct tool_use *had = &u->v[i];
        bool same = had->row == use.row;

        if (!same && !old && use.row->group && str_eq(had->row->group, use.row->group)) {
            err_set(e, ERR_INVALID, "contradicting arguments: '%s' and '%s'", had->row->name,
                    use.row->name);
            free(use.value);
            return ERR_INVALID;
        }
        if (same && !old && !str_eq(had->value, use.value)) {
            free(use.value);
            return err_set(e, ERR_INVALID, "contradicting arguments: '%s' is given twice",
                           use.row->name);
        }
        if (same) {
            free(had->value);
            *had = use;
            return 0;
        }
    }
    if (u->n == u->size) {
        u->size = u->size ? u->size * 2 : 16;
        u->v = xrealloc(u->v, u->size * sizeof *u->v);
    }
    u->v[u->n++] = use;
    return 0;
}

int tool_uses_read(const struct tool *t, const struct tool_request *q, const struct strvec *tokens,
                   struct tool_uses *out, struct err *e)
{
    for (size_t i = 0; i < tokens->n; i++) {
        const char *token = tokens->v[i];
        struct tool_use use = {0};
        const char *value;
        auto_buf text = {0};
        int rc;

        use.row = row_of(t, token, tool_old_only(q), &value);
        if (!use.row) {
            return disallowed(t, q, token, e);
        }
        rc = class_check(t, q, use.row, token, e);
        if (rc < 0) {
            return rc;
        }
        if (use.row->value != TOOL_FLAG && !value && !use.row->glued) {
            if (i + 1 == tokens->n) {
                return err_set(e, ERR_INVALID, "argument '%s' requires a value", use.row->name);
            }
            value = tokens->v[++i];
        }
        if (value && !tool_value_read(use.row, q->old, value, &text, &use.number)) {
            return tool_value_invalid(use.row, q->old, value, e);
        }
        use.value = value ? buf_take(&text) : NULL;
        use.written = value;
        rc = use_add(out, q->old, use, e);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void tool_use_put(const struct tool_use *u, struct strvec *tokens)
{
    if (u->row->glued) {
        strvec_pushf(tokens, "%s%s", u->row->name, u->value ? u->value : "");
        return;
    }
    strvec_push(tokens, u->row->name);
    if (u->value) {
        strvec_push(tokens, u->value);
    }
}

void tool_uses_put(const struct tool_uses *u, const char *const *but, struct strvec *tokens)
{
    for (size_t i = 0; i < u->n; i++) {
        const char *const *name = but;

        while (*name && !str_eq(u->v[i].row->name, *name)) {
            name++;
        }
        if (!*name) {
            tool_use_put(&u->v[i], tokens);
        }
    }
}

const struct tool_option *tool_use_next(const struct tool *t, const struct strvec *tokens,
                                        size_t *at, const char **value)
{
    const struct tool_option *o = row_of(t, tokens->v[*at], false, value);

    (*at)++;
    if (o && o->value != TOOL_FLAG && !*value && !o->glued && *at < tokens->n) {
        *value = tokens->v[(*at)++];
    }
    return o;
}

/* ---- the API's `options` object ---- */

static int field_unknown(const struct tool *t, const char *field, struct err *e)
{
    const char *near = NULL;
    unsigned best = 1 + (unsigned)MIN(strlen(field) / 4, 3u);

    for (const struct tool_option *o = t->options; o->name; o++) {
        unsigned d = o->field && strlen(field) < 64 ? str_distance(field, o->field) : best;

        if (d < best) {
            best = d;
            near = o->field;
        }
    }
    return err_set(e, ERR_INVALID, "%s has no option '%s'%s%s%s", t->name, field,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* One word of a field that several flags share. */
static int word_token(const struct tool *t, const char *field, const char *word, size_t n,
                      struct strvec *tokens, struct err *e)
{
    auto_buf known = {0};

    for (const struct tool_option *o = t->options; o->name; o++) {
        if (!o->word || !str_eq(o->field, field)) {
            continue;
        }
        if (strlen(o->word) == n && strncmp(o->word, word, n) == 0) {
            strvec_push(tokens, o->name);
            return 0;
        }
        buf_addf(&known, "%s%s", known.len ? ", " : "", o->word);
    }
    return err_set(e, ERR_INVALID, "invalid value for '%s': '%.*s': one of %s", field, (int)n, word,
                   known.len ? known.data : "");
}

static int words_tokens(const struct tool *t, const char *field, const char *value,
                        struct strvec *tokens, struct err *e)
{
    for (const char *p = value ? value : "";; p++) {
        size_t n = strcspn(p, ",");
        int rc = word_token(t, field, p, n, tokens, e);

        p += n;
        if (rc < 0 || !*p) {
            return rc;
        }
    }
}

static int field_value(const struct tool_option *o, const char *value, struct strvec *tokens,
                       struct err *e)
{
    bool yes = !value || str_eq(value, "true");

    if (value && str_eq(value, "false") && (o->value == TOOL_FLAG || o->glued)) {
        return 0;
    }
    if (yes && (o->value == TOOL_FLAG || o->glued)) {
        strvec_push(tokens, o->name);
        return 0;
    }
    if (o->value == TOOL_FLAG) {
        return err_set(e, ERR_INVALID, "invalid value for '%s': '%s': true or false", o->field,
                       value);
    }
    if (!value) {
        return err_set(e, ERR_INVALID, "option '%s' requires a value", o->field);
    }
    if (o->glued) {
        strvec_pushf(tokens, "%s%s", o->name, value);
        return 0;
    }
    strvec_push(tokens, o->name);
    strvec_push(tokens, value);
    return 0;
}

int tool_option_tokens(const struct tool *t, const char *field, const char *value,
                       struct strvec *tokens, struct err *e)
{
    for (const struct tool_option *o = t->options; o->name; o++) {
        if (o->field && str_eq(o->field, field)) {
            return o->word ? words_tokens(t, field, value, tokens, e)
                           : field_value(o, value, tokens, e);
        }
    }
    return field_unknown(t, field, e);
}
