/* Submits that the policy judges: refusals, names, windows, quotas, options, and the dry run. */
#include "api_rig.h"
#include "store/secret.h"

static const char v1[] = "/api/v1/scans";

/* Only connect scans of this machine and of the networks of a laboratory. */
static const struct sandbox_caps broker_caps = {
    .box = "userns",
    .limits = "rlimit",
    .view = true,
    .usable = {[EGRESS_NONE] = true, [EGRESS_BROKER] = true},
    .why = {[EGRESS_NFT] = "netd does not run"}};

static char *make_key(const char *name, unsigned scopes, struct key_quota quota)
{
    char *secret = xcalloc(1, SECRET_TEXT + 1);
    struct key k;

    key_make(name, secret, &k);
    k.scopes = scopes;
    k.quota = quota;
    CHECK_OK(store_key_add(rig.store, &k, ERR));
    CHECK_OK(api_keys_load(rig.api, ERR));
    return secret;
}

/* As a client does that is gone at once: the server sees a reset, not only the end of its sending.
 */
static void hang_up(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

static int64_t jobs(enum job_state state)
{
    int64_t counts[JOB_STATES];

    store_job_counts(rig.store, counts);
    return counts[state];
}

static unsigned audited(const char *action)
{
    auto_answer got = ask("GET", "/api/v1/audit?limit=1000", NULL);
    auto_free char *needle = str_fmt("\"action\":\"%s\"", action);
    unsigned n = 0;

    for (const char *at = got.body; (at = strstr(at, needle)) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- refusals ---- */

static void what_is_out_of_scope_is_refused_in_the_words_of_the_surface(void)
{
    rig_start(0, NULL);
    {
        auto_answer old = ask("POST", "/scans", "{\"targets\":\"203.0.113.7\"}");
        auto_answer new = ask("POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\"}");
        auto_answer good = ask("POST", v1, "{\"targets\":\"10.213.77.1\"}");

        CHECK_INT(old.status, 403);
        CHECK(str_starts(old.body, "{\"detail\":\"203.0.113.7"));
        CHECK(has_header(&old, "Content-Type: application/json"));
        CHECK_INT(new.status, 403);
        CHECK(has_header(&new, "application/problem+json"));
        CHECK(strstr(new.body, "\"type\":\"/problems/forbidden\""));
        CHECK(strstr(new.body, "\"rule\":\"policy.scope\""));
        CHECK(strstr(new.body, "203.0.113.7"));
        CHECK_INT(good.status, 202);
        CHECK(strstr(good.body, "\"scope_rule\":\""));
    }
    CHECK_INT(jobs(JOB_QUEUED), 1);
    CHECK_INT(audited("scan.refused"), 2);
    CHECK_INT(audited("scan.submit"), 1);
    rig_stop();
}

static void parts_outside_are_left_out_only_when_asked(void)
{
    rig_start(0, NULL);
    {
        auto_answer whole = ask("POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\"}");
        auto_answer clip =
            ask("POST", v1, "{\"targets\":\"10.213.77.1 203.0.113.7\",\"clip\":true}");
        auto_answer none = ask("POST", v1, "{\"targets\":\"203.0.113.7\",\"clip\":true}");
        auto_answer odd = ask("POST", v1, "{\"targets\":\"10.213.77.1\",\"clip\":1}");

        CHECK_INT(whole.status, 403);
        CHECK_INT(clip.status, 202);
        CHECK(strstr(clip.body, "\"clip\":true"));
        CHECK_INT(none.status, 403);
        CHECK_INT(odd.status, 422);
        CHECK(strstr(odd.body, "\"/clip\""));
    }
    rig_stop();
}

static void malformed_comes_before_forbidden(void)
{
    rig_start(0, NULL);
    {
        auto_answer old = ask("POST", "/scans", "{\"targets\":\"203.0.113.7\",\"ports\":\"x\"}");
        auto_answer new = ask("POST", v1, "{\"targets\":\"203.0.113.7\",\"timeout\":0}");

        auto_answer six = ask("POST", v1, "{\"targets\":\"-x\",\"arguments\":\"-6\"}");
        auto_answer both = ask("POST", v1, "{\"targets\":\"-x\",\"arguments\":\"-iL x\"}");

        CHECK_INT(old.status, 422);
        CHECK_INT(new.status, 422);
        CHECK(strstr(six.body, "\"/targets\"") && !strstr(six.body, "\"/arguments\""));
        CHECK(strstr(both.body, "\"/targets\"") && strstr(both.body, "\"/arguments\""));
    }
    CHECK_INT(audited("scan.refused"), 0);
    rig_stop();
}

static void a_key_without_the_flag_gets_neither_raw_nor_aggressive_scans(void)
{
    auto_free char *plain = NULL;
    auto_free char *raw = NULL;

    rig_start(0, NULL);
    rig_policy_set("version: 1\n"
                   "scope:\n  allow:\n    - target: 127.0.0.0/8\n"
                   "policies:\n  - {name: default, options: advanced}\n");
    plain = make_key("plain", KEY_READ | KEY_SUBMIT_NETWORK, (struct key_quota){0});
    raw = make_key("raw", KEY_READ | KEY_SUBMIT_NETWORK | KEY_RAW, (struct key_quota){0});
    {
        auto_answer a =
            ask_as(plain, "POST", v1, "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sU\"}");
        auto_answer b =
            ask_as(raw, "POST", v1, "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sU\"}");
        auto_answer c =
            ask_as(plain, "POST", v1, "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sT\"}");
        auto_answer d = ask_as(plain, "POST", v1,
                               "{\"targets\":\"127.0.0.1\",\"arguments\":\"--packet-trace\"}");
        auto_answer e =
            ask("POST", v1, "{\"targets\":\"127.0.0.1\",\"arguments\":\"--packet-trace\"}");

        CHECK_INT(a.status, 403);
        CHECK(strstr(a.body, "-sU") && strstr(a.body, "lacks the scope 'raw'"));
        CHECK(strstr(a.body, "\"rule\":\"key.scope\""));
        CHECK_INT(b.status, 202);
        CHECK_INT(c.status, 202);
        CHECK_INT(d.status, 403);
        CHECK(strstr(d.body, "lacks the scope 'aggressive'"));
        CHECK_INT(e.status, 202);
    }
    rig_stop();
}

static void what_the_machine_cannot_confine_is_refused_once_that_is_known(void)
{
    static const char udp[] = "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sU\"}";

    rig_start(0, NULL);
    {
        auto_answer early = ask("POST", v1, udp); /* nobody knows yet: the dispatch will */
        auto_answer late = {0};

        CHECK_INT(early.status, 202);
        rig.caps = &broker_caps;
        late = ask("POST", v1, udp);
        CHECK_INT(late.status, 403);
        CHECK(strstr(late.body, "\"rule\":\"egress\"") && strstr(late.body, "-sU"));
        answer_done(&late);
    }
    rig_stop();
}

/* ---- names ---- */

static void a_submit_waits_for_its_names_and_pins_them(void)
{
    struct answer got;
    int fd;

    rig_start(0, NULL);
    fd = say("POST", v1, "Content-Type: application/json\r\n",
             "{\"targets\":\"one.example 10.213.77.9\",\"ports\":\"80\"}");
    turns(5);
    CHECK_INT(rig.pins, 1);
    CHECK_INT(jobs(JOB_QUEUED), 0);
    rig_resolve("10.213.77.7");
    got = hear(fd);
    CHECK_INT(got.status, 202);
    CHECK(strstr(got.body, "\"pins\":{\"one.example\":[\"10.213.77.7\"]}"));
    CHECK(strstr(got.body, "\"targets\":\"one.example 10.213.77.9\""));
    CHECK(strstr(got.body, "\"ports\":\"80\""));
    answer_done(&got);
    CHECK_INT(jobs(JOB_QUEUED), 1);
    rig_stop();
}

static void a_name_is_judged_by_its_addresses(void)
{
    struct answer got;
    int fd;

    rig_start(0, NULL);
    fd = say("POST", "/scans", "Content-Type: application/json\r\n",
             "{\"targets\":\"one.example\"}");
    turns(5);
    rig_resolve("203.0.113.7");
    got = hear(fd);
    CHECK_INT(got.status, 403);
    CHECK(str_starts(got.body, "{\"detail\":\""));
    answer_done(&got);
    CHECK_INT(jobs(JOB_QUEUED), 0);
    CHECK_INT(audited("scan.refused"), 1);
    rig_stop();
}

static void a_name_without_an_address_is_a_wrong_target(void)
{
    struct answer got;
    int fd;

    rig_start(0, NULL);
    fd = say("POST", v1, "Content-Type: application/json\r\n", "{\"targets\":\"x\"}");
    turns(5);
    rig_resolve(NULL);
    got = hear(fd);
    CHECK_INT(got.status, 422);
    CHECK(strstr(got.body, "\"pointer\":\"/targets\",\"detail\":\"'x' has no address\""));
    answer_done(&got);

    fd = say("POST", "/scans", "Content-Type: application/json\r\n", "{\"targets\":\"x\"}");
    turns(5);
    rig_resolve(NULL);
    got = hear(fd);
    CHECK_INT(got.status, 422);
    CHECK_STR(got.body, "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\",\"targets\"],"
                        "\"msg\":\"Value error, 'x' has no address\",\"input\":\"x\","
                        "\"ctx\":{\"error\":{}}}]}");
    answer_done(&got);
    rig_stop();
}

static void a_client_that_leaves_while_its_names_are_looked_up_leaves_no_job(void)
{
    int fd;

    rig_start(0, NULL);
    fd = say("POST", v1, "Content-Type: application/json\r\n", "{\"targets\":\"one.example\"}");
    turns(5);
    hang_up(fd);
    turns(5);
    CHECK_INT(rig.unpins, 1);
    CHECK(!rig.api->submits);
    CHECK_INT(jobs(JOB_QUEUED), 0);
    fd = say("POST", v1, "Content-Type: application/json\r\n", "{\"targets\":\"one.example\"}");
    turns(5);
    CHECK(rig.api->submits);
    rig_stop(); /* the server ends with one under way */
    CHECK_INT(rig.unpins, 2);
    close(fd);
}

static void a_key_that_is_revoked_meanwhile_makes_no_job(void)
{
    auto_free char *secret = NULL;
    struct answer got;
    int fd;

    rig_start(0, NULL);
    secret = make_key("short", KEY_SUBMIT_NETWORK, (struct key_quota){0});
    fd = say_as(secret, "POST", v1, "Content-Type: application/json\r\n",
                "{\"targets\":\"one.example\"}");
    turns(5);
    {
        auto_answer gone = ask("DELETE", "/api/v1/keys/short", NULL);

        CHECK_INT(gone.status, 204);
    }
    rig_resolve("10.213.77.7");
    got = hear(fd);
    CHECK_INT(got.status, 401);
    answer_done(&got);
    CHECK_INT(jobs(JOB_QUEUED), 0);
    rig_stop();
}

static const char same_head[] = "Content-Type: application/json\r\nIdempotency-Key: order-1\r\n";
static const char same_body[] = "{\"targets\":\"one.example\"}";

static void the_same_idempotency_key_while_names_are_looked_up_is_one_job(void)
{
    struct answer one, two, other;
    int fds[3];

    rig_start(0, NULL);
    fds[0] = say("POST", v1, same_head, same_body);
    turns(5);
    fds[1] = say("POST", v1, same_head, same_body);
    fds[2] = say("POST", v1, same_head, "{\"targets\":\"two.example\"}");
    turns(5);
    CHECK_INT(rig.pins, 1);
    rig_resolve("10.213.77.7");
    one = hear(fds[0]);
    two = hear(fds[1]);
    other = hear(fds[2]);
    CHECK_INT(one.status, 202);
    CHECK(!has_header(&one, "Idempotency-Replayed"));
    CHECK_INT(two.status, 202);
    CHECK(has_header(&two, "Idempotency-Replayed: true"));
    CHECK_STR(two.body, one.body);
    CHECK_INT(other.status, 422);
    CHECK_INT(jobs(JOB_QUEUED), 1);
    answer_done(&one);
    answer_done(&two);
    answer_done(&other);
    rig_stop();
}

static void the_next_one_leads_when_the_first_one_leaves_or_is_refused(void)
{
    struct answer got;
    int fds[3];

    rig_start(0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = say("POST", v1, same_head, same_body);
        turns(3);
    }
    CHECK_INT(rig.pins, 1);
    hang_up(fds[0]);
    turns(5);
    CHECK_INT(rig.unpins, 1);
    CHECK_INT(rig.pins, 2);
    rig_resolve("203.0.113.7");
    got = hear(fds[1]);
    CHECK_INT(got.status, 403);
    answer_done(&got);
    turns(5);
    CHECK_INT(rig.pins, 3);
    rig_resolve("10.213.77.7");
    got = hear(fds[2]);
    CHECK_INT(got.status, 202);
    CHECK(!has_header(&got, "Idempotency-Replayed"));
    answer_done(&got);
    rig_stop();
}

static void followers_that_leave_are_forgotten(void)
{
    struct answer got;
    int fds[3];

    rig_start(0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = say("POST", v1, same_head, same_body);
        turns(3);
    }
    hang_up(fds[1]);
    turns(3);
    rig_resolve("10.213.77.7");
    hang_up(fds[2]);
    got = hear(fds[0]);
    CHECK_INT(got.status, 202);
    answer_done(&got);
    turns(5);
    CHECK(!rig.api->followers && !rig.api->submits);
    CHECK_INT(jobs(JOB_QUEUED), 1);
    rig_stop();
}

/* ---- windows, quotas, limits, options ---- */

static void outside_its_window_a_job_waits(void)
{
    rig_start(1, NULL);
    rig_policy_set("version: 1\n"
                   "scope:\n  allow:\n    - target: 127.0.0.0/8\n"
                   "policies:\n  - name: default\n    windows: [\"Sat,Sun 00:00-24:00\"]\n"
                   "    timezone: UTC\n");
    {
        auto_answer got = ask("POST", v1, "{\"targets\":\"127.0.0.1\"}");
        auto_answer check = ask("POST", "/api/v1/policy/check", "{\"targets\":\"127.0.0.1\"}");
        int64_t day = (wall_us() / 1000000 / 86400 + 4) % 7; /* 0: Sunday */

        CHECK_INT(got.status, 202);
        if (day == 0 || day == 6) {
            CHECK(strstr(got.body, "\"waiting_until\":null"));
            CHECK(strstr(check.body, "\"wait_until\":null"));
        } else {
            CHECK(strstr(got.body, "\"state\":\"waiting\""));
            CHECK(strstr(got.body, "\"waiting_until\":\"20"));
            CHECK(strstr(check.body, "\"wait_until\":\"20"));
            CHECK_INT(rig.runs, 0);
        }
    }
    rig_stop();
}

static void a_quota_that_is_used_up_says_when_to_come_back(void)
{
    auto_free char *waiting = NULL;
    auto_free char *few = NULL;

    rig_start(0, NULL);
    waiting = make_key("waiting", KEY_SUBMIT_NETWORK, (struct key_quota){.waiting = 1});
    few = make_key("few", KEY_SUBMIT_NETWORK, (struct key_quota){.addresses_per_day = 300});
    {
        auto_answer a = ask_as(waiting, "POST", v1, "{\"targets\":\"127.0.0.1\"}");
        auto_answer b = ask_as(waiting, "POST", v1, "{\"targets\":\"127.0.0.1\"}");
        auto_answer c = ask_as(few, "POST", v1, "{\"targets\":\"10.213.77.0/24\"}");
        auto_answer d = ask_as(few, "POST", "/scans", "{\"targets\":\"10.213.77.0/24\"}");
        auto_answer e = ask_as(few, "POST", v1, "{\"targets\":\"10.213.76.0/23\"}");

        CHECK_INT(a.status, 202);
        CHECK_INT(b.status, 429);
        CHECK(has_header(&b, "\r\nRetry-After: "));
        CHECK(strstr(b.body, "waiting"));
        CHECK_INT(c.status, 202);
        CHECK_INT(d.status, 429);
        CHECK(has_header(&d, "\r\nRetry-After: "));
        CHECK(str_starts(d.body, "{\"detail\":\""));
        CHECK_INT(e.status, 403); /* waiting would not help */
        CHECK(strstr(e.body, "\"rule\":\"key.quota\""));
    }
    CHECK_INT(jobs(JOB_QUEUED), 2);
    rig_stop();
}

static void limits_of_a_request_are_kept_and_shown(void)
{
    static const struct {
        const char *limits, *pointer;
    } wrong[] = {
        {"5", "/limits"},
        {"{\"wall\":5}", "/limits"},
        {"{\"wall_s\":-1}", "/limits/wall_s"},
        {"{\"wall_s\":\"5\"}", "/limits/wall_s"},
        {"{\"memory_mb\":99999999999}", "/limits/memory_mb"},
    };

    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":\"127.0.0.1\",\"timeout\":600,\"limits\":"
                              "{\"wall_s\":60,\"memory_mb\":256}}");
        auto_answer none = ask("POST", v1, "{\"targets\":\"127.0.0.1\",\"limits\":null}");

        CHECK_INT(got.status, 202);
        CHECK(strstr(got.body, "\"limits\":{\"wall_s\":60,\"memory_mb\":256}"));
        CHECK(strstr(got.body, "\"timeout\":600,\"run_timeout\":60"));
        CHECK_INT(none.status, 202);
        CHECK(strstr(none.body, "\"limits\":null"));
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        auto_free char *body =
            str_fmt("{\"targets\":\"127.0.0.1\",\"limits\":%s}", wrong[i].limits);
        auto_free char *want = str_fmt("\"pointer\":\"%s\"", wrong[i].pointer);
        auto_answer got = ask("POST", v1, body);

        if (got.status != 422 || !strstr(got.body, want)) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", body, got.status, got.body);
        }
    }
    rig_stop();
}

