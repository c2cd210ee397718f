/*
 * What a client may ask for. A token that the old service accepted is accepted, except where nmap
 * could only misread it: octets above 255, ranges that go down, prefix lengths that do not exist.
 * Everything that reads like an address is counted before anything is stored.
 */
#include "model/request.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/job.h"

enum { OCTETS = 4, PORTS = 65536, IPV6_PREFIX_MIN = 108 };

_Static_assert(TARGET_ADDRESSES_MAX == 1 << (128 - IPV6_PREFIX_MIN), "the shortest prefix");

static const char *const digits = "0123456789";

/* ---- words ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * Appends one word to `word`; *at is moved behind it. Inside double quotes a backslash escapes
 * only a quote or a backslash; elsewhere it takes any character, a newline too.
 */
static int word_read(const char **at, struct buf *word, struct err *e)
{
    const char *p = *at;
    char quote = '\0';

    for (; *p && (quote || !is_space(*p)); p++) {
        if (*p == '\\' && quote != '\'') {
            p++;
            if (!*p) {
                return err_set(e, ERR_INVALID, "No escaped character");
            }
            if (quote && *p != '"' && *p != '\\') {
                buf_addc(word, '\\');
            }
            buf_addc(word, *p);
        } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? '\0' : *p;
        } else {
            buf_addc(word, *p);
        }
    }
    if (quote) {
        return err_set(e, ERR_INVALID, "No closing quotation");
    }
    *at = p;
    return 0;
}

int shell_split(const char *s, struct strvec *out, struct err *e)
{
    auto_buf word = {0};

    for (;;) {
        int rc;

        while (is_space(*s)) {
            s++;
        }
        if (!*s) {
            return 0;
        }
        buf_reset(&word);
        rc = word_read(&s, &word, e);
        if (rc < 0) {
            return rc;
        }
        strvec_pushn(out, word.len ? word.data : "", word.len);
    }
}

/* ---- targets ---- */

struct octet {
    unsigned low, high; /* 0..255 */
};

/* One decimal number of at most 255; *at is moved behind it. False: none there. */
static bool octet_number(const char **at, const char *end, unsigned *out)
{
    const char *s = *at;
    unsigned v = 0;

    for (; s < end && *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (unsigned)(*s - '0');
        if (v > 255) {
            return false;
        }
    }
    if (s == *at) {
        return false;
    }
    *at = s;
    *out = v;
    return true;
}

/* "7", "1-5", "1-", "-5", "-", "*"; n bytes at s. */
static bool octet_read(const char *s, size_t n, struct octet *o)
{
    const char *end = s + n;
    bool first;

    *o = (struct octet){.high = 255};
    if (n == 1 && *s == '*') {
        return true;
    }
    first = octet_number(&s, end, &o->low);
    if (s == end) {
        o->high = o->low;
        return first;
    }
    if (*s++ != '-') {
        return false;
    }
    return s == end || (octet_number(&s, end, &o->high) && s == end && o->low <= o->high);
}

/* How many values the octet has when its `free_bits` lowest bits may be anything. */
static unsigned octet_count(const struct octet *o, unsigned free_bits)
{
    return ((o->high >> free_bits) - (o->low >> free_bits) + 1) << free_bits;
}

/* Four octets, ranges allowed: how many addresses under this prefix length. 0: malformed. */
static uint64_t ipv4_count(const char *s, size_t n, unsigned prefix)
{
    uint64_t count = 1;

    for (unsigned i = 0; i < OCTETS; i++) {
        const char *dot = i + 1 < OCTETS ? memchr(s, '.', n) : s + n;
        size_t len = dot ? (size_t)(dot - s) : 0;
        unsigned kept = prefix > 8 * i ? MIN(prefix - 8 * i, 8u) : 0;
        struct octet o;

        if (!dot || !octet_read(s, len, &o)) {
            return 0;
        }
        count *= octet_count(&o, 8 - kept);
        s += len + 1;
        n -= MIN(len + 1, n);
    }
    return count;
}

/* True for what nmap reads as four octets, well-formed or not. */
static bool looks_like_ipv4(const char *s, size_t n)
{
    unsigned dots = 0;

    for (size_t i = 0; i < n; i++) {
        if (!strchr("0123456789.-*", s[i])) {
            return false;
        }
        dots += s[i] == '.';
    }
    return dots == OCTETS - 1;
}

static int target_invalid(const char *token, const char *why, struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid target: '%s'%s%s", token, *why ? ": " : "", why);
}

/* The decimal number after '/', or `max` if there is none. */
static bool prefix_read(const char *slash, unsigned max, unsigned *out)
{
    uint64_t v = max;

    if (slash && (strlen(slash + 1) > 3 || !str_to_u64(slash + 1, 0, max, &v))) {
        return false;
    }
    *out = (unsigned)v;
    return true;
}

static int ipv6_check(const char *token, uint64_t *count, struct err *e)
{
    const char *slash = strchr(token, '/');
    auto_free char *text = xstrndup(token, slash ? (size_t)(slash - token) : strlen(token));
    char *scope = strchr(text, '%');
    struct in6_addr addr;
    unsigned prefix;

    if (scope) {
        *scope = '\0';
    }
    if (inet_pton(AF_INET6, text, &addr) != 1 || !prefix_read(slash, 128, &prefix)) {
        return target_invalid(token, "", e);
    }
    if (scope) {
        return target_invalid(token, "scope ids are not accepted", e);
    }
    if (IN6_IS_ADDR_V4MAPPED(&addr)) {
        return target_invalid(token, "an IPv4-mapped address; write it as an IPv4 address", e);
    }
    if (prefix < IPV6_PREFIX_MIN) {
        return err_set(e, ERR_INVALID,
                       "too many addresses: '%s' is larger than /%d (%d addresses); name single "
                       "addresses or longer prefixes",
                       token, IPV6_PREFIX_MIN, TARGET_ADDRESSES_MAX);
    }
    *count = UINT64_C(1) << (128 - prefix);
    return 0;
}

