/*
 * Requests with an Idempotency-Key that another request, still suspended, has too. They wait, and
 * are handled anew when the first one is over: then its job is on record, or the next one leads.
 */
#include "base/mem.h"
#include "http/api_submit.h"

struct follower {
    struct api *api;
    struct http_req *req;
    const struct key *key;
    const struct submit *leader; /* NULL: to be run again */
    http_handler again;
    struct follower *next;
};

static void unlink_follower(struct follower *f)
{
    struct follower **at = &f->api->followers;

    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
}

static void on_abort(struct http_req *r)
{
    struct follower *f = http_user(r);

    unlink_follower(f);
    free(f);
}

/* Oldest first: the list has the newest in front. */
static struct follower *next_ready(struct api *a)
{
    struct follower *found = NULL;

    for (struct follower *f = a->followers; f; f = f->next) {
        if (!f->leader) {
            found = f;
        }
    }
    return found;
}

static void on_again(struct timer *t)
{
    struct api *a = container_of(t, struct api, follow_timer);
    struct follower *f;

    while ((f = next_ready(a)) != NULL) {
        struct follower gone = *f;

        unlink_follower(f);
        free(f);
        http_on_abort(gone.req, NULL);
        http_set_user(gone.req, (void *)(uintptr_t)gone.key);
        gone.again(gone.req, a);
    }
}

bool api_follow(struct api *a, struct http_req *r, const char *idem, http_handler again)
{
    const struct submit *leader = a->submits;
    struct follower *f;

    while (leader && !(leader->key == api_key(r) && str_eq(leader->idem, idem))) {
        leader = leader->next;
    }
    if (!leader) {
        return false;
    }
    f = xcalloc(1, sizeof *f);
    *f = (struct follower){.api = a,
                           .req = r,
                           .key = api_key(r),
                           .leader = leader,
                           .again = again,
                           .next = a->followers};
    a->followers = f;
    http_set_user(r, f);
    http_on_abort(r, on_abort);
    return true;
}

void api_follow_end(struct api *a, const struct submit *leader)
{
    bool any = false;

    for (struct follower *f = a->followers; f; f = f->next) {
        if (f->leader == leader) {
            f->leader = NULL;
            any = true;
        }
    }
    if (any) {
        a->follow_timer.fn = on_again;
        timer_arm(a->loop, &a->follow_timer, 0);
    }
}

void api_followers_free(struct api *a)
{
    timer_stop(&a->follow_timer);
    while (a->followers) {
        struct follower *f = a->followers;

        a->followers = f->next;
        free(f);
    }
}
