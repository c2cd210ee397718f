/*
 * Objects from a server: what it has is asked first (ls-remote), so that a name that is not there,
 * an empty repository and a private one are told apart; then exactly what is wanted is fetched,
 * without its history.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "repo/checkout_work.h"
#include "repo/git_ssh.h"
#include "repo/ref.h"

enum { REFS_MAX = 1024 * 1024, NAMES_SHOWN = 6 };

/* One thing to fetch. */
struct want {
    char source[COMMIT_TEXT + REPO_REF_MAX + 16]; /* a commit, or a ref's full name; "": none */
    const char *ref;                              /* where it is put */
};

struct remote {
    struct buf refs;              /* "ID\tNAME\n" */
    char head[REPO_REF_MAX + 16]; /* what the remote's HEAD names: "refs/heads/main"; "": nothing */
    bool has_head, sha256, empty;
};

/* ---- what the server has ---- */

/* The line "ID\tNAME"; NULL: it has none. */
static const char *find_ref(const struct remote *r, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = r->refs.data; p && *p;) {
        size_t len = strcspn(p, "\n");
        const char *tab = memchr(p, '\t', len);

        if (tab && len - (size_t)(tab + 1 - p) == n && memcmp(tab + 1, name, n) == 0 &&
            !str_starts(p, "ref: ")) {
            return p;
        }
        p += len + (p[len] == '\n');
    }
    return NULL;
}

/* "ref: refs/heads/main\tHEAD" */
static void read_head(struct remote *r)
{
    const char *p = r->refs.data ? strstr(r->refs.data, "ref: refs/heads/") : NULL;
    const char *end = p ? strstr(p, "\tHEAD\n") : NULL;
    size_t n = end ? (size_t)(end - p - 5) : 0;
    const char *line = find_ref(r, "HEAD");

    r->has_head = line != NULL;
    if (n > 0 && n < sizeof r->head && !memchr(p, '\n', (size_t)(end - p))) {
        memcpy(r->head, p + 5, n);
        r->head[n] = '\0';
        if (repo_ref_check(r->head, NULL) != 0) {
            r->head[0] = '\0';
        }
    }
    r->empty = r->refs.len == 0;
    for (const char *q = r->refs.data; q && *q && !r->sha256;) {
        size_t digits = strspn(q, "0123456789abcdef");

        r->sha256 = digits == 64 && q[digits] == '\t';
        q += strcspn(q, "\n");
        q += *q == '\n';
    }
}

static bool is_full(const char *name)
{
    return str_starts(name, "refs/");
}

static void ask_for(struct strvec *args, const char *name)
{
    if (!name || repo_is_commit(name)) {
        return;
    }
    if (is_full(name)) {
        strvec_push(args, name);
    } else {
        strvec_pushf(args, "refs/heads/%s", name);
        strvec_pushf(args, "refs/tags/%s", name);
    }
}

static int list_refs(struct checkout_work *w, struct remote *r, struct err *e)
{
    const struct repo_request *q = &w->s->request;
    auto_strvec args = {0};
    int rc;

    strvec_push(&args, "ls-remote");
    strvec_push(&args, "--symref");
    strvec_push(&args, "--quiet");
    strvec_push(&args, "--");
    strvec_push(&args, w->url);
    strvec_push(&args, "HEAD");
    ask_for(&args, q->branch);
    ask_for(&args, q->base);
    ask_for(&args, q->head);
    rc = git_read(w, (const char *const *)args.v, true, REFS_MAX, &r->refs, e);
    if (rc == 0) {
        w->answered = true;
        read_head(r);
    }
    return rc;
}

/* Some branches, to choose from. */
static int no_such_ref(struct checkout_work *w, const char *what, const char *name, struct err *e)
{
    const char *const args[] = {"ls-remote", "--quiet", "--heads", "--", w->url, NULL};
    auto_buf heads = {0}, shown = {0};
    unsigned n = 0;
    int rc = git_read(w, args, true, REFS_MAX, &heads, e);

    if (rc != 0) {
        return rc;
    }
    if (heads.len == 0) {
        return checkout_fail(
            w, CHECKOUT_REFUSED,
            err_set(e, ERR_NOT_FOUND, "the repository is empty: it has no branch yet"));
    }
    for (const char *p = heads.data; (p = strstr(p, "\trefs/heads/")) && n < NAMES_SHOWN; n++) {
        size_t len;

        p += strlen("\trefs/heads/");
        len = strcspn(p, "\n");
        buf_adds(&shown, n ? ", " : "");
        buf_add_escaped(&shown, p, MIN(len, (size_t)64));
    }
    return checkout_fail(w, CHECKOUT_REFUSED,
                         err_set(e, ERR_NOT_FOUND,
                                 "the repository has no %s '%s'; branches are: %s%s", what, name,
                                 shown.data ? shown.data : "", n == NAMES_SHOWN ? ", ..." : ""));
}

