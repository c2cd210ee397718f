/*
 * Scripts: {"id","output","data"?}, where data is the tree of tables and elems in document order:
 * {"key"?,"table":[...]} and {"key"?,"elem":"text"}. Written as it comes, straight into the list
 * of the port, host or run that the script belongs to.
 */
#include <string.h>

#include "parse/nmap.h"

static struct buf *script_list(struct nmap *p)
{
    switch (nmap_parent(p)) {
    case E_PORT:
        return &p->port_scripts;
    case E_HOSTSCRIPT:
        return &p->host_scripts;
    case E_PRESCRIPT:
        return &p->run.pre;
    default:
        return &p->run.post;
    }
}

static void script_start(struct nmap *p, const char **atts)
{
    struct buf *b = p->script = script_list(p);
    const char *id = nmap_att(atts, "id");
    const char *output = nmap_att(atts, "output");

    p->script_at = b->len;
    p->script_data = false;
    nmap_comma(b);
    buf_addc(b, '{');
    if (id) {
        nmap_member(b, "id", id);
    }
    if (output) {
        nmap_member(b, "output", output);
    }
}

static void script_end(struct nmap *p)
{
    buf_adds(p->script, p->script_data ? "]}" : "}");
    p->script = NULL;
}

void nmap_script_drop(struct nmap *p)
{
    struct buf *b = p->script;

    if (b && b->data) {
        b->len = p->script_at;
        b->data[b->len] = '\0';
    }
    p->script = NULL;
}

/* Opens `{"key":...` of a table or elem. */
static void node_begin(struct nmap *p, const char **atts)
{
    const char *key = nmap_att(atts, "key");

    if (!p->script_data) {
        nmap_comma(p->script);
        buf_adds(p->script, "\"data\":[");
        p->script_data = true;
    }
    nmap_comma(p->script);
    buf_addc(p->script, '{');
    if (key) {
        nmap_member(p->script, "key", key);
    }
}

static void table_start(struct nmap *p, const char **atts)
{
    node_begin(p, atts);
    nmap_comma(p->script);
    buf_adds(p->script, "\"table\":[");
}

static void table_end(struct nmap *p)
{
    buf_adds(p->script, "]}");
}

static void elem_start(struct nmap *p, const char **atts)
{
    node_begin(p, atts);
    nmap_text_begin(p);
}

static void elem_end(struct nmap *p)
{
    nmap_text_end(p);
    nmap_comma(p->script);
    buf_adds(p->script, "\"elem\":");
    buf_add_json_string(p->script, p->text.data, p->text.len);
    buf_addc(p->script, '}');
}

const struct nmap_element nmap_script_elements[] = {
    {"script", E_SCRIPT, IN(E_PORT) | IN(E_HOSTSCRIPT) | IN(E_PRESCRIPT) | IN(E_POSTSCRIPT),
     script_start, script_end},
    {"table", E_TABLE, IN(E_SCRIPT) | IN(E_TABLE), table_start, table_end},
    {"elem", E_LEAF, IN(E_SCRIPT) | IN(E_TABLE), elem_start, elem_end},
    {0},
};
