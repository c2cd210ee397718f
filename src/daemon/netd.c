#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/roles.h"
#include "daemon/serve.h"
#include "policy/policy.h"

/* Said at the start, not at the first scan. */
static int need_net_admin(struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &head, held) < 0) {
        return err_errno(e, "read the capabilities");
    }
    if (!(held[0].permitted & 1u << CAP_NET_ADMIN)) {
        return err_set(
            e, ERR_INVALID,
            "it needs CAP_NET_ADMIN: start it as root, which it does not stay, or by the "
            "unit scanpod-netd.service");
    }
    return 0;
}

/* It is read again for each scan, so it can be mended while netd runs. */
static void warn_of_scope(const struct netd_config *c)
{
    struct policy *p = NULL;
    struct err e = {0};

    if (c->scope_file && policy_load(c->scope_file, c->scope_owner, &p, &e) != 0) {
        fprintf(stderr, "warning: netd: no scan gets a network until this is mended: %s\n", e.msg);
    }
    policy_unref(p);
}

int netd_main(const struct option_set *settings, const char *socket, const char *peer_user)
{
    const struct passwd *peer = getpwnam(peer_user);
    struct service_user user;
    struct netd_config config;
    struct err e = {0};
    int rc;

    if (!peer) {
        rc = err_set(&e, ERR_INVALID, "there is no user '%s' (--peer-user)", peer_user);
    } else if ((rc = need_net_admin(&e)) == 0 &&
               (rc = service_user_find(option_str(settings, "user"), &user, &e)) == 0) {
        netd_settings(settings, &user, &config);
        /* The unit's own user may not write the file either: root's, or nobody's word counts. */
        config.scope_owner = 0;
        warn_of_scope(&config);
        rc = netd_listen(&config, socket, peer->pw_uid, &e);
    }
    if (rc != 0) {
        fprintf(stderr, "error: netd: %s\n", e.msg);
    }
    return err_exit_status(rc);
}
