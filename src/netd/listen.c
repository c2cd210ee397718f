/* netd as a service of its own: a unix socket instead of an inherited channel. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "netd/server.h"
#include "netd/spawn.h"

static int set_path(struct sockaddr_un *sa, const char *path, struct err *e)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa->sun_path) {
        return err_set(e, ERR_INVALID, "the socket's path '%s' is longer than %zu bytes", path,
                       sizeof sa->sun_path - 1);
    }
    memcpy(sa->sun_path, path, strlen(path) + 1);
    return 0;
}

static int unix_socket(int *out, struct err *e)
{
    *out = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return *out < 0 ? err_errno(e, "make a socket") : 0;
}

/* A socket that nobody serves any more is in the way of its successor. */
static int clear_path(const char *path, const struct sockaddr_un *sa, struct err *e)
{
    auto_fd int fd = -1;
    struct stat st;

    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : err_errno(e, "look at '%s'", path);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(e, ERR_CONFLICT, "'%s' is there and is not a socket", path);
    }
    if (unix_socket(&fd, e) != 0) {
        return ERR_IO;
    }
    if (connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0) {
        return err_set(e, ERR_CONFLICT, "another netd serves '%s'", path);
    }
    return unlink(path) < 0 ? err_errno(e, "remove the old socket '%s'", path) : 0;
}

/* Anybody may connect; who it is decides (SO_PEERCRED). */
static int open_listener(const char *path, int *out, struct err *e)
{
    auto_fd int fd = -1;
    struct sockaddr_un sa;
    mode_t mask;
    int rc = set_path(&sa, path, e);

    if (rc == 0) {
        rc = clear_path(path, &sa, e);
    }
    if (rc == 0) {
        rc = unix_socket(&fd, e);
    }
    if (rc != 0) {
        return rc;
    }
    mask = umask(0111);
    rc = bind(fd, (const struct sockaddr *)&sa, sizeof sa);
    umask(mask);
    if (rc < 0 || listen(fd, 8) < 0) {
        return err_errno(e, "listen on '%s'", path);
    }
    *out = take_fd(&fd);
    return 0;
}

int netd_listen(const struct netd_config *c, const char *path, uid_t peer_uid, struct err *e)
{
    auto_fd int fd = -1;
    struct netd_start start = {.config = c, .peer_fd = -1, .peer_uid = peer_uid, .uplink_fd = -1};
    int rc = open_listener(path, &fd, e);

    if (rc == 0) {
        rc = netd_become(c, e);
    }
    if (rc != 0) {
        return rc;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    start.listen_fd = fd;
    rc = netd_serve(&start, e);
    (void)unlink(path); /* where its directory is not ours, the next one does it */
    return rc;
}

int netd_dial(const char *path, int *out_fd, struct err *e)
{
    auto_fd int fd = -1;
    struct sockaddr_un sa;
    int rc = set_path(&sa, path, e);

    if (rc == 0) {
        rc = unix_socket(&fd, e);
    }
    if (rc != 0) {
        return rc;
    }
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0) {
        return err_errno(e, "connect to netd at '%s'", path);
    }
    *out_fd = take_fd(&fd);
    return 0;
}
