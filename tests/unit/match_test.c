/* From scan to scan: which finding is which. */
#include <time.h>

#include "assess/identity.h"
#include "tap.h"

struct side {
    struct known v[32];
    struct finding_identity prints[32];
    size_t n;
};

/* Prints are given by letters: "" is none. */
static struct known *add(struct side *s, const char *primary, const char *moved, const char *around,
                         const char *path, int32_t at, const char *line)
{
    struct known *k = &s->v[s->n];
    struct finding_identity *p = &s->prints[s->n++];

    *p = (struct finding_identity){0};
    snprintf(p->primary, sizeof p->primary, "%s", primary);
    snprintf(p->moved, sizeof p->moved, "%s", moved);
    snprintf(p->around, sizeof p->around, "%s", around);
    *k = (struct known){.rule = "other", .path = path, .line = line, .identity = p, .at = at};
    return k;
}

static bool a_to_b(void *arg, const char *from, const char *to)
{
    if (arg) {
        ++*(int *)arg;
    }
    return str_eq(from, "a") && str_eq(to, "b");
}

static void match(struct side *before, struct side *now)
{
    match_known(before->v, before->n, now->v, now->n, NULL, NULL);
}

static void what_is_the_same_is_matched_whatever_the_order(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m", "x", "a", 5, "x");
    add(&before, "p2", "m", "y", "a", 9, "x");
    add(&before, "p3", "n", "z", "a", 2, "other words entirely");
    add(&now, "p9", "q", "w", "a", 70, "nothing alike");
    add(&now, "p2", "m", "q", "a", 40, "x");
    add(&now, "p1", "m", "r", "a", 30, "x");
    match(&before, &now);
    CHECK_INT(before.v[0].twin, 2);
    CHECK_INT(before.v[1].twin, 1);
    CHECK_INT(before.v[2].twin, -1);
    CHECK_INT(now.v[0].twin, -1);
    CHECK_INT(now.v[1].twin, 1);
    CHECK_INT(now.v[2].twin, 0);
    CHECK(!before.v[0].rewritten && !now.v[1].rewritten);
}

static void nothing_matches_nothing(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    match(&before, &now);
    add(&now, "p", "m", "x", "a", 5, "x");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, -1);
    match(&now, &before);
    CHECK_INT(now.v[0].twin, -1);
}

static void a_finding_without_identity_is_matched_by_nothing_it_lacks(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "", "", "", "a", 5, NULL);
    add(&now, "", "", "", "a", 5, NULL);
    match(&before, &now);
    CHECK_INT(now.v[0].twin, -1);
}

static void one_that_is_unique_may_move_to_another_file(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m", "x", "a", 5, "x");
    add(&now, "p2", "m", "y", "b", 50, "x");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, 0);
    CHECK(now.v[0].rewritten && before.v[0].rewritten);
}

static void of_several_only_renames_tell_which_moved(void)
{
    struct side before = {.n = 0}, now = {.n = 0};
    int asked = 0;

    add(&before, "p0", "m", "x", "c", 5, "x");
    add(&before, "p1", "m", "x", "a", 5, "x");
    add(&before, "p2", "m", "x", "a", 9, "x");
    add(&now, "p3", "m", "y", "b", 60, "x");
    add(&now, "p4", "m", "y", "b", 50, "x");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, -1);
    CHECK_INT(now.v[1].twin, -1);
    match_known(before.v, before.n, now.v, now.n, a_to_b, &asked);
    CHECK_INT(now.v[1].twin, 1);
    CHECK_INT(now.v[0].twin, 2);
    CHECK_INT(before.v[0].twin, -1);
    CHECK(asked > 0 && asked <= 32);
}

static void a_copy_does_not_take_the_originals_place(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m", "x", "a", 5, "x");
    add(&now, "p2", "m", "y", "b", 5, "x");
    add(&now, "p1", "m", "x", "a", 5, "x");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, -1);
    CHECK_INT(now.v[1].twin, 0);
}

static void a_rewritten_line_is_known_by_its_neighbours_or_its_words(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m1", "around", "a", 5, "strcpy(a, b)");
    add(&before, "p2", "m2", "u", "a", 50, "memcpy(dst, src, len)");
    add(&before, "p3", "m3", "v", "a", 90, "sprintf(out, fmt, x)");
    add(&now, "q1", "n1", "around", "a", 6, "gets(completely, different)");
    add(&now, "q2", "n2", "w", "a", 70, "memcpy(dst, src, len + 1)");
    add(&now, "q3", "n3", "y", "a", 91, "one two three four x");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, 0);
    CHECK_INT(now.v[1].twin, 1);
    CHECK_INT(now.v[2].twin, -1);
    CHECK(now.v[0].rewritten && now.v[1].rewritten);
}

