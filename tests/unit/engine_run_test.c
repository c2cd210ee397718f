#include "repo/engine_run.h"

#include "repo/agreement.h"
#include "repo/start.h"
#include "tap.h"

/* ---- an engine that only exists on paper ---- */

static int fake_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    (void)e;
    strvec_push(argv, a->program);
    strvec_push(argv, a->list_file);
    return 0;
}

static int tree_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    (void)e;
    strvec_push(argv, a->program);
    strvec_push(argv, ENGINE_TREE);
    return 0;
}

static const struct engine by_list = {
    .tool = {.name = "fake"}, .languages = LANG_C, .build_argv = fake_argv, .chunk = 400};
static const struct engine by_tree = {
    .tool = {.name = "fake"}, .languages = LANG_ANY, .build_argv = tree_argv};
static const struct engine agent = {
    .tool = {.name = "agent"}, .languages = LANG_ANY, .network = true, .build_argv = tree_argv};

struct world {
    struct survey survey;
    struct survey_file *files;
    char (*names)[32];
};

static void world_make(struct world *w, size_t n)
{
    *w = (struct world){.files = xcalloc(n, sizeof *w->files), .names = xcalloc(n, 32)};
    for (size_t i = 0; i < n; i++) {
        snprintf(w->names[i], 32, "f%06zu.c", i);
        w->files[i].file = (struct engine_file){.path = w->names[i], .size = 1, .language = LANG_C};
    }
    w->survey.files = w->files;
    w->survey.n = n;
}

static void world_done(struct world *w)
{
    free(w->files);
    free(w->names);
}

static bool all_count(void *arg, const struct survey_file *f)
{
    (void)arg;
    (void)f;
    return true;
}

static void plan(struct engine_run *r, const struct engine *en, const struct world *w)
{
    *r = (struct engine_run){
        .engine = en, .program = xstrdup("/usr/bin/fake"), .passes = 1, .missed_room = 1 << 20};
    engine_run_plan(r, &w->survey, all_count, NULL);
}

static void end_ok(struct engine_run *r, const struct piece *p, size_t findings)
{
    struct haul h = {0};
    const struct outcome o = {.haul = &h};

    for (size_t i = 0; i < findings; i++) {
        haul_add(&h, &(struct finding){.rule = "other",
                                       .title = "t",
                                       .at = {.path = r->files[p->from].path, .line = 1}});
    }
    engine_run_ended(r, p, &o);
    haul_done(&h);
}

static void end_failed(struct engine_run *r, const struct piece *p, const char *why)
{
    struct haul h = {0};
    const struct outcome o = {.haul = &h, .failed = true, .why = why};

    engine_run_ended(r, p, &o);
}

/* Runs it; a start that has file `bad` fails. How many starts there were. */
static unsigned run_all(struct engine_run *r, size_t bad)
{
    struct piece p;
    unsigned starts = 0;

    while (engine_run_next(r, &p)) {
        starts++;
        if (bad >= p.from && bad < p.from + p.n) {
            end_failed(r, &p, "was ended by signal 11");
        } else {
            end_ok(r, &p, 1);
        }
    }
    engine_run_close(r);
    return starts;
}

/* ---- tests ---- */

static void files_come_in_pieces_and_each_once(void)
{
    struct engine_run r;
    struct world w;

    world_make(&w, 1000);
    plan(&r, &by_list, &w);
    CHECK_INT(r.n_files, 1000);
    CHECK_INT(run_all(&r, SIZE_MAX), 3);
    CHECK_INT(r.status, ENGINE_OK);
    CHECK_INT(r.findings, 3);
    CHECK(engine_run_complete(&r));
    engine_run_done(&r);
    world_done(&w);
}

