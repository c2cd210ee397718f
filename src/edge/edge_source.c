#include <string.h>

#include "base/mem.h"
#include "edge/edge.h"
#include "edge/edge_name.h"
#include "edge/edge_url.h"

static const char *const own[] = {"queue", "key", "results", "kind", "name"};

static bool is_own(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (str_eq(name, own[i])) {
            return true;
        }
    }
    return false;
}

static int check_parameters(const struct edge_url *u, struct err *e)
{
    for (size_t i = 0; i < u->names.n; i++) {
        if (!is_own(u->names.v[i]) && !(u->tls && str_eq(u->names.v[i], "ca"))) {
            return err_set(e, ERR_INVALID,
                           "the address of the message queue has no parameter '%.40s': there are "
                           "queue, results, key, kind and name",
                           u->names.v[i]);
        }
    }
    return 0;
}

static int take_kind(const struct edge_url *u, struct edge_source *s, struct err *e)
{
    const char *kind = edge_url_parameter(u, "kind");

    s->broker = u->amqp                  ? BROKER_AMQP
                : str_eq(kind, "stream") ? BROKER_REDIS_STREAM
                                         : BROKER_REDIS_LIST;
    if (kind && (u->amqp || (!str_eq(kind, "list") && !str_eq(kind, "stream")))) {
        return err_set(e, ERR_INVALID,
                       "the address of the message queue: kind is list or stream, and Redis' only");
    }
    return 0;
}

static int take_queues(const struct edge_url *u, struct edge_source *s, struct err *e)
{
    const char *queue = edge_url_parameter(u, "queue");
    const char *results = edge_url_parameter(u, "results");

    s->queue = xstrdup(queue ? queue : "network_scan_jobs");
    s->results = xstrdup(results ? results : "network_scan_results");
    if (!edge_name_ok(s->queue) || strlen(s->queue) > EDGE_QUEUE_MAX || !edge_name_ok(s->results) ||
        edge_name_is_ours(s->queue, NULL)) {
        return err_set(e, ERR_INVALID,
                       "names of queues have 1 to %d of A-Z a-z 0-9 . _ : -, and do not begin with "
                       "'scanpod:'",
                       EDGE_QUEUE_MAX);
    }
    if (edge_name_is_ours(s->results, s->queue)) {
        return err_set(e, ERR_INVALID, "results cannot go to '%s', where requests are", s->results);
    }
    return 0;
}

static bool label_ok(const char *s)
{
    size_t n = strlen(s);

    return n > 0 && n < EDGE_NAME_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == n;
}

static int take_names(const struct edge_url *u, struct edge_source *s, struct err *e)
{
    const char *name = edge_url_parameter(u, "name");
    const char *key = edge_url_parameter(u, "key");

    s->name = name ? xstrdup(name) : xstrndup(s->queue, EDGE_NAME_MAX - 1);
    s->key = key ? xstrdup(key) : NULL;
    if (!label_ok(s->name)) {
        return err_set(e, ERR_INVALID,
                       "the name of a message queue has 1 to %d of A-Z a-z 0-9 . _ : -",
                       EDGE_NAME_MAX - 1);
    }
    return key && (!*key || strlen(key) > 255)
               ? err_set(e, ERR_INVALID, "the key of a message queue must be named")
               : 0;
}

/* What is left of the URL without our own parameters. */
static char *without_own(const char *text)
{
    size_t n = strcspn(text, "?");
    auto_buf b = {0};
    char join = '?';

    buf_add(&b, text, n);
    for (text += n + (text[n] != '\0'); *text; text += n + (text[n] != '\0')) {
        auto_free char *name = xstrndup(text, strcspn(text, "=&"));

        n = strcspn(text, "&");
        if (!is_own(name)) {
            buf_addc(&b, join);
            buf_add(&b, text, n);
            join = '&';
        }
    }
    return buf_take(&b);
}

int edge_source_parse(const char *text, struct edge_source *out, struct err *e)
{
    struct edge_source s = {0};
    struct edge_url u = {0};
    int rc = edge_url_parse(text, &u, e);

    rc = rc ? rc : check_parameters(&u, e);
    rc = rc ? rc : take_kind(&u, &s, e);
    rc = rc ? rc : take_queues(&u, &s, e);
    rc = rc ? rc : take_names(&u, &s, e);
    edge_url_done(&u);
    if (rc != 0) {
        edge_source_done(&s);
        return rc;
    }
    s.url = without_own(text);
    *out = s;
    return 0;
}

void edge_source_done(struct edge_source *s)
{
    if (s->url) {
        secure_zero(s->url, strlen(s->url));
        free(s->url);
    }
    free(s->name);
    free(s->queue);
    free(s->results);
    free(s->key);
    *s = (struct edge_source){0};
}
