/*
 * The same random operations on SQLite and on the store in memory; every answer is compared as
 * text. Beside that, what must hold whatever both say: counts are what the list counts, the events
 * of a job are numbered by its rev without a gap and move only as the table of states allows.
 *
 * SCANPOD_MODEL_OPS sets how many operations, SCANPOD_MODEL_SEED which.
 */
#include <sqlite3.h>
#include <string.h>

#include "base/clock.h"
#include "store/findings.h"
#include "store/internal.h"
#include "store/store.h"
#include "tap.h"

enum { IDS_MAX = 256, LEASES_MAX = 64, KEEP_JOBS = 120 };

struct rng {
    uint64_t x;
};

static uint64_t next(struct rng *r)
{
    uint64_t z = (r->x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(next(r) % n);
}

static bool chance(struct rng *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

/* What the driver knows; the same for both stores while an operation runs. */
struct world {
    struct store *s[2]; /* SQLite, memory */
    char *url;
    struct id ids[IDS_MAX]; /* of recent jobs, some of them deleted */
    uint32_t n_ids;
    struct lease leases[LEASES_MAX]; /* of recent claims, most of them old */
    uint32_t beats[LEASES_MAX];
    uint32_t n_leases;
    uint64_t made; /* ids made */
    struct id fresh;
    int64_t purge_id;
    struct id issues[8]; /* of the last list */
    uint64_t revs[8];
    uint32_t n_issues;
    int64_t checked_us; /* events until then have been looked at */
    uint64_t done[56];  /* how often each operation succeeded */
};

static int64_t now_us;

static int64_t fake_clock(void *arg)
{
    (void)arg;
    return now_us;
}

static const uint8_t secret[32] = "both make the same tokens of it";

/* ---- answers as text ---- */

static void say(struct buf *out, const char *name, const char *s)
{
    buf_addf(out, " %s=%s", name, s ? s : "(null)");
}

static void say_job(struct buf *out, const struct job *j)
{
    char id[ID_TEXT + 1];

    id_text(&j->id, id);
    buf_addf(out, "job %s %lld rev=%llu %s", id, (long long)j->num, (unsigned long long)j->rev,
             job_state_name(j->state));
    say(out, "tool", j->tool);
    say(out, "targets", j->targets);
    say(out, "ports", j->ports);
    say(out, "arguments", j->arguments);
    say(out, "key", j->key_id);
    say(out, "error", j->error);
    say(out, "stderr", j->stderr_tail);
    say(out, "command", j->command_line);
    say(out, "version", j->tool_version);
    say(out, "confinement", j->confinement);
    say(out, "sha", j->raw_sha256);
    say(out, "run", j->run_json);
    say(out, "sandbox", j->sandbox_json);
    say(out, "pins", j->pins);
    say(out, "limits", j->limits);
    say(out, "rule", j->scope_rule);
    say(out, "profile", j->profile);
    say(out, "plan", j->plan);
    say(out, "repo", j->repo);
    say(out, "import", j->import_path);
    say(out, "queue", j->queue);
    say(out, "spec", j->task_spec);
    say(out, "summary", j->summary_json);
    buf_addf(out, " %d", j->planned);
    buf_addf(out, " %d %d", j->old_route, j->clip);
    buf_addf(out, " %lld %d %d %d %d", (long long)j->timeout_s, j->run_timeout_s,
             j->queue_timeout_s, j->priority, j->max_attempts);
    buf_addf(out, " %lld %lld %lld %lld %lld", (long long)j->created_us, (long long)j->started_us,
             (long long)j->completed_us, (long long)j->run_at_us, (long long)j->queue_expires_us);
    buf_addf(out, " %d %d %d %d %d %d %d %d %d", j->reason, j->exit_status, j->exit_signal,
             j->partial, j->cancel_requested, j->attempts, j->lost, j->percent_x100,
             j->remaining_s);
    buf_addf(out, " %lld %lld %lld %lld\n", (long long)j->hosts, (long long)j->hosts_up,
             (long long)j->ports_open, (long long)j->raw_size);
}

static void say_task(struct buf *out, const struct task *t)
{
    char id[ID_TEXT + 1];

    id_text(&t->job_id, id);
    buf_addf(out, "task %s %lld/%d %s p%d e%u t%llu b%u %d %d %d %lld %s\n", id,
             (long long)t->job_num, t->idx, job_state_name(t->state), t->priority, t->epoch,
             (unsigned long long)t->token, t->beat, t->attempts, t->failed, t->lost,
             (long long)t->run_at_us, t->worker);
}

static int on_task_info(void *arg, const struct task_info *t, struct err *e)
{
    (void)e;
    say_task(arg, &t->task);
    buf_addf(arg, "stage %d weight %lld %d%% %s %d %lld %lld %lld %lld %lld merged=%d",
             t->task.stage, (long long)t->weight, t->percent_x100, job_reason_name(t->reason),
             t->partial, (long long)t->started_us, (long long)t->ended_us, (long long)t->hosts,
             (long long)t->hosts_up, (long long)t->ports_open, t->merged);
    say(arg, "spec", t->spec);
    say(arg, "error", t->error);
    say(arg, "command", t->command_line);
    buf_addc(arg, '\n');
    return 0;
}

static int on_cell(void *arg, int32_t idx, const struct coverage_cell *c, struct err *e)
{
    (void)e;
    buf_addf(arg, "cell %d %d %lld", idx, c->up_only, (long long)c->start_us);
    say(arg, c->protocol, c->addresses);
    say(arg, "ports", c->ports);
    return 0;
}

static int on_job(void *arg, const struct job *j, struct err *e)
{
    (void)e;
    say_job(arg, j);
    return 0;
}

static int on_head(void *arg, int64_t num, const struct id *id, enum job_state st)
{
    char text[ID_TEXT + 1];

    id_text(id, text);
    buf_addf(arg, "%lld %s %s\n", (long long)num, text, job_state_name(st));
    return 0;
}

static int on_task(void *arg, const struct task *t, struct err *e)
{
    (void)e;
    say_task(arg, t);
    return 0;
}

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    (void)e;
    buf_addf(arg, "host %lld %s %s %d %lld %d %zu %zu", (long long)seq, h->state ? h->state : "-",
             h->reason ? h->reason : "-", h->reason_ttl, (long long)h->end_s, h->timed_out,
             h->n_addrs, h->n_names);
    for (size_t i = 0; i < h->n_addrs; i++) {
        say(arg, "addr", h->addrs[i].addr);
        say(arg, h->addrs[i].type, h->addrs[i].vendor);
    }
    for (size_t i = 0; i < h->n_names; i++) {
        say(arg, h->names[i].type, h->names[i].name);
    }
    say(arg, "os", h->os);
    buf_addc(arg, '\n');
    return 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    (void)e;
    buf_addf(arg, "port %u/%s %s %s %d %d %d", p->number, p->protocol, p->state,
             p->reason ? p->reason : "-", p->reason_ttl, p->conf, p->has_service);
    say(arg, "service", p->service);
    say(arg, "scripts", p->scripts);
    buf_addc(arg, '\n');
    return 0;
}

static int on_host_end(void *arg, struct err *e)
{
    (void)e;
    buf_adds(arg, "end\n");
    return 0;
}

static int on_event(void *arg, const struct event *ev, struct err *e)
{
    char id[ID_TEXT + 1];

    (void)e;
    id_text(&ev->job_id, id);
    buf_addf(arg, "%lld %lld %s %s %s\n", (long long)ev->seq, (long long)ev->at_us, ev->type, id,
             ev->data);
    return 0;
}

static int on_key(void *arg, const struct key *k, struct err *e)
{
    (void)e;
    buf_addf(arg, "key %s %s %d %lld %lld %lld", k->id, k->name, k->hash[0],
             (long long)k->created_us, (long long)k->revoked_us, (long long)k->last_used_us);
    buf_addf(arg, " %u %lld %d %d %lld\n", k->scopes, (long long)k->expires_us, k->quota.waiting,
             k->quota.jobs_per_day, (long long)k->quota.addresses_per_day);
    return 0;
}

static void say_rc(struct buf *out, int rc, const struct err *e)
{
    buf_addf(out, "-> %s %s\n", err_name(rc), rc < 0 ? e->msg : "");
}

/* ---- operations: each draws the same for both stores and says what it got ---- */

struct turn {
    struct world *w;
    struct store *s;
    struct rng *r;
    struct buf *out;
    bool learn; /* of the second store: the driver takes notes */
};

static const struct id *some_id(struct turn *t)
{
    static const struct id unknown = {{1}};

    if (t->w->n_ids == 0 || chance(t->r, 3)) {
        return &unknown;
    }
    if (t->w->n_leases && chance(t->r, 50)) {
        return &t->w->leases[below(t->r, MIN(t->w->n_leases, LEASES_MAX))].job_id;
    }
    return &t->w->ids[below(t->r, MIN(t->w->n_ids, IDS_MAX))];
}

static uint32_t some_lease(struct turn *t, struct lease *l)
{
    uint32_t n = MIN(t->w->n_leases, LEASES_MAX);
    uint32_t i = n ? below(t->r, n) : 0;

    /* mostly one of the latest */
    if (n && chance(t->r, 70)) {
        i = (t->w->n_leases - 1 - below(t->r, MIN(n, 6))) % LEASES_MAX;
    }
    *l = n ? t->w->leases[i] : (struct lease){0};
    if (chance(t->r, 2)) {
        l->token++;
    }
    return i;
}

/* For a job that only lends its strings. */
static char *lent(const char *s)
{
    return (char *)(uintptr_t)s;
}

static const char *some_key(struct turn *t)
{
    static const char *const keys[] = {"", "k", "key-2", "", NULL, "key-3"};

    return keys[below(t->r, ARRAY_LEN(keys))];
}

static const char *some_queue(struct turn *t)
{
    static const char *const queues[] = {NULL, NULL, NULL, "net", "net-raw", "net@dmz", "repo"};

    return chance(t->r, 2) ? "nowhere" : queues[below(t->r, ARRAY_LEN(queues))];
}

static void op_tasks(struct turn *t)
{
    static const char *const specs[] = {"{}", "{\"a\":1}", "{\"b\":\"x\"}", ""};
    struct err e = {0};
    struct task_new v[4];
    uint32_t n = below(t->r, 5);
    int32_t first = -1;

    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct task_new){.queue = some_queue(t),
                                 .stage = (int32_t)below(t->r, 3),
                                 .weight = below(t->r, 1000),
                                 .spec = chance(t->r, 2) ? NULL : specs[below(t->r, 4)],
                                 .found_only = chance(t->r, 30),
                                 .repeats = chance(t->r, 10)};
    }
    say_rc(t->out, store_task_add(t->s, some_id(t), v, n, &first, &e), &e);
    buf_addf(t->out, "%d", first);
}

