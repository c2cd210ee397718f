#include "edge/s3.h"

#include <string.h>

#include "base/mem.h"

/* ---- URLs ---- */

char *s3_url(const struct depot_config *c, const char *name, const char *query)
{
    const char *host = strstr(c->endpoint, "://") + strlen("://");
    int scheme = (int)(host - c->endpoint);
    const char *prefix = c->prefix ? c->prefix : "";
    const char *slash = *prefix ? "/" : "";
    const char *mark = query ? "?" : "";

    query = query ? query : "";
    if (c->path_style) {
        return str_fmt("%s/%s/%s%s%s%s%s", c->endpoint, c->bucket, prefix, slash, name, mark,
                       query);
    }
    return str_fmt("%.*s%s.%s/%s%s%s%s%s", scheme, c->endpoint, c->bucket, host, prefix, slash,
                   name, mark, query);
}

/* As the signature wants it: everything but the unreserved ones, in upper case. */
static void add_encoded(struct buf *b, const char *s)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

    for (; *s; s++) {
        if (strchr(plain, *s)) {
            buf_addc(b, *s);
        } else {
            buf_addf(b, "%%%02X", (unsigned char)*s);
        }
    }
}

char *s3_query_part(unsigned number, const char *upload_id)
{
    auto_buf b = {0};

    if (number) {
        buf_addf(&b, "partNumber=%u&", number);
    }
    buf_adds(&b, "uploadId=");
    add_encoded(&b, upload_id);
    return buf_take(&b);
}

/* ---- parts ---- */

uint64_t s3_part_size(uint64_t size)
{
    uint64_t least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

    return MAX(least, (uint64_t)S3_WHOLE_MAX);
}

unsigned s3_parts(uint64_t size)
{
    uint64_t part = s3_part_size(size);

    return (unsigned)((size + part - 1) / part);
}

void s3_complete_body(struct buf *out, const struct strvec *etags)
{
    buf_adds(out, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < etags->n; i++) {
        buf_addf(out, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        for (const char *p = etags->v[i]; *p; p++) {
            switch (*p) {
            case '"':
                buf_adds(out, "&quot;");
                break;
            case '&':
                buf_adds(out, "&amp;");
                break;
            case '<':
                buf_adds(out, "&lt;");
                break;
            default:
                buf_addc(out, *p);
            }
        }
        buf_adds(out, "</ETag></Part>");
    }
    buf_adds(out, "</CompleteMultipartUpload>");
}

/* ---- answers ---- */

/* One character of text, an entity perhaps; 0: not well formed. */
static char one_character(const char **at)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},
                    {"&quot;", '"'}, {"&apos;", '\''}, {"&#34;", '"'}};

    if (**at != '&') {
        return *(*at)++;
    }
    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (str_starts(*at, entities[i].name)) {
            *at += strlen(entities[i].name);
            return entities[i].c;
        }
    }
    return 0;
}

bool s3_xml_text(const char *xml, const char *tag, char *out, size_t size)
{
    auto_free char *open = str_fmt("<%s>", tag);
    const char *p = strstr(xml, open);
    size_t n = 0;

    p = p ? p + strlen(open) : NULL;
    while (p && *p && *p != '<') {
        char c = one_character(&p);

        if ((unsigned char)c < ' ' || (unsigned char)c > '~' || n + 1 >= size) {
            return false;
        }
        out[n++] = c;
    }
    if (!p || *p != '<' || p[1] != '/' || n == 0) {
        return false;
    }
    out[n] = '\0';
    return true;
}

static bool is_one_of(const char *code, const char *const *list)
{
    while (*list && !str_eq(*list, code)) {
        list++;
    }
    return *list != NULL;
}

enum s3_means s3_answer(long status, const char *body, char code[S3_CODE_SIZE])
{
    static const char *const passing[] = {"SlowDown",
                                          "InternalError",
                                          "RequestTimeout",
                                          "ServiceUnavailable",
                                          "OperationAborted",
                                          "IncompleteBody",
                                          "BadDigest",
                                          "XAmzContentSHA256Mismatch",
                                          "ConditionalRequestConflict",
                                          NULL};
    bool error = body && (strstr(body, "<Error>") || strstr(body, "<Error "));

    if (!body || !s3_xml_text(body, "Code", code, S3_CODE_SIZE)) {
        code[0] = '\0';
    }
    if (status >= 200 && status < 300) { /* the end of parts may say in its body that it failed */
        return error ? S3_AGAIN : S3_OK;
    }
    if (str_eq(code, "NoSuchUpload") || str_eq(code, "InvalidPart") ||
        str_eq(code, "InvalidPartOrder") || str_eq(code, "EntityTooSmall")) {
        return S3_LOST;
    }
    if (status == 0 || status >= 500 || status == 429 || status == 408 ||
        is_one_of(code, passing)) {
        return S3_AGAIN;
    }
    if (status == 404 && (str_eq(code, "NoSuchKey") || !*code)) {
        return S3_ABSENT;
    }
    return S3_REFUSED;
}

uint32_t s3_wait_ms(enum s3_means m, unsigned n, uint32_t random)
{
    uint32_t most = S3_RETRY_MAX_MS;
    unsigned doublings = n > 0 ? n - 1 : 0;

    if (m != S3_REFUSED && doublings < 9) {
        most = MIN((uint32_t)S3_RETRY_MS << doublings, most);
    }
    return most - random % (most / 4 + 1); /* so that they do not all come back at once */
}
