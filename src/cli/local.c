#include "cli/local.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/privilege.h"

bool local_server_was_named(const struct cli *c)
{
    const char *env = getenv("SCANPOD_SERVER");

    return args_has(&c->args, "server") || (env && *env);
}

int local_or_server(struct cli *c, const struct call *call, struct answer *a, bool *local)
{
    struct err e = {0};
    int status;

    *local = false;
    if (!cli_client(c, &status)) {
        return status;
    }
    if (client_call(c->client, call, a, &e) == 0) {
        return cli_check(c, a);
    }
    if (a->not_connected && !local_server_was_named(c)) {
        *local = true;
        return STATUS_OK;
    }
    return cli_fail(c, &e, cli_hint_unreachable(c->client));
}

int local_open(struct cli *c, struct store **out)
{
    struct option_set *s = cli_settings(c);
    const char *dir = option_str(s, "data-dir");
    auto_free char *url = str_fmt("sqlite:%s", dir ? dir : "");
    auto_fd int lock = -1;
    struct service_user user;
    struct err e = {0};
    int rc = dir ? service_user_find(option_str(s, "user"), &user, &e)
                 : err_set(&e, ERR_INVALID, "there is no data directory");

    if (rc == 0) {
        rc = data_dir_prepare(dir, &user, &e);
    }
    if (rc == 0) {
        rc = data_dir_lock(dir, &user, &lock, &e);
    }
    if (rc == 0) {
        rc = privilege_drop(&user, &e);
    }
    if (rc == 0) {
        rc = store_open_locked(url, lock, out, &e);
    }
    if (rc == 0) {
        lock = -1; /* the store's now */
    }
    if (rc == ERR_CONFLICT) {
        return cli_fail(c, &e, "to ask the server that runs there, name it with --server");
    }
    return rc == 0 ? STATUS_OK : cli_fail(c, &e, NULL);
}
