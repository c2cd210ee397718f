/* Planned jobs over the API: profiles, the older runtime's words, exclusions, lists, dry runs. */
#include "api_rig.h"
#include "model/request.h"
#include "store/secret.h"
#include "tool/scan_type.h"

static const char v1[] = "/api/v1/scans";

static struct profiles *profiles;
static bool facts_raw;
static const char *facts_zmap;
static unsigned dry_runs;

static void facts(void *arg, const struct target_set *t, struct plan_request *q)
{
    q->slots = 4;
    q->raw = q->have_masscan = q->have_zmap = facts_raw;
    q->zmap_version = facts_zmap;
}

static int dry_run(void *arg, const struct job *job, struct json *j, struct err *e)
{
    dry_runs++;
    CHECK(job->targets && job->num == 0);
    json_int(j, "addresses", 7);
    json_int(j, "probes", 8);
    json_int(j, "estimate_s", 9);
    json_arr_in(j, "stages");
    json_end(j);
    return 0;
}

static void begin_with(struct api_config c)
{
    if (!profiles) {
        CHECK_OK(profiles_load(NULL, &profiles, ERR));
    }
    c.profiles = profiles;
    c.plan_facts = facts;
    facts_raw = false;
    facts_zmap = NULL;
    dry_runs = 0;
    rig_start(0, &c);
}

static void begin(void)
{
    begin_with((struct api_config){0});
}

static char *make_key(const char *name, unsigned scopes)
{
    char *secret = xcalloc(1, SECRET_TEXT + 1);
    struct key k;

    key_make(name, secret, &k);
    k.scopes = scopes;
    CHECK_OK(store_key_add(rig.store, &k, ERR));
    CHECK_OK(api_keys_load(rig.api, ERR));
    return secret;
}

static int64_t jobs(void)
{
    int64_t counts[JOB_STATES];
    int64_t n = 0;

    store_job_counts(rig.store, counts);
    for (int i = 0; i < JOB_STATES; i++) {
        n += counts[i];
    }
    return n;
}

/* The job that an answer is about; job_done() it. */
static struct job job_in(const struct answer *a)
{
    auto_free char *text = member_of(a->body, "id");
    struct job job;
    struct id id;

    CHECK(id_parse(text, &id));
    job_init(&job);
    CHECK_OK(store_job_get(rig.store, &id, &job, ERR));
    return job;
}

static int count_task(void *arg, const struct task_info *t, struct err *e)
{
    struct plan_spec spec = {0};

    if (t->spec) {
        CHECK_OK(plan_spec_read(t->spec, &spec, ERR));
        CHECK(spec.tool && spec.targets);
        plan_spec_done(&spec);
        ++*(int *)arg;
    }
    return 0;
}

/* Planned ones only. */
static int tasks_of(const struct job *job)
{
    int n = 0;

    CHECK_OK(store_tasks(rig.store, job->num, -1, 1000, count_task, &n, ERR));
    return n;
}

/* ---- profiles ---- */

static void a_request_that_says_nothing_of_how_gets_the_default_profile_and_its_tasks(void)
{
    begin();
    {
        auto_answer got = ask("POST", v1, "{\"targets\":\"10.213.77.0/24\"}");
        struct job job = job_in(&got);

        CHECK_INT(got.status, 202);
        CHECK(strstr(got.body, "\"profile\":\"standard@"));
        CHECK(job.plan && job.profile);
        CHECK(tasks_of(&job) > 0);
        job_done(&job);
    }
    CHECK_INT(jobs(), 1);
    rig_stop();
}

static void whoever_names_a_tool_or_its_options_gets_one_run_of_it(void)
{
    static const char *const bodies[] = {
        "{\"targets\":\"127.0.0.1\",\"tool\":\"nmap\"}",
        "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sT\"}",
        "{\"targets\":\"127.0.0.1\",\"arguments\":\"\"}",
        "{\"targets\":\"127.0.0.1\",\"options\":{\"open_only\":true}}",
        "{\"targets\":\"127.0.0.1\",\"scan_type\":\"CONNECT_SCAN\"}",
    };

    begin();
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        auto_answer got = ask("POST", v1, bodies[i]);
        struct job job = job_in(&got);

        CHECK_INT(got.status, 202);
        CHECK(!job.plan && !job.profile);
        CHECK_STR(job.tool, "nmap");
        CHECK(strstr(got.body, "\"profile\":null"));
        job_done(&job);
    }
    {
        auto_answer old = ask("POST", "/scans", "{\"targets\":\"127.0.0.1\"}");
        auto_free char *text = member_of(old.body, "job_id");
        struct job job;
        struct id id;

        CHECK(id_parse(text, &id));
        job_init(&job);
        CHECK_OK(store_job_get(rig.store, &id, &job, ERR));
        CHECK(!job.plan);
        job_done(&job);
    }
    rig_stop();
}

