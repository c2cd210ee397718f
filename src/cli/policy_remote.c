#include "cli/policy_remote.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/connect.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"

/* What the server says to one target; NULL and an exit status if it says nothing. */
static json_t *ask(struct cli *c, const char *target, int *status)
{
    static const char *const flags[] = {"ports", "tool", "arguments"};
    struct answer a = {0};
    auto_buf body = {0};
    struct json j = json_to(&body);
    json_t *verdict = NULL;

    json_obj(&j);
    json_str(&j, "targets", target);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (args_has(&c->args, flags[i])) {
            json_str(&j, flags[i], args_value(&c->args, flags[i]));
        }
    }
    json_end(&j);
    *status = cli_call(
        c, &(struct call){.method = "POST", .path = "/api/v1/policy/check", .body = body.data}, &a);
    if (*status == STATUS_OK) {
        verdict = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
        if (!json_is_object(verdict)) {
            struct err e = {0};

            json_decref(verdict);
            verdict = NULL;
            err_set(&e, ERR_INTERNAL, "the server's answer is not a verdict");
            *status = cli_fail(c, &e, NULL);
        }
    }
    answer_done(&a);
    return verdict;
}

static void row(struct table *t, const char *target, const json_t *verdict)
{
    bool allowed = json_is_true(json_object_get(verdict, "allowed"));
    const char *wait = json_text(verdict, "wait_until");
    auto_buf why = {0};

    if (allowed) {
        buf_addf(&why, "policy %s: ", json_text(verdict, "policy"));
    }
    buf_adds(&why, json_text(verdict, "detail"));
    if (*json_text(verdict, "level")) {
        buf_addf(&why, "; level %s", json_text(verdict, "level"));
    }
    if (*wait) {
        buf_addf(&why, "; waits until %.19sZ", wait);
    }
    table_row(t, (const char *const[]){target, allowed ? "allowed" : "refused", why.data});
}

int policy_check_remote(struct cli *c, size_t first)
{
    static const char *const head[] = {"TARGET", "VERDICT", "WHY"};
    struct table t = {
        .head = head, .n = ARRAY_LEN(head), .color = c->term.out_color, .sink = out_sink};
    json_t *all = json_array();
    bool refused = false, any = false;
    int status = STATUS_OK;

    for (size_t i = first; i < c->args.n && status == STATUS_OK; i++) {
        json_t *verdict = ask(c, c->args.operands[i], &status);

        if (!verdict) {
            break;
        }
        refused |= !json_is_true(json_object_get(verdict, "allowed"));
        if (c->format == FORMAT_JSON) {
            json_object_set_new(verdict, "target", json_string(c->args.operands[i]));
            json_array_append(all, verdict);
        } else {
            row(&t, c->args.operands[i], verdict);
            any = true;
        }
        json_decref(verdict);
    }
    if (c->format != FORMAT_JSON) {
        if (any) {
            table_end(&t);
        }
    } else if (status == STATUS_OK) {
        json_t *doc = json_pack("{s:O}", "verdicts", all);
        char *text = json_dumps(doc, JSON_COMPACT);

        out_write(text, strlen(text));
        out_write("\n", 1);
        free(text);
        json_decref(doc);
    }
    json_decref(all);
    return status != STATUS_OK ? status : refused ? STATUS_REFUSED : STATUS_OK;
}
