/*
 * policy - the scope and policy file: what is wrong with it, what is in force, what a target gets.
 *
 * `check` asks the same functions as a submit does, on this machine; `show` can ask a server for
 * what it has loaded. Editing is in policy_edit.c.
 */
#include "policy/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/policy_remote.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"
#include "daemon/privilege.h"
#include "daemon/resolver.h"
#include "model/request.h"

extern const struct command command_policy_edit;

static const struct flag check_flags[] = {
    {.name = "scope", .value = "FILE", .help = "the file, where it is not the first operand"},
    {.name = "key", .value = "NAME", .help = "judge with the policy of this key"},
    {.name = "tool", .value = "NAME", .help = "judge a scan by this tool (nmap)"},
    {.name = "ports", .letter = 'p', .value = "PORTS", .help = "judge a scan of these ports"},
    {.name = "arguments", .value = "ARGS", .help = "judge these options (with --server)"},
    {.name = "at", .value = "TIME", .help = "judge as if it were then, RFC 3339"},
    {0},
};
static const struct flag show_flags[] = {
    {.name = "scope", .value = "FILE", .help = "this file instead of the configured one"},
    {0},
};

/* ---- loading ---- */

/* The user that the server works as may own the file, and so may we: it can be a draft. */
static int load(struct cli *c, const char *path, struct policy **out, struct err *e)
{
    struct service_user user;
    struct stat st;
    int rc;

    if (!path) {
        *out = policy_builtin();
        return 0;
    }
    rc = service_user_find(option_str(cli_settings(c), "user"), &user, e);
    if (rc != 0) {
        return rc;
    }
    if (stat(path, &st) == 0 && st.st_uid == geteuid() && st.st_uid != 0 && st.st_uid != user.uid) {
        auto_free char *text =
            str_fmt("%s: a server will refuse it: it belongs to neither root nor "
                    "the server's user; chown root %s",
                    path, path);

        say_warning(&c->term, text);
        user.uid = geteuid();
    }
    return policy_load(path, user.uid, out, e);
}

