/* Results over the API: order of addresses, exports, differences, tasks, coverage, imports. */
#include "api_rig.h"

#include <dirent.h>
#include <sys/stat.h>

#include "report/report.h"

static const char v1[] = "/api/v1/scans";

/* ---- jobs with results ---- */

static char *run_job(void)
{
    unsigned before = rig.runs;
    char *id = submit("127.0.0.1");

    for (unsigned i = 0; rig.runs == before; i++) {
        CHECK(i < 50);
        turns(1);
    }
    return id;
}

/* One open port, whose service is what somebody hostile would call it. */
static void add_host(const char *address, uint16_t number, const char *state)
{
    struct host_addr a = {.addr = address, .type = strchr(address, ':') ? "ipv6" : "ipv4"};
    struct host h = {.addrs = &a, .n_addrs = 1, .state = "up", .reason_ttl = -1};
    struct port p = {.number = number,
                     .protocol = "tcp",
                     .state = state,
                     .reason_ttl = -1,
                     .conf = -1,
                     .service = "=cmd|'<script>\"\x1b[31m",
                     .has_service = true};
    int64_t seq;

    CHECK_OK(store_host_begin(rig.store, &rig.run, &h, &seq, ERR));
    CHECK_OK(store_host_port(rig.store, &p, ERR));
    CHECK_OK(store_host_end(rig.store, ERR));
}

static void finish_with(const struct coverage_cell *cells, size_t n)
{
    struct outcome o = {
        .state = JOB_COMPLETED, .command_line = "nmap -oX - x", .cells = cells, .n_cells = n};

    sched_finish(rig.sched, &rig.run, &o);
    turns(2);
}

static char *path_of(const char *id, const char *rest)
{
    return str_fmt("%s/%s/%s", v1, id, rest);
}

static void many_hosts(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        auto_free char *address =
            str_fmt("127.%u.%u.%u", (n - i) >> 16 & 255, (n - i) >> 8 & 255, (n - i) & 255);

        add_host(address, (uint16_t)(1 + i % 60000), "open");
        if (i % 500 == 499) {
            turns(1);
        }
    }
}

static size_t count(const char *s, const char *needle)
{
    size_t n = 0;

    while ((s = strstr(s, needle)) != NULL) {
        n++;
        s += strlen(needle);
    }
    return n;
}

/* ---- order ---- */

static void hosts_come_in_the_order_of_their_addresses_page_by_page(void)
{
    static const char *const given[] = {"127.0.0.10", "::1", "127.0.0.9", "127.0.1.1",
                                        "127.0.0.100"};
    static const char *const want[] = {"127.0.0.9", "127.0.0.10", "127.0.0.100", "127.0.1.1",
                                       "::1"};
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    auto_free char *cursor = NULL;

    rig_start(1, NULL);
    id = run_job();
    for (size_t i = 0; i < ARRAY_LEN(given); i++) {
        add_host(given[i], 80, "open");
    }
    finish(JOB_COMPLETED);
    for (size_t i = 0; i < ARRAY_LEN(want); i += 2) {
        auto_free char *rest = str_fmt("hosts?order=address&limit=2%s%s", cursor ? "&cursor=" : "",
                                       cursor ? cursor : "");
        auto_free char *page = path_of(id, rest);
        auto_answer got = ask("GET", page, NULL);
        json_t *v = json_loads(got.body, 0, NULL);
        json_t *items = json_object_get(v, "items");

        CHECK_INT(json_array_size(items), MIN(2, ARRAY_LEN(want) - i));
        for (size_t k = 0; k < json_array_size(items); k++) {
            CHECK_STR(json_string_value(json_object_get(json_array_get(items, k), "address")),
                      want[i + k]);
        }
        free(cursor);
        cursor = xstrdup(json_string_value(json_object_get(v, "next_cursor")));
        CHECK(!cursor || has_header(&got, "&order=address"));
        json_decref(v);
    }
    CHECK(!cursor);
    {
        auto_free char *seen = path_of(id, "hosts?limit=1");
        auto_free char *odd = path_of(id, "hosts?order=name");
        auto_answer got = ask("GET", seen, NULL);
        auto_answer wrong = ask("GET", odd, NULL);
        auto_free char *other = member_of(got.body, "next_cursor");
        auto_free char *rest = str_fmt("hosts?order=address&cursor=%s", other);
        auto_free char *mixed = path_of(id, rest);
        auto_answer not = ask("GET", mixed, NULL);

        CHECK_INT(wrong.status, 422);
        CHECK(strstr(wrong.body, "?order"));
        CHECK_INT(not .status, 422); /* a cursor belongs to its order */
        CHECK(strstr(not .body, "?cursor"));
    }
    path = path_of(id, "hosts?order=address&format=ndjson");
    {
        auto_answer got = ask("GET", path, NULL);
        const char *at = got.body;

        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
            auto_free char *needle = str_fmt("\"address\":\"%s\"", want[i]);

            at = strstr(at, needle);
            CHECK(at);
        }
    }
    rig_stop();
}