/* ---- what is wanted of it ---- */

static int want_name(struct checkout_work *w, const struct remote *r, const char *name,
                     struct want *out, struct err *e)
{
    static const char *const places[] = {"refs/heads/", "refs/tags/"};

    if (repo_is_commit(name)) {
        memcpy(out->source, name, strlen(name) + 1);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(places) && !is_full(name); i++) {
        auto_free char *full = str_fmt("%s%s", places[i], name);

        if (find_ref(r, full)) {
            memcpy(out->source, full, strlen(full) + 1);
            return 0;
        }
    }
    if (is_full(name) && find_ref(r, name)) {
        memcpy(out->source, name, strlen(name) + 1);
        return 0;
    }
    return no_such_ref(w, "branch or tag", name, e);
}

static int want_default(struct checkout_work *w, const struct remote *r, struct want *out,
                        struct err *e)
{
    if (!r->has_head) {
        return r->empty ? no_such_ref(w, "default branch", "HEAD", e)
                        : checkout_fail(w, CHECKOUT_REFUSED,
                                        err_set(e, ERR_NOT_FOUND,
                                                "the repository's default branch does not exist: "
                                                "name a branch"));
    }
    snprintf(out->source, sizeof out->source, "%s", r->head[0] ? r->head : "HEAD");
    return 0;
}

static int want_all(struct checkout_work *w, const struct remote *r, struct want *head,
                    struct want *base, struct err *e)
{
    const struct repo_request *q = &w->s->request;
    const char *name = q->commit ? q->commit : q->head ? q->head : q->branch;
    int rc = name ? want_name(w, r, name, head, e) : want_default(w, r, head, e);

    return rc || !q->base ? rc : want_name(w, r, q->base, base, e);
}

/* The branch of the run's record, and whether the commit is what it has now. */
static void note_branch(struct checkout_work *w, const struct remote *r)
{
    const struct repo_request *q = &w->s->request;
    const char *head = str_starts(r->head, "refs/heads/") ? r->head + strlen("refs/heads/") : NULL;
    struct want of_branch = {0};
    const char *tip;

    w->out->branch = xstrdup(q->branch ? q->branch : head);
    if (checkout_elsewhere(q)) {
        enum checkout_status so_far = w->out->status;

        if (!q->branch || want_name(w, r, q->branch, &of_branch, NULL) != 0) {
            snprintf(of_branch.source, sizeof of_branch.source, "HEAD");
        }
        w->out->status = so_far; /* it was fetched: what has no such name is no failure */
        tip = find_ref(r, of_branch.source);
        w->out->aside = !tip || !str_starts(tip, w->head);
    }
}

/* ---- fetching ---- */

static void on_received(void *arg, unsigned percent)
{
    struct checkout_work *w = arg;

    checkout_tell(w, percent * 6 / 10);
}

static void fetch_args(const struct checkout_work *w, bool shallow, struct strvec *args)
{
    static const char *const fixed[] = {
        "fetch",
        "--progress",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
        "--no-show-forced-updates",
        "--refmap=",
    };

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        strvec_push(args, fixed[i]);
    }
    if (shallow) {
        strvec_push(args, "--depth=1");
    }
    strvec_push(args, "--");
    strvec_push(args, w->url);
}

static int run_fetch(struct checkout_work *w, const struct strvec *args, struct git_end *end,
                     struct err *e)
{
    const struct git_call call = {.args = (const char *const *)args->v,
                                  .network = true,
                                  .in = -1,
                                  .arg = w,
                                  .progress = on_received};

    return git_run(&w->git, &call, end, e);
}