static void options_become_arguments_of_the_tools_table(void)
{
    static const struct {
        const char *options, *pointer;
    } wrong[] = {
        {"[]", "/options"},
        {"{\"no_such_thing\":true}", "/options/no_such_thing"},
        {"{\"max_retries\":\"x\"}", "/options"},
        {"{\"max_retries\":1.5}", "/options/max_retries"},
        {"{\"max_retries\":[1]}", "/options/max_retries"},
    };

    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":\"127.0.0.1\",\"arguments\":[\"-sT\"],"
                              "\"options\":{\"max_retries\":2,\"open_only\":true,"
                              "\"reason\":false}}");
        auto_answer both = ask("POST", v1,
                               "{\"targets\":\"127.0.0.1\",\"arguments\":\"'-sT\","
                               "\"options\":{\"open_only\":true}}");

        CHECK_INT(got.status, 202);
        CHECK(strstr(got.body, "\"arguments\":\"-sT --max-retries") &&
              strstr(got.body, "--open\""));
        CHECK(!strstr(got.body, "--reason"));
        CHECK_INT(both.status, 422);
        CHECK(strstr(both.body, "\"/arguments\""));
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        auto_free char *body =
            str_fmt("{\"targets\":\"127.0.0.1\",\"options\":%s}", wrong[i].options);
        auto_free char *want = str_fmt("\"pointer\":\"%s\"", wrong[i].pointer);
        auto_answer got = ask("POST", v1, body);

        if (got.status != 422 || !strstr(got.body, want)) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", body, got.status, got.body);
        }
    }
    rig_stop();
}

