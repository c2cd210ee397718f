/* Text that means harm, through every format: exactly what becomes of it. */
#include "base/json.h"
#include "report_check.h"
#include "report_rig.h"

static struct job a_job(void)
{
    struct job j;

    job_init(&j);
    j.tool = xstrdup("nmap");
    j.tool_version = xstrdup("7.93");
    j.targets = xstrdup("192.0.2.1");
    j.command_line = xstrdup("nmap -oX - 192.0.2.1");
    j.state = JOB_COMPLETED;
    j.started_us = INT64_C(1795299128000000);
    j.completed_us = INT64_C(1795299130250000);
    return j;
}

/* One host with one port; `h` and `p` may be changed before they are written. */
struct scene {
    struct host_addr addr;
    struct host_name name;
    struct port port;
    struct host host;
};

static void scene_init(struct scene *s)
{
    *s = (struct scene){
        .addr = {.addr = "192.0.2.1", .type = "ipv4"},
        .name = {.name = "a.example", .type = "PTR"},
        .port = {.number = 80,
                 .protocol = "tcp",
                 .state = "open",
                 .reason = "syn-ack",
                 .reason_ttl = 64,
                 .has_service = true,
                 .service = "http",
                 .method = "probed",
                 .conf = 10},
        .host = {.state = "up", .reason = "echo-reply", .reason_ttl = 64},
    };
    s->host.addrs = &s->addr;
    s->host.n_addrs = 1;
    s->host.names = &s->name;
    s->host.n_names = 1;
    s->host.ports = &s->port;
    s->host.n_ports = 1;
}

static void write_scene(const char *format, const struct scene *s, struct buf *out)
{
    struct job j = a_job();
    const char *why;

    report_hosts(format, &j, &s->host, 1, out);
    job_done(&j);
    why = report_wrong(format, out->data, out->len);
    if (why) {
        tap_fail(__FILE__, __LINE__, "%s has %s: %.2000s", format, why, out->data);
    }
}

static void must_have(const char *format, const struct buf *b, const char *want)
{
    if (!memmem(b->data, b->len, want, strlen(want))) {
        const char *at = strstr(b->data, format[0] == 'n' && format[1] == 'm' ? "<port " : "80");

        tap_fail(__FILE__, __LINE__, "%s lacks '%s': ...%.600s", format, want, at ? at : b->data);
    }
}

/* What a product of that text is in each format. */
struct row {
    const char *text;
    const char *xml, *grepable, *csv, *ndjson, *markdown, *html;
};

