/*
 * The ladder: from what can be enforced best to what can hardly be enforced. A level is left out
 * for one reason, which the message names when no level remains; which scan types a level would
 * falsify is in the request's needs (security notes: a result that lies is worse than none).
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/policy.h"

/* Why a level will not do; "" if it will. */
enum { WHY = 240 };

static const char *option_name(const struct egress_need *need)
{
    return need->option ? need->option : "the tool";
}

static void unusable(const struct sandbox_caps *have, enum egress l, char why[WHY])
{
    snprintf(why, WHY, "%s", have->why[l][0] ? have->why[l] : "not usable on this machine");
}

static void nft_fits(const struct sandbox_caps *have, const struct egress_need *need, char why[WHY])
{
    why[0] = '\0';
    if (!have->usable[EGRESS_NFT]) {
        unusable(have, EGRESS_NFT, why);
    } else if (need->v4 && !have->forward_v4) {
        snprintf(why, WHY, "this machine does not forward IPv4; set net.ipv4.ip_forward=1");
    } else if (need->v6 && !have->forward_v6) {
        snprintf(why, WHY,
                 "this machine does not forward IPv6; set "
                 "net.ipv6.conf.all.forwarding=1");
    } else if (need->nat_lies &&
               ((need->v4 && !have->dedicated_v4) || (need->v6 && !have->dedicated_v6))) {
        snprintf(why, WHY,
                 "%s needs an address of its own: NAT would falsify it; set "
                 "scan-addresses to an %s address",
                 option_name(need), need->v4 && !have->dedicated_v4 ? "IPv4" : "IPv6");
    }
}

static void rootless_fits(const struct sandbox_caps *have, const struct egress_need *need,
                          char why[WHY])
{
    why[0] = '\0';
    if (!have->usable[EGRESS_ROOTLESS]) {
        unusable(have, EGRESS_ROOTLESS, why);
    } else if (need->slirp_lies || need->nat_lies) {
        snprintf(why, WHY, "a user-mode network stack would falsify %s", option_name(need));
    } else if (need->v6) {
        snprintf(why, WHY, "it carries IPv4 only");
    }
}

static void shared_fits(const struct sandbox_caps *have, enum egress l,
                        const struct egress_need *need, char why[WHY])
{
    why[0] = '\0';
    if (!have->usable[l]) {
        unusable(have, l, why);
    } else if (need->raw) {
        snprintf(why, WHY, "%s needs raw sockets, which it does not have", option_name(need));
    }
}

static int choose(enum egress l, bool with_raw, enum egress *out, bool *raw)
{
    *out = l;
    *raw = with_raw;
    return 0;
}

/* What reaches loopback and the machine's own addresses instead of what cannot. */
static const char *instead_of(const char *option)
{
    static const char *const tcp[] = {
        "masscan", "masscan over IPv6", "zmap", "-sS", "-sF", "-sN", "-sX", "-sA", "-sW",
        "-sM",     "--scanflags"};
    static const char *const lost[] = {"-sU", "-sY", "-sZ", "-sO"};

    if (!option) {
        return "use nmap -sT";
    }
    if (str_eq(option, "icmp_echoscan")) {
        return "use nmap -sn";
    }
    for (size_t i = 0; i < ARRAY_LEN(tcp); i++) {
        if (str_eq(option, tcp[i])) {
            return "use nmap -sT";
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
        if (str_eq(option, lost[i])) {
            return "only TCP ports can be scanned there, with nmap -sT";
        }
    }
    return "leave it out and use nmap -sT";
}

/* Targets that only our own network namespace reaches. */
static int choose_own(const struct sandbox_caps *have, bool allow_unconfined,
                      const struct egress_need *need, enum egress *out, bool *raw, struct err *e)
{
    char broker[WHY];

    if (need->raw) {
        return err_set(
            e, ERR_SCOPE,
            "%s needs raw sockets, which loopback targets and the machine's own addresses "
            "(level broker) do not get; %s%s",
            option_name(need), instead_of(need->option),
            need->elsewhere ? ", or scan them and the other targets apart"
                            : ", or scan from another machine");
    }
    shared_fits(have, EGRESS_BROKER, need, broker);
    if (!broker[0]) {
        return choose(EGRESS_BROKER, false, out, raw);
    }
    if (allow_unconfined && have->usable[EGRESS_UNCONFINED]) {
        return choose(EGRESS_UNCONFINED, false, out, raw);
    }
    return err_set(
        e, ERR_SCOPE,
        "loopback targets and the machine's own addresses need the level broker, which is "
        "not usable: %s; see 'scanpod doctor'",
        broker);
}

static int choose_elsewhere(const struct sandbox_caps *have, bool allow_unconfined,
                            const struct egress_need *need, enum egress *out, bool *raw,
                            struct err *e)
{
    bool with_raw = need->raw || need->wants_raw;
    char nft[WHY], rootless[WHY], broker[WHY], bare[WHY];

    nft_fits(have, need, nft);
    if (!nft[0]) {
        return choose(EGRESS_NFT, with_raw, out, raw);
    }
    rootless_fits(have, need, rootless);
    if (!rootless[0]) {
        return choose(EGRESS_ROOTLESS, with_raw, out, raw);
    }
    shared_fits(have, EGRESS_BROKER, need, broker);
    if (!broker[0]) {
        return choose(EGRESS_BROKER, false, out, raw);
    }
    shared_fits(have, EGRESS_UNCONFINED, need, bare);
    if (allow_unconfined && !bare[0]) {
        return choose(EGRESS_UNCONFINED, false, out, raw);
    }
    if (have->usable[EGRESS_NFT] && need->nat_lies) {
        return err_set(e, ERR_SCOPE, "%s", nft); /* the others are no way out */
    }
    return err_set(
        e, ERR_SCOPE,
        "no level of confinement fits %s: nft: %.120s; rootless: %.120s; broker: %.120s; see "
        "'scanpod doctor'",
        option_name(need), nft, rootless, broker);
}

int egress_choose(const struct sandbox_caps *have, bool allow_unconfined,
                  const struct egress_need *need, enum egress *out, bool *raw, struct err *e)
{
    if (need->network) {
        return (need->own ? choose_own : choose_elsewhere)(have, allow_unconfined, need, out, raw,
                                                           e);
    }
    if (have->usable[EGRESS_NONE]) {
        return choose(EGRESS_NONE, false, out, raw);
    }
    if (have->usable[EGRESS_BROKER]) { /* with an empty scope: every call is refused */
        return choose(EGRESS_BROKER, false, out, raw);
    }
    if (allow_unconfined && have->usable[EGRESS_UNCONFINED]) {
        return choose(EGRESS_UNCONFINED, false, out, raw);
    }
    return err_set(e, ERR_SCOPE,
                   "a run without network needs the level none, which is not usable: %s",
                   have->why[EGRESS_NONE][0] ? have->why[EGRESS_NONE] : "see 'scanpod doctor'");
}