/* ---- exports ---- */

static void every_format_is_streamed_with_all_hosts(void)
{
    enum { HOSTS = 1200 };
    auto_free char *id = NULL;

    rig_start(1, NULL);
    id = run_job();
    many_hosts(HOSTS);
    finish(JOB_COMPLETED);
    CHECK(report_formats[0]);
    for (const struct report_format *const *f = report_formats; *f; f++) {
        auto_free char *rest = str_fmt("export?format=%s", (*f)->name);
        auto_free char *path = path_of(id, rest);
        auto_free char *name = str_fmt("filename=\"scanpod-%s%s\"", id, (*f)->suffix);
        auto_free char *type = str_fmt("Content-Type: %s\r\n", (*f)->media_type);
        auto_answer got = ask("GET", path, NULL);
        auto_buf head = {0};
        int fd = say("HEAD", path, NULL, NULL);

        for (int i = 0; take(fd, &head); i++) {
            CHECK(i < 100);
            turns(1);
        }
        close(fd);

        CHECK_INT(got.status, 200);
        CHECK(has_header(&got, name));
        CHECK(has_header(&got, type));
        CHECK(has_header(&got, "X-Content-Type-Options: nosniff"));
        CHECK(count(got.body, "127.0.") >= HOSTS);
        CHECK(strstr(got.body, "127.0.4.176")); /* the last one */
        CHECK(!strchr(got.body, '\x1b'));
        CHECK(str_starts(head.data, "HTTP/1.1 200 "));
        CHECK(strstr(head.data, type));
        CHECK_STR(strstr(head.data, "\r\n\r\n"), "\r\n\r\n");
    }
    rig_stop();
}

static void an_export_is_known_by_its_tag_and_only_of_jobs_that_ended(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    auto_free char *other = NULL;
    auto_free char *none = NULL;

    rig_start(1, NULL);
    id = run_job();
    add_host("127.0.0.1", 80, "open");
    path = path_of(id, "export?format=csv");
    other = path_of(id, "export?format=grepable");
    none = path_of(id, "export");
    {
        auto_answer early = ask("GET", path, NULL);

        CHECK_INT(early.status, 409);
    }
    finish(JOB_COMPLETED);
    {
        auto_answer got = ask("GET", path, NULL);
        const char *at = strstr(got.text.data, "ETag: ");
        auto_free char *tag = xstrndup(at + 6, strcspn(at + 6, "\r"));
        auto_free char *header = str_fmt("If-None-Match: %s\r\n", tag);
        auto_answer same = hear(say("GET", path, header, NULL));
        auto_answer different = hear(say("GET", other, header, NULL));
        auto_answer missing = ask("GET", none, NULL);
        auto_answer lost =
            ask("GET", "/api/v1/scans/00000000000000000000000000000000/export?format=csv", NULL);

        CHECK_INT(same.status, 304);
        CHECK(has_header(&same, "ETag: "));
        CHECK_INT(different.status, 200);
        CHECK_INT(missing.status, 422);
        CHECK(strstr(missing.body, "?format") && strstr(missing.body, "nmap-xml"));
        CHECK_INT(lost.status, 404);
    }
    rig_stop();
}

