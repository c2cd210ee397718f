#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static enum verdict say(char detail[160], const char *what, enum verdict v, const char *why)
{
    snprintf(detail, 160, "%s%s%s", what, why ? ": " : "", why ? why : "");
    return v;
}

enum verdict refused(char detail[160], const char *what)
{
    return say(detail, what, REFUSED, strerror(errno));
}

enum verdict sent(char detail[160], const char *what)
{
    return say(detail, what, SENT, NULL);
}

enum verdict got(char detail[160], const char *what)
{
    return say(detail, what, GOT, NULL);
}

static void run_way(const struct way *way, const struct where *w)
{
    static const char *const words[] = {"refused", "sent", "got"};
    char detail[160] = "";
    enum verdict v = way->fn(w, detail);

    printf("%s\t%s\t%s\n", way->name, words[v], detail);
    fflush(stdout);
}

static void run_all(const struct way *list, const struct where *w)
{
    for (; list->name; list++) {
        run_way(list, w);
    }
}

static bool run_named(const struct way *list, const char *name, const struct where *w)
{
    for (; list->name; list++) {
        if (strcmp(list->name, name) == 0) {
            run_way(list, w);
            return true;
        }
    }
    return false;
}

/* The first interface that is up and not loopback: index, MAC, address; the gateway's MAC from the
 * neighbour table. */
static void look_around(struct where *w)
{
    struct ifreq r = {.ifr_name = "eth0"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    FILE *arp = fopen("/proc/net/arp", "r");
    char line[256];

    if (fd >= 0 && ioctl(fd, SIOCGIFINDEX, &r) == 0) {
        w->ifindex = r.ifr_ifindex;
        if (ioctl(fd, SIOCGIFHWADDR, &r) == 0) {
            memcpy(w->mac, r.ifr_hwaddr.sa_data, 6);
        }
        if (ioctl(fd, SIOCGIFADDR, &r) == 0) {
            w->self = ((struct sockaddr_in *)(void *)&r.ifr_addr)->sin_addr;
        }
    }
    memset(w->gateway_mac, 0xff, 6);
    /* In a namespace that is shared, what is known there is not ours. */
    while (w->ifindex && arp && fgets(line, sizeof line, arp)) {
        unsigned m[6];
        char ip[64];

        if (sscanf(line, "%63s %*s %*s %x:%x:%x:%x:%x:%x", ip, &m[0], &m[1], &m[2], &m[3], &m[4],
                   &m[5]) == 7) {
            for (int i = 0; i < 6; i++) {
                w->gateway_mac[i] = (uint8_t)m[i];
            }
            inet_aton(ip, &w->gateway);
        }
    }
    if (arp) {
        fclose(arp);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool read_flag(struct where *w, const char *flag, const char *value)
{
    if (strcmp(flag, "--in") == 0) {
        return inet_aton(value, &w->in);
    }
    if (strcmp(flag, "--out") == 0) {
        return inet_aton(value, &w->out);
    }
    if (strcmp(flag, "--gateway") == 0) {
        return inet_aton(value, &w->gateway);
    }
    if (strcmp(flag, "--own") == 0) {
        w->has_own = true;
        return inet_aton(value, &w->own);
    }
    if (strcmp(flag, "--in6") == 0) {
        w->has6 = true;
        return inet_pton(AF_INET6, value, &w->in6) == 1;
    }
    if (strcmp(flag, "--out6") == 0) {
        return inet_pton(AF_INET6, value, &w->out6) == 1;
    }
    if (strcmp(flag, "--secret") == 0) {
        w->secret = value;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct where w = {.secret = "/etc/shadow"};
    const char *what = argc > 1 ? argv[1] : "net";

    for (int i = 2; i + 1 < argc; i += 2) {
        if (!read_flag(&w, argv[i], argv[i + 1])) {
            fprintf(stderr, "hostile: what is %s %s?\n", argv[i], argv[i + 1]);
            return 2;
        }
    }
    for (const struct limit_way *l = ways_limits; l->name; l++) {
        if (strcmp(l->name, what) == 0) {
            l->fn();
            return 0;
        }
    }
    look_around(&w);
    if (strcmp(what, "net") == 0) {
        run_all(ways_net, &w);
        run_all(ways_frames, &w);
    } else if (strcmp(what, "files") == 0) {
        run_all(ways_files, &w);
    } else if (!run_named(ways_net, what, &w) && !run_named(ways_frames, what, &w) &&
               !run_named(ways_files, what, &w)) {
        fprintf(stderr, "hostile: no way is called %s\n", what);
        return 2;
    }
    return 0;
}
