/*
 * One self-contained file: no scripts, nothing loaded from elsewhere (its own policy forbids it),
 * light or dark as the reader's system is. Hosts are written as they come; the charts need all of
 * them and so stand behind, with a link to them at the top.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/formats.h"
#include "report/html_chart.h"

enum { OF_TCP, OF_UDP, OF_OTHER, PROTOCOLS };
enum { STATE_UP, STATE_DOWN, STATE_TIMED_OUT, STATE_OTHER, STATES };

struct html {
    const struct job *job;
    struct buf *out;
    struct buf tail; /* of the host at hand: output of its own scripts */
    struct buf scratch;
    bool in_ports;
    uint64_t hosts, open, states[STATES];
    uint32_t *counts[PROTOCOLS]; /* open, by port; owned, NULL until one is seen */
    struct chart_names *services;
};

static const char style[] =
    ":root{color-scheme:light dark;--b:#fff;--t:#1b1f24;--m:#57606a;--l:#d0d7de;--a:#0b5cad;"
    "--h:#f6f8fa}\n"
    "@media(prefers-color-scheme:dark){:root{--b:#0d1117;--t:#e6edf3;--m:#9aa4af;--l:#30363d;"
    "--a:#6cb2ff;--h:#161b22}}\n"
    "body{margin:0 auto;max-width:70rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;"
    "background:var(--b);color:var(--t)}\n"
    "a{color:var(--a)}\n"
    "h1,h2,h3{line-height:1.25;overflow-wrap:anywhere}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.5rem 0}\n"
    "dt{color:var(--m)}dd{margin:0;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}\n"
    "caption{text-align:left;color:var(--m)}\n"
    "th,td{border-bottom:1px solid var(--l);padding:.25rem .5rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "thead th{background:var(--h)}\n"
    "pre{background:var(--h);padding:.5rem;overflow:auto;max-height:30rem;margin:.25rem 0}\n"
    ".host{border-top:1px solid var(--l);content-visibility:auto;contain-intrinsic-size:auto "
    "20rem}\n"
    "svg{max-width:100%;height:auto}svg text{fill:var(--t);font-size:14px}"
    "svg .l{text-anchor:end}svg rect{fill:var(--a)}\n"
    "@media print{.host{content-visibility:visible}pre{max-height:none}}\n";

static void *html_new(const struct job *j, struct buf *out)
{
    struct html *w = xcalloc(1, sizeof *w);

    w->job = j;
    w->out = out;
    w->services = chart_names_new();
    return w;
}

static void html_done(void *arg)
{
    struct html *w = arg;

    for (size_t i = 0; i < PROTOCOLS; i++) {
        free(w->counts[i]);
    }
    chart_names_free(w->services);
    buf_done(&w->tail);
    buf_done(&w->scratch);
    free(w);
}

static void add_job(struct html *w)
{
    auto_strvec rows = {0};
    auto_strvec notes = {0};

    facts_job(w->job, &rows);
    facts_notes(w->job, &notes);
    buf_adds(w->out, "<dl>\n");
    for (size_t i = 0; i + 1 < rows.n; i += 2) {
        buf_addf(w->out, "<dt>%s</dt><dd>", rows.v[i]);
        html_add(w->out, rows.v[i + 1]);
        buf_adds(w->out, "</dd>\n");
    }
    buf_adds(w->out, "</dl>\n");
    for (size_t i = 0; i < notes.n; i++) {
        buf_adds(w->out, i ? "<li>" : "<h2>Notes</h2>\n<ul>\n<li>");
        html_add(w->out, notes.v[i]);
        buf_adds(w->out, i + 1 < notes.n ? "</li>\n" : "</li>\n</ul>\n");
    }
}

static int html_begin(void *arg, struct err *e)
{
    struct html *w = arg;

    (void)e;
    buf_adds(w->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"referrer\" content=\"no-referrer\">\n<title>Scan of ");
    html_add(w->out, w->job->targets);
    buf_adds(w->out, "</title>\n<style>\n");
    buf_adds(w->out, style);
    buf_adds(w->out, "</style>\n</head>\n<body>\n<header>\n<h1>Scan report</h1>\n");
    add_job(w);
    buf_adds(w->out, "<nav aria-label=\"Parts\"><a href=\"#hosts\">Hosts</a> &middot; "
                     "<a href=\"#summary\">Summary and charts</a></nav>\n</header>\n<main>\n"
                     "<h2 id=\"hosts\">Hosts</h2>\n");
    return 0;
}

static void item(struct buf *b, const char *label, const char *value)
{
    if (value && *value) {
        buf_addf(b, "<dt>%s</dt><dd>", label);
        html_add(b, value);
        buf_adds(b, "</dd>\n");
    }
}

static void add_script(void *arg, const char *id, const char *output, size_t n)
{
    struct buf *b = arg;

    buf_adds(b, "<details><summary>");
    html_add(b, id);
    buf_adds(b, "</summary><pre>");
    html_add_lines(b, output, n);
    buf_adds(b, "</pre></details>\n");
}

