/*
 * What a client may ask for: its words, its targets as a set, its ports as one canonical list.
 */
#include "model/request.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/job.h"

enum { PORTS = 65536 };

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

void shell_quote(struct buf *out, const char *token)
{
    if (out->len) {
        buf_addc(out, ' ');
    }
    if (*token && !strpbrk(token, " \t\r\n\v\f'\"\\")) {
        buf_adds(out, token);
        return;
    }
    buf_addc(out, '\'');
    for (const char *c = token; *c; c++) {
        if (*c == '\'') {
            buf_adds(out, "'\\''");
        } else {
            buf_addc(out, *c);
        }
    }
    buf_addc(out, '\'');
}

/* ---- targets ---- */

static int too_many(uint64_t count, uint64_t most, struct err *e)
{
    if (count == UINT64_MAX) {
        return err_set(e, ERR_INVALID,
                       "too many addresses: 2^64 or more, at most %" PRIu64 " in one scan", most);
    }
    return err_set(e, ERR_INVALID,
                   "too many addresses: %" PRIu64 ", at most %" PRIu64 " in one scan", count, most);
}

/* The words of the old service for what it did not know. */
static int no_exclusions(const struct strvec *tokens, struct err *e)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (tokens->v[i][0] == '!') {
            return err_set(e, ERR_INVALID, "invalid target: '%.80s': %s", tokens->v[i],
                           "host names have letters, digits, '-' and '.' only");
        }
    }
    return 0;
}

static int parse_targets(const char *s, bool old, uint64_t most, struct target_set *out,
                         struct err *e)
{
    int text_max = old ? JOB_TARGETS_MAX : TARGETS_TEXT_MAX;
    auto_strvec tokens = {0};
    uint64_t count;
    int rc;

    if (strlen(s) > (size_t)text_max) {
        return err_set(e, ERR_INVALID, "targets are longer than %d bytes", text_max);
    }
    rc = shell_split(s, &tokens, e);
    if (rc < 0) {
        return rc;
    }
    if (tokens.n == 0) {
        return err_set(e, ERR_INVALID, "targets must not be empty");
    }
    rc = old ? no_exclusions(&tokens, e) : 0;
    if (rc == 0) {
        rc = target_set_parse(&tokens, out, e);
    }
    if (rc < 0) {
        return rc;
    }
    count = target_set_count(out);
    if (count > most) {
        return too_many(count, most, e);
    }
    return 0;
}

static int one_family(const struct target_set *t, struct err *e)
{
    if (target_set_has_v4(t) && target_set_has_v6(t)) {
        return err_set(e, ERR_INVALID,
                       "IPv4 and IPv6 targets cannot be in one scan without a profile: submit one "
                       "for each");
    }
    return 0;
}

int targets_parse_planned(const char *s, struct target_set *out, struct err *e)
{
    return parse_targets(s, false, TARGET_SWEEP_MAX, out, e);
}

int targets_parse(const char *s, struct target_set *out, struct err *e)
{
    int rc = parse_targets(s, false, TARGET_ADDRESSES_MAX, out, e);

    return rc == 0 ? one_family(out, e) : rc;
}

int targets_parse_old(const char *s, struct target_set *out, struct err *e)
{
    int rc = parse_targets(s, true, TARGET_ADDRESSES_MAX, out, e);

    return rc == 0 ? one_family(out, e) : rc;
}

int targets_parse_sweep(const char *s, struct target_set *out, struct err *e)
{
    int rc = parse_targets(s, false, TARGET_SWEEP_MAX, out, e);

    return rc == 0 ? one_family(out, e) : rc;
}

/* ---- ports ---- */

