/* Profiles: the built-in ones, finding and showing them. */
#include "plan/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "plan/pace.h"

enum { FILE_MAX = 1 << 20 };

#define HOSTS               \
    {                       \
        .kind = STAGE_HOSTS \
    }
#define SERVICES               \
    {                          \
        .kind = STAGE_SERVICES \
    }
#define VERIFY               \
    {                        \
        .kind = STAGE_VERIFY \
    }

const struct profile profiles_builtin[] = {
    {
        .name = "quick",
        .summary = "which hosts are up, and which of the 100 most popular TCP ports are open",
        .version = 1,
        .builtin = true,
        .stages = {HOSTS,
                   {.kind = STAGE_PORTS, .ports = "top:100", .rate = PACE_PORTS_RATE},
                   VERIFY},
        .n_stages = 3,
    },
    {
        .name = "standard",
        .summary = "hosts, the 1000 most popular TCP ports, services on the open ones",
        .version = 1,
        .builtin = true,
        .stages = {HOSTS,
                   {.kind = STAGE_PORTS, .ports = "top:1000", .rate = PACE_PORTS_RATE},
                   SERVICES},
        .n_stages = 3,
    },
    {
        .name = "full",
        .summary = "hosts, all 65,535 TCP ports, services on the open ones",
        .version = 1,
        .builtin = true,
        .stages = {HOSTS,
                   {.kind = STAGE_PORTS, .ports = "1-65535", .rate = PACE_PORTS_RATE},
                   SERVICES},
        .n_stages = 3,
    },
    {
        .name = "sweep",
        .summary = "a few ports over large ranges, without looking for hosts first; ports must be "
                   "given",
        .version = 1,
        .builtin = true,
        .stages = {{.kind = STAGE_PORTS, .rate = PACE_SWEEP_RATE}, VERIFY},
        .n_stages = 2,
    },
    {
        .name = "udp",
        .summary = "hosts, the 100 most popular UDP ports, services on the open ones",
        .version = 1,
        .builtin = true,
        .stages = {HOSTS,
                   {.kind = STAGE_PORTS, .ports = "top:100", .arguments = "-sU -T4"},
                   SERVICES},
        .n_stages = 3,
    },
    {
        .name = "ping",
        .summary = "which hosts are up",
        .version = 1,
        .builtin = true,
        .stages = {HOSTS},
        .n_stages = 1,
    },
};
const size_t profiles_builtin_n = ARRAY_LEN(profiles_builtin);

static void drop(const char *s)
{
    free((char *)(uintptr_t)s);
}

void profile_done(struct profile *p)
{
    for (size_t i = 0; i < PLAN_STAGES_MAX; i++) {
        drop(p->stages[i].tool);
        drop(p->stages[i].ports);
        drop(p->stages[i].arguments);
    }
    drop(p->name);
    drop(p->summary);
    *p = (struct profile){0};
}

void profiles_free(struct profiles *p)
{
    for (size_t i = 0; p && i < p->n; i++) {
        if (!p->v[i].builtin) {
            profile_done(&p->v[i]);
        }
    }
    if (p) {
        free(p->v);
        free(p);
    }
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return err_errno(e, "open profiles '%s'", path);
    }
    out->cap = FILE_MAX + 1;
    for (;;) {
        char *at = buf_space(out, 4096);
        ssize_t n = at ? read(fd, at, 4096) : 0;

        if (!at || out->len > FILE_MAX) {
            return err_set(e, ERR_INVALID, "profiles '%s' are larger than 1 MiB", path);
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_errno(e, "read profiles '%s'", path);
        }
        if (n == 0) {
            return 0;
        }
        out->len += (size_t)n;
    }
}

int profiles_load(const char *path, struct profiles **out, struct err *e)
{
    struct profiles *p = xcalloc(1, sizeof *p);
    auto_buf text = {0};
    int rc = 0;

    p->v = xcalloc(profiles_builtin_n, sizeof *p->v);
    for (; p->n < profiles_builtin_n; p->n++) {
        p->v[p->n] = profiles_builtin[p->n];
    }
    if (path) {
        rc = read_file(path, &text, e);
        if (rc == 0) {
            rc = profiles_parse(text.data ? text.data : "", text.len, path, p, e);
        }
    }
    if (rc < 0) {
        profiles_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

const struct profile *profiles_at(const struct profiles *p, size_t i)
{
    return i < p->n ? &p->v[i] : NULL;
}

const struct profile *profiles_find(const struct profiles *p, const char *name, struct err *e)
{
    size_t len = strcspn(name, "@");
    auto_buf all = {0}, shown = {0};

    for (size_t i = 0; i < p->n; i++) {
        const struct profile *f = &p->v[i];
        uint64_t version;

        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0) {
            if (!name[len] ||
                (str_to_u64(name + len + 1, 1, UINT32_MAX, &version) && version == f->version)) {
                return f;
            }
            buf_add_escaped(&shown, name, strnlen(name, 80));
            err_set(e, ERR_INVALID, "profile '%s' is not there: the version of '%s' is %u",
                    shown.data, f->name, f->version);
            return NULL;
        }
        buf_addf(&all, "%s%s", i ? ", " : "", f->name);
    }
    buf_add_escaped(&shown, name, strnlen(name, 80));
    err_set(e, ERR_INVALID, "there is no profile '%s': one of %s", shown.len ? shown.data : "",
            all.data);
    return NULL;
}

void profile_json(const struct profile *p, struct buf *out)
{
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "name", p->name);
    json_int(&j, "version", p->version);
    json_str(&j, "summary", p->summary);
    json_bool(&j, "builtin", p->builtin);
    json_int(&j, "service_seconds", p->service_s ? p->service_s : PACE_SERVICE_SECONDS);
    json_arr_in(&j, "stages");
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct profile_stage *s = &p->stages[i];

        json_obj(&j);
        json_str(&j, "find", stage_kind_name(s->kind));
        json_str(&j, "tool", s->tool);
        json_str(&j, "ports", s->ports);
        json_str(&j, "arguments", s->arguments);
        json_int(&j, "rate", s->rate);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
}
