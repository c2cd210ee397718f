#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/job.h"

enum { BAR_MAX = 28, BAR_MIN = 6, ID_SHOWN = 12 };

static void bar(struct buf *out, double percent, unsigned cells, bool color)
{
    unsigned full = (unsigned)(percent * cells / 100.0);
    auto_buf done = {0};
    auto_buf rest = {0};

    for (unsigned i = 0; i < cells; i++) {
        buf_adds(i < full ? &done : &rest, i < full ? "━" : "─");
    }
    buf_add_painted(out, color && done.len, PAINT_GREEN, done.data ? done.data : "");
    buf_add_painted(out, color && rest.len, PAINT_DIM, rest.data ? rest.data : "");
}

static void tail_text(const struct job_view *v, int64_t now_us, struct buf *tail)
{
    if (v->hosts_up || v->ports_open) {
        buf_addf(tail, "  %" PRId64 " up, %" PRId64 " open", v->hosts_up, v->ports_open);
    }
    if (v->remaining_s >= 0 && v->percent >= 0) {
        buf_adds(tail, "  ");
        buf_add_duration(tail, v->remaining_s * 1000000);
        buf_adds(tail, " left");
    } else if (v->started_us) {
        buf_adds(tail, "  ");
        buf_add_duration(tail, now_us - v->started_us);
    }
}

void progress_text(const struct job_view *v, int64_t now_us, unsigned width, bool color,
                   struct buf *out)
{
    auto_buf head = {0};
    auto_buf tail = {0};
    auto_buf stage = {0};
    const char *what = v->profile && *v->profile ? v->profile : v->tool;
    auto_free char *id = xstrndup(v->id, ID_SHOWN);
    size_t used;

    buf_add_escaped(&head, id, strlen(id));
    buf_adds(&head, "  ");
    buf_add_escaped(&head, what, strlen(what));
    buf_adds(&head, "  ");
    plan_view_stage(v, &stage);
    buf_add_escaped(&head, stage.len ? stage.data : v->state,
                    stage.len ? stage.len : strlen(v->state));
    tail_text(v, now_us, &tail);
    if (v->percent >= 0) {
        buf_addf(&head, " %3.0f%% ", v->percent);
    }
    used = text_width(head.data, head.len) + tail.len;
    buf_add(out, head.data, text_fit(head.data, head.len, width));
    if (v->percent >= 0 && used + BAR_MIN <= width) {
        bar(out, MIN(MAX(v->percent, 0.0), 100.0), (unsigned)MIN(width - used, (size_t)BAR_MAX),
            color);
    }
    if (used <= width) {
        buf_add(out, tail.data, tail.len);
    }
}

static void draw(struct progress_bar *p, const struct job_view *v)
{
    auto_buf line = {0};

    buf_adds(&line, "\r\x1b[K");
    progress_text(v, wall_us(), p->term->err_width - 1, p->term->err_color, &line);
    fwrite(line.data, 1, line.len, stderr);
    fflush(stderr);
    p->drawn = true;
}

void progress_show(struct progress_bar *p, const struct job_view *v)
{
    if (p->term->quiet) {
        return;
    }
    if (p->term->bar) {
        if (!v->terminal) {
            draw(p, v);
        }
        return;
    }
    if (strncmp(p->state, v->state, sizeof p->state - 1) != 0) {
        snprintf(p->state, sizeof p->state, "%s", v->state);
        say(p->term, "%s  %s", v->id, v->state);
    }
}

void progress_clear(struct progress_bar *p)
{
    if (p->drawn) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
        p->drawn = false;
    }
}
