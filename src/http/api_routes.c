/*
 * The one table of routes. The last column is the operation's name in openapi.json and the label of
 * the metrics; a test checks that both lists are the same.
 */
#include "http/api_priv.h"

const struct http_route api_routes[] = {
    /* the old service */
    {"GET", "/health", old_health, ROUTE_OPEN | ROUTE_LEGACY, 0, "oldHealth"},
    {"POST", "/scans", old_submit, ROUTE_LEGACY, 0, "oldSubmit"},
    {"GET", "/scans", old_list, ROUTE_LEGACY, 0, "oldList"},
    {"DELETE", "/scans", old_purge, ROUTE_LEGACY, 0, "oldPurge"},
    {"GET", "/scans/{id}", old_get, ROUTE_LEGACY, 0, "oldGet"},
    {"DELETE", "/scans/{id}", old_delete, ROUTE_LEGACY, 0, "oldDelete"},
    {"POST", "/scans/{id}/cancel", old_cancel, ROUTE_LEGACY, 0, "oldCancel"},

    {"POST", "/api/v1/scans", v1_submit, 0, 0, "submitScan"},
    {"GET", "/api/v1/scans", v1_list, 0, 0, "listScans"},
    {"GET", "/api/v1/scans/{id}", v1_get, 0, 0, "getScan"},
    {"DELETE", "/api/v1/scans/{id}", v1_delete, 0, 0, "deleteScan"},
    {"POST", "/api/v1/scans/{id}/cancel", v1_cancel, 0, 0, "cancelScan"},
    {"POST", "/api/v1/scans/{id}/retry", v1_retry, 0, 0, "retryScan"},
    {"POST", "/api/v1/scans/{id}/reparse", v1_reparse, 0, 0, "reparseScan"},
    {"GET", "/api/v1/scans/{id}/hosts", v1_hosts, 0, 0, "listHosts"},
    {"GET", "/api/v1/scans/{id}/raw", v1_raw, 0, 0, "getRaw"},
    {"GET", "/api/v1/events", v1_events, ROUTE_STREAM, 0, "streamEvents"},
    {"GET", "/api/v1/capabilities", v1_capabilities, 0, 0, "getCapabilities"},
    {"GET", "/api/v1/tools", v1_tools, 0, 0, "listTools"},
    {"GET", "/api/v1/version", v1_version, 0, 0, "getVersion"},
    {"GET", "/api/v1/keys", v1_keys, 0, 0, "listKeys"},
    {"POST", "/api/v1/keys", v1_key_create, 0, 0, "createKey"},
    {"DELETE", "/api/v1/keys/{id}", v1_key_revoke, 0, 0, "revokeKey"},

    {"GET", "/healthz", api_healthz, ROUTE_OPEN, 0, "getHealth"},
    {"GET", "/readyz", api_readyz, ROUTE_OPEN, 0, "getReadiness"},
    {"GET", "/metrics", api_metrics, 0, 0, "getMetrics"},
    {"GET", "/openapi.json", api_openapi, ROUTE_OPEN, 0, "getOpenapi"},
    {"GET", "/docs", api_docs, ROUTE_OPEN, 0, "getDocs"},
    {"GET", "/redoc", api_docs, ROUTE_OPEN, 0, "getRedoc"}, /* where the older service had it */
    {NULL},
};
