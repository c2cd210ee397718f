#include "cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/access.h"
#include "daemon/settings.h"

enum { KEY_FILE_MAX = 4096 };

int connect_settings(const struct args *a, struct option_set **out, struct err *e)
{
    int rc = 0;

    *out = option_set_new(settings_table);
    for (const struct option *o = settings_table; o->name && rc == 0; o++) {
        const char *v = args_value(a, o->name);

        if (v) {
            auto_free char *where = str_fmt("--%s", o->name);

            rc = option_put(*out, o->name, v, FROM_FLAG, where, e);
        }
    }
    return rc != 0 ? rc : settings_load(*out, args_value(a, "config"), e);
}

int connect_settings_check(const struct args *a, struct err *e)
{
    struct option_set *s;
    int rc = connect_settings(a, &s, e);

    if (rc == 0) {
        rc = access_check(s, e);
    }
    option_set_free(s);
    return rc;
}

struct option_set *cli_settings(struct cli *c)
{
    struct err e = {0};

    if (!c->settings && connect_settings(&c->args, &c->settings, &e) != 0) {
        say_warning(&c->term, e.msg);
    }
    return c->settings;
}

char *connect_data_path(struct cli *c, const char *name)
{
    struct option_set *s = cli_settings(c);
    const char *dir = option_str(s, "data-dir");

    return dir ? str_fmt("%s/%s", dir, name) : NULL;
}

char *connect_local_url(const char *where, bool tls)
{
    static const char *const any[][2] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};

    if (str_starts(where, "unix:")) {
        return xstrdup(where);
    }
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        if (str_starts(where, any[i][0])) {
            return str_fmt("http%s://%s%s", tls ? "s" : "", any[i][1], where + strlen(any[i][0]));
        }
    }
    return str_fmt("http%s://%s", tls ? "s" : "", where);
}

char *connect_server(struct cli *c)
{
    const char *s = args_value(&c->args, "server");
    struct option_set *set;
    const char *listen;

    if (!s) {
        s = getenv("SCANPOD_SERVER");
    }
    if (s && *s) {
        return xstrdup(s);
    }
    set = cli_settings(c);
    listen = option_str(set, "listen");
    return connect_local_url(listen ? listen : "127.0.0.1:8000", option_is_set(set, "tls-cert"));
}

int connect_read_key(const char *path, char **out, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char text[KEY_FILE_MAX];
    ssize_t n;
    size_t len;

    if (fd < 0) {
        return err_errno(e, "read key file '%s'", path);
    }
    n = read(fd, text, sizeof text - 1);
    if (n < 0) {
        return err_errno(e, "read key file '%s'", path);
    }
    text[n] = '\0';
    len = strcspn(text, "\r\n");
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
        len--;
    }
    if (len == 0) {
        return err_set(e, ERR_INVALID, "key file '%s' is empty", path);
    }
    *out = xstrndup(text, len);
    secure_zero(text, sizeof text);
    return 0;
}

static void check_mode(struct cli *c, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
        auto_free char *text =
            str_fmt("key file '%s' can be read by others; run: chmod 600 '%s'", path, path);

        say_warning(&c->term, text);
    }
}

static int key_from_file(struct cli *c, const char *path, const char *how, char **out,
                         struct err *e)
{
    int rc = connect_read_key(path, out, e);

    if (rc != 0) {
        return rc;
    }
    check_mode(c, path);
    c->key_from = str_fmt("%s '%s'", how, path);
    return 0;
}

static int find_key(struct cli *c, char **out, struct err *e)
{
    const char *file = args_value(&c->args, "key-file");
    const char *env = getenv("SCANPOD_API_KEY");
    auto_free char *own = NULL;

    if (!file && (!(file = getenv("SCANPOD_API_KEY_FILE")) || !*file)) {
        file = NULL;
    }
    if (file) {
        return key_from_file(c, file, "file", out, e);
    }
    if (!env || !*env) {
        struct option_set *s = cli_settings(c);

        file = option_str(s, "api-key-file");
        if (file) {
            return key_from_file(c, file, "file", out, e);
        }
        env = option_str(s, "api-key");
    }
    if (env && *env) {
        *out = xstrdup(env);
        c->key_from = xstrdup("SCANPOD_API_KEY");
        return 0;
    }
    own = connect_data_path(c, "key");
    if (own && access(own, R_OK) == 0) {
        return key_from_file(c, own, "file", out, e);
    }
    return 0;
}

/* Names that a certificate from `tls init` stands for. */
static bool this_machine(const char *server)
{
    char name[256] = "";
    const char *host = server + strlen("https://");
    size_t n = strcspn(host, ":/");

    if (*host == '[') {
        return str_starts(host, "[::1]");
    }
    gethostname(name, sizeof name - 1);
    return (n == 9 && strncmp(host, "localhost", n) == 0) || str_starts(host, "127.0.0.1") ||
           (n == strlen(name) && strncmp(host, name, n) == 0);
}

static char *find_ca(struct cli *c, const char *server)
{
    const char *given = args_value(&c->args, "ca-file");
    auto_free char *own = NULL;

    if (given || !str_starts(server, "https://")) {
        return xstrdup(given);
    }
    if (this_machine(server)) {
        own = connect_data_path(c, "tls/cert.pem");
        if (own && access(own, R_OK) == 0) {
            return take_ptr(&own);
        }
    }
    return NULL;
}

struct client *cli_client(struct cli *c, int *status)
{
    struct err e = {0};
    auto_free char *key = NULL;
    auto_free char *server = NULL;
    auto_free char *ca = NULL;
    int rc;

    if (c->client) {
        return c->client;
    }
    server = connect_server(c);
    rc = find_key(c, &key, &e);
    if (rc != 0) {
        /* The file is a mistake on the command line, not a server that is down. */
        say_error(&c->term, e.msg, NULL);
        *status = STATUS_USAGE;
        return NULL;
    }
    ca = find_ca(c, server);
    rc = client_new(&(struct client_config){.server = server, .key = key, .ca_file = ca},
                    &c->client, &e);
    if (key) {
        secure_zero(key, strlen(key));
    }
    if (rc != 0) {
        *status = cli_fail(c, &e, NULL);
        return NULL;
    }
    return c->client;
}

char *connect_key_hint(struct cli *c)
{
    auto_free char *own = connect_data_path(c, "key");

    if (c->key_from) {
        return str_fmt("the key came from %s; name another one with --key-file FILE", c->key_from);
    }
    if (own && access(own, F_OK) == 0) {
        return str_fmt("the key is in '%s', which this user cannot read; --key-file FILE", own);
    }
    return xstrdup("scanpod --key-file FILE    (or set SCANPOD_API_KEY_FILE)");
}
