#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "daemon/roles.h"
#include "daemon/serve.h"

int netd_main(const struct option_set *settings, const char *socket, const char *peer_user)
{
    const struct passwd *peer = getpwnam(peer_user);
    struct service_user user;
    struct netd_config config;
    struct err e = {0};
    int rc;

    if (!peer) {
        rc = err_set(&e, ERR_INVALID, "there is no user '%s' (--peer-user)", peer_user);
    } else if ((rc = service_user_find(option_str(settings, "user"), &user, &e)) == 0) {
        netd_settings(settings, &user, &config);
        /* The unit's own user may not write the file either: root's, or nobody's word counts. */
        config.scope_owner = 0;
        rc = netd_listen(&config, socket, peer->pw_uid, &e);
    }
    if (rc != 0) {
        fprintf(stderr, "error: netd: %s\n", e.msg);
    }
    return err_exit_status(rc);
}