static bool like_file(const char *s)
{
    auto_targets t = {0};
    size_t n = strlen(s);

    return access(s, F_OK) == 0 || (n > 5 && strcmp(s + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(s + n - 4, ".yml") == 0) ||
           (strchr(s, '/') && target_add(&t, s, NULL) < 0);
}

/* --scope, else the first operand if it is a file, else the configured one; NULL: built-in.
 * *first is the first operand that is a target. */
static const char *file_of(struct cli *c, size_t *first)
{
    const char *flag = args_value(&c->args, "scope");

    *first = 0;
    if (flag) {
        return flag;
    }
    if (c->args.n && like_file(c->args.operands[0])) {
        *first = 1;
        return c->args.operands[0];
    }
    return option_str(cli_settings(c), "scope");
}

static bool server_was_named(const struct cli *c)
{
    const char *env = getenv("SCANPOD_SERVER");

    return args_has(&c->args, "server") || (env && *env);
}

/* ---- check ---- */

struct check {
    struct cli *c;
    struct policy *p;
    struct netset own;
    int64_t now_us;
    struct table table;
    struct json json;
    struct buf *out;
    bool refused;
};

/* As a scan of one protocol has it: which one is the tool's affair. */
static uint32_t count_ports(const char *ports)
{
    uint32_t n[PORTS_PROTOCOLS] = {0}, most = 0;

    if (ports) {
        ports_count(ports, n);
    }
    for (size_t i = 0; i < ARRAY_LEN(n); i++) {
        most = MAX(most, n[i]);
    }
    return most;
}

static int judge(struct check *k, const char *token, struct policy_verdict *v, struct err *e)
{
    const char *ports = args_value(&k->c->args, "ports");
    const char *tool = args_value(&k->c->args, "tool");
    auto_targets t = {0};
    int rc = ports ? ports_parse(ports, e) : 0;

    if (rc == 0) {
        rc = target_add(&t, token, e);
    }
    if (rc == 0 && t.n_pins) {
        rc = resolver_pin_now(&t, e);
    }
    if (rc != 0) {
        return rc;
    }

    const struct policy_ask ask = {
        .key_id = args_value(&k->c->args, "key"),
        .key_name = args_value(&k->c->args, "key"),
        .tool = tool ? tool : "nmap",
        .targets = &t,
        .ports = ports,
        .n_ports = count_ports(ports),
        .own = &k->own,
        .now_us = k->now_us,
    };

    return policy_judge(k->p, &ask, v, e);
}

static void verdict_json(struct check *k, const char *token, const struct policy_verdict *v,
                         const struct err *e)
{
    struct json *j = &k->json;

    json_obj(j);
    json_str(j, "target", token);
    json_bool(j, "allowed", v->rules != NULL);
    if (!v->rules) {
        json_str(j, "reason", e->msg);
    } else {
        json_str(j, "policy", v->rules->name);
        json_str(j, "rule", v->rule);
        json_arr_in(j, "addresses");
        for (size_t i = 0; i < v->allowed.n; i++) {
            char text[NET_TEXT];

            net_range_text(&v->allowed.v[i], text);
            json_str(j, NULL, text);
        }
        json_end(j);
        json_time(j, "wait_until", v->wait_until_us);
    }
    json_end(j);
}

static void verdict_row(struct check *k, const char *token, const struct policy_verdict *v,
                        const struct err *e)
{
    auto_buf why = {0};
    char when[RFC3339_LEN + 1];

    if (!v->rules) {
        buf_adds(&why, e->msg);
    } else {
        buf_addf(&why, "policy %s: %s", v->rules->name, v->rule);
        if (v->wait_until_us) {
            rfc3339_us(v->wait_until_us, when);
            buf_addf(&why, "; waits until %.19sZ", when);
        }
    }
    table_row(&k->table, (const char *const[]){token, v->rules ? "allowed" : "refused", why.data});
}

static void check_target(struct check *k, const char *token)
{
    struct policy_verdict v = {0};
    struct err e = {0};

    k->refused |= judge(k, token, &v, &e) != 0;
    if (k->c->format == FORMAT_JSON) {
        verdict_json(k, token, &v, &e);
    } else {
        verdict_row(k, token, &v, &e);
    }
    policy_verdict_done(&v);
}

static void check_warnings(struct check *k)
{
    auto_strvec warnings = {0};

    policy_warnings(k->p, k->now_us, &warnings);
    for (size_t i = 0; i < warnings.n; i++) {
        if (k->c->format == FORMAT_JSON) {
            json_str(&k->json, NULL, warnings.v[i]);
        } else {
            say_warning(&k->c->term, warnings.v[i]);
        }
    }
}

static void check_json(struct check *k, size_t first)
{
    auto_buf b = {0};

    k->json = json_to(&b);
    json_obj(&k->json);
    json_str(&k->json, "source", policy_source(k->p));
    json_arr_in(&k->json, "warnings");
    check_warnings(k);
    json_end(&k->json);
    json_arr_in(&k->json, "verdicts");
    for (size_t i = first; i < k->c->args.n; i++) {
        check_target(k, k->c->args.operands[i]);
    }
    json_end(&k->json);
    json_end(&k->json);
    buf_addc(&b, '\n');
    out_buf(&b);
}

static void check_table(struct check *k, size_t first)
{
    static const char *const head[] = {"TARGET", "VERDICT", "WHY"};

    check_warnings(k);
    say(&k->c->term, "%s: the policy is fine", policy_source(k->p));
    if (first == k->c->args.n) {
        return;
    }
    k->table = (struct table){
        .head = head, .n = ARRAY_LEN(head), .color = k->c->term.out_color, .sink = out_sink};
    for (size_t i = first; i < k->c->args.n; i++) {
        check_target(k, k->c->args.operands[i]);
    }
    table_end(&k->table);
}

/* There the key that asks is the one that is judged, and the time is now. */
static int ask_server(struct cli *c)
{
    static const char *const here[] = {"key", "at"};
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(here); i++) {
        if (args_has(&c->args, here[i])) {
            err_set(&e, ERR_INVALID,
                    "--%s is for a file: a server judges by the key that asks, now", here[i]);
            return cli_fail(c, &e, "scanpod policy check --scope FILE TARGET...");
        }
    }
    return policy_check_remote(c, 0);
}