static int bad_end(struct checkout_work *w, struct git_end *end, struct err *e)
{
    return git_explain(&w->git, end, &w->out->status, e);
}

/* The server gives out no commits by their ids: the whole branch, in which they may be. */
static int fetch_branch(struct checkout_work *w, const struct remote *r, const struct want *wants,
                        struct err *e)
{
    auto_strvec args = {0};
    struct git_end end = {0};
    struct want of_branch = {.ref = "refs/scan/branch"};
    int rc = w->s->request.branch ? want_name(w, r, w->s->request.branch, &of_branch, e)
                                  : want_default(w, r, &of_branch, e);

    if (rc != 0) {
        return rc;
    }
    fetch_args(w, false, &args);
    strvec_pushf(&args, "+%s:%s", of_branch.source, of_branch.ref);
    for (int i = 0; i < 2; i++) {
        if (wants[i].source[0] && !repo_is_commit(wants[i].source)) {
            strvec_pushf(&args, "+%s:%s", wants[i].source, wants[i].ref);
        }
    }
    rc = run_fetch(w, &args, &end, e);
    if (rc == 0 && end.status != 0) {
        rc = bad_end(w, &end, e);
    }
    git_end_done(&end);
    return rc;
}

static int fetch_wants(struct checkout_work *w, const struct remote *r, const struct want *wants,
                       struct err *e)
{
    auto_strvec args = {0};
    struct git_end end = {0};
    bool by_id = false;
    int rc;

    fetch_args(w, true, &args);
    for (int i = 0; i < 2; i++) {
        if (wants[i].source[0]) {
            strvec_pushf(&args, "+%s:%s", wants[i].source, wants[i].ref);
            by_id = by_id || repo_is_commit(wants[i].source);
        }
    }
    rc = run_fetch(w, &args, &end, e);
    if (rc == 0 && end.status != 0) {
        rc = by_id && !end.late && git_refused_id(&end) ? fetch_branch(w, r, wants, e)
                                                        : bad_end(w, &end, e);
    }
    git_end_done(&end);
    return rc;
}

static int resolve(struct checkout_work *w, const struct want *want, char out[COMMIT_TEXT],
                   struct err *e)
{
    const char *from = repo_is_commit(want->source) ? want->source : want->ref;
    int rc = git_commit_of(w, from, out, e);

    if (rc == 0 && !out[0]) {
        rc = checkout_fail(
            w, CHECKOUT_REFUSED,
            repo_is_commit(want->source)
                ? err_set(e, ERR_NOT_FOUND,
                          "commit %s is not in the repository, or not on the branch (the server "
                          "gives out no others)",
                          want->source)
                : err_set(e, ERR_NOT_FOUND, "'%s' does not name a commit", want->source));
    }
    return rc;
}

/* Only to tell what was renamed since: whatever goes wrong, the checkout is whole. */
static void fetch_last(struct checkout_work *w)
{
    auto_strvec args = {0};
    struct git_end end = {0};

    if (!w->s->last_commit || str_eq(w->s->last_commit, w->head)) {
        return;
    }
    fetch_args(w, true, &args);
    strvec_pushf(&args, "+%s:refs/scan/last", w->s->last_commit);
    if (run_fetch(w, &args, &end, NULL) == 0 && end.status == 0) {
        (void)git_commit_of(w, w->s->last_commit, w->last, NULL);
    }
    git_end_done(&end);
}

static int fetch_known(struct checkout_work *w, const struct remote *r, struct err *e)
{
    struct want wants[2] = {{.ref = "refs/scan/head"}, {.ref = "refs/scan/base"}};
    int rc = want_all(w, r, &wants[0], &wants[1], e);

    rc = rc || !r->sha256 ? rc : repository_make(true, e);
    rc = rc ? rc : fetch_wants(w, r, wants, e);
    rc = rc ? rc : resolve(w, &wants[0], w->head, e);
    rc = rc || !wants[1].source[0] ? rc : resolve(w, &wants[1], w->base, e);
    if (rc == 0) {
        note_branch(w, r);
        fetch_last(w);
    }
    return rc;
}

int checkout_fetch(struct checkout_work *w, struct err *e)
{
    struct remote r = {0};
    int rc = list_refs(w, &r, e);

    rc = rc ? rc : fetch_known(w, &r, e);
    buf_done(&r.refs);
    return rc;
}
