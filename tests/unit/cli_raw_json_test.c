/* Parts of a JSON text as they stand in it. */
#include "cli/raw_json.h"

#include "tap.h"

static struct span of(const char *s)
{
    return (struct span){s, strlen(s)};
}

static void check_member(const char *object, const char *name, const char *want)
{
    struct span got = {"", 0};
    bool found = raw_member(of(object), name, &got);
    auto_free char *text = xstrndup(got.p, got.n);

    CHECK(found == (want != NULL));
    CHECK_STR(text, want ? want : "");
}

static void a_member_is_given_byte_for_byte(void)
{
    check_member("{\"a\":1,\"b\":2}", "b", "2");
    check_member(" { \"a\" : [1, {\"b\":3}] , \"b\" : -1.50e3 } ", "b", "-1.50e3");
    check_member("{\"a\":\"},{\\\"b\\\":9\",\"b\":\"\\u0041\\\\\"}", "b", "\"\\u0041\\\\\"");
    check_member("{\"d\":{\"x\": [ ] ,\"d\":2},\"e\":null}", "d", "{\"x\": [ ] ,\"d\":2}");
    check_member("{\"d\":{},\"e\":true}", "d", "{}");
    check_member("{\"d\":{},\"e\":true}", "e", "true");
}

static void what_is_not_there_is_not_found(void)
{
    check_member("{}", "a", NULL);
    check_member("", "a", NULL);
    check_member("[1]", "1", NULL);
    check_member("{\"aa\":1,\"b\":{\"a\":2}}", "a", NULL);
}

static void elements_come_one_after_the_other(void)
{
    static const char *const want[] = {"1", "[2,3]", "{\"a\":\"]\"}", "\"x,y\"", "null"};
    struct span array = of("[1, [2,3] ,{\"a\":\"]\"},\"x,y\",null]");
    struct span one;
    size_t at = 0;

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        auto_free char *text = NULL;

        CHECK(raw_element(array, &at, &one));
        text = xstrndup(one.p, one.n);
        CHECK_STR(text, want[i]);
    }
    CHECK(!raw_element(array, &at, &one));
    at = 0;
    CHECK(!raw_element(of("[]"), &at, &one));
    at = 0;
    CHECK(!raw_element(of("[ ]"), &at, &one));
}

/* Each prefix is put where a byte too many would be seen. */
static void a_text_that_ends_anywhere_is_not_read_beyond(void)
{
    static const char text[] =
        "{\"items\":[{\"a\":\"\\\"\",\"d\":{\"x\":[1,2]}},{\"d\":\"\\\\\"}]}";

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = xmalloc(n ? n : 1);
        struct span array;
        struct span one;
        struct span d;
        size_t at = 0;
        int elements = 0;

        memcpy(copy, text, n);
        if (raw_member((struct span){copy, n}, "items", &array)) {
            CHECK(array.p >= copy && array.p + array.n <= copy + n);
            while (raw_element(array, &at, &one) && ++elements < 10) {
                CHECK(one.p >= copy && one.p + one.n <= copy + n);
                if (raw_member(one, "d", &d)) {
                    CHECK(d.p >= copy && d.p + d.n <= copy + n);
                }
            }
            CHECK(elements < 10);
        }
        free(copy);
    }
}

TESTS(a_member_is_given_byte_for_byte, what_is_not_there_is_not_found,
      elements_come_one_after_the_other, a_text_that_ends_anywhere_is_not_read_beyond)
