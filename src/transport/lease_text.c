/* Leases and names of workers as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/message.h"

void lease_text(const struct lease *l, char out[LEASE_TEXT + 1])
{
    char id[ID_TEXT + 1];

    id_text(&l->job_id, id);
    snprintf(out, LEASE_TEXT + 1, "%s/%" PRId32 "/%" PRIu32 "/%016" PRIx64, id, l->idx, l->epoch,
             l->token);
}

/* Digits only, no sign, no space. */
static bool number(const char **s, int base, uint64_t max, uint64_t *out)
{
    char *end;
    bool digit = base == 16 ? strspn(*s, "0123456789abcdef") == 16 : **s >= '0' && **s <= '9';

    if (!digit) {
        return false;
    }
    *out = strtoull(*s, &end, base);
    *s = end;
    return *out <= max;
}

bool lease_parse(const char *s, struct lease *out)
{
    char id[ID_TEXT + 1];
    uint64_t idx, epoch, token;

    if (strnlen(s, ID_TEXT + 1) <= ID_TEXT || s[ID_TEXT] != '/') {
        return false;
    }
    memcpy(id, s, ID_TEXT);
    id[ID_TEXT] = 0;
    s += ID_TEXT + 1;
    if (!id_parse(id, &out->job_id) || !number(&s, 10, TASKS_MAX - 1, &idx) || *s++ != '/' ||
        !number(&s, 10, UINT32_MAX, &epoch) || *s++ != '/' || !number(&s, 16, UINT64_MAX, &token) ||
        *s) {
        return false;
    }
    out->idx = (int32_t)idx;
    out->epoch = (uint32_t)epoch;
    out->token = token;
    return true;
}

bool worker_name_ok(const char *s)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = strlen(s);

    return n > 0 && n < WORKER_NAME_MAX && strchr(letters, s[0]) &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}
