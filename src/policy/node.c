#include "policy/node.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/mem.h"

enum { SHOWN_MAX = 60, TYPO_MAX = 2 };

struct reader {
    yaml_parser_t parser;
    const char *name;
    const char *text;
    size_t n;
};

void node_done(struct node *n)
{
    size_t items = n->kind == NODE_MAP ? 2 * n->n : n->n;

    for (size_t i = 0; i < items; i++) {
        node_done(&n->item[i]);
    }
    free(n->item);
    free(n->text);
    *n = (struct node){0};
}

int node_wrong(const char *name, const struct node *n, struct err *e, const char *fmt, ...)
{
    char text[sizeof e->msg];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_INVALID, "%s:%u:%u: %s", name, n->line, n->column, text);
}

/* ---- events ---- */

static int syntax_error(struct reader *r, struct err *e)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    struct node at = {.line = (unsigned)p->problem_mark.line + 1,
                      .column = (unsigned)p->problem_mark.column + 1};

    if (p->error == YAML_READER_ERROR) { /* knows only how many bytes it went */
        at.line = at.column = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->n; i++) {
            at.column = r->text[i] == '\n' ? 1 : at.column + 1;
            at.line += r->text[i] == '\n';
        }
    }
    return node_wrong(r->name, &at, e, "%s%s%s", p->context ? p->context : "",
                      p->context ? ": " : "", problem);
}

static int next_event(struct reader *r, yaml_event_t *ev, struct err *e)
{
    return yaml_parser_parse(&r->parser, ev) ? 0 : syntax_error(r, e);
}

static struct node *add_item(struct node *n, size_t used)
{
    if (used == n->size) {
        n->size = n->size ? 2 * n->size : 8;
        n->item = xrealloc(n->item, n->size * sizeof *n->item);
    }
    n->item[used] = (struct node){0};
    return &n->item[used];
}

static int read_text(struct reader *r, const yaml_event_t *ev, struct node *out, struct err *e)
{
    const char *s = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            return node_wrong(r->name, out, e, "control characters are not accepted in values");
        }
    }
    out->kind = NODE_TEXT;
    out->text = xstrndup(s, n);
    return 0;
}

/* Aliases and tags make one text mean another. */
static const char *refused(const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    switch (ev->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not accepted; write it out";
    case YAML_SCALAR_EVENT:
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
        break;
    default:
        break;
    }
    return anchor ? "anchors (&name) are not accepted"
           : tag  ? "tags (!name) are not accepted"
                  : NULL;
}

static int read_node(struct reader *r, const yaml_event_t *ev, unsigned depth, struct node *out,
                     struct err *e);

static int read_items(struct reader *r, yaml_event_type_t end, unsigned depth, struct node *out,
                      struct err *e)
{
    size_t used = 0;
    int rc = 0;
    bool more = true;

    while (more && rc == 0) {
        yaml_event_t ev;

        rc = next_event(r, &ev, e);
        if (rc < 0) {
            break;
        }
        more = ev.type != end;
        if (more) {
            struct node one = {0};

            rc = read_node(r, &ev, depth, &one, e);
            if (rc == 0) {
                *add_item(out, used) = one;
                used++;
            } else {
                node_done(&one);
            }
        }
        yaml_event_delete(&ev);
    }
    /* A mapping that broke off behind a key must not be freed as one with its value. */
    out->n = out->kind == NODE_MAP ? used / 2 : used;
    if (out->kind == NODE_MAP && used % 2) {
        node_done(&out->item[used - 1]);
    }
    return rc;
}

static int read_node(struct reader *r, const yaml_event_t *ev, unsigned depth, struct node *out,
                     struct err *e)
{
    const char *why = refused(ev);

    *out = (struct node){.line = (unsigned)ev->start_mark.line + 1,
                         .column = (unsigned)ev->start_mark.column + 1};
    if (why) {
        return node_wrong(r->name, out, e, "%s", why);
    }
    if (depth == NODE_DEPTH_MAX) {
        return node_wrong(r->name, out, e, "nested too deeply");
    }
    if (ev->type == YAML_SCALAR_EVENT) {
        return read_text(r, ev, out, e);
    }
    if (ev->type == YAML_SEQUENCE_START_EVENT) {
        out->kind = NODE_LIST;
        return read_items(r, YAML_SEQUENCE_END_EVENT, depth + 1, out, e);
    }
    out->kind = NODE_MAP;
    return read_items(r, YAML_MAPPING_END_EVENT, depth + 1, out, e);
}

