/*
 * Keys of IPv4 sightings have 55 bits: they are sorted by radix in five rounds of 11 bits, of which
 * those are left out in which all keys agree. IPv6 is rare and sorted by merging.
 */
#include "parse/sightings.h"

#include <string.h>

#include "base/mem.h"
#include "parse/sightings_store.h"

enum { DIGIT = 11, DIGITS = 5, BUCKETS = 1 << DIGIT };

_Static_assert((SIGHTINGS_MAX & (SIGHTINGS_MAX - 1)) == 0, "it is reached by doubling");

_Static_assert(32 + KEY_SUB <= DIGIT * DIGITS, "the key fits");

struct slot {
    uint64_t key;
    uint32_t at;
};

struct sightings {
    const struct parse_sink *sink;
    struct kept *kept, *joined;
    struct slot *order, *other;
    size_t n, room; /* room in each of the four, at most SIGHTINGS_MAX */
    struct buf texts, joined_texts;
    struct sightings_count count;
    struct sightings_host host;
    unsigned last_reason;
    size_t last_reason_n;
};

struct sightings *sightings_new(const struct parse_sink *sink)
{
    struct sightings *f = xcalloc(1, sizeof *f);

    f->sink = sink;
    buf_addc(&f->texts, '\0'); /* so that texts of no bytes stand somewhere, too */
    buf_reset(&f->texts);
    buf_addc(&f->joined_texts, '\0');
    buf_reset(&f->joined_texts);
    sightings_host_init(&f->host);
    sightings_reason(f, "", 0);
    sightings_reason(f, "other", 5);
    return f;
}

void sightings_free(struct sightings *f)
{
    if (!f) {
        return;
    }
    sightings_host_done(&f->host);
    buf_done(&f->texts);
    buf_done(&f->joined_texts);
    free(f->kept);
    free(f->joined);
    free(f->order);
    free(f->other);
    free(f);
}

const struct sightings_count *sightings_count(const struct sightings *f)
{
    return &f->count;
}

/* --- texts --- */

/* Bytes that stand for themselves at the beginning of s. */
static size_t plain_run(const char *s, size_t n, bool lines)
{
    size_t i = 0;

    while (i < n) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 0x20 && !(lines && (c == '\t' || c == '\n' || c == '\r'))) || c >= 0x7f) {
            break;
        }
        i++;
    }
    return i;
}

/* At most 16 bytes more than max. */
static void add_text(struct buf *b, const char *s, size_t n, size_t max, bool lines)
{
    size_t end = b->len + max;

    while (n && b->len < end) {
        size_t k = plain_run(s, MIN(n, end - b->len), lines);

        if (k) {
            buf_add(b, s, k);
        } else {
            k = utf8_len(s, n);
            if (k > 1 && utf8_code(s, k) >= 0xa0) {
                buf_add(b, s, k);
            } else {
                k = MAX(k, (size_t)1);
                for (size_t i = 0; i < k; i++) {
                    buf_addf(b, "\\x%02x", (unsigned char)s[i]);
                }
            }
        }
        s += k;
        n -= k;
    }
}

void sightings_text(struct buf *b, const char *s, size_t n)
{
    add_text(b, s, n, BANNER_TEXT, true);
}

unsigned sightings_reason(struct sightings *f, const char *s, size_t n)
{
    struct sightings_host *h = &f->host;
    auto_buf text = {0};

    if (f->last_reason_n == n && f->last_reason < h->n_reasons &&
        memcmp(h->reasons[f->last_reason], s, n) == 0) {
        return f->last_reason;
    }
    add_text(&text, s, n, REASON_TEXT - 20, false);
    buf_addc(&text, '\0');
    for (unsigned i = 0; i < h->n_reasons; i++) {
        if (strcmp(h->reasons[i], text.data) == 0) {
            /* Only when the bytes are the text, or the quick way would find another one. */
            if (text.len - 1 == n && memcmp(text.data, s, n) == 0) {
                f->last_reason = i;
                f->last_reason_n = n;
            }
            return i;
        }
    }
    if (h->n_reasons == REASONS_MAX) {
        return 1;
    }
    memcpy(h->reasons[h->n_reasons], text.data, MIN(text.len, (size_t)REASON_TEXT));
    return h->n_reasons++;
}

/* --- sorting and joining --- */

