/*
 * curl_lib - libcurl, loaded when it is first needed: by a command that talks to a server, and by
 * the process that talks to object storage.
 *
 * libcurl brings some twenty libraries with it (Kerberos, LDAP, SSH, a second TLS). Linked as usual
 * they would be mapped into every process of a server, and would more than double the time that
 * every start of the program takes.
 */
#pragma once

#include <curl/curl.h>

#include "base/err.h"

struct curl_lib {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_reset) easy_reset;
    CURLcode (*easy_setopt)(CURL *h, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *h, CURLINFO info, ...);
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_poll) multi_poll;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
};

/* Loads and initialises it once, for as long as the process lives; SIGPIPE is ignored from then on.
 * ERR_NOT_FOUND: it is not installed, and e names the package. One thread only. */
int curl_lib(const struct curl_lib **out, struct err *e);