static const char *some_request(struct turn *t)
{
    static const char *const requests[] = {
        "{\"url\":\"https://git.example/a\"}",
        "{\"url\":\"https://git.example/a\",\"branch\":\"main\"}",
        "{\"url\":\"https://git.example/a\",\"subdir\":\"src\"}",
        "{\"url\":\"https://git.example/b\"}",
        "{\"url\":\"https://git.example/b\",\"baseline\":\"none\"}",
        "{\"url\":\"https://git.example/a\",\"base\":\"1\"}",
        "{\"branch\":\"main\"}",
        "[]",
    };

    return requests[below(t->r, ARRAY_LEN(requests) - (chance(t->r, 95) ? 2 : 0))];
}

static void op_add(struct turn *t)
{
    static const char *const tools[] = {"nmap", "zmap", "repo", "repo"};
    struct err e = {0};
    struct job j;
    int rc;

    job_init(&j);
    j.id = chance(t->r, 2) ? *some_id(t) : t->w->fresh;
    j.tool = lent(tools[below(t->r, ARRAY_LEN(tools))]);
    j.targets = lent(chance(t->r, 50) ? "192.0.2.1" : "a 'b' \"c\"\n\xff");
    j.ports = lent(chance(t->r, 50) ? "22" : NULL);
    j.arguments = lent(chance(t->r, 20) ? "-sV" : NULL);
    j.key_id = lent(some_key(t));
    j.old_route = chance(t->r, 20);
    j.clip = chance(t->r, 20);
    j.scope_rule = lent(chance(t->r, 50) ? "allow 192.0.2.0/24" : NULL);
    j.pins = lent(chance(t->r, 20) ? "a.example=192.0.2.1" : NULL);
    j.limits = lent(chance(t->r, 20) ? "wall_s=9" : NULL);
    j.timeout_s = chance(t->r, 50) ? INT64_MIN : 60;
    j.run_timeout_s = 60;
    j.queue_timeout_s = (int32_t)below(t->r, 3);
    j.priority = (int32_t)below(t->r, 11);
    j.max_attempts = 1 + (int32_t)below(t->r, 3);
    j.created_us = now_us - below(t->r, 3000);
    j.run_at_us = chance(t->r, 20) ? now_us + below(t->r, 100000) : 0;
    j.state = chance(t->r, 10) ? JOB_WAITING : JOB_QUEUED;
    j.plan = lent(chance(t->r, 40) ? "{\"stages\":[]}" : NULL);
    j.profile = lent(chance(t->r, 30) ? "standard@1" : NULL);
    j.import_path = lent(chance(t->r, 10) ? "import/1" : NULL);
    j.queue = lent(some_queue(t));
    j.repo = lent(str_eq(j.tool, "repo") && chance(t->r, 95) ? some_request(t) : NULL);
    rc = store_job_add(t->s, &j, &e);
    say_rc(t->out, rc, &e);
    if (rc == 0 && j.planned && chance(t->r, 95)) {
        struct task_new v[6] = {{.spec = "1"}, {.spec = "2", .stage = 1},         {.spec = "3"},
                                {.spec = "4"}, {.spec = "5", .found_only = true}, {.spec = "6"}};

        say_rc(t->out, store_task_add(t->s, &j.id, v, 1 + below(t->r, 6), NULL, &e), &e);
    }
    say_job(t->out, &j);
    if (rc == 0 && t->learn) {
        t->w->ids[t->w->n_ids++ % IDS_MAX] = j.id;
    }
}

static void op_get(struct turn *t)
{
    struct err e = {0};
    struct job j = {0};
    char *path = NULL;
    int rc = store_job_get(t->s, some_id(t), &j, &e);

    say_rc(t->out, rc, &e);
    if (rc == 0) {
        say_job(t->out, &j);
        rc = store_raw_path(t->s, j.num, &path, &e);
        say_rc(t->out, rc, &e);
        say(t->out, "raw", path);
    }
    free(path);
    job_done(&j);
}

static void op_list(struct turn *t)
{
    static const char *const tools[] = {NULL, NULL, "nmap", "zmap", "nuclei"};
    struct err e = {0};
    struct job_filter f = {
        .states = chance(t->r, 50) ? 0 : below(t->r, 1u << JOB_STATES),
        .tool = tools[below(t->r, 5)],
        .since_us = chance(t->r, 40) ? now_us - below(t->r, 400000) : 0,
        .oldest_first = chance(t->r, 50),
        .limit = below(t->r, 20),
    };

    if (chance(t->r, 50) && t->w->n_ids) {
        f.after = t->s->now.next_job - below(t->r, 200);
    }
    say_rc(t->out, store_job_list(t->s, &f, on_job, t->out, &e), &e);
    say_rc(t->out, store_job_heads(t->s, &f, on_head, t->out, &e), &e);
}

/* Of a planned job, mostly: what it is made of. */
static void op_parts(struct turn *t)
{
    struct err e = {0};
    struct host_sink sink = {on_host, on_port, on_host_end, t->out};
    int64_t num = t->s->now.next_job - below(t->r, 60);
    int32_t idx = (int32_t)below(t->r, 4);

    say_rc(t->out,
           store_tasks(t->s, num, (int32_t)below(t->r, 3) - 1, below(t->r, 4), on_task_info, t->out,
                       &e),
           &e);
    say_rc(t->out, store_coverage(t->s, num, on_cell, t->out, &e), &e);
    say_rc(t->out, store_task_hosts(t->s, num, idx, &(struct host_filter){0}, &sink, &e), &e);
}

static void op_merge(struct turn *t)
{
    struct err e = {0};
    bool more = false;

    say_rc(t->out, store_merge_step(t->s, 1 + below(t->r, 12), &more, &e), &e);
    buf_addf(t->out, "more=%d", more);
}

static void op_settle(struct turn *t)
{
    struct err e = {0};
    struct id id = *some_id(t);
    struct outcome o = {.state = (enum job_state)(JOB_RUNNING + below(t->r, 5)),
                        .reason = (enum job_reason)below(t->r, REASON_COUNT),
                        .partial = chance(t->r, 30),
                        .error = chance(t->r, 30) ? "some of it is missing" : NULL,
                        .command_line = "a; b",
                        .run_json = chance(t->r, 30) ? "{\"r\":2}" : NULL,
                        .summary_json = chance(t->r, 70) ? "{\"s\":2}" : NULL};
    bool found = false;
    char text[ID_TEXT + 1];

    if (chance(t->r, 90)) {
        say_rc(t->out, store_job_ripe(t->s, &id, &found, &e), &e);
    }
    id_text(&id, text);
    say(t->out, "ripe", found ? text : "none");
    say_rc(t->out, store_job_settle(t->s, &id, &o, &e), &e);
}

static void op_progress(struct turn *t)
{
    struct err e = {0};
    struct progress p = {"ports", (int32_t)below(t->r, 10002) - 1, (int32_t)below(t->r, 100) - 1};

    say_rc(t->out,
           store_job_progress(t->s, some_id(t), chance(t->r, 80) ? &p : NULL,
                              chance(t->r, 50) ? "{\"s\":1}" : NULL, &e),
           &e);
}

static void op_cancel(struct turn *t)
{
    struct err e = {0};
    enum job_state st = JOB_SCHEDULED;

    say_rc(t->out, store_job_cancel(t->s, some_id(t), &st, &e), &e);
    buf_adds(t->out, job_state_name(st));
}

