/*
 * Arguments of scripts: those of which the sources show that they name no file, no further target,
 * no third party and no secret.
 */
#include <string.h>

#include "base/mem.h"
#include "tool/nse.h"

enum { VALUE_MAX = 256, LIST_MAX = 4096, PAIRS_MAX = 64 };

/* `script` NULL: read by a library, whichever scripts run. */
static const struct argument_row {
    const char *script, *key;
} harmless[] = {
    {NULL, "http.useragent"},
    {NULL, "http.pipeline"},
    {NULL, "http.max-pipeline"},
    {NULL, "http.max-body-size"},
    {NULL, "http.max-cache-size"},
    {NULL, "http.truncated-ok"},
    {NULL, "http.host"},
    {NULL, "httpspider.maxdepth"},
    {NULL, "httpspider.maxpagecount"},
    {NULL, "ls.maxdepth"},
    {NULL, "ls.maxfiles"},
    {NULL, "tls.servername"},
    {NULL, "vulns.showall"},
    {NULL, "vulns.short"},
    {NULL, "smbbasic"},
    {NULL, "smbport"},
    {NULL, "snmp.version"},
    {NULL, "unpwdb.timelimit"},
    {NULL, "unpwdb.userlimit"},
    {NULL, "unpwdb.passlimit"},
    {NULL, "brute.delay"},
    {NULL, "brute.firstonly"},
    {NULL, "brute.guesses"},
    {NULL, "brute.retries"},
    {NULL, "brute.threads"},
    {NULL, "brute.unique"},
    {NULL, "mssql.instance-port"},
    {NULL, "mssql.scanned-ports-only"},
    {NULL, "mssql.timeout"},
    {"banner", "banner.ports"},
    {"banner", "banner.timeout"},
    {"dns-zone-transfer", "dns-zone-transfer.domain"},
    {"firewalk", "firewalk.max-active-probes"},
    {"firewalk", "firewalk.max-probed-ports"},
    {"firewalk", "firewalk.max-retries"},
    {"ftp-anon", "ftp-anon.maxlist"},
    {"http-apache-negotiation", "http-apache-negotiation.root"},
    {"http-auth", "http-auth.path"},
    {"http-auth-finder", "http-auth-finder.maxdepth"},
    {"http-auth-finder", "http-auth-finder.maxpagecount"},
    {"http-comments-displayer", "http-comments-displayer.context"},
    {"http-cookie-flags", "http-cookie-flags.path"},
    {"http-cors", "http-cors.path"},
    {"http-csrf", "http-csrf.maxpagecount"},
    {"http-devframework", "http-devframework.rapid"},
    {"http-enum", "http-enum.basepath"},
    {"http-enum", "http-enum.category"},
    {"http-enum", "http-enum.displayall"},
    {"http-enum", "http-enum.limit"},
    {"http-errors", "http-errors.errcodes"},
    {"http-favicon", "favicon.root"},
    {"http-favicon", "favicon.uri"},
    {"http-generator", "http-generator.path"},
    {"http-generator", "http-generator.redirects"},
    {"http-git", "http-git.root"},
    {"http-headers", "http-headers.path"},
    {"http-headers", "http-headers.useget"},
    {"http-internal-ip-disclosure", "http-internal-ip-disclosure.path"},
    {"http-methods", "http-methods.retest"},
    {"http-methods", "http-methods.url-path"},
    {"http-ntlm-info", "http-ntlm-info.root"},
    {"http-passwd", "http-passwd.root"},
    {"http-php-version", "http-php-version.path"},
    {"http-security-headers", "http-security-headers.path"},
    {"http-title", "http-title.url"},
    {"http-trace", "http-trace.path"},
    {"http-waf-detect", "http-waf-detect.aggro"},
    {"http-waf-detect", "http-waf-detect.uri"},
    {"http-waf-fingerprint", "http-waf-fingerprint.intensive"},
    {"http-webdav-scan", "http-webdav-scan.path"},
    {"ldap-search", "ldap.base"},
    {"ldap-search", "ldap.maxobjects"},
    {"ldap-search", "ldap.qfilter"},
    {"modbus-discover", "modbus-discover.aggressive"},
    {"nfs-statfs", "nfs-statfs.human"},
    {"rtsp-methods", "rtsp-methods.path"},
    {"smtp-commands", "smtp-commands.domain"},
    {"ssh-hostkey", "ssh_hostkey"},
    {"xmpp-info", "xmpp-info.no_starttls"},
    {"xmpp-info", "xmpp-info.server_name"},
};

static const struct argument_row *row_of(const char *key, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        if (strlen(harmless[i].key) == n && strncmp(harmless[i].key, key, n) == 0) {
            return &harmless[i];
        }
    }
    return NULL;
}

static bool among(const struct strvec *names, const char *script)
{
    for (size_t i = 0; i < names->n; i++) {
        if (str_eq(names->v[i], script)) {
            return true;
        }
    }
    return false;
}

static bool value_ok(const char *v, size_t n)
{
    static const char *const set =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-";

    for (size_t i = 0; i < n; i++) {
        if (!v[i] || !strchr(set, v[i])) {
            return false;
        }
    }
    return n <= VALUE_MAX;
}

/* One "key=value" of n bytes. */
static int add_pair(const char *pair, size_t n, const struct strvec *names, struct buf *out,
                    struct err *e)
{
    const char *equals = memchr(pair, '=', n);
    size_t key = equals ? (size_t)(equals - pair) : n;
    const struct argument_row *row = row_of(pair, key);

    if (!equals) {
        return err_set(e, ERR_INVALID, "script argument '%.*s' is not KEY=VALUE", (int)n, pair);
    }
    if (!row) {
        return err_set(e, ERR_INVALID,
                       "script argument '%.*s' is not among those that are known to be harmless",
                       (int)key, pair);
    }
    if (row->script && !among(names, row->script)) {
        return err_set(e, ERR_INVALID,
                       "script argument '%s' is for the script '%s', which is not asked for",
                       row->key, row->script);
    }
    if (!value_ok(equals + 1, n - key - 1)) {
        return err_set(e, ERR_INVALID,
                       "script argument '%s': a value is at most %d of A-Z a-z 0-9 . _ : / @ -",
                       row->key, VALUE_MAX);
    }
    buf_addf(out, "%s%s=\"%.*s\"", out->len ? "," : "", row->key, (int)(n - key - 1), equals + 1);
    return 0;
}

int nse_arguments(const char *args, const struct strvec *names, struct buf *out, struct err *e)
{
    auto_buf text = {0};
    unsigned pairs = 0;

    if (strlen(args) > LIST_MAX) {
        return err_set(e, ERR_INVALID, "script arguments are longer than %d bytes", LIST_MAX);
    }
    for (const char *p = args;; p++) {
        size_t n = strcspn(p, ",");
        int rc;

        if (++pairs > PAIRS_MAX) {
            return err_set(e, ERR_INVALID, "more than %d script arguments", PAIRS_MAX);
        }
        rc = add_pair(p, n, names, &text, e);
        if (rc < 0) {
            return rc;
        }
        p += n;
        if (!*p) {
            break;
        }
    }
    buf_add(out, text.data, text.len);
    return 0;
}
