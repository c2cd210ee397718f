/* sarif_inside - the parts of the SARIF writer. For src/report/sarif*.c only. */
#pragma once

#include <jansson.h>

#include "assess/classes.h"
#include "base/json.h"
#include "report/findings.h"

enum {
    SARIF_RESULTS = 25000, /* of a run: what GitHub takes */
    SARIF_RUNS = 20,       /* of a file: the same */
    SARIF_RULES = 256,     /* of a run: our classes, and a few that we do not know any more */
    SARIF_CWES = 1024,     /* of a run that are told by name */
    SARIF_LOCATIONS = 100  /* of a notification */
};

/* A class as this run used it. */
struct sarif_rule {
    char name[65];
    enum severity worst;
    int64_t results, confidence_x100; /* sum */
};

struct sarif {
    const struct job *job;
    const struct repo_scan *scan;
    struct buf *out;
    struct buf scratch;
    struct json j;
    json_t *record; /* owned; NULL: there is none */
    struct sarif_rule rules[SARIF_RULES];
    int n_rules;
    int32_t cwes[SARIF_CWES]; /* ascending */
    int n_cwes;
    int64_t results, all, left_out;
    int part; /* of the file, from 1 */
};

/* The class's place in rules[]; "other" where there is no room. */
int sarif_rule_use(struct sarif *w, const struct finding *f);
void sarif_cwe_use(struct sarif *w, int32_t cwe);
void sarif_result(struct sarif *w, const struct finding_row *row);
/* "physicalLocation" of a place; snippets only where f is given. */
void sarif_location(struct sarif *w, const struct finding_place *p, const struct finding *f);
/* What stands behind the results of a run. */
void sarif_tool(struct sarif *w);
void sarif_taxonomies(struct sarif *w);
void sarif_invocations(struct sarif *w, bool last);
const char *sarif_level_word(enum severity s);
