/*
 * One loop over the starts that are running and the readers of those that are over. A start is in a
 * place from its first step until its reader has ended; places are what `at_once` counts, without
 * those of agents.
 */
#include "repo/crew.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/agent.h"
#include "repo/reading.h"

enum { PLACES_MAX = 64, PROGRESS_MS = 500 };

struct place {
    struct engine_run *run;
    struct piece piece;
    struct start start;
    struct reading reading;
    enum { FREE, RUNNING, READING } state;
};

struct crew {
    const struct crew_ask *ask;
    struct engine_run *runs;
    size_t n;
    struct place places[PLACES_MAX];
    unsigned started;
    size_t files, files_done;
    int64_t told_ms;
};

static uint64_t cost(const struct engine_run *r)
{
    const struct engine *en = r->engine;

    /* An unknown one may take all its time. */
    return en->network    ? UINT64_MAX
           : en->usual_us ? (uint64_t)en->usual_us * r->n_files
                          : (uint64_t)en->tool.limits.wall_s * 1000000;
}

/* The one that is likely to take longest; NULL: nothing is left that may be started. */
static struct engine_run *choose(struct crew *c, bool full)
{
    struct engine_run *best = NULL;

    for (size_t i = 0; i < c->n; i++) {
        struct engine_run *r = &c->runs[i];

        /* Passes of an agent follow each other: its budget is for all of them. */
        if (r->n_todo == 0 || (full && !r->engine->network) || (r->engine->network && r->running)) {
            continue;
        }
        if (!best || cost(r) > cost(best)) {
            best = r;
        }
    }
    return best;
}

static void end_place(struct crew *c, struct place *p, const struct outcome *o)
{
    engine_run_ended(p->run, &p->piece, o);
    c->files_done += p->piece.n;
    reading_done(&p->reading);
    start_done(&p->start);
    *p = (struct place){.state = FREE};
}

static void fail_place(struct crew *c, struct place *p, const char *why, bool hopeless)
{
    const struct outcome o = {
        .why = why, .failed = true, .hopeless = hopeless, .haul = &p->reading.haul};

    end_place(c, p, &o);
}

static void begin(struct crew *c, struct place *p, struct engine_run *r)
{
    struct err e = {0};
    struct start_ask ask = {
        .engine = r->engine,
        .tree = r->tree              ? r->tree
                : r->engine->network ? c->ask->agent_tree
                                     : c->ask->tree,
        .self = c->ask->self,
        .work = c->ask->work,
        .number = c->started++,
        .until_ms = c->ask->until_ms,
        .stall_s = r->engine->network && c->ask->agent ? c->ask->agent->stall_s : 0,
    };

    *p = (struct place){
        .run = r, .state = RUNNING, .reading = {.pid = -1, .fd = -1, .notes_fd = -1}};
    if (!engine_run_next(r, &p->piece)) {
        p->state = FREE;
        return;
    }
    ask.ask = (struct engine_ask){
        .program = r->program,
        .files = r->files + p->piece.from,
        .n_files = p->piece.n,
        .list_file = START_LIST,
        .whole = p->piece.whole,
        .agent = c->ask->agent,
        .declared = r->declared,
    };
    if (start_begin(&ask, &p->start, &e) != 0) {
        p->start = (struct start){.out_fd = -1, .err_fd = -1, .file_fd = -1};
        fail_place(c, p, e.msg, true);
    }
}

/* Its reader is over, too. */
static void conclude(struct crew *c, struct place *p)
{
    auto_buf why = {0};
    struct reading *r = &p->reading;
    struct outcome o = {.haul = &r->haul, .missed = &r->failed, .more = r->more.data};

    if (start_failed(&p->start, &why)) {
        o.failed = true;
        o.late = p->start.cut == CUT_TIME || p->start.cut == CUT_ALL || p->start.cut == CUT_STALL;
        o.over = p->start.cut == CUT_ALL;
    } else if (r->code != 0) {
        o.failed = true;
        o.late = r->late;
        o.over = r->late && boot_ms() >= c->ask->until_ms;
        buf_adds(&why, r->why ? r->why : "failed");
    } else if (r->why) {
        buf_adds(&why, r->why);
    }
    o.why = why.len ? why.data : NULL;
    end_place(c, p, &o);
}