static void a_retry_is_judged_anew(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    id = submit("10.213.77.1");
    turns(3);
    finish(JOB_FAILED);
    path = str_fmt("/api/v1/scans/%s/retry", id);
    {
        auto_answer good = ask("POST", path, NULL);

        CHECK_INT(good.status, 202);
    }
    rig_policy_set("version: 1\nscope:\n  allow:\n    - target: 127.0.0.0/8\n");
    {
        auto_answer refused = ask("POST", path, NULL);

        CHECK_INT(refused.status, 403);
    }
    rig_stop();
}

/* ---- the policy itself ---- */

static void a_dry_run_says_what_a_submit_would_and_stores_nothing(void)
{
    static const char check[] = "/api/v1/policy/check";
    struct answer named;
    int fd;

    rig_start(0, NULL);
    rig.caps = &broker_caps;
    {
        auto_answer good = ask("POST", check,
                               "{\"targets\":\"127.0.0.0/30\",\"ports\":\"1-10\","
                               "\"arguments\":\"-sT\",\"limits\":{\"cpu_s\":7}}");
        auto_answer bad = ask("POST", check, "{\"targets\":\"203.0.113.7\"}");
        auto_answer option =
            ask("POST", check, "{\"targets\":\"127.0.0.1\",\"arguments\":\"-sU\"}");
        auto_answer wrong = ask("POST", check, "{\"targets\":\"-x\"}");

        CHECK_INT(good.status, 200);
        CHECK(strstr(good.body, "\"allowed\":true,\"rule\":null"));
        CHECK(strstr(good.body, "\"level\":\"broker\",\"raw_sockets\":false"));
        CHECK(strstr(good.body, "\"targets\":4,\"ports\":10"));
        CHECK(strstr(good.body, "\"cpu_s\":7"));
        CHECK(strstr(good.body, "\"wait_until\":null"));
        CHECK_INT(bad.status, 200);
        CHECK(strstr(bad.body, "\"allowed\":false,\"rule\":\"policy.scope\""));
        CHECK_INT(option.status, 200);
        CHECK(strstr(option.body, "\"allowed\":false,\"rule\":\"egress\""));
        CHECK_INT(wrong.status, 422);
    }
    fd = say("POST", check, "Content-Type: application/json\r\n", same_body);
    turns(5);
    rig_resolve("127.0.0.9");
    named = hear(fd);
    CHECK(strstr(named.body, "\"pins\":{\"one.example\":[\"127.0.0.9\"]}"));
    answer_done(&named);
    CHECK_INT(jobs(JOB_QUEUED), 0);
    CHECK_INT(audited("scan.refused") + audited("scan.submit"), 0);
    rig_stop();
}

