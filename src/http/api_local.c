/*
 * The JSON of /api/v1 for results that did not come over HTTP (`scanpod run`): one writer, so that
 * what a script reads is the same with a server and without.
 */
#include "http/api_priv.h"

enum { BATCH = 256 };

void api_job_json(const struct job *job, struct buf *out)
{
    struct json j = json_to(out);

    view_job(&j, NULL, job, true);
}

int api_hosts_json(struct store *st, int64_t job_num, api_bytes_fn fn, void *arg, struct err *e)
{
    struct host_filter f = {.limit = BATCH};
    struct host_writer w = {.lines = true, .full = API_CHUNK};
    auto_buf piece = {0};
    int rc;

    do {
        buf_reset(&piece);
        w.j = json_to(&piece);
        rc = host_writer_page(st, job_num, &f, &w, e);
        f.after = w.last;
        if (rc == 0 && piece.len) {
            rc = fn(arg, piece.data, piece.len, e);
        }
    } while (rc == 0 && (w.stopped || w.n == f.limit));
    host_writer_done(&w);
    return rc;
}
