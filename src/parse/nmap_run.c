/*
 * The run record: what a document says beside its hosts, as one JSON object, and the progress that
 * nmap reports while it works. Several documents: the first one's members, and `more_documents`
 * with the others.
 */
#include <string.h>

#include "base/json.h"
#include "parse/nmap.h"

static const char *keep(struct nmap *p, const char *s)
{
    return s ? arena_strn(p->names, s, strlen(s)) : NULL;
}

static void nmaprun_start(struct nmap *p, const char **atts)
{
    const char *start = nmap_att(atts, "start");

    p->run.root = true;
    nmap_object(&p->run.attrs, atts, NULL);
    if (p->first.len == 0) {
        p->info.scanner = keep(p, nmap_att(atts, "scanner"));
        p->info.version = keep(p, nmap_att(atts, "version"));
        p->info.args = keep(p, nmap_att(atts, "args"));
        if (start) {
            nmap_number(start, &p->info.start_s);
        }
    }
}

static void add_object(struct buf *b, const char **atts)
{
    nmap_comma(b);
    nmap_object(b, atts, NULL);
    buf_addc(b, '}');
}

static void scaninfo_start(struct nmap *p, const char **atts)
{
    add_object(&p->run.scaninfo, atts);
}

static void target_start(struct nmap *p, const char **atts)
{
    add_object(&p->run.targets, atts);
}

static void verbose_start(struct nmap *p, const char **atts)
{
    const char *level = nmap_att(atts, "level");

    if (level) {
        nmap_number(level, &p->run.verbose);
    }
}

static void debugging_start(struct nmap *p, const char **atts)
{
    const char *level = nmap_att(atts, "level");

    if (level) {
        nmap_number(level, &p->run.debugging);
    }
}

static void hosthint_start(struct nmap *p, const char **atts)
{
    (void)atts;
    p->run.hosthints++;
}

static void finished_start(struct nmap *p, const char **atts)
{
    const char *how = nmap_att(atts, "exit");
    const char *why = nmap_att(atts, "errormsg");

    if (p->run.finished.len) {
        return;
    }
    add_object(&p->run.finished, atts);
    /* Of several documents the one that failed is the one to know about. */
    if (how && !(p->info.exit && strcmp(p->info.exit, "error") == 0)) {
        p->info.exit = keep(p, how);
    }
    if (why && !p->info.errormsg) {
        p->info.errormsg = keep(p, why);
    }
}

static void hosts_start(struct nmap *p, const char **atts)
{
    if (!p->run.hosts.len) {
        add_object(&p->run.hosts, atts);
    }
}

/* --- progress --- */

/* "12.34" in hundredths, at most 100.00; -1 if it is no such number. */
static int32_t percent_x100(const char *s)
{
    int32_t v = 0;
    int decimals = -1;

    if (!s || !*s) {
        return -1;
    }
    for (; *s && decimals < 2; s++) {
        if (*s == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*s < '0' || *s > '9' || v > 10000) {
            return -1;
        }
        v = v * 10 + (*s - '0');
        decimals += decimals >= 0;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 2; decimals++) {
        v *= 10;
    }
    return v > 10000 ? 10000 : v;
}

static void tell(struct nmap *p, const char **atts, int32_t percent, const char *remaining)
{
    struct progress now = {
        .task = nmap_att(atts, "task"),
        .percent_x100 = percent,
        .remaining_s = -1,
    };
    int64_t left;
    int rc;

    if (!p->sink->progress) {
        return;
    }
    if (remaining && nmap_number(remaining, &left) && left <= INT32_MAX) {
        now.remaining_s = (int32_t)left;
    }
    rc = p->sink->progress(p->sink->arg, &now, &p->err);
    if (rc) {
        nmap_sink_failed(p, rc);
    }
}

static void taskbegin_start(struct nmap *p, const char **atts)
{
    p->run.tasks_begun++;
    tell(p, atts, 0, NULL);
}

static void taskprogress_start(struct nmap *p, const char **atts)
{
    p->run.tasks_progress++;
    tell(p, atts, percent_x100(nmap_att(atts, "percent")), nmap_att(atts, "remaining"));
}

static void taskend_start(struct nmap *p, const char **atts)
{
    p->run.tasks_ended++;
    tell(p, atts, 10000, NULL);
}

/* --- the record --- */

static const char *text_of(const struct buf *b)
{
    return b->len ? b->data : NULL;
}

