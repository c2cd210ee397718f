/* What the worker reports goes to a server elsewhere: hosts as records, whole ones in each message.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/reports.h"
#include "ipc/record.h"
#include "transport/station.h"

enum {
    BATCH = 256 << 10,                             /* bytes of hosts in one message */
    HOST_BYTES_MAX = MESSAGE_MAX - 2 * RECORD_MAX, /* of one host: another record fits in */
};

/* Hosts of one run that were not handed on yet. */
struct station_hosts {
    struct station_hosts *next;
    struct lease lease;
    struct buf records;
    size_t whole; /* so many bytes are of hosts that are complete */
};

static struct station_hosts **find(struct station_reports *to, const struct lease *l)
{
    struct station_hosts **at = &to->hosts;

    while (*at && ((*at)->lease.token != l->token || (*at)->lease.epoch != l->epoch ||
                   (*at)->lease.idx != l->idx || id_cmp(&(*at)->lease.job_id, &l->job_id) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static void send_whole(struct station_reports *to, struct station_hosts *h)
{
    if (h->whole > 0) {
        station_hosts(to->station, &h->lease, h->records.data, h->whole);
        buf_drop(&h->records, h->whole);
        h->whole = 0;
    }
}

static void drop(struct station_reports *to, const struct lease *l)
{
    struct station_hosts **at = find(to, l);
    struct station_hosts *h = *at;

    if (h) {
        *at = h->next;
        buf_done(&h->records);
        free(h);
    }
}

static struct station_hosts *find_or_make(struct station_reports *to, const struct lease *l)
{
    struct station_hosts **at = find(to, l);

    if (!*at) {
        *at = xcalloc(1, sizeof **at);
        (*at)->lease = *l;
    }
    return *at;
}

static int away_host(void *arg, const struct lease *l, const struct host *head, struct err *e)
{
    (void)e;
    record_put_head(&find_or_make(arg, l)->records, head);
    return 0;
}

static int away_port(void *arg, const struct lease *l, const struct port *p, struct err *e)
{
    struct station_hosts *h = *find(arg, l);

    record_put_port(&h->records, p);
    return h->records.len - h->whole <= HOST_BYTES_MAX
               ? 0
               : err_set(e, ERR_LIMIT, "a host has more than %d MiB of results",
                         HOST_BYTES_MAX >> 20);
}

/* What is there ends with a whole one. */
static void mark_whole(struct station_reports *to, struct station_hosts *h)
{
    h->whole = h->records.len;
    if (h->whole >= BATCH) {
        send_whole(to, h);
    }
}

static int away_host_end(void *arg, const struct lease *l, struct err *e)
{
    struct station_hosts *h = *find(arg, l);

    (void)e;
    record_put_host_end(&h->records);
    mark_whole(arg, h);
    return 0;
}

static int away_finding(void *arg, const struct lease *l, const struct finding *f, struct err *e)
{
    struct station_hosts *h = find_or_make(arg, l);

    (void)e;
    record_put_finding(&h->records, f);
    mark_whole(arg, h);
    return 0;
}

static int away_select(void *arg, const struct lease *l, struct err *e)
{
    (void)arg; /* each run has its own */
    (void)l;
    (void)e;
    return 0;
}

static int away_progress(void *arg, const struct lease *l, const struct progress *p, struct err *e)
{
    struct station_reports *to = arg;

    (void)e;
    station_progress(to->station, l, p);
    return 0;
}

static void away_wrote(void *arg, const struct lease *l)
{
    struct station_hosts *h = *find(arg, l);

    if (h) {
        send_whole(arg, h);
    }
}

static void away_finish(void *arg, const struct lease *l, const struct outcome *o)
{
    struct station_reports *to = arg;
    auto_free char *raw = o->raw_path ? str_fmt("%s/%s", to->blob_dir, o->raw_path) : NULL;

    away_wrote(arg, l);
    drop(to, l);
    station_end(to->station, l, o, raw);
}

static void away_release(void *arg, const struct lease *l)
{
    struct station_reports *to = arg;

    drop(to, l);
    station_release(to->station, l, RELEASE_DRAIN);
}

static void away_wait(void *arg, const struct lease *l, int64_t until_us)
{
    struct station_reports *to = arg;

    station_wait(to->station, l, until_us);
}

static void away_lost(void *arg, const struct lease *l)
{
    (void)arg; /* nothing is undone here */
    (void)l;
}

static void away_ready(void *arg, bool ready)
{
    (void)arg; /* a station is made when it is */
    (void)ready;
}

struct reports reports_station(struct station_reports *to)
{
    return (struct reports){
        .host = away_host,
        .port = away_port,
        .host_end = away_host_end,
        .finding = away_finding,
        .select = away_select,
        .progress = away_progress,
        .finish = away_finish,
        .release = away_release,
        .wait = away_wait,
        .wrote = away_wrote,
        .lost = away_lost,
        .ready = away_ready,
        .arg = to,
    };
}

void station_reports_done(struct station_reports *to)
{
    while (to->hosts) {
        drop(to, &to->hosts->lease);
    }
}
