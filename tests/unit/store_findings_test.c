/* Findings of repository scans and how they live on, on both backends. */
#include "store_scan_rig.h"

/* ---- under a lease ---- */

static void what_a_scan_was_asked_for_is_checked_and_goes_with_the_claim(struct store *s)
{
    struct job j = new_job();
    struct task t;
    struct job got = {0};
    bool found = false;

    j.repo = xstrdup(REPO_A);
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID); /* of nmap */
    free(j.tool);
    j.tool = xstrdup("repo");
    free(j.repo);
    j.repo = xstrdup("{\"branch\":\"x\"}");
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
    free(j.repo);
    j.repo = xstrdup("nonsense");
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
    free(j.repo);
    j.repo = xstrdup(REPO_A);
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &got, &found, ERR));
    CHECK_STR(got.repo, REPO_A);
    job_done(&got);
    got = get(s, &t.job_id);
    CHECK_STR(got.repo, REPO_A);
    job_done(&got);
}

static void findings_show_while_the_scan_runs_and_are_counted(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct repo_scan r;

    r = figures_of(s, &id);
    CHECK_STR(r.url, "https://git.example/a");
    CHECK(!r.ended);
    CHECK_STR(r.level, "unknown");
    repo_scan_done(&r);
    report(s, &l, "ab");
    CHECK_OK(store_commit(s, ERR));
    report(s, &l, "c");
    check_scan(s, &id, "a=new b=new c=new ");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 3);
    CHECK_INT(r.life[LIFE_NEW], 0); /* nobody has compared them yet */
    CHECK_STR(r.level, "high");
    repo_scan_done(&r);
    check_issues(s, NULL, "");
    store_rollback(s);
    check_scan(s, &id, "a=new b=new ");
    report(s, &l, "d");
    check_scan(s, &id, "a=new b=new d=new ");
}

static void a_finding_is_read_back_as_it_came(struct store *s);

static int compare_whole(void *arg, const struct finding_row *r, struct err *e)
{
    const struct finding *want = arg;
    const struct finding *got = r->f;

    (void)e;
    CHECK_STR(got->rule, want->rule);
    CHECK_STR(got->title, want->title);
    CHECK_STR(got->message, want->message);
    CHECK_STR(got->recommendation, want->recommendation);
    CHECK_STR(got->function, want->function);
    CHECK_STR(got->line, want->line);
    CHECK_STR(got->snippet, want->snippet);
    CHECK_STR(got->marked, want->marked);
    CHECK_STR(got->secret, want->secret);
    CHECK_INT(got->snippet_line, want->snippet_line);
    CHECK_INT(got->severity, want->severity);
    CHECK_INT(got->confidence_x100, want->confidence_x100);
    CHECK_INT(got->verified, want->verified);
    CHECK_INT(got->n_cwe, want->n_cwe);
    CHECK(memcmp(got->cwe, want->cwe, sizeof got->cwe) == 0);
    CHECK_STR(got->at.path, want->at.path);
    CHECK_INT(got->at.line, want->at.line);
    CHECK_INT(got->at.end_column, want->at.end_column);
    CHECK_INT(got->n_engines, want->n_engines);
    CHECK_STR(got->engines[1].name, want->engines[1].name);
    CHECK_STR(got->engines[1].version, want->engines[1].version);
    CHECK_STR(got->engines[1].rule, want->engines[1].rule);
    CHECK_STR(got->engines[1].severity, want->engines[1].severity);
    CHECK_INT(got->engines[1].confidence_x100, want->engines[1].confidence_x100);
    CHECK_INT(got->n_related, want->n_related);
    CHECK_STR(got->related[0].path, want->related[0].path);
    CHECK_STR(got->related[0].message, want->related[0].message);
    CHECK_INT(got->related[0].end_line, want->related[0].end_line);
    CHECK(memcmp(&got->identity, &want->identity, sizeof got->identity) == 0);
    return 7;
}

static void a_finding_is_read_back_as_it_came(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct finding_filter filter = all_findings();
    struct sample m;
    struct finding *f = sample_of(&m, 'a');

    f->recommendation = "do\nsomething else";
    f->function = "main";
    f->snippet = "a\n\tb\xc3\xa4\n";
    f->snippet_line = 9;
    f->marked = "nosec";
    f->secret = "AWS key AKIA****";
    f->verified = false;
    f->cwe[1] = 78;
    f->n_cwe = 2;
    f->at.end_line = 200;
    f->at.end_column = 17;
    f->engines[1] = (struct finding_engine){"claude", "1.0", "x", "HIGH", 55};
    f->n_engines = 2;
    f->related[0] = (struct finding_place){"b/c.h", 1, 2, 3, 4, "from here"};
    f->n_related = 1;
    snprintf(f->identity.github, sizeof f->identity.github, "39fa2ee980eb94b0:1");
    CHECK_OK(store_finding_add(s, &l, f, ERR));
    CHECK_INT(store_findings(s, num_of(s, &id), &filter, compare_whole, f, ERR), 7);
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    CHECK_INT(store_issues(s, &filter, compare_whole, f, ERR), 7);
}