static void add_list(struct json *j, const char *name, const struct buf *b)
{
    json_arr_in(j, name);
    buf_add(j->b, b->data, b->len);
    json_end(j);
}

static void add_level(struct json *j, const char *name, int64_t level)
{
    if (level < 0) {
        json_nil(j, name);
    } else {
        json_int(j, name, level);
    }
}

static void write_record(const struct nmap_run *r, struct buf *b)
{
    struct json j = json_to(b);

    json_obj(&j);
    json_raw(&j, "run", text_of(&r->attrs));
    add_list(&j, "scaninfo", &r->scaninfo);
    add_level(&j, "verbose", r->verbose);
    add_level(&j, "debugging", r->debugging);
    json_int(&j, "hosthints", (int64_t)r->hosthints);
    add_list(&j, "targets", &r->targets);
    json_obj_in(&j, "tasks");
    json_int(&j, "begin", (int64_t)r->tasks_begun);
    json_int(&j, "progress", (int64_t)r->tasks_progress);
    json_int(&j, "end", (int64_t)r->tasks_ended);
    json_end(&j);
    add_list(&j, "prescripts", &r->pre);
    add_list(&j, "postscripts", &r->post);
    if (r->finished.len || r->hosts.len) {
        json_obj_in(&j, "runstats");
        json_raw(&j, "finished", text_of(&r->finished));
        json_raw(&j, "hosts", text_of(&r->hosts));
        json_end(&j);
    } else {
        json_nil(&j, "runstats");
    }
    json_end(&j);
}

void nmap_run_close(struct nmap *p)
{
    struct nmap_run *r = &p->run;

    nmap_script_drop(p);
    p->no_runstats = p->no_runstats || !(r->finished.len || r->hosts.len);
    if (r->attrs.len) {
        buf_addc(&r->attrs, '}');
    }
    if (p->first.len == 0) {
        write_record(r, &p->first);
    } else {
        nmap_comma(&p->later);
        write_record(r, &p->later);
    }
    buf_reset(&r->attrs);
    buf_reset(&r->scaninfo);
    buf_reset(&r->targets);
    buf_reset(&r->pre);
    buf_reset(&r->post);
    buf_reset(&r->finished);
    buf_reset(&r->hosts);
    r->root = false;
    r->hosthints = r->tasks_begun = r->tasks_ended = r->tasks_progress = 0;
    r->verbose = r->debugging = -1;
}

void nmap_run_free(struct nmap *p)
{
    struct nmap_run *r = &p->run;

    buf_done(&r->attrs);
    buf_done(&r->scaninfo);
    buf_done(&r->targets);
    buf_done(&r->pre);
    buf_done(&r->post);
    buf_done(&r->finished);
    buf_done(&r->hosts);
    buf_done(&p->first);
    buf_done(&p->later);
    arena_free(p->names);
}

size_t nmap_run_size(const struct nmap *p)
{
    const struct nmap_run *r = &p->run;

    return r->attrs.len + r->scaninfo.len + r->targets.len + r->pre.len + r->post.len +
           r->finished.len + r->hosts.len + p->first.len + p->later.len;
}

const struct nmap_element nmap_run_elements[] = {
    {"nmaprun", E_NMAPRUN, IN(E_NONE), nmaprun_start, NULL},
    {"scaninfo", E_LEAF, IN(E_NMAPRUN), scaninfo_start, NULL},
    {"verbose", E_LEAF, IN(E_NMAPRUN), verbose_start, NULL},
    {"debugging", E_LEAF, IN(E_NMAPRUN), debugging_start, NULL},
    {"target", E_LEAF, IN(E_NMAPRUN), target_start, NULL},
    {"taskbegin", E_LEAF, IN(E_NMAPRUN), taskbegin_start, NULL},
    {"taskprogress", E_LEAF, IN(E_NMAPRUN), taskprogress_start, NULL},
    {"taskend", E_LEAF, IN(E_NMAPRUN), taskend_start, NULL},
    {"hosthint", E_LEAF, IN(E_NMAPRUN), hosthint_start, NULL},
    {"prescript", E_PRESCRIPT, IN(E_NMAPRUN), NULL, NULL},
    {"postscript", E_POSTSCRIPT, IN(E_NMAPRUN), NULL, NULL},
    {"runstats", E_RUNSTATS, IN(E_NMAPRUN), NULL, NULL},
    {"finished", E_LEAF, IN(E_RUNSTATS), finished_start, NULL},
    {"hosts", E_LEAF, IN(E_RUNSTATS), hosts_start, NULL},
    {0},
};