static void without_profiles_everything_is_one_run(void)
{
    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", v1, "{\"targets\":\"127.0.0.1\"}");
        auto_answer named = ask("POST", v1, "{\"targets\":\"127.0.0.1\",\"profile\":\"standard\"}");
        auto_answer list = ask("GET", "/api/v1/profiles", NULL);

        CHECK_INT(got.status, 202);
        CHECK(strstr(got.body, "\"profile\":null"));
        CHECK_INT(named.status, 422);
        CHECK(strstr(named.body, "\"/profile\""));
        CHECK_STR(list.body, "{\"items\":[]}");
    }
    rig_stop();
}

static void profiles_are_listed_and_found_by_name_and_version(void)
{
    begin();
    {
        auto_answer list = ask("GET", "/api/v1/profiles", NULL);
        auto_answer one = ask("GET", "/api/v1/profiles/standard", NULL);
        auto_answer version = ask("GET", "/api/v1/profiles/standard@1", NULL);
        auto_answer none = ask("GET", "/api/v1/profiles/nothing", NULL);
        json_t *v = json_loads(list.body, 0, NULL);

        CHECK(json_array_size(json_object_get(v, "items")) >= 6);
        json_decref(v);
        CHECK_INT(one.status, 200);
        CHECK(strstr(one.body, "\"name\":\"standard\""));
        CHECK_STR(version.body, one.body);
        CHECK_INT(none.status, 404);
    }
    rig_stop();
}

static void a_profile_is_kept_with_its_version_and_done_again_by_a_retry(void)
{
    auto_free char *retry = NULL;

    begin();
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":\"10.213.77.0/28\",\"profile\":\"quick\",\"shards\":3,"
                              "\"ports\":\"80,443\",\"arguments\":\"-T4\"}");
        struct job job = job_in(&got);
        enum job_state now;

        CHECK_INT(got.status, 202);
        CHECK_STR(job.profile, "quick@1");
        CHECK_OK(sched_cancel(rig.sched, &job.id, &now, ERR));
        turns(2);
        {
            auto_free char *id = member_of(got.body, "id");
            auto_free char *path = str_fmt("/api/v1/scans/%s/retry", id);
            auto_answer again = ask("POST", path, NULL);
            struct job second = job_in(&again);

            CHECK_INT(again.status, 202);
            CHECK_STR(second.plan, job.plan);
            CHECK_STR(second.profile, "quick@1");
            CHECK_STR(second.arguments, "-T4");
            CHECK_INT(tasks_of(&second), tasks_of(&job));
            job_done(&second);
        }
        job_done(&job);
    }
    rig_stop();
}

static void raw_tools_are_chosen_only_for_keys_that_may_use_them(void)
{
    auto_free char *plain = NULL;
    auto_free char *raw = NULL;
    static const char body[] = "{\"targets\":\"10.213.77.0/24\",\"profile\":\"sweep\","
                               "\"ports\":\"80\"}";
    static const char named[] = "{\"targets\":\"10.213.77.0/24\",\"tool\":\"masscan\","
                                "\"ports\":\"80\"}";

    begin();
    facts_raw = true;
    plain = make_key("plain", KEY_READ | KEY_SUBMIT_NETWORK);
    raw = make_key("raw", KEY_READ | KEY_SUBMIT_NETWORK | KEY_RAW);
    {
        auto_answer a = ask_as(plain, "POST", v1, named);
        auto_answer b = ask_as(raw, "POST", v1, named);
        auto_answer c = ask_as(raw, "POST", v1, body);
        auto_answer d = ask_as(plain, "POST", v1, "{\"targets\":\"10.213.77.0/24\"}");
        struct job job = job_in(&b);

        CHECK_INT(a.status, 403);
        CHECK(strstr(a.body, "lacks the scope 'raw'"));
        CHECK_INT(b.status, 202);
        CHECK(job.plan && !job.profile);
        CHECK_INT(tasks_of(&job), 1);
        CHECK_INT(c.status, 202);
        CHECK_INT(d.status, 202);
        job_done(&job);
    }
    rig_stop();
}