static void the_one_bad_file_is_found_and_missed(void)
{
    for (size_t bad = 0; bad < 1000; bad += 111) {
        struct engine_run r;
        struct world w;

        world_make(&w, 1000);
        plan(&r, &by_list, &w);
        CHECK(run_all(&r, bad) <= 3 + 2 * 9);
        CHECK_INT(r.status, ENGINE_OK);
        CHECK_INT(r.n_missed, 1);
        CHECK_STR(r.missed[0].path, w.names[bad]);
        CHECK_STR(r.missed[0].why, "was ended by signal 11");
        CHECK(r.reason == NULL);
        CHECK(!engine_run_complete(&r));
        engine_run_done(&r);
        world_done(&w);
    }
}

static void an_engine_that_always_fails_is_given_up(void)
{
    struct engine_run r;
    struct world w;
    struct piece p;
    unsigned starts = 0;

    world_make(&w, 100000);
    plan(&r, &by_list, &w);
    while (engine_run_next(&r, &p)) {
        starts++;
        end_failed(&r, &p, "no luck");
    }
    engine_run_close(&r);
    CHECK_INT(starts, FAILED_FROM_THE_START_MAX);
    CHECK_INT(r.status, ENGINE_FAILED);
    CHECK_STR(r.reason, "no luck");
    CHECK_INT(r.n_missed, 0);
    engine_run_done(&r);
    world_done(&w);
}

static void an_engine_that_is_told_the_tree_is_not_started_again(void)
{
    struct engine_run r;
    struct world w;

    world_make(&w, 1000);
    plan(&r, &by_tree, &w);
    CHECK_INT(run_all(&r, 500), 1);
    CHECK_INT(r.status, ENGINE_FAILED);
    engine_run_done(&r);
    world_done(&w);
}

static void an_agent_is_never_started_again_for_a_failure(void)
{
    struct engine_run r;
    struct world w;

    world_make(&w, 10);
    plan(&r, &agent, &w);
    CHECK_INT(run_all(&r, 5), 1);
    CHECK_INT(r.status, ENGINE_FAILED);
    CHECK_INT(r.n_missed, 0);
    engine_run_done(&r);
    world_done(&w);
}

static void what_is_not_whole_is_partial(void)
{
    struct engine_run r;
    struct world w;
    struct piece p;
    struct haul h = {0};
    auto_strvec missed = {0};
    struct outcome o = {.haul = &h, .why = "stopped half-way", .missed = &missed};

    world_make(&w, 10);
    plan(&r, &by_list, &w);
    strvec_push(&missed, "f000003.c\tsyntax error");
    strvec_push(&missed, "../../etc/passwd\tit says");
    strvec_push(&missed, "f00000\tno such file");
    CHECK(engine_run_next(&r, &p));
    engine_run_ended(&r, &p, &o);
    engine_run_close(&r);
    CHECK_INT(r.status, ENGINE_PARTIAL);
    CHECK_STR(r.reason, "stopped half-way");
    CHECK_INT(r.n_missed, 1);
    CHECK_STR(r.missed[0].path, "f000003.c");
    CHECK_STR(r.missed[0].why, "syntax error");
    engine_run_done(&r);
    world_done(&w);
}

static void more_missed_files_than_are_told_make_it_partial(void)
{
    struct engine_run r;
    struct world w;
    struct piece p;
    struct haul h = {0};
    auto_strvec missed = {0};
    const struct outcome o = {.haul = &h, .missed = &missed};

    world_make(&w, 3000);
    plan(&r, &by_tree, &w);
    for (size_t i = 0; i < 1500; i++) {
        strvec_pushf(&missed, "%s\tsyntax error", w.names[i]);
    }
    CHECK(engine_run_next(&r, &p));
    engine_run_ended(&r, &p, &o);
    engine_run_close(&r);
    CHECK_INT(r.n_missed, MISSED_MAX);
    CHECK_INT(r.missed_more, 500);
    CHECK_INT(r.status, ENGINE_PARTIAL);
    engine_run_done(&r);
    world_done(&w);
}

