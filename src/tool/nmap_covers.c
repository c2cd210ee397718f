/*
 * What a run of nmap covered. Its own record says which ports, after --top-ports, -F and
 * --exclude-ports; that record is JSON of our parser's making ("scaninfo":[{"protocol":"tcp",
 * "services":"1-3,5",...}]), whose strings are the tool's. Where it says nothing, the plan does.
 */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "tool/nmap_options.h"
#include "tool/sweep.h"

enum { IP = PORTS_PROTOCOLS, KINDS };

static const char *const kinds[KINDS] = {"tcp", "udp", "sctp", "ip"};

static bool asked(const struct tool_plan *p, const char *name)
{
    for (size_t i = 0; i < p->tokens.n; i++) {
        if (str_eq(p->tokens.v[i], name)) {
            return true;
        }
    }
    return false;
}

/* A string without escapes at *at, which is moved behind it. Ports and protocols have none. */
static bool read_string(const char **at, const char **s, size_t *n)
{
    if (**at != '"') {
        return false;
    }
    *s = *at + 1;
    *n = strcspn(*s, "\"\\");
    *at = *s + *n + 1;
    return (*s)[*n] == '"';
}

/* Adds the ports of one kind to those that are there. */
static void add_ports(char **ports, const char *s, size_t n)
{
    auto_free char *list = str_fmt("%s%s%.*s", *ports ? *ports : "", *ports ? "," : "", (int)n, s);

    if (n > 0 && strspn(s, "0123456789,-") >= n && ports_parse(list, NULL) == 0) {
        free(*ports);
        *ports = ports_canonical(list);
    }
}

/* The members of one object of scaninfo; *at is behind its '{'. False: it is not of our making. */
static bool read_info(const char **at, struct tool_cover *out)
{
    const char *protocol = "", *services = "";
    size_t n_protocol = 0, n_services = 0;

    while (**at && **at != '}') {
        const char *name, *value = "";
        size_t n_name, n_value = 0;

        if (!read_string(at, &name, &n_name) || *(*at)++ != ':') {
            return false;
        }
        if (**at == '"') {
            if (!read_string(at, &value, &n_value)) {
                return false;
            }
        } else {
            *at += strspn(*at, "0123456789");
        }
        if (n_name == 8 && memcmp(name, "protocol", 8) == 0) {
            protocol = value;
            n_protocol = n_value;
        } else if (n_name == 8 && memcmp(name, "services", 8) == 0) {
            services = value;
            n_services = n_value;
        }
        *at += **at == ',';
    }
    for (size_t i = 0; i < KINDS; i++) {
        if (strlen(kinds[i]) == n_protocol && memcmp(kinds[i], protocol, n_protocol) == 0) {
            add_ports(&out->ports[i], services, n_services);
        }
    }
    return *(*at)++ == '}';
}

/* A name in quotes stands nowhere else: inside a string the quote is escaped. */
static bool from_record(const char *run_json, struct tool_cover *out)
{
    static const char intro[] = "\"scaninfo\":[";
    const char *at = run_json ? strstr(run_json, intro) : NULL;
    bool any = false;

    if (!at) {
        return false;
    }
    at += strlen(intro);
    while (*at == '{') {
        at++;
        if (!read_info(&at, out)) {
            break;
        }
        any = true;
        at += *at == ',';
    }
    return any;
}

static void from_plan(const struct tool_plan *p, struct tool_cover *out)
{
    if (asked(p, "-sO")) {
        out->ports[IP] = xstrdup(p->ports);
        return;
    }
    for (unsigned i = 0; p->ports && i < PORTS_PROTOCOLS; i++) {
        if (p->protocols >> i & 1) {
            out->ports[i] = tool_ports_of(p->ports, i, true);
        }
    }
}

void nmap_covers(const struct tool_plan *p, const char *run_json, struct tool_cover *out)
{
    if (asked(p, "-sL")) { /* nothing was sent */
        return;
    }
    out->hosts = !asked(p, "-Pn");
    out->up_only = out->hosts;
    if (!from_record(run_json, out) && !asked(p, "-sn")) {
        from_plan(p, out);
    }
}
