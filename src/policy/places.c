#include "policy/policy.h"

static const struct net_range loopbacks[] = {
    {{.lo = 0x7f000000}, {.lo = 0x7fffffff}},
    {{.v6 = true, .lo = 1}, {.v6 = true, .lo = 1}},
};

void egress_places(struct egress_need *need, const struct netset *all, const struct netset *own)
{
    auto_netset here = {0};
    auto_netset there = {0};

    if (own) {
        netset_add_set(&here, own);
    }
    for (size_t i = 0; i < sizeof loopbacks / sizeof loopbacks[0]; i++) {
        netset_add(&here, &loopbacks[i]);
    }
    netset_add_set(&there, all);
    netset_remove_set(&there, &here);
    need->elsewhere = there.n > 0;
    need->v4 = need->v6 = need->own = false;
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].first.v6) {
            need->v6 = true;
        } else {
            need->v4 = true;
        }
        need->own = need->own || netset_meets(&here, &all->v[i], NULL);
    }
}