/* Lets the kernel keep little of this connection. */
static void narrow(int fd)
{
    struct sockaddr_in mine;
    struct sockaddr_in peer;
    socklen_t len = sizeof mine;
    int small = 8192;

    CHECK_INT(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
    for (int other = 0; other < 256; other++) {
        len = sizeof peer;
        if (getpeername(other, (struct sockaddr *)&peer, &len) == 0 &&
            peer.sin_port == mine.sin_port) {
            CHECK_INT(setsockopt(other, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        }
    }
}

static void others_are_served_while_a_slow_client_takes_a_long_answer(void)
{
    enum { HOSTS = 20000 };
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    struct buf got[3] = {{0}};
    int fds[3];

    rig_start(1, NULL);
    id = run_job();
    many_hosts(HOSTS);
    finish(JOB_COMPLETED);
    path = path_of(id, "export?format=ndjson");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = say("GET", path, NULL, NULL);
    }
    turns(2);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        narrow(fds[i]);
    }
    turns(100);
    CHECK(!rig.api->pumps); /* nobody reads: nothing more is made */
    {
        auto_answer health = ask("GET", "/healthz", NULL);

        CHECK_INT(health.status, 200);
    }
    CHECK(take(fds[0], &got[0]));
    CHECK(got[0].len < 1000000);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        for (int k = 0; k < 20000 && take(fds[i], &got[i]); k++) {
            turns(1);
        }
        CHECK(got[i].len > 1000000);
        CHECK(strstr(got[i].data, "127.0.78.32")); /* the last one */
        CHECK(strstr(got[i].data, "\r\n0\r\n\r\n"));
        close(fds[i]);
        buf_done(&got[i]);
    }
    rig_stop();
}

static void an_answer_whose_client_leaves_is_given_up(void)
{
    auto_free char *id = NULL;
    auto_free char *path = NULL;
    int fd;

    rig_start(1, NULL);
    id = run_job();
    many_hosts(3000);
    finish(JOB_COMPLETED);
    path = path_of(id, "export?format=csv");
    fd = say("GET", path, NULL, NULL);
    turns(2);
    close(fd);
    turns(20);
    fd = say("GET", path, NULL, NULL);
    turns(2);
    rig_stop(); /* the server ends with one under way */
    close(fd);
}

/* ---- differences ---- */

static char *job_of(const char *ports, const char *const *addresses, uint16_t number)
{
    const struct coverage_cell cells[] = {
        {.addresses = "127.0.0.0/24", .protocol = "host", .start_us = 1, .end_us = 2},
        {.addresses = "127.0.0.0/24",
         .protocol = "tcp",
         .ports = ports,
         .up_only = true,
         .start_us = 1,
         .end_us = 2}};
    char *id = run_job();

    for (size_t i = 0; addresses[i]; i++) {
        add_host(addresses[i], number, "open");
    }
    finish_with(cells, ARRAY_LEN(cells));
    return id;
}

static void a_difference_is_told_in_three_forms_with_its_counts(void)
{
    static const char *const one[] = {"127.0.0.1", "127.0.0.2", NULL};
    static const char *const two[] = {"127.0.0.1", NULL};
    auto_free char *a = NULL;
    auto_free char *b = NULL;
    auto_free char *path = NULL;

    rig_start(1, NULL);
    a = job_of("80-90", one, 80);
    b = job_of("80-90", two, 81);
    path = str_fmt("/api/v1/diff?a=%s&b=%s", a, b);
    {
        auto_free char *lines = str_fmt("%s&format=ndjson", path);
        auto_free char *text = str_fmt("%s&format=text", path);
        auto_answer got = ask("GET", path, NULL);
        auto_answer ndjson = ask("GET", lines, NULL);
        auto_answer plain = ask("GET", text, NULL);
        json_t *v = json_loads(got.body, 0, NULL);
        const json_t *counts = json_object_get(v, "counts");

        CHECK_INT(got.status, 200);
        CHECK_STR(json_string_value(json_object_get(v, "a")), a);
        CHECK_INT(json_integer_value(json_object_get(counts, "opened")), 1);
        CHECK_INT(json_integer_value(json_object_get(counts, "host_gone")), 1);
        CHECK(json_array_size(json_object_get(v, "items")) >= 3);
        CHECK_INT(count(ndjson.body, "\n"), json_array_size(json_object_get(v, "items")) + 1);
        CHECK(strstr(ndjson.body, "\n{\"counts\":{"));
        CHECK(has_header(&ndjson, "application/x-ndjson"));
        CHECK(strstr(plain.body, "127.0.0.1 81/tcp opened"));
        CHECK(strstr(plain.body, "\n# ") && !strstr(plain.body, "\n\n"));
        CHECK(!strchr(plain.body, '\x1b'));
        json_decref(v);
    }
    {
        const char *at;
        auto_answer got = ask("GET", path, NULL);

        at = strstr(got.text.data, "ETag: ");
        CHECK(at);
        {
            auto_free char *tag = xstrndup(at + 6, strcspn(at + 6, "\r"));
            auto_free char *header = str_fmt("If-None-Match: %s\r\n", tag);
            auto_answer same = hear(say("GET", path, header, NULL));

            CHECK_INT(same.status, 304);
        }
    }
    rig_stop();
}

