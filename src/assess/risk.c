#include "assess/merge.h"
#include "base/mem.h"

enum { SURE_ENOUGH = 50 };

/* How likely it is that one such finding, were it certain, spoils the whole. */
static const double spoils[SEVERITIES] = {0, 0.01, 0.06, 0.25, 0.60};
/* However many there are: low ones count for no more than 20 that are certain (0.99^20). */
static const double least_kept[SEVERITIES] = {1, 0.817906937597230, 0, 0, 0};

void risk_init(struct risk *r)
{
    *r = (struct risk){.kept = {1, 1, 1, 1, 1}};
}

void risk_add(struct risk *r, enum severity s, int32_t confidence_x100)
{
    enum severity level =
        confidence_x100 >= SURE_ENOUGH || s == SEVERITY_INFO ? s : (enum severity)(s - 1);

    r->counts[s]++;
    r->level = r->any ? MAX(r->level, level) : level;
    r->any = true;
    r->kept[s] = MAX(r->kept[s] * (1 - spoils[s] * confidence_x100 / 100.0), least_kept[s]);
}

double risk_score(const struct risk *r)
{
    double kept = 1;

    for (int s = 0; s < SEVERITIES; s++) {
        kept *= r->kept[s];
    }
    return 100 * (1 - kept);
}

const char *risk_level(const struct risk *r, bool complete)
{
    if (!r->any) {
        return complete ? "none" : "unknown";
    }
    return severity_name(r->level);
}