static void op_delete(struct turn *t)
{
    struct err e = {0};

    say_rc(t->out, store_job_delete(t->s, some_id(t), &e), &e);
}

static void op_expire(struct turn *t)
{
    struct err e = {0};
    int64_t before = now_us - below(t->r, 900000);
    uint32_t limit = below(t->r, 8);
    int64_t n = -1;

    if (chance(t->r, 3)) {
        say_rc(t->out, store_job_delete_finished(t->s, &n, &e), &e);
    } else {
        say_rc(t->out, store_job_expire(t->s, before, limit, &n, &e), &e);
    }
    buf_addf(t->out, "%lld", (long long)n);
}

static void op_claim(struct turn *t)
{
    struct err e = {0};
    struct task task = {0};
    struct job j = {0};
    auto_strvec blocked = {0};
    auto_strvec queues = {0};
    bool any = chance(t->r, 60);
    bool got = false;
    int rc;

    for (uint32_t n = chance(t->r, 40) ? below(t->r, 4) : 0; n > 0; n--) {
        const char *key = some_key(t);

        strvec_push(&blocked, key ? key : "");
    }

    for (uint32_t n = below(t->r, 4); n > 0; n--) {
        const char *queue = some_queue(t);

        strvec_push(&queues, queue ? queue : "net");
    }
    buf_addf(t->out, "ready=%d %d ", store_task_ready(t->s, NULL), store_task_ready(t->s, &queues));
    rc = store_task_claim(t->s, chance(t->r, 50) ? "a" : "b", any ? NULL : &queues, &blocked, &task,
                          &j, &got, &e);
    say_rc(t->out, rc, &e);
    buf_addf(t->out, "%d ", got);
    if (rc == 0 && got) {
        say_task(t->out, &task);
        say_job(t->out, &j);
        if (t->learn) {
            uint32_t i = t->w->n_leases++ % LEASES_MAX;

            t->w->leases[i] = (struct lease){task.job_id, task.idx, task.epoch, task.token};
            t->w->beats[i] = 0;
        }
    }
    job_done(&j);
}

static void op_renew(struct turn *t)
{
    struct err e = {0};
    struct lease l;
    uint32_t i = some_lease(t, &l);
    bool cancel = false;
    int rc;

    if (chance(t->r, 50)) {
        rc = store_task_renew(t->s, &l, &cancel, &e);
    } else {
        struct progress p = {"SYN \"scan\"\x01", (int32_t)below(t->r, 10002) - 1,
                             (int32_t)below(t->r, 100) - 1};

        rc = store_task_progress(t->s, &l, &p, &e);
    }
    say_rc(t->out, rc, &e);
    buf_addf(t->out, "%d", cancel);
    if (rc == 0 && t->learn) {
        t->w->beats[i]++;
    }
}

/* What a scan of a repository says it saw. */
static const char *some_run(struct turn *t)
{
#define ENGINES(a, b)                                                                      \
    ",\"engines\":[{\"name\":\"e1\",\"status\":\"" a "\",\"missed\":[]},{\"name\":\"e2\"," \
    "\"status\":\"" b "\",\"missed\":[{\"path\":\"src/2.c\"}]}]"
    static const char *const runs[] = {
        NULL,
        "{}",
        "{\"files\":{}" ENGINES("ok", "ok") "}",
        "{\"branch\":\"main\",\"assessment\":\"complete\",\"files\":{}" ENGINES("ok", "ok") "}",
        "{\"branch\":\"main\",\"files\":{}" ENGINES("ok", "failed") "}",
        "{\"branch\":\"dev\",\"files\":{}" ENGINES("ok", "ok") "}",
        "{\"branch\":\"main\",\"commit\":\"c\",\"files\":{\"skipped\":[{\"path\":\"src/"
        "1.c\"}]}" ENGINES("ok", "ok") ",\"renamed\":[{\"from\":\"src/3.c\",\"to\":\"src/4.c\"}]}",
    };

    return runs[below(t->r, ARRAY_LEN(runs))];
}

static void op_finish(struct turn *t)
{
    struct err e = {0};
    struct lease l;
    enum job_state st = JOB_SCHEDULED;
    struct outcome o = {
        .state = (enum job_state)(JOB_RUNNING + below(t->r, 5)),
        .reason = (enum job_reason)below(t->r, REASON_COUNT),
        .retryable = chance(t->r, 60),
        .partial = chance(t->r, 20),
        .error = chance(t->r, 50) ? "went wrong" : NULL,
        .exit_status = (int32_t)below(t->r, 3) - 1,
        .exit_signal = (int32_t)below(t->r, 2),
        .stderr_tail = chance(t->r, 30) ? "last words\xfe\n" : NULL,
        .command_line = chance(t->r, 50) ? "nmap -oX -" : NULL,
        .run_json = some_run(t),
        .sandbox_json = chance(t->r, 50) ? "{\"egress\":\"nft\"}" : NULL,
    };
    struct coverage_cell cells[] = {
        {.addresses = "192.0.2.0/24", .protocol = "tcp", .ports = "1-9", .start_us = now_us},
        {.addresses = "::1", .protocol = "host", .up_only = true}};
    auto_free char *raw = NULL;

    o.cells = cells;
    o.n_cells = below(t->r, 3);
    some_lease(t, &l);
    if (chance(t->r, 50)) {
        raw = str_fmt("raw/%u.%u", below(t->r, 1000), l.epoch);
        o.raw_path = raw;
        o.raw_sha256 = "abc";
        o.raw_size = 77;
        o.raw_stored = 7;
    }
    say_rc(t->out,
           store_task_finish(t->s, &l, &o, now_us + (int64_t)below(t->r, 50000) - 1000, &st, &e),
           &e);
    buf_adds(t->out, job_state_name(st));
}

static void op_lost(struct turn *t)
{
    struct err e = {0};
    struct lease l;
    uint32_t i = some_lease(t, &l);
    enum job_state st = JOB_SCHEDULED;

    if (chance(t->r, 40)) {
        say_rc(t->out, store_task_release(t->s, &l, &e), &e);
    } else if (chance(t->r, 30)) {
        say_rc(t->out, store_task_wait(t->s, &l, now_us + below(t->r, 50000), &e), &e);
    } else {
        say_rc(t->out, store_task_lost(t->s, &l, t->w->beats[i] + chance(t->r, 10), &st, &e), &e);
        buf_adds(t->out, job_state_name(st));
    }
}

static void op_adopt(struct turn *t)
{
    struct err e = {0};
    struct lease now = {0};
    struct lease l;
    int rc;

    some_lease(t, &l);
    if (chance(t->r, 20) && l.epoch > 1) {
        l.epoch--; /* with a token that was never of it */
    }
    rc = store_task_adopt(t->s, &l, "late", &now, &e);
    say_rc(t->out, rc, &e);
    buf_addf(t->out, "%d %u %llu", now.idx, now.epoch, (unsigned long long)now.token);
    if (rc == 0 && t->learn) {
        uint32_t i = t->w->n_leases++ % LEASES_MAX;

        t->w->leases[i] = now;
        t->w->beats[i] = 0;
    }
}

static void op_report(struct turn *t)
{
    struct err e = {0};
    struct lease l;
    bool fresh = false;

    some_lease(t, &l);
    say_rc(t->out, store_task_report(t->s, &l, below(t->r, 4), &fresh, &e), &e);
    buf_addf(t->out, "%d", fresh);
}

/* ---- what came through a queue ---- */

static void op_origin(struct turn *t)
{
    struct err e = {0};
    struct origin o = {.intake = "q", .task_id = chance(t->r, 50) ? "t" : NULL, .form = 1};
    bool by_id = chance(t->r, 50);
    const struct id *id = some_id(t);
    bool found = false;
    int64_t num = t->s->now.next_job - below(t->r, 60);

    if (chance(t->r, 50)) {
        o.reply_to = chance(t->r, 50) ? "r" : "s";
        say_rc(t->out, store_origin_put(t->s, num, &o, &e), &e);
        return;
    }
    o = (struct origin){0};
    say_rc(t->out,
           by_id ? store_origin_of(t->s, id, &o, &found, &e)
                 : store_origin_get(t->s, num, &o, &found, &e),
           &e);
    buf_addf(t->out, "%d %d", found, o.form);
    say(t->out, o.intake, o.task_id);
    say(t->out, o.reply_to, o.correlation);
    origin_done(&o);
}

static void op_cursor(struct turn *t)
{
    static const char *const names[] = {"results", "other", "third"};
    struct err e = {0};
    const char *name = names[below(t->r, 3)];
    int64_t seq = -7;

    if (chance(t->r, 60)) {
        seq = store_event_last(t->s) - (int64_t)below(t->r, 400);
        say_rc(t->out, store_cursor_put(t->s, name, seq, &e), &e);
        return;
    }
    say_rc(t->out, store_cursor_get(t->s, name, &seq, &e), &e);
    buf_addf(t->out, "%lld", (long long)seq);
}

static int on_dead(void *arg, const struct dead_letter *d, struct err *e)
{
    (void)e;
    buf_addf(arg, "dead %lld %lld %s", (long long)d->seq, (long long)d->at_us, d->source);
    say(arg, d->task_id, d->reason);
    say(arg, "body", d->body);
    return 0;
}

