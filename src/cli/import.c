/* import - a file that a scanner wrote elsewhere becomes a job with its results. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/view.h"

static const struct flag flags[] = {
    {.name = "format", .value = "FORMAT", .help = "auto, nmap, masscan, zmap or sarif (auto)"},
    {.name = "repository", .value = "URL", .help = "of SARIF: which repository it is about"},
    {.name = "branch", .value = "NAME", .help = "of SARIF: which branch"},
    {.name = "name", .value = "TEXT", .help = "what to call it (the file's name)"},
    {.name = "detach", .letter = 'd', .help = "do not wait: print the job's id"},
    {0},
};

static void path_of(const struct cli *c, const char *file, struct buf *path)
{
    const char *format = args_value(&c->args, "format");
    const char *name = args_value(&c->args, "name");
    const char *slash = strrchr(file, '/');
    static const char *const of_findings[] = {"repository", "branch"};

    buf_adds(path, "/api/v1/imports?format=");
    buf_add_url(path, format ? format : "auto");
    buf_adds(path, "&name=");
    buf_add_url(path, name ? name : slash ? slash + 1 : file);
    for (size_t i = 0; i < ARRAY_LEN(of_findings); i++) {
        const char *value = args_value(&c->args, of_findings[i]);

        if (value) {
            buf_addf(path, "&%s=", of_findings[i]);
            buf_add_url(path, value);
        }
    }
}

static int upload(struct cli *c, const char *file, struct answer *a)
{
    auto_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    auto_buf path = {0};
    struct stat st;
    struct err e = {0};

    if (fd < 0 || fstat(fd, &st) < 0) {
        err_errno(&e, "open '%s'", file);
        e.code = ERR_INVALID;
        return cli_fail(c, &e, NULL);
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(&e, ERR_INVALID, "'%s' is not a regular file", file);
        return cli_fail(c, &e, NULL);
    }
    path_of(c, file, &path);
    return cli_call(
        c,
        &(struct call){
            .method = "POST", .path = path.data, .upload_fd = fd, .upload_size = st.st_size},
        a);
}

static int run(struct cli *c)
{
    struct answer a = {0};
    int status;

    if (cli_client(c, &status)) {
        status = upload(c, c->args.operands[0], &a);
        if (status == STATUS_OK) {
            status = remote_submitted(c, FOLLOW_SHOW, &a);
        }
    }
    answer_done(&a);
    return status;
}

const struct command command_import = {
    .name = "import",
    .operands = "FILE",
    .summary = "take in nmap XML, what masscan or zmap wrote, or SARIF, as a job that has ended",
    .flags = flags,
    .min = 1,
    .max = 1,
    .formats = FORMATS_RESULTS,
    .run = run,
};
