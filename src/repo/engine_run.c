#include "repo/engine_run.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "repo/agreement.h"
#include "repo/start.h"

enum { REASON_MAX = 400, MEMBER_MAX = 255 };

static const char *const status_names[] = {"ok", "partial", "failed", "timeout", "skipped"};

/* ---- pieces ---- */

static void push_piece(struct engine_run *r, struct piece p)
{
    if (r->n_todo == r->todo_size) {
        r->todo_size = r->todo_size ? 2 * r->todo_size : 16;
        r->todo = xrealloc(r->todo, r->todo_size * sizeof *r->todo);
    }
    r->todo[r->n_todo++] = p;
}

/* Behind all that wait. */
static void queue_piece(struct engine_run *r, struct piece p)
{
    push_piece(r, p);
    memmove(r->todo + 1, r->todo, (r->n_todo - 1) * sizeof *r->todo);
    r->todo[0] = p;
}

static void push_pieces(struct engine_run *r)
{
    size_t chunk = r->engine->chunk ? r->engine->chunk : r->n_files;
    size_t n = (r->n_files + chunk - 1) / chunk;

    for (size_t i = n; i-- > 0;) { /* the last one is next */
        size_t from = i * chunk;

        push_piece(r, (struct piece){from, MIN(chunk, r->n_files - from), n == 1});
    }
    for (unsigned i = 1; i < r->passes && n == 1; i++) {
        push_piece(r, r->todo[0]);
    }
}

static void skip(struct engine_run *r, const char *why)
{
    r->status = ENGINE_SKIPPED;
    r->reason = xstrdup(why);
}

void engine_run_plan(struct engine_run *r, const struct survey *s,
                     bool (*counts)(void *arg, const struct survey_file *f), void *arg)
{
    r->arena = arena_new();
    r->files = xcalloc(s->n ? s->n : 1, sizeof *r->files);
    for (size_t i = 0; i < s->n; i++) {
        const struct survey_file *f = &s->files[i];

        if ((f->file.language & r->engine->languages) && !(f->agent && r->engine->network) &&
            counts(arg, f)) {
            r->files[r->n_files++] = f->file;
        }
    }
    if (r->n_files == 0) {
        skip(r, "no files");
    } else if (!r->program && !r->engine->built_in) {
        skip(r, r->engine->network ? "not installed, or without a key" : "not installed");
    } else {
        push_pieces(r);
    }
}

bool engine_run_next(struct engine_run *r, struct piece *out)
{
    if (r->n_todo == 0) {
        return false;
    }
    if (!r->begun_ms) {
        r->begun_ms = boot_ms();
    }
    *out = r->todo[--r->n_todo];
    r->running++;
    return true;
}

/* ---- what came of them ---- */

static void miss(struct engine_run *r, const char *path, size_t n, const char *why)
{
    size_t bytes = n + strnlen(why, REASON_MAX) + 24;

    if (r->n_missed == MISSED_MAX || r->missed_bytes + bytes > r->missed_room) {
        r->missed_more++;
        return;
    }
    r->missed_bytes += bytes;
    r->missed[r->n_missed++] = (struct survey_left){
        .path = arena_strn(r->arena, path, n),
        .why = arena_strn(r->arena, why, strnlen(why, REASON_MAX)),
    };
}

static void miss_piece(struct engine_run *r, const struct piece *p, const char *why)
{
    for (size_t i = 0; i < p->n; i++) {
        const char *path = r->files[p->from + i].path;

        miss(r, path, strlen(path), why);
    }
}

