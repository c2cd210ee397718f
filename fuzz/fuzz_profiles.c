/* Files of profiles: any text is refused with its place, or gives profiles that plans are made of.
 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "plan/plan.h"
#include "plan/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void plan_of(const struct profile *f)
{
    auto_targets t = {0};
    auto_tasks tasks = {0};
    auto_buf b = {0};
    struct plan *p = NULL, *again = NULL;
    struct err e = {0};
    struct plan_request q = {
        .profile = f, .slots = 2, .raw = true, .have_masscan = true, .have_zmap = true, .seed = 1};

    if (target_add(&t, "10.0.0.0/30", &e) < 0) {
        abort();
    }
    q.targets = &t;
    if (plan_make(&q, &p, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return;
    }
    plan_write(p, &b);
    if (plan_read(b.data, &again, &e) < 0 || plan_first(again, &t, &tasks, &e) < 0) {
        abort();
    }
    assert(tasks.n > 0 && tasks.n <= 4);
    plan_free(p);
    plan_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct profiles all = {0};
    struct err e = {0};

    if (profiles_parse((const char *)data, n, "f", &all, &e) < 0) {
        assert(e.code == ERR_INVALID && strncmp(e.msg, "f:", 2) == 0);
    } else {
        for (size_t i = 0; i < all.n; i++) {
            auto_buf b = {0};
            json_t *o;

            profile_json(&all.v[i], &b);
            o = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
            assert(o);
            json_decref(o);
            plan_of(&all.v[i]);
        }
    }
    for (size_t i = 0; i < all.n; i++) {
        profile_done(&all.v[i]);
    }
    free(all.v);
    return 0;
}