static void words_do_not_match_across_files_or_classes(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m1", "x", "a", 5, "memcpy(dst, src, len)");
    add(&before, "p2", "m2", "y", "b", 5, "memcpy(dst, src, len)");
    add(&now, "q1", "n1", "z", "c", 5, "memcpy(dst, src, len)");
    add(&now, "q2", "n2", "w", "b", 5, "memcpy(dst, src, len)")->rule = "xxe";
    match(&before, &now);
    CHECK_INT(now.v[0].twin, -1);
    CHECK_INT(now.v[1].twin, -1);
}

static void the_most_alike_are_matched_first(void)
{
    struct side before = {.n = 0}, now = {.n = 0};

    add(&before, "p1", "m1", "x", "a", 5, "f(a, b, c, d)");
    add(&before, "p2", "m2", "y", "a", 6, "f(a, b, c, e)");
    add(&now, "q1", "n1", "z", "a", 5, "f(a, b, c, e, g)");
    add(&now, "q2", "n2", "w", "a", 6, "f(a, b, c, d, h)");
    match(&before, &now);
    CHECK_INT(now.v[0].twin, 1);
    CHECK_INT(now.v[1].twin, 0);
}

static uint32_t dice(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static void matches_are_one_to_one_and_do_not_depend_on_order(void)
{
    static const char *const texts[] = {"a b c", "a b d", "x y", "a b c d", ""};
    static const char *const paths[] = {"a", "b", "c"};

    for (uint32_t round = 1; round < 500; round++) {
        uint32_t seed = round;
        struct side sides[2] = {{.n = 0}, {.n = 0}}, turned = {.n = 0};
        size_t pairs = 0, again = 0;

        for (int s = 0; s < 2; s++) {
            for (uint32_t i = 0; i < 20; i++) {
                char p[8], m[8], a[8];

                snprintf(p, sizeof p, "%u", dice(&seed) % 30);
                snprintf(m, sizeof m, "%u", dice(&seed) % 20);
                snprintf(a, sizeof a, "%u", dice(&seed) % 20);
                add(&sides[s], p, m, a, paths[dice(&seed) % 3],
                    (int32_t)(dice(&seed) % 50 * 20 + i), texts[dice(&seed) % 5]);
            }
        }
        match_known(sides[0].v, 20, sides[1].v, 20, a_to_b, NULL);
        for (int32_t i = 0; i < 20; i++) {
            int32_t twin = sides[1].v[i].twin;

            CHECK(twin < 0 || sides[0].v[twin].twin == i);
            pairs += twin >= 0;
        }
        for (size_t i = 20; i-- > 0;) {
            turned.v[turned.n++] = sides[1].v[i];
        }
        match_known(sides[0].v, 20, turned.v, 20, a_to_b, NULL);
        for (size_t i = 0; i < 20; i++) {
            again += turned.v[i].twin >= 0;
        }
        CHECK_INT(again, pairs);
    }
}

static bool never(void *arg, const char *from, const char *to)
{
    ++*(size_t *)arg;
    return false;
}

static void a_hundred_thousand_equal_ones_take_no_square_of_time(void)
{
    enum { N = 100000 };
    auto_free struct known *before = xcalloc(N, sizeof *before), *now = xcalloc(N, sizeof *now);
    struct finding_identity same[2] = {{.primary = "a", .moved = "m", .around = "x"},
                                       {.primary = "b", .moved = "m", .around = "y"}};
    clock_t begin = clock();
    size_t asked = 0;

    for (int32_t i = 0; i < N; i++) {
        before[i] = (struct known){"other", "p", "a b c", &same[0], i, NULL, 0, false};
        now[i] = (struct known){"other", "p", "a b c", &same[1], i, NULL, 0, false};
    }
    match_known(before, N, now, N, never, &asked);
    CHECK(asked <= 16 * (size_t)N);
    CHECK(now[0].twin >= 0 && now[N - 1].twin >= 0);
    /* A square would be hours. */
    CHECK((clock() - begin) / CLOCKS_PER_SEC < 60);
}

TESTS(what_is_the_same_is_matched_whatever_the_order, nothing_matches_nothing,
      a_finding_without_identity_is_matched_by_nothing_it_lacks,
      one_that_is_unique_may_move_to_another_file, of_several_only_renames_tell_which_moved,
      a_copy_does_not_take_the_originals_place,
      a_rewritten_line_is_known_by_its_neighbours_or_its_words,
      words_do_not_match_across_files_or_classes, the_most_alike_are_matched_first,
      matches_are_one_to_one_and_do_not_depend_on_order,
      a_hundred_thousand_equal_ones_take_no_square_of_time)
