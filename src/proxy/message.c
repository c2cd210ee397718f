#include "proxy/message.h"

#include <string.h>

#include "base/mem.h"

const char msg_token[] = "!#$%&'*+-.^_`|~0123456789"
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static int refuse(int status, const char *text, const char **why)
{
    *why = text;
    return status;
}

bool msg_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == '\r'   ? i + 1 < n && p[i + 1] != '\n'
            : c == '\n' ? i == 0 || p[i - 1] != '\r'
                        : (c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

void msg_done(struct msg *m)
{
    free(m->text);
    *m = (struct msg){0};
}

/* ---- lines ---- */

static bool version(const char *text, unsigned *minor)
{
    if (!str_starts(text, "HTTP/1.") || (text[7] != '0' && text[7] != '1') || text[8] != '\0') {
        return false;
    }
    *minor = (unsigned)(text[7] - '0');
    return true;
}

/* "POST /v1/messages HTTP/1.1", cut into its words. */
static int request_line(char *line, struct msg *m, const char **why)
{
    char *at = line;

    m->method = strsep(&at, " ");
    m->target = strsep(&at, " ");
    if (!*m->method || m->method[strspn(m->method, msg_token)] != '\0' || !m->target || !at ||
        !version(at, &m->minor)) {
        return refuse(400, "this is not the request line of an HTTP/1.1 request", why);
    }
    if (m->target[0] != '/') {
        return refuse(400, "the request's target is not a path", why);
    }
    for (const char *c = m->target; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '#') {
            return refuse(400, "the request's target has a character that belongs in no URL", why);
        }
    }
    return 0;
}

/* "HTTP/1.1 200 OK" */
static int status_line(char *line, struct msg *m, const char **why)
{
    char *at = line;
    const char *first = strsep(&at, " ");
    const char *number = at ? strsep(&at, " ") : NULL;
    uint64_t status;

    if (!version(first, &m->minor) || !number || strlen(number) != 3 ||
        !str_to_u64(number, 100, 599, &status)) {
        return refuse(400, "what was answered is not HTTP/1.1", why);
    }
    m->status = (unsigned)status;
    m->reason = at ? at : "";
    return 0;
}

/* "name: value"; a line that begins with a space would go on where the one before it ended. */
static int header_line(char *line, struct msg *m, const char **why)
{
    size_t n = strspn(line, msg_token);
    char *end;

    if (n == 0 || line[n] != ':') {
        return refuse(400, "a header line is not 'name: value'", why);
    }
    if (m->n == MESSAGE_LINES) {
        return refuse(431, "there are more than 128 header lines", why);
    }
    line[n] = '\0';
    m->v[m->n].name = line;
    line += n + 1;
    line += strspn(line, " \t");
    for (end = line + strlen(line); end > line && (end[-1] == ' ' || end[-1] == '\t');) {
        *--end = '\0';
    }
    m->v[m->n++].value = line;
    return 0;
}

static int parse_lines(struct msg *m, bool answer, const char **why)
{
    char *next = m->text;
    int rc = 0;

    for (char *line; rc == 0 && (line = strsep(&next, "\n"));) {
        size_t n = strlen(line);

        if (n > 0) {
            line[n - 1] = '\0'; /* the CR */
        }
        rc = line != m->text ? header_line(line, m, why)
             : answer        ? status_line(line, m, why)
                             : request_line(line, m, why);
    }
    return rc;
}

static int parse(const char *p, size_t n, size_t max, struct msg *out, size_t *len,
                 const char **why)
{
    bool answer = max == ANSWER_HEAD_MAX;
    size_t seen = MIN(n, max);
    const char *end = memmem(p, seen, "\r\n\r\n", 4);
    struct msg m = {.n = 0};
    int rc;

    if (!msg_plain(p, end ? (size_t)(end + 4 - p) : seen)) {
        return refuse(400, "there is something else than text in the head", why);
    }
    if (!end) {
        return n < max ? 0 : refuse(431, "the head is too long", why);
    }
    m.text = xstrndup(p, (size_t)(end + 1 - p)); /* to the last line's CR */
    rc = parse_lines(&m, answer, why);
    if (rc != 0) {
        msg_done(&m);
        return rc;
    }
    *len = (size_t)(end + 4 - p);
    *out = m;
    return 200;
}

int msg_request(const char *p, size_t n, struct msg *out, size_t *len, const char **why)
{
    return parse(p, n, REQUEST_HEAD_MAX, out, len, why);
}

int msg_answer(const char *p, size_t n, struct msg *out, size_t *len, const char **why)
{
    return parse(p, n, ANSWER_HEAD_MAX, out, len, why);
}

/* ---- single lines ---- */

