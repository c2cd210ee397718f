#include "repo/text.h"

#include <string.h>

#include "base/mem.h"

struct magic {
    const char *bytes;
    uint16_t n, at;
    const char *what;
};

#define MAGIC(text, offset, name)            \
    {                                        \
        text, sizeof(text) - 1, offset, name \
    }

/* Archives are told by name: what is in them was not looked at. */
static const struct magic magics[] = {
    MAGIC("PK\3\4", 0, "zip archive, not unpacked"),
    MAGIC("PK\5\6", 0, "zip archive, not unpacked"),
    MAGIC("\x1f\x8b", 0, "gzip archive, not unpacked"),
    MAGIC("BZh", 0, "bzip2 archive, not unpacked"),
    MAGIC("\xfd"
          "7zXZ",
          0, "xz archive, not unpacked"),
    MAGIC("\x28\xb5\x2f\xfd", 0, "zstd archive, not unpacked"),
    MAGIC("7z\xbc\xaf\x27\x1c", 0, "7z archive, not unpacked"),
    MAGIC("Rar!\x1a\7", 0, "rar archive, not unpacked"),
    MAGIC("ustar", 257, "tar archive, not unpacked"),
    MAGIC("!<arch>\n", 0, "ar archive, not unpacked"),
    MAGIC("\x7f"
          "ELF",
          0, "ELF program"),
    MAGIC("\x89PNG\r\n\x1a\n", 0, "image"),
    MAGIC("\xff\xd8\xff", 0, "image"),
    MAGIC("GIF8", 0, "image"),
    MAGIC("%PDF-", 0, "PDF document"),
    MAGIC("\xca\xfe\xba\xbe", 0, "Java class or Mach-O program"),
    MAGIC("SQLite format 3", 0, "SQLite database"),
};

static bool is_utf16(const char *p, size_t n)
{
    return n >= 2 && ((p[0] == '\xff' && p[1] == '\xfe') || (p[0] == '\xfe' && p[1] == '\xff')) &&
           !(n >= 4 && p[0] == '\xff' && p[2] == '\0' && p[3] == '\0'); /* UTF-32 */
}

/* A word at the start does not make text a file of that kind: "BZh" may be a name. */
static bool is_plain(const char *head, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head[i];

        if (c >= 0x80 || (c < 0x20 && !strchr("\t\n\v\f\r\b\x1b", c)) || c == '\0') {
            return false;
        }
    }
    return true;
}

const char *text_not(const char *head, size_t n)
{
    if (is_utf16(head, n) || is_plain(head, n)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        const struct magic *m = &magics[i];

        if (n >= (size_t)m->at + m->n && memcmp(head + m->at, m->bytes, m->n) == 0) {
            return m->what;
        }
    }
    return memchr(head, '\0', n) ? "binary (NUL byte)" : NULL;
}

static void add_code(struct buf *out, uint32_t c)
{
    char b[4];
    size_t n;

    if (c < 0x80) {
        b[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (char)(0xc0 | c >> 6);
        b[1] = (char)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xe0 | c >> 12);
        b[1] = (char)(0x80 | (c >> 6 & 0x3f));
        b[2] = (char)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        b[0] = (char)(0xf0 | c >> 18);
        b[1] = (char)(0x80 | (c >> 12 & 0x3f));
        b[2] = (char)(0x80 | (c >> 6 & 0x3f));
        b[3] = (char)(0x80 | (c & 0x3f));
        n = 4;
    }
    buf_add(out, b, n);
}

enum { REPLACEMENT = 0xfffd };

static uint32_t unit_at(const char *p, bool big)
{
    uint8_t a = (uint8_t)p[0], b = (uint8_t)p[1];

    return big ? (uint32_t)a << 8 | b : (uint32_t)b << 8 | a;
}

static void from_utf16(const char *text, size_t n, struct buf *out)
{
    bool big = text[0] == '\xfe';
    size_t i = 2;

    for (; i + 1 < n; i += 2) {
        uint32_t c = unit_at(text + i, big);

        if (c >= 0xd800 && c < 0xdc00 && i + 3 < n) {
            uint32_t low = unit_at(text + i + 2, big);

            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
                i += 2;
            }
        }
        /* A NUL would make it binary for those who read it. */
        add_code(out, c == 0 || (c >= 0xd800 && c < 0xe000) ? REPLACEMENT : c);
    }
    if (i < n) {
        add_code(out, REPLACEMENT);
    }
}

static void from_latin1(const char *text, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(text + i, n - i);

        if (len > 0) {
            buf_add(out, text + i, len);
            i += len;
        } else {
            add_code(out, (uint8_t)text[i++]);
        }
    }
}

bool text_to_utf8(const char *text, size_t n, struct buf *out)
{
    if (is_utf16(text, n)) {
        from_utf16(text, n, out);
        return true;
    }
    if (utf8_valid(text, n)) {
        return false;
    }
    from_latin1(text, n, out);
    return true;
}
