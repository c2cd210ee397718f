/*
 * gnutls_lib - GnuTLS, loaded when TLS is configured or a certificate is handled.
 *
 * It brings eight libraries with it. Linked as usual, they would make up a third of what the runner
 * has mapped, and each scan copies that twice: its box and its parser are forked from the runner.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/err.h"

/* The functions that are used, without the gnutls_ before their names. */
#define GNUTLS_LIB(X)                        \
    X(alpn_set_protocols)                    \
    X(bye)                                   \
    X(certificate_allocate_credentials)      \
    X(certificate_free_credentials)          \
    X(certificate_set_x509_key_file)         \
    X(certificate_set_x509_system_trust)     \
    X(certificate_set_x509_trust_mem)        \
    X(certificate_verification_status_print) \
    X(credentials_set)                       \
    X(deinit)                                \
    X(error_is_fatal)                        \
    X(handshake)                             \
    X(handshake_set_timeout)                 \
    X(init)                                  \
    X(load_file)                             \
    X(priority_deinit)                       \
    X(priority_init)                         \
    X(priority_set)                          \
    X(record_check_pending)                  \
    X(record_get_direction)                  \
    X(record_recv)                           \
    X(record_send)                           \
    X(server_name_set)                       \
    X(session_get_verify_cert_status)        \
    X(session_set_verify_cert)               \
    X(session_ticket_enable_server)          \
    X(session_ticket_key_generate)           \
    X(strerror)                              \
    X(transport_set_int2)                    \
    X(transport_set_ptr2)                    \
    X(transport_set_pull_function)           \
    X(x509_crt_deinit)                       \
    X(x509_crt_export2)                      \
    X(x509_crt_get_expiration_time)          \
    X(x509_crt_get_fingerprint)              \
    X(x509_crt_get_key_id)                   \
    X(x509_crt_import)                       \
    X(x509_crt_init)                         \
    X(x509_crt_set_activation_time)          \
    X(x509_crt_set_basic_constraints)        \
    X(x509_crt_set_dn_by_oid)                \
    X(x509_crt_set_expiration_time)          \
    X(x509_crt_set_key)                      \
    X(x509_crt_set_key_purpose_oid)          \
    X(x509_crt_set_key_usage)                \
    X(x509_crt_set_serial)                   \
    X(x509_crt_set_subject_alt_name)         \
    X(x509_crt_set_subject_key_id)           \
    X(x509_crt_set_version)                  \
    X(x509_crt_sign2)                        \
    X(x509_privkey_deinit)                   \
    X(x509_privkey_export2)                  \
    X(x509_privkey_generate)                 \
    X(x509_privkey_get_key_id)               \
    X(x509_privkey_import2)                  \
    X(x509_privkey_init)

struct gnutls_lib {
#define GNUTLS_MEMBER(name) __typeof__(&gnutls_##name) name;
    GNUTLS_LIB(GNUTLS_MEMBER)
#undef GNUTLS_MEMBER
};

/* Loads it once, for as long as the process lives. ERR_NOT_FOUND: it is not installed, and e names
 * the package. What the functions give is freed by free(). One thread only. */
int gnutls_lib(const struct gnutls_lib **out, struct err *e);
