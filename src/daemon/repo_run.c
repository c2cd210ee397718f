#include "daemon/repo_run.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"

/* Exit statuses of repo/box.h. That a checkout is not to be had is no refusal of the policy's. */
enum { BOX_NETWORK = 3, BOX_LIMIT = 4 };

/* ---- the end ---- */

/* Its last line that is no progress, without its own name. */
static void add_reason(struct buf *m, const char *text)
{
    const char *line = NULL;
    size_t n = 0;

    for (const char *p = text; p && *p;) {
        size_t len = strcspn(p, "\n");

        if (len > 0 && !str_starts(p, "progress ")) {
            line = p;
            n = len;
        }
        p += len + (p[len] == '\n');
    }
    if (!line) {
        buf_adds(m, "the scan failed");
        return;
    }
    if (str_starts(line, "repo-box: ")) {
        line += strlen("repo-box: ");
        n -= strlen("repo-box: ");
    }
    buf_add_escaped(m, line, MIN(n, (size_t)400));
}

static void failed(const struct runner_end *end, struct outcome *o, struct buf *m)
{
    o->state = JOB_FAILED;
    o->reason = end->exit_status == BOX_LIMIT ? REASON_LIMIT : REASON_TOOL_FAILED;
    o->retryable = end->exit_status == BOX_NETWORK;
    add_reason(m, end->stderr_tail);
}

static const json_t *engine_of(const json_t *run, const char *name)
{
    const json_t *en;
    size_t i;

    json_array_foreach(json_object_get(run, "engines"), i, en)
    {
        if (str_eq(json_string_value(json_object_get(en, "name")), name)) {
            return en;
        }
    }
    return NULL;
}

/* Why nothing of it can be believed to be a scan; false: it was one. */
static bool worthless(const struct tool_run *r, const json_t *run, struct buf *m)
{
    const json_t *agent = engine_of(run, "claude");
    const char *reason = json_string_value(json_object_get(agent, "reason"));

    if (str_eq(json_string_value(json_object_get(run, "assessment")), "failed")) {
        const json_t *en;
        size_t i;

        buf_adds(m, "no engine came to an end");
        json_array_foreach(json_object_get(run, "engines"), i, en)
        {
            const char *name = json_string_value(json_object_get(en, "name"));
            const char *why = json_string_value(json_object_get(en, "reason"));

            buf_addf(m, "; %s: %s", name ? name : "?", why ? why : "failed");
        }
        return true;
    }
    if (r->agent_required && !str_eq(json_string_value(json_object_get(agent, "status")), "ok")) {
        buf_addf(m, "claude: %s", reason ? reason : "it did not run");
        return true;
    }
    return false;
}

void repo_run_ended(const struct tool_run *r, const struct runner_end *end, struct outcome *o,
                    struct buf *m)
{
    json_t *run;

    if (end->exit_status != 0) {
        failed(end, o, m);
        return;
    }
    run = r->run_json ? json_loads(r->run_json, 0, NULL) : NULL;
    if (worthless(r, run, m)) {
        o->state = JOB_FAILED;
        o->reason = REASON_TOOL_FAILED;
    } else {
        o->state = JOB_COMPLETED;
        o->partial = !str_eq(json_string_value(json_object_get(run, "assessment")), "complete");
    }
    json_decref(run);
}

/* ---- secrets ---- */

static const char *clean(const struct secrets *s, const char *text, struct strvec *kept)
{
    auto_buf out = {0};

    if (!s || !text || secrets_redact(s, text, strlen(text), &out) == 0) {
        return text;
    }
    strvec_push(kept, out.data ? out.data : "");
    return kept->v[kept->n - 1];
}

const char *repo_run_clean(struct tool_run *r, const char *text)
{
    return clean(r->secrets, text, &r->cleaned);
}

void repo_run_clean_finding(struct tool_run *r, struct finding *f)
{
    const char **const texts[] = {&f->title,    &f->message, &f->recommendation,
                                  &f->function, &f->line,    &f->snippet,
                                  &f->quote,    &f->secret,  &f->at.message};

    if (!r->secrets || secrets_count(r->secrets) == 0) {
        return;
    }
    strvec_done(&r->cleaned_finding);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = clean(r->secrets, *texts[i], &r->cleaned_finding);
    }
    for (uint32_t i = 0; i < f->n_related; i++) {
        f->related[i].message = clean(r->secrets, f->related[i].message, &r->cleaned_finding);
    }
}