static void a_finding_that_breaks_a_rule_or_has_no_lease_is_refused(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct lease old = l;
    struct sample m;
    struct finding *f = sample_of(&m, 'a');
    struct id plain;

    f->at.path = "../a.c";
    CHECK_ERR(store_finding_add(s, &l, f, ERR), ERR_INVALID);
    f->at.path = "a.c";
    old.token++;
    CHECK_ERR(store_finding_add(s, &old, f, ERR), ERR_FENCED);
    CHECK_OK(store_finding_add(s, &l, f, ERR));
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    CHECK_ERR(store_finding_add(s, &l, f, ERR), ERR_FENCED);
    check_scan(s, &id, "a=new ");
    plain = add(s);
    l = claim(s);
    CHECK_ERR(store_finding_add(s, &l, f, ERR), ERR_CONFLICT);
    CHECK_ERR(store_repo_scan(s, num_of(s, &plain), &(struct repo_scan){0}, ERR), ERR_NOT_FOUND);
    CHECK_ERR(
        store_findings(s, num_of(s, &plain), &(struct finding_filter){0}, note_row, NULL, ERR),
        ERR_NOT_FOUND);
}

static void what_a_lost_run_reported_is_gone_and_nothing_is_there_twice(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct repo_scan r;

    report(s, &l, "abc");
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_lost(s, &l, TASK_BEAT_ANY, NULL, ERR));
    check_scan(s, &id, "");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 0);
    repo_scan_done(&r);
    CHECK_OK(store_commit(s, ERR));
    l = claim(s);
    report(s, &l, "abcd");
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    check_scan(s, &id, "a=new b=new c=new d=new ");
    check_issues(s, NULL, "d c b a ");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 4);
    CHECK_INT(r.life[LIFE_NEW], 4);
    repo_scan_done(&r);
}

static void a_batch_from_afar_is_applied_once(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    bool fresh = false;

    for (int again = 0; again < 2; again++) {
        CHECK_OK(store_task_report(s, &l, 1, &fresh, ERR));
        CHECK_INT(fresh, !again);
        if (fresh) {
            report(s, &l, "ab");
        }
        CHECK_OK(store_commit(s, ERR));
    }
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    check_scan(s, &id, "a=new b=new ");
}

static void a_try_that_fails_leaves_no_findings_to_the_next(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct outcome o = {.state = JOB_FAILED, .reason = REASON_TOOL_FAILED, .retryable = true};
    int64_t next;

    report(s, &l, "ab");
    CHECK_OK(store_task_finish(s, &l, &o, clock_us + 5, NULL, ERR));
    CHECK_INT(state_of(s, &id), JOB_SCHEDULED);
    check_scan(s, &id, "");
    CHECK_OK(store_task_due(s, clock_us + 5, &next, ERR));
    l = claim(s);
    report(s, &l, "b");
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    check_scan(s, &id, "b=new ");
    check_issues(s, NULL, "b ");
}

/* ---- from scan to scan ---- */

static void findings_live_on_from_scan_to_scan(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "abc", SAW_ALL);
    struct finding_row r;

    check_scan(s, &id, "a=new b=new c=new ");
    clock_us = 2000;
    id = scan_with(s, REPO_A, "Bcd", SAW_ALL);
    check_scan(s, &id, "B=updated c=unchanged d=new a=fixed ");
    check_issues(s, NULL, "d c B a- ");
    r = issue_row(s, 'a');
    CHECK_INT(r.first_us, 1000);
    CHECK_INT(r.last_us, 1000);
    CHECK_INT(r.fixed_us, 2000);
    clock_us = 3000;
    id = scan_with(s, REPO_A, "aBcd", SAW_ALL);
    check_scan(s, &id, "a=reopened B=unchanged c=unchanged d=unchanged ");
    r = issue_row(s, 'a');
    CHECK(r.open);
    CHECK_INT(r.reopened, 1);
    CHECK_INT(r.first_us, 1000);
    CHECK_INT(r.last_us, 3000);
    CHECK_INT(r.fixed_us, 0);
    CHECK(memcmp(&r.job, &id, sizeof id) == 0);
}

static void an_old_scan_tells_what_it_told_then(struct store *s)
{
    struct id first = scan_with(s, REPO_A, "ab", SAW_ALL);
    struct id second = scan_with(s, REPO_A, "b", SAW_ALL);

    scan_with(s, REPO_A, "abc", SAW_ALL);
    check_scan(s, &first, "a=new b=new ");
    check_scan(s, &second, "b=unchanged a=fixed ");
}

#define ENGINE(name, status, more) "{\"name\":\"" name "\",\"status\":\"" status "\"" more "}"
#define RUN(files, engines)                                                                       \
    "{\"assessment\":\"partial\",\"branch\":\"main\",\"files\":{" files "},\"engines\":[" engines \
    "]}"
#define WHOLE "\"skipped\":[],\"skipped_more\":0"

