/*
 * compare - findings of a scan beside what was known before: loaded, matched, told apart. The
 * arrays live in one arena and are freed together.
 */
#pragma once

#include "assess/identity.h"
#include "store/internal.h"

struct found {
    int64_t seq;
    struct finding_head head;
    struct verdict verdict; /* of an earlier scan; zeros: none */
    struct finding_identity identity;
};

struct known_issue {
    struct issue is;
    struct finding_identity identity;
};

/* In the order of their numbers. */
struct known_set {
    struct arena *arena; /* borrowed */
    void *v;             /* owned: struct found or struct known_issue */
    struct known *known; /* owned; .of points into v */
    size_t n, size;
};
void known_set_done(struct known_set *set);
int found_load(struct store *s, int64_t result, struct known_set *out);
int issues_load(struct store *s, const struct line *l, struct known_set *out);
/* Matches with the older set, anew. */
void known_match(struct known_set *before, struct known_set *now, struct seen *seen);

static inline const struct found *found_at(const struct known_set *set, size_t i)
{
    return set->known[i].of;
}

static inline struct known_issue *issue_at(const struct known_set *set, size_t i)
{
    return set->known[i].of;
}

/* Notes of other lines of the same repository, which new issues take over. */
struct heirloom {
    uint8_t print[PRINT_LEN]; /* primary */
    struct triage_note note;  /* strings in the arena */
    int64_t expires_us;
    size_t nth;
};
struct inherited {
    struct heirloom *v; /* owned; by print, the latest decision first */
    size_t n, size;
};
void inherited_done(struct inherited *in);
int inherited_load(struct store *s, const struct line *l, int64_t now_us, struct arena *a,
                   struct inherited *out);
const struct heirloom *inherited_find(const struct inherited *in, const uint8_t prints[PRINTS_LEN]);