static bool is_file_of(const struct engine_run *r, const char *path, size_t n)
{
    size_t low = 0, high = r->n_files;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int cmp = strncmp(path, r->files[mid].path, n);

        cmp = cmp ? cmp : -(r->files[mid].path[n] != '\0');
        if (cmp == 0) {
            return true;
        }
        if (cmp < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return false;
}

static void set_reason(struct engine_run *r, const char *why, bool late)
{
    if (!r->reason && why) {
        r->reason = xstrndup(why, strnlen(why, REASON_MAX));
        r->timeout = late;
    }
}

/* "PATH\tREASON", of files that it has; of others it cannot know anything. */
static void take_missed(struct engine_run *r, const struct strvec *lines)
{
    for (size_t i = 0; lines && i < lines->n; i++) {
        const char *line = lines->v[i];
        size_t n = strcspn(line, "\t");

        if (is_file_of(r, line, n)) {
            miss(r, line, n, line[n] ? line + n + 1 : "not read");
        }
    }
}

/* Figures of several starts add up; of words the last one stays. */
static void take_more(struct engine_run *r, const char *members)
{
    auto_free char *text = str_fmt("{%s}", members ? members : "");
    json_t *o = json_loads(text, 0, NULL);
    const char *key;
    json_t *v;

    r->more = r->more ? r->more : json_object();
    json_object_foreach(o, key, v)
    {
        json_t *now = json_object_get(r->more, key);

        if (json_is_integer(v) && json_is_integer(now)) {
            json_integer_set(now, json_integer_value(now) + json_integer_value(v));
        } else if (json_is_number(v) && json_is_number(now)) {
            json_object_set_new(r->more, key,
                                json_real(json_number_value(now) + json_number_value(v)));
        } else if (json_is_number(v) || json_is_boolean(v) ||
                   (json_is_string(v) && json_string_length(v) <= MEMBER_MAX)) {
            json_object_set(r->more, key, v);
        }
    }
    json_decref(o);
}

static void keep_haul(struct engine_run *r, struct haul *h)
{
    r->findings += h->n;
    if (h->lost > 0) {
        r->partial = true;
        set_reason(r, "it reported more findings than are kept", false);
    }
    if (r->n_hauls == r->hauls_size) {
        r->hauls_size = r->hauls_size ? 2 * r->hauls_size : 4;
        r->hauls = xrealloc(r->hauls, r->hauls_size * sizeof *r->hauls);
    }
    r->hauls[r->n_hauls++] = *h;
    *h = (struct haul){0};
}

/* An engine that is told the tree, and not which files, does the same with half of them. */
static bool depends_on_files(const struct engine_run *r, const struct piece *p)
{
    struct engine_ask ask = {.program = r->program,
                             .files = r->files + p->from,
                             .n_files = p->n,
                             .list_file = START_LIST,
                             .declared = r->declared};
    auto_strvec all = {0};
    auto_strvec half = {0};
    bool differ;

    if (r->engine->built_in || r->engine->build_input) {
        return true;
    }
    if (r->engine->build_argv(&ask, &all, NULL) != 0) {
        return false;
    }
    ask.n_files = p->n / 2;
    if (r->engine->build_argv(&ask, &half, NULL) != 0) {
        return false;
    }
    differ = all.n != half.n;
    for (size_t i = 0; i < all.n && !differ; i++) {
        differ = strcmp(all.v[i], half.v[i]) != 0 || strstr(all.v[i], START_LIST);
    }
    return differ;
}

static bool never_works(const struct engine_run *r)
{
    return r->good == 0 && r->failed >= FAILED_FROM_THE_START_MAX;
}

static bool can_split(const struct engine_run *r, const struct piece *p, const struct outcome *o)
{
    return p->n > 1 && !o->over && !o->hopeless && !r->engine->network &&
           r->extra + 2 <= EXTRA_STARTS_MAX && !never_works(r) && depends_on_files(r, p);
}

static void take_failure(struct engine_run *r, const struct piece *p, const struct outcome *o)
{
    r->failed++;
    if (can_split(r, p, o)) {
        size_t half = p->n / 2;

        r->extra += 2;
        queue_piece(r, (struct piece){p->from, half, false});
        queue_piece(r, (struct piece){p->from + half, p->n - half, false});
        return;
    }
    set_reason(r, o->why, o->late);
    take_more(r, o->more);
    if (!r->engine->network) { /* one that explores reads what it likes */
        miss_piece(r, p, o->why);
    }
    if (o->haul && o->haul->n > 0) {
        keep_haul(r, o->haul);
    }
    if (p->n > 1 || r->engine->network) {
        r->partial = true;
    }
    if (o->hopeless || never_works(r)) {
        engine_run_give_up(r, o->why, o->late);
    }
}

void engine_run_ended(struct engine_run *r, const struct piece *p, const struct outcome *o)
{
    r->running--;
    r->duration_ms = boot_ms() - r->begun_ms;
    if (o->failed) {
        take_failure(r, p, o);
        return;
    }
    r->good++;
    take_missed(r, o->missed);
    take_more(r, o->more);
    keep_haul(r, o->haul);
    if (o->why) {
        r->partial = true;
        set_reason(r, o->why, o->late);
    }
}

void engine_run_give_up(struct engine_run *r, const char *why, bool late)
{
    if (r->n_todo > 0) {
        r->partial = true;
        set_reason(r, why, late);
    }
    while (r->n_todo > 0) {
        miss_piece(r, &r->todo[--r->n_todo], why);
    }
}

static void agree(struct engine_run *r)
{
    struct haul all = {0};

    agreement_make(r->hauls, r->n_hauls, &all);
    r->n_hauls = 1;
    r->hauls[0] = all;
    r->findings = all.n;
}

void engine_run_close(struct engine_run *r)
{
    if (r->status == ENGINE_SKIPPED) {
        return;
    }
    if (r->passes > 1 && r->n_hauls > 1) {
        agree(r);
    }
    if (r->good == 0 && (r->findings == 0 || r->timeout)) {
        r->status = r->timeout ? ENGINE_TIMEOUT : ENGINE_FAILED;
        r->n_missed = r->missed_more = 0; /* all of them: no list needs to say so */
    } else if (r->partial || r->good == 0 || r->missed_more > 0) {
        r->status = ENGINE_PARTIAL;
    } else {
        r->status = ENGINE_OK;
        free(r->reason); /* of files that are missed, which says it */
        r->reason = NULL;
    }
}

bool engine_run_complete(const struct engine_run *r)
{
    if (r->status == ENGINE_SKIPPED) {
        return r->n_files == 0 || !r->named;
    }
    return r->status == ENGINE_OK && r->n_missed == 0;
}

/* ---- the record ---- */

static bool is_own_member(const char *key)
{
    static const char *const ours[] = {"name",   "version",    "status", "reason",
                                       "files",  "findings",   "missed", "missed_more",
                                       "passes", "duration_ms"};
    size_t n = strlen(key);

    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (strcmp(key, ours[i]) == 0) {
            return false;
        }
    }
    return n > 0 && n <= 32 && strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == n;
}