static void an_issue_is_only_fixed_if_its_engine_ran_and_saw_its_file(struct store *s)
{
    static const struct {
        const char *run;
        const char *want;
    } cases[] = {
        {RUN(WHOLE, ENGINE("flawfinder", "ok", "")), "fixed"},
        {RUN(WHOLE, ENGINE("flawfinder", "ok", ",\"missed\":[{\"path\":\"src/b.c\"}]")), "fixed"},
        {RUN(WHOLE, ENGINE("flawfinder", "skipped", ",\"reason\":\"no files\"")), "fixed"},
        {RUN(WHOLE, ENGINE("flawfinder", "skipped", ",\"reason\":\"not installed\"")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "partial", "")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "failed", "")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "timeout", "")), "unknown"},
        {RUN(WHOLE, ENGINE("bandit", "ok", "")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "ok", "") "," ENGINE("flawfinder", "failed", "")),
         "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "ok", ",\"missed\":[{\"path\":\"src/a.c\"}]")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "ok", ",\"missed\":[],\"missed_more\":1")), "unknown"},
        {RUN(WHOLE, ENGINE("flawfinder", "ok", ",\"missed\":7")), "unknown"},
        {RUN("\"skipped\":[{\"path\":\"src/a.c\",\"why\":\"too large\"}]",
             ENGINE("flawfinder", "ok", "")),
         "unknown"},
        {RUN("\"skipped\":[],\"skipped_more\":3", ENGINE("flawfinder", "ok", "")), "unknown"},
        {"{\"engines\":[" ENGINE("flawfinder", "ok", "") "]}", "unknown"},
        {"{\"branch\":\"main\"}", "unknown"},
        {"{\"branch\":\"main\",\"base\":\"1\",\"files\":{" WHOLE
         "},\"engines\":[" ENGINE("flawfinder", "ok", "") "]}",
         "unknown"},
        {"{\"branch\":\"main\",\"files\":{" WHOLE "},\"engines\":[" ENGINE(
             "flawfinder", "ok",
             ",\"missed\":[{\"path\":\"lib/a.c\"}]") "],\"renamed\":[{\"from\":\"src/a.c\","
                                                     "\"to\":\"lib/a.c\"}]}",
         "unknown"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *request =
            str_fmt("{\"url\":\"https://git.example/%zu\",\"branch\":\"main\"}", i);
        auto_free char *want = str_fmt("b=unchanged a=%s ", cases[i].want);
        struct id id;

        scan_with(s, request, "ab", SAW_ALL);
        id = scan_with(s, request, "b", cases[i].run);
        check_scan(s, &id, want);
        CHECK_INT(issue_row(s, 'a').open, strcmp(cases[i].want, "fixed") != 0);
    }
}

/* In one scan two engines report it, in the next only one of them, because the other one fails. */
static void every_engine_that_reported_an_issue_must_miss_it(struct store *s)
{
    static const char both[] = RUN(WHOLE, ENGINE("flawfinder", "ok", "") "," ENGINE("x", "ok", ""));
    static const char one[] =
        RUN(WHOLE, ENGINE("flawfinder", "ok", "") "," ENGINE("x", "failed", ""));
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct sample m;
    struct finding *f = sample_of(&m, 'a');

    f->engines[f->n_engines++] = (struct finding_engine){.name = "x"};
    CHECK_OK(store_finding_add(s, &l, f, ERR));
    end_scan(s, &l, JOB_COMPLETED, both);
    scan_with(s, REPO_A, "a", one);
    id = scan_with(s, REPO_A, "", one);
    check_scan(s, &id, "a=unknown ");
    scan_with(s, REPO_A, "a", both); /* x was asked again, and does not say so any more */
    id = scan_with(s, REPO_A, "", one);
    check_scan(s, &id, "a=fixed ");
}

static void a_scan_that_did_not_complete_changes_no_issue(struct store *s)
{
    static const enum job_state ends[] = {JOB_FAILED, JOB_CANCELLED, JOB_TIMED_OUT};
    struct finding_row before;
    struct id id;

    scan_with(s, REPO_A, "ab", SAW_ALL);
    before = issue_row(s, 'a');
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct lease l;

        clock_us += 10;
        id = submit(s, "{\"url\":\"https://git.example/a\",\"branch\":\"main\"}");
        l = claim(s);
        report(s, &l, "ac");
        end_scan(s, &l, ends[i], SAW_ALL);
        check_scan(s, &id, "a=unchanged c=new b=unknown ");
        check_issues(s, NULL, "b a ");
        CHECK_INT(issue_row(s, 'a').rev, before.rev);
        CHECK_INT(issue_row(s, 'a').last_us, before.last_us);
    }
    scan_with(s, "{\"url\":\"https://git.example/a\",\"branch\":\"main\"}", "a", SAW_ALL);
    check_issues(s, NULL, "b- a ");
}

static void a_scan_that_was_submitted_earlier_and_ends_later_changes_nothing(struct store *s)
{
    struct id late;
    struct lease l;
    struct repo_row;

    scan_with(s, REPO_A, "ab", SAW_ALL);
    late = submit(s, REPO_A);
    l = claim(s);
    scan_with(s, REPO_A, "a", SAW_ALL);
    check_issues(s, NULL, "b- a ");
    report(s, &l, "bc");
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    check_scan(s, &late, "b=reopened c=new a=fixed ");
    check_issues(s, NULL, "b- a ");
}

static void lines_of_scans_do_not_mix(struct store *s)
{
    static const char dev[] = "{\"branch\":\"dev\",\"files\":{" WHOLE
                              "},\"engines\":[" ENGINE("flawfinder", "ok", "") "]}";
    struct finding_filter f = all_findings();
    struct id id = scan_with(s, REPO_A, "a", SAW_ALL);

    id = scan_with(s, REPO_A, "b", dev); /* the remote's HEAD is another branch now */
    check_scan(s, &id, "b=new ");
    id = scan_with(s, "{\"url\":\"https://git.example/a\",\"subdir\":\"lib\"}", "c", SAW_ALL);
    check_scan(s, &id, "c=new ");
    id = scan_with(s, "{\"url\":\"https://git.example/ab\"}", "d", SAW_ALL);
    check_scan(s, &id, "d=new ");
    check_issues(s, NULL, "d c b a ");
    f.url = "https://git.example/a";
    check_issues(s, &f, "c b a ");
    f.branch = "main";
    check_issues(s, &f, "c a ");
    f.url = NULL;
    check_issues(s, &f, "d c a ");
    f.branch = "none";
    check_issues(s, &f, "");
    id = scan_with(s, "{\"url\":\"https://git.example/a\",\"branch\":\"main\"}", "a", SAW_ALL);
    check_scan(s, &id, "a=unchanged ");
}