static void a_plan_avoids_a_tool_that_the_policy_forbids_unless_it_is_named(void)
{
    begin();
    facts_raw = true;
    rig_policy_set("version: 1\n"
                   "scope:\n  allow:\n    - target: 10.213.77.0/24\n"
                   "policies:\n  - {name: default, tools: [nmap]}\n");
    {
        auto_answer chosen = ask("POST", v1, "{\"targets\":\"10.213.77.0/24\"}");
        auto_answer named = ask("POST", v1,
                                "{\"targets\":\"10.213.77.0/24\",\"tool\":\"masscan\","
                                "\"profile\":\"standard\",\"ports\":\"80\"}");
        auto_answer outside = ask("POST", v1, "{\"targets\":\"10.213.78.0/24\"}");

        CHECK_INT(chosen.status, 202);
        CHECK_INT(named.status, 403);
        CHECK(strstr(named.body, "masscan"));
        CHECK(strstr(named.body, "\"rule\":\"policy.scope\""));
        CHECK_INT(outside.status, 403);
    }
    rig_stop();
}

static void a_stage_that_cannot_run_here_is_named(void)
{
    static const struct sandbox_caps broker = {.box = "userns",
                                               .limits = "rlimit",
                                               .usable = {[EGRESS_BROKER] = true},
                                               .why = {[EGRESS_NFT] = "netd does not run"}};

    begin();
    facts_raw = true;
    rig.caps = &broker;
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":\"127.0.0.1\",\"profile\":\"standard\","
                              "\"tool\":\"masscan\",\"ports\":\"80\"}");
        auto_answer udp = ask("POST", v1, "{\"targets\":\"127.0.0.1\",\"profile\":\"udp\"}");

        CHECK_INT(got.status, 403);
        CHECK(strstr(got.body, "\"rule\":\"egress\""));
        CHECK(strstr(got.body, "the stage 'ports' (masscan)"));
        CHECK_INT(udp.status, 403);
        CHECK(strstr(udp.body, "\"rule\":\"egress\""));
    }
    CHECK_INT(jobs(), 0);
    rig_stop();
}

/* ---- every member that is wrong is named ---- */