static int html_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct html *w = arg;
    struct buf *b = w->out;
    const char *address = host_address(h);

    (void)seq;
    (void)e;
    w->hosts++;
    w->states[h->timed_out               ? STATE_TIMED_OUT
              : str_eq(h->state, "up")   ? STATE_UP
              : str_eq(h->state, "down") ? STATE_DOWN
                                         : STATE_OTHER]++;
    w->in_ports = false;
    buf_reset(&w->tail);
    buf_adds(b, "<section class=\"host\">\n<h3>");
    html_add(b, address ? address : "Host without an address");
    buf_adds(b, "</h3>\n<dl>\n");
    facts_host(h, item, b, &w->scratch);
    buf_adds(b, "</dl>\n");
    facts_scripts(h->scripts, add_script, &w->tail);
    return 0;
}

static void count_port(struct html *w, const struct port *p)
{
    int of = str_eq(p->protocol, "tcp") ? OF_TCP : str_eq(p->protocol, "udp") ? OF_UDP : OF_OTHER;

    if (!str_eq(p->state, "open")) {
        return;
    }
    w->open++;
    if (!w->counts[of]) {
        w->counts[of] = xcalloc(UINT16_MAX + 1, sizeof *w->counts[of]);
    }
    w->counts[of][p->number]++;
    if (p->service && *p->service) {
        chart_names_count(w->services, p->service);
    }
}

static void open_table(struct html *w)
{
    buf_adds(w->out, "<table><caption>Ports</caption>\n<thead><tr><th scope=\"col\">Port</th>"
                     "<th scope=\"col\">State</th><th scope=\"col\">Service</th>"
                     "<th scope=\"col\">Version</th></tr></thead>\n<tbody>\n");
    w->in_ports = true;
}

static int html_port(void *arg, const struct port *p, struct err *e)
{
    struct html *w = arg;
    struct buf *b = w->out;

    (void)e;
    count_port(w, p);
    if (!w->in_ports) {
        open_table(w);
    }
    buf_adds(b, "<tr><th scope=\"row\">");
    buf_addu(b, p->number);
    buf_addc(b, '/');
    html_add(b, p->protocol);
    buf_adds(b, "</th><td>");
    html_add(b, p->state);
    buf_adds(b, "</td><td>");
    if (p->tunnel && p->service) {
        html_add(b, p->tunnel);
        buf_addc(b, '/');
    }
    html_add(b, p->service);
    buf_adds(b, "</td><td>");
    if (p->product || p->version || p->extrainfo) {
        buf_reset(&w->scratch);
        facts_version(p, &w->scratch);
        html_add(b, w->scratch.data);
    }
    if (p->scripts || p->more) {
        facts_scripts(p->scripts, add_script, b);
        buf_reset(&w->scratch);
        if (facts_banner(p, &w->scratch)) {
            add_script(b, "banner", w->scratch.data, w->scratch.len);
        }
    }
    buf_adds(b, "</td></tr>\n");
    return 0;
}

static int html_host_end(void *arg, struct err *e)
{
    struct html *w = arg;

    (void)e;
    buf_adds(w->out, w->in_ports ? "</tbody></table>\n" : "");
    buf_add(w->out, w->tail.data, w->tail.len);
    buf_adds(w->out, "</section>\n");
    return 0;
}

static size_t state_bars(const struct html *w, struct chart_bar *bars)
{
    static const char *const names[STATES] = {"up", "down", "timed out", "unknown"};
    size_t n = 0;

    for (size_t i = 0; i < STATES; i++) {
        if (w->states[i]) {
            memcpy(bars[n].label, names[i], strlen(names[i]) + 1);
            bars[n++].n = w->states[i];
        }
    }
    return n;
}

static int html_end(void *arg, struct err *e)
{
    static const char *const protocols[PROTOCOLS] = {"tcp", "udp", "other"};
    struct html *w = arg;
    struct chart_bar bars[CHART_BARS] = {0};
    size_t n;

    (void)e;
    buf_adds(w->out, w->hosts ? "" : "<p>None.</p>\n");
    buf_addf(w->out,
             "<section aria-labelledby=\"summary\"><h2 id=\"summary\">Summary</h2>\n<p>%" PRIu64
             " hosts, %" PRIu64 " open ports.</p>\n",
             w->hosts, w->open);
    n = state_bars(w, bars);
    chart_draw(w->out, "chart-hosts", "Hosts by state", "State", bars, n);
    n = 0;
    for (size_t i = 0; i < PROTOCOLS; i++) {
        struct chart_bar some[CHART_BARS] = {0};

        if (w->counts[i]) {
            n = chart_join(bars, n, some, chart_ports_top(w->counts[i], protocols[i], some));
        }
    }
    chart_draw(w->out, "chart-ports", "Most frequent open ports", "Port", bars, n);
    n = chart_names_top(w->services, bars);
    chart_draw(w->out, "chart-services", "Most frequent services", "Service", bars, n);
    buf_adds(w->out, "</section>\n</main>\n</body>\n</html>\n");
    return 0;
}

const struct report_format report_html = {
    .name = "html",
    .media_type = "text/html; charset=utf-8",
    .suffix = ".html",
    .help = "one page with tables and charts, without scripts",
    .new = html_new,
    .begin = html_begin,
    .sink = {.host = html_host, .port = html_port, .host_end = html_host_end},
    .end = html_end,
    .done = html_done,
};
