/* A store of either kind with a clock that stands, and jobs for it. */
#pragma once

#include "store/internal.h"
#include "store/store.h"
#include "tap.h"

#define WORKER "worker-1"

/* ---- a store, its clock, and jobs ---- */

static int64_t clock_us;

static inline int64_t fake_clock(void *arg)
{
    (void)arg;
    return clock_us;
}

static inline uint64_t fake_token(void *arg)
{
    static uint64_t token = 100;

    (void)arg;
    return ++token;
}

static inline void run_in(const char *kind, void (*test)(struct store *s))
{
    static int n;
    auto_free char *url =
        strcmp(kind, "mem:") == 0 ? xstrdup(kind) : str_fmt("%s%s/%d", kind, test_dir(), n++);
    struct store *s;

    clock_us = 1000;
    CHECK_OK(store_open(url, &s, ERR));
    store_set_hooks(s, fake_clock, fake_token, NULL);
    test(s);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_check(s, ERR));
    store_close(s);
}

#define BOTH(fn)                     \
    static void fn##_in_memory(void) \
    {                                \
        run_in("mem:", fn);          \
    }                                \
    static void fn##_in_sqlite(void) \
    {                                \
        run_in("sqlite:", fn);       \
    }
#define OF_BOTH(fn) fn##_in_memory, fn##_in_sqlite

static inline struct job new_job(void)
{
    struct job j;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("192.0.2.1");
    j.key_id = xstrdup("");
    j.timeout_s = INT64_MIN;
    j.run_timeout_s = 900;
    j.queue_timeout_s = 0;
    j.priority = JOB_PRIORITY_DEFAULT;
    j.max_attempts = 1;
    j.created_us = clock_us;
    return j;
}

static inline struct id add_with(struct store *s, int priority, int max_attempts)
{
    struct job j = new_job();
    struct id id = j.id;

    j.priority = priority;
    j.max_attempts = max_attempts;
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    return id;
}

static inline struct id add(struct store *s)
{
    return add_with(s, JOB_PRIORITY_DEFAULT, 1);
}

static inline struct job get(struct store *s, const struct id *id)
{
    struct job j = {0};

    CHECK_OK(store_job_get(s, id, &j, ERR));
    return j;
}

static inline enum job_state state_of(struct store *s, const struct id *id)
{
    struct job j = get(s, id);
    enum job_state st = j.state;

    job_done(&j);
    return st;
}

static inline int64_t num_of(struct store *s, const struct id *id)
{
    struct job j = get(s, id);
    int64_t num = j.num;

    job_done(&j);
    return num;
}

static inline struct lease lease_of(const struct task *t)
{
    return (struct lease){.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
}

static inline struct lease claim(struct store *s)
{
    struct task t;
    struct job j = {0};
    bool got = false;

    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    CHECK(got);
    job_done(&j);
    return lease_of(&t);
}
