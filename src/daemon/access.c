#include "daemon/access.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

bool listen_is_local(const char *where)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(where, ':');
    struct in6_addr a6;
    struct in_addr a4;
    size_t n;

    if (str_starts(where, "unix:")) {
        return true;
    }
    n = colon ? (size_t)(colon - where) : strlen(where);
    if (n >= 2 && where[0] == '[' && where[n - 1] == ']') {
        where++;
        n -= 2;
    }
    if (n >= sizeof host) {
        return false;
    }
    memcpy(host, where, n);
    host[n] = '\0';
    if (inet_pton(AF_INET, host, &a4) == 1) {
        return ntohl(a4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &a6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&a6);
    }
    return strcmp(host, "localhost") == 0;
}

int access_check(const struct option_set *settings, struct err *e)
{
    const char *where = option_str(settings, "listen");
    const char *cert = option_str(settings, "tls-cert");
    const char *key = option_str(settings, "tls-key");
    const char *api_key = option_str(settings, "api-key");

    if (!cert != !key) {
        return err_set(e, ERR_INVALID, "--tls-cert and --tls-key belong together; %s is missing",
                       cert ? "--tls-key" : "--tls-cert");
    }
    if (listen_is_local(where)) {
        return 0;
    }
    if (!cert) {
        return err_set(e, ERR_INVALID,
                       "refusing to listen on %s without TLS: keys and results would cross the "
                       "network in the clear; make a pair with 'scanpod tls init' and pass "
                       "--tls-cert and --tls-key, or listen on 127.0.0.1",
                       where);
    }
    if (api_key && strcmp(api_key, "changeme") == 0) {
        return err_set(e, ERR_INVALID,
                       "refusing to listen on %s with the key 'changeme': unset SCANPOD_API_KEY to "
                       "have one made, or set a secret one",
                       where);
    }
    return 0;
}

static int any_key(void *arg, const struct key *k, struct err *e)
{
    (void)e;
    if (!k->revoked_us) {
        *(bool *)arg = true;
    }
    return 0;
}

static int write_key_file(const char *dir, const char *secret, struct err *e)
{
    auto_free char *path = str_fmt("%s/key", dir);
    auto_free char *tmp = str_fmt("%s/key.new", dir);
    auto_fd int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    auto_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* On disk by name before the store knows of the key: it is told nowhere else but once. */
    if (fd < 0 || dir_fd < 0 || dprintf(fd, "%s\n", secret) < 0 || fsync(fd) < 0 ||
        rename(tmp, path) < 0 || fsync(dir_fd) < 0) {
        return err_errno(e, "write key file '%s'", path);
    }
    return 0;
}

int key_first(struct store *s, const char *dir, char secret[SECRET_TEXT + 1], bool *made,
              struct err *e)
{
    struct key k;
    bool there = false;
    int rc = store_keys(s, any_key, &there, e);

    *made = false;
    if (rc != 0 || there) {
        return rc;
    }
    key_make("default", secret, &k);
    if ((rc = write_key_file(dir, secret, e)) != 0 || (rc = store_key_add(s, &k, e)) != 0 ||
        (rc = store_commit(s, e)) != 0) {
        return rc;
    }
    *made = true;
    return 0;
}
