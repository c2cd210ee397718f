#include "ipc/record_scan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "ipc/record_format.h"

size_t record_whole(const void *p, size_t n, struct record_scan *s)
{
    const uint8_t *b = p;
    size_t whole = 0;

    while (n - s->at >= HEAD_SIZE) {
        uint32_t len;

        memcpy(&len, b + s->at, sizeof len);
        len = le32toh(len);
        if (len == 0 || len > RECORD_MAX) {
            return n;
        }
        if (LEN_SIZE + (size_t)len > n - s->at) {
            break;
        }
        if (b[s->at + LEN_SIZE] == REC_HOST) {
            s->in_host = true;
        } else if (b[s->at + LEN_SIZE] == REC_HOST_END) {
            s->in_host = false;
        }
        s->at += LEN_SIZE + (size_t)len;
        if (!s->in_host) {
            whole = s->at;
        }
    }
    return whole;
}