static void a_scan_of_a_difference_fixes_nothing(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "ab", SAW_ALL);

    id = scan_with(s, "{\"url\":\"https://git.example/a\",\"base\":\"1\"}", "ac", SAW_ALL);
    check_scan(s, &id, "a=unchanged c=new b=unknown ");
    check_issues(s, NULL, "c b a ");
}

static void a_baseline_changes_what_is_told_and_not_what_is_kept(struct store *s)
{
    struct id first = scan_with(s, REPO_A, "ab", SAW_ALL);
    char text[ID_TEXT + 1];
    auto_free char *request = NULL;
    struct repo_scan r;
    struct id id;

    scan_with(s, REPO_A, "bc", SAW_ALL);
    id_text(&first, text);
    request = str_fmt("{\"url\":\"https://git.example/a\",\"baseline\":\"%s\"}", text);
    id = scan_with(s, request, "cd", SAW_ALL);
    check_scan(s, &id, "c=new d=new a=fixed b=fixed ");
    check_issues(s, NULL, "d c b- a- ");
    r = figures_of(s, &id);
    CHECK(memcmp(&r.baseline, &first, sizeof first) == 0);
    CHECK_INT(r.life[LIFE_NEW], 2);
    CHECK_INT(r.life[LIFE_FIXED], 2);
    repo_scan_done(&r);
    id = scan_with(s, "{\"url\":\"https://git.example/a\",\"baseline\":\"none\"}", "ad", SAW_ALL);
    check_scan(s, &id, "a=new d=new ");
    check_issues(s, NULL, "d c- b- a ");
    CHECK_INT(issue_row(s, 'a').life, LIFE_REOPENED);
    CHECK_OK(store_job_delete(s, &first, ERR));
    id = scan_with(s, request, "d", SAW_ALL); /* as if none had been asked for */
    check_scan(s, &id, "d=unchanged a=fixed ");
    r = figures_of(s, &id);
    CHECK(id_is_zero(&r.baseline));
    repo_scan_done(&r);
}

static void a_scan_that_finds_nothing_more_has_fixed_all(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "ab", SAW_ALL);
    struct repo_scan r;

    id = scan_with(s, REPO_A, "", SAW_ALL);
    check_scan(s, &id, "a=fixed b=fixed ");
    r = figures_of(s, &id);
    CHECK(r.complete && r.ended);
    CHECK_STR(r.level, "none");
    CHECK_STR(r.branch, "main");
    CHECK_STR(r.commit, "c1");
    CHECK_INT(r.life[LIFE_FIXED], 2);
    CHECK_INT(r.by_life[SEVERITY_HIGH][LIFE_FIXED], 2);
    repo_scan_done(&r);
}

/* ---- decisions ---- */

static void what_is_triaged_away_does_not_count(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "abc", SAW_ALL);
    struct repo_scan r;

    decide_on(s, 'a', TRIAGE_FALSE_POSITIVE, 0);
    decide_on(s, 'b', TRIAGE_ACKNOWLEDGED, 0);
    check_scan(s, &id, "a=new! b=new c=new ");
    check_issues(s, NULL, "c b a! ");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 2);
    CHECK_INT(r.by_life[SEVERITY_HIGH][LIFE_NEW], 2);
    CHECK_INT(r.life[LIFE_NEW], 3);
    CHECK_INT(r.triaged, 1);
    repo_scan_done(&r);
    id = scan_with(s, REPO_A, "abc", SAW_ALL);
    check_scan(s, &id, "a=unchanged! b=unchanged c=unchanged ");
    decide_on(s, 'a', TRIAGE_NONE, 0);
    check_scan(s, &id, "a=unchanged b=unchanged c=unchanged ");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 3);
    CHECK_INT(r.triaged, 0);
    repo_scan_done(&r);
}

static int note_triage(void *arg, const struct finding_row *r, struct err *e)
{
    (void)e;
    buf_addf(arg, "%s %s %s %lld %lld", triage_name(r->triage.state), r->triage.reason,
             r->triage.by, (long long)r->triage.at_us, (long long)r->triage.until_us);
    return 0;
}

static void a_decision_expires_and_then_counts_again(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "ab", SAW_ALL);
    struct finding_row row;
    struct repo_scan r;
    auto_buf text = {0};
    int64_t next = -1;

    decide_on(s, 'a', TRIAGE_ACCEPTED_RISK, 5000);
    decide_on(s, 'b', TRIAGE_ACKNOWLEDGED, 4000);
    CHECK_OK(store_triage_expire(s, 3999, &next, ERR));
    CHECK_INT(next, 4000);
    check_scan(s, &id, "a=new! b=new ");
    row = issue_row(s, 'a');
    CHECK_OK(store_triage_expire(s, 5000, &next, ERR));
    CHECK_INT(next, 0);
    check_scan(s, &id, "a=new b=new ");
    CHECK_INT(issue_row(s, 'a').rev, row.rev + 1);
    CHECK_INT(issue_row(s, 'a').triage.state, TRIAGE_NONE);
    CHECK_OK(store_issue(s, &row.issue, note_triage, &text, ERR));
    CHECK_STR(text.data, "open because ann 1000 5000"); /* what was said is still known */
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 2);
    CHECK_INT(r.triaged, 0);
    repo_scan_done(&r);
}

