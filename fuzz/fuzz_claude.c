/*
 * What the Claude Code CLI prints; the first byte says how it ended. Whatever comes, findings are
 * such as may be, a failure says why, and the members of the record are JSON.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"
#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    size_t *count = arg;

    assert(finding_check(f, e) == 0 && weakness_find(f->rule) && f->n_engines == 1);
    assert(f->confidence_x100 > 0 && f->confidence_x100 <= 90 && f->quote);
    ++*count;
    return 0;
}

static void check_members(const struct engine_notes *notes)
{
    auto_free char *text = str_fmt("{%s}", notes->more.data);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert(o && json_integer_value(json_object_get(o, "input_tokens")) >= 0);
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct engine_notes notes = {0};
    struct engine_end end = {.err = ""};
    struct err e = {0};
    size_t count = 0;
    char *out;
    int rc;

    if (n < 1) {
        return 0;
    }
    end.exit_status = data[0] % 4 == 3 ? -1 : data[0] % 4;
    end.exit_signal = end.exit_status < 0 ? 15 : 0;
    end.n_out = n - 1;
    out = xmalloc(n); /* it ends where it ends */
    memcpy(out, data + 1, n - 1);
    end.out = out;
    rc = engine_claude.read(&end, on_finding, &count, &notes, &e);
    assert(rc == 0 || (rc == ERR_TOOL && e.msg[0] && notes.why));
    assert(rc != 0 || end.exit_status == 0);
    check_members(&notes);
    engine_notes_done(&notes);
    free(out);
    return 0;
}
