/* What is only shown of a host, and scripts: from JSON back to the elements they came from. */
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/nmap_xml.h"

const char *xml_word(const char *value, const char *words)
{
    const char *at = value && *value ? words : NULL;
    size_t n = value ? strlen(value) : 0;

    if (!words) {
        return value;
    }
    while (at && (at = strstr(at, value)) != NULL) {
        if (at > words && at[-1] == ' ' && at[n] == ' ') {
            return value;
        }
        at++;
    }
    return NULL;
}

static void add_att(struct buf *b, const struct xml_att *a, const json_t *v)
{
    char number[FACTS_NUMBER];
    const char *text = facts_text(v, number);

    if (!xml_word(text, a->words)) {
        xml_attr(b, a->name, a->otherwise);
    } else if (json_is_string(v)) {
        buf_addc(b, ' ');
        buf_adds(b, a->name);
        buf_adds(b, "=\"");
        xml_add(b, text, json_string_length(v));
        buf_addc(b, '"');
    } else {
        xml_attr(b, a->name, text);
    }
}

void xml_open(struct buf *b, const char *name, const struct xml_att *atts, const json_t *o)
{
    buf_addc(b, '<');
    buf_adds(b, name);
    for (; atts->name; atts++) {
        add_att(b, atts, json_object_get(o, atts->name));
    }
}

/* ---- scripts ---- */

static const struct xml_att script_atts[] = {{"id", "", NULL}, {"output", "", NULL}, {0}};
static const struct xml_att key_atts[] = {{"key", NULL, NULL}, {0}};

/* Depth is bounded: the reader of JSON takes 2048 levels. */
static void add_nodes(struct buf *b, const json_t *nodes)
{
    const json_t *v;
    size_t i;

    json_array_foreach(nodes, i, v)
    {
        const json_t *table = json_object_get(v, "table");
        const json_t *elem = json_object_get(v, "elem");

        if (json_is_array(table)) {
            xml_open(b, "table", key_atts, v);
            buf_adds(b, ">\n");
            add_nodes(b, table);
            buf_adds(b, "</table>\n");
        } else if (json_is_string(elem)) {
            xml_open(b, "elem", key_atts, v);
            buf_addc(b, '>');
            xml_add(b, json_string_value(elem), json_string_length(elem));
            buf_adds(b, "</elem>\n");
        }
    }
}

void xml_scripts(struct buf *b, const char *list, const char *line_end)
{
    json_t *scripts = facts_json(list);
    const json_t *v;
    size_t i;

    json_array_foreach(scripts, i, v)
    {
        const json_t *data = json_object_get(v, "data");

        xml_open(b, "script", script_atts, v);
        if (json_array_size(data)) {
            buf_addc(b, '>');
            add_nodes(b, data);
            buf_adds(b, "</script>");
        } else {
            buf_adds(b, "/>");
        }
        buf_adds(b, line_end);
    }
    json_decref(scripts);
}

void xml_cpes(struct buf *b, const json_t *list)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (json_is_string(v)) {
            buf_adds(b, "<cpe>");
            xml_add(b, json_string_value(v), json_string_length(v));
            buf_adds(b, "</cpe>");
        }
    }
}

/* ---- operating system ---- */

static const struct xml_att portused_atts[] = {
    {"state", "", NULL}, {"proto", "tcp", " ip tcp udp sctp "}, {"portid", "", NULL}, {0}};
static const struct xml_att osmatch_atts[] = {
    {"name", "", NULL}, {"accuracy", "", NULL}, {"line", "0", NULL}, {0}};
static const struct xml_att osclass_atts[] = {{"type", NULL, NULL},   {"vendor", "", NULL},
                                              {"osfamily", "", NULL}, {"osgen", NULL, NULL},
                                              {"accuracy", "", NULL}, {0}};

static void add_classes(struct buf *b, const json_t *list)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        xml_open(b, "osclass", osclass_atts, v);
        buf_addc(b, '>');
        xml_cpes(b, json_object_get(v, "cpe"));
        buf_adds(b, "</osclass>\n");
    }
}

/* Old files have classes beside the matches; the DTD wants them inside. Without any match each
 * class gets one, with the words of the class as its name. */
static void add_lone_class(struct buf *b, const json_t *class)
{
    static const char *const words[] = {"vendor", "osfamily", "osgen"};
    auto_buf name = {0};
    char number[FACTS_NUMBER];
    const char *accuracy = facts_text(json_object_get(class, "accuracy"), number);
    json_t *one = json_pack("[O]", class);

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *word = json_string_value(json_object_get(class, words[i]));

        if (word && *word) {
            buf_adds(&name, name.len ? " " : "");
            buf_adds(&name, word);
        }
    }
    buf_adds(b, "<osmatch");
    xml_attr(b, "name", name.data ? name.data : "");
    xml_attr(b, "accuracy", accuracy ? accuracy : "");
    xml_attr(b, "line", "0");
    buf_adds(b, ">\n");
    add_classes(b, one);
    buf_adds(b, "</osmatch>\n");
    json_decref(one);
}