static void op_dead(struct turn *t)
{
    struct err e = {0};
    struct dead_letter d = {.at_us = now_us,
                            .source = "q",
                            .task_id = chance(t->r, 50) ? NULL : "t",
                            .reason = "it is no JSON",
                            .body = "\x01\xff"};
    int64_t after = below(t->r, 30);

    if (chance(t->r, 50)) {
        say_rc(t->out, store_dead_add(t->s, &d, &e), &e);
    } else {
        say_rc(t->out, store_dead_list(t->s, after, 1 + below(t->r, 9), on_dead, t->out, &e), &e);
    }
    buf_addf(t->out, "%lld", (long long)store_dead_count(t->s));
}

static void op_memo(struct turn *t)
{
    struct err e = {0};
    auto_free char *name = str_fmt("drain:%u", below(t->r, 4));
    auto_free char *value = NULL;

    if (chance(t->r, 60)) {
        say_rc(t->out, store_memo_put(t->s, name, chance(t->r, 60) ? "yes" : NULL, &e), &e);
    } else {
        say_rc(t->out, store_memo_get(t->s, name, &value, &e), &e);
        say(t->out, name, value);
    }
}

struct blob_seen {
    struct buf *out;
    int64_t num, orphan;
    int32_t idx;
};

static int on_blob(void *arg, int64_t num, int32_t idx, const char *path, struct err *e)
{
    struct blob_seen *b = arg;

    (void)e;
    buf_addf(b->out, "%lld/%d %s ", (long long)num, idx, path);
    b->num = num;
    b->idx = idx;
    return 0;
}

static int on_orphan(void *arg, int64_t id, const char *uri, struct err *e)
{
    struct blob_seen *b = arg;

    (void)e;
    buf_addf(b->out, "%lld %s ", (long long)id, uri);
    b->orphan = id;
    return 0;
}

static void op_blob(struct turn *t)
{
    struct err e = {0};
    struct blob_seen b = {.out = t->out, .num = 1};
    auto_free char *uri = NULL;

    say_rc(t->out, store_blobs_local(t->s, 1 + below(t->r, 5), on_blob, &b, &e), &e);
    if (chance(t->r, 20)) {
        b.idx++;
    }
    uri = str_fmt("s3://bucket/%lld.%d", (long long)b.num, b.idx);
    if (chance(t->r, 80)) {
        say_rc(t->out, store_blob_moved(t->s, b.num, b.idx, uri, &e), &e);
    }
    free(take_ptr(&uri));
    say_rc(t->out, store_blob_uri(t->s, b.num, b.idx, &uri, &e), &e);
    say(t->out, "uri", uri);
    say_rc(t->out, store_blobs_orphaned(t->s, 1 + below(t->r, 5), on_orphan, &b, &e), &e);
    if (chance(t->r, 50)) {
        say_rc(t->out, store_blob_removed(t->s, b.orphan, &e), &e);
    }
}

static void on_queue(void *arg, const struct queue_depth *q)
{
    if (q->ready > 0) {
        buf_addf(arg, "%s %lld %lld ", q->queue, (long long)q->ready, (long long)q->oldest_us);
    }
}

static void op_time(struct turn *t)
{
    struct err e = {0};
    int64_t next = -1;

    if (chance(t->r, 5)) {
        int64_t after = 0;

        say_rc(t->out, store_task_wake(t->s, &after, &e), &e);
        buf_addf(t->out, "%lld ", (long long)after);
    }
    say_rc(t->out, store_task_due(t->s, now_us, &next, &e), &e);
    buf_addf(t->out, "%lld ", (long long)next);
    say_rc(t->out, store_queue_expire(t->s, now_us - 500000, &next, &e), &e);
    buf_addf(t->out, "%lld ", (long long)next);
    say_rc(t->out, store_task_running(t->s, on_task, t->out, &e), &e);
    store_queues(t->s, on_queue, t->out);
}

static void draw_port(struct turn *t, struct port *p)
{
    static const char *const states[] = {"open", "closed", "filtered", "open|filtered"};

    *p = (struct port){
        .number = (uint16_t)below(t->r, 65536),
        .protocol = chance(t->r, 80) ? "tcp" : "udp",
        .state = states[below(t->r, 4)],
        .reason = chance(t->r, 50) ? "syn-ack" : NULL,
        .reason_ttl = (int32_t)below(t->r, 3) - 1,
        .has_service = chance(t->r, 50),
        .service = chance(t->r, 50) ? "http" : NULL,
        .conf = (int32_t)below(t->r, 12) - 1,
        .scripts = chance(t->r, 10) ? "[]" : NULL,
    };
}

static void op_host(struct turn *t)
{
    static const char *const states[] = {"up", "down", "up", NULL};
    struct err e = {0};
    struct lease l;
    struct host_addr addrs[2] = {{"192.0.2.1", "ipv4", NULL}, {"00:00:5e:00:53:01", "mac", ""}};
    struct host_name name = {"a.example", "PTR"};
    struct host h = {.addrs = addrs,
                     .n_addrs = below(t->r, 3),
                     .names = &name,
                     .n_names = below(t->r, 2),
                     .state = states[below(t->r, 4)],
                     .reason_ttl = -1,
                     .end_s = below(t->r, 5),
                     .timed_out = chance(t->r, 5),
                     .os = chance(t->r, 10) ? "{}" : NULL};
    uint32_t ports = below(t->r, 5);
    int64_t seq = 0;

    some_lease(t, &l);
    if (chance(t->r, 20)) {
        say_rc(t->out, store_host_select(t->s, &l, &e), &e);
    } else if (chance(t->r, 80)) {
        say_rc(t->out, store_host_begin(t->s, &l, &h, &seq, &e), &e);
        buf_addf(t->out, "%lld ", (long long)seq);
    }
    for (uint32_t i = 0; i < ports; i++) {
        struct port p;

        draw_port(t, &p);
        say_rc(t->out, store_host_port(t->s, &p, &e), &e);
    }
    if (chance(t->r, 85)) {
        say_rc(t->out, store_host_end(t->s, &e), &e);
    } else if (chance(t->r, 50)) {
        say_rc(t->out, store_host_abort(t->s, &e), &e);
    }
}

static void op_hosts(struct turn *t)
{
    struct err e = {0};
    struct host_sink sink = {on_host, on_port, on_host_end, t->out};
    struct host_filter f = {
        .state = chance(t->r, 30) ? "up" : NULL,
        .open_only = chance(t->r, 30),
        .after = below(t->r, 3),
        .limit = below(t->r, 5),
    };
    int64_t num = t->s->now.next_job - below(t->r, 150);

    say_rc(t->out, store_hosts(t->s, num, &f, &sink, &e), &e);
}

/* ---- findings ---- */

struct words {
    char rule[16], path[16], line[64];
};

static void draw_finding(struct turn *t, struct words *w, struct finding *f)
{
    uint32_t file = below(t->r, 5);
    uint32_t what = below(t->r, 6);

    snprintf(w->rule, sizeof w->rule, "rule-%u", what % 3);
    snprintf(w->path, sizeof w->path, "src/%u.c", file);
    snprintf(w->line, sizeof w->line, "a %u b %u c d%u;", what, what, below(t->r, 3));
    *f = (struct finding){.rule = w->rule,
                          .title = chance(t->r, 50) ? "Title" : "another TITLE",
                          .message = chance(t->r, 50) ? "m" : NULL,
                          .line = w->line,
                          .at = {.path = w->path, .line = (int32_t)below(t->r, 50)},
                          .severity = (enum severity)below(t->r, SEVERITIES),
                          .confidence_x100 = (int32_t)below(t->r, 101),
                          .n_cwe = 1,
                          .verified = chance(t->r, 80)};
    f->cwe[0] = 70 + (int32_t)what;
    for (int i = 1; i < 3; i++) {
        if (chance(t->r, 60)) {
            f->engines[f->n_engines++] =
                (struct finding_engine){.name = i == 1 ? "e1" : "e2", .version = "1"};
        }
    }
    snprintf(f->identity.primary, PRINT_TEXT, "%030x%02x", file * 8 + what, below(t->r, 2));
    snprintf(f->identity.moved, PRINT_TEXT, "%030x%02x", what, 7);
    snprintf(f->identity.around, PRINT_TEXT, "%030x%02x", file * 8 + what, 8);
    if (chance(t->r, 2)) {
        f->at.path = "/etc/passwd";
    }
}

static void op_finding(struct turn *t)
{
    struct err e = {0};
    struct lease l;

    some_lease(t, &l);
    for (uint32_t i = below(t->r, 6); i > 0; i--) {
        struct words w;
        struct finding f;

        draw_finding(t, &w, &f);
        say_rc(t->out, store_finding_add(t->s, &l, &f, &e), &e);
    }
}

