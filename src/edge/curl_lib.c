#include "edge/curl_lib.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

/* The one over GnuTLS first: GnuTLS is there already. Both have the same interface. */
static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};

#define ROW(member, symbol)                               \
    {                                                     \
        offsetof(struct curl_lib, member), "curl_" symbol \
    }
static const struct {
    size_t at;
    const char *symbol;
} rows[] = {
    ROW(global_init, "global_init"),
    ROW(easy_init, "easy_init"),
    ROW(easy_cleanup, "easy_cleanup"),
    ROW(easy_reset, "easy_reset"),
    ROW(easy_setopt, "easy_setopt"),
    ROW(easy_getinfo, "easy_getinfo"),
    ROW(easy_strerror, "easy_strerror"),
    ROW(multi_init, "multi_init"),
    ROW(multi_cleanup, "multi_cleanup"),
    ROW(multi_add_handle, "multi_add_handle"),
    ROW(multi_remove_handle, "multi_remove_handle"),
    ROW(multi_perform, "multi_perform"),
    ROW(multi_poll, "multi_poll"),
    ROW(multi_info_read, "multi_info_read"),
    ROW(slist_append, "slist_append"),
    ROW(slist_free_all, "slist_free_all"),
};

static int load(struct curl_lib *lib, struct err *e)
{
    void *so = NULL; /* never closed: its functions are used until the end */

    for (size_t i = 0; i < ARRAY_LEN(names) && !so; i++) {
        so = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!so) {
        return err_set(e, ERR_NOT_FOUND,
                       "libcurl is not installed, without which nothing here speaks HTTP: "
                       "apt-get install libcurl3-gnutls (or libcurl4)");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *fn = dlsym(so, rows[i].symbol);

        if (!fn) {
            dlclose(so);
            return err_set(e, ERR_NOT_FOUND,
                           "libcurl is too old, it has no %s(): apt-get install libcurl3-gnutls "
                           "(or libcurl4)",
                           rows[i].symbol);
        }
        memcpy((char *)lib + rows[i].at, &fn, sizeof fn);
    }
    return 0;
}

int curl_lib(const struct curl_lib **out, struct err *e)
{
    static struct curl_lib lib;
    static bool ready;

    if (!ready) {
        int rc = load(&lib, e);

        if (rc != 0) {
            return rc;
        }
        if (lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            return err_set(e, ERR_INTERNAL, "libcurl does not start");
        }
        signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an error like others */
        ready = true;
    }
    *out = &lib;
    return 0;
}
