/*
 * What programs of engines write: the first byte says whose it is and how it ended. Whatever comes,
 * findings are such as may be, and a failure says why.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/sarif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    size_t *count = arg;

    assert(finding_check(f, e) == 0 && weakness_find(f->rule) && f->n_engines == 1);
    ++*count;
    return 0;
}

/* An engine that writes SARIF. */
static const struct engine *declared(void)
{
    static struct sarif_engines *rows;

    if (!rows && sarif_engines_read("{version: 1, engines: [{name: toy, program: /toy, "
                                    "arguments: [], ok_exit: [0, 1]}]}",
                                    &rows, NULL) != 0) {
        abort();
    }
    return sarif_engines_at(rows, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct engine *const engines[] = {&engine_flawfinder, &engine_cppcheck, &engine_bandit,
                                            &engine_shellcheck, declared()};
    const struct engine *en;
    struct engine_notes notes = {0};
    struct engine_end end = {.exit_signal = 0};
    struct err e = {0};
    size_t count = 0, n_out;
    char *out;
    int rc;

    if (n < 2) {
        return 0;
    }
    en = engines[data[0] % ARRAY_LEN(engines)];
    end.exit_status = data[0] / 8 % 4;
    end.declared = sarif_engine_of(en);
    /* What it printed, and behind a NUL what it complained of; each ends where it ends. */
    n_out = data[1] % 2 ? strnlen((const char *)data + 2, n - 2) : n - 2;
    out = xmalloc(n_out + 1);
    memcpy(out, data + 2, n_out);
    end.out = out;
    end.n_out = n_out;
    end.err = (const char *)data + 2 + n_out;
    end.n_err = n - 2 - n_out;
    rc = en->read(&end, on_finding, &count, &notes, &e);
    assert(rc == 0 || ((rc == ERR_TOOL || rc == ERR_LIMIT) && e.msg[0] && notes.why));
    for (size_t i = 0; i < notes.failed.n; i++) {
        char *tab = strchr(notes.failed.v[i], '\t');

        assert(tab && tab[1]);
        *tab = 0;
        assert(finding_path_ok(notes.failed.v[i]));
    }
    engine_notes_done(&notes);
    free(out);
    return 0;
}
