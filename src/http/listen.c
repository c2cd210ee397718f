#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/mem.h"
#include "http/http.h"

enum { BACKLOG = 1024 };

static int take_address(const char *where, int fd, const struct sockaddr *sa, socklen_t n,
                        struct err *e)
{
    if (bind(fd, sa, n) < 0 || listen(fd, BACKLOG) < 0) {
        if (errno == EADDRINUSE) {
            return err_set(e, ERR_CONFLICT, "address '%s' is taken", where);
        }
        return err_errno(e, "listen on '%s'", where);
    }
    return 0;
}

/* A socket that nobody answers on is left over from a process that ended, and is replaced. */
static void remove_stale(const struct sockaddr_un *un)
{
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;

    if (fd >= 0 && lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const void *)un, sizeof *un) < 0 && errno == ECONNREFUSED) {
        unlink(un->sun_path);
    }
}

static int listen_unix(const char *where, int *out_fd, struct err *e)
{
    const char *path = where + strlen("unix:");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    size_t n = strlen(path);
    int rc;

    if (n == 0 || n >= sizeof un.sun_path) {
        return err_set(e, ERR_INVALID, "socket path in '%s' is empty or too long", where);
    }
    memcpy(un.sun_path, path, n + 1);
    if (fd < 0) {
        return err_errno(e, "create socket '%s'", where);
    }
    remove_stale(&un);
    rc = take_address(where, fd, (void *)&un, sizeof un, e);
    if (rc < 0) {
        return rc;
    }
    if (chmod(path, 0660) < 0) {
        return err_errno(e, "set mode of '%s'", where);
    }
    *out_fd = take_fd(&fd);
    return 0;
}

/* "1.2.3.4:80", "[::1]:80", "localhost:80" */
static bool parse_address(const char *where, struct sockaddr_storage *ss, socklen_t *len)
{
    const char *colon = strrchr(where, ':');
    struct sockaddr_in *in = (void *)ss;
    struct sockaddr_in6 *in6 = (void *)ss;
    char host[INET6_ADDRSTRLEN];
    uint64_t port;
    bool brackets;
    size_t n;

    if (!colon || !str_to_u64(colon + 1, 0, 65535, &port)) {
        return false;
    }
    n = (size_t)(colon - where);
    brackets = n >= 2 && where[0] == '[' && where[n - 1] == ']';
    if (brackets) {
        where++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host) {
        return false;
    }
    memcpy(host, where, n);
    host[n] = '\0';
    *ss = (struct sockaddr_storage){0};
    if (!brackets &&
        inet_pton(AF_INET, str_eq(host, "localhost") ? "127.0.0.1" : host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *len = sizeof *in;
        return true;
    }
    if (!brackets || inet_pton(AF_INET6, host, &in6->sin6_addr) != 1) {
        return false;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *len = sizeof *in6;
    return true;
}

int http_listen(const char *where, int *out_fd, struct err *e)
{
    struct sockaddr_storage ss;
    socklen_t len;
    auto_fd int fd = -1;
    int on = 1, rc;

    if (str_starts(where, "unix:")) {
        return listen_unix(where, out_fd, e);
    }
    if (!parse_address(where, &ss, &len)) {
        return err_set(e, ERR_INVALID,
                       "'%s' is no address to listen on: ADDR:PORT, [IPv6]:PORT or unix:PATH",
                       where);
    }
    fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_errno(e, "create socket for '%s'", where);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    rc = take_address(where, fd, (void *)&ss, len, e);
    if (rc < 0) {
        return rc;
    }
    *out_fd = take_fd(&fd);
    return 0;
}