static const struct row rows[] = {
    /* ANSI */
    {"\x1b[31mred\x1b[0m\a", " product=\"\\x1B[31mred\\x1B[0m\\x07\"",
     "/http//\\x1b[31mred\\x1b[0m\\x07/\n", ",http,\"\\x1b[31mred\\x1b[0m\\x07\",,",
     "\"product\":\"\\u001b[31mred\\u001b[0m\\u0007\"", "| `\\x1b[31mred\\x1b[0m\\x07` |\n",
     "<td>\\x1b[31mred\\x1b[0m\\x07</td>"},
    /* bidi, C1, zero width */
    {"ab\u202e\u2066\xc2\x85\u200bc", " product=\"ab&#x202e;&#x2066;&#x85;&#x200b;c\"",
     "/http//ab\\u{202e}\\u{2066}\\u{85}\\u{200b}c/\n",
     ",http,\"ab\\u{202e}\\u{2066}\\u{85}\\u{200b}c\",,",
     "\"product\":\"ab\u202e\u2066\xc2\x85\u200bc\"",
     "| `ab\\u{202e}\\u{2066}\\u{85}\\u{200b}c` |\n",
     "<td>ab\\u{202e}\\u{2066}\\u{85}\\u{200b}c</td>"},
    /* HTML */
    {"</td><script>alert(1)</script>&amp;\"'",
     " product=\"&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&quot;&#39;\"",
     "/http//<|td><script>alert(1)<|script>&amp;\"'/\n",
     ",http,\"</td><script>alert(1)</script>&amp;\"\"'\",,",
     "\"product\":\"</td><script>alert(1)</script>&amp;\\\"'\"",
     "| `</td><script>alert(1)</script>&amp;\"'` |\n",
     "<td>&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&quot;&#39;</td>"},
    /* formulas */
    {"=cmd|' /C calc'!A0", " product=\"=cmd|&#39; /C calc&#39;!A0\"",
     "/http//=cmd|' |C calc'!A0/\n", ",http,\"'=cmd|' /C calc'!A0\",,",
     "\"product\":\"=cmd|' /C calc'!A0\"", "| `=cmd\\x7c' /C calc'!A0` |\n",
     "<td>=cmd|&#39; /C calc&#39;!A0</td>"},
    {"+1", " product=\"+1\"", "/http//+1/\n", ",http,\"'+1\",,", "\"product\":\"+1\"", "| `+1` |\n",
     "<td>+1</td>"},
    {"-1", " product=\"-1\"", "/http//-1/\n", ",http,\"'-1\",,", "\"product\":\"-1\"", "| `-1` |\n",
     "<td>-1</td>"},
    {"@SUM(A1)", " product=\"@SUM(A1)\"", "/http//@SUM(A1)/\n", ",http,\"'@SUM(A1)\",,",
     "\"product\":\"@SUM(A1)\"", "| `@SUM(A1)` |\n", "<td>@SUM(A1)</td>"},
    {"\t=1", " product=\"&#x9;=1\"", "/http//\\x09=1/\n", ",http,\"'\\x09=1\",,",
     "\"product\":\"\\t=1\"", "| `\\x09=1` |\n", "<td>\\x09=1</td>"},
    {"\r=1", " product=\"&#xd;=1\"", "/http//\\x0d=1/\n", ",http,\"'\\x0d=1\",,",
     "\"product\":\"\\r=1\"", "| `\\x0d=1` |\n", "<td>\\x0d=1</td>"},
    {"  =1", " product=\"  =1\"", "/http//  =1/\n", ",http,\"'  =1\",,", "\"product\":\"  =1\"",
     "| `  =1` |\n", "<td>  =1</td>"},
    {"\uff1d1", " product=\"\uff1d1\"", "/http//\uff1d1/\n", ",http,\"'\uff1d1\",,",
     "\"product\":\"\uff1d1\"", "| `\uff1d1` |\n", "<td>\uff1d1</td>"},
    /* not UTF-8: alone, cut, overlong, surrogate */
    {"\xff\xc3 \xc0\xaf \xed\xa0\x80.", " product=\"\\xFF\\xC3 \\xC0\\xAF \\xED\\xA0\\x80.\"",
     "/http//\\xff\\xc3 \\xc0\\xaf \\xed\\xa0\\x80./\n",
     ",http,\"\\xff\\xc3 \\xc0\\xaf \\xed\\xa0\\x80.\",,",
     "\"product\":\"\ufffd\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd.\"",
     "| `\\xff\\xc3 \\xc0\\xaf \\xed\\xa0\\x80.` |\n",
     "<td>\\xff\\xc3 \\xc0\\xaf \\xed\\xa0\\x80.</td>"},
    /* the formats' own signs */
    {"a|b`c, 23/open/tcp//telnet///\n\"x\",y",
     " product=\"a|b`c, 23/open/tcp//telnet///&#xa;&quot;x&quot;,y\"",
     "/http//a|b`c, 23|open|tcp||telnet|||\\x0a\"x\",y/\n",
     ",http,\"a|b`c, 23/open/tcp//telnet///\\x0a\"\"x\"\",y\",,",
     "\"product\":\"a|b`c, 23/open/tcp//telnet///\\n\\\"x\\\",y\"",
     "| `a\\x7cb\\x60c, 23/open/tcp//telnet///\\x0a\"x\",y` |\n",
     "<td>a|b`c, 23/open/tcp//telnet///\\x0a&quot;x&quot;,y</td>"},
    /* XML has no such characters */
    {"\uffff]]>\ufffe", " product=\"\\xEF\\xBF\\xBF]]&gt;\\xEF\\xBF\\xBE\"",
     "/http//\uffff]]>\ufffe/\n", ",http,\"\uffff]]>\ufffe\",,", "\"product\":\"\uffff]]>\ufffe\"",
     "| `\uffff]]>\ufffe` |\n", "<td>\uffff]]&gt;\ufffe</td>"},
    /* what is harmless stays as it is */
    {"日本語 Größe", " product=\"日本語 Größe\"", "/http//日本語 Größe/\n",
     ",http,\"日本語 Größe\",,", "\"product\":\"日本語 Größe\"", "| `日本語 Größe` |\n",
     "<td>日本語 Größe</td>"},
};