static void each_wrong_member_is_named_by_its_pointer(void)
{
    static const struct {
        const char *members, *pointer;
    } rows[] = {
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standart\"", "/profile"},
        {"\"targets\":\"127.0.0.1\",\"profile\":5", "/profile"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard@99\"", "/profile"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard\",\"scan_type\":\"SYN_SCAN\"",
         "/scan_type"},
        {"\"targets\":\"127.0.0.1\",\"scan_type\":\"NO_SCAN\"", "/scan_type"},
        {"\"targets\":\"127.0.0.1\",\"scan_type\":[]", "/scan_type"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"masscan\",\"ports\":\"80\",\"scan_type\":\"os\"",
         "/scan_type"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"nikto\"", "/tool"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard\",\"arguments\":\"-iL x\"",
         "/arguments"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard\",\"options\":{\"nothing\":1}",
         "/options/nothing"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard\",\"ports\":\"80-70\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"rate\":0", "/rate"},
        {"\"targets\":\"127.0.0.1\",\"rate\":\"1\"", "/rate"},
        {"\"targets\":\"127.0.0.1\",\"pace\":\"slow\"", "/pace"},
        {"\"targets\":\"127.0.0.1\",\"shards\":1025", "/shards"},
        {"\"targets\":\"127.0.0.1\",\"shards\":-1", "/shards"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"nmap\",\"shards\":2", "/shards"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"nmap\",\"pace\":\"own\"", "/pace"},
        {"\"targets\":\"127.0.0.1\",\"target\":\"127.0.0.1\"", "/target"},
        {"\"target\":\"127.0.0.300\"", "/target"},
        {"\"profile\":\"standard\"", "/targets"},
        {"\"targets_list\":\"127.0.0.1\\n127.0.0.300\"", "/targets_list"},
        {"\"targets_list\":5", "/targets_list"},
        {"\"targets_list\":\"# nothing\\n\"", "/targets_list"},
        {"\"targets\":\"127.0.0.1\",\"exclude\":\"127.0.0.300\"", "/exclude"},
        {"\"targets\":\"127.0.0.1\",\"exclude\":[\"!127.0.0.1\"]", "/exclude"},
        {"\"targets\":\"127.0.0.1\",\"exclude\":[5]", "/exclude/0"},
        {"\"targets\":\"127.0.0.1\",\"exclude\":\"127.0.0.0/8\"", "/exclude"},
        {"\"targets\":\"127.0.0.1\",\"exclude\":\"'\"", "/exclude"},
        {"\"targets\":\"127.0.0.1\",\"timeout\":5,\"timeout_seconds\":5", "/timeout_seconds"},
        {"\"targets\":\"127.0.0.1\",\"timeout_seconds\":0", "/timeout_seconds"},
        {"\"targets\":\"127.0.0.1\",\"retry_attempts\":21", "/retry_attempts"},
        {"\"targets\":\"127.0.0.1\",\"task_id\":\"a b\"", "/task_id"},
        {"\"targets\":\"127.0.0.1\",\"task_id\":\"\"", "/task_id"},
        {"\"targets\":\"127.0.0.1\",\"task_id\":7", "/task_id"},
        {"\"targets\":\"2001:db8::/64\",\"profile\":\"standard\"", "/targets"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"zmap\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"masscan\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"sweep\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"udp\",\"tool\":\"zmap\"", "/tool"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"ping\",\"ports\":\"80\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"profile\":\"standard\",\"arguments\":\"-sn\"", "/arguments"},
        {"\"targets\":\"0.0.0.0/0\",\"profile\":\"full\",\"tool\":\"nmap\"", "/targets"},
        {"\"targets\":\"127.0.0.1 ::1\",\"tool\":\"nmap\"", "/targets"},
        {"\"targets\":\"127.0.0.1\",\"profil\":\"standard\"", "/profil"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"noop\",\"ports\":\"80\"", "/ports"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"noop\",\"arguments\":\"-v\"", "/arguments"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"noop\",\"options\":{\"open_only\":true}",
         "/options/open_only"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"noop\",\"scan_type\":\"basic\"", "/scan_type"},
        {"\"targets\":\"127.0.0.300\",\"tool\":\"noop\"", "/targets"},
        {"\"targets\":\"127.0.0.1\",\"tool\":\"noop\",\"profile\":\"standard\"", "/tool"},
    };

    begin();
    facts_raw = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *body = str_fmt("{%s}", rows[i].members);
        auto_free char *want = str_fmt("\"pointer\":\"%s", rows[i].pointer);
        auto_answer got = ask("POST", v1, body);

        if (got.status != 422 || !strstr(got.body, want)) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", body, got.status, got.body);
        }
    }
    CHECK_INT(jobs(), 0);
    rig_stop();
}

static void a_prefix_of_ipv6_is_refused_with_advice(void)
{
    static const char *const bodies[] = {"{\"targets\":\"2001:db8::/64\"}",
                                         "{\"targets\":\"2001:db8::/64\",\"tool\":\"nmap\"}",
                                         "{\"targets\":\"2001:db8::/100\",\"tool\":\"nmap\"}"};

    begin();
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        auto_answer got = ask("POST", v1, bodies[i]);

        CHECK_INT(got.status, 422);
        CHECK(strstr(got.body, "\"pointer\":\"/targets\""));
        CHECK(strstr(got.body, "name the hosts"));
    }
    rig_stop();
}

/* ---- the older runtime ---- */