enum family { FAMILY_NAME, FAMILY_IPV4, FAMILY_IPV6 };

static int target_check(const char *token, enum family *family, uint64_t *count, struct err *e)
{
    const char *slash = strchr(token, '/');
    size_t n = slash ? (size_t)(slash - token) : strlen(token);
    unsigned prefix;

    if (strchr(token, ':') && token[0] != '-') {
        *family = FAMILY_IPV6;
        return ipv6_check(token, count, e);
    }
    for (const char *p = token; *p; p++) {
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') &&
            !strchr("0123456789.-/*", *p)) {
            return target_invalid(token, "", e);
        }
    }
    if (n == 0 || token[0] == '-' || !prefix_read(slash, 32, &prefix)) {
        return target_invalid(token, "", e);
    }
    *family = FAMILY_NAME;
    *count = UINT64_C(1) << (32 - prefix); /* of a name: the network that its address is in */
    if (looks_like_ipv4(token, n)) {
        *family = FAMILY_IPV4;
        *count = ipv4_count(token, n, prefix);
    }
    return *count ? 0 : target_invalid(token, "", e);
}

int targets_parse(const char *s, struct strvec *tokens, uint64_t *addresses, struct err *e)
{
    bool seen[FAMILY_IPV6 + 1] = {false};
    size_t first = tokens->n;
    uint64_t sum = 0;
    int rc;

    if (strlen(s) > JOB_TARGETS_MAX) {
        return err_set(e, ERR_INVALID, "targets are longer than %d bytes", JOB_TARGETS_MAX);
    }
    rc = shell_split(s, tokens, e);
    if (rc < 0) {
        return rc;
    }
    if (tokens->n == first) {
        return err_set(e, ERR_INVALID, "targets must not be empty");
    }
    for (size_t i = first; i < tokens->n; i++) {
        enum family family = FAMILY_NAME;
        uint64_t count = 0;

        rc = target_check(tokens->v[i], &family, &count, e);
        if (rc < 0) {
            return rc;
        }
        seen[family] = true;
        sum += count; /* at most 2^15 tokens of 2^32 */
    }
    if (sum > TARGET_ADDRESSES_MAX) {
        return err_set(e, ERR_INVALID, "too many addresses: %" PRIu64 ", at most %d in one scan",
                       sum, TARGET_ADDRESSES_MAX);
    }
    if (seen[FAMILY_IPV4] && seen[FAMILY_IPV6]) {
        return err_set(e, ERR_INVALID,
                       "IPv4 and IPv6 targets cannot be in one scan: submit one for each");
    }
    if (addresses) {
        *addresses = sum;
    }
    return 0;
}

bool targets_have_ipv6(const struct strvec *tokens)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (strchr(tokens->v[i], ':')) {
            return true;
        }
    }
    return false;
}

/* ---- ports ---- */

struct port_range {
    char protocol; /* T, U, S; 0: not said here */
    unsigned low, high;
};

/* Decimal, at most 65535, leading zeros allowed; *at is moved behind it. */
static bool port_read(const char **at, unsigned *out)
{
    size_t n = strspn(*at, digits);
    unsigned v = 0;

    for (size_t i = 0; i < n; i++) {
        v = v * 10 + (unsigned)((*at)[i] - '0');
        if (v >= PORTS) {
            return false;
        }
    }
    *at += n;
    *out = v;
    return n > 0;
}

/* One range and the comma behind it. False when malformed; **at is 0 at the end. */
static bool range_read(const char **at, struct port_range *r)
{
    const char *p = *at;

    *r = (struct port_range){0};
    if (*p && strchr("TUS", *p) && p[1] == ':') {
        r->protocol = *p;
        p += 2;
    }
    if (!port_read(&p, &r->low)) {
        return false;
    }
    r->high = r->low;
    if (*p == '-') {
        p++;
        if (!port_read(&p, &r->high)) {
            return false;
        }
    }
    if (*p == ',' && p[1]) {
        p++;
    } else if (*p) {
        return false;
    }
    *at = p;
    return r->low <= r->high;
}

int ports_parse(const char *s, struct err *e)
{
    const char *p = s;

    do {
        struct port_range r;

        if (!range_read(&p, &r)) {
            return err_set(e, ERR_INVALID, "invalid ports specification: '%s'", s);
        }
    } while (*p);
    return 0;
}

uint32_t ports_count(const char *s)
{
    uint8_t seen[3][PORTS / 8] = {{0}};
    unsigned protocol = 0; /* until one is named: as for TCP; a named one holds for what follows */
    uint32_t n = 0;
    struct port_range r;

    while (*s && range_read(&s, &r)) {
        if (r.protocol) {
            protocol = r.protocol == 'T' ? 0 : r.protocol == 'U' ? 1 : 2;
        }
        for (unsigned v = r.low; v <= r.high; v++) {
            uint8_t bit = (uint8_t)(1u << v % 8);

            n += !(seen[protocol][v / 8] & bit);
            seen[protocol][v / 8] |= bit;
        }
    }
    return n;
}
