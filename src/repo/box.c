/*
 * One process from the first step to the last, with others beside it for whatever reads what
 * strangers wrote: git and the engines in boxes, their output in parsers, our own rules in a box,
 * too. Here hostile bytes are only moved: into UTF-8, into lines of JSON.
 */
#include "repo/box.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "box/box.h"
#include "box/seccomp.h"
#include "repo/built_in.h"
#include "repo/checkout.h"
#include "repo/crew.h"
#include "repo/judge.h"
#include "repo/output.h"
#include "repo/spec.h"
#include "repo/survey.h"
#include "repo/wanted.h"

#define WORK_DIR   "/tmp/work"
#define AGENT_TREE "/tmp/agent"
#define AGENT_URL  "http://127.0.0.1:3128/anthropic"

enum {
    EXIT_OTHER = 1,
    EXIT_REFUSED = 2,
    EXIT_CAP = 4,
    SPEC_MAX = 16 << 20,
    RESERVE_MIN_MS = 2000, /* of the whole time, for what comes after the engines */
    RESERVE_MAX_MS = 180000,
    AGENT_PATHS_MAX = 16 << 10, /* of the prompt */
};

struct scan {
    struct repo_spec spec;
    struct checkout checkout;
    struct survey survey;
    struct engine_run *runs;
    size_t n_runs;
    struct verdict verdict;
    struct output output;
    struct agent_ask agent;
    struct buf agent_paths;
    char self[PATH_MAX];
    int64_t begun_ms;
};

static int fail(const struct err *e, int status)
{
    dprintf(STDERR_FILENO, "repo-box: %s\n", e->msg);
    return status;
}

/* ---- what it is to do ---- */

/* The spec may hold a key: no copy of it stays. */
static int read_spec(struct repo_spec *out, struct err *e)
{
    auto_fd int fd = open(REPO_SPEC_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    char *text;
    ssize_t n;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || getppid() != 1 ||
        st.st_uid != getuid() || st.st_size > SPEC_MAX) {
        return err_set(e, ERR_DENIED,
                       "this is a part of ScanPod that works only in a box that scanpod makes for "
                       "it (scanpod repo URL)");
    }
    if (unlink(REPO_SPEC_FILE) < 0) {
        return err_errno(e, "remove the spec");
    }
    text = xmalloc((size_t)st.st_size + 1);
    n = read(fd, text, (size_t)st.st_size);
    rc = n == st.st_size ? repo_spec_read(text, (size_t)n, out, e) : err_errno(e, "read the spec");
    secure_zero(text, (size_t)st.st_size + 1);
    free(text);
    return rc;
}

static int prepare(struct scan *s, struct err *e)
{
    const struct box_can *can;
    ssize_t n = readlink("/proc/self/exe", s->self, sizeof s->self - 1);
    int rc = read_spec(&s->spec, e);

    if (rc != 0) {
        return rc;
    }
    if (n <= 0 || mkdir(WORK_DIR, 0700) < 0) {
        return err_errno(e, "prepare the scan");
    }
    s->self[n] = '\0';
    signal(SIGPIPE, SIG_IGN);
    can = box_probe();
    if (can->level != BOX_USERNS || !can->view || !can->own_net) {
        return err_set(e, ERR_SANDBOX,
                       "engines cannot be confined here: no boxes inside of boxes (level %s%s%s)",
                       box_level_name(can->level), can->why[0] ? ": " : "", can->why);
    }
    return 0;
}

/* ---- which files and lines count ---- */

static const char *name_in_repository(const struct survey_file *f)
{
    return f->origin ? f->origin : f->file.path;
}

static bool file_counts(void *arg, const struct survey_file *f)
{
    const struct scan *s = arg;
    const struct checkout_change *change;

    if (!s->checkout.base) {
        return true;
    }
    change = checkout_changed(&s->checkout, name_in_repository(f));
    return change && (change->whole || change->n_lines > 0);
}

static bool line_counts(void *arg, const struct survey_file *f, int32_t line)
{
    const struct scan *s = arg;

    return checkout_line_changed(&s->checkout, name_in_repository(f), (uint32_t)line);
}

/* ---- its steps ---- */

static int do_survey(struct scan *s, struct err *e)
{
    const struct survey_ask ask = {
        .dir = ENGINE_TREE,
        .subdir = s->spec.request.subdir,
        .max_files = s->spec.max_files,
        .max_file_bytes = s->spec.max_file_bytes,
    };
    int rc = survey_run(&ask, &s->survey, e);

    for (uint32_t i = 0; rc == 0 && i < s->checkout.n_left; i++) {
        survey_leave(&s->survey, s->checkout.left[i].path, s->checkout.left[i].why);
    }
    s->survey.left_more += s->checkout.left_more;
    s->survey.total += s->checkout.n_left + s->checkout.left_more;
    return rc;
}

/* What the agent is told to look at, where that is not everything. */
static void ask_agent(struct scan *s)
{
    s->agent = s->spec.request.agent;
    s->agent.base_url = s->agent.base_url ? s->agent.base_url : AGENT_URL;
    s->agent.stall_s = s->agent.stall_s ? s->agent.stall_s : AGENT_STALL_S;
    if (s->agent.paths || (!s->checkout.base && !s->spec.request.subdir)) {
        return;
    }
    for (size_t i = 0; s->checkout.base && i < s->survey.n; i++) {
        const struct survey_file *f = &s->survey.files[i];

        if (!f->agent && file_counts(s, f) && s->agent_paths.len < AGENT_PATHS_MAX) {
            buf_addf(&s->agent_paths, "%s\n", f->file.path);
        }
    }
    if (!s->checkout.base) {
        buf_addf(&s->agent_paths, "%s/\n", s->spec.request.subdir);
    }
    s->agent.paths = s->agent_paths.data;
}

