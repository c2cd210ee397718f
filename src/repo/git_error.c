/*
 * What went wrong, from how git ended and what it complained of. The words are ours: what a server
 * had git print is hostile, and may repeat what is secret.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "repo/git.h"
#include "repo/git_ssh.h"

struct row {
    const char *said; /* in its complaints */
    const char *also; /* and this; NULL */
    enum checkout_status status;
    int code;
    const char *text;
};

#define NETWORK CHECKOUT_NETWORK, ERR_IO
#define REFUSED CHECKOUT_REFUSED, ERR_INVALID
#define DENIED  CHECKOUT_REFUSED, ERR_DENIED
#define MISSING CHECKOUT_REFUSED, ERR_NOT_FOUND
#define CAP     CHECKOUT_LIMIT, ERR_LIMIT

#define NOT_FOUND                                                                                \
    "the repository is not there, or it is private (the server does not tell which): check the " \
    "URL, or name a secret with access to it as 'credential'"
#define LOST "the connection to the git server was lost on the way: try again later"
#define FULL                                                                               \
    "the repository does not fit into the limits of a checkout: raise max_bytes (setting " \
    "repo-max-mb), or scan a part of it (subdir does not make the download smaller)"
#define NOT_KNOWN                                                               \
    "the server's ssh key is not among the known hosts: add it to the file of " \
    "repo-known-hosts (ssh-keyscan HOST, compared with what its owner publishes)"

