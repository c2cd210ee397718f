#include "proxy/usage.h"

#include <string.h>

#include "base/mem.h"

/* The first four are numbers. */
static const char *const keys[] = {
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "usage",
    "message",
};
enum { OUTPUT = 3, NUMBERS = 4, USAGE = 5, MESSAGE = 6 }; /* of `key`: one more than the place */

static const uint64_t V_MAX = UINT64_C(1000000000000000);

static void end_number(struct usage *u)
{
    if (u->in_number) {
        uint64_t *told = &u->told[u->key - 1];

        *told = MAX(*told, u->v);
        u->in_number = false;
        u->key = 0;
    }
}

static void in_string(struct usage *u, char c)
{
    if (u->escaped) {
        u->escaped = false;
    } else if (c == '\\') {
        u->escaped = true;
        u->n_word = sizeof u->word; /* none of ours */
    } else if (c == '"') {
        u->in_string = false;
    } else if (u->n_word < sizeof u->word) {
        u->word[u->n_word++] = c;
    }
}

static uint8_t key_of(const struct usage *u)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strlen(keys[i]) == u->n_word && memcmp(keys[i], u->word, u->n_word) == 0) {
            return (uint8_t)(i + 1);
        }
    }
    return 0;
}

static void open_object(struct usage *u)
{
    if (u->key == USAGE && u->at == 0 && (u->depth == 1 || (u->depth == 2 && u->in_message))) {
        u->at = u->depth + 1;
    } else if (u->key == MESSAGE && u->depth == 1) {
        u->in_message = true;
    }
}

static void closed(struct usage *u)
{
    if (u->depth == u->at) {
        u->at = 0;
    }
    if (u->depth == 2) {
        u->in_message = false;
    }
    u->depth -= u->depth > 0;
}

static void digit(struct usage *u, char c)
{
    if (u->key == 0 || u->key > NUMBERS || u->at == 0 || u->depth != u->at) {
        return;
    }
    u->v = u->in_number ? MIN(u->v * 10 + (unsigned)(c - '0'), V_MAX) : (unsigned)(c - '0');
    u->in_number = true;
}

static void outside(struct usage *u, char c)
{
    if (c >= '0' && c <= '9') {
        digit(u, c);
        return;
    }
    end_number(u);
    switch (c) {
    case '"':
        u->in_string = true;
        u->n_word = 0;
        u->key = 0;
        break;
    case ':':
        u->key = key_of(u);
        break;
    case '{':
        open_object(u);
        u->depth++;
        u->key = 0;
        break;
    case '[':
        u->depth++;
        u->key = 0;
        break;
    case '}':
    case ']':
        closed(u);
        u->key = 0;
        break;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        break;
    default:
        u->key = 0;
    }
}

void usage_feed(struct usage *u, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n' && u->events) {
            end_number(u);
            u->in_string = u->escaped = u->in_message = false;
            u->depth = u->at = u->key = 0;
        } else if (u->in_string) {
            in_string(u, p[i]);
        } else {
            outside(u, p[i]);
        }
    }
}

uint64_t usage_input(const struct usage *u)
{
    return u->told[0] + u->told[1] + u->told[2];
}

uint64_t usage_output(const struct usage *u)
{
    return u->told[OUTPUT];
}