static int reloads;

static int reload(void *arg, struct err *e)
{
    return reloads++ ? err_set(e, ERR_INVALID, "scope.yaml:3:1: unknown key 'alow'") : 0;
}

static void a_policy_is_shown_and_read_anew(void)
{
    reloads = 0;
    rig_start(0, &(struct api_config){.policy_reload = reload});
    {
        auto_answer shown = ask("GET", "/api/v1/policy", NULL);
        auto_answer good = ask("POST", "/api/v1/policy/reload", NULL);
        auto_answer bad = ask("POST", "/api/v1/policy/reload", NULL);
        json_t *v = json_loads(shown.body, 0, NULL);

        CHECK_INT(shown.status, 200);
        CHECK(json_is_object(v));
        json_decref(v);
        CHECK_INT(good.status, 200);
        CHECK_STR(good.body, shown.body);
        CHECK_INT(bad.status, 422);
        CHECK(strstr(bad.body, "scope.yaml:3:1: unknown key 'alow'"));
        CHECK(strstr(bad.body, "stays in force"));
    }
    CHECK_INT(audited("policy.reload"), 2);
    rig_stop();
}

static void capabilities_say_what_boxes_can_do(void)
{
    rig_start(0, NULL);
    {
        auto_answer early = ask("GET", "/api/v1/capabilities", NULL);

        CHECK(strstr(early.body, "\"sandbox\":{\"probing\":true,"));
    }
    rig.caps = &broker_caps;
    {
        auto_answer late = ask("GET", "/api/v1/capabilities", NULL);

        CHECK(strstr(late.body, "\"probing\":false,\"box\":\"userns\",\"limits\":\"rlimit\""));
        CHECK(strstr(late.body, "{\"name\":\"broker\",\"usable\":true,\"why\":null}"));
        CHECK(
            strstr(late.body, "{\"name\":\"nft\",\"usable\":false,\"why\":\"netd does not run\"}"));
        CHECK(strstr(late.body, "\"dedicated_addresses\":{\"ipv4\":0,\"ipv6\":0}"));
    }
    rig_stop();
}