static void a_decision_is_refused_if_it_says_too_little_or_the_issue_has_changed(struct store *s)
{
    auto_free char *longest = xmalloc(1026);
    struct triage_note n = {.state = TRIAGE_FALSE_POSITIVE, .by = "ann"};
    struct finding_row r;
    struct id unknown = id_new();
    uint64_t rev = 0;

    memset(longest, 'x', 1025);
    longest[1025] = '\0';
    scan_with(s, REPO_A, "a", SAW_ALL);
    r = issue_row(s, 'a');
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "reason"));
    n.reason = "";
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.reason = longest;
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.reason = "\xff";
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.reason = longest + 1;
    n.by = NULL;
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.by = "ann";
    n.until_us = clock_us;
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.until_us = 0;
    n.state = TRIAGES;
    CHECK_ERR(store_triage(s, &r.issue, 0, &n, NULL, ERR), ERR_INVALID);
    n.state = TRIAGE_FALSE_POSITIVE;
    CHECK_ERR(store_triage(s, &unknown, 0, &n, NULL, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_triage(s, &r.issue, r.rev + 1, &n, NULL, ERR), ERR_CONFLICT);
    CHECK_OK(store_triage(s, &r.issue, r.rev, &n, &rev, ERR));
    CHECK_INT(rev, r.rev + 1);
    CHECK_ERR(store_triage(s, &r.issue, r.rev, &n, NULL, ERR), ERR_CONFLICT);
    n = (struct triage_note){.state = TRIAGE_ACKNOWLEDGED};
    CHECK_OK(store_triage(s, &r.issue, 0, &n, NULL, ERR));
    scan_with(s, REPO_A, "a", SAW_ALL);
    CHECK_ERR(store_triage(s, &r.issue, r.rev + 2, &n, NULL, ERR), ERR_CONFLICT);
}

static void a_new_issue_takes_over_what_was_decided_in_another_line(struct store *s)
{
    static const char dev[] = "{\"url\":\"https://git.example/a\",\"subdir\":\"dev\"}";
    struct id id;

    scan_with(s, REPO_A, "abc", SAW_ALL);
    decide_on(s, 'a', TRIAGE_ACCEPTED_RISK, 9000);
    decide_on(s, 'b', TRIAGE_FALSE_POSITIVE, 2000);
    clock_us = 3000; /* what was said of b is not in force any more */
    id = scan_with(s, dev, "abcd", SAW_ALL);
    check_scan(s, &id, "a=new! b=new c=new d=new ");
    CHECK_INT(issue_row(s, 'a').triage.until_us, 9000);
    id = scan_with(s, "{\"url\":\"https://git.example/other\"}", "a", SAW_ALL);
    check_scan(s, &id, "a=new ");
    CHECK_OK(store_triage_expire(s, 9000, NULL, ERR));
    check_issues(s, NULL, "a d c b a c b a ");
}

/* ---- lists ---- */

static void issues_are_filtered(struct store *s)
{
    struct finding_filter f = all_findings();
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct sample m;
    struct finding *x = sample_of(&m, 'a');

    CHECK_OK(store_finding_add(s, &l, x, ERR));
    x = sample_of(&m, 'b');
    x->severity = SEVERITY_LOW;
    x->at.path = "lib/deep/b.c";
    CHECK_OK(store_finding_add(s, &l, x, ERR));
    x = sample_of(&m, 'c');
    x->severity = SEVERITY_CRITICAL;
    x->engines[x->n_engines++] = (struct finding_engine){.name = "claude"};
    x->cwe[x->n_cwe++] = 7;
    x->message = "an UNUSUAL thing";
    CHECK_OK(store_finding_add(s, &l, x, ERR));
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    f.severity_min = SEVERITY_HIGH;
    check_issues(s, &f, "c a ");
    f.severity_min = SEVERITY_CRITICAL;
    check_issues(s, &f, "c ");
    f = all_findings();
    f.engine = "claude";
    check_issues(s, &f, "c ");
    f.engine = "claud";
    check_issues(s, &f, "");
    f = all_findings();
    f.rule = "rule-b";
    check_issues(s, &f, "b ");
    f = all_findings();
    f.path = "lib/";
    check_issues(s, &f, "b ");
    f.path = "lib";
    check_issues(s, &f, "");
    f.path = "src/a.c";
    check_issues(s, &f, "a ");
    f = all_findings();
    f.cwe = 7;
    check_issues(s, &f, "c ");
    f.cwe = 100 + 'b';
    check_issues(s, &f, "b ");
    f = all_findings();
    f.text = "unusual";
    check_issues(s, &f, "c ");
    f.text = "LIB/DEEP";
    check_issues(s, &f, "b ");
    f.text = "title of";
    check_issues(s, &f, "c b a ");
    decide_on(s, 'b', TRIAGE_ACCEPTED_RISK, 0);
    f = all_findings();
    f.triage = TRIAGE_ACCEPTED_RISK;
    check_issues(s, &f, "b! ");
    f.triage = TRIAGE_NONE;
    check_issues(s, &f, "c a ");
    f = all_findings();
    f.counts = 0;
    check_issues(s, &f, "b! ");
    f.counts = 1;
    check_issues(s, &f, "c a ");
    f.lives = 1u << LIFE_FIXED;
    check_issues(s, &f, "");
    f = all_findings();
    f.open = 0;
    check_issues(s, &f, "");
    f.open = 1;
    check_issues(s, &f, "c b! a ");
    f = all_findings();
    f.severity_min = SEVERITY_HIGH;
    f.rule = "rule-a";
    f.engine = "flawfinder";
    f.url = "https://git.example/a";
    check_issues(s, &f, "a ");
    (void)id;
}

