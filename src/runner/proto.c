#include "runner/proto.h"

#include <string.h>

#include "base/mem.h"
#include "box/box.h"

int launch_put(struct buf *b, const struct runner_launch *l, struct err *e)
{
    const struct strvec *argv = l->argv;

    wire_u64(b, l->run);
    wire_str(b, l->parser);
    wire_u32(b, l->grace_ms);
    wire_u64(b, l->output_max);
    wire_u32(b, l->wall_ms);
    wire_u8(b, l->raw_sockets);
    wire_u32(b, l->cpu_s);
    wire_u32(b, l->mem_mb);
    wire_u32(b, l->files);
    wire_u32(b, l->procs);
    wire_u8(b, l->blob_fd >= 0);
    wire_u32(b, (uint32_t)argv->n);
    for (size_t i = 0; i < argv->n; i++) { /* tens of thousands of short words: NULs part them */
        buf_add(b, argv->v[i], strlen(argv->v[i]) + 1);
        if (b->len > CHAN_BODY_MAX) {
            return err_set(e, ERR_LIMIT, "the tool's command line is longer than %d bytes",
                           CHAN_BODY_MAX);
        }
    }
    return 0;
}

static bool get_argv(struct wire *w, struct strvec *argv)
{
    uint32_t n = wire_get_u32(w);

    for (uint32_t i = 0; i < n && !w->bad; i++) {
        const uint8_t *nul = memchr(w->p, '\0', (size_t)(w->end - w->p));

        if (!nul) {
            return false;
        }
        strvec_pushn(argv, (const char *)w->p, (size_t)(nul - w->p));
        w->p = nul + 1;
    }
    return argv->n > 0 && argv->v[0][0] == '/';
}

bool launch_get(struct wire *w, struct runner_launch *l, struct strvec *argv)
{
    *l = (struct runner_launch){.argv = argv};
    l->run = wire_get_u64(w);
    if (!wire_get_str(w, &l->parser, NULL) || !l->parser || !parser_find(l->parser)) {
        return false;
    }
    l->grace_ms = wire_get_u32(w);
    l->output_max = wire_get_u64(w);
    l->wall_ms = wire_get_u32(w);
    l->raw_sockets = wire_get_u8(w) != 0;
    l->cpu_s = wire_get_u32(w);
    l->mem_mb = wire_get_u32(w);
    l->files = wire_get_u32(w);
    l->procs = wire_get_u32(w);
    l->blob_fd = wire_get_u8(w) != 0 ? 0 : -1; /* 0: it is among the descriptors */
    return get_argv(w, argv) && wire_end(w);
}

void end_put(struct buf *b, const struct runner_end *end)
{
    uint8_t level = BOX_PIDNS;

    while (level < BOX_SUBREAPER && !str_eq(end->level, box_level_name((enum box_level)level))) {
        level++;
    }
    wire_u64(b, end->run);
    wire_u8(b, end->started);
    wire_i32(b, end->errnum);
    wire_str(b, end->step);
    wire_i32(b, end->exit_status);
    wire_i32(b, end->exit_signal);
    wire_u8(b, (uint8_t)end->cause);
    wire_str(b, end->stderr_tail);
    wire_u8(b, level);
    wire_u8(b, end->raw_sockets);
    wire_i64(b, end->cpu_us);
    wire_i64(b, end->max_rss_kb);
    wire_u8(b, end->parser_failed);
}

bool end_get(struct wire *w, struct runner_end *end)
{
    uint8_t cause, level;

    *end = (struct runner_end){.run = wire_get_u64(w)};
    end->started = wire_get_u8(w) != 0;
    end->errnum = wire_get_i32(w);
    wire_get_str(w, &end->step, NULL);
    end->exit_status = wire_get_i32(w);
    end->exit_signal = wire_get_i32(w);
    cause = wire_get_u8(w);
    wire_get_str(w, &end->stderr_tail, NULL);
    level = wire_get_u8(w);
    end->raw_sockets = wire_get_u8(w) != 0;
    end->cpu_us = wire_get_i64(w);
    end->max_rss_kb = wire_get_i64(w);
    end->parser_failed = wire_get_u8(w) != 0;
    if (!wire_end(w) || cause > RUN_PARSER || level > BOX_SUBREAPER || !end->stderr_tail ||
        strlen(end->stderr_tail) > STDERR_TAIL_MAX) {
        return false;
    }
    end->cause = (enum runner_cause)cause;
    end->level = box_level_name((enum box_level)level);
    return true;
}

static const struct parser *const parsers[] = {&parser_nmap_xml};
static const struct parser *extra;

void runner_add_parser(const struct parser *p)
{
    extra = p;
}

const struct parser *parser_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
        if (str_eq(parsers[i]->name, name)) {
            return parsers[i];
        }
    }
    return extra && str_eq(extra->name, name) ? extra : NULL;
}
