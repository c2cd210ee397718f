/*
 * finding_json - a finding as one JSON object, the same wherever one is written: on the way out of
 * the box, in the API, in exports.
 *
 * Members: rule, title, message, recommendation, cwe, severity, confidence (0..1), path, line,
 * column, end_line, end_column, function, line_text, snippet, snippet_line, verified, marked,
 * secret, engines[{name, version, rule, severity, confidence}], related[{path, line, column,
 * end_line, end_column, message}], fingerprints{primary, moved, around, github}. What is not said
 * is not there; rule, title, severity, confidence, path and verified always are. `quote` is never
 * written: it is only for whoever verifies the place.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "model/finding.h"

struct json_t; /* of jansson */

/* One object: the root, or an element of an array. */
void finding_json(const struct finding *f, struct json *j);
/* Only its members, into an object that the caller opened and closes. */
void finding_json_members(const struct finding *f, struct json *j);
/*
 * The way back. Strings are borrowed from the tree; members of other names are left alone.
 * ERR_INVALID names a member that is missing or of the wrong type, or a list that is too long.
 * Whether the finding may be is not asked here: finding_check().
 */
int finding_from_json(const struct json_t *o, struct finding *out, struct err *e);