/* A whole scan. */
static void op_scan(struct turn *t)
{
    struct err e = {0};
    struct outcome o = {.state = chance(t->r, 85) ? JOB_COMPLETED : JOB_FAILED,
                        .reason = REASON_TOOL_FAILED,
                        .run_json = some_run(t)};
    enum job_state st = JOB_SCHEDULED;
    struct lease l;

    some_lease(t, &l);
    for (uint32_t i = below(t->r, 20); i > 0; i--) {
        struct words w;
        struct finding f;

        draw_finding(t, &w, &f);
        say_rc(t->out, store_finding_add(t->s, &l, &f, &e), &e);
    }
    say_rc(t->out, store_task_finish(t->s, &l, &o, 0, &st, &e), &e);
}

static int on_finding(void *arg, const struct finding_row *r, struct err *e)
{
    char issue[ID_TEXT + 1];
    char job[ID_TEXT + 1];
    char first[ID_TEXT + 1];

    (void)e;
    id_text(&r->issue, issue);
    id_text(&r->job, job);
    id_text(&r->first_job, first);
    buf_addf(arg, "%lld %s rev=%llu %s %d %s %d %s %s", (long long)r->seq, issue,
             (unsigned long long)r->rev, finding_life_name(r->life), r->open,
             triage_name(r->triage.state), r->counts, job, first);
    buf_addf(arg, " %lld %lld %lld %d %lld %lld", (long long)r->first_us, (long long)r->last_us,
             (long long)r->fixed_us, r->reopened, (long long)r->triage.at_us,
             (long long)r->triage.until_us);
    say(arg, "url", r->url);
    say(arg, r->branch, r->subdir);
    say(arg, "by", r->triage.by);
    say(arg, "why", r->triage.reason);
    say(arg, r->f->rule, r->f->at.path);
    say(arg, r->f->title, r->f->line);
    say(arg, "primary", r->f->identity.primary);
    buf_addf(arg, " %d %d %d %u\n", r->f->severity, r->f->confidence_x100, r->f->at.line,
             r->f->n_engines);
    return 0;
}

struct issue_sink {
    struct turn *t;
    uint32_t n;
};

static int on_issue(void *arg, const struct finding_row *r, struct err *e)
{
    struct issue_sink *k = arg;

    if (k->t->learn) {
        k->t->w->issues[k->n % 8] = r->issue;
        k->t->w->revs[k->n % 8] = r->rev;
        k->n++;
        k->t->w->n_issues = MIN(k->n, 8u);
    }
    return on_finding(k->t->out, r, e);
}

static struct finding_filter draw_filter(struct turn *t)
{
    struct finding_filter f = {.triage = -1, .counts = -1, .open = -1};

    f.severity_min = chance(t->r, 30) ? (int)below(t->r, SEVERITIES) : 0;
    f.lives = chance(t->r, 50) ? below(t->r, 1u << LIFES) : 0;
    f.triage = chance(t->r, 15) ? (int)below(t->r, TRIAGES) : -1;
    f.counts = chance(t->r, 20) ? (int)below(t->r, 2) : -1;
    f.engine = chance(t->r, 15) ? "e1" : NULL;
    f.rule = chance(t->r, 15) ? "rule-1" : NULL;
    f.path = chance(t->r, 10) ? "src/1.c" : chance(t->r, 10) ? "src/" : NULL;
    f.cwe = chance(t->r, 15) ? 71 : 0;
    f.url = chance(t->r, 20) ? "https://git.example/a" : NULL;
    f.branch = chance(t->r, 10) ? "main" : NULL;
    f.open = chance(t->r, 20) ? (int)below(t->r, 2) : -1;
    f.text = chance(t->r, 10) ? "another title" : NULL;
    f.limit = 1 + below(t->r, 8);
    return f;
}

static void say_scan(struct buf *out, const struct repo_scan *r)
{
    say(out, "url", r->url);
    say(out, r->branch, r->subdir);
    say(out, "commit", r->commit);
    buf_addf(out, " %d %d %d %lld %s %d\n", r->complete, r->ended, id_is_zero(&r->baseline),
             (long long)r->triaged, r->level, r->score_x10);
    for (int l = 0; l < LIFES; l++) {
        buf_addf(out, "%lld:", (long long)r->life[l]);
        for (int sev = 0; sev < SEVERITIES; sev++) {
            buf_addf(out, "%lld ", (long long)r->by_life[sev][l]);
        }
    }
    for (int sev = 0; sev < SEVERITIES; sev++) {
        buf_addf(out, "%lld ", (long long)r->counts[sev]);
    }
}

static void op_findings(struct turn *t)
{
    struct err e = {0};
    struct finding_filter f = draw_filter(t);
    int64_t num = t->s->now.next_job - 1 - (int64_t)below(t->r, 100);
    struct repo_scan r = {0};
    int64_t next = -1;
    int rc;

    f.after = chance(t->r, 30) ? (int64_t)below(t->r, 12) : 0;
    f.next = chance(t->r, 80) ? &next : NULL;
    say_rc(t->out, store_findings(t->s, num, &f, on_finding, t->out, &e), &e);
    buf_addf(t->out, "next=%lld ", (long long)next);
    rc = store_repo_scan(t->s, num, &r, &e);
    say_rc(t->out, rc, &e);
    if (rc == 0) {
        say_scan(t->out, &r);
        repo_scan_done(&r);
    }
}

static int on_repo(void *arg, const struct repo_row *r, struct err *e)
{
    (void)e;
    say(arg, r->url, r->branch);
    buf_addf(arg, " %s %lld %lld %s %lld %s\n", r->subdir, (long long)r->open,
             (long long)r->open_counting, r->level, (long long)r->last_us, r->cursor);
    return 0;
}

static void op_issues(struct turn *t)
{
    struct err e = {0};
    struct finding_filter f = draw_filter(t);
    struct issue_sink k = {t, 0};
    int64_t next = -1;

    f.after = chance(t->r, 30) ? t->s->now.next_issue - (int64_t)below(t->r, 60) : 0;
    f.next = chance(t->r, 80) ? &next : NULL;
    say_rc(t->out, store_issues(t->s, &f, on_issue, &k, &e), &e);
    buf_addf(t->out, "next=%lld ", (long long)next);
    if (chance(t->r, 30)) {
        say_rc(t->out,
               store_repos(t->s, chance(t->r, 50) ? "https://git.example/a\n" : NULL,
                           below(t->r, 4), on_repo, t->out, &e),
               &e);
    }
}

static void op_triage(struct turn *t)
{
    struct err e = {0};
    uint32_t i = t->w->n_issues ? below(t->r, t->w->n_issues) : 0;
    struct triage_note n = {.state = (enum triage)below(t->r, TRIAGES),
                            .reason = chance(t->r, 90) ? "because" : NULL,
                            .by = chance(t->r, 95) ? "ann" : NULL,
                            .at_us = chance(t->r, 50) ? now_us : 0,
                            .until_us = chance(t->r, 40) ? now_us + below(t->r, 50000) : 0};
    uint64_t rev = 0;
    int64_t next = -1;

    if (chance(t->r, 25)) {
        say_rc(t->out, store_triage_expire(t->s, now_us, &next, &e), &e);
        buf_addf(t->out, "%lld", (long long)next);
    } else if (chance(t->r, 15)) {
        say_rc(t->out, store_issue(t->s, &t->w->issues[i], on_finding, t->out, &e), &e);
    } else {
        say_rc(t->out,
               store_triage(t->s, &t->w->issues[i], chance(t->r, 40) ? t->w->revs[i] : 0, &n, &rev,
                            &e),
               &e);
        buf_addf(t->out, "%llu", (unsigned long long)rev);
    }
}

static void op_reparse(struct turn *t)
{
    struct err e = {0};
    struct lease l = {0};
    int rc;

    if (chance(t->r, 40)) {
        bool end = chance(t->r, 70);
        bool partial = chance(t->r, 50);

        some_lease(t, &l);
        say_rc(t->out,
               end ? store_reparse_end(t->s, &l, partial, "{\"r\":1}", &e)
                   : store_reparse_abandon(t->s, &l, &e),
               &e);
        return;
    }
    rc = store_reparse_begin(t->s, some_id(t), &l, &e);
    say_rc(t->out, rc, &e);
    buf_addf(t->out, "%u %llu", l.epoch, (unsigned long long)l.token);
    if (rc == 0 && t->learn) {
        t->w->leases[t->w->n_leases++ % LEASES_MAX] = l;
    }
}

static void op_purge(struct turn *t)
{
    struct err e = {0};
    uint32_t rows = 1 + below(t->r, 12);
    bool more = false;
    char *path = NULL;
    int64_t id = 0;
    int rc;

    if (chance(t->r, 40)) {
        say_rc(t->out, store_purge_done(t->s, t->w->purge_id, &e), &e);
    }
    /* how many rows a set has is each store's own business: to the next file, or to the end */
    do {
        rc = store_purge_step(t->s, rows, &more, &path, &id, &e);
    } while (rc == 0 && more && !path);
    say_rc(t->out, rc, &e);
    buf_addf(t->out, "%d %lld", more, (long long)id);
    say(t->out, "path", path);
    if (t->learn && path) {
        t->w->purge_id = id;
    }
    free(path);
}

