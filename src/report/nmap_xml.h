/*
 * nmap_xml - elements of nmap's DTD from the JSON that the parser made of them. For src/report.
 *
 * An element has the attributes of the DTD and no others. One that the DTD requires and that is
 * not known is written as its `otherwise`; a value that is not among `words` is not known.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "model/host.h"

struct xml_att {
    const char *name;
    const char *otherwise; /* NULL: it may be left out */
    const char *words;     /* " up down " with spaces around each; NULL: any text */
};

/* `value` if it is among words (or anything is), else NULL. */
const char *xml_word(const char *value, const char *words);
/* `<name a="b"`, from the members of o. Ends with a row whose name is NULL. */
void xml_open(struct buf *b, const char *name, const struct xml_att *atts, const json_t *o);
/* <script> elements of a JSON list, each on a line of its own or all on one. */
void xml_scripts(struct buf *b, const char *list, const char *line_end);
void xml_cpes(struct buf *b, const json_t *list);
/* What stands behind a host's ports: os ... hostscript, trace, times. */
void xml_host_tail(struct buf *b, const struct host *h);