static void every_type_of_scan_becomes_a_job_or_a_refusal_for_each_tool(void)
{
    static const char *const tools[] = {"nmap", "masscan", "zmap"};

    begin();
    facts_raw = true;
    rig_policy_set("version: 1\n"
                   "scope:\n  allow:\n    - target: 127.0.0.0/8\n"
                   "policies:\n  - {name: default, options: advanced, scripts: aggressive}\n");
    for (size_t i = 0; scan_types[i]; i++) {
        for (size_t k = 0; k < ARRAY_LEN(tools); k++) {
            auto_free char *body =
                str_fmt("{\"tool\":\"%s\",\"target\":\"127.0.0.1\",\"scan_type\":\"%s\",%s"
                        "\"timeout_seconds\":600,\"retry_attempts\":2,\"arguments\":[]}",
                        tools[k], scan_types[i], k ? "\"ports\":\"80\"," : "");
            auto_strvec tokens = {0};
            const char *ports = k ? "80" : NULL;
            auto_answer got = ask("POST", v1, body);
            int rc = scan_type_tokens(tool_find(tools[k]), scan_types[i], &tokens, &ports, NULL);

            if (rc < 0) {
                CHECK_INT(got.status, 422);
                CHECK(strstr(got.body, "\"pointer\":\"/scan_type\""));
                CHECK(strstr(got.body, tools[k]));
            } else if (k == 2 && str_eq(scan_types[i], "PING_SWEEP")) {
                CHECK_INT(got.status, 422); /* it takes no ports then */
                CHECK(strstr(got.body, "and ports"));
            } else if (got.status == 202) {
                struct job job = job_in(&got);

                CHECK_STR(job.tool, tools[k]);
                CHECK_STR(job.targets, "127.0.0.1");
                CHECK_INT(job.timeout_s, 600);
                CHECK_INT(job.max_attempts, 3);
                CHECK((job.plan != NULL) == (k > 0));
                for (size_t t = 0; t < tokens.n; t++) {
                    CHECK(job.arguments && strstr(job.arguments, tokens.v[t]));
                }
                job_done(&job);
            } else { /* scripts: this server has none */
                CHECK(strstr(got.body, "script"));
            }
        }
    }
    rig_stop();
}

static void a_task_id_makes_a_repeated_request_the_same_job(void)
{
    static const char body[] = "{\"task_id\":\"t-1\",\"tool\":\"nmap\",\"target\":\"127.0.0.1\"}";

    begin();
    {
        auto_answer one = ask("POST", v1, body);
        auto_answer two = ask("POST", v1, body);
        auto_answer other =
            ask("POST", v1, "{\"task_id\":\"t-1\",\"tool\":\"nmap\",\"target\":\"127.0.0.2\"}");
        auto_answer header = hear(
            say("POST", v1, "Content-Type: application/json\r\nIdempotency-Key: h-1\r\n", body));

        CHECK_INT(one.status, 202);
        CHECK_INT(two.status, 202);
        CHECK(has_header(&two, "Idempotency-Replayed: true"));
        CHECK_STR(two.body, one.body);
        CHECK_INT(other.status, 422);
        CHECK_INT(header.status, 202); /* the header goes before the member */
        CHECK(!has_header(&header, "Idempotency-Replayed"));
    }
    CHECK_INT(jobs(), 2);
    rig_stop();
}

/* ---- targets ---- */

static void lists_and_exclusions_are_kept_in_the_targets(void)
{
    begin();
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":[\"127.0.0.1\",\"127.0.0.8/29\"],\"targets_list\":"
                              "\"127.0.0.2 # two\\n\\n# three\\n127.0.0.3\\n\","
                              "\"exclude\":[\"127.0.0.9\",\"127.0.0.10-11\"]}");
        auto_answer only = ask("POST", v1, "{\"targets_list\":\"127.0.0.2\\n\",\"tool\":\"nmap\"}");
        struct job job = job_in(&got);
        struct job second = job_in(&only);

        CHECK_STR(job.targets, "127.0.0.1 127.0.0.8/29 127.0.0.2 127.0.0.3 !127.0.0.9 "
                               "!127.0.0.10-11");
        CHECK_STR(second.targets, "127.0.0.2");
        job_done(&job);
        job_done(&second);
    }
    rig_stop();
}

static void an_address_that_is_left_out_is_not_judged(void)
{
    begin();
    {
        auto_answer with = ask("POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\"}");
        auto_answer without = ask(
            "POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\",\"exclude\":\"203.0.113.7\"}");
        auto_answer old = ask("POST", "/scans", "{\"targets\":\"10.213.77.0/24 !10.213.77.1\"}");

        CHECK_INT(with.status, 403);
        CHECK_INT(without.status, 202);
        CHECK_INT(old.status, 422);
        CHECK(strstr(old.body, "invalid target: '!10.213.77.1'"));
    }
    rig_stop();
}