static void every_format_makes_text_inert_in_its_own_way(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        const struct {
            const char *format, *want;
        } all[] = {{"nmap-xml", r->xml},  {"grepable", r->grepable}, {"csv", r->csv},
                   {"ndjson", r->ndjson}, {"markdown", r->markdown}, {"html", r->html}};
        struct scene s;

        scene_init(&s);
        s.port.product = r->text;
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            auto_buf out = {0};

            write_scene(all[k].format, &s, &out);
            must_have(all[k].format, &out, all[k].want);
        }
    }
}

/* Every member that a scanner fills, with the same text. */
static void no_member_is_forgotten(void)
{
    static const char evil[] = "\x1b]0;`|</pre><img src=x>\u202e=\xff\n\r\t\"'&;-@";
    auto_buf json = {0}, array = {0}, scripts = {0}, os = {0}, extra = {0}, more = {0}, rare = {0};
    struct scene s;

    buf_add_json_string(&json, evil, sizeof evil - 1);
    buf_addf(&array, "[%s]", json.data);
    buf_addf(&scripts,
             "[{\"id\":%s,\"output\":%s,\"data\":[{\"key\":%s,\"table\":[{\"elem\":%s}]}]}]",
             json.data, json.data, json.data, json.data);
    buf_addf(&os,
             "{\"portused\":[{\"state\":%s,\"proto\":%s,\"portid\":1}],\"osmatch\":[{\"name\":%s,"
             "\"accuracy\":%s,\"osclass\":[{\"vendor\":%s,\"cpe\":[%s]}]}],\"osclass\":[],"
             "\"fingerprints\":[%s]}",
             json.data, json.data, json.data, json.data, json.data, json.data, json.data);
    buf_addf(&extra, "[{\"state\":%s,\"count\":3,\"reasons\":[{\"reason\":%s,\"count\":3}]}]",
             json.data, json.data);
    buf_addf(&more,
             "{%s:%s,\"uptime\":{\"seconds\":%s},\"trace\":{\"port\":%s,\"hops\":[{\"ttl\":1,"
             "\"host\":%s}]},\"ipidsequence\":{\"class\":%s},\"tcpsequence\":{\"index\":%s}}",
             json.data, json.data, json.data, json.data, json.data, json.data, json.data);
    buf_addf(&rare, "{%s:%s,\"servicefp\":%s,\"proto\":%s,\"banner\":%s}", json.data, json.data,
             json.data, json.data, json.data);
    scene_init(&s);
    s.name.name = s.name.type = evil;
    s.addr.vendor = evil;
    s.host.state = s.host.reason = s.host.comment = evil;
    s.host.os = os.data;
    s.host.scripts = scripts.data;
    s.host.extraports = extra.data;
    s.host.more = more.data;
    s.port.protocol = s.port.state = s.port.reason = s.port.reason_ip = s.port.owner = evil;
    s.port.service = s.port.product = s.port.version = s.port.extrainfo = s.port.tunnel = evil;
    s.port.method = s.port.hostname = s.port.ostype = s.port.devicetype = evil;
    s.port.cpe = array.data;
    s.port.more = rare.data;
    for (int with = 0; with < 4; with++) {
        s.port.scripts = with & 1 ? scripts.data : NULL;
        s.port.protocol = with & 2 ? "tcp" : evil;
        for (const struct report_format *const *f = report_formats; *f; f++) {
            auto_buf out = {0};

            write_scene((*f)->name, &s, &out);
        }
    }
}

