/* doctor - looks at everything that a server on this machine needs. */
#include "cli/doctor.h"

#include <string.h>

#include "base/json.h"

static const struct flag flags[] = {{.name = "json", .help = "the same as -o json"}, {0}};

static const char *const words[] = {"ok", "warn", "fail"};
static const enum paint paints[] = {PAINT_GREEN, PAINT_YELLOW, PAINT_RED};

static void show(struct cli *c, const struct check *k, const struct check_result *r)
{
    auto_buf b = {0};
    auto_buf word = {0};

    buf_addf(&word, "%-5s", words[r->finding]);
    buf_add_painted(&b, c->term.out_color, paints[r->finding], word.data);
    buf_addf(&b, " %-12s ", k->name);
    buf_add_escaped(&b, r->detail.data ? r->detail.data : "", r->detail.len);
    buf_addc(&b, '\n');
    if (r->fix.len) {
        buf_adds(&b, "      fix: ");
        buf_add_escaped(&b, r->fix.data, r->fix.len);
        buf_addc(&b, '\n');
    }
    out_buf(&b);
}

static void show_json(struct json *j, const struct check *k, const struct check_result *r)
{
    json_obj(j);
    json_str(j, "check", k->name);
    json_str(j, "status", words[r->finding]);
    json_str(j, "detail", r->detail.data ? r->detail.data : "");
    json_str(j, "fix", r->fix.len ? r->fix.data : NULL);
    json_end(j);
}

static void sum_up(struct cli *c, unsigned fails, unsigned warns)
{
    auto_buf b = {0};

    buf_addf(&b, "%u problem%s, %u warning%s\n", fails, fails == 1 ? "" : "s", warns,
             warns == 1 ? "" : "s");
    if (!c->term.quiet) {
        out_buf(&b);
    }
}

static int run(struct cli *c)
{
    bool as_json = c->format == FORMAT_JSON || args_has(&c->args, "json");
    unsigned count[3] = {0};
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_obj(&j);
    json_arr_in(&j, "checks");
    for (const struct check *k = doctor_checks; k->name; k++) {
        struct check_result r = {0};

        k->fn(c, &r);
        count[r.finding]++;
        if (as_json) {
            show_json(&j, k, &r);
        } else if (r.finding != FINDING_OK || !c->term.quiet) {
            show(c, k, &r);
        }
        buf_done(&r.detail);
        buf_done(&r.fix);
    }
    json_end(&j);
    json_int(&j, "problems", count[FINDING_FAIL]);
    json_int(&j, "warnings", count[FINDING_WARN]);
    json_end(&j);
    buf_addc(&b, '\n');
    if (as_json) {
        out_buf(&b);
    } else {
        sum_up(c, count[FINDING_FAIL], count[FINDING_WARN]);
    }
    return count[FINDING_FAIL] ? STATUS_FOUND : STATUS_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "find what is wrong here, with the command that fixes it",
    .flags = flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = run,
};