/* More than a socket takes at once. */
static int say_slowly(const struct buf *body)
{
    auto_free char *text = str_fmt("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: k\r\n"
                                   "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                                   v1, body->len, body->data);
    size_t left = strlen(text);
    int fd = dial();

    for (const char *at = text; left > 0;) {
        ssize_t n = send(fd, at, left, MSG_NOSIGNAL);

        CHECK(n > 0 || errno == EAGAIN);
        at += MAX(n, 0);
        left -= (size_t)MAX(n, 0);
        turns(1);
    }
    return fd;
}

static void long_lists_are_taken_and_shown_short_in_lists_of_jobs(void)
{
    auto_buf body = {0};

    begin();
    buf_adds(&body, "{\"tool\":\"nmap\",\"targets_list\":\"");
    for (unsigned i = 0; i < 10000; i++) {
        buf_addf(&body, "10.213.%u.%u\\n", i / 256, i % 256);
    }
    buf_adds(&body, "\"}");
    {
        auto_answer got = hear(say_slowly(&body));
        auto_answer list = ask("GET", v1, NULL);

        CHECK_INT(got.status, 202);
        CHECK(strlen(got.body) > JOB_TARGETS_MAX);
        CHECK(strlen(list.body) < 10000);
        CHECK(strstr(list.body, " ...\""));
    }
    rig_stop();
}

static size_t problems_in(const char *body)
{
    json_t *v = json_loads(body, 0, NULL);
    size_t n = json_array_size(json_object_get(v, "errors"));

    json_decref(v);
    return n;
}

static void one_fault_is_told_once(void)
{
    auto_buf list = {0};

    begin();
    facts_raw = true;
    buf_adds(&list, "{\"targets_list\":\"");
    while (list.len < TARGETS_TEXT_MAX / 10 * 11) {
        buf_adds(&list, "10.213.77.1 10.213.77.1 10.213.77.1 10.213.77.1\\n");
    }
    buf_adds(&list, "\"}");
    {
        auto_answer type =
            ask("POST", v1,
                "{\"targets\":\"127.0.0.1\",\"tool\":\"masscan\",\"scan_type\":\"CONNECT_SCAN\"}");
        auto_answer bad = ask("POST", v1, "{\"targets_list\":\"127.0.0.300\"}");
        auto_answer none = ask("POST", v1, "{\"targets_list\":\"# nothing\\n\"}");
        auto_answer large = hear(say_slowly(&list));

        CHECK_INT(type.status, 422);
        CHECK_INT(problems_in(type.body), 1);
        CHECK(strstr(type.body, "\"/scan_type\""));
        CHECK_INT(bad.status, 422);
        CHECK_INT(problems_in(bad.body), 1);
        CHECK_INT(none.status, 422);
        CHECK(strstr(none.body, "must not be empty"));
        CHECK_INT(large.status, 422);
        CHECK(strstr(large.body, "is longer than"));
        CHECK_INT(problems_in(large.body), 1);
    }
    rig_stop();
}

static void only_what_is_allowed_is_planned_when_the_rest_is_left_out(void)
{
    begin();
    {
        auto_answer got =
            ask("POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\",\"clip\":true}");
        auto_free char *id = member_of(got.body, "id");
        auto_free char *path = str_fmt("%s/%s/tasks", v1, id);
        auto_answer tasks = ask("GET", path, NULL);

        CHECK_INT(got.status, 202);
        CHECK(strstr(tasks.body, "10.213.77.1"));
        CHECK(!strstr(tasks.body, "203.0.113.7"));
    }
    rig_stop();
}

/* ---- names ---- */

static void a_planned_submit_waits_for_its_names_and_keeps_what_was_asked(void)
{
    struct answer got;
    int fd;

    begin();
    fd = say("POST", v1, "Content-Type: application/json\r\n",
             "{\"targets\":\"one.example\",\"profile\":\"quick\",\"ports\":\"80\",\"shards\":1}");
    turns(5);
    CHECK_INT(rig.pins, 1);
    rig_resolve("10.213.77.7");
    got = hear(fd);
    CHECK_INT(got.status, 202);
    {
        struct job job = job_in(&got);

        CHECK_STR(job.profile, "quick@1");
        CHECK_STR(job.pins, "one.example=10.213.77.7");
        CHECK(tasks_of(&job) > 0);
        job_done(&job);
    }
    answer_done(&got);
    rig_stop();
}

/* ---- dry runs ---- */

static void an_older_zmap_with_several_ports_is_refused_at_once(void)
{
    begin();
    facts_raw = true;
    facts_zmap = "2.1.1";
    {
        static const char *const bodies[] = {
            "{\"targets\":\"10.0.0.1\",\"tool\":\"zmap\",\"ports\":\"80,443\"}",
            "{\"targets\":\"10.0.0.1\",\"tool\":\"zmap\",\"arguments\":\"--target-ports 80,443\"}",
        };
        int64_t before = jobs();

        for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
            auto_answer got = ask("POST", v1, bodies[i]);

            CHECK_INT(got.status, 422);
            CHECK(strstr(got.body, "zmap 2.1.1 takes one port per scan, got 2"));
            CHECK(strstr(got.body, i ? "\"/arguments\"" : "\"/ports\""));
        }
        CHECK_INT(jobs(), before);
    }
    facts_zmap = "4.1.0";
    {
        auto_answer got =
            ask("POST", v1, "{\"targets\":\"127.0.0.1\",\"tool\":\"zmap\",\"ports\":\"80,443\"}");

        CHECK(!strstr(got.body, "one port"));
    }
    rig_stop();
}