static void op_events(struct turn *t)
{
    struct err e = {0};
    int64_t last = store_event_last(t->s);
    int64_t before = now_us - below(t->r, 300000);
    uint32_t limit = below(t->r, 400);
    int64_t n = -1;

    buf_addf(t->out, "%lld..%lld ", (long long)store_event_first(t->s), (long long)last);
    say_rc(
        t->out,
        store_events(t->s, last - (int64_t)below(t->r, 30), below(t->r, 20), on_event, t->out, &e),
        &e);
    if (chance(t->r, 20)) {
        say_rc(t->out,
               store_event_expire(t->s, MIN(before, t->w->checked_us - 100000), limit, &n, &e), &e);
        buf_addf(t->out, "%lld", (long long)n);
    }
}

static void op_idem(struct turn *t)
{
    struct err e = {0};
    auto_free char *idem = str_fmt("i%u", below(t->r, 30));
    const char *key = chance(t->r, 50) ? "k" : "";
    uint8_t print[32] = {(uint8_t)below(t->r, 256)};
    struct id job = {0};
    bool found = false;

    if (chance(t->r, 10)) {
        say_rc(t->out, store_idem_expire(t->s, now_us - below(t->r, 100000), &e), &e);
    } else if (chance(t->r, 50)) {
        say_rc(t->out, store_idem_put(t->s, key, idem, print, some_id(t), now_us, &e), &e);
    } else {
        char text[ID_TEXT + 1];

        memset(print, 0, sizeof print);
        say_rc(t->out, store_idem_get(t->s, key, idem, print, &job, &found, &e), &e);
        id_text(&job, text);
        buf_addf(t->out, "%d %d %s", found, print[0], text);
    }
}

static void op_key(struct turn *t)
{
    struct err e = {0};
    struct key k = {.created_us = now_us,
                    .hash = {(uint8_t)below(t->r, 256)},
                    .scopes = below(t->r, 130),
                    .expires_us = now_us + below(t->r, 1000),
                    .quota = {(int32_t)below(t->r, 10), (int32_t)below(t->r, 10) - 1, 5}};

    snprintf(k.id, sizeof k.id, "%016x", below(t->r, 40));
    snprintf(k.name, sizeof k.name, "n%u", below(t->r, 10));
    switch (below(t->r, 4)) {
    case 0:
        say_rc(t->out, store_key_add(t->s, &k, &e), &e);
        break;
    case 1:
        say_rc(t->out, store_key_revoke(t->s, chance(t->r, 50) ? k.id : k.name, now_us, &e), &e);
        break;
    case 2:
        say_rc(t->out, store_key_used(t->s, k.id, now_us, &e), &e);
        break;
    default:
        say_rc(t->out, store_keys(t->s, on_key, t->out, &e), &e);
    }
}

static void op_charge(struct turn *t)
{
    struct err e = {0};
    const char *id = some_key(t);
    struct key k = {.name = "n", .quota = {(int32_t)below(t->r, 30), 0, 0}};
    int32_t retry_s = -1;
    /* hours go by more quickly here than elsewhere */
    int64_t at = now_us * 30000 + below(t->r, 2) * INT64_C(7200000000);

    snprintf(k.id, sizeof k.id, "%s", id ? id : "");
    k.quota.jobs_per_day = (int32_t)below(t->r, 60);
    k.quota.addresses_per_day = chance(t->r, 50) ? (int64_t)below(t->r, 10000) : 0;
    say_rc(t->out, store_key_charge(t->s, &k, below(t->r, 300), at, &retry_s, &e), &e);
    buf_addf(t->out, "%d", retry_s);
}

static int on_audit(void *arg, const struct audit *a, struct err *e)
{
    (void)e;
    buf_addf(arg, "%lld %lld %s %s %s %s %02x%02x\n", (long long)a->seq, (long long)a->at_us,
             a->actor, a->action, a->object, a->detail, a->hash[0], a->hash[31]);
    return 0;
}

static void op_audit(struct turn *t)
{
    static const char *const actors[] = {"k", "config", "", "cli"};
    struct err e = {0};
    int64_t next = t->s->now.next_audit;

    if (chance(t->r, 60)) {
        struct audit a = {.at_us = now_us,
                          .actor = actors[below(t->r, 4)],
                          .action = "scan.submit",
                          .object = chance(t->r, 50) ? "x" : NULL,
                          .detail = chance(t->r, 50) ? "{\"a\":1}" : NULL};

        say_rc(t->out, store_audit_add(t->s, &a, &e), &e);
    } else {
        say_rc(t->out,
               store_audit_list(t->s, next - (int64_t)below(t->r, 20), below(t->r, 9), on_audit,
                                t->out, &e),
               &e);
    }
}

static void op_limits(struct turn *t)
{
    struct store_limits l = {chance(t->r, 30) ? below(t->r, 200) : 0,
                             chance(t->r, 30) ? below(t->r, 40) : 0};

    store_set_limits(t->s, &l);
}

static void op_commit(struct turn *t)
{
    struct err e = {0};

    say_rc(t->out, store_commit(t->s, &e), &e);
    store_idle(t->s);
}

static void op_rollback(struct turn *t)
{
    store_rollback(t->s);
}

/* The disk is full in the middle of a turn. */
static void op_break(struct turn *t)
{
    store_fail(t->s, ERR_FULL, "cannot store a job: database or disk is full");
    store_change_end(t->s, ERR_FULL, NULL);
}

enum { OP_ADD, OP_EXPIRE, OP_CLAIM, OP_FINISH, OP_MERGE, OP_SETTLE, OP_TURNS = 37 };

/* Those from OP_TURNS on have no answer of their own. */
static const struct {
    void (*fn)(struct turn *t);
    uint32_t weight;
    const char *name;
} ops[] = {
    [OP_ADD] = {op_add, 10, "add"},
    [OP_EXPIRE] = {op_expire, 1, "expire"},
    [OP_CLAIM] = {op_claim, 9, "claim"},
    [OP_FINISH] = {op_finish, 9, "finish"},
    [OP_MERGE] = {op_merge, 8, "merge"},
    [OP_SETTLE] = {op_settle, 6, "settle"},
    {op_get, 8, "get"},
    {op_list, 6, "list"},
    {op_cancel, 3, "cancel"},
    {op_delete, 3, "delete"},
    {op_renew, 6, "renew"},
    {op_lost, 3, "lost"},
    {op_time, 4, "time"},
    {op_host, 16, "host"},
    {op_hosts, 5, "hosts"},
    {op_reparse, 3, "reparse"},
    {op_purge, 5, "purge"},
    {op_events, 3, "events"},
    {op_idem, 3, "idem"},
    {op_key, 2, "key"},
    {op_charge, 4, "charge"},
    {op_audit, 4, "audit"},
    {op_tasks, 4, "tasks"},
    {op_parts, 4, "parts"},
    {op_progress, 3, "progress"},
    {op_adopt, 3, "adopt"},
    {op_report, 4, "report"},
    {op_origin, 4, "origin"},
    {op_cursor, 2, "cursor"},
    {op_dead, 2, "dead"},
    {op_memo, 2, "memo"},
    {op_blob, 3, "blob"},
    {op_finding, 8, "finding"},
    {op_scan, 10, "scan"},
    {op_findings, 8, "findings"},
    {op_issues, 8, "issues"},
    {op_triage, 8, "triage"},
    [OP_TURNS] = {op_commit, 12, "commit"},
    {op_limits, 1, "limits"},
    {op_rollback, 2, "rollback"},
    {op_break, 1, "break"},
};

/* ---- what must hold whatever both say ---- */

/* Where each job's path of events is, by number of its creation. */
struct path {
    char id[ID_TEXT + 1];
    enum job_state state;
    long long rev;
};

struct paths {
    struct path *v;
    size_t n, size;
    int64_t seen; /* seq */
};

static struct path *path_of(struct paths *p, const char *id)
{
    for (size_t i = p->n; i > 0; i--) {
        if (strcmp(p->v[i - 1].id, id) == 0) {
            return &p->v[i - 1];
        }
    }
    if (p->n == p->size) {
        p->size = 2 * p->size + 64;
        p->v = xrealloc(p->v, p->size * sizeof *p->v);
    }
    p->v[p->n] = (struct path){.rev = 0};
    snprintf(p->v[p->n].id, sizeof p->v[p->n].id, "%s", id);
    return &p->v[p->n++];
}

static int follow(void *arg, const struct event *ev, struct err *e)
{
    struct paths *p = arg;
    char id[ID_TEXT + 1];
    char name[32] = "";
    struct path *path;
    enum job_state st;
    long long rev = 0;

    (void)e;
    id_text(&ev->job_id, id);
    CHECK_INT(ev->seq, p->seen + 1);
    p->seen = ev->seq;
    if (strcmp(ev->type, "finding.triage") == 0) {
        return 0; /* no change of a job */
    }
    CHECK_INT(sscanf(ev->data, "{\"state\":\"%31[a-z_]\",\"rev\":%lld", name, &rev), 2);
    CHECK(job_state_parse(name, &st));
    path = path_of(p, id);
    if (rev != path->rev + 1) {
        tap_fail(__FILE__, __LINE__, "rev of %s went from %lld to %lld in %s", id, path->rev, rev,
                 ev->type);
    }
    if (rev == 1) {
        CHECK_STR(ev->type, "job.created");
        CHECK(st == JOB_QUEUED || st == JOB_SCHEDULED || st == JOB_WAITING);
    } else if (st != path->state && !job_state_may(path->state, st)) {
        tap_fail(__FILE__, __LINE__, "%s moved from %s to %s", id, job_state_name(path->state),
                 name);
    }
    path->rev = rev;
    path->state = st;
    if (strcmp(ev->type, "job.deleted") == 0) {
        CHECK(job_state_terminal(st));
        *path = p->v[--p->n];
    }
    return 0;
}

