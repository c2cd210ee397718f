#include "daemon/means.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/roles.h"
#include "policy/policy.h"
#include "tool/nse.h"

struct dispatch_config means_dispatch(const struct option_set *o)
{
    return (struct dispatch_config){
        .allow_unsafe_args = option_bool(o, "allow-unsafe-args"),
        .allow_unconfined = option_bool(o, "allow-unconfined"),
        .grace_ms = (uint32_t)option_int(o, "kill-grace-ms"),
        .output_max = (uint64_t)option_int(o, "max-output-mb") << 20,
        .nmap_data = option_str(o, "nmap-data"),
    };
}

struct nse_db *means_scripts(const struct option_set *o)
{
    struct nse_db *db = NULL;
    struct err e = {0};

    if (nse_load(option_str(o, "nmap-data"), &db, &e) != 0) {
        log_warn("no_scripts", KV("error", e.msg), KV("hint", "setting: nmap-data"));
    }
    return db;
}

int means_slots(const struct option_set *o, uint32_t *out, struct err *e)
{
    uint32_t n = (uint32_t)option_int(o, "max-scan-workers"), addresses = 0;
    int rc = scan_addresses_count(o, &addresses, e);

    *out = addresses ? MIN(n, addresses) : n;
    return rc;
}

void means_levels(const struct sandbox_caps *caps, struct buf *out)
{
    for (int l = 0; l < EGRESS_LEVELS; l++) {
        if (caps->usable[l]) {
            buf_addf(out, "%s%s", out->len ? "," : "", egress_name((enum egress)l));
        }
    }
}

void means_log(const struct sandbox_caps *caps)
{
    auto_buf levels = {0};

    means_levels(caps, &levels);
    log_info("sandbox", KV("box", caps->box), KV("egress", levels.data ? levels.data : "none"),
             KV("limits", caps->limits));
}

bool means_raw(const struct option_set *o, const struct sandbox_caps *caps)
{
    struct egress_need need = {.network = true, .raw = true, .v4 = true, .elsewhere = true};
    enum egress level;
    bool raw = false;

    return egress_choose(caps, option_bool(o, "allow-unconfined"), &need, &level, &raw, NULL) ==
               0 &&
           raw;
}