/* The first that fits counts. */
static const struct row rows[] = {
    /* limits of ours */
    {"No space left on device", NULL, CAP, FULL},
    {"Disk quota exceeded", NULL, CAP, FULL},
    {"File too large", NULL, CAP, FULL},
    {"died of signal 25", NULL, CAP, FULL},
    {"Out of memory", NULL, CAP, "git needs more memory for this repository than a checkout has"},
    {"out of memory", NULL, CAP, "git needs more memory for this repository than a checkout has"},
    {"Cannot allocate memory", NULL, CAP,
     "git needs more memory for this repository than a checkout has"},
    /* ssh */
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", NULL, DENIED,
     "the server's ssh key is another one than the known one: if it was changed on purpose, "
     "put the new one into the file of repo-known-hosts"},
    {"Host key verification failed", NULL, DENIED, NOT_KNOWN},
    {"host key is known for", NULL, DENIED, NOT_KNOWN},
    {"Load key", NULL, DENIED,
     "the secret named as 'credential' is not a private key that ssh can read (one with a "
     "passphrase cannot be used)"},
    {"Permission denied (", NULL, DENIED,
     "the ssh server does not accept the key named as 'credential': register its public half, "
     "or check the user"},
    {"Too many authentication failures", NULL, DENIED,
     "the ssh server does not accept the key named as 'credential'"},
    /* https */
    {"returned error: 301", NULL, REFUSED,
     "the server redirects to another address, which is not followed: give the URL where the "
     "repository is now"},
    {"returned error: 302", NULL, REFUSED,
     "the server redirects to another address (often that of a login), which is not followed: "
     "give the repository's own URL, or name a secret as 'credential'"},
    {"returned error: 303", NULL, REFUSED,
     "the server redirects to another address, which is not followed: give the repository's "
     "own URL"},
    {"returned error: 307", NULL, REFUSED,
     "the server redirects to another address, which is not followed: give the repository's "
     "own URL"},
    {"returned error: 308", NULL, REFUSED,
     "the server redirects to another address, which is not followed: give the repository's "
     "own URL"},
    {"Authentication failed for", NULL, DENIED,
     "the server does not accept the credentials: check the secret named as 'credential' and "
     "the user"},
    {"could not read Username", NULL, DENIED,
     "the server asks for credentials: the repository is private, or it is not there; name a "
     "secret with access to it as 'credential'"},
    {"could not read Password", NULL, DENIED,
     "the server asks for credentials: the repository is private, or it is not there; name a "
     "secret with access to it as 'credential'"},
    {"returned error: 401", NULL, DENIED,
     "the server does not accept the credentials: check the secret named as 'credential' and "
     "the user"},
    {"returned error: 403", NULL, DENIED,
     "the server forbids to read this repository: check the rights of the secret named as "
     "'credential', or name one"},
    {"returned error: 404", NULL, MISSING, NOT_FOUND},
    {"returned error: 410", NULL, MISSING, NOT_FOUND},
    {"repository '", "' not found", MISSING, NOT_FOUND},
    {"Repository not found", NULL, MISSING, NOT_FOUND},
    {"does not appear to be a git repository", NULL, MISSING, NOT_FOUND},
    {"returned error: 429", NULL, NETWORK, "the server takes no more requests for now: try later"},
    {"returned error: 5", NULL, NETWORK,
     "the git server failed (a status of 500 or more): try again later"},
    {"returned error: ", NULL, REFUSED,
     "the git server refuses the request: check the URL in a browser"},
    /* certificates before what is only a broken connection */
    {"certificate", NULL, REFUSED,
     "the server's TLS certificate is not trusted: if its authority is one of your own, set "
     "it as repo-ca-file"},
    {"SSL: no alternative", NULL, REFUSED,
     "the server's TLS certificate is for another name: use the name that it is for"},
    {"handshake", NULL, NETWORK, "no TLS connection to the git server could be made"},
    {"SSL", NULL, NETWORK, "no TLS connection to the git server could be made"},
    {"gnutls", NULL, NETWORK, "no TLS connection to the git server could be made"},
    /* what is wanted is not there */
    {"couldn't find remote ref", NULL, MISSING,
     "the branch or tag is not in the repository (any more)"},
    {"not our ref", NULL, MISSING,
     "the commit is not in the repository, or not on any of its branches"},
    {"unadvertised object", NULL, MISSING,
     "the server does not give out commits by their ids: name a branch that has the commit"},
    {"Server does not allow request", NULL, MISSING,
     "the server does not give out commits by their ids: name a branch that has the commit"},
    {"mismatched algorithms", NULL, REFUSED,
     "the repository uses another hash for its objects than was announced"},
    /* the server's content */
    {"dumb http transport", NULL, REFUSED,
     "the server speaks git's old \"dumb\" protocol only: it needs git-http-backend or the like"},
    {"is this a git repository?", NULL, REFUSED,
     "what answers at this URL is not a git server: check the URL"},
    {"info/refs not valid", NULL, REFUSED,
     "what answers at this URL is not a git server: check the URL"},
    {"fsck error", NULL, REFUSED, NULL},
    {"error: object ", NULL, REFUSED, NULL},
    {"Could not resolve host", NULL, NETWORK, "the host of the URL has no address: check its name"},
    {"from proxy after CONNECT", NULL, REFUSED, "the host of the URL is not allowed by the policy"},
    {"CONNECT tunnel failed", NULL, REFUSED, "the host of the URL is not allowed by the policy"},
    {"Operation too slow", NULL, NETWORK,
     "the git server sent nothing for too long: try again later"},
    {"timed out", NULL, NETWORK, "the git server did not answer in time: try again later"},
    {"Failed to connect", NULL, NETWORK, "no connection to the git server could be made"},
    {"Connection refused", NULL, NETWORK, "no connection to the git server could be made"},
    {"Couldn't connect", NULL, NETWORK, "no connection to the git server could be made"},
    {"protocol error", NULL, NETWORK,
     "what the git server sent is not git's protocol, or was broken on its way"},
    {"bad line length", NULL, NETWORK,
     "what the git server sent is not git's protocol, or was broken on its way"},
    {"Received HTTP/0.9", NULL, NETWORK, "what answers at this URL is not a web server"},
    {"early EOF", NULL, NETWORK, LOST},
    {"unexpected disconnect", NULL, NETWORK, LOST},
    {"RPC failed", NULL, NETWORK, LOST},
    {"hung up unexpectedly", NULL, NETWORK, LOST},
    {"Empty reply", NULL, NETWORK, LOST},
    {"Recv failure", NULL, NETWORK, LOST},
    {"Connection reset", NULL, NETWORK, LOST},
    {"Connection closed by", NULL, NETWORK, LOST},
    {"transfer closed", NULL, NETWORK, LOST},
    {"unable to access", NULL, NETWORK, "the git server could not be reached"},
    {"inflate", NULL, REFUSED, "the objects that the server sent are damaged"},
    {"index-pack", NULL, REFUSED, "the objects that the server sent are damaged"},
    {"bad object", NULL, REFUSED, "the repository is not whole: objects are missing or damaged"},
    {"did not send all necessary objects", NULL, REFUSED,
     "the repository is not whole: objects are missing or damaged"},
    {"remote error:", NULL, REFUSED, NULL},
};

/* The line of `said` that has the word, as a terminal may show it. */
static void quote_line(const char *said, const char *word, struct buf *out)
{
    const char *at = strstr(said, word);
    const char *start = at;

    while (start > said && start[-1] != '\n') {
        start--;
    }
    buf_add_escaped(out, start, MIN(strcspn(start, "\n"), (size_t)200));
}

