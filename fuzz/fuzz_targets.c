/* Targets: what is accepted is written with addresses and names only, and reads as itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/job.h"
#include "model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-/:\n";
    auto_free char *text = xstrndup((const char *)data, n);
    auto_targets set = {0}, again = {0};
    auto_buf lines = {0}, same = {0};
    struct err e = {0};

    if (targets_parse(text, &set, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    assert(target_set_count(&set) > 0 && target_set_count(&set) <= TARGET_ADDRESSES_MAX);
    target_set_lines(&set, false, &lines);
    assert(lines.len && strspn(lines.data, allowed) == lines.len);
    for (size_t i = 0; i < lines.len; i++) {
        assert(i && lines.data[i - 1] != '\n' ? true : lines.data[i] != '-');
    }
    if (lines.len <= JOB_TARGETS_MAX) {
        int rc = targets_parse(lines.data, &again, &e);

        assert(rc == 0);
        target_set_lines(&again, false, &same);
        assert(strcmp(same.data, lines.data) == 0);
    }
    return 0;
}
