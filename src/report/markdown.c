/* A report to paste into an issue or a wiki: all text of scanners stands in code spans or blocks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/formats.h"

struct markdown {
    const struct job *job;
    struct buf *out;
    struct buf tail; /* of the host at hand: output of scripts */
    struct buf scratch;
    bool in_ports;
    int32_t of_port; /* whose scripts are written; -1: the host's */
    uint64_t hosts, up, open;
};

static void *markdown_new(const struct job *j, struct buf *out)
{
    struct markdown *w = xcalloc(1, sizeof *w);

    w->job = j;
    w->out = out;
    return w;
}

static void markdown_done(void *arg)
{
    struct markdown *w = arg;

    buf_done(&w->tail);
    buf_done(&w->scratch);
    free(w);
}

static int markdown_begin(void *arg, struct err *e)
{
    struct markdown *w = arg;
    auto_strvec rows = {0};
    auto_strvec notes = {0};

    (void)e;
    facts_job(w->job, &rows);
    facts_notes(w->job, &notes);
    buf_adds(w->out, "# Scan report\n\n");
    for (size_t i = 0; i + 1 < rows.n; i += 2) {
        buf_addf(w->out, "- %s: ", rows.v[i]);
        markdown_add(w->out, rows.v[i + 1]);
        buf_addc(w->out, '\n');
    }
    for (size_t i = 0; i < notes.n; i++) {
        buf_adds(w->out, i ? "- " : "\n## Notes\n\n- ");
        markdown_add(w->out, notes.v[i]);
        buf_addc(w->out, '\n');
    }
    return 0;
}

static void item(struct buf *b, const char *label, const char *value)
{
    if (value && *value) {
        buf_addf(b, "- %s: ", label);
        markdown_add(b, value);
        buf_addc(b, '\n');
    }
}

static void add_script(void *arg, const char *id, const char *output, size_t n)
{
    struct markdown *w = arg;

    buf_adds(&w->tail, w->of_port < 0 ? "\nScript " : "\nPort ");
    if (w->of_port >= 0) {
        buf_addf(&w->tail, "%" PRId32 ", script ", w->of_port);
    }
    markdown_add(&w->tail, id);
    buf_adds(&w->tail, ":\n\n");
    markdown_add_lines(&w->tail, output, n);
}

static int markdown_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct markdown *w = arg;
    struct buf *b = w->out;
    const char *address = host_address(h);

    (void)seq;
    (void)e;
    w->hosts++;
    w->up += str_eq(h->state, "up");
    w->in_ports = false;
    w->of_port = -1;
    buf_reset(&w->tail);
    buf_adds(b, "\n## Host ");
    markdown_add(b, address ? address : "without an address");
    buf_adds(b, "\n\n");
    facts_host(h, item, b, &w->scratch);
    if (h->scripts) {
        facts_scripts(h->scripts, add_script, w);
    }
    return 0;
}

static int markdown_port(void *arg, const struct port *p, struct err *e)
{
    struct markdown *w = arg;
    struct buf *b = w->out;

    (void)e;
    w->open += str_eq(p->state, "open");
    if (!w->in_ports) {
        buf_adds(b, "\n| Port | State | Service | Version |\n| ---: | --- | --- | --- |\n");
        w->in_ports = true;
    }
    buf_adds(b, "| ");
    buf_reset(&w->scratch);
    buf_addf(&w->scratch, "%u/%s", p->number, p->protocol ? p->protocol : "");
    markdown_add(b, w->scratch.data);
    buf_adds(b, " | ");
    markdown_add(b, p->state);
    buf_adds(b, " | ");
    buf_reset(&w->scratch);
    facts_service(p, &w->scratch);
    markdown_add(b, w->scratch.len ? w->scratch.data : NULL);
    buf_adds(b, " | ");
    buf_reset(&w->scratch);
    facts_version(p, &w->scratch);
    markdown_add(b, w->scratch.len ? w->scratch.data : NULL);
    buf_adds(b, " |\n");
    if (p->scripts || p->more) {
        w->of_port = p->number;
        facts_scripts(p->scripts, add_script, w);
        buf_reset(&w->scratch);
        if (facts_banner(p, &w->scratch)) {
            add_script(w, "banner", w->scratch.data, w->scratch.len);
        }
        w->of_port = -1;
    }
    return 0;
}

static int markdown_host_end(void *arg, struct err *e)
{
    struct markdown *w = arg;

    (void)e;
    buf_add(w->out, w->tail.data, w->tail.len);
    return 0;
}

static int markdown_end(void *arg, struct err *e)
{
    struct markdown *w = arg;

    (void)e;
    buf_addf(w->out,
             "\n## Summary\n\n%" PRIu64 " hosts, %" PRIu64 " of them up, %" PRIu64 " open ports.\n",
             w->hosts, w->up, w->open);
    return 0;
}

const struct report_format report_markdown = {
    .name = "markdown",
    .media_type = "text/markdown; charset=utf-8",
    .suffix = ".md",
    .help = "tables to paste into an issue or a wiki",
    .new = markdown_new,
    .begin = markdown_begin,
    .sink = {.host = markdown_host, .port = markdown_port, .host_end = markdown_host_end},
    .end = markdown_end,
    .done = markdown_done,
};