static void on_progress(void *arg, unsigned percent)
{
    (void)arg;
    output_progress("engines", percent);
}

/*
 * When the engines have to be over. Whoever made this box ends it, with all that was found, when
 * the time of the job is up: the slow ones are ended before that, and what the others found is
 * told.
 */
static void set_deadlines(const struct scan *s, struct crew_ask *ask)
{
    int64_t wall_ms = (int64_t)s->spec.wall_s * 1000;
    int64_t reserve_ms = MIN(MAX(wall_ms / 10, RESERVE_MIN_MS), RESERVE_MAX_MS);

    if (wall_ms == 0) {
        ask->until_ms = ask->read_until_ms = INT64_MAX;
        return;
    }
    reserve_ms = MIN(reserve_ms, wall_ms / 2);
    ask->until_ms = s->begun_ms + wall_ms - reserve_ms;
    ask->read_until_ms = ask->until_ms + reserve_ms / 2;
}

static int do_engines(struct scan *s, struct err *e)
{
    struct crew_ask ask = {
        .at_once = s->spec.at_once,
        .self = s->self,
        .work = WORK_DIR,
        .tree = ENGINE_TREE,
        .agent = &s->agent,
        .progress = on_progress,
    };
    int rc = wanted_make(&s->spec, &s->runs, &s->n_runs, e);

    set_deadlines(s, &ask);
    for (size_t i = 0; rc == 0 && i < s->n_runs; i++) {
        engine_run_plan(&s->runs[i], &s->survey, file_counts, s);
        if (s->runs[i].n_todo > 0 && s->runs[i].engine->obeys) {
            s->runs[i].tree = str_fmt("/tmp/plain-%zu", i);
            rc = survey_plain_tree(s->runs[i].files, s->runs[i].n_files, s->runs[i].engine->obeys,
                                   ENGINE_TREE, s->runs[i].tree, e);
        }
        if (rc == 0 && s->runs[i].n_todo > 0 && s->runs[i].engine->network && !ask.agent_tree) {
            rc = survey_agent_tree(&s->survey, ENGINE_TREE, AGENT_TREE, e);
            ask.agent_tree = AGENT_TREE;
        }
    }
    if (rc == 0) {
        ask_agent(s);
        crew_run(s->runs, s->n_runs, &ask);
    }
    return rc;
}

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct scan *s = arg;

    return output_finding(&s->output, f, e);
}

static int do_assess(struct scan *s, struct err *e)
{
    const struct judge_ask ask = {
        .tree = ENGINE_TREE,
        .subdir = s->spec.request.subdir,
        .counts = s->checkout.base ? line_counts : NULL,
        .fn = on_finding,
        .arg = s,
    };

    /* All of the sources is read now, by us: from here on there is no way out, and no new box. */
    if (seccomp_tool(BOX_CALLS_OFFLINE, NULL) < 0) {
        return err_errno(e, "confine the assessment");
    }
    return judge_run(s->runs, s->n_runs, &s->survey, &ask, &s->verdict, e);
}

static int finish(struct scan *s, int64_t times[5], struct err *e)
{
    const struct scan_record record = {
        .spec = &s->spec,
        .checkout = &s->checkout,
        .survey = &s->survey,
        .runs = s->runs,
        .n_runs = s->n_runs,
        .verdict = &s->verdict,
        .broken = s->output.broken,
        .checkout_ms = times[1] - times[0],
        .survey_ms = times[2] - times[1],
        .engines_ms = times[3] - times[2],
        .assess_ms = times[4] - times[3],
    };
    int rc = output_run(&s->output, &record, e);

    return rc ? rc : output_end(&s->output, e);
}

static int status_of(int code)
{
    switch (code) {
    case 0:
        return 0;
    case ERR_NOT_FOUND:
    case ERR_INVALID:
        return EXIT_REFUSED;
    case ERR_LIMIT:
    case ERR_FULL:
        return EXIT_CAP;
    default:
        return EXIT_OTHER;
    }
}

static int scan(struct scan *s)
{
    static int (*const steps[])(struct scan * s, struct err * e) = {do_survey, do_engines,
                                                                    do_assess};
    static const char *const names[] = {"survey", "engines", "assess"};
    int64_t times[5];
    struct err e = {0};
    int rc;

    times[0] = boot_ms();
    if (checkout_run(&s->spec, &s->checkout, &e) != 0) {
        return fail(&e, s->checkout.status ? (int)s->checkout.status : EXIT_OTHER);
    }
    times[1] = boot_ms();
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        output_progress(names[i], 0);
        rc = steps[i](s, &e);
        if (rc != 0) {
            return fail(&e, status_of(rc));
        }
        times[i + 2] = boot_ms();
    }
    rc = finish(s, times, &e);
    return rc ? fail(&e, EXIT_OTHER) : 0;
}

int repo_box_main(int argc, char **argv)
{
    struct scan *s;
    struct err e = {0};
    int status;

    if (argc == 4 && strcmp(argv[2], "--engine") == 0) {
        _exit(built_in_main(argv[3]));
    }
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    s = xcalloc(1, sizeof *s);
    s->begun_ms = boot_ms();
    s->output.fd = STDOUT_FILENO;
    status = prepare(s, &e) != 0 ? fail(&e, EXIT_OTHER) : scan(s);
    repo_spec_done(&s->spec);
    _exit(status); /* the box goes, and all memory with it */
}
