/* scan - submits a scan, follows it, and shows what it found. */
#include <string.h>

#include "base/id.h"
#include "cli/dry_run.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/view.h"

enum { TRIES = 3 };

static const struct flag flags[] = {
    SCAN_FLAGS,
    {.name = "zone", .value = "ZONE", .help = "only workers of this zone run it (any without one)"},
    {.name = "priority", .value = "0-9", .help = "9 goes first (4)"},
    {.name = "retries", .value = "N", .help = "further attempts after the scanner failed"},
    {.name = "watch", .help = "show progress while waiting, then the results (the default)"},
    {.name = "wait", .help = "wait without showing progress, then show the results"},
    {.name = "dry-run", .help = "show what would be done, and do nothing"},
    {.name = "detach", .letter = 'd', .help = "do not wait: print the job's id"},
    {.name = "wait-timeout", .value = "SECONDS", .help = "stop waiting; the job goes on"},
    {0},
};

/* A request that broke off is sent again with the same Idempotency-Key: one job, whatever
 * happened to the answer. */
static int submit(struct cli *c, const struct buf *body, struct answer *a)
{
    char key[ID_TEXT + 1];
    struct id id = id_new();
    struct err e = {0};
    int rc = 0;

    id_text(&id, key);
    for (int i = 0; i < TRIES; i++) {
        struct call call = {
            .method = "POST",
            .path = "/api/v1/scans",
            .body = body->data,
            .idempotency_key = key,
        };

        rc = client_call(c->client, &call, a, &e);
        if (rc != ERR_IO || a->not_connected) {
            break;
        }
    }
    if (rc != 0) {
        return cli_fail(c, &e, rc == ERR_IO ? cli_hint_unreachable(c->client) : NULL);
    }
    return cli_check(c, a);
}

static int read_wait(struct cli *c, struct err *e)
{
    const char *s = args_value(&c->args, "wait-timeout");
    uint64_t seconds;

    if (s && !str_to_u64(s, 1, 31536000, &seconds)) {
        return err_set(e, ERR_INVALID, "--wait-timeout '%s': expected seconds", s);
    }
    if (s) {
        c->wait_ms = (int64_t)seconds * 1000;
    }
    return 0;
}

static int run(struct cli *c)
{
    struct scan_flags f = {0};
    struct answer a = {0};
    struct err e = {0};
    auto_buf body = {0};
    int status = STATUS_OK;

    if (scan_flags_read(&c->args, &f, &e) != 0 || read_wait(c, &e) != 0) {
        status = cli_fail(c, &e, "scanpod scan --help");
    } else if (cli_client(c, &status)) {
        scan_flags_json(&f, &body);
        if (args_has(&c->args, "dry-run")) {
            status = dry_run(c, &body);
            answer_done(&a);
            scan_flags_done(&f);
            return status;
        }
        status = submit(c, &body, &a);
        if (status == STATUS_OK) {
            status =
                remote_submitted(c, args_has(&c->args, "wait") ? FOLLOW_SILENT : FOLLOW_SHOW, &a);
        }
    }
    answer_done(&a);
    scan_flags_done(&f);
    return status;
}

const struct command command_scan = {
    .name = "scan",
    .operands = "TARGET...",
    .summary = "scan targets with a server and show what was found",
    .more = "The job is stored before anything is shown. Ctrl-C leaves it running; a second one\n"
            "within two seconds cancels it.\n\n"
            "  scanpod scan 127.0.0.1 -p 22,80 --arguments '-sV'\n",
    .flags = flags,
    .min = 0,
    .max = 4096,
    .formats = FORMATS_RESULTS,
    .run = run,
};
