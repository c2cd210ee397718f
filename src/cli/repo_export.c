/* Exports: the server's, or the same writers over the store at hand; the gate looks at the findings
 * by themselves. */
#include "cli/repo_export.h"

#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "http/api.h"
#include "report/findings.h"

enum { CHUNK = 256 << 10, PAGE = 1000 };

static const char *name_of(enum format f)
{
    switch (f) {
    case FORMAT_CSV:
        return "csv";
    case FORMAT_SARIF:
        return "sarif";
    case FORMAT_MARKDOWN:
        return "markdown";
    case FORMAT_HTML:
        return "html";
    default:
        return NULL;
    }
}

bool repo_export_format(enum format f)
{
    return name_of(f) != NULL;
}

/* ---- from the store at hand ---- */

struct local_export {
    const struct findings_format *format;
    void *writer;
    struct buf out;
    int64_t last;
    uint32_t n;
};

static int take_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct local_export *x = arg;
    int rc = x->format->row(x->writer, row, e);

    x->last = row->seq;
    x->n++;
    if (x->out.len > CHUNK) {
        out_buf(&x->out);
    }
    return rc;
}

static int gate_lines(void *arg, const char *data, size_t n, struct err *e)
{
    struct finding_gate *g = arg;

    (void)e;
    for (const char *end = data + n; data < end;) {
        const char *nl = memchr(data, '\n', (size_t)(end - data));
        json_t *f = json_loadb(data, (size_t)(nl ? nl - data : end - data), 0, NULL);

        finding_gate_take(g, f);
        json_decref(f);
        data = nl ? nl + 1 : end;
    }
    return 0;
}

static int write_rows(struct local_export *x, struct store *st, const struct job *j, struct err *e)
{
    struct finding_filter f = {.triage = -1, .counts = -1, .open = -1, .limit = PAGE};
    int rc = x->format->begin(x->writer, e);

    do {
        x->n = 0;
        if (rc == 0) {
            rc = store_findings(st, j->num, &f, take_row, x, e);
        }
        f.after = x->last;
    } while (rc == 0 && x->n == PAGE);
    return rc == 0 ? x->format->end(x->writer, e) : rc;
}

int repo_export_local(struct cli *c, struct store *st, const struct job *j, struct finding_gate *g,
                      struct err *e)
{
    struct local_export x = {.format = findings_format_find(name_of(c->format))};
    struct repo_scan scan = {0};
    int rc;

    if (!x.format) {
        return err_set(e, ERR_INVALID, "there is no such format");
    }
    rc = store_repo_scan(st, j->num, &scan, e);
    if (rc != 0) {
        return rc;
    }
    x.writer = x.format->new (j, &scan, &x.out);
    rc = write_rows(&x, st, j, e);
    x.format->done(x.writer);
    out_buf(&x.out);
    buf_done(&x.out);
    repo_scan_done(&scan);
    return rc == 0 && g->on ? api_findings_json(st, j->num, gate_lines, g, e) : rc;
}

/* ---- from the server ---- */

static int to_stdout(void *arg, const char *data, size_t n)
{
    (void)arg;
    out_write(data, n);
    return 0;
}

static int gate_item(void *arg, json_t *item)
{
    finding_gate_take(arg, item);
    return 0;
}

int repo_export_remote(struct cli *c, const char *id, struct finding_gate *g)
{
    auto_free char *path =
        str_fmt("/api/v1/repo-scans/%s/export?format=%s", id, name_of(c->format));
    auto_free char *list = str_fmt("/api/v1/repo-scans/%s/findings?limit=1000", id);
    struct answer a = {0};
    int status = cli_call(
        c, &(struct call){.method = "GET", .path = path, .accept = "*/*", .sink = to_stdout}, &a);

    answer_done(&a);
    if (status == STATUS_OK && g->on) {
        (void)remote_each(c, list, gate_item, g, &status);
    }
    return status;
}