/* Leaves the sorted slots in f->order; those that agree keep their order. */
static void radix_sort(struct sightings *f, size_t n)
{
    uint32_t starts[DIGITS][BUCKETS] = {0};

    for (size_t i = 0; i < n; i++) {
        for (unsigned d = 0; d < DIGITS; d++) {
            starts[d][f->order[i].key >> (d * DIGIT) & (BUCKETS - 1)]++;
        }
    }
    for (unsigned d = 0; d < DIGITS; d++) {
        struct slot *from = f->order;
        struct slot *to = f->other;
        uint32_t *start = starts[d];
        uint32_t sum = 0;

        if (n && start[from[0].key >> (d * DIGIT) & (BUCKETS - 1)] == n) {
            continue;
        }
        for (unsigned b = 0; b < BUCKETS; b++) {
            uint32_t count = start[b];

            start[b] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) {
            to[start[from[i].key >> (d * DIGIT) & (BUCKETS - 1)]++] = from[i];
        }
        f->order = to;
        f->other = from;
    }
}

static bool goes_before(const struct kept *a, const struct kept *b)
{
    int cmp = memcmp(a->addr, b->addr, sizeof a->addr);

    return cmp ? cmp < 0 : a->key < b->key;
}

/*
 * IPv6, by merging; those that agree keep their order. Not qsort(), which asks how much memory the
 * machine has: a parser may not.
 */
static void merge_sort(struct kept *k, struct kept *scratch, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t left = from;
            size_t middle = MIN(from + width, n);
            size_t right = middle;
            size_t end = MIN(from + 2 * width, n);

            for (size_t to = from; to < end; to++) {
                bool take_right =
                    left == middle || (right < end && goes_before(&k[right], &k[left]));

                scratch[to] = k[take_right ? right++ : left++];
            }
        }
        memcpy(k, scratch, n * sizeof *k);
    }
}

static bool same_host(const struct kept *a, const struct kept *b)
{
    return a->v6 == b->v6 && (a->v6 ? memcmp(a->addr, b->addr, sizeof a->addr) == 0
                                    : a->key >> KEY_SUB == b->key >> KEY_SUB);
}

static bool same_text(const char *texts, const struct kept *a, const char *others,
                      const struct kept *b)
{
    return a->name_n == b->name_n && a->banner_n == b->banner_n &&
           memcmp(texts + a->text, others + b->text, (size_t)a->name_n + a->banner_n) == 0;
}

static void join(struct kept *into, const struct kept *k)
{
    into->count = into->count > UINT32_MAX - k->count ? UINT32_MAX : into->count + k->count;
    into->first_s =
        !into->first_s || (k->first_s && k->first_s < into->first_s) ? k->first_s : into->first_s;
    into->last_s = MAX(into->last_s, k->last_s);
    into->answered |= k->answered;
    into->ttl = into->ttl < 0 ? k->ttl : into->ttl;
}

/* The joined sighting that says what *k says; NULL: none. *banners: others of its port. */
static struct kept *find_same(struct sightings *f, size_t n, const struct kept *k, size_t *banners)
{
    for (*banners = 0; n; ++*banners) {
        struct kept *last = &f->joined[--n];

        if (last->key != k->key || !same_host(last, k)) {
            return NULL;
        }
        if (kept_state(k) != FINDING_BANNER ||
            same_text(f->joined_texts.data, last, f->texts.data, k)) {
            return last;
        }
    }
    return NULL;
}

/* Puts one more of the sorted sightings behind the joined ones; returns how many there are. */
static size_t put_joined(struct sightings *f, size_t n, const struct kept *k)
{
    size_t banners;
    struct kept *same = find_same(f, n, k, &banners);

    if (same) {
        join(same, k);
        f->count.duplicates++;
        return n;
    }
    if (banners >= BANNERS_MAX) {
        f->count.banners_left_out++;
        return n;
    }
    f->joined[n] = *k;
    if (kept_state(k) == FINDING_BANNER) {
        f->joined[n].text = (uint32_t)f->joined_texts.len;
        buf_add(&f->joined_texts, f->texts.data + k->text, (size_t)k->name_n + k->banner_n);
    }
    return n + 1;
}

/* Sorts what is there and joins what is the same. */
static void settle(struct sightings *f)
{
    size_t n4 = 0;
    size_t n6 = 0;
    size_t n = 0;
    struct kept *kept = f->kept;
    struct buf texts = f->texts;

    for (size_t i = 0; i < f->n; i++) {
        if (!kept[i].v6) {
            f->order[n4++] = (struct slot){kept[i].key, (uint32_t)i};
        }
    }
    radix_sort(f, n4);
    buf_reset(&f->joined_texts);
    for (size_t i = 0; i < n4; i++) {
        n = put_joined(f, n, &kept[f->order[i].at]);
    }
    if (n4 < f->n) {
        for (size_t i = 0; i < f->n; i++) {
            if (kept[i].v6) {
                kept[n6++] = kept[i];
            }
        }
        merge_sort(kept, f->joined + n, n6); /* where there is room: n is at most n4 */
        for (size_t i = 0; i < n6; i++) {
            n = put_joined(f, n, &kept[i]);
        }
    }
    f->kept = f->joined;
    f->joined = kept;
    f->texts = f->joined_texts;
    f->joined_texts = texts;
    f->n = n;
}