/* Each page as a word. */
static void check_pages(struct store *s, struct finding_filter f, const char *want)
{
    auto_buf got = {0};
    int64_t next = 0;

    f.next = &next;
    do {
        CHECK_OK(store_issues(s, &f, note_issue, &got, ERR));
        buf_adds(&got, "| ");
        f.after = next;
    } while (next != 0);
    CHECK_STR(got.data, want);
}

static void lists_are_paged_without_a_gap(struct store *s)
{
    struct finding_filter f = all_findings();
    struct id id = scan_with(s, REPO_A, "abcdefg", SAW_ALL);
    auto_buf got = {0};
    int64_t next = 0;

    f.limit = 3;
    check_pages(s, f, "g f e | d c b | a | ");
    f.limit = 7;
    check_pages(s, f, "g f e d c b a | ");
    id = scan_with(s, REPO_A, "aceg", SAW_ALL);
    f.limit = 2;
    check_pages(s, f, "g f- | e d- | c b- | a | ");
    f.open = 0;
    check_pages(s, f, "f- d- | b- | ");
    f = all_findings();
    f.limit = 2;
    f.next = &next;
    f.lives = (1u << LIFES) - 1;
    do {
        CHECK_OK(store_findings(s, num_of(s, &id), &f, note_row, &got, ERR));
        buf_adds(&got, "| ");
        f.after = next;
    } while (next != 0);
    CHECK_STR(got.data, "a=unchanged c=unchanged | e=unchanged g=unchanged | b=fixed d=fixed | "
                        "f=fixed | ");
}

static int note_repo(void *arg, const struct repo_row *r, struct err *e)
{
    (void)e;
    buf_addf(arg, "%s %s %s %lld/%lld %s; ", r->url + strlen("https://git.example/"), r->branch,
             r->subdir, (long long)r->open_counting, (long long)r->open, r->level);
    return 0;
}

static int note_cursor(void *arg, const struct repo_row *r, struct err *e)
{
    (void)e;
    snprintf(arg, 200, "%s", r->cursor);
    return 0;
}

static void repositories_are_listed_by_address(struct store *s)
{
    auto_buf got = {0};
    char cursor[200] = "";

    scan_with(s, "{\"url\":\"https://git.example/b\"}", "", SAW_ALL);
    scan_with(s, "{\"url\":\"https://git.example/a\",\"subdir\":\"x\"}", "abc", SAW_ALL);
    scan_with(s, REPO_A, "ab", SAW_ALL);
    decide_on(s, 'c', TRIAGE_FALSE_POSITIVE, 0);
    CHECK_OK(store_repos(s, NULL, 0, note_repo, &got, ERR));
    CHECK_STR(got.data, "a main  2/2 high; a main x 2/3 high; b main  0/0 none; ");
    buf_reset(&got);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(store_repos(s, cursor, 1, note_repo, &got, ERR));
        CHECK_OK(store_repos(s, cursor, 1, note_cursor, cursor, ERR));
    }
    CHECK_STR(got.data, "a main  2/2 high; a main x 2/3 high; b main  0/0 none; ");
}

/* ---- events ---- */

static int note_event(void *arg, const struct event *ev, struct err *e)
{
    (void)e;
    if (strncmp(ev->type, "job.", 4) != 0 || strcmp(ev->type, "job.findings") == 0) {
        buf_addf(arg, "%s %s\n", ev->type, ev->data);
    }
    return 0;
}

