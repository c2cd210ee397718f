#include <jansson.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/results.h"
#include "cli/table.h"
#include "cli/view.h"
#include "tap.h"

static void collect(void *arg, struct buf *text)
{
    if (text->len) {
        buf_add(arg, text->data, text->len);
    }
    buf_reset(text);
}

/* ---- tables ---- */

static const char *const head[] = {"NAME", "N", "NOTE"};

static void columns_are_as_wide_as_their_widest_cell(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .right = 1u << 1, .sink = collect, .arg = &out};

    table_row(&t, (const char *const[]){"a", "1", "x"});
    table_row(&t, (const char *const[]){"longer", "1000", NULL});
    table_end(&t);
    CHECK_STR(out.data, "NAME       N  NOTE\n"
                        "a          1  x\n"
                        "longer  1000\n");
}

static void width_counts_columns_not_bytes(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .sink = collect, .arg = &out};

    table_row(&t, (const char *const[]){"äöü", "1", "x"});
    table_row(&t, (const char *const[]){"日本", "2", "x"});
    table_row(&t, (const char *const[]){"e\xcc\x81", "3", "x"});
    table_end(&t);
    CHECK_STR(out.data, "NAME  N  NOTE\n"
                        "äöü   1  x\n"
                        "日本  2  x\n"
                        "e\xcc\x81     3  x\n");
}

static void a_table_without_rows_has_its_head(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .sink = collect, .arg = &out};

    table_end(&t);
    CHECK_STR(out.data, "NAME  N  NOTE\n");
}

static void the_last_column_is_cut_to_the_terminal(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .width = 18, .sink = collect, .arg = &out};

    table_row(&t, (const char *const[]){"a", "1", "0123456789"});
    table_end(&t);
    CHECK_STR(out.data, "NAME  N  NOTE\n"
                        "a     1  01234567…\n");
}

static void long_tables_are_written_in_blocks(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .sink = collect, .arg = &out};
    size_t before;

    for (unsigned i = 0; i < TABLE_BLOCK_ROWS; i++) {
        table_row(&t, (const char *const[]){"a", "1", "x"});
    }
    before = out.len;
    CHECK(before > TABLE_BLOCK_ROWS);
    CHECK_INT(t.cells.n, 0);
    table_row(&t, (const char *const[]){"a wider one", "1", "x"});
    table_end(&t);
    CHECK_STR(out.data + before, "a wider one  1  x\n");
}

static void hostile_cells_stay_in_their_line(void)
{
    auto_buf out = {0};
    struct table t = {.head = head, .n = 3, .sink = collect, .arg = &out};

    table_row(&t, (const char *const[]){"\x1b[31mred\x1b[0m", "a\nb", "\xe2\x80\xae<evil>\xff\t"});
    table_end(&t);
    CHECK(strstr(out.data, "\\x1b[31mred\\x1b[0m  a\\x0ab  \\u{202e}<evil>\\xff\\x09\n"));
    CHECK(!strchr(out.data, '\x1b'));
}

/* ---- csv ---- */

static void check_csv(const char *cell, const char *want)
{
    auto_buf out = {0};
    auto_free char *line = str_fmt("%s\r\n", want);

    csv_row(&out, &cell, 1);
    CHECK_STR(out.data, line);
}

static void csv_is_quoted_as_rfc_4180_says(void)
{
    check_csv("plain", "plain");
    check_csv("", "");
    check_csv(NULL, "");
    check_csv("a,b", "\"a,b\"");
    check_csv("say \"hi\"", "\"say \"\"hi\"\"\"");
    check_csv("two\nlines", "\"two\nlines\"");
}

static void csv_cells_are_no_formulas(void)
{
    check_csv("=1+1", "\"'=1+1\"");
    check_csv("+1", "\"'+1\"");
    check_csv("-1", "\"'-1\"");
    check_csv("@SUM(A1)", "\"'@SUM(A1)\"");
    check_csv("\t=1", "\"'\t=1\"");
    check_csv("\r=1", "\"'\r=1\"");
    check_csv("a=1", "a=1");
    check_csv("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\"");
}

static void csv_has_no_terminal_controls(void)
{
    check_csv("a\x1b]0;x\x07"
              "b",
              "a\\x1b]0;x\\x07b");
}

/* ---- results ---- */

