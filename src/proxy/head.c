#include "proxy/head.h"

#include <string.h>

#include "base/mem.h"
#include "proxy/message.h"

static int refuse(int status, const char *text, const char **why)
{
    *why = text;
    return status;
}

/* "CONNECT example.org:443 HTTP/1.1", cut into its words. */
static int request_line(char *line, struct proxy_place *out, const char **why)
{
    char *at = line;
    const char *method = strsep(&at, " ");
    const char *target = strsep(&at, " ");

    if (!*method || method[strspn(method, msg_token)] != '\0' || !target || !at ||
        (strcmp(at, "HTTP/1.1") != 0 && strcmp(at, "HTTP/1.0") != 0)) {
        return refuse(400, "this is not the request line of an HTTP/1.1 request", why);
    }
    if (strcmp(method, "CONNECT") != 0) {
        return refuse(405, "this proxy makes tunnels and nothing else: CONNECT host:port", why);
    }
    return place_parse(target, out, why) ? 0 : 400;
}

static int header_line(const char *line, const char **why)
{
    size_t n = strspn(line, msg_token);

    if (n == 0 || line[n] != ':') {
        return refuse(400, "a header line is not 'name: value'", why);
    }
    if ((n == 14 && strncasecmp(line, "Content-Length", n) == 0) ||
        (n == 17 && strncasecmp(line, "Transfer-Encoding", n) == 0)) {
        return refuse(400, "a CONNECT request has no body", why);
    }
    return 0;
}

static int parse_lines(char *text, struct proxy_place *out, const char **why)
{
    char *next = text;
    struct proxy_place place = {.name = NULL};
    int rc = 0;

    for (char *line; rc == 0 && (line = strsep(&next, "\n"));) {
        size_t n = strlen(line);

        if (n > 0) {
            line[n - 1] = '\0'; /* the CR */
        }
        rc = line == text ? request_line(line, &place, why) : header_line(line, why);
    }
    if (rc != 0) {
        place_done(&place);
        return rc;
    }
    *out = place;
    return 200;
}

int head_parse(const char *p, size_t n, struct proxy_place *out, size_t *len, const char **why)
{
    size_t seen = MIN(n, (size_t)HEAD_MAX);
    const char *end = memmem(p, seen, "\r\n\r\n", 4);
    auto_free char *text = NULL;

    if (!msg_plain(p, end ? (size_t)(end + 4 - p) : seen)) {
        return refuse(400, "there is something else than text in the request's head", why);
    }
    if (!end) {
        return n < HEAD_MAX ? 0 : refuse(431, "the request's head is longer than 8 KiB", why);
    }
    *len = (size_t)(end + 4 - p);
    text = xstrndup(p, *len - 3); /* to the last line's CR */
    return parse_lines(text, out, why);
}

static const char *phrase(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Bad Gateway";
    }
}

void head_refusal(struct buf *out, int status, const char *why)
{
    buf_addf(out, "HTTP/1.1 %d %s\r\n", status, phrase(status));
    if (status == 405) {
        buf_adds(out, "Allow: CONNECT\r\n");
    }
    buf_addf(out,
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s\n",
             strlen(why) + 1, why);
}