static void the_end_of_a_scan_and_decisions_are_told(struct store *s)
{
    auto_buf got = {0};
    auto_free char *want = NULL;
    char text[ID_TEXT + 1];
    struct finding_row r;

    scan_with(s, REPO_A, "ab", SAW_ALL);
    CHECK_OK(store_events(s, 0, 0, note_event, &got, ERR));
    CHECK_STR(got.data, "job.findings {\"state\":\"running\",\"rev\":3,\"findings\":2}\n"
                        "repo.findings {\"state\":\"running\",\"rev\":4,\"new\":2,\"unchanged\":0,"
                        "\"updated\":0,\"reopened\":0,\"fixed\":0,\"unknown\":0,\"triaged\":0,"
                        "\"level\":\"high\",\"complete\":true}\n");
    buf_reset(&got);
    r = issue_row(s, 'a');
    id_text(&r.issue, text);
    want =
        str_fmt("finding.triage {\"issue\":\"%s\",\"triage\":\"accepted_risk\",\"issue_rev\":2}\n"
                "finding.triage {\"issue\":\"%s\",\"triage\":\"open\",\"issue_rev\":3,"
                "\"expired\":true}\n",
                text, text);
    decide_on(s, 'a', TRIAGE_ACCEPTED_RISK, 5000);
    CHECK_OK(store_triage_expire(s, 5000, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_events(s, store_event_last(s) - 2, 0, note_event, &got, ERR));
    CHECK_STR(got.data, want);
}

/* ---- what goes ---- */

static void purge_all(struct store *s)
{
    bool more = true;

    while (more) {
        char *path = NULL;
        int64_t id;

        CHECK_OK(store_purge_step(s, 2, &more, &path, &id, ERR));
        CHECK_STR(path, NULL);
        CHECK_OK(store_commit(s, ERR));
    }
}

static void issues_outlive_the_jobs_that_reported_them(struct store *s)
{
    struct id first = scan_with(s, REPO_A, "abc", SAW_ALL);
    struct id second = scan_with(s, REPO_A, "bc", SAW_ALL);

    CHECK_OK(store_job_delete(s, &first, ERR));
    purge_all(s);
    check_issues(s, NULL, "c b a- ");
    check_scan(s, &second, "b=unchanged c=unchanged a=fixed ");
    second = scan_with(s, REPO_A, "abc", SAW_ALL);
    check_scan(s, &second, "a=reopened b=unchanged c=unchanged ");
    check_issues(s, NULL, "c b a ");
}

static void with_the_last_job_of_a_line_go_the_issues_that_nobody_decided_on(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "abc", SAW_ALL);
    struct finding_row a = issue_row(s, 'a');
    struct finding_row b;
    auto_buf got = {0};

    decide_on(s, 'b', TRIAGE_FALSE_POSITIVE, 0);
    b = issue_row(s, 'b');
    CHECK_OK(store_job_delete(s, &id, ERR));
    check_issues(s, NULL, "b! ");
    CHECK_ERR(store_issue(s, &a.issue, note_issue, &got, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_triage(s, &a.issue, 0, &(struct triage_note){0}, NULL, ERR), ERR_NOT_FOUND);
    CHECK_OK(store_repos(s, NULL, 0, note_repo, &got, ERR));
    CHECK_STR(got.data, "a main  0/1 none; ");
    CHECK_OK(store_commit(s, ERR));
    purge_all(s);
    check_issues(s, NULL, "b! ");
    id = scan_with(s, REPO_A, "ab", SAW_ALL);
    check_scan(s, &id, "a=new b=unchanged! ");
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_OK(store_triage(s, &b.issue, 0, &(struct triage_note){0}, NULL, ERR));
    check_issues(s, NULL, "");
    buf_reset(&got);
    CHECK_OK(store_repos(s, NULL, 0, note_repo, &got, ERR));
    CHECK_STR(got.data, "");
    purge_all(s);
    check_issues(s, NULL, "");
}

static void findings_of_a_scan_that_is_read_again_replace_the_old_ones(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "ab", SAW_ALL);
    struct repo_scan r;
    struct lease l;

    scan_with(s, REPO_A, "ac", SAW_ALL);
    id = scan_with(s, REPO_A, "ad", SAW_ALL);
    check_scan(s, &id, "a=unchanged d=new c=fixed ");
    CHECK_OK(store_reparse_begin(s, &id, &l, ERR));
    report(s, &l, "xda");
    check_scan(s, &id, "a=unchanged d=new c=fixed ");
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_reparse_end(s, &l, false, SAW_ALL, ERR));
    check_scan(s, &id, "x=new d=new a=unchanged c=fixed ");
    check_issues(s, NULL, "d c- b- a ");
    r = figures_of(s, &id);
    CHECK_INT(r.counts[SEVERITY_HIGH], 3);
    CHECK_INT(r.life[LIFE_FIXED], 1);
    repo_scan_done(&r);
    CHECK_OK(store_commit(s, ERR));
    purge_all(s);
    check_scan(s, &id, "x=new d=new a=unchanged c=fixed ");
    check_issues(s, NULL, "d c- b- a ");
    CHECK_OK(store_reparse_begin(s, &id, &l, ERR));
    report(s, &l, "y");
    CHECK_OK(store_reparse_abandon(s, &l, ERR));
    check_scan(s, &id, "x=new d=new a=unchanged c=fixed ");
}

static void a_broken_turn_undoes_the_end_of_a_scan(struct store *s)
{
    struct id id = scan_with(s, REPO_A, "ab", SAW_ALL);
    struct lease l;

    id = submit(s, REPO_A);
    l = claim(s);
    report(s, &l, "bc");
    CHECK_OK(store_commit(s, ERR));
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    check_issues(s, NULL, "c b a- ");
    store_fail(s, ERR_FULL, "disk is full");
    store_change_end(s, ERR_FULL, NULL);
    CHECK_ERR(store_commit(s, ERR), ERR_FULL);
    check_issues(s, NULL, "b a ");
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
    check_scan(s, &id, "b=new c=new ");
    end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
    CHECK_OK(store_commit(s, ERR));
    check_issues(s, NULL, "c b a- ");
    check_scan(s, &id, "b=unchanged c=new a=fixed ");
}

static void the_oldest_that_are_fixed_go_when_a_line_has_too_many_issues(struct store *s)
{
    struct id id;

    s->line_issues_max = 5;
    scan_with(s, REPO_A, "abcd", SAW_ALL);
    decide_on(s, 'b', TRIAGE_ACKNOWLEDGED, 0);
    scan_with(s, REPO_A, "d", SAW_ALL);
    check_issues(s, NULL, "d c- b- a- ");
    scan_with(s, REPO_A, "def", SAW_ALL);
    check_issues(s, NULL, "f e d c- b- ");
    scan_with(s, REPO_A, "defgh", SAW_ALL);
    check_issues(s, NULL, "h g f e d b- "); /* what somebody wrote of stays, and what is open */
    id = scan_with(s, REPO_A, "abdefgh", SAW_ALL);
    check_scan(s, &id,
               "a=new b=reopened d=unchanged e=unchanged f=unchanged g=unchanged "
               "h=unchanged ");
}

