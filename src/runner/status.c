/* What a tool says of itself on its standard error, for those whose progress is told nowhere else.
 */
#include "base/clock.h"
#include "runner/process.h"
#include "runner/run.h"

enum { STATUS_EVERY_MS = 500 };

static void tell(struct run *r, const char *line)
{
    auto_buf body = {0};

    wire_u64(&body, r->id);
    wire_str(&body, line);
    (void)chan_send(&r->rp->chan, MSG_STATUS, body.data, body.len, NULL, 0, NULL);
}

/* Longer lines are cut: a status is short. */
void status_add(struct run *r, const char *p, size_t n)
{
    struct status_line *s = &r->status;

    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\n' && p[i] != '\r') {
            if (s->n + 1 < sizeof s->text) {
                s->text[s->n++] = (char)(p[i] ? p[i] : ' ');
            }
            continue;
        }
        s->text[s->n] = '\0';
        if (s->n > 0 && !r->rp->closing && boot_ms() - s->told_ms >= STATUS_EVERY_MS) {
            s->told_ms = boot_ms();
            tell(r, s->text);
        }
        s->n = 0;
    }
}