static void both_families_are_for_profiles(void)
{
    begin();
    {
        auto_answer both =
            ask("POST", v1, "{\"targets\":\"127.0.0.1 ::1\",\"profile\":\"standard\"}");
        auto_answer list =
            ask("POST", v1,
                "{\"targets\":[\"127.0.0.0/29\",\"::1\"],\"exclude\":[\"127.0.0.3\"],"
                "\"profile\":\"standard\"}");
        auto_answer plain = ask("POST", v1, "{\"targets\":\"127.0.0.1 ::1\",\"tool\":\"nmap\"}");
        auto_answer lone = ask(
            "POST", v1, "{\"targets\":\"127.0.0.1 ::1\",\"tool\":\"masscan\",\"ports\":\"80\"}");

        CHECK_INT(both.status, 202);
        CHECK_INT(list.status, 202);
        CHECK_INT(plain.status, 422);
        CHECK(strstr(plain.body, "/targets") && strstr(plain.body, "without a profile"));
        CHECK_INT(lone.status, 422);
        CHECK(strstr(lone.body, "/targets") && strstr(lone.body, "without a profile"));
        CHECK_INT(jobs(), 2);
    }
    rig_stop();
}

static void a_dry_run_stores_nothing_and_says_what_would_be(void)
{
    static const char dry[] = "/api/v1/scans?dry_run=true";

    begin();
    {
        auto_answer planned = ask("POST", dry, "{\"targets\":\"10.213.77.0/24\"}");
        auto_answer plain = ask(
            "POST", dry, "{\"targets\":\"10.213.77.0/30\",\"tool\":\"nmap\",\"ports\":\"1-10\"}");
        auto_answer refused = ask("POST", dry, "{\"targets\":\"203.0.113.7\"}");
        auto_answer early = ask("POST", dry,
                                "{\"targets\":\"127.0.0.1\",\"tool\":\"nmap\","
                                "\"arguments\":\"--packet-trace\"}");
        auto_answer wrong = ask("POST", dry, "{\"targets\":\"x y;z\"}");
        auto_answer query = ask("POST", "/api/v1/scans?dry_run=1", "{\"targets\":\"127.0.0.1\"}");
        auto_answer unknown = ask("POST", "/api/v1/scans?dry=true", "{\"targets\":\"127.0.0.1\"}");

        CHECK_INT(planned.status, 200);
        CHECK(str_starts(planned.body, "{\"dry_run\":true,\"profile\":\"standard@"));
        CHECK(strstr(planned.body, "\"verdict\":\"allowed\",\"rule\":null"));
        CHECK(strstr(planned.body, "\"addresses\":256"));
        CHECK(strstr(planned.body, "\"stages\":[{\"name\":\""));
        CHECK_INT(plain.status, 200);
        CHECK(strstr(plain.body, "\"ports\":10,\"addresses\":4,\"probes\":40"));
        CHECK_INT(refused.status, 200);
        CHECK(strstr(refused.body, "\"verdict\":\"refused\",\"rule\":\"policy.scope\""));
        CHECK(strstr(refused.body, "203.0.113.7"));
        CHECK_INT(early.status, 200);
        CHECK(strstr(early.body, "\"verdict\":\"refused\",\"rule\":\"policy.options\""));
        CHECK_INT(wrong.status, 422);
        CHECK_INT(query.status, 422);
        CHECK(strstr(query.body, "?dry_run"));
        CHECK_INT(unknown.status, 422);
    }
    CHECK_INT(jobs(), 0);
    rig_stop();
}

