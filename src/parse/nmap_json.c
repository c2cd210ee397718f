/* Attributes of elements as values of ours and as JSON; the names are those of nmap. */
#include <string.h>

#include "parse/nmap.h"

const char *nmap_att(const char **atts, const char *name)
{
    for (; *atts; atts += 2) {
        if (strcmp(*atts, name) == 0) {
            return atts[1];
        }
    }
    return NULL;
}

void nmap_comma(struct buf *b)
{
    if (b->len) {
        char last = b->data[b->len - 1];

        if (last != '{' && last != '[') {
            buf_addc(b, ',');
        }
    }
}

bool nmap_number(const char *s, int64_t *out)
{
    int64_t v = 0;

    if (*s < '0' || *s > '9') {
        return false;
    }
    while (*s == '0') {
        s++;
    }
    for (int digits = 0; *s; s++, digits++) {
        if (*s < '0' || *s > '9' || digits == 18) {
            return false;
        }
        v = v * 10 + (*s - '0');
    }
    *out = v;
    return true;
}

/* Attributes that hold numbers. Versions, ports of a trace and the like are text of digits. */
static bool is_numeric(const char *name)
{
    static const char *const by_letter['z' - 'a' + 1][5] = {
        ['a' - 'a'] = {"accuracy"},
        ['c' - 'a'] = {"count", "conf"},
        ['d' - 'a'] = {"down"},
        ['e' - 'a'] = {"endtime"},
        ['h' - 'a'] = {"highver"},
        ['i' - 'a'] = {"index"},
        ['l' - 'a'] = {"line", "level", "lowver"},
        ['n' - 'a'] = {"numservices"},
        ['p' - 'a'] = {"portid"},
        ['r' - 'a'] = {"reason_ttl", "rttvar", "rpcnum", "responses"},
        ['s' - 'a'] = {"srtt", "start", "seconds", "starttime"},
        ['t' - 'a'] = {"to", "ttl", "time", "total"},
        ['u' - 'a'] = {"up"},
        ['v' - 'a'] = {"value"},
    };
    const char *const *row;

    if (*name < 'a' || *name > 'z') {
        return false;
    }
    for (row = by_letter[*name - 'a']; *row; row++) {
        if (strcmp(*row, name) == 0) {
            return true;
        }
    }
    return false;
}

void nmap_member(struct buf *b, const char *name, const char *value)
{
    int64_t v;

    nmap_comma(b);
    buf_add_json_string(b, name, strlen(name));
    buf_addc(b, ':');
    if (is_numeric(name) && nmap_number(value, &v)) {
        buf_addu(b, (uint64_t)v);
    } else {
        buf_add_json_string(b, value, strlen(value));
    }
}

void nmap_object(struct buf *b, const char **atts, const char *except)
{
    buf_addc(b, '{');
    for (; *atts; atts += 2) {
        if (!except || strcmp(*atts, except) != 0) {
            nmap_member(b, atts[0], atts[1]);
        }
    }
}

const char *nmap_keep(struct nmap *p, const char *s)
{
    return arena_strn(p->host.arena, s, strlen(s));
}

const char *nmap_wrap(struct buf *items, char open, char close)
{
    if (!items->len) {
        return NULL;
    }
    buf_add(items, &close, 1);
    buf_add(items, &close, 1); /* room for the other one */
    memmove(items->data + 1, items->data, items->len - 1);
    items->data[0] = open;
    return items->data;
}

const char *nmap_keep_list(struct nmap *p, struct buf *items)
{
    return nmap_wrap(items, '[', ']') ? arena_strn(p->host.arena, items->data, items->len) : NULL;
}

int32_t nmap_small(const char *s, int32_t max)
{
    int64_t v;

    return nmap_number(s, &v) && v <= max ? (int32_t)v : -1;
}
