/* The `repositories` part of a policy file: where checkouts may come from. */
#include <string.h>

#include "base/mem.h"
#include "policy/internal.h"

enum { REPOSITORIES_MAX = 200, WITHIN_MAX = 64, HTTPS_PORT = 443, SSH_PORT = 22 };

struct repository_reading {
    struct load *l;
    struct repository *row;
    const struct node *host;
};

void repository_done(struct repository *r)
{
    free(r->host);
    free(r->within);
    *r = (struct repository){0};
}

static int host_read(void *arg, const struct node *v, struct err *e)
{
    struct repository_reading *x = arg;
    struct repository *r = x->row;
    const char *why = "it must be a host name, '*.' and a domain, or an address";
    const char *text = v->text;

    x->host = v;
    if (v->kind != NODE_TEXT || !*text) {
        return node_wrong(x->l->name, v, e, "'host': %s", why);
    }
    if (net_ip_parse(text, &r->ip)) {
        r->is_ip = true;
        r->host = xstrdup(text);
        return 0;
    }
    r->below = str_starts(text, "*.");
    return target_name(text + (r->below ? 2 : 0), &r->host, &why)
               ? 0
               : node_wrong(x->l->name, v, e, "'host': %s", why);
}

static int port_read(void *arg, const struct node *v, struct err *e)
{
    struct repository_reading *x = arg;
    uint64_t port;

    if (v->kind != NODE_TEXT || !str_to_u64(v->text, 1, 65535, &port)) {
        return node_wrong(x->l->name, v, e, "'port' must be a number from 1 to 65535");
    }
    x->row->port = (uint16_t)port;
    return 0;
}

static int within_read(void *arg, const struct node *v, struct err *e)
{
    struct repository_reading *x = arg;

    if (v->kind != NODE_LIST || v->n == 0 || v->n > WITHIN_MAX) {
        return node_wrong(x->l->name, v, e, "'within' must be a list of 1 to %d prefixes or ranges",
                          WITHIN_MAX);
    }
    x->row->within = xcalloc(v->n, sizeof *x->row->within);
    for (size_t i = 0; i < v->n; i++) {
        int rc = node_range(x->l, &v->item[i], &x->row->within[i], e);

        if (rc < 0) {
            return rc;
        }
        x->row->n_within++;
    }
    return 0;
}

static const struct node_field repository_fields[] = {
    {"host", host_read, true},
    {"port", port_read, false},
    {"within", within_read, false},
    {0},
};

int repositories_read(void *load, const struct node *v, struct err *e)
{
    struct load *l = load;
    struct policy *p = l->p;
    int rc = 0;

    if (v->kind != NODE_LIST || v->n > REPOSITORIES_MAX) {
        return node_wrong(l->name, v, e,
                          "repositories must be a list of at most %d entries like '- host: "
                          "git.example.org'",
                          REPOSITORIES_MAX);
    }
    p->has_repositories = true;
    p->repositories = xcalloc(v->n + 1, sizeof *p->repositories);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        struct repository_reading x = {.l = l, .row = &p->repositories[p->n_repositories++]};

        rc = node_map(l->name, &v->item[i], "an entry of repositories", repository_fields, &x, e);
    }
    return rc;
}

/* ---- the decision ---- */

static bool covers(const struct repository *r, const char *host, const struct net_ip *ip,
                   uint16_t port, bool ssh)
{
    size_t n = strlen(host), suffix = strlen(r->host);

    if ((r->port ? r->port : ssh ? SSH_PORT : HTTPS_PORT) != port) {
        return false;
    }
    if (ip || r->is_ip) {
        return ip && r->is_ip && net_ip_cmp(ip, &r->ip) == 0;
    }
    if (r->below) {
        return n > suffix + 1 && host[n - suffix - 1] == '.' &&
               strcmp(host + n - suffix, r->host) == 0;
    }
    return strcmp(host, r->host) == 0;
}

static void write_entry(const struct repository *r, const char *host, const struct net_ip *ip,
                        uint16_t port, struct buf *out)
{
    char text[NET_TEXT];

    buf_addf(out, ip && ip->v6 ? "[%s]:%u" : "%s:%u", host, port);
    for (size_t i = 0; r && i < r->n_within; i++) {
        net_range_text(&r->within[i], text);
        buf_addf(out, "%c%s", i ? ',' : '=', text);
    }
}

int policy_repository(const struct policy *p, const char *host, uint16_t port, bool ssh,
                      struct buf *entry, struct err *e)
{
    struct net_ip ip;
    bool is_ip = net_ip_parse(host, &ip);

    for (size_t i = 0; i < p->n_repositories; i++) {
        const struct repository *r = &p->repositories[i];

        if (covers(r, host, is_ip ? &ip : NULL, port, ssh)) {
            write_entry(r, host, is_ip ? &ip : NULL, port, entry);
            return 0;
        }
    }
    if (p->has_repositories || is_ip || port != (ssh ? SSH_PORT : HTTPS_PORT)) {
        return err_set(e, ERR_SCOPE,
                       "repositories may not be fetched from %s port %u: %s; add '- {host: %s, "
                       "port: %u%s}' to `repositories` in the policy file",
                       host, port,
                       p->has_repositories ? "no entry of `repositories` covers it"
                       : is_ip             ? "an address needs an entry of `repositories`"
                                           : "another port needs an entry of `repositories`",
                       host, port, is_ip ? ", within: [...]" : "");
    }
    write_entry(NULL, host, NULL, port, entry);
    return 0;
}

void repositories_json(struct json *j, const struct policy *p)
{
    char text[NET_TEXT];

    if (!p->has_repositories) {
        json_nil(j, "repositories");
        return;
    }
    json_arr_in(j, "repositories");
    for (size_t i = 0; i < p->n_repositories; i++) {
        const struct repository *r = &p->repositories[i];
        auto_free char *host = str_fmt("%s%s", r->below ? "*." : "", r->host);

        json_obj(j);
        json_str(j, "host", host);
        if (r->port) {
            json_int(j, "port", r->port);
        }
        json_arr_in(j, "within");
        for (size_t k = 0; k < r->n_within; k++) {
            net_range_text(&r->within[k], text);
            json_str(j, NULL, text);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
}