static void tools_show_their_table_and_how_many_scripts_each_level_gives(void)
{
    static const char db_text[] =
        "Entry { filename = \"http-title.nse\", categories = { \"default\", \"safe\", } }\n"
        "Entry { filename = \"ssh-auth-methods.nse\", categories = { \"auth\", \"intrusive\", } }\n"
        "Entry { filename = \"slow.nse\", categories = { \"dos\", } }\n";
    struct nse_db *db;

    CHECK_OK(nse_parse(db_text, sizeof db_text - 1, &db, ERR));
    rig_start(0, &(struct api_config){.nse = db});
    {
        auto_answer got = ask("GET", "/api/v1/tools", NULL);
        json_t *v = json_loads(got.body, 0, NULL);

        CHECK_INT(got.status, 200);
        CHECK(v);
        json_decref(v);
        CHECK(strstr(got.body, "\"scripts\":{\"known\":3,\"safe\":1,\"standard\":2,"
                               "\"aggressive\":2}"));
        CHECK(strstr(got.body, "{\"name\":\"-sU\",\"field\":\""));
        CHECK(strstr(got.body, "\"class\":\"advanced\""));
        CHECK(strstr(got.body, "\"needs_raw_sockets\":true"));
    }
    rig_stop();
    nse_free(db);
}

