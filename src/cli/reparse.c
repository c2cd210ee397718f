/* reparse - rebuilds a job's results from the raw output that was kept. */
#include "cli/remote.h"
#include "cli/view.h"

enum { REPARSE_MS = 600000 };

static int run(struct cli *c)
{
    struct answer a = {0};
    char id[ID_TEXT + 1];
    int status = remote_find(c, c->args.operands[0], id);

    if (status == STATUS_OK) {
        auto_buf path = {0};

        buf_addf(&path, "/api/v1/scans/%s/reparse", id);
        status = cli_call(
            c, &(struct call){.method = "POST", .path = path.data, .timeout_ms = REPARSE_MS}, &a);
    }
    if (status == STATUS_OK) {
        status = remote_report(c, id, &a);
    }
    answer_done(&a);
    return status;
}

const struct command command_reparse = {
    .name = "reparse",
    .operands = "JOB",
    .summary = "rebuild a job's results from its raw output",
    .min = 1,
    .max = 1,
    .formats = FORMATS_RESULTS,
    .run = run,
};
