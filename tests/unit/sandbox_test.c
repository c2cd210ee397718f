/* Names, limits and reports of runs. */
#include "model/sandbox.h"

#include "tap.h"

static void names_are_read_as_they_are_written(void)
{
    enum egress l = EGRESS_NONE;

    for (unsigned i = 0; i < EGRESS_LEVELS; i++) {
        CHECK(egress_parse(egress_name((enum egress)i), &l));
        CHECK_INT(l, i);
    }
    CHECK(!egress_parse("NFT", &l) && !egress_parse("", &l) && !egress_parse(NULL, &l));
    CHECK_STR(limit_kind_name(LIMIT_FILE_SIZE), "file_size");
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        CHECK(limit_kind_name((enum limit_kind)i));
    }
}

static void limits_survive_being_stored(void)
{
    struct limits l = {0}, back = {0};
    auto_buf b = {0};
    uint32_t v = 100;

    for (const struct limit_row *row = limit_rows; row->name; row++) {
        *limit_at(&l, row) = v++;
    }
    limits_put(&l, &b);
    CHECK_STR(b.data, "wall_s=100,cpu_s=101,memory_mb=102,processes=103,file_mb=104,disk_mb=105,"
                      "inodes=106,output_mb=107,rate_pps=108");
    CHECK_OK(limits_parse(b.data, &back, ERR));
    CHECK_INT(memcmp(&l, &back, sizeof l), 0);
    CHECK_OK(limits_parse("", &back, ERR));
    CHECK_INT(back.wall_s, 0);
    CHECK_OK(limits_parse(NULL, &back, ERR));
    buf_reset(&b);
    limits_put(&back, &b);
    CHECK_INT(b.len, 0);
}

static void limits_out_of_bounds_are_refused_with_the_bounds(void)
{
    static const char *const cases[][2] = {
        {"wall_s=0", "limit wall_s (seconds by the clock) must be from 1 to 604800"},
        {"wall_s=604801", "limit wall_s (seconds by the clock) must be from 1 to 604800"},
        {"wall_s=", "limit wall_s (seconds by the clock) must be from 1 to 604800"},
        {"wall_s", "limit wall_s (seconds by the clock) must be from 1 to 604800"},
        {"wall_s=1 ", "limit wall_s (seconds by the clock) must be from 1 to 604800"},
        {"memory_mb=99999999999999999999",
         "limit memory_mb (memory, MiB) must be from 16 to 1048576"},
        {"wall=1", "no such limit: 'wall'"},
        {"wall_s=1,wall_s=2", "limit wall_s is given twice"},
        {"wall_s=1,", "limits end with a comma"},
        {",wall_s=1", "no such limit: ''"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct limits l = {.wall_s = 77};

        CHECK_ERR(limits_parse(cases[i][0], &l, ERR), ERR_INVALID);
        CHECK_STR(tap_err.msg, cases[i][1]);
        CHECK_INT(l.wall_s, 77);
    }
}

static void the_stricter_limit_counts(void)
{
    struct limits l = {.wall_s = 60, .memory_mb = 512, .rate_pps = 0, .cpu_s = 9};
    struct limits by = {.wall_s = 90, .memory_mb = 256, .rate_pps = 1000};

    limits_tighten(&l, &by);
    CHECK_INT(l.wall_s, 60);
    CHECK_INT(l.memory_mb, 256);
    CHECK_INT(l.rate_pps, 1000);
    CHECK_INT(l.cpu_s, 9);
    CHECK_INT(l.disk_mb, 0);
}

static void reports_are_one_object(void)
{
    static const char *const notes[] = {"-sS became -sT: level broker has no raw sockets", NULL};
    struct sandbox_report r = {
        .box = "userns",
        .limits = "cgroup2",
        .egress = EGRESS_NFT,
        .raw_sockets = true,
        .limit = LIMIT_OOM,
        .limit_certain = true,
        .cpu_us = 1234567,
        .max_rss_kb = 2048,
        .memory_peak_kb = -1,
        .output_bytes = 99,
        .disk_bytes = -1,
        .counted = true,
        .counts = {.passed = 7, .out_of_scope = 1, .rate = 2, .noise = 3},
    };
    auto_buf b = {0};
    char text[80];

    sandbox_summary(&r, text, sizeof text);
    CHECK_STR(text, "userns+nft+cgroup2");
    sandbox_json(&r, notes, &b);
    CHECK_STR(b.data,
              "{\"box\":\"userns\",\"files\":\"view\",\"egress\":\"nft\",\"limits\":\"cgroup2\","
              "\"dedicated\":false,"
              "\"raw_sockets\":true,\"limit\":\"oom\",\"limit_certain\":true,\"usage\":{\"cpu_ms\":"
              "1234,\"max_rss_kb\":2048,\"memory_peak_kb\":null,\"output_bytes\":99,\"disk_bytes\":"
              "null},\"packets\":{\"passed\":7,\"dropped\":{\"out_of_scope\":1,\"spoofed\":0,"
              "\"protocol\":0,\"options\":0,\"link\":0,\"rate\":2},\"noise\":3},\"notes\":[\"-sS "
              "became -sT: level broker has no raw sockets\"]}");
    r.egress = EGRESS_BROKER;
    r.files = FILES_LANDLOCK;
    sandbox_summary(&r, text, sizeof text);
    CHECK_STR(text, "userns-landlock+broker+cgroup2");
    r.files = FILES_OPEN;
    sandbox_summary(&r, text, sizeof text);
    CHECK_STR(text, "userns-open+broker+cgroup2");
    r.limit = LIMIT_NONE;
    buf_reset(&b);
    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "\"calls\":{\"passed\":7") && !strstr(b.data, "packets\""));
    CHECK(strstr(b.data, "\"limit\":null") && strstr(b.data, "\"notes\":[]"));
    r.egress = EGRESS_PROXY;
    buf_reset(&b);
    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "\"connections\":{\"passed\":7,\"dropped\":{\"out_of_scope\":1"));
    r.egress = EGRESS_BROKER;
    r.counted = false;
    buf_reset(&b);
    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "\"calls\":null"));
}

static void what_was_asked_of_an_api_is_told_if_anything_was(void)
{
    struct sandbox_report r = {.box = "userns",
                               .limits = "rlimit",
                               .egress = EGRESS_PROXY,
                               .api = {.requests = 3, .input_tokens = 700, .output_tokens = 80}};
    auto_buf b = {0};

    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "\"api\":{\"requests\":3,\"refused\":0,\"input_tokens\":700,"
                         "\"output_tokens\":80}") != NULL);
    buf_reset(&b);
    r.api = (struct api_use){.refused = 1};
    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "\"refused\":1") != NULL);
    buf_reset(&b);
    r.api = (struct api_use){0};
    sandbox_json(&r, NULL, &b);
    CHECK(strstr(b.data, "api") == NULL);
}

static void a_workspace_of_gigabytes_and_millions_of_files_is_within_the_bounds(void)
{
    struct limits l;

    CHECK_OK(limits_parse("disk_mb=8192,inodes=4000000", &l, ERR));
    CHECK_INT(l.disk_mb, 8192);
    CHECK_INT(l.inodes, 4000000);
}

TESTS(what_was_asked_of_an_api_is_told_if_anything_was,
      a_workspace_of_gigabytes_and_millions_of_files_is_within_the_bounds,
      names_are_read_as_they_are_written, limits_survive_being_stored,
      limits_out_of_bounds_are_refused_with_the_bounds, the_stricter_limit_counts,
      reports_are_one_object)