TESTS(what_is_out_of_scope_is_refused_in_the_words_of_the_surface,
      parts_outside_are_left_out_only_when_asked, malformed_comes_before_forbidden,
      a_key_without_the_flag_gets_neither_raw_nor_aggressive_scans,
      what_the_machine_cannot_confine_is_refused_once_that_is_known,
      a_submit_waits_for_its_names_and_pins_them, a_name_is_judged_by_its_addresses,
      a_name_without_an_address_is_a_wrong_target,
      a_client_that_leaves_while_its_names_are_looked_up_leaves_no_job,
      a_key_that_is_revoked_meanwhile_makes_no_job,
      the_same_idempotency_key_while_names_are_looked_up_is_one_job,
      the_next_one_leads_when_the_first_one_leaves_or_is_refused,
      followers_that_leave_are_forgotten, outside_its_window_a_job_waits,
      a_quota_that_is_used_up_says_when_to_come_back, limits_of_a_request_are_kept_and_shown,
      options_become_arguments_of_the_tools_table, a_retry_is_judged_anew,
      a_dry_run_says_what_a_submit_would_and_stores_nothing, a_policy_is_shown_and_read_anew,
      capabilities_say_what_boxes_can_do,
      tools_show_their_table_and_how_many_scripts_each_level_gives)