static void a_dry_run_asks_the_planner_about_a_job_that_is_not_stored(void)
{
    begin_with((struct api_config){.dry_run = dry_run});
    {
        auto_answer got = ask("POST", "/api/v1/scans?dry_run=true", "{\"targets\":\"127.0.0.1\"}");
        auto_answer not =
            ask("POST", "/api/v1/scans?dry_run=true", "{\"targets\":\"203.0.113.7\"}");
        auto_answer real =
            ask("POST", "/api/v1/scans?dry_run=false", "{\"targets\":\"127.0.0.1\"}");

        CHECK_INT(got.status, 200);
        CHECK(strstr(got.body, "\"addresses\":7,\"probes\":8,\"estimate_s\":9,\"stages\":[]}"));
        CHECK_INT(not .status, 200);
        CHECK_INT(dry_runs, 1);
        CHECK_INT(real.status, 202);
    }
    CHECK_INT(jobs(), 1);
    rig_stop();
}

static void the_policy_is_asked_for_a_whole_plan(void)
{
    begin();
    {
        auto_answer got = ask("POST", "/api/v1/policy/check",
                              "{\"targets\":\"10.213.77.0/24\",\"profile\":\"full\"}");

        CHECK_INT(got.status, 200);
        CHECK(strstr(got.body, "\"allowed\":true"));
        CHECK(strstr(got.body, "\"ports\":6553"));
    }
    CHECK_INT(jobs(), 0);
    rig_stop();
}

static void every_option_of_every_tool_says_what_it_takes(void)
{
    begin();
    {
        auto_answer got = ask("GET", "/api/v1/tools", NULL);
        json_t *v = json_loads(got.body, 0, NULL);
        json_t *tool;
        size_t i;

        CHECK_INT(json_array_size(json_object_get(v, "items")), 4);
        json_array_foreach(json_object_get(v, "items"), i, tool)
        {
            json_t *option;
            size_t k;

            json_array_foreach(json_object_get(tool, "options"), k, option)
            {
                const char *value = json_string_value(json_object_get(option, "value"));

                CHECK(value && !str_eq(value, "text"));
                CHECK(!str_eq(value, "choice") ||
                      json_array_size(json_object_get(option, "choices")) > 1);
            }
        }
        json_decref(v);
    }
    rig_stop();
}

TESTS(a_request_that_says_nothing_of_how_gets_the_default_profile_and_its_tasks,
      whoever_names_a_tool_or_its_options_gets_one_run_of_it,
      without_profiles_everything_is_one_run, profiles_are_listed_and_found_by_name_and_version,
      a_profile_is_kept_with_its_version_and_done_again_by_a_retry,
      raw_tools_are_chosen_only_for_keys_that_may_use_them,
      a_plan_avoids_a_tool_that_the_policy_forbids_unless_it_is_named,
      a_stage_that_cannot_run_here_is_named, each_wrong_member_is_named_by_its_pointer,
      a_prefix_of_ipv6_is_refused_with_advice,
      every_type_of_scan_becomes_a_job_or_a_refusal_for_each_tool,
      a_task_id_makes_a_repeated_request_the_same_job, lists_and_exclusions_are_kept_in_the_targets,
      an_address_that_is_left_out_is_not_judged,
      long_lists_are_taken_and_shown_short_in_lists_of_jobs,
      only_what_is_allowed_is_planned_when_the_rest_is_left_out,
      a_planned_submit_waits_for_its_names_and_keeps_what_was_asked,
      an_older_zmap_with_several_ports_is_refused_at_once, one_fault_is_told_once,
      both_families_are_for_profiles, a_dry_run_stores_nothing_and_says_what_would_be,
      a_dry_run_asks_the_planner_about_a_job_that_is_not_stored,
      the_policy_is_asked_for_a_whole_plan, every_option_of_every_tool_says_what_it_takes)