static int check(struct cli *c)
{
    const char *at = args_value(&c->args, "at");
    struct check k = {.c = c, .now_us = wall_us()};
    struct err e = {0};
    size_t first;
    const char *path = file_of(c, &first);

    if (server_was_named(c) && !args_has(&c->args, "scope") && first == 0 && c->args.n) {
        return ask_server(c);
    }
    if (args_has(&c->args, "arguments")) {
        err_set(&e, ERR_INVALID, "--arguments is for a server (--server URL) and targets");
        return cli_fail(c, &e, NULL);
    }
    if (at && !rfc3339_parse(at, &k.now_us)) {
        err_set(&e, ERR_INVALID, "--at '%s': expected a time such as 2027-01-31T22:00:00Z", at);
        return cli_fail(c, &e, NULL);
    }
    if (load(c, path, &k.p, &e) != 0) {
        return cli_fail(c, &e, path ? "scanpod policy edit" : NULL);
    }
    if (own_addresses(&k.own, &e) != 0) {
        policy_unref(k.p);
        return cli_fail(c, &e, NULL);
    }
    if (c->format == FORMAT_JSON) {
        check_json(&k, first);
    } else {
        check_table(&k, first);
    }
    netset_done(&k.own);
    policy_unref(k.p);
    return k.refused ? STATUS_REFUSED : STATUS_OK;
}

static const struct command command_policy_check = {
    .name = "check",
    .operands = "[FILE] [TARGET...]",
    .summary = "check a scope file, and what it says to targets",
    .more =
        "Without FILE the configured one is checked (setting scope, SCANPOD_SCOPE_FILE), or the\n"
        "built-in scope if there is none. Host names are resolved, as a submit does it. The exit\n"
        "status is 6 if a target is refused. With --server (or SCANPOD_SERVER) and targets alone\n"
        "that server is asked, as a submit would, and nothing is stored.\n\n"
        "  scanpod policy check /etc/scanpod/scope.yaml 10.20.0.0/24 www.example.org\n",
    .flags = check_flags,
    .max = 4096,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = check,
};

/* ---- show ---- */

/* The policy as JSON, of the named server or of the file. 0 or an exit status. */
static int get_json(struct cli *c, struct buf *out)
{
    const char *flag = args_value(&c->args, "scope");
    struct policy *p;
    struct err e = {0};

    if (!flag && server_was_named(c)) {
        struct answer a = {0};
        int status = cli_call(c, &(struct call){.method = "GET", .path = "/api/v1/policy"}, &a);

        if (status == STATUS_OK) {
            buf_add(out, a.body.data ? a.body.data : "", a.body.len);
        }
        answer_done(&a);
        return status;
    }
    if (load(c, flag ? flag : option_str(cli_settings(c), "scope"), &p, &e) != 0) {
        return cli_fail(c, &e, "scanpod policy edit");
    }
    policy_json(p, wall_us(), out);
    policy_unref(p);
    return STATUS_OK;
}

/* "a, b" of an array of words; `none` where it is null or empty. */
static void words(const json_t *array, const char *none, struct buf *out)
{
    json_t *one;
    size_t i;

    json_array_foreach(array, i, one)
    {
        buf_addf(out, "%s%s", i ? ", " : "", json_is_string(one) ? json_string_value(one) : "?");
    }
    if (!out->len) {
        buf_adds(out, none);
    }
}