static void more_json(const struct engine_run *r, struct json *j)
{
    const char *key;
    json_t *v;

    json_object_foreach(r->more, key, v)
    {
        if (!is_own_member(key)) {
            continue;
        }
        if (json_is_string(v)) {
            json_str(j, key, json_string_value(v));
        } else if (json_is_integer(v)) {
            json_int(j, key, json_integer_value(v));
        } else if (json_is_real(v)) {
            json_num(j, key, json_real_value(v), 6);
        } else {
            json_bool(j, key, json_is_true(v));
        }
    }
}

void engine_run_json(const struct engine_run *r, struct json *j)
{
    json_obj(j);
    json_str(j, "name", r->engine->tool.name);
    json_str(j, "version", r->version);
    json_str(j, "status", status_names[r->status]);
    if (r->reason) {
        json_str(j, "reason", r->reason);
    }
    json_int(j, "findings", (int64_t)r->findings);
    json_int(j, "files", (int64_t)r->n_files);
    json_arr_in(j, "missed");
    for (size_t i = 0; i < r->n_missed; i++) {
        json_obj(j);
        json_str(j, "path", r->missed[i].path);
        json_str(j, "why", r->missed[i].why);
        json_end(j);
    }
    json_end(j);
    json_int(j, "missed_more", (int64_t)r->missed_more);
    json_int(j, "duration_ms", r->duration_ms);
    if (r->engine->network && r->status != ENGINE_SKIPPED) {
        json_int(j, "passes", r->good);
    }
    more_json(r, j);
    json_end(j);
}

void engine_run_done(struct engine_run *r)
{
    free(r->tree);
    for (size_t i = 0; i < r->n_hauls; i++) {
        haul_done(&r->hauls[i]);
    }
    free(r->hauls);
    free(r->todo);
    free(r->files);
    free(r->program);
    free(r->version);
    free(r->reason);
    json_decref(r->more);
    arena_free(r->arena);
    *r = (struct engine_run){0};
}