static void what_cannot_be_compared_is_said(void)
{
    auto_free char *id = NULL;

    rig_start(1, NULL);
    id = run_job();
    {
        auto_free char *running = str_fmt("/api/v1/diff?a=%s&b=%s", id, id);
        auto_answer a = ask("GET", running, NULL);
        auto_answer b = ask("GET", "/api/v1/diff", NULL);
        auto_answer c = ask("GET", "/api/v1/diff?a=x&b=00000000000000000000000000000000", NULL);
        auto_free char *form = str_fmt("/api/v1/diff?a=%s&b=%s&format=xml", id, id);
        auto_answer d = ask("GET", form, NULL);

        CHECK_INT(a.status, 422);
        CHECK(strstr(a.body, "\"?a\"") && strstr(a.body, "still running"));
        CHECK_INT(b.status, 422);
        CHECK(strstr(b.body, "\"?a\"") && strstr(b.body, "\"?b\""));
        CHECK_INT(c.status, 422);
        CHECK(strstr(c.body, "no such job"));
        CHECK_INT(d.status, 422);
        CHECK(strstr(d.body, "\"?format\""));
    }
    rig_stop();
}

static void many_rows_that_are_the_same_do_not_hold_the_loop(void)
{
    enum { HOSTS = 20000 };
    auto_free char *a = NULL;
    auto_free char *b = NULL;
    auto_free char *path = NULL;
    auto_buf got = {0};
    int fd;
    int n = 0;

    rig_start(1, NULL);
    a = run_job();
    many_hosts(HOSTS);
    finish(JOB_COMPLETED);
    b = run_job();
    many_hosts(HOSTS);
    finish(JOB_COMPLETED);
    path = str_fmt("/api/v1/diff?a=%s&b=%s", a, b);
    fd = say("GET", path, NULL, NULL);
    for (; take(fd, &got) && n < 10000; n++) {
        turns(1);
    }
    close(fd);
    CHECK(n > 10); /* it took its turns */
    CHECK(strstr(got.data, "\"ports_same\":20000"));
    rig_stop();
}

/* ---- tasks and coverage ---- */

static void a_plain_job_has_one_task_and_its_cells(void)
{
    static const char *const hosts[] = {"127.0.0.1", NULL};
    auto_free char *id = NULL;

    rig_start(1, NULL);
    id = job_of("80-90", hosts, 80);
    {
        auto_free char *tasks = path_of(id, "tasks");
        auto_free char *cells = path_of(id, "coverage?limit=1");
        auto_answer t = ask("GET", tasks, NULL);
        auto_answer c = ask("GET", cells, NULL);
        auto_free char *cursor = member_of(c.body, "next_cursor");
        auto_free char *rest = str_fmt("coverage?limit=1&cursor=%s", cursor);
        auto_free char *next = path_of(id, rest);
        auto_answer d = ask("GET", next, NULL);
        auto_free char *bad = path_of(id, "coverage?cursor=x");
        auto_answer e = ask("GET", bad, NULL);

        CHECK_INT(t.status, 200);
        CHECK_INT(count(t.body, "\"task\":"), 1);
        CHECK(strstr(t.body, "\"state\":\"completed\""));
        CHECK(strstr(t.body, "\"next_cursor\":null"));
        CHECK_INT(c.status, 200);
        CHECK(strstr(c.body, "\"protocol\":\"host\",\"ports\":null"));
        CHECK(strstr(d.body, "\"protocol\":\"tcp\",\"ports\":\"80-90\",\"up_only\":true"));
        CHECK(strstr(d.body, "\"next_cursor\":null"));
        CHECK_INT(e.status, 422);
    }
    rig_stop();
}

