/* What repository scans need: git, engines, a box for their boxes, and the agent's key. */
#include <string.h>

#include "base/mem.h"
#include "cli/doctor.h"
#include "daemon/repo_means.h"
#include "engine/engine.h"

void check_repositories(struct cli *c, struct check_result *r)
{
    const struct sandbox_caps *caps = doctor_caps(c);
    struct repo_means m;
    struct err e = {0};

    if (repo_means_open(cli_settings(c), &m, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "scanpod config check", "%s", e.msg);
    } else if (!m.git) {
        doctor_result(r, FINDING_WARN, "sudo apt-get install git",
                      "git is not here: directories can be scanned, repositories cannot");
    } else if (caps && !caps->nest) {
        doctor_result(r, FINDING_WARN, "docs/repository-scans.md, \"What it needs\"",
                      "repository scans cannot be confined here: %s", caps->why_nest);
    } else {
        doctor_result(r, FINDING_OK, NULL, "%s, boxes in a box, %zu secrets", m.git,
                      secrets_count(m.secrets));
    }
    repo_means_done(&m);
}

void check_engines(struct cli *c, struct check_result *r)
{
    auto_buf there = {0};
    auto_buf missing = {0};

    for (const struct engine *const *en = engine_all(); *en; en++) {
        const struct tool *t = &(*en)->tool;
        auto_free char *path = NULL;
        char version[64];

        if ((*en)->built_in) {
            buf_addf(&there, "%s%s", there.len ? ", " : "", t->name);
        } else if (doctor_find_tool(c, t, version, &path, NULL)) {
            buf_addf(&there, "%s%s %s", there.len ? ", " : "", t->name, version);
        } else if (!(*en)->on_demand) {
            buf_addf(&missing, "%s%s", missing.len ? " " : "", t->name);
        }
    }
    if (missing.len) {
        auto_free char *fix = str_fmt("sudo apt-get install %s", missing.data);

        doctor_result(r, FINDING_WARN, fix, "%s; not here: %s", there.data, missing.data);
    } else {
        doctor_result(r, FINDING_OK, NULL, "%s", there.data);
    }
}

/* It is nobody's duty to have one. */
void check_agent(struct cli *c, struct check_result *r)
{
    auto_free char *path = NULL;
    char version[64];
    struct repo_means m;
    struct err e = {0};
    bool there = doctor_find_tool(c, &engine_claude.tool, version, &path, NULL);
    bool key = repo_means_open(cli_settings(c), &m, &e) == 0 && repo_means_agent(&m);

    if (!there) {
        doctor_result(r, FINDING_OK, NULL, "claude is not installed; reviews by a model are off");
    } else if (!key) {
        doctor_result(r, FINDING_WARN, "put a key into SECRETS-DIR/anthropic-api-key",
                      "claude %s is here, but there is no secret '%s': reviews by a model are off",
                      version, option_str(cli_settings(c), "agent-secret"));
    } else {
        doctor_result(r, FINDING_OK, NULL, "claude %s, %s", version, m.api_upstream);
    }
    repo_means_done(&m);
}