static void a_scan_has_no_more_findings_than_its_bound(struct store *s)
{
    struct id id = submit(s, REPO_A);
    struct lease l = claim(s);
    struct sample m;
    struct finding *f = sample_of(&m, 'a');

    for (int i = 0; i < SCAN_FINDINGS_MAX; i++) {
        snprintf(f->identity.primary, PRINT_TEXT, "%032x", i + 1);
        CHECK_OK(store_finding_add(s, &l, f, ERR));
    }
    CHECK_ERR(store_finding_add(s, &l, f, ERR), ERR_LIMIT);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_lost(s, &l, TASK_BEAT_ANY, NULL, ERR));
    check_scan(s, &id, "");
}

BOTH(what_a_scan_was_asked_for_is_checked_and_goes_with_the_claim)
BOTH(findings_show_while_the_scan_runs_and_are_counted)
BOTH(a_finding_is_read_back_as_it_came)
BOTH(a_finding_that_breaks_a_rule_or_has_no_lease_is_refused)
BOTH(what_a_lost_run_reported_is_gone_and_nothing_is_there_twice)
BOTH(a_batch_from_afar_is_applied_once)
BOTH(a_try_that_fails_leaves_no_findings_to_the_next)
BOTH(findings_live_on_from_scan_to_scan)
BOTH(an_old_scan_tells_what_it_told_then)
BOTH(an_issue_is_only_fixed_if_its_engine_ran_and_saw_its_file)
BOTH(every_engine_that_reported_an_issue_must_miss_it)
BOTH(a_scan_that_did_not_complete_changes_no_issue)
BOTH(a_scan_that_was_submitted_earlier_and_ends_later_changes_nothing)
BOTH(lines_of_scans_do_not_mix)
BOTH(a_scan_of_a_difference_fixes_nothing)
BOTH(a_baseline_changes_what_is_told_and_not_what_is_kept)
BOTH(a_scan_that_finds_nothing_more_has_fixed_all)
BOTH(what_is_triaged_away_does_not_count)
BOTH(a_decision_expires_and_then_counts_again)
BOTH(a_decision_is_refused_if_it_says_too_little_or_the_issue_has_changed)
BOTH(a_new_issue_takes_over_what_was_decided_in_another_line)
BOTH(issues_are_filtered)
BOTH(lists_are_paged_without_a_gap)
BOTH(repositories_are_listed_by_address)
BOTH(the_end_of_a_scan_and_decisions_are_told)
BOTH(issues_outlive_the_jobs_that_reported_them)
BOTH(with_the_last_job_of_a_line_go_the_issues_that_nobody_decided_on)
BOTH(findings_of_a_scan_that_is_read_again_replace_the_old_ones)
BOTH(a_broken_turn_undoes_the_end_of_a_scan)
BOTH(the_oldest_that_are_fixed_go_when_a_line_has_too_many_issues)
BOTH(a_scan_has_no_more_findings_than_its_bound)

TESTS(OF_BOTH(what_a_scan_was_asked_for_is_checked_and_goes_with_the_claim),
      OF_BOTH(findings_show_while_the_scan_runs_and_are_counted),
      OF_BOTH(a_finding_is_read_back_as_it_came),
      OF_BOTH(a_finding_that_breaks_a_rule_or_has_no_lease_is_refused),
      OF_BOTH(what_a_lost_run_reported_is_gone_and_nothing_is_there_twice),
      OF_BOTH(a_batch_from_afar_is_applied_once),
      OF_BOTH(a_try_that_fails_leaves_no_findings_to_the_next),
      OF_BOTH(findings_live_on_from_scan_to_scan), OF_BOTH(an_old_scan_tells_what_it_told_then),
      OF_BOTH(an_issue_is_only_fixed_if_its_engine_ran_and_saw_its_file),
      OF_BOTH(every_engine_that_reported_an_issue_must_miss_it),
      OF_BOTH(a_scan_that_did_not_complete_changes_no_issue),
      OF_BOTH(a_scan_that_was_submitted_earlier_and_ends_later_changes_nothing),
      OF_BOTH(lines_of_scans_do_not_mix), OF_BOTH(a_scan_of_a_difference_fixes_nothing),
      OF_BOTH(a_baseline_changes_what_is_told_and_not_what_is_kept),
      OF_BOTH(a_scan_that_finds_nothing_more_has_fixed_all),
      OF_BOTH(what_is_triaged_away_does_not_count),
      OF_BOTH(a_decision_expires_and_then_counts_again),
      OF_BOTH(a_decision_is_refused_if_it_says_too_little_or_the_issue_has_changed),
      OF_BOTH(a_new_issue_takes_over_what_was_decided_in_another_line),
      OF_BOTH(issues_are_filtered), OF_BOTH(lists_are_paged_without_a_gap),
      OF_BOTH(repositories_are_listed_by_address),
      OF_BOTH(the_end_of_a_scan_and_decisions_are_told),
      OF_BOTH(issues_outlive_the_jobs_that_reported_them),
      OF_BOTH(with_the_last_job_of_a_line_go_the_issues_that_nobody_decided_on),
      OF_BOTH(findings_of_a_scan_that_is_read_again_replace_the_old_ones),
      OF_BOTH(a_broken_turn_undoes_the_end_of_a_scan),
      OF_BOTH(the_oldest_that_are_fixed_go_when_a_line_has_too_many_issues),
      OF_BOTH(a_scan_has_no_more_findings_than_its_bound))