static void tasks_of_a_planned_job_are_paged_and_its_summary_is_part_of_it(void)
{
    static struct profiles *profiles;
    const struct api_config *c;
    auto_free char *id = NULL;

    CHECK_OK(profiles_load(NULL, &profiles, ERR));
    c = &(struct api_config){.profiles = profiles};
    rig_start(0, c);
    {
        auto_answer got = ask("POST", v1,
                              "{\"targets\":\"127.0.0.0/24\",\"shards\":8,"
                              "\"pace\":\"own\",\"ports\":\"1-1000\"}");
        struct id raw;

        CHECK_INT(got.status, 202);
        id = member_of(got.body, "id");
        CHECK(id_parse(id, &raw));
        CHECK_OK(store_job_progress(
            rig.store, &raw, &(struct progress){.percent_x100 = 100, .remaining_s = -1},
            "{\"stages\":[{\"name\":\"ports\",\"tool\":\"nmap\"}],\"coverage\":{\"percent\":1.5},"
            "\"notes\":[\"a\"],\"flagged\":[],\"sandbox\":{}}",
            ERR));
        turns(1);
    }
    {
        auto_free char *job = str_fmt("%s/%s", v1, id);
        auto_free char *tasks = path_of(id, "tasks?limit=3");
        auto_free char *raw = path_of(id, "raw");
        auto_free char *task = path_of(id, "raw?task=0");
        auto_free char *high = path_of(id, "raw?task=5000");
        auto_answer j = ask("GET", job, NULL);
        auto_answer t = ask("GET", tasks, NULL);
        auto_answer r = ask("GET", raw, NULL);
        auto_answer one = ask("GET", task, NULL);
        auto_answer odd = ask("GET", high, NULL);
        auto_free char *cursor = member_of(t.body, "next_cursor");
        auto_free char *rest = str_fmt("tasks?limit=1000&cursor=%s", cursor);
        auto_free char *next = path_of(id, rest);
        auto_answer more = ask("GET", next, NULL);
        json_t *v = json_loadb(j.body, strlen(j.body), JSON_REJECT_DUPLICATES, NULL);

        CHECK(v);
        CHECK_INT(json_array_size(json_object_get(v, "stages")), 1);
        CHECK(strstr(j.body, "\"coverage\":{\"percent\":1.5},\"notes\":[\"a\"],\"flagged\":[]"));
        json_decref(v);
        CHECK_INT(count(t.body, "\"task\":"), 3);
        CHECK(strstr(t.body, "\"task\":0,\"state\":\"queued\""));
        CHECK(strstr(t.body, "\"stage\":\"") && strstr(t.body, "\"targets\":\"127.0.0."));
        CHECK(strstr(more.body, "\"task\":3,"));
        CHECK(strstr(more.body, "\"next_cursor\":null"));
        CHECK_INT(r.status, 404);
        CHECK(strstr(r.body, "?task=N"));
        CHECK_INT(one.status, 404);
        CHECK_INT(odd.status, 422);
    }
    rig_stop();
    profiles_free(profiles);
}

/* ---- imports ---- */

static char blobs[64];
static char *import_dir;

static void begin_imports(uint64_t max)
{
    snprintf(blobs, sizeof blobs, "/tmp/scanpod-import-XXXXXX");
    CHECK(mkdtemp(blobs));
    import_dir = str_fmt("%s/import", blobs);
    CHECK_INT(mkdir(import_dir, 0700), 0);
    rig_start(0,
              &(struct api_config){.blob_dir = blobs, .import_dir = import_dir, .import_max = max});
}

