#include "repo/git_ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "box/seccomp.h"

#define SSH_DIR "/tmp/home/.ssh"

struct git_relay {
    pid_t pid;
    int why_fd; /* what it tells: struct said */
    const struct repo_spec *spec;
    char *key, *url; /* owned */
    struct buf config, passwd;
    struct repo_url place;
};

struct said {
    int status;
    char why[TUNNEL_WHY];
};

/* ---- the process ---- */

/* Hands on what came; false: that direction is over. */
static bool hand_on(int from, int to)
{
    char chunk[64 * 1024];
    ssize_t n = recv(from, chunk, sizeof chunk, 0);

    for (ssize_t done = 0; n > 0 && done < n;) {
        ssize_t sent = send(to, chunk + done, (size_t)(n - done), MSG_NOSIGNAL);

        if (sent < 0) {
            return false;
        }
        done += sent;
    }
    if (n == 0) {
        (void)shutdown(to, SHUT_WR);
    }
    return n > 0;
}

static void relay(int here, int there)
{
    struct pollfd fds[2] = {{.fd = here, .events = POLLIN}, {.fd = there, .events = POLLIN}};

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0) {
            return;
        }
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents && !hand_on(fds[i].fd, i == 0 ? there : here)) {
                fds[i].fd = -1;
            }
        }
    }
}

static _Noreturn void serve(const struct git_relay *r, int listener, int why_fd, pid_t parent)
{
    int keep[] = {listener, why_fd, STDERR_FILENO};

    prctl(PR_SET_NAME, "scanpod-ssh", 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent ||
        !close_all_but(keep, ARRAY_LEN(keep)) || seccomp_role(ROLE_PROXY, NULL) != 0) {
        _exit(1);
    }
    for (;;) {
        auto_fd int here = accept(listener, NULL, NULL);
        auto_fd int there = -1;
        struct said said = {0};

        if (here < 0) {
            continue;
        }
        said.status = tunnel_open(r->place.host, r->place.port, &there, said.why);
        if (said.status == 200) {
            relay(here, there);
        } else if (write(why_fd, &said, sizeof said) != (ssize_t)sizeof said) {
            _exit(1);
        }
    }
}

static int listen_here(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0) {
        return -1;
    }
    *port = ntohs(at.sin_port);
    return take_fd(&fd);
}

/* ---- its files ---- */

/* Nothing but words of ours and parts of a checked URL. */
static void write_config(struct git_relay *r, uint16_t port)
{
    const char *user = r->place.user               ? r->place.user
                       : r->spec->request.username ? r->spec->request.username
                                                   : "git";

    buf_addf(&r->config,
             "Host *\n"
             "HostName 127.0.0.1\n"
             "Port %u\n"
             "User %s\n",
             port, user);
    if (r->place.port == 22) {
        buf_addf(&r->config, "HostKeyAlias %s\n", r->place.host);
    } else {
        buf_addf(&r->config, "HostKeyAlias [%s]:%u\n", r->place.host, r->place.port);
    }
    buf_adds(&r->config, "BatchMode yes\n"
                         "StrictHostKeyChecking yes\n"
                         "UserKnownHostsFile " SSH_DIR "/known_hosts\n"
                         "GlobalKnownHostsFile none\n"
                         "UpdateHostKeys no\n"
                         "CheckHostIP no\n"
                         "IdentitiesOnly yes\n"
                         "IdentityAgent none\n"
                         "IdentityFile " SSH_DIR "/key\n"
                         "PreferredAuthentications publickey\n"
                         "ForwardAgent no\n"
                         "ForwardX11 no\n"
                         "ClearAllForwardings yes\n"
                         "PermitLocalCommand no\n"
                         "ControlMaster no\n"
                         "ControlPath none\n"
                         "CanonicalizeHostname no\n"
                         "RequestTTY no\n"
                         "ConnectTimeout 30\n"
                         "ServerAliveInterval 15\n"
                         "ServerAliveCountMax 3\n"
                         "LogLevel ERROR\n");
}

static void write_url(struct git_relay *r)
{
    const char *open = strchr(r->place.host, ':') ? "[" : "";

    r->url =
        str_fmt("ssh://%s%s%s%s%s%s", r->place.user ? r->place.user : "", r->place.user ? "@" : "",
                open, r->place.host, *open ? "]" : "", r->place.path);
}

size_t git_ssh_files(const struct git_relay *r, struct box_file *files)
{
    files[0] = (struct box_file){"/etc/passwd", r->passwd.data, r->passwd.len};
    files[1] = (struct box_file){SSH_DIR "/config", r->config.data, r->config.len};
    files[2] = (struct box_file){SSH_DIR "/known_hosts", r->spec->known_hosts,
                                 strlen(r->spec->known_hosts)};
    files[3] = (struct box_file){SSH_DIR "/key", r->key, strlen(r->key)};
    return GIT_SSH_FILES;
}

const char *git_ssh_url(const struct git_relay *r)
{
    return r->url;
}

/* ---- from and to the checkout ---- */

static int start(struct git_relay *r, struct err *e)
{
    uint16_t port = 0;
    auto_fd int listener = listen_here(&port);
    pid_t parent = getpid();
    int ends[2];

    if (listener < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return err_errno(e, "make the way of ssh to the proxy");
    }
    write_config(r, port);
    r->why_fd = ends[0];
    r->pid = fork();
    if (r->pid == 0) {
        serve(r, listener, ends[1], parent);
    }
    close(ends[1]);
    return r->pid < 0 ? err_errno(e, "make the way of ssh to the proxy") : 0;
}

int git_ssh_start(const struct repo_spec *s, struct git_relay **out, struct err *e)
{
    struct git_relay *r = xcalloc(1, sizeof *r);
    size_t n = strlen(s->ssh_key);
    int rc = repo_url_split(s->clone_url, &r->place, e);

    r->pid = -1;
    r->why_fd = -1;
    r->spec = s;
    r->key = xcalloc(1, n + 2);
    memcpy(r->key, s->ssh_key, n);
    if (n > 0 && r->key[n - 1] != '\n') {
        r->key[n] = '\n'; /* without it ssh calls the key broken */
    }
    /* ssh wants to know who it is. We are in a box ourselves: all boxes have one user. */
    buf_addf(&r->passwd, "scanpod:x:%u:%u::/tmp/home:/bin/false\n", getuid(), getgid());
    if (rc == 0) {
        write_url(r);
        rc = start(r, e);
    }
    if (rc != 0) {
        git_ssh_stop(r);
        return rc;
    }
    *out = r;
    return 0;
}

void git_ssh_stop(struct git_relay *r)
{
    if (!r) {
        return;
    }
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
    }
    fd_close(&r->why_fd);
    secure_zero(r->key, strlen(r->key));
    free(r->key);
    free(r->url);
    buf_done(&r->config);
    buf_done(&r->passwd);
    repo_url_done(&r->place);
    free(r);
}

bool git_ssh_why(struct git_relay *r, int *status, char why[TUNNEL_WHY])
{
    struct said said;
    bool any = false;

    while (read(r->why_fd, &said, sizeof said) == (ssize_t)sizeof said) {
        *status = said.status;
        memcpy(why, said.why, TUNNEL_WHY);
        any = true;
    }
    return any;
}
