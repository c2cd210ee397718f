/* One JSON object a line and host, in the shape of the API's lists of hosts. */
#include <stdlib.h>

#include "base/mem.h"
#include "report/formats.h"
#include "report/host_json.h"

struct ndjson {
    struct buf *out;
    struct json j;
};

static void *ndjson_new(const struct job *j, struct buf *out)
{
    struct ndjson *w = xcalloc(1, sizeof *w);

    (void)j;
    w->out = out;
    return w;
}

static int ndjson_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct ndjson *w = arg;
    struct json *j = &w->j;

    (void)e;
    *j = json_to(w->out);
    json_obj(j);
    json_int(j, "seq", seq);
    json_str(j, "address", host_address(h));
    host_json_members(j, h);
    return 0;
}

static int ndjson_port(void *arg, const struct port *p, struct err *e)
{
    struct ndjson *w = arg;

    (void)e;
    port_json(&w->j, p, NULL);
    return 0;
}

static int ndjson_host_end(void *arg, struct err *e)
{
    struct ndjson *w = arg;

    (void)e;
    json_end(&w->j);
    json_end(&w->j);
    buf_addc(w->out, '\n');
    return 0;
}

static int nothing(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

const struct report_format report_ndjson = {
    .name = "ndjson",
    .media_type = "application/x-ndjson",
    .suffix = ".ndjson",
    .help = "one JSON object a host, as the API shows them",
    .new = ndjson_new,
    .begin = nothing,
    .sink = {.host = ndjson_host, .port = ndjson_port, .host_end = ndjson_host_end},
    .end = nothing,
    .done = free,
};