/* Of those without a text of ours: git's own words about an object, or a server's. */
static int quoted(const struct row *row, const char *said, struct err *e)
{
    auto_buf line = {0};

    quote_line(said, row->said, &line);
    if (str_eq(row->said, "remote error:")) {
        return err_set(e, row->code, "the git server refuses: %s", line.data);
    }
    return err_set(e, row->code, "the repository has malformed objects, and is not taken: %s",
                   line.data);
}

/* What the proxy answered, which git and ssh keep to themselves. */
static int explain_proxy(struct git *g, const char *said, enum checkout_status *status,
                         struct err *e)
{
    const struct repo_spec *s = g->spec;
    struct repo_url u = {0};
    char why[TUNNEL_WHY] = "";
    auto_fd int fd = -1;
    int answer = 0;

    if (g->relay) {
        if (!git_ssh_why(g->relay, &answer, why)) {
            return 0;
        }
    } else if (!s->proxy || (!strstr(said, "after CONNECT") && !strstr(said, "CONNECT tunnel") &&
                             !strstr(said, "Proxy CONNECT aborted"))) {
        return 0;
    } else if (repo_url_split(s->clone_url, &u, NULL) == 0) {
        answer = tunnel_open(u.host, u.port, &fd, why);
        repo_url_done(&u);
    }
    if (answer == 403) {
        *status = CHECKOUT_REFUSED;
        return err_set(e, ERR_SCOPE, "the git server may not be reached: %s", why);
    }
    if (answer != 200) {
        *status = CHECKOUT_NETWORK;
        return err_set(e, ERR_IO, "no connection to the git server could be made: %s", why);
    }
    return 0;
}

/* With a credential the proxy makes the requests: a server that asks for another one has refused
 * it. */
static int explain_gateway(const struct git *g, const char *said, enum checkout_status *status,
                           struct err *e)
{
    if (!str_starts(g->spec->clone_url ? g->spec->clone_url : "", REPO_GATEWAY_URL)) {
        return 0;
    }
    if (strstr(said, "could not read Username") || strstr(said, "returned error: 401")) {
        *status = CHECKOUT_REFUSED;
        return err_set(e, ERR_DENIED,
                       "the server does not accept the credentials: check the secret named as "
                       "'credential' and the user");
    }
    if (strstr(said, "returned error: 502") || strstr(said, "returned error: 504")) {
        *status = CHECKOUT_NETWORK;
        return err_set(e, ERR_IO, "the git server cannot be reached, or failed: try again later");
    }
    return 0;
}

static int unknown(const struct git_end *end, const char *said, enum checkout_status *status,
                   struct err *e)
{
    auto_buf line = {0};

    *status = CHECKOUT_FAILED;
    if (strstr(said, "fatal: ")) {
        quote_line(said, "fatal: ", &line);
    }
    if (end->signal) {
        return err_set(e, ERR_TOOL, "git was ended by signal %d%s%s", end->signal,
                       line.len ? ": " : "", line.len ? line.data : "");
    }
    return err_set(e, ERR_TOOL, "git failed with status %d%s%s", end->status, line.len ? ": " : "",
                   line.len ? line.data : "");
}

/* What is in the URL is nobody's complaint. */
static char *without_url(const char *text, const char *url)
{
    char *said = xstrdup(text);
    size_t n = url ? strlen(url) : 0;

    for (char *at = said; n > 0 && (at = strstr(at, url)); at += n) {
        memset(at, '.', n);
    }
    return said;
}

int git_explain(struct git *g, const struct git_end *end, enum checkout_status *status,
                struct err *e)
{
    auto_free char *said = without_url(end->said.data ? end->said.data : "", g->spec->clone_url);
    int rc;

    if (end->late) {
        *status = CHECKOUT_LIMIT;
        return err_set(e, ERR_LIMIT,
                       "the checkout took longer than the %u seconds that it has (clone_s)",
                       g->spec->clone_s);
    }
    if (end->signal == SIGXFSZ) {
        *status = CHECKOUT_LIMIT;
        return err_set(e, ERR_LIMIT, FULL);
    }
    rc = explain_proxy(g, said, status, e);
    rc = rc ? rc : explain_gateway(g, said, status, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];

        if (strstr(said, r->said) && (!r->also || strstr(said, r->also))) {
            *status = r->status;
            rc = r->text ? err_set(e, r->code, "%s", r->text) : quoted(r, said, e);
        }
    }
    return rc ? rc : unknown(end, said, status, e);
}

bool git_refused_id(const struct git_end *end)
{
    const char *said = end->said.data ? end->said.data : "";

    return strstr(said, "unadvertised object") || strstr(said, "Server does not allow request") ||
           strstr(said, "not our ref") || strstr(said, " not valid");
}
