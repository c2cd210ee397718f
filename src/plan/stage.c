#include "plan/plan.h"

static const char *const names[STAGE_KINDS] = {
    [STAGE_HOSTS] = "hosts",
    [STAGE_PORTS] = "ports",
    [STAGE_SERVICES] = "services",
    [STAGE_VERIFY] = "verify",
};

const char *stage_kind_name(enum stage_kind k)
{
    return names[k];
}
