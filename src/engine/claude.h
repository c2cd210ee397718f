/* claude - what the agent is asked for, and how what it prints is read; for src/engine only. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "engine/hit.h"

/* As a JSON Schema, for the CLI, which tells it to the model; what comes back is checked by us. */
extern const char claude_schema[];
/* The document that the model gave. Findings that keep to the schema are handed out; ERR_TOOL with
 * notes->why if one does not, or the document does not. */
int claude_read_answer(struct hits *h, const json_t *doc, struct err *e);

/* What the lines said: one JSON object each. */
struct claude_stream {
    json_t *result; /* owned: the last object of type "result"; NULL: there was none */
    int64_t retries;
    int64_t refused; /* uses of tools that it does not have or was not allowed */
    int64_t input_tokens, output_tokens; /* as the API told them on the way */
    bool begun;                          /* it said what it runs with */
    bool loose;                          /* and that is not what was asked for */
};
void claude_stream_read(struct claude_stream *s, const char *p, size_t n);
void claude_stream_done(struct claude_stream *s);
/* Members for the run's record; without a result those figures that are known. */
void claude_stream_costs(const struct claude_stream *s, struct buf *members);