static const char two_hosts[] =
    "{\"seq\":1,\"address\":\"127.0.0.1\",\"state\":\"up\",\"reason\":\"localhost-response\","
    "\"hostnames\":[{\"name\":\"localhost\",\"type\":\"PTR\"}],\"timed_out\":false,"
    "\"extraports\":[{\"state\":\"closed\",\"count\":998}],\"ports\":["
    "{\"port\":22,\"protocol\":\"tcp\",\"state\":\"open\",\"service\":\"ssh\",\"product\":"
    "\"OpenSSH\","
    "\"version\":\"9.2p1\",\"extrainfo\":\"protocol "
    "2.0\",\"cpe\":[\"cpe:/a:openbsd:openssh:9.2p1\"],"
    "\"scripts\":[{\"id\":\"banner\",\"output\":\"one\\ntwo\\u001b\"}]},"
    "{\"port\":80,\"protocol\":\"tcp\",\"state\":\"open\",\"service\":null}]}\n"
    "\n"
    "{\"seq\":2,\"address\":\"::1\",\"state\":\"up\",\"timed_out\":true,\"ports\":[]}\n";

static void check_results(enum format format, const char *text, const char *want)
{
    size_t n = strlen(text);
    struct term term = {0};

    for (size_t step = 1; step <= n; step += step < 9 ? 1 : n - step > 0 ? n - step : 1) {
        auto_buf out = {0};
        struct results *r = results_new(format, &term, collect, &out);

        for (size_t i = 0; i < n; i += step) {
            CHECK_OK(results_feed(r, text + i, MIN(step, n - i), ERR));
        }
        results_end(r, NULL);
        CHECK_STR(out.data, want);
    }
}

static void a_table_shows_one_port_a_line(void)
{
    check_results(FORMAT_TABLE, two_hosts,
                  "HOST                   PORT    STATE  SERVICE  VERSION\n"
                  "127.0.0.1 (localhost)  22/tcp  open   ssh      OpenSSH 9.2p1 (protocol 2.0)\n"
                  "                       80/tcp  open\n"
                  "::1                    -       -      -        timed out\n");
}

static void the_nmap_form_looks_like_nmap(void)
{
    check_results(FORMAT_NMAP, two_hosts,
                  "Nmap scan report for localhost (127.0.0.1)\n"
                  "Host is up, received localhost-response.\n"
                  "Not shown: 998 closed ports\n"
                  "PORT    STATE  SERVICE  VERSION\n"
                  "22/tcp  open   ssh      OpenSSH 9.2p1 (protocol 2.0)\n"
                  "| banner: one\n"
                  "|_two\\x1b\n"
                  "80/tcp  open\n"
                  "\n"
                  "Nmap scan report for ::1\n"
                  "Host is up.\n"
                  "Skipping host due to host timeout\n"
                  "\n");
}

static void csv_has_one_port_a_record(void)
{
    check_results(FORMAT_CSV, two_hosts,
                  "address,hostname,host_state,protocol,port,state,reason,service,product,version,"
                  "extrainfo,cpe\r\n"
                  "127.0.0.1,localhost,up,tcp,22,open,,ssh,OpenSSH,9.2p1,protocol 2.0,"
                  "cpe:/a:openbsd:openssh:9.2p1\r\n"
                  "127.0.0.1,localhost,up,tcp,80,open,,,,,,\r\n"
                  "::1,,timed out,,,,,,,,,\r\n");
}

static void ndjson_goes_through_as_it_is(void)
{
    check_results(FORMAT_NDJSON, "{\"a\":1.50, \"b\":[]}\n{}\n", "{\"a\":1.50, \"b\":[]}\n{}\n");
}

static void json_is_the_job_with_its_hosts(void)
{
    struct term term = {0};
    auto_buf out = {0};
    struct results *r = results_new(FORMAT_JSON, &term, collect, &out);
    struct results_totals totals;

    CHECK_OK(results_job(r, "{\"id\":\"x\"}\n", 11, ERR));
    CHECK_OK(results_feed(r, "{\"state\":\"up\"}\n{}\n", 18, ERR));
    results_end(r, &totals);
    CHECK_STR(out.data, "{\"id\":\"x\",\"results\":[{\"state\":\"up\"},{}]}\n");
    CHECK_INT(totals.hosts, 2);
    CHECK_INT(totals.up, 1);
}

static void lines_that_are_no_hosts_are_refused(void)
{
    static const char *const bad[] = {"[]\n", "{\n", "7\n", "<html>\n", "{\"a\":1,\"a\":2}\n"};
    struct term term = {0};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_buf out = {0};
        struct results *r = results_new(FORMAT_TABLE, &term, collect, &out);
        int rc = results_feed(r, bad[i], strlen(bad[i]), ERR);

        results_end(r, NULL);
        CHECK_INT(rc, ERR_INVALID);
    }
}