struct port_range {
    char letter; /* T, U, S; 0: not said here */
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
        r->letter = *p;
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

/* Which ports: one map for "every protocol", one for each letter. */
enum { MAP_ANY = PORTS_PROTOCOLS, MAPS, WORDS = PORTS / 64 };

/* Lists are short: only words that are named in `used` have a value, the others are not looked at.
 */
struct port_maps {
    uint64_t used[WORDS / 64];
    uint64_t bits[MAPS][WORDS];
};

static const char map_letters[PORTS_PROTOCOLS] = {'T', 'U', 'S'};

/* The first word in use at or after w; WORDS: none. */
static unsigned next_word(const struct port_maps *m, unsigned w)
{
    while (w < WORDS) {
        uint64_t rest = m->used[w / 64] >> w % 64;

        if (rest) {
            return w + (unsigned)__builtin_ctzll(rest);
        }
        w = (w / 64 + 1) * 64;
    }
    return WORDS;
}

static uint64_t word_of(const struct port_maps *m, unsigned map, unsigned w)
{
    return m->used[w / 64] >> w % 64 & 1 ? m->bits[map][w] : 0;
}

static void map_add(struct port_maps *m, unsigned map, unsigned low, unsigned high)
{
    for (unsigned w = low / 64; w <= high / 64; w++) {
        unsigned from = w == low / 64 ? low % 64 : 0;
        unsigned to = w == high / 64 ? high % 64 : 63;

        if (!(m->used[w / 64] >> w % 64 & 1)) {
            m->used[w / 64] |= UINT64_C(1) << w % 64;
            for (unsigned k = 0; k < MAPS; k++) {
                m->bits[k][w] = 0;
            }
        }
        m->bits[map][w] |= (UINT64_MAX << from) & (UINT64_MAX >> (63 - to));
    }
}

static struct port_maps *maps_of(const char *s)
{
    struct port_maps *m = xmalloc(sizeof *m);
    unsigned map = MAP_ANY; /* until a letter comes, which holds for what follows */
    struct port_range r;

    memset(m->used, 0, sizeof m->used);
    while (*s && range_read(&s, &r)) {
        for (unsigned k = 0; k < PORTS_PROTOCOLS; k++) {
            map = r.letter == map_letters[k] ? k : map;
        }
        map_add(m, map, r.low, r.high);
    }
    /* What every letter has is for every protocol, and no letter repeats what is. */
    for (unsigned w = next_word(m, 0); w < WORDS; w = next_word(m, w + 1)) {
        uint64_t any = m->bits[MAP_ANY][w] |
                       (m->bits[PORTS_TCP][w] & m->bits[PORTS_UDP][w] & m->bits[PORTS_SCTP][w]);

        m->bits[MAP_ANY][w] = any;
        for (unsigned k = 0; k < PORTS_PROTOCOLS; k++) {
            m->bits[k][w] &= ~any;
        }
    }
    return m;
}

/* The first port of the map at or after `port`; PORTS: none. */
static unsigned next_port(const struct port_maps *m, unsigned map, unsigned port)
{
    for (unsigned w = next_word(m, port / 64); w < WORDS; w = next_word(m, w + 1)) {
        uint64_t rest = m->bits[map][w];

        rest &= w == port / 64 ? UINT64_MAX << port % 64 : UINT64_MAX;
        if (rest) {
            return w * 64 + (unsigned)__builtin_ctzll(rest);
        }
    }
    return PORTS;
}

/* The first one at or after `port` that is not in the map. */
static unsigned next_gap(const struct port_maps *m, unsigned map, unsigned port)
{
    while (port < PORTS) {
        uint64_t gaps = ~word_of(m, map, port / 64) >> port % 64;

        if (gaps) {
            return port + (unsigned)__builtin_ctzll(gaps);
        }
        port = (port / 64 + 1) * 64;
    }
    return PORTS;
}

static void map_put(const struct port_maps *m, unsigned map, char letter, struct buf *out)
{
    unsigned low = next_port(m, map, 0), end;

    for (bool first = true; low < PORTS; first = false, low = next_port(m, map, end)) {
        end = next_gap(m, map, low);
        buf_adds(out, out->len ? "," : "");
        if (letter && first) {
            buf_addf(out, "%c:", letter);
        }
        buf_addu(out, low);
        if (end > low + 1) {
            buf_addf(out, "-%u", end - 1);
        }
    }
}

char *ports_canonical(const char *s)
{
    auto_free struct port_maps *m = maps_of(s);
    auto_buf out = {0};

    map_put(m, MAP_ANY, '\0', &out);
    for (unsigned k = 0; k < PORTS_PROTOCOLS; k++) {
        map_put(m, k, map_letters[k], &out);
    }
    return buf_take(&out);
}

void ports_count(const char *s, uint32_t n[PORTS_PROTOCOLS])
{
    auto_free struct port_maps *m = maps_of(s);

    for (unsigned k = 0; k < PORTS_PROTOCOLS; k++) {
        n[k] = 0;
        for (unsigned w = next_word(m, 0); w < WORDS; w = next_word(m, w + 1)) {
            n[k] += (uint32_t)__builtin_popcountll(m->bits[k][w] | m->bits[MAP_ANY][w]);
        }
    }
}
