/* claude - what the agent is asked for, and how its answer is checked; for src/engine only. */
#pragma once

#include <jansson.h>

#include "engine/hit.h"

/* As a JSON Schema, for the CLI, which tells it to the model; what comes back is checked by us. */
extern const char claude_schema[];
/* The document that the model gave. Findings that keep to the schema are handed out; ERR_TOOL with
 * notes->why if one does not, or the document does not. */
int claude_read_answer(struct hits *h, const json_t *doc, struct err *e);