const char *msg_get(const struct msg *m, const char *name, size_t *count)
{
    const char *first = NULL;
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (strcasecmp(m->v[i].name, name) == 0) {
            first = n++ == 0 ? m->v[i].value : first;
        }
    }
    if (count) {
        *count = n;
    }
    return first;
}

/* Is `word` an element of the list? */
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);

    while (*list) {
        size_t len;

        list += strspn(list, " \t,");
        len = strcspn(list, " \t,");
        if (len == n && strncasecmp(list, word, n) == 0) {
            return true;
        }
        list += len;
    }
    return false;
}

static bool connection_says(const struct msg *m, const char *word)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcasecmp(m->v[i].name, "Connection") == 0 && lists(m->v[i].value, word)) {
            return true;
        }
    }
    return false;
}

bool msg_is_hop(const struct msg *m, const char *name)
{
    static const char *const hop[] = {"Connection", "Keep-Alive",        "TE",
                                      "Trailer",    "Transfer-Encoding", "Upgrade"};

    for (size_t i = 0; i < ARRAY_LEN(hop); i++) {
        if (strcasecmp(name, hop[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "Proxy-", 6) == 0 || connection_says(m, name);
}

bool msg_keeps(const struct msg *m)
{
    return m->minor == 1 ? !connection_says(m, "close") : connection_says(m, "keep-alive");
}

/* ---- bodies ---- */

/* 0: there is no length; 1: *out; -1: *why. */
static int framing(const struct msg *m, struct body *out, const char **why)
{
    size_t n_length, n_coding;
    const char *length = msg_get(m, "Content-Length", &n_length);
    const char *coding = msg_get(m, "Transfer-Encoding", &n_coding);

    *out = (struct body){.kind = BODY_LENGTH};
    if (n_length > 1 || n_coding > 1 || (n_length && n_coding)) {
        *why = "the length of the body is told more than once";
        return -1;
    }
    if (coding) {
        *why = "of all transfer codings HTTP/1.1 chunked is known";
        out->kind = BODY_CHUNKED;
        return strcasecmp(coding, "chunked") == 0 && m->minor == 1 ? 1 : -1;
    }
    if (length) {
        *why = "the length of the body is not a number";
        if (!str_to_u64(length, 0, INT64_MAX, &out->left)) {
            return -1;
        }
        out->done = out->left == 0;
        return 1;
    }
    return 0;
}

bool msg_request_body(const struct msg *m, struct body *out, const char **why)
{
    int rc = framing(m, out, why);

    out->done = out->done || rc == 0;
    return rc >= 0;
}

bool msg_answer_body(const struct msg *m, struct body *out, const char **why)
{
    int rc = framing(m, out, why);

    if (rc >= 0 && (m->status == 204 || m->status == 304)) {
        *out = (struct body){.kind = BODY_LENGTH, .done = true};
    } else if (rc == 0) {
        out->kind = BODY_TO_END;
    }
    return rc >= 0;
}

/* ---- chunks ---- */

enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, LAST_CR, LAST_LF };
enum { SIZE_DIGITS = 8 };

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool size_byte(struct body *b, char c)
{
    int digit = hex_of(c);

    if (digit >= 0 && b->digits < SIZE_DIGITS) {
        b->left = b->left << 4 | (unsigned)digit;
        b->digits++;
        return true;
    }
    b->at = SIZE_LF; /* no extensions: nobody sends any, and readers differ about them */
    return c == '\r' && b->digits > 0;
}

/* A byte of a frame. Nothing but an empty line may follow the last chunk. */
static bool frame_byte(struct body *b, char c)
{
    switch (b->at) {
    case SIZE:
        return size_byte(b, c);
    case SIZE_LF:
        b->at = b->left > 0 ? DATA : LAST_CR;
        return c == '\n';
    case DATA_CR:
        b->at = DATA_LF;
        return c == '\r';
    case DATA_LF:
        b->at = SIZE;
        b->digits = 0;
        return c == '\n';
    case LAST_CR:
        b->at = LAST_LF;
        return c == '\r';
    default:
        b->done = true;
        return c == '\n';
    }
}

bool body_feed(struct body *b, const char *p, size_t n, size_t *used, struct buf *out)
{
    size_t i = 0;

    while (!b->done && i < n) {
        if (b->kind != BODY_CHUNKED || b->at == DATA) {
            size_t k = b->kind == BODY_TO_END ? n - i : (size_t)MIN((uint64_t)(n - i), b->left);

            buf_add(out, p + i, k);
            i += k;
            b->left -= b->kind == BODY_TO_END ? 0 : k;
            b->done = b->kind == BODY_LENGTH && b->left == 0;
            b->at = b->kind == BODY_CHUNKED && b->left == 0 ? DATA_CR : b->at;
        } else if (!frame_byte(b, p[i++])) {
            return false;
        }
    }
    *used = i;
    return true;
}