struct tallies {
    int64_t counts[JOB_STATES];
    int64_t after;
    uint32_t n;
};

static int count(void *arg, int64_t num, const struct id *id, enum job_state st)
{
    struct tallies *t = arg;

    (void)id;
    t->counts[st]++;
    t->after = num;
    t->n++;
    return 0;
}

static const char *const all_keys[] = {"", "k", "key-2", "key-3"};

struct waiting {
    int64_t of[4]; /* by key */
    int64_t after;
    uint32_t n;
};

static int count_waiting(void *arg, const struct job *j, struct err *e)
{
    struct waiting *q = arg;

    (void)e;
    for (size_t i = 0; i < ARRAY_LEN(all_keys); i++) {
        q->of[i] += str_eq(j->key_id ? j->key_id : "", all_keys[i]);
    }
    q->after = j->num;
    q->n++;
    return 0;
}

/* What is counted for each key is what the list counts. */
static void check_waiting(struct store *s)
{
    struct waiting q = {.n = 1000};

    while (q.n == 1000) {
        struct job_filter f = {.states = 1u << JOB_SCHEDULED | 1u << JOB_QUEUED | 1u << JOB_WAITING,
                               .oldest_first = true,
                               .after = q.after};

        q.n = 0;
        CHECK_OK(store_job_list(s, &f, count_waiting, &q, ERR));
    }
    for (size_t i = 0; i < ARRAY_LEN(all_keys); i++) {
        int64_t waiting = 0;

        for (size_t k = 0; k < s->n_keys; k++) {
            waiting += str_eq(s->keys[k]->key, all_keys[i]) ? s->keys[k]->waiting : 0;
        }
        CHECK_INT(waiting, q.of[i]);
    }
}

/* ---- what is counted of planned jobs is what their tasks are ---- */

struct tasks_seen {
    struct board board;
    int64_t timed, ready;
};

static int count_task(void *arg, const struct task_info *t, struct err *e)
{
    struct tasks_seen *seen = arg;
    enum job_state st = t->task.state;

    (void)e;
    CHECK_INT(t->task.idx, seen->board.tasks);
    seen->board.tasks++;
    seen->board.tasks_left += !job_state_terminal(st);
    seen->board.tasks_queued += st == JOB_QUEUED;
    seen->board.tasks_unmerged += job_state_terminal(st) && !t->merged;
    seen->timed += st == JOB_SCHEDULED || st == JOB_WAITING;
    return 0;
}

struct planned_seen {
    int64_t nums[1000];
    enum job_state states[1000];
    int n;
};

static int note_planned(void *arg, const struct job *j, struct err *e)
{
    struct planned_seen *p = arg;

    (void)e;
    if (j->planned && p->n < 1000) {
        p->states[p->n] = j->state;
        p->nums[p->n++] = j->num;
    }
    return 0;
}

static void check_boards(struct store *s)
{
    struct planned_seen jobs = {.n = 0};
    struct tally sum = {.planned_running = 0};

    CHECK_OK(store_job_list(s, &(struct job_filter){0}, note_planned, &jobs, ERR));
    for (int i = 0; i < jobs.n; i++) {
        struct tasks_seen seen = {.timed = 0};
        struct board b;

        CHECK_OK(store_tasks(s, jobs.nums[i], -1, 0, count_task, &seen, ERR));
        CHECK_INT(s->ops->board_find(s, jobs.nums[i], &b), 0);
        CHECK_INT(b.tasks, seen.board.tasks);
        CHECK_INT(b.tasks_left, seen.board.tasks_left);
        CHECK_INT(b.tasks_queued, seen.board.tasks_queued);
        CHECK_INT(b.tasks_unmerged, seen.board.tasks_unmerged);
        if (job_state_terminal(jobs.states[i])) {
            CHECK(b.tasks_left == 0 && b.tasks_unmerged == 0);
        }
        if (b.tasks_queued > 0) {
            CHECK(jobs.states[i] == JOB_QUEUED || jobs.states[i] == JOB_RUNNING);
        }
        sum.planned_running += jobs.states[i] == JOB_RUNNING;
        sum.tasks_timed += seen.timed;
        sum.tasks_unmerged += b.tasks_unmerged;
    }
    CHECK_INT(s->now.planned_running, sum.planned_running);
    CHECK_INT(s->now.tasks_timed, sum.tasks_timed);
    CHECK_INT(s->now.tasks_unmerged, sum.tasks_unmerged);
}

/* ---- what can be claimed is what the rows say ---- */

struct places_seen {
    char *v[4096];
    size_t n;
};

