#include "repo/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proxy/proxy.h"

enum { ANSWER_MAX = 4096, WAIT_S = 30 };

static int dial(char why[TUNNEL_WHY])
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons(PROXY_PORT),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval wait = {.tv_sec = WAIT_S};
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0 ||
        connect(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        snprintf(why, TUNNEL_WHY, "the proxy does not answer: %s", strerror(errno));
        return -1;
    }
    return take_fd(&fd);
}

static bool ask(int fd, const char *host, uint16_t port)
{
    auto_buf text = {0};
    const char *open = strchr(host, ':') ? "[" : "";
    const char *close = *open ? "]" : "";

    buf_addf(&text, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n\r\n", open, host, close,
             port, open, host, close, port);
    return send(fd, text.data, text.len, MSG_NOSIGNAL) == (ssize_t)text.len;
}

/* The head, byte by byte: what follows it is the tunnel's. */
static int read_head(int fd, char head[ANSWER_MAX])
{
    size_t n = 0;
    long status = 0;

    while (n < ANSWER_MAX - 1 && recv(fd, head + n, 1, 0) == 1) {
        n++;
        head[n] = '\0';
        if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0) {
            break;
        }
    }
    head[n] = '\0';
    if (n > 12 && strncmp(head, "HTTP/1.", 7) == 0 && head[8] == ' ') {
        status = strtol(head + 9, NULL, 10);
    }
    return status >= 100 && status <= 599 ? (int)status : 0;
}

/* The one line of a refusal. */
static void read_line(int fd, char why[TUNNEL_WHY])
{
    char line[TUNNEL_WHY];
    auto_buf shown = {0};
    ssize_t n = recv(fd, line, sizeof line - 1, 0);

    if (n > 0) {
        line[n] = '\0';
        buf_add_escaped(&shown, line, strcspn(line, "\r\n"));
    }
    snprintf(why, TUNNEL_WHY, "%s", shown.len ? shown.data : "it says no more");
}

int tunnel_open(const char *host, uint16_t port, int *fd, char why[TUNNEL_WHY])
{
    char head[ANSWER_MAX] = "";
    auto_fd int s = dial(why);
    int status;

    if (s < 0) {
        return 0;
    }
    status = ask(s, host, port) ? read_head(s, head) : 0;
    if (status == 200) {
        *fd = take_fd(&s);
        return status;
    }
    if (status) {
        read_line(s, why);
    } else {
        snprintf(why, TUNNEL_WHY, "the proxy did not answer in time");
    }
    return status;
}