/* The request and the tool's own words are not to be trusted either. */
static void the_head_is_inert_too(void)
{
    static const char evil[] = "</title><script>`\x1b[2J\u202e\n=1";
    struct job j = a_job();
    struct scene s;

    free(j.targets);
    free(j.command_line);
    free(j.tool_version);
    j.targets = xstrdup(evil);
    j.command_line = xstrdup(evil);
    j.tool_version = xstrdup(evil);
    j.error = xstrdup(evil);
    j.ports = xstrdup("22,U:53,T:80-81");
    j.partial = true;
    j.summary_json =
        xstrdup("{\"coverage\":{\"text\":\"<b>`\\u001b\\u202e\"},\"notes\":[\"<i>`|\\n# x\"],"
                "\"flagged\":[{\"address\":\"<u>\",\"open\":1,\"probed\":2}]}");
    j.run_json = xstrdup(
        "{\"run\":{\"args\":\"<\\u001b>\",\"start\":\"x\",\"startstr\":\"<\"},\"prescripts\":"
        "[{\"id\":\"<\",\"output\":\"\\u0000\"}],\"scaninfo\":[{\"type\":\"<\"}],"
        "\"runstats\":{\"finished\":{\"summary\":\"<\",\"exit\":\"<\"}}}");
    scene_init(&s);
    for (const struct report_format *const *f = report_formats; *f; f++) {
        auto_buf out = {0};
        const char *why;

        report_hosts((*f)->name, &j, &s.host, 1, &out);
        why = report_wrong((*f)->name, out.data, out.len);
        if (why) {
            tap_fail(__FILE__, __LINE__, "%s has %s: %.2000s", (*f)->name, why, out.data);
        }
    }
    job_done(&j);
}

static void a_nul_in_the_output_of_a_script_does_not_cut_it(void)
{
    static const char *const want[][2] = {
        {"nmap-xml", "output=\"before\\x00after\""},
        {"csv", ",\"banner: before\\x00after\","},
        {"ndjson", "\"output\":\"before\\u0000after\""},
        {"markdown", "\nPort 80, script `banner`:\n\n    before\\x00after\n"},
        {"html", "<summary>banner</summary><pre>before\\x00after</pre>"}};
    struct scene s;

    scene_init(&s);
    s.port.scripts = "[{\"id\":\"banner\",\"output\":\"before\\u0000after\"}]";
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        auto_buf out = {0};

        write_scene(want[i][0], &s, &out);
        must_have(want[i][0], &out, want[i][1]);
    }
}

static void a_banner_of_a_mebibyte_goes_through_whole(void)
{
    enum { SIZE = 1 << 20 };
    static const char *const fill[] = {"x", "<", "\x1b", "\u202e", "\n", "`", "\""};

    for (size_t k = 0; k < ARRAY_LEN(fill); k++) {
        auto_buf text = {0}, scripts = {0}, json = {0};
        struct scene s;

        while (text.len < SIZE) {
            buf_adds(&text, fill[k]);
        }
        buf_add_json_string(&json, text.data, text.len);
        buf_addf(&scripts, "[{\"id\":\"banner\",\"output\":%s}]", json.data);
        scene_init(&s);
        s.port.product = text.data;
        s.port.scripts = scripts.data;
        for (const struct report_format *const *f = report_formats; *f; f++) {
            auto_buf out = {0};

            write_scene((*f)->name, &s, &out);
            CHECK(out.len > SIZE && out.len < 20 * (size_t)SIZE);
        }
    }
}

static void members_that_are_no_json_are_left_out(void)
{
    struct scene s;

    scene_init(&s);
    s.host.os = s.host.scripts = s.host.more = s.host.extraports = "{\"osmatch\":";
    s.port.cpe = s.port.scripts = s.port.more = "[[[";
    for (const struct report_format *const *f = report_formats; *f; f++) {
        struct job j = a_job();
        auto_buf out = {0};

        j.run_json = xstrdup("[");
        j.summary_json = xstrdup("}");
        report_hosts((*f)->name, &j, &s.host, 1, &out);
        CHECK(strcmp((*f)->name, "ndjson") == 0 || !report_wrong((*f)->name, out.data, out.len));
        job_done(&j);
    }
}

TESTS(every_format_makes_text_inert_in_its_own_way, no_member_is_forgotten, the_head_is_inert_too,
      a_nul_in_the_output_of_a_script_does_not_cut_it, a_banner_of_a_mebibyte_goes_through_whole,
      members_that_are_no_json_are_left_out)