static void after_start(struct crew *c, struct place *p)
{
    auto_buf why = {0};
    struct err e = {0};

    if (!p->start.end.started) {
        (void)start_failed(&p->start, &why);
        /* With fewer arguments it may start. */
        fail_place(c, p, why.data, p->start.end.errnum != E2BIG);
        return;
    }
    if (reading_begin(&p->start, &p->reading, &e) != 0) {
        fail_place(c, p, e.msg, true);
        return;
    }
    p->reading.until_ms = MIN(p->reading.until_ms, c->ask->read_until_ms);
    p->state = READING;
}

static bool look_at(struct crew *c, struct place *p)
{
    if (p->state == RUNNING && start_tick(&p->start)) {
        after_start(c, p);
    }
    if (p->state == READING && reading_tick(&p->reading)) {
        conclude(c, p);
    }
    return p->state != FREE;
}

static void fill(struct crew *c, unsigned at_once)
{
    unsigned busy = 0;

    for (size_t i = 0; i < PLACES_MAX; i++) {
        busy += c->places[i].state != FREE && !c->places[i].run->engine->network;
    }
    for (size_t i = 0; i < PLACES_MAX; i++) {
        struct engine_run *r;

        if (c->places[i].state != FREE) {
            continue;
        }
        r = choose(c, busy >= at_once);
        if (!r) {
            return;
        }
        begin(c, &c->places[i], r);
        busy += c->places[i].state != FREE && !r->engine->network;
    }
}

static void await(struct crew *c)
{
    struct pollfd p[2 * PLACES_MAX];
    nfds_t n = 0;

    for (size_t i = 0; i < PLACES_MAX; i++) {
        const struct place *at = &c->places[i];

        if (at->state == RUNNING) {
            p[n++] = (struct pollfd){.fd = at->start.box.pidfd, .events = POLLIN};
            if (at->start.box.told == BOX_SILENT) {
                p[n++] = (struct pollfd){.fd = at->start.box.report_fd, .events = POLLIN};
            }
        } else if (at->state == READING) {
            p[n++] = (struct pollfd){.fd = at->reading.fd, .events = POLLIN};
        }
    }
    (void)poll(p, n, START_TICK_MS);
}

static void tell(struct crew *c)
{
    int64_t now = boot_ms();

    if (c->ask->progress && c->files > 0 && now - c->told_ms >= PROGRESS_MS) {
        c->told_ms = now;
        c->ask->progress(c->ask->arg, (unsigned)(MIN(c->files_done, c->files) * 100 / c->files));
    }
}

void crew_run(struct engine_run *runs, size_t n, const struct crew_ask *ask)
{
    struct crew *c = xcalloc(1, sizeof *c);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned at_once = ask->at_once ? ask->at_once : (unsigned)MAX(cpus, 1);
    bool busy = true;

    c->ask = ask;
    c->runs = runs;
    c->n = n;
    at_once = MIN(at_once, PLACES_MAX / 2u);
    for (size_t i = 0; i < n; i++) {
        c->files += runs[i].n_todo ? runs[i].n_files : 0;
    }
    c->told_ms = boot_ms();
    while (busy) {
        if (boot_ms() >= ask->until_ms) {
            for (size_t i = 0; i < n; i++) {
                engine_run_give_up(&runs[i], "there was no time left for it", true);
            }
        }
        fill(c, at_once);
        busy = false;
        await(c);
        for (size_t i = 0; i < PLACES_MAX; i++) {
            busy = look_at(c, &c->places[i]) || busy;
        }
        for (size_t i = 0; i < n; i++) {
            busy = busy || runs[i].n_todo > 0;
        }
        tell(c);
    }
    for (size_t i = 0; i < n; i++) {
        engine_run_close(&runs[i]);
    }
    free(c);
}
