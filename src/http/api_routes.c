/*
 * The one table of routes. `id` is the operation's name in openapi.json and the label of the
 * metrics; a test checks that both lists are the same. The last column is the scope that a key must
 * have: a row without one is closed, and only rows with ROUTE_OPEN need no key.
 */
#include "http/api_priv.h"

const struct http_route api_routes[] = {
    /* the old service */
    {"GET", "/health", old_health, ROUTE_OPEN | ROUTE_LEGACY, 0, "oldHealth", 0},
    {"POST", "/scans", old_submit, ROUTE_LEGACY, 0, "oldSubmit", KEY_SUBMIT_NETWORK},
    {"GET", "/scans", old_list, ROUTE_LEGACY, 0, "oldList", KEY_READ},
    {"DELETE", "/scans", old_purge, ROUTE_LEGACY, 0, "oldPurge", KEY_ADMIN},
    {"GET", "/scans/{id}", old_get, ROUTE_LEGACY, 0, "oldGet", KEY_READ},
    {"DELETE", "/scans/{id}", old_delete, ROUTE_LEGACY, 0, "oldDelete", KEY_ADMIN},
    {"POST", "/scans/{id}/cancel", old_cancel, ROUTE_LEGACY, 0, "oldCancel", KEY_CANCEL},

    /* the old repository scanner */
    {"POST", "/scan/repo", old_repo_submit, ROUTE_LEGACY | ROUTE_OLD_REPO, 0, "oldRepoSubmit",
     KEY_SUBMIT_REPO},
    {"GET", "/jobs", old_repo_list, ROUTE_LEGACY | ROUTE_OLD_REPO, 0, "oldRepoList", KEY_READ},
    {"GET", "/jobs/{id}", old_repo_get, ROUTE_LEGACY | ROUTE_OLD_REPO, 0, "oldRepoGet", KEY_READ},
    {"DELETE", "/jobs/{id}", old_repo_delete, ROUTE_LEGACY | ROUTE_OLD_REPO, 0, "oldRepoDelete",
     KEY_CANCEL},
    {"POST", "/jobs/{id}/cancel", old_repo_cancel, ROUTE_LEGACY | ROUTE_OLD_REPO, 0,
     "oldRepoCancel", KEY_CANCEL},

    {"POST", "/api/v1/repo-scans", v1_repo_submit, 0, 0, "submitRepoScan", KEY_SUBMIT_REPO},
    {"GET", "/api/v1/repo-scans", v1_repo_list, 0, 0, "listRepoScans", KEY_READ},
    {"GET", "/api/v1/repo-scans/{id}", v1_repo_get, 0, 0, "getRepoScan", KEY_READ},
    {"GET", "/api/v1/repo-scans/{id}/findings", v1_repo_findings, 0, 0, "listRepoFindings",
     KEY_READ},
    {"GET", "/api/v1/repo-scans/{id}/export", v1_repo_export, 0, 0, "exportRepoScan", KEY_READ},
    {"GET", "/api/v1/engines", v1_engines, 0, 0, "listEngines", KEY_READ},
    {"GET", "/api/v1/repositories", v1_repositories, 0, 0, "listRepositories", KEY_READ},
    {"GET", "/api/v1/findings", v1_findings, 0, 0, "listFindings", KEY_READ},
    {"GET", "/api/v1/findings/{id}", v1_finding, 0, 0, "getFinding", KEY_READ},
    {"PATCH", "/api/v1/findings/{id}", v1_finding_triage, 0, 0, "triageFinding", KEY_SUBMIT_REPO},

    {"POST", "/api/v1/scans", v1_submit, 0, API_SUBMIT_MAX, "submitScan", KEY_SUBMIT_NETWORK},
    {"GET", "/api/v1/scans", v1_list, 0, 0, "listScans", KEY_READ},
    {"GET", "/api/v1/scans/{id}", v1_get, 0, 0, "getScan", KEY_READ},
    {"DELETE", "/api/v1/scans/{id}", v1_delete, 0, 0, "deleteScan", KEY_ADMIN},
    {"POST", "/api/v1/scans/{id}/cancel", v1_cancel, 0, 0, "cancelScan", KEY_CANCEL},
    {"POST", "/api/v1/scans/{id}/retry", v1_retry, ROUTE_EITHER, 0, "retryScan",
     KEY_SUBMIT_NETWORK},
    {"POST", "/api/v1/scans/{id}/reparse", v1_reparse, 0, 0, "reparseScan", KEY_SUBMIT_NETWORK},
    {"GET", "/api/v1/scans/{id}/hosts", v1_hosts, 0, 0, "listHosts", KEY_READ},
    {"GET", "/api/v1/scans/{id}/raw", v1_raw, 0, 0, "getRaw", KEY_READ},
    {"GET", "/api/v1/scans/{id}/export", v1_export, 0, 0, "exportScan", KEY_READ},
    {"GET", "/api/v1/scans/{id}/tasks", v1_tasks, 0, 0, "listTasks", KEY_READ},
    {"GET", "/api/v1/scans/{id}/coverage", v1_coverage, 0, 0, "listCoverage", KEY_READ},
    {"GET", "/api/v1/diff", v1_diff, 0, 0, "diffScans", KEY_READ},
    {"GET", "/api/v1/profiles", v1_profiles, 0, 0, "listProfiles", KEY_READ},
    {"GET", "/api/v1/profiles/{name}", v1_profile, 0, 0, "getProfile", KEY_READ},
    {"POST", "/api/v1/imports", v1_import, ROUTE_UPLOAD, 0, "importScan", KEY_SUBMIT_NETWORK},
    {"GET", "/api/v1/events", v1_events, ROUTE_STREAM, 0, "streamEvents", KEY_READ},
    {"GET", "/api/v1/policy", v1_policy, 0, 0, "getPolicy", KEY_READ},
    {"POST", "/api/v1/policy/check", v1_policy_check, 0, API_SUBMIT_MAX, "checkPolicy",
     KEY_SUBMIT_NETWORK},
    {"POST", "/api/v1/policy/reload", v1_policy_reload, 0, 0, "reloadPolicy", KEY_ADMIN},
    {"GET", "/api/v1/queues", v1_queues, 0, 0, "listQueues", KEY_READ},
    {"GET", "/api/v1/queues/{name}", v1_queue, 0, 0, "getQueue", KEY_READ},
    {"GET", "/api/v1/workers", v1_workers, 0, 0, "listWorkers", KEY_READ},
    {"POST", "/api/v1/workers/{name}/drain", v1_worker_drain, 0, 0, "drainWorker", KEY_ADMIN},
    {"POST", "/api/v1/workers/{name}/resume", v1_worker_resume, 0, 0, "resumeWorker", KEY_ADMIN},
    {"GET", "/api/v1/dead-letters", v1_dead_letters, 0, 0, "listDeadLetters", KEY_READ},
    {"GET", "/api/v1/audit", v1_audit, 0, 0, "listAudit", KEY_ADMIN},
    {"GET", "/api/v1/capabilities", v1_capabilities, 0, 0, "getCapabilities", KEY_READ},
    {"GET", "/api/v1/tools", v1_tools, 0, 0, "listTools", KEY_READ},
    {"GET", "/api/v1/version", v1_version, 0, 0, "getVersion", KEY_READ},
    {"GET", "/api/v1/keys", v1_keys, 0, 0, "listKeys", KEY_ADMIN},
    {"POST", "/api/v1/keys", v1_key_create, 0, 0, "createKey", KEY_ADMIN},
    {"DELETE", "/api/v1/keys/{id}", v1_key_revoke, 0, 0, "revokeKey", KEY_ADMIN},

    {"GET", "/healthz", api_healthz, ROUTE_OPEN, 0, "getHealth", 0},
    {"GET", "/readyz", api_readyz, ROUTE_OPEN, 0, "getReadiness", 0},
    {"GET", "/metrics", api_metrics, 0, 0, "getMetrics", KEY_READ},
    {"GET", "/openapi.json", api_openapi, ROUTE_OPEN, 0, "getOpenapi", 0},
    {"GET", "/docs", api_docs, ROUTE_OPEN, 0, "getDocs", 0},
    {"GET", "/redoc", api_docs, ROUTE_OPEN, 0, "getRedoc", 0}, /* where the older service had it */
    {NULL},
};