static void entry_rows(struct table *t, const json_t *list, const char *kind)
{
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        auto_buf target = {0};
        auto_buf until = {0};

        buf_adds(&target, json_text(one, "target"));
        if (json_is_array(json_object_get(one, "within"))) {
            auto_buf within = {0};

            words(json_object_get(one, "within"), "", &within);
            buf_addf(&target, " in %s", within.data);
        }
        buf_addf(&until, "%.16s%s", json_text(one, "expires"),
                 json_is_true(json_object_get(one, "expired")) ? " EXPIRED" : "");
        table_row(t,
                  (const char *const[]){kind, target.data, until.data,
                                        json_text(one, "authorised_by"), json_text(one, "note")});
    }
}

static void policy_rows(struct table *t, const json_t *list)
{
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        auto_buf targets = {0}, tools = {0}, windows = {0}, sizes = {0};

        words(json_object_get(one, "targets"), "all of the scope", &targets);
        words(json_object_get(one, "tools"), "all", &tools);
        words(json_object_get(one, "windows"), "always", &windows);
        buf_addf(&sizes, "%" PRId64 " / %" PRId64, json_number(one, "max_addresses", 0),
                 json_number(one, "max_probes", 0));
        table_row(t,
                  (const char *const[]){json_text(one, "name"), targets.data, tools.data,
                                        json_text(one, "options"), json_text(one, "scripts"),
                                        *json_text(one, "ports") ? json_text(one, "ports") : "all",
                                        sizes.data, windows.data});
    }
}

static int show_table(struct cli *c, const struct buf *text)
{
    static const char *const entry_head[] = {"", "TARGET", "EXPIRES", "AUTHORISED BY", "NOTE"};
    static const char *const policy_head[] = {
        "POLICY", "TOOLS", "OPTIONS", "SCRIPTS", "PORTS", "ADDRESSES / PROBES", "WINDOWS"};
    json_t *doc = json_loadb(text->data, text->len, 0, NULL);
    const json_t *scope = json_object_get(doc, "scope");
    struct table entries = {.head = entry_head,
                            .n = ARRAY_LEN(entry_head),
                            .color = c->term.out_color,
                            .sink = out_sink};
    struct table policies = {.head = policy_head,
                             .n = ARRAY_LEN(policy_head),
                             .color = c->term.out_color,
                             .sink = out_sink};

    if (!json_is_object(scope)) {
        struct err e = {0};

        json_decref(doc);
        err_set(&e, ERR_INTERNAL, "the server's answer is not a policy");
        return cli_fail(c, &e, NULL);
    }
    say(&c->term, "from %s", json_text(doc, "source"));
    entry_rows(&entries, json_object_get(scope, "allow"), "allow");
    entry_rows(&entries, json_object_get(scope, "deny"), "deny");
    table_end(&entries);
    out_write("\n", 1);
    policy_rows(&policies, json_object_get(doc, "policies"));
    table_end(&policies);
    json_decref(doc);
    return STATUS_OK;
}

static int show(struct cli *c)
{
    auto_buf text = {0};
    int status = get_json(c, &text);

    if (status != STATUS_OK) {
        return status;
    }
    if (c->format != FORMAT_JSON) {
        return show_table(c, &text);
    }
    if (text.len && text.data[text.len - 1] != '\n') {
        buf_addc(&text, '\n');
    }
    out_buf(&text);
    return STATUS_OK;
}

static const struct command command_policy_show = {
    .name = "show",
    .summary = "show the scope and the policies in force",
    .more =
        "With --server (or SCANPOD_SERVER) what that server has loaded, else the configured file\n"
        "or the built-in scope.\n",
    .flags = show_flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = show,
};

static const struct command *const subs[] = {&command_policy_check, &command_policy_show,
                                             &command_policy_edit, NULL};

const struct command command_policy = {
    .name = "policy",
    .summary = "what may be scanned: check, show, edit",
    .subs = subs,
};
