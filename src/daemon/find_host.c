#include "daemon/find_host.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/resolver.h"

struct find {
    struct target_set names;
    void (*found)(void *arg, const char *address);
    void *arg;
};

static void on_pinned(void *arg, int code, const char *why)
{
    struct find *f = arg;
    const struct target_pin *p = f->names.pins;
    char text[NET_TEXT];

    (void)why;
    if (code == 0 && f->names.n_pins == 1 && p->n > 0) {
        net_ip_text(&p->ip[0], text);
        f->found(f->arg, text);
    } else {
        f->found(f->arg, NULL);
    }
    target_set_done(&f->names);
    free(f);
}

void find_host(void *arg, const char *host, void (*found)(void *found_arg, const char *address),
               void *found_arg)
{
    struct find *f = xcalloc(1, sizeof *f);

    f->found = found;
    f->arg = found_arg;
    if (target_add(&f->names, host, NULL) != 0 || f->names.n_pins != 1 ||
        !resolver_pin(arg, &f->names, on_pinned, f)) {
        on_pinned(f, ERR_INVALID, NULL);
    }
}
