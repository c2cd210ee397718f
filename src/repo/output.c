#include "repo/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "parse/finding_json.h"
#include "version.h"

enum { FLUSH_AT = 256 << 10, RENAMED_MAX = 1000, RENAMED_BYTES = 96 << 10, NOTES_MAX = 64 };

static int flush(struct output *o, struct err *e)
{
    size_t at = 0;

    while (at < o->b.len) {
        ssize_t n = write(o->fd, o->b.data + at, o->b.len - at);

        if (n < 0 && errno != EINTR) {
            return err_errno(e, "write the results");
        }
        at += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&o->b);
    return 0;
}

/* Whoever reads it stops at the first one that breaks a rule: so none is written. */
int output_finding(struct output *o, const struct finding *f, struct err *e)
{
    struct json j = json_to(&o->b);

    if (finding_check(f, NULL) != 0) {
        o->broken++;
        return 0;
    }
    json_obj(&j);
    json_obj_in(&j, "finding");
    finding_json_members(f, &j);
    json_end(&j);
    json_end(&j);
    buf_addc(&o->b, '\n');
    return o->b.len >= FLUSH_AT ? flush(o, e) : 0;
}

void output_progress(const char *task, unsigned percent)
{
    dprintf(STDERR_FILENO, "progress %s %u\n", task, percent);
}

int output_end(struct output *o, struct err *e)
{
    int rc = flush(o, e);

    buf_done(&o->b);
    return rc;
}

/* ---- the record ---- */

/* No line of text that counts: there was nothing to do. */
static bool nothing_to_do(const struct scan_record *r)
{
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].n_files > 0) {
            return false;
        }
    }
    return true;
}

/* Source that counts was left out. Where only changes count, an old file that is too large says
 * nothing of them. */
static bool source_hidden(const struct scan_record *r)
{
    const struct survey *s = r->survey;

    if (s->hidden == 0 || !r->checkout->base || s->left_more > 0) {
        return s->hidden > 0;
    }
    for (size_t i = 0; i < s->n_left; i++) {
        if (survey_hides(s->left[i].path, s->left[i].why) &&
            checkout_changed(r->checkout, s->left[i].path)) {
            return true;
        }
    }
    return false;
}

static const char *assessment(const struct scan_record *r)
{
    bool ran = false;
    bool complete = r->verdict->dropped == 0 && r->broken == 0 && !source_hidden(r);

    for (size_t i = 0; i < r->n_runs; i++) {
        const struct engine_run *run = &r->runs[i];

        ran = ran || run->status == ENGINE_OK || run->status == ENGINE_PARTIAL;
        complete = complete && engine_run_complete(run);
    }
    if (!ran) {
        return r->checkout->base && nothing_to_do(r) ? "complete" : "failed";
    }
    return complete ? "complete" : "partial";
}

/* The first note of a failed scan says why: it becomes the job's error. */
static void note_failure(const struct scan_record *r, struct json *j)
{
    auto_buf why = {0};

    if (nothing_to_do(r)) {
        buf_adds(&why, r->checkout->base ? "nothing that changed is text that an engine reads"
                                         : "no engine ran: there is no text that one reads");
    } else {
        buf_adds(&why, "no engine ran");
        for (size_t i = 0; i < r->n_runs && why.len < 400; i++) {
            const struct engine_run *run = &r->runs[i];

            if (run->n_files > 0) {
                buf_addf(&why, "%s %s: %s", why.len > 13 ? ";" : ":", run->engine->tool.name,
                         run->reason ? run->reason : "failed");
            }
        }
    }
    json_str(j, NULL, why.data);
}

static void note_count(struct json *j, size_t n, const char *one, const char *more)
{
    if (n > 0) {
        auto_free char *text = str_fmt("%zu %s", n, n == 1 ? one : more);

        json_str(j, NULL, text);
    }
}

static void notes_json(const struct scan_record *r, const char *assessed, struct json *j)
{
    const struct survey *s = r->survey;
    const struct strvec *notes = &r->checkout->notes;

    json_arr_in(j, "notes");
    if (strcmp(assessed, "failed") == 0 || nothing_to_do(r)) {
        note_failure(r, j);
    }
    for (size_t i = 0; i < MIN(notes->n, (size_t)NOTES_MAX); i++) {
        json_str(j, NULL, notes->v[i]);
    }
    note_count(j, s->rewritten, "file was not UTF-8 and was read as Latin-1 or UTF-16",
               "files were not UTF-8 and were read as Latin-1 or UTF-16");
    note_count(j, s->renamed, "name was percent-encoded to be told",
               "names were percent-encoded to be told");
    note_count(j, s->agent, "file is an agent's configuration; agents did not see it",
               "files are an agent's configuration; agents did not see them");
    note_count(j, s->hidden, "source file or directory was left out: see files.skipped",
               "source files or directories were left out: see files.skipped");
    note_count(j, r->verdict->unverified, "finding names a place that is not in the tree",
               "findings name places that are not in the tree");
    note_count(j, r->verdict->dropped, "finding was left out: there are more than are kept",
               "findings were left out: there are more than are kept");
    note_count(j, r->broken, "finding was left out: it cannot be told",
               "findings were left out: they cannot be told");
    json_end(j);
}

static void renamed_json(const struct checkout *c, struct json *j)
{
    size_t bytes = 0;

    json_arr_in(j, "renamed");
    for (uint32_t i = 0; i < MIN(c->n_renamed, (uint32_t)RENAMED_MAX); i++) {
        bytes += strlen(c->renamed[i].from) + strlen(c->renamed[i].to) + 24;
        if (bytes > RENAMED_BYTES) {
            break;
        }
        json_obj(j);
        json_str(j, "from", c->renamed[i].from);
        json_str(j, "to", c->renamed[i].to);
        json_end(j);
    }
    json_end(j);
}

static void text_json(struct json *j, const char *key, const char *s)
{
    if (s) {
        json_str(j, key, s);
    }
}

static void durations_json(const struct scan_record *r, struct json *j)
{
    json_obj_in(j, "duration_ms");
    json_int(j, "checkout", r->checkout_ms);
    json_int(j, "survey", r->survey_ms);
    json_int(j, "engines", r->engines_ms);
    json_int(j, "assess", r->assess_ms);
    json_end(j);
}

int output_run(struct output *o, const struct scan_record *r, struct err *e)
{
    const char *assessed = assessment(r);
    struct json j = json_to(&o->b);

    (void)e;
    json_obj(&j);
    json_obj_in(&j, "run");
    json_str(&j, "version", SCANPOD_VERSION);
    text_json(&j, "repository", r->spec->request.url);
    text_json(&j, "branch", r->checkout->branch);
    text_json(&j, "subdir", r->spec->request.subdir);
    text_json(&j, "commit", r->checkout->commit);
    if (r->checkout->aside) {
        json_bool(&j, "aside", true);
    }
    text_json(&j, "base", r->checkout->base);
    text_json(&j, "head", r->checkout->base ? r->checkout->commit : NULL);
    json_str(&j, "assessment", assessed);
    survey_json(r->survey, &j, "files");
    json_arr_in(&j, "engines");
    for (size_t i = 0; i < r->n_runs; i++) {
        engine_run_json(&r->runs[i], &j);
    }
    json_end(&j);
    renamed_json(r->checkout, &j);
    durations_json(r, &j);
    notes_json(r, assessed, &j);
    json_end(&j);
    json_end(&j);
    buf_addc(&o->b, '\n');
    return 0;
}