static void note_place(void *arg, const struct ready_task *t)
{
    struct places_seen *p = arg;

    if (p->n < ARRAY_LEN(p->v)) {
        p->v[p->n++] =
            str_fmt("%s %s %d %lld %d", t->key ? t->key : "", t->queue ? t->queue : "net",
                    t->priority, (long long)t->job_num, t->idx);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void places_text(struct places_seen *p, struct buf *out)
{
    qsort(p->v, p->n, sizeof p->v[0], by_text);
    for (size_t i = 0; i < p->n; i++) {
        buf_addf(out, "%s\n", p->v[i]);
        free(p->v[i]);
    }
    p->n = 0;
}

static void check_ready(struct store *s)
{
    struct places_seen seen = {.n = 0};
    auto_buf want = {0};
    auto_buf got = {0};

    CHECK_INT(s->ops->task_ready(s, note_place, &seen), 0);
    places_text(&seen, &want);
    ready_each(s->ready, note_place, &seen);
    places_text(&seen, &got);
    CHECK_STR(got.data, want.data);
}

/* ---- what is counted of scans and their lines is what the lists give ---- */

struct line_seen {
    char key[160];
    int64_t open, counting;
};

struct lines_seen {
    struct line_seen v[40];
    size_t n;
};

static struct line_seen *line_of(struct lines_seen *ls, const char *url, const char *branch,
                                 const char *subdir)
{
    char key[160];

    snprintf(key, sizeof key, "%s\n%s\n%s", url, branch, subdir);
    for (size_t i = 0; i < ls->n; i++) {
        if (strcmp(ls->v[i].key, key) == 0) {
            return &ls->v[i];
        }
    }
    CHECK(ls->n < ARRAY_LEN(ls->v));
    memcpy(ls->v[ls->n].key, key, sizeof key);
    return &ls->v[ls->n++];
}

static int count_issue(void *arg, const struct finding_row *r, struct err *e)
{
    struct line_seen *l = line_of(arg, r->url, r->branch, r->subdir);

    (void)e;
    l->open += r->open;
    l->counting += r->open && r->counts;
    return 0;
}

struct newest {
    struct lines_seen lines;
    char cursors[40][160];
    size_t n;
};

static int check_repo(void *arg, const struct repo_row *r, struct err *e)
{
    struct newest *ns = arg;
    const struct line_seen *l = line_of(&ns->lines, r->url, r->branch, r->subdir);

    (void)e;
    CHECK_STR(r->cursor, l->key);
    CHECK_INT(r->open, l->open);
    CHECK_INT(r->open_counting, l->counting);
    CHECK(ns->n < ARRAY_LEN(ns->cursors));
    snprintf(ns->cursors[ns->n++], sizeof ns->cursors[0], "%s", r->cursor);
    return 0;
}

static int count_counting(void *arg, const struct finding_row *r, struct err *e)
{
    int64_t *by = arg;

    (void)e;
    by[r->f->severity] += r->counts;
    return 0;
}

static void check_scans(struct store *s)
{
    struct finding_filter f = {.triage = -1, .counts = -1, .open = -1, .limit = 1000};
    struct newest ns = {.n = 0};
    int64_t next = 0;

    f.next = &next;
    do {
        f.after = next;
        CHECK_OK(store_issues(s, &f, count_issue, &ns.lines, ERR));
    } while (next != 0);
    CHECK_OK(store_repos(s, NULL, 0, check_repo, &ns, ERR));
    f.after = 0;
    for (size_t i = 0; i < ns.n; i++) { /* of older ones decisions count as they were then */
        int64_t by[SEVERITIES] = {0};
        struct repo_scan r;
        struct line line;

        CHECK_INT(s->ops->line_find(s, ns.cursors[i], 0, &line), 0);
        if (store_repo_scan(s, line.last_num, &r, NULL) == 0) { /* else its job is gone */
            CHECK_OK(store_findings(s, line.last_num, &f, count_counting, by, ERR));
            CHECK(memcmp(by, r.counts, sizeof by) == 0);
            repo_scan_done(&r);
        }
        line_done(&line);
    }
}

static void check_always(struct world *w, struct paths *p)
{
    struct store *s = w->s[0];
    struct tallies t = {.n = 1000};
    int64_t counts[JOB_STATES];
    int64_t before;

    while (t.n == 1000) {
        t.n = 0;
        CHECK_OK(store_job_heads(
            s, &(struct job_filter){.after = t.after, .oldest_first = true, .limit = 1000}, count,
            &t, ERR));
    }
    store_job_counts(s, counts);
    CHECK(memcmp(counts, t.counts, sizeof counts) == 0);
    check_waiting(w->s[0]);
    check_waiting(w->s[1]);
    check_boards(w->s[0]);
    check_boards(w->s[1]);
    check_ready(w->s[0]);
    check_ready(w->s[1]);
    check_scans(w->s[0]);
    do {
        before = p->seen;
        CHECK_OK(store_events(s, p->seen, 1000, follow, p, ERR));
    } while (p->seen != before);
    w->checked_us = now_us;
}

/* ---- the run ---- */

static void open_sqlite(struct world *w)
{
    CHECK_OK(store_open(w->url, &w->s[0], ERR));
    store_set_hooks(w->s[0], fake_clock, NULL, NULL);
    store_set_secret(w->s[0], secret);
    /* what is compared does not depend on the disk */
    CHECK_INT(sqlite3_exec(store_sqlite(w->s[0]), "PRAGMA synchronous = OFF", NULL, NULL, NULL),
              SQLITE_OK);
}

struct lost {
    struct task v[1000];
    int n;
};

static int note_lost(void *arg, const struct task *t, struct err *e)
{
    struct lost *l = arg;

    (void)e;
    if (l->n < 1000) {
        l->v[l->n++] = *t;
    }
    return 0;
}

/* What ran when the process ended is lost. */
static void recover(struct store *s)
{
    struct lost lost = {.n = 0};

    CHECK_OK(store_task_running(s, note_lost, &lost, ERR));
    for (int i = 0; i < lost.n; i++) {
        const struct task *t = &lost.v[i];

        CHECK_OK(store_task_lost(s, &(struct lease){t->job_id, t->idx, t->epoch, t->token}, t->beat,
                                 NULL, ERR));
    }
    CHECK_OK(store_commit(s, ERR));
}

static void reopen(struct world *w, struct paths *p)
{
    for (int i = 0; i < 2; i++) {
        struct err e;

        store_commit(w->s[i], &e);
    }
    check_always(w, p);
    CHECK_OK(store_check(w->s[0], ERR));
    store_close(w->s[0]);
    open_sqlite(w);
    store_set_limits(w->s[0], &(struct store_limits){0});
    store_set_limits(w->s[1], &(struct store_limits){0});
    store_rollback(w->s[1]); /* forgets who was delivering, as reopening does */
    recover(w->s[0]);
    recover(w->s[1]);
}

static void everything(struct store *s, struct buf *out)
{
    struct job_filter f = {.oldest_first = true};
    uint8_t head[32] = {0};
    int64_t n = -1;
    struct host_sink sink = {on_host, on_port, on_host_end, out};
    int64_t counts[JOB_STATES];
    struct finding_filter every = {
        .triage = -1, .counts = -1, .open = -1, .lives = (1u << LIFES) - 1};
    struct repo_scan r = {0};
    struct err e;

    say_rc(out, store_job_list(s, &f, on_job, out, &e), &e);
    say_rc(out, store_task_running(s, on_task, out, &e), &e);
    say_rc(out, store_keys(s, on_key, out, &e), &e);
    say_rc(out, store_audit_verify(s, NULL, &n, head, &e), &e);
    buf_addf(out, "%lld %02x%02x\n", (long long)n, head[0], head[31]);
    for (int64_t num = 1; num <= s->now.next_job; num++) {
        say_rc(out, store_hosts(s, num, &(struct host_filter){0}, &sink, &e), &e);
        say_rc(out, store_tasks(s, num, -1, 0, on_task_info, out, &e), &e);
        say_rc(out, store_coverage(s, num, on_cell, out, &e), &e);
        say_rc(out, store_findings(s, num, &every, on_finding, out, &e), &e);
        if (store_repo_scan(s, num, &r, &e) == 0) {
            say_scan(out, &r);
            repo_scan_done(&r);
        }
    }
    every.lives = 0;
    say_rc(out, store_issues(s, &every, on_finding, out, &e), &e);
    say_rc(out, store_repos(s, NULL, 0, on_repo, out, &e), &e);
    store_job_counts(s, counts);
    for (int i = 0; i < JOB_STATES; i++) {
        buf_addf(out, "%lld ", (long long)counts[i]);
    }
}

static void compare(const char *what, long op, const struct buf out[2])
{
    if (out[0].len != out[1].len || memcmp(out[0].data, out[1].data, out[0].len) != 0) {
        size_t i = 0;

        while (i < out[0].len && i < out[1].len && out[0].data[i] == out[1].data[i]) {
            i++;
        }
        i = i > 200 ? i - 200 : 0;
        tap_fail(__FILE__, __LINE__,
                 "operation %ld, %s: SQLite says\n# %.900s\n# memory says\n# %.900s", op, what,
                 out[0].data ? out[0].data + MIN(i, out[0].len) : "",
                 out[1].data ? out[1].data + MIN(i, out[1].len) : "");
    }
}

static size_t pick(struct rng *r, bool crowded)
{
    uint32_t total = 0;
    uint32_t at;

    if (crowded && chance(r, 30)) {
        static const size_t ends[] = {OP_EXPIRE, OP_CLAIM,  OP_CLAIM,  OP_CLAIM,
                                      OP_FINISH, OP_FINISH, OP_FINISH, OP_FINISH,
                                      OP_MERGE,  OP_SETTLE, OP_SETTLE};

        return ends[below(r, ARRAY_LEN(ends))];
    }
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        total += ops[i].weight;
    }
    at = below(r, total);
    for (size_t i = 0;; i++) {
        if (at < ops[i].weight) {
            return i;
        }
        at -= ops[i].weight;
    }
}

static void one(struct world *w, struct rng *r, long op, struct buf out[2])
{
    int64_t counts[JOB_STATES];
    int64_t jobs = 0;
    size_t which;
    uint64_t drawn;

    store_job_counts(w->s[1], counts);
    for (int i = 0; i < JOB_STATES; i++) {
        jobs += counts[i];
    }
    which = pick(r, jobs > KEEP_JOBS);
    drawn = next(r);
    now_us += below(r, 4) ? (int64_t)below(r, 2000) : -(int64_t)below(r, 500);
    memset(&w->fresh, 0, sizeof w->fresh);
    w->made++;
    memcpy(w->fresh.b + 8, &w->made, sizeof w->made);
    for (int i = 0; i < 2; i++) {
        struct rng same = {drawn};
        struct turn t = {w, w->s[i], &same, &out[i], i == 1};

        buf_reset(&out[i]);
        ops[which].fn(&t);
        buf_addf(&out[i], " dirty=%d", store_dirty(w->s[i]));
    }
    compare(ops[which].name, op, out);
    w->done[which] += strstr(out[0].data, "-> ok") != NULL;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t v = otherwise;

    if (text) {
        CHECK(str_to_u64(text, 0, INT64_MAX, &v));
    }
    return v;
}

static void sqlite_answers_as_memory_does(void)
{
    long n = (long)setting("SCANPOD_MODEL_OPS", 120000);
    uint64_t seed = setting("SCANPOD_MODEL_SEED", (uint64_t)wall_us() % 1000000000);
    struct rng r = {seed};
    struct world w = {.url = str_fmt("sqlite:%s/model", test_dir())};
    struct paths p = {0};
    struct buf out[2] = {0};

    printf("# SCANPOD_MODEL_SEED=%llu SCANPOD_MODEL_OPS=%ld\n", (unsigned long long)seed, n);
    now_us = 1000000;
    open_sqlite(&w);
    CHECK_OK(store_open("mem:", &w.s[1], ERR));
    store_set_hooks(w.s[1], fake_clock, NULL, NULL);
    store_set_secret(w.s[1], secret);
    for (long op = 1; op <= n; op++) {
        one(&w, &r, op, out);
        if (op % 2500 == 0) {
            for (int i = 0; i < 2; i++) {
                buf_reset(&out[i]);
                everything(w.s[i], &out[i]);
            }
            compare("everything", op, out);
            reopen(&w, &p);
        } else if (op % 100 == 0) {
            check_always(&w, &p);
        }
    }
    reopen(&w, &p);
    for (size_t i = 0; n >= 10000 && i < OP_TURNS; i++) {
        printf("# %s succeeded %llu times\n", ops[i].name, (unsigned long long)w.done[i]);
        CHECK(w.done[i] > 0);
    }
    store_close(w.s[0]);
    store_close(w.s[1]);
    buf_done(&out[0]);
    buf_done(&out[1]);
    free(w.url);
    free(p.v);
}

TESTS(sqlite_answers_as_memory_does)