/* Stream and document around the one node. */
static int read_document(struct reader *r, struct node *out, struct err *e)
{
    static const struct node top = {.line = 1, .column = 1};
    bool found = false;

    for (;;) {
        yaml_event_t ev;
        yaml_event_type_t type;
        int rc = next_event(r, &ev, e);

        if (rc < 0) {
            return rc;
        }
        type = ev.type;
        if (type == YAML_DOCUMENT_START_EVENT && found) {
            const struct node at = {.line = (unsigned)ev.start_mark.line + 1,
                                    .column = (unsigned)ev.start_mark.column + 1};

            rc = node_wrong(r->name, &at, e, "a second document ('---') is not accepted");
        } else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                   type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT) {
            found = true;
            rc = read_node(r, &ev, 0, out, e);
        }
        yaml_event_delete(&ev);
        if (rc < 0) {
            return rc;
        }
        if (type == YAML_STREAM_END_EVENT) {
            return found ? 0
                         : node_wrong(r->name, &top, e,
                                      "the file is empty; it begins with 'version: 1'");
        }
    }
}

int node_parse(const char *text, size_t n, const char *name, struct node *out, struct err *e)
{
    struct reader r = {.name = name, .text = text, .n = n};
    struct node root = {0};
    int rc;

    if (!yaml_parser_initialize(&r.parser)) {
        return err_set(e, ERR_INTERNAL, "no YAML parser for '%s'", name);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    rc = read_document(&r, &root, e);
    yaml_parser_delete(&r.parser);
    if (rc < 0) {
        node_done(&root);
        return rc;
    }
    *out = root;
    return 0;
}

/* ---- mappings ---- */

static int unknown_key(const char *name, const struct node *key, const char *what,
                       const struct node_field *fields, struct err *e)
{
    auto_buf shown = {0};
    const char *best = NULL;
    unsigned least = TYPO_MAX + 1;

    buf_add_escaped(&shown, key->text, strnlen(key->text, SHOWN_MAX));
    for (const struct node_field *f = fields; f->name && strlen(key->text) <= SHOWN_MAX; f++) {
        unsigned d = str_distance(key->text, f->name);

        if (d < least) {
            least = d;
            best = f->name;
        }
    }
    return node_wrong(name, key, e, "unknown key '%s' in %s%s%s%s", shown.len ? shown.data : "",
                      what, best ? "; did you mean '" : "", best ? best : "", best ? "'?" : "");
}

int node_map(const char *name, const struct node *n, const char *what,
             const struct node_field *fields, void *arg, struct err *e)
{
    uint32_t seen = 0;

    if (n->kind != NODE_MAP) {
        return node_wrong(name, n, e, "%s must be a mapping ('key: value' lines)", what);
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct node *key = &n->item[2 * i];
        const struct node_field *f = fields;
        int rc;

        if (key->kind != NODE_TEXT) {
            return node_wrong(name, key, e, "a key of %s must be a word", what);
        }
        while (f->name && strcmp(f->name, key->text) != 0) {
            f++;
        }
        if (!f->name) {
            return unknown_key(name, key, what, fields, e);
        }
        if (seen & UINT32_C(1) << (f - fields)) {
            return node_wrong(name, key, e, "'%s' is given twice in %s", f->name, what);
        }
        seen |= UINT32_C(1) << (f - fields);
        rc = f->read(arg, &n->item[2 * i + 1], e);
        if (rc < 0) {
            return rc;
        }
    }
    for (const struct node_field *f = fields; f->name; f++) {
        if (f->required && !(seen & UINT32_C(1) << (f - fields))) {
            return node_wrong(name, n, e, "'%s' is missing in %s", f->name, what);
        }
    }
    return 0;
}
