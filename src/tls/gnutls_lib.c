#include "tls/gnutls_lib.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    size_t at;
    const char *symbol;
} rows[] = {
#define ROW(name) {offsetof(struct gnutls_lib, name), "gnutls_" #name},
    GNUTLS_LIB(ROW)
#undef ROW
};

static int load(struct gnutls_lib *lib, struct err *e)
{
    void *so = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL); /* never closed: it is used */

    if (!so) {
        return err_set(e, ERR_NOT_FOUND,
                       "TLS needs GnuTLS, which is not installed: apt-get install libgnutls30");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *fn = dlsym(so, rows[i].symbol);

        if (!fn) {
            dlclose(so);
            return err_set(e, ERR_NOT_FOUND,
                           "GnuTLS is too old, it has no %s(): apt-get install libgnutls30",
                           rows[i].symbol);
        }
        memcpy((char *)lib + rows[i].at, &fn, sizeof fn);
    }
    return 0;
}

int gnutls_lib(const struct gnutls_lib **out, struct err *e)
{
    static struct gnutls_lib lib;
    static bool ready;

    if (!ready) {
        int rc = load(&lib, e);

        if (rc != 0) {
            return rc;
        }
        ready = true;
    }
    *out = &lib;
    return 0;
}