static void odd_members_do_no_harm(void)
{
    check_results(
        FORMAT_TABLE,
        "{\"address\":7,\"state\":\"up\",\"ports\":[7,{\"port\":\"x\",\"service\":{\"name\":"
        "\"n\",\"product\":\"p\"}},null],\"hostnames\":{},\"extraports\":[[]]}\n",
        "HOST  PORT  STATE  SERVICE  VERSION\n"
        "      0/\n"
        "      0/           n        p\n"
        "      0/\n");
}

/* ---- jobs ---- */

static void a_job_is_read_defensively(void)
{
    json_t *job = json_loads("{\"id\":7,\"state\":\"running\",\"progress\":{\"percent\":62.5,"
                             "\"remaining_s\":220},\"counts\":[],\"error\":null}",
                             0, NULL);
    struct job_view v;

    CHECK(job);
    job_view_read(job, &v);
    CHECK_STR(v.id, "");
    CHECK_STR(v.error, "");
    CHECK(v.percent > 62 && v.percent < 63);
    CHECK_INT(v.remaining_s, 220);
    CHECK_INT(v.hosts, 0);
    CHECK(!v.terminal);
    json_decref(job);
}

static void the_end_of_a_job_is_an_exit_status(void)
{
    static const struct {
        const char *state, *reason;
        int status;
    } cases[] = {
        {"completed", "", STATUS_OK},
        {"failed", "tool_failed", STATUS_SCAN},
        {"failed", "refused", STATUS_REFUSED},
        {"timed_out", "timeout", STATUS_SCAN},
        {"cancelled", "cancelled", STATUS_SCAN},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job_view v = {.state = cases[i].state, .reason = cases[i].reason};

        CHECK_INT(job_view_status(&v), cases[i].status);
    }
}

static void durations_are_short(void)
{
    static const struct {
        int64_t us;
        const char *want;
    } cases[] = {
        {0, "0.0 s"},
        {4123456, "4.1 s"},
        {59999999, "59.9 s"},
        {220000000, "3 m 40 s"},
        {7500000000, "2 h 05 m"},
        {518400000000, "6 d"},
        {-5, "0.0 s"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf b = {0};

        buf_add_duration(&b, cases[i].us);
        CHECK_STR(b.data, cases[i].want);
    }
}

static void the_bar_fits_the_terminal(void)
{
    struct job_view v = {.id = "0123456789abcdef",
                         .tool = "nmap\x1b[2J",
                         .state = "running",
                         .percent = 50,
                         .remaining_s = 10,
                         .hosts_up = 3,
                         .ports_open = 12};

    for (unsigned width = 1; width <= 120; width++) {
        auto_buf b = {0};

        progress_text(&v, 0, width, false, &b);
        CHECK(text_width(b.data, b.len) <= width);
        CHECK(!memchr(b.data ? b.data : "", '\x1b', b.len));
    }
}

static void the_bar_says_what_is_known(void)
{
    struct job_view v = {.id = "0123456789abcdef",
                         .tool = "nmap",
                         .state = "running",
                         .percent = 50,
                         .remaining_s = 10,
                         .hosts_up = 3,
                         .ports_open = 12};
    auto_buf b = {0};

    progress_text(&v, 0, 200, false, &b);
    CHECK_STR(b.data, "0123456789ab  nmap  running  50% ━━━━━━━━━━━━━━──────────────"
                      "  3 up, 12 open  10.0 s left");
    buf_reset(&b);
    v.percent = -1;
    v.hosts_up = v.ports_open = 0;
    progress_text(&v, 0, 200, false, &b);
    CHECK_STR(b.data, "0123456789ab  nmap  running");
}

TESTS(columns_are_as_wide_as_their_widest_cell, width_counts_columns_not_bytes,
      a_table_without_rows_has_its_head, the_last_column_is_cut_to_the_terminal,
      long_tables_are_written_in_blocks, hostile_cells_stay_in_their_line,
      csv_is_quoted_as_rfc_4180_says, csv_cells_are_no_formulas, csv_has_no_terminal_controls,
      a_table_shows_one_port_a_line, the_nmap_form_looks_like_nmap, csv_has_one_port_a_record,
      ndjson_goes_through_as_it_is, json_is_the_job_with_its_hosts,
      lines_that_are_no_hosts_are_refused, odd_members_do_no_harm, a_job_is_read_defensively,
      the_end_of_a_job_is_an_exit_status, durations_are_short, the_bar_fits_the_terminal,
      the_bar_says_what_is_known)
