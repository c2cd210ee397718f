#include "report/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

json_t *facts_json(const char *text)
{
    return text && *text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
}

const char *facts_text(const json_t *v, char number[FACTS_NUMBER])
{
    if (json_is_string(v)) {
        return json_string_value(v);
    }
    if (json_is_integer(v)) {
        snprintf(number, FACTS_NUMBER, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return number;
    }
    if (json_is_real(v)) {
        snprintf(number, FACTS_NUMBER, "%.15g", json_real_value(v));
        return number;
    }
    return NULL;
}

void facts_time(int64_t s, char out[FACTS_TIME])
{
    time_t t = (time_t)s;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(out, FACTS_TIME, "%a %b %e %H:%M:%S %Y", &tm)) {
        out[0] = '\0';
    }
}

/* ---- the job ---- */

static void row(struct strvec *rows, const char *label, const char *value)
{
    if (value && *value) {
        strvec_push(rows, label);
        strvec_push(rows, value);
    }
}

static void row_time(struct strvec *rows, const char *label, int64_t us)
{
    char text[RFC3339_LEN + 1];

    if (us > 0) {
        rfc3339_us(us, text);
        row(rows, label, text);
    }
}

void facts_command(const struct job *j, struct buf *out)
{
    if (j->command_line && !j->plan) {
        buf_adds(out, j->command_line);
        return;
    }
    if (j->import_path) {
        buf_addf(out, "scanpod import --format %s %s", j->tool, j->targets);
        return;
    }
    buf_adds(out, "scanpod scan");
    if (j->profile) {
        buf_addf(out, " --profile %s", j->profile);
    } else if (j->tool) {
        buf_addf(out, " --tool %s", j->tool);
    }
    if (j->ports) {
        buf_addf(out, " -p %s", j->ports);
    }
    if (j->targets) {
        buf_addf(out, " %s", j->targets);
    }
}

static void add_coverage(const struct job *j, struct strvec *rows)
{
    json_t *summary = facts_json(j->summary_json);
    const json_t *coverage = json_object_get(summary, "coverage");

    row(rows, "Coverage", json_string_value(json_object_get(coverage, "text")));
    json_decref(summary);
}

void facts_job(const struct job *j, struct strvec *rows)
{
    auto_buf command = {0};
    auto_free char *tool = NULL;
    auto_free char *counts = NULL;

    if (j->profile) {
        tool = str_fmt("profile %s", j->profile);
    } else if (j->tool) {
        tool = str_fmt("%s%s%s", j->tool, j->tool_version ? " " : "",
                       j->tool_version ? j->tool_version : "");
    }
    facts_command(j, &command);
    counts = str_fmt("%" PRId64 " (%" PRId64 " up), open ports: %" PRId64, j->hosts, j->hosts_up,
                     j->ports_open);
    row(rows, "Targets", j->targets);
    row(rows, "Tool", tool);
    row(rows, "Command", command.data);
    row(rows, "State", job_state_name(j->state));
    row(rows, "Error", j->error);
    row(rows, "Complete", j->partial ? "no: not all of the targets was covered" : NULL);
    if (!j->import_path) { /* what was asked of a tool that ran elsewhere is not known */
        add_coverage(j, rows);
    }
    row_time(rows, "Started", j->started_us);
    row_time(rows, "Ended", j->completed_us);
    row(rows, "Hosts", counts);
}

void facts_notes(const struct job *j, struct strvec *notes)
{
    json_t *summary = facts_json(j->summary_json);
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(summary, "notes"), i, v)
    {
        if (json_is_string(v)) {
            strvec_push(notes, json_string_value(v));
        }
    }
    json_array_foreach(json_object_get(summary, "flagged"), i, v)
    {
        const char *address = json_string_value(json_object_get(v, "address"));

        if (address) {
            strvec_pushf(notes, "%.64s: open everywhere (%" PRId64 " of %" PRId64 " ports)",
                         address, (int64_t)json_integer_value(json_object_get(v, "open")),
                         (int64_t)json_integer_value(json_object_get(v, "probed")));
        }
    }
    json_decref(summary);
}

/* ---- hosts and ports ---- */

const struct host_addr *facts_mac(const struct host *h)
{
    for (size_t i = 0; i < h->n_addrs; i++) {
        if (str_eq(h->addrs[i].type, "mac")) {
            return &h->addrs[i];
        }
    }
    return NULL;
}

void facts_os(const struct host *h, struct buf *out)
{
    json_t *os = facts_json(h->os);
    const json_t *match = json_array_get(json_object_get(os, "osmatch"), 0);
    const char *name = json_string_value(json_object_get(match, "name"));

    if (name) {
        buf_adds(out, name);
    }
    json_decref(os);
}

void facts_host(const struct host *h,
                void (*item)(struct buf *out, const char *label, const char *value),
                struct buf *out, struct buf *scratch)
{
    const struct host_addr *mac = facts_mac(h);

    item(out, "State", h->state ? h->state : "unknown");
    item(out, "Timed out", h->timed_out ? "its ports are not known" : NULL);
    for (size_t i = 0; i < h->n_names; i++) {
        item(out, "Name", h->names[i].name);
    }
    item(out, "MAC address", mac ? mac->addr : NULL);
    item(out, "Vendor", mac ? mac->vendor : NULL);
    if (h->os) {
        buf_reset(scratch);
        facts_os(h, scratch);
        item(out, "Operating system", scratch->len ? scratch->data : NULL);
    }
}

void facts_version(const struct port *p, struct buf *out)
{
    size_t begin = out->len;

    if (p->product) {
        buf_adds(out, p->product);
    }
    if (p->version) {
        buf_adds(out, out->len > begin ? " " : "");
        buf_adds(out, p->version);
    }
    if (p->extrainfo) {
        buf_adds(out, out->len > begin ? " (" : "(");
        buf_adds(out, p->extrainfo);
        buf_addc(out, ')');
    }
}

void facts_service(const struct port *p, struct buf *out)
{
    if (p->tunnel && p->service) {
        buf_adds(out, p->tunnel);
        buf_addc(out, '/');
    }
    if (p->service) {
        buf_adds(out, p->service);
    }
}

void facts_scripts(const char *list,
                   void (*fn)(void *arg, const char *id, const char *output, size_t n), void *arg)
{
    json_t *scripts = facts_json(list);
    const json_t *v;
    size_t i;

    json_array_foreach(scripts, i, v)
    {
        const char *id = json_string_value(json_object_get(v, "id"));
        const json_t *output = json_object_get(v, "output");

        if (id) {
            fn(arg, id, json_is_string(output) ? json_string_value(output) : "",
               json_string_length(output));
        }
    }
    json_decref(scripts);
}

bool facts_banner(const struct port *p, struct buf *out)
{
    json_t *more =
        p->more && !p->scripts && strstr(p->more, "\"banner\"") ? facts_json(p->more) : NULL;
    const json_t *banner = json_object_get(more, "banner");
    bool found = json_is_string(banner);

    if (found) {
        buf_add(out, json_string_value(banner), json_string_length(banner));
    }
    json_decref(more);
    return found;
}