static void time_that_is_up_is_a_timeout(void)
{
    struct engine_run r;
    struct world w;
    struct piece p;
    struct haul h = {0};
    const struct outcome o = {
        .haul = &h, .failed = true, .late = true, .over = true, .why = "took too long"};

    world_make(&w, 1000);
    plan(&r, &by_list, &w);
    CHECK(engine_run_next(&r, &p));
    engine_run_ended(&r, &p, &o);
    engine_run_give_up(&r, "there was no time left for it", true);
    CHECK(!engine_run_next(&r, &p));
    engine_run_close(&r);
    CHECK_INT(r.status, ENGINE_TIMEOUT);
    engine_run_done(&r);
    world_done(&w);
}

static void without_files_or_program_it_is_skipped(void)
{
    struct engine_run r = {.engine = &by_list, .named = true};
    struct world w;

    world_make(&w, 1);
    engine_run_plan(&r, &w.survey, all_count, NULL);
    engine_run_close(&r);
    CHECK_INT(r.status, ENGINE_SKIPPED);
    CHECK_STR(r.reason, "not installed");
    CHECK(!engine_run_complete(&r));
    engine_run_done(&r);
    w.files[0].file.language = LANG_SHELL;
    r = (struct engine_run){.engine = &by_list, .named = true};
    engine_run_plan(&r, &w.survey, all_count, NULL);
    CHECK_STR(r.reason, "no files");
    CHECK(engine_run_complete(&r));
    engine_run_done(&r);
    world_done(&w);
}

static void figures_of_passes_add_up(void)
{
    struct engine_run r = {
        .engine = &agent, .program = xstrdup("/x"), .passes = 3, .missed_room = 1 << 20};
    struct world w;
    struct piece p;
    auto_buf text = {0};
    struct json j = json_to(&text);

    world_make(&w, 2);
    engine_run_plan(&r, &w.survey, all_count, NULL);
    for (int i = 0; i < 3; i++) {
        struct haul h = {0};
        const struct outcome o = {.haul = &h,
                                  .more = "\"model\":\"m\",\"turns\":4,\"cost_usd\":0.25,"
                                          "\"status\":\"hacked\",\"list\":[1]"};

        CHECK(engine_run_next(&r, &p));
        haul_add(&h, &(struct finding){.rule = "ssrf",
                                       .title = "t",
                                       .confidence_x100 = 90,
                                       .at = {.path = "f000000.c", .line = 10 + i}});
        if (i == 1) {
            haul_add(&h, &(struct finding){.rule = "xxe",
                                           .title = "t",
                                           .confidence_x100 = 90,
                                           .at = {.path = "f000000.c", .line = 10}});
        }
        engine_run_ended(&r, &p, &o);
        haul_done(&h);
    }
    CHECK(!engine_run_next(&r, &p));
    engine_run_close(&r);
    CHECK_INT(r.findings, 2);
    CHECK_INT(r.hauls[0].v[0].confidence_x100, 90);
    CHECK_INT(r.hauls[0].v[1].confidence_x100, 30);
    engine_run_json(&r, &j);
    CHECK(strstr(text.data, "\"status\":\"ok\"") && !strstr(text.data, "hacked"));
    CHECK(strstr(text.data, "\"turns\":12") && strstr(text.data, "\"cost_usd\":0.75"));
    CHECK(strstr(text.data, "\"passes\":3") && strstr(text.data, "\"model\":\"m\""));
    engine_run_done(&r);
    world_done(&w);
}

TESTS(files_come_in_pieces_and_each_once, the_one_bad_file_is_found_and_missed,
      an_engine_that_always_fails_is_given_up, an_engine_that_is_told_the_tree_is_not_started_again,
      an_agent_is_never_started_again_for_a_failure, what_is_not_whole_is_partial,
      more_missed_files_than_are_told_make_it_partial, time_that_is_up_is_a_timeout,
      without_files_or_program_it_is_skipped, figures_of_passes_add_up)