static void add_matches(struct buf *b, const json_t *matches, const json_t *beside)
{
    const json_t *v;
    size_t i;

    json_array_foreach(matches, i, v)
    {
        xml_open(b, "osmatch", osmatch_atts, v);
        buf_adds(b, ">\n");
        add_classes(b, json_object_get(v, "osclass"));
        add_classes(b, i == 0 ? beside : NULL);
        buf_adds(b, "</osmatch>\n");
    }
    if (json_array_size(matches) == 0) {
        json_array_foreach(beside, i, v)
        {
            add_lone_class(b, v);
        }
    }
}

static void add_os(struct buf *b, const char *text)
{
    json_t *os = facts_json(text);
    const json_t *v;
    size_t i;

    if (!os) {
        return;
    }
    buf_adds(b, "<os>");
    json_array_foreach(json_object_get(os, "portused"), i, v)
    {
        xml_open(b, "portused", portused_atts, v);
        buf_adds(b, "/>\n");
    }
    add_matches(b, json_object_get(os, "osmatch"), json_object_get(os, "osclass"));
    json_array_foreach(json_object_get(os, "fingerprints"), i, v)
    {
        if (json_is_string(v)) {
            buf_adds(b, "<osfingerprint fingerprint=\"");
            xml_add(b, json_string_value(v), json_string_length(v));
            buf_adds(b, "\"/>\n");
        }
    }
    buf_adds(b, "</os>\n");
    json_decref(os);
}

/* ---- more ---- */

static const struct xml_att smurf_atts[] = {{"responses", "", NULL}, {0}};
static const struct xml_att uptime_atts[] = {{"seconds", "", NULL}, {"lastboot", NULL, NULL}, {0}};
static const struct xml_att distance_atts[] = {{"value", "", NULL}, {0}};
static const struct xml_att tcpsequence_atts[] = {
    {"index", "", NULL}, {"difficulty", "", NULL}, {"values", "", NULL}, {0}};
static const struct xml_att ipid_atts[] = {{"class", "", NULL}, {"values", "", NULL}, {0}};
static const struct xml_att tcpts_atts[] = {{"class", "", NULL}, {"values", NULL, NULL}, {0}};
static const struct xml_att trace_atts[] = {{"port", NULL, NULL}, {"proto", NULL, NULL}, {0}};
static const struct xml_att hop_atts[] = {
    {"ttl", "", NULL}, {"ipaddr", NULL, NULL}, {"rtt", NULL, NULL}, {"host", NULL, NULL}, {0}};
static const struct xml_att times_atts[] = {
    {"srtt", "", NULL}, {"rttvar", "", NULL}, {"to", "", NULL}, {0}};

static void add_simple(struct buf *b, const char *name, const struct xml_att *atts, const json_t *v)
{
    if (json_is_object(v)) {
        xml_open(b, name, atts, v);
        buf_adds(b, "/>\n");
    }
}

static void add_trace(struct buf *b, const json_t *trace)
{
    const json_t *v;
    size_t i;

    if (!json_is_object(trace)) {
        return;
    }
    xml_open(b, "trace", trace_atts, trace);
    buf_adds(b, ">\n");
    json_array_foreach(json_object_get(trace, "hops"), i, v)
    {
        add_simple(b, "hop", hop_atts, v);
    }
    buf_adds(b, "</trace>\n");
}

static void add_hostscripts(struct buf *b, const char *list)
{
    size_t begin = b->len;
    size_t empty;

    buf_adds(b, "<hostscript>");
    empty = b->len;
    xml_scripts(b, list, "");
    if (b->len == empty) { /* the DTD wants one at least */
        b->len = begin;
        return;
    }
    buf_adds(b, "</hostscript>\n");
}

void xml_host_tail(struct buf *b, const struct host *h)
{
    json_t *more = facts_json(h->more);

    add_simple(b, "smurf", smurf_atts, json_object_get(more, "smurf"));
    add_os(b, h->os);
    add_simple(b, "uptime", uptime_atts, json_object_get(more, "uptime"));
    add_simple(b, "distance", distance_atts, json_object_get(more, "distance"));
    add_simple(b, "tcpsequence", tcpsequence_atts, json_object_get(more, "tcpsequence"));
    add_simple(b, "ipidsequence", ipid_atts, json_object_get(more, "ipidsequence"));
    add_simple(b, "tcptssequence", tcpts_atts, json_object_get(more, "tcptssequence"));
    if (h->scripts) {
        add_hostscripts(b, h->scripts);
    }
    add_trace(b, json_object_get(more, "trace"));
    add_simple(b, "times", times_atts, json_object_get(more, "times"));
    json_decref(more);
}
