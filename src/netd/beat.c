#include "netd/beat.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define GROUP_V4 "224.0.0.254" /* of this link only, for experiments: RFC 3692 */
#define GROUP_V6 "ff02::114"   /* the same */

enum { PORT = 9 /* discard */ };

void beat_open(struct beat *b)
{
    static const int off;

    b->v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    b->v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (b->v4 >= 0) {
        (void)setsockopt(b->v4, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off);
    }
    if (b->v6 >= 0) {
        (void)setsockopt(b->v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off);
    }
}

void beat_close(struct beat *b)
{
    fd_close(&b->v4);
    fd_close(&b->v6);
}

static void send_v4(int fd, int index)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = {0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = sizeof to,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    const struct in_pktinfo out = {.ipi_ifindex = index};

    inet_pton(AF_INET, GROUP_V4, &to.sin_addr);
    control.head.cmsg_level = IPPROTO_IP;
    control.head.cmsg_type = IP_PKTINFO;
    control.head.cmsg_len = CMSG_LEN(sizeof out);
    memcpy(CMSG_DATA(&control.head), &out, sizeof out);
    (void)sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void send_v6(int fd, int index)
{
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_scope_id = (uint32_t)index};
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to};

    inet_pton(AF_INET6, GROUP_V6, &to.sin6_addr);
    (void)sendmsg(fd, &m, MSG_NOSIGNAL);
}

void beat_send(const struct beat *b, int index, bool v6)
{
    if (v6 && b->v6 >= 0) {
        send_v6(b->v6, index);
    } else if (!v6 && b->v4 >= 0) {
        send_v4(b->v4, index);
    }
}
