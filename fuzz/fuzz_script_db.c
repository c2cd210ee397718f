/* script.db: what is taken has names and categories only, and no choice brings anything else. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "tool/nse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_choice(const struct nse_db *db, enum script_level level, unsigned flags)
{
    auto_strvec names = {0};
    struct err e = {0};

    if (nse_select(db, "safe,default", level, flags, &names, &e) < 0) {
        assert((e.code == ERR_SCOPE || e.code == ERR_INVALID) && e.msg[0]);
        assert(names.n == 0);
        return;
    }
    assert(names.n > 0 && names.n <= nse_count(db));
    for (size_t i = 0; i < names.n; i++) {
        const char *s = names.v[i];
        auto_strvec again = {0};

        assert(nse_has(db, s));
        assert(s[0] != '-' && s[0] != '.' && !strpbrk(s, "/,* \"'\\\n"));
        assert(i == 0 || strcmp(names.v[i - 1], s) < 0);
        assert(nse_select(db, s, level, flags, &again, &e) == 0 && again.n == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct nse_db *db = NULL;
    struct err e = {0};

    if (nse_parse((const char *)data, n, &db, &e) < 0) {
        assert((e.code == ERR_INVALID || e.code == ERR_LIMIT) && e.msg[0] && !db);
        return 0;
    }
    assert(nse_count(db) > 0);
    check_choice(db, SCRIPTS_NONE, 0);
    check_choice(db, SCRIPTS_SAFE, 0);
    check_choice(db, SCRIPTS_AGGRESSIVE, 31);
    nse_free(db);
    return 0;
}