static unsigned files(void)
{
    DIR *d = opendir(import_dir);
    const struct dirent *f;
    unsigned n = 0;

    CHECK(d);
    while ((f = readdir(d)) != NULL) {
        n += f->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void end_imports(void)
{
    DIR *d = opendir(import_dir);
    const struct dirent *f;

    rig_stop();
    while (d && (f = readdir(d)) != NULL) {
        unlinkat(dirfd(d), f->d_name, 0);
    }
    closedir(d);
    rmdir(import_dir);
    rmdir(blobs);
    free(import_dir);
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

static const char nmap_file[] = "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun>\n"
                                "<nmaprun scanner=\"nmap\" args=\"nmap -oX - 127.0.0.1\">\n";
static const char masscan_file[] =
    "[\n{   \"ip\": \"10.0.0.1\",   \"timestamp\": \"1700000000\", \"ports\": [ {\"port\": 80, "
    "\"proto\": \"tcp\", \"status\": \"open\", \"reason\": \"syn-ack\", \"ttl\": 64} ] }\n]\n";

static int look_at_task(void *arg, const struct task_info *t, struct err *e)
{
    struct plan_spec spec = {0};

    CHECK_INT(t->task.idx, 0);
    CHECK_OK(plan_spec_read(t->spec, &spec, ERR));
    CHECK_STR(spec.tool, arg);
    CHECK_STR(spec.targets, "");
    CHECK(spec.kind == STAGE_PORTS);
    plan_spec_done(&spec);
    return 0;
}

static void a_file_becomes_a_job_that_waits_with_what_was_sent(void)
{
    static const struct {
        const char *query, *body, *tool;
        bool planned;
    } rows[] = {
        {"", nmap_file, "nmap", false},
        {"?format=nmap&name=office%20scan.xml", nmap_file, "nmap", false},
        {"?format=auto", masscan_file, "masscan", true},
        {"?format=masscan", "", "masscan", true},
        {"?format=zmap", "", "zmap", true},
    };

    begin_imports(1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = str_fmt("/api/v1/imports%s", rows[i].query);
        auto_answer got = ask("POST", path, rows[i].body);
        auto_free char *id = NULL;
        auto_free char *file = NULL;
        auto_fd int fd = -1;
        char text[1024] = {0};
        struct job job;
        struct id raw;

        if (got.status != 202) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", path, got.status, got.body);
        }
        id = member_of(got.body, "id");
        CHECK(has_header(&got, "Location: /api/v1/scans/"));
        CHECK(strstr(got.body, "\"imported\":true"));
        CHECK(id_parse(id, &raw));
        job_init(&job);
        CHECK_OK(store_job_get(rig.store, &raw, &job, ERR));
        CHECK_STR(job.tool, rows[i].tool);
        CHECK_STR(job.targets, i == 1 ? "office scan.xml" : "imported file");
        CHECK(str_starts(job.import_path, "import/"));
        CHECK((job.plan != NULL) == rows[i].planned);
        if (job.plan) {
            struct plan *plan;

            CHECK_OK(plan_read(job.plan, &plan, ERR));
            plan_free(plan);
            CHECK_OK(store_tasks(rig.store, job.num, -1, 10, look_at_task,
                                 (void *)(uintptr_t)rows[i].tool, ERR));
        }
        file = str_fmt("%s/%s", blobs, job.import_path);
        fd = open(file, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && read(fd, text, sizeof text - 1) >= 0);
        CHECK_STR(text, rows[i].body);
        job_done(&job);
        {
            auto_free char *retry = path_of(id, "retry");
            auto_answer again = ask("POST", retry, NULL);

            CHECK_INT(again.status, 409);
        }
    }
    CHECK_INT(files(), ARRAY_LEN(rows));
    {
        auto_answer audit = ask("GET", "/api/v1/audit", NULL);

        CHECK_INT(count(audit.body, "\"action\":\"scan.import\""), ARRAY_LEN(rows));
        CHECK(strstr(audit.body, "office scan.xml"));
    }
    CHECK_INT(rig.api->uploads, 0);
    end_imports();
}

static void a_file_that_is_not_what_it_says_leaves_nothing(void)
{
    static const struct {
        const char *query, *body, *says;
        int status;
    } rows[] = {
        {"", "hello", "text", 422},
        {"", "", "empty", 422},
        {"?format=nmap", "", "empty", 422},
        {"?format=nmap", "x,y\n", "not the output of nmap", 422},
        {"?format=masscan", nmap_file, "it is that of nmap", 422},
        {"?format=nmap", masscan_file, "it is that of masscan", 422},
        {"?format=pcap", nmap_file, "?format", 422},
        {"?name=", nmap_file, "?name", 422},
        {"?name=a%0ab", nmap_file, "?name", 422},
        {"?name=%ff", nmap_file, "?name", 422},
        {"?nam=x", nmap_file, "?nam", 422},
        {"", "\x1f\x8b\x08 gzip", "compressed", 422},
    };

    begin_imports(1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = str_fmt("/api/v1/imports%s", rows[i].query);
        auto_answer got = ask("POST", path, rows[i].body);

        if (got.status != rows[i].status || !strstr(got.body, rows[i].says)) {
            tap_fail(__FILE__, __LINE__, "%s: %d %s", path, got.status, got.body);
        }
    }
    CHECK_INT(files(), 0);
    CHECK_INT(jobs(), 0);
    CHECK_INT(rig.api->uploads, 0);
    end_imports();
}

static void a_file_that_is_too_large_or_not_whole_leaves_nothing(void)
{
    static const char head[] =
        "POST /api/v1/imports HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: k\r\n";
    auto_free char *large = xcalloc(1, 2000);
    int fd;

    begin_imports(1000);
    memset(large, '<', 1999);
    {
        auto_answer told = ask("POST", "/api/v1/imports", large);
        auto_answer chunked;
        auto_free char *text =
            str_fmt("%sTransfer-Encoding: chunked\r\n\r\n7cf\r\n%s\r\n0\r\n\r\n", head, large);

        CHECK_INT(told.status, 413);
        CHECK(has_header(&told, "application/problem+json"));
        fd = dial();
        CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
        chunked = hear(fd);
        CHECK_INT(chunked.status, 413);
        answer_done(&chunked);
    }
    fd = dial();
    {
        auto_free char *text = str_fmt("%sContent-Length: 900\r\n\r\n<?xml", head);

        CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    }
    turns(5);
    CHECK_INT(files(), 1);
    close(fd);
    turns(5);
    CHECK_INT(files(), 0);
    CHECK_INT(jobs(), 0);
    CHECK_INT(rig.api->uploads, 0);
    end_imports();
}

static void a_turn_that_fails_takes_the_file_with_it(void)
{
    begin_imports(1 << 20);
    {
        auto_answer got = ask("POST", "/api/v1/imports", nmap_file);

        CHECK_INT(got.status, 202);
        CHECK_INT(files(), 1); /* committed: nothing takes it away any more */
        api_turn_undone(rig.api);
        CHECK_INT(files(), 1);
        strvec_pushf(&rig.api->fresh_imports, "%s/x", import_dir);
        close(open(rig.api->fresh_imports.v[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        CHECK_INT(files(), 2);
        api_turn_undone(rig.api);
        CHECK_INT(files(), 1);
    }
    end_imports();
}

static void a_server_without_a_place_for_files_takes_none(void)
{
    rig_start(0, NULL);
    {
        auto_answer got = ask("POST", "/api/v1/imports", nmap_file);

        CHECK_INT(got.status, 503);
    }
    rig_stop();
}

TESTS(hosts_come_in_the_order_of_their_addresses_page_by_page,
      every_format_is_streamed_with_all_hosts,
      an_export_is_known_by_its_tag_and_only_of_jobs_that_ended,
      others_are_served_while_a_slow_client_takes_a_long_answer,
      an_answer_whose_client_leaves_is_given_up,
      a_difference_is_told_in_three_forms_with_its_counts, what_cannot_be_compared_is_said,
      many_rows_that_are_the_same_do_not_hold_the_loop, a_plain_job_has_one_task_and_its_cells,
      tasks_of_a_planned_job_are_paged_and_its_summary_is_part_of_it,
      a_file_becomes_a_job_that_waits_with_what_was_sent,
      a_file_that_is_not_what_it_says_leaves_nothing,
      a_file_that_is_too_large_or_not_whole_leaves_nothing,
      a_turn_that_fails_takes_the_file_with_it, a_server_without_a_place_for_files_takes_none)