/* --- handing out --- */

static void count_states(struct sightings *f)
{
    uint64_t *const counts[] = {
        [FINDING_UP] = &f->count.up,
        [FINDING_OPEN] = &f->count.open,
        [FINDING_UNFILTERED] = &f->count.unfiltered,
        [FINDING_FILTERED] = &f->count.filtered,
        [FINDING_LISTED] = &f->count.unfiltered,
        [FINDING_CLOSED] = &f->count.closed,
        [FINDING_BANNER] = &f->count.banners,
    };

    for (size_t i = 0; i < f->n; i++) {
        ++*counts[kept_state(&f->kept[i])];
    }
}

static int hand_out(struct sightings *f, struct err *e)
{
    int rc = 0;

    count_states(f);
    for (size_t i = 0, end; i < f->n && rc == 0; i = end) {
        for (end = i + 1; end < f->n && same_host(&f->kept[i], &f->kept[end]); end++) {
        }
        rc = sightings_host_emit(&f->host, f->kept + i, end - i, f->texts.data, f->sink, e);
    }
    f->n = 0;
    buf_reset(&f->texts);
    buf_reset(&f->joined_texts);
    return rc;
}

int sightings_flush(struct sightings *f, struct err *e)
{
    settle(f);
    return hand_out(f, e);
}

/* There is room for one more when this returns 0. */
static int make_room(struct sightings *f, struct err *e)
{
    if (f->room < SIGHTINGS_MAX && f->texts.len <= FINDINGS_TEXT) {
        f->room = f->room ? f->room * 2 : 256;
        f->kept = xrealloc(f->kept, f->room * sizeof *f->kept);
        f->joined = xrealloc(f->joined, f->room * sizeof *f->joined);
        f->order = xrealloc(f->order, f->room * sizeof *f->order);
        f->other = xrealloc(f->other, f->room * sizeof *f->other);
        return 0;
    }
    settle(f);
    if (f->n <= f->room / 2 && f->texts.len <= FINDINGS_TEXT / 2) {
        return 0;
    }
    return hand_out(f, e);
}

static void keep_banner(struct sightings *f, struct kept *k, const struct sighting *x)
{
    k->text = (uint32_t)f->texts.len;
    add_text(&f->texts, x->name, x->name_n, REASON_TEXT - 20, false);
    k->name_n = (uint32_t)(f->texts.len - k->text);
    sightings_text(&f->texts, x->banner, x->banner_n);
    k->banner_n = (uint32_t)(f->texts.len - k->text - k->name_n);
}

int sightings_add(struct sightings *f, const struct sighting *x, struct err *e)
{
    struct kept *k;
    int rc;

    if (f->n == f->room || f->texts.len > FINDINGS_TEXT) {
        rc = make_room(f, e);
        if (rc) {
            return rc;
        }
    }
    k = &f->kept[f->n];
    k->key = key_sub(x->proto, x->port, x->state);
    k->v6 = x->v6;
    if (x->v6) {
        memcpy(k->addr, x->addr, sizeof k->addr);
    } else {
        k->key |= (uint64_t)((uint32_t)x->addr[0] << 24 | (uint32_t)x->addr[1] << 16 |
                             (uint32_t)x->addr[2] << 8 | x->addr[3])
                  << KEY_SUB;
    }
    k->first_s = k->last_s = x->time_s;
    k->count = 1;
    k->text = 0;
    k->name_n = k->banner_n = 0;
    k->ttl = (int16_t)(x->ttl > UINT8_MAX ? -1 : x->ttl);
    k->reason = (uint8_t)x->reason;
    k->answered = x->answered;
    if (x->state == FINDING_BANNER) {
        keep_banner(f, k, x);
    }
    f->n++;
    f->count.records++;
    if (x->time_s) {
        f->count.first_s = f->count.first_s ? MIN(f->count.first_s, x->time_s) : x->time_s;
        f->count.last_s = MAX(f->count.last_s, x->time_s);
    }
    return 0;
}
