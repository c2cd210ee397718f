/*
 * Random requests against a checker that shares nothing with what it checks: its own list of
 * nmap's options, its own reading of addresses, its own idea of a scope.
 *
 * SCANPOD_RANDOM_REQUESTS says how many (1000000), SCANPOD_RANDOM_SEED starts the same ones again.
 */
#include <arpa/inet.h>
#include <time.h>

#include "model/request.h"
#include "policy/policy.h"
#include "tap.h"
#include "tool/tool.h"

typedef unsigned __int128 u128;

enum { POLICIES = 40, ENTRIES = 12, WORDS = 7 };

/* ---- chance ---- */

static uint64_t state;

static uint64_t chance(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
    return (unsigned)(chance() % n);
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

#define ANY_OF(a) ((a)[below(ARRAY_LEN(a))])

/* ---- the scope, as this test understands it ---- */

struct span {
    bool v6;
    u128 low, high;
};

struct scope {
    struct policy *policy;
    char *text; /* of its file */
    struct span allow[ENTRIES + 8], deny[ENTRIES];
    size_t n_allow, n_deny;
};

static struct scope scopes[POLICIES];

static bool read_ip(const char *s, bool *v6, u128 *out)
{
    uint8_t b[16];

    *v6 = strchr(s, ':') != NULL;
    if (inet_pton(*v6 ? AF_INET6 : AF_INET, s, b) != 1) {
        return false;
    }
    *out = 0;
    for (int i = 0; i < (*v6 ? 16 : 4); i++) {
        *out = *out << 8 | b[i];
    }
    return true;
}

/* "A", "A/len", "A-B"; and nmap's own "A.B.C.D-E" in the last octet. */
static bool read_span(const char *text, struct span *out)
{
    auto_free char *s = xstrdup(text);
    char *slash = strchr(s, '/'), *dash = strchr(s, '-');
    unsigned bits, len;
    bool v6;

    if (slash) {
        *slash = '\0';
    } else if (dash) {
        *dash = '\0';
    }
    if (!read_ip(s, &out->v6, &out->low)) {
        return false;
    }
    out->high = out->low;
    bits = out->v6 ? 128 : 32;
    if (slash) {
        len = (unsigned)strtoul(slash + 1, NULL, 10);
        if (len < bits) {
            u128 rest = (((u128)1 << (bits - len - 1)) << 1) - 1;

            out->low &= ~rest;
            out->high = out->low | rest;
        }
    } else if (dash && !strchr(dash + 1, '.') && !out->v6) {
        out->high = (out->low & ~(u128)255) | (u128)strtoul(dash + 1, NULL, 10);
    } else if (dash) {
        return read_ip(dash + 1, &v6, &out->high) && v6 == out->v6;
    }
    return true;
}

static struct span span_of(const char *text)
{
    struct span s;

    CHECK(read_span(text, &s));
    return s;
}

static bool inside(const struct span *outer, const struct span *inner)
{
    return outer->v6 == inner->v6 && outer->low <= inner->low && inner->high <= outer->high;
}

static const char *const hard[] = {
    "0.0.0.0/8",    "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "::",           "::1",         "fe80::/10",      "ff00::/8",    "::ffff:0.0.0.0/96",
    "64:ff9b::/96", "2002::/16",   "2001::/32",
};

static struct span hard_spans[ARRAY_LEN(hard)];

/* One address: allowed by an entry, denied by none, and out of what only its own entry lifts. */
static bool address_allowed(const struct scope *s, bool v6, u128 ip)
{
    struct span one = {v6, ip, ip};
    bool any = false;

    for (size_t i = 0; i < s->n_deny; i++) {
        if (inside(&s->deny[i], &one)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->n_allow; i++) {
        any |= inside(&s->allow[i], &one);
    }
    for (size_t h = 0; any && h < ARRAY_LEN(hard); h++) {
        bool lifted = false;

        for (size_t i = 0; i < s->n_allow; i++) {
            lifted |= inside(&s->allow[i], &one) && inside(&hard_spans[h], &s->allow[i]);
        }
        any = !inside(&hard_spans[h], &one) || lifted;
    }
    return any;
}

/* Wherever the answer can change inside the span, it is asked. */
static bool edges_allowed(const struct scope *s, const struct span *all, const struct span *edges,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct span *e = &edges[i];

        if (e->v6 != all->v6) {
            continue;
        }
        if (e->low > all->low && e->low <= all->high && !address_allowed(s, e->v6, e->low)) {
            return false;
        }
        if (e->high >= all->low && e->high < all->high && !address_allowed(s, e->v6, e->high + 1)) {
            return false;
        }
    }
    return true;
}

static bool span_allowed(const struct scope *s, const struct span *all)
{
    return all->low <= all->high && address_allowed(s, all->v6, all->low) &&
           edges_allowed(s, all, s->allow, s->n_allow) &&
           edges_allowed(s, all, s->deny, s->n_deny) &&
           edges_allowed(s, all, hard_spans, ARRAY_LEN(hard));
}

/* ---- random scopes ---- */

static void put_ip4(struct buf *b)
{
    static const char *const nets[] = {"10.0.0",  "10.0.1",  "10.1.0",
                                       "127.0.0", "192.0.2", "198.51.100"};
    static const char *const odd[] = {
        "169.254.169.254", "8.8.8.8",   "224.0.0.1",       "0.0.0.0",     "255.255.255.255",
        "100.64.0.1",      "127.0.0.1", "100.100.100.200", "172.16.31.4", "192.168.0.255",
    };

    if (one_in(12)) {
        buf_adds(b, ANY_OF(odd));
    } else {
        buf_addf(b, "%s.%u", ANY_OF(nets), below(256));
    }
}

static void put_ip6(struct buf *b)
{
    static const char *const nets[] = {"fd00::", "fd00:0:0:1::", "2001:db8::", "fe80::", "::"};

    buf_addf(b, "%s%x", ANY_OF(nets), below(65536));
}

static void put_address(struct buf *b, bool v6, u128 ip)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t raw[16];

    for (unsigned i = 0; i < (v6 ? 16 : 4); i++) {
        raw[i] = (uint8_t)(ip >> 8 * ((v6 ? 15 : 3) - i));
    }
    CHECK(inet_ntop(v6 ? AF_INET6 : AF_INET, raw, text, sizeof text) != NULL);
    buf_adds(b, text);
}

/* A prefix without host bits, as the file wants it. */
static void put_prefix(struct buf *b, struct span *out)
{
    auto_buf ip = {0};
    bool v6 = one_in(3);
    /* Wide ones reach over what only an entry of its own lifts. */
    unsigned len = one_in(8) ? below(12) : (v6 ? 128 : 32) - below(14);

    v6 ? put_ip6(&ip) : put_ip4(&ip);
    buf_addf(&ip, "/%u", len);
    *out = span_of(ip.data);
    put_address(b, v6, out->low);
    buf_addf(b, "/%u", len);
}

/* False: the file contradicts itself, which chance brings about. */
static bool scope_random(struct scope *s)
{
    auto_buf yaml = {0};
    size_t allow = 1 + below(ENTRIES), deny = below(ENTRIES);

    buf_adds(&yaml, "version: 1\nscope:\n  allow:\n");
    for (size_t i = 0; i < allow; i++) {
        buf_adds(&yaml, "    - target: '");
        put_prefix(&yaml, &s->allow[s->n_allow++]);
        buf_adds(&yaml, "'\n");
    }
    if (one_in(2)) {
        buf_adds(&yaml, "    - {target: www.example.org, within: ['198.51.100.0/24']}\n");
        s->allow[s->n_allow++] = span_of("198.51.100.0/24");
    }
    buf_adds(&yaml, deny ? "  deny:\n" : "");
    for (size_t i = 0; i < deny; i++) {
        buf_adds(&yaml, "    - target: '");
        put_prefix(&yaml, &s->deny[s->n_deny++]);
        buf_adds(&yaml, "'\n");
    }
    if (policy_parse(yaml.data, yaml.len, "random", &s->policy, ERR) < 0) {
        return false;
    }
    s->text = buf_take(&yaml);
    return true;
}

static void scopes_open(void)
{
    static const char *const built_in[] = {
        "127.0.0.0/8",    "::1",           "10.0.0.0/8", "172.16.0.0/12",
        "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"};

    for (size_t i = 0; i < ARRAY_LEN(hard); i++) {
        hard_spans[i] = span_of(hard[i]);
    }
    scopes[0].policy = policy_builtin();
    for (size_t i = 0; i < ARRAY_LEN(built_in); i++) {
        scopes[0].allow[scopes[0].n_allow++] = span_of(built_in[i]);
    }
    for (size_t i = 1, tries = 0; i < POLICIES; i++) {
        while (!scope_random(&scopes[i])) {
            scopes[i] = (struct scope){0};
            if (++tries > 1000) {
                tap_fail(__FILE__, __LINE__, "no scope is taken: %s", tap_err.msg);
            }
        }
    }
}

/* ---- nmap's options, as this test understands them ---- */

static const char *const old_flags =
    " -sS -sT -sU -sA -sW -sM -sN -sF -sX -sn -sV -Pn -n -R -6 -r -F -O -v -vv -vvv -d -dd -T0 -T1 "
    "-T2 -T3 -T4 -T5 --open --reason --traceroute --packet-trace ";
static const char *const old_values =
    " --top-ports --max-retries --host-timeout --scan-delay --max-scan-delay --min-rate --max-rate "
    "--min-parallelism --max-parallelism --min-hostgroup --max-hostgroup --max-rtt-timeout "
    "--min-rtt-timeout --initial-rtt-timeout --mtu ";
static const char *const plain_flags =
    " -sS -sT -sU -sA -sW -sn -sL -sV -Pn -PE -PP -PM -PS -PA -PU -PY -PO -n -R -6 -r -F -O -v -vv "
    "-vvv -d -T0 -T1 -T2 -T3 -T4 -T5 --open --reason --traceroute --disable-arp-ping "
    "--version-light --version-all --osscan-limit --osscan-guess --defeat-rst-ratelimit "
    "--defeat-icmp-ratelimit --randomize-hosts ";
static const char *const plain_values =
    " --top-ports --max-retries --host-timeout --scan-delay --max-scan-delay --min-rate --max-rate "
    "--min-parallelism --max-parallelism --min-hostgroup --max-hostgroup --max-rtt-timeout "
    "--min-rtt-timeout --initial-rtt-timeout --version-intensity --max-os-tries --script-timeout ";
static const char *const advanced_flags =
    " -sM -sN -sF -sX -sO -sY -sZ -dd --packet-trace --version-trace --script-trace ";
static const char *const advanced_values = " -g --source-port --ttl --data-length ";
static const char *const unsafe_flags = " -f -ff --badsum --adler32 --send-eth --send-ip "
                                        "--release-memory ";
static const char *const unsafe_values = " --mtu ";

struct asked {
    bool old, unsafe, advanced;
    enum script_level scripts;
    unsigned script_flags;
};

static bool has_word(const char *list, const char *word)
{
    auto_free char *padded = str_fmt(" %s ", word);

    return word[0] && !strchr(word, ' ') && strstr(list, padded);
}

static bool may(const struct asked *q, const char *old, const char *plain, const char *advanced,
                const char *unsafe, const char *word)
{
    if (q->old && has_word(old, word)) {
        return true;
    }
    if (q->old && !q->unsafe) {
        return false;
    }
    return has_word(plain, word) || ((q->advanced || q->unsafe) && has_word(advanced, word)) ||
           (q->unsafe && has_word(unsafe, word));
}

static bool only(const char *s, const char *set)
{
    return *s && strspn(s, set) == strlen(s);
}

#define DIGITS "0123456789"

static bool is_time(const char *s)
{
    const char *unit = s + strspn(s, DIGITS);

    return unit > s && has_word(" ms s m h x ", *unit ? unit : "x");
}

/* Names begin with the category that forbids them: see scripts_text. */
static bool scripts_ok(const struct asked *q, const char *s)
{
    auto_free char *copy = xstrdup(s);
    char *at = copy;

    for (char *name; (name = strsep(&at, ",")) != NULL;) {
        enum script_level from = str_starts(name, "safe-")        ? SCRIPTS_SAFE
                                 : str_starts(name, "intrusive-") ? SCRIPTS_STANDARD
                                 : str_starts(name, "auth-")      ? SCRIPTS_STANDARD
                                                                  : SCRIPTS_AGGRESSIVE;
        bool flag = (str_starts(name, "dos-") && q->script_flags & SCRIPT_DOS) ||
                    (str_starts(name, "external-") && q->script_flags & SCRIPT_EXTERNAL) ||
                    (str_starts(name, "brute-") && q->script_flags & SCRIPT_BRUTE);

        if (q->scripts == SCRIPTS_NONE || !str_eq(strchr(name, '-'), "-x") ||
            (!flag &&
             (q->scripts < from || !has_word(" safe-x intrusive-x auth-x brute-x ", name)))) {
            return false;
        }
    }
    return true;
}

/* A value that stands apart from its name. */
static bool value_ok(const struct asked *q, const char *name, const char *v)
{
    static const char *const hex = DIGITS "abcdefABCDEF";
    bool wide = !q->old || q->unsafe;

    if (may(q, old_values, plain_values, advanced_values, unsafe_values, name)) {
        return strstr(name, "time") || strstr(name, "delay") ? is_time(v) : only(v, DIGITS);
    }
    if (wide && str_eq(name, "--script")) {
        return scripts_ok(q, v);
    }
    if (wide && str_eq(name, "--script-args")) {
        return str_starts(v, "vulns.showall=\"") || str_starts(v, "http.useragent=\"");
    }
    if (wide && str_eq(name, "--exclude-ports")) {
        return only(v, DIGITS ",-TUS:") && v[0] != '-';
    }
    if (!q->unsafe) {
        return false;
    }
    if (str_eq(name, "-S")) {
        return only(v, DIGITS "abcdef.:");
    }
    if (str_eq(name, "-D")) {
        return only(v, DIGITS "abcdef.:,MERND") && v[0] != ',';
    }
    if (str_eq(name, "-e") || str_eq(name, "--nsock-engine")) {
        return (v[0] | 32) >= 'a' && (v[0] | 32) <= 'z' && strlen(v) < 16 && !strpbrk(v, "/.=,: ");
    }
    return (str_eq(name, "--spoof-mac") &&
            (str_eq(v, "0") || (only(v, DIGITS "abcdefABCDEF:") && strlen(v) == 17))) ||
           (str_eq(name, "--data") && only(v, hex)) ||
           (str_eq(name, "--scanflags") && only(v, DIGITS "URGACKPSHTYNFIEW"));
}

static bool takes_value(const char *name)
{
    return has_word(old_values, name) || has_word(plain_values, name) ||
           has_word(advanced_values, name) ||
           has_word(" --script --script-args --exclude-ports -S "
                    "-D -e --nsock-engine --spoof-mac --data "
                    "--scanflags ",
                    name);
}

static bool flag_ok(const struct asked *q, const char *word)
{
    auto_free char *name = xstrndup(word, 3);

    if (may(q, old_flags, plain_flags, advanced_flags, unsafe_flags, word)) {
        return true;
    }
    return (!q->old || q->unsafe) && has_word(" -PS -PA -PU -PY -PO ", name) &&
           only(word + 3, DIGITS ",-") && word[3] != '-';
}

/* The first word that has no business there; NULL: none. */
static const char *wrong_word(const struct asked *q, const struct strvec *argv,
                              const struct tool_start *s)
{
    static const char *const begin[] = {"-oX",           "-", "--no-stylesheet", "--noninteractive",
                                        "--stats-every", "1s"};
    size_t end = argv->n - 2, i = 1;

    if (argv->n < 11 || !str_eq(argv->v[0], s->program) || !str_eq(argv->v[end], "-iL") ||
        !str_eq(argv->v[end + 1], "targets")) {
        return "the frame";
    }
    for (size_t k = 0; k < ARRAY_LEN(begin); k++, i++) {
        if (!str_eq(argv->v[i], begin[k])) {
            return argv->v[i];
        }
    }
    if (!str_eq(argv->v[i++], s->raw_sockets ? "--privileged" : "--unprivileged") ||
        !str_eq(argv->v[i++], "-n")) {
        return argv->v[i - 1];
    }
    for (; i < end; i++) {
        const char *word = argv->v[i];

        if (str_eq(word, "-p") && i + 1 < end) { /* the server's own: from `ports` */
            if (!only(argv->v[++i], DIGITS ",-TUS:") || argv->v[i][0] == '-') {
                return argv->v[i];
            }
        } else if (takes_value(word) && i + 1 < end) {
            bool limit = has_word(" --max-rate --host-timeout --min-rate ", word);
            const struct asked *by = limit ? &(struct asked){0} : q; /* the server's own too */

            if (!value_ok(by, word, argv->v[++i])) {
                return word;
            }
        } else if (!flag_ok(q, word) && !has_word(" -6 -PE -PS80,443 -sT ", word)) {
            return word;
        }
    }
    return NULL;
}

/* ---- random requests ---- */

static const char scripts_text[] =
    "Entry { filename = \"safe-x.nse\", categories = { \"default\", \"safe\", } }\n"
    "Entry { filename = \"intrusive-x.nse\", categories = { \"intrusive\", \"vuln\", } }\n"
    "Entry { filename = \"auth-x.nse\", categories = { \"auth\", \"default\", } }\n"
    "Entry { filename = \"brute-x.nse\", categories = { \"brute\", } }\n"
    "Entry { filename = \"dos-x.nse\", categories = { \"dos\", \"safe\", } }\n"
    "Entry { filename = \"external-x.nse\", categories = { \"external\", \"safe\", } }\n";

static const char *const garbage[] = {"/etc/passwd",
                                      "./x.nse",
                                      "-",
                                      "--",
                                      "",
                                      "*",
                                      "$(id)",
                                      "`id`",
                                      "\\\\x",
                                      "'a b'",
                                      "\"/etc/x\"",
                                      "../x",
                                      "\t",
                                      "-oX/x",
                                      "-oN",
                                      "@x",
                                      "-iL",
                                      "0",
                                      "1-65535",
                                      "22,80",
                                      "5s",
                                      "10ms",
                                      "3",
                                      "RND:5,ME",
                                      "SYN",
                                      "eth0",
                                      "T:22",
                                      "127.0.0.1",
                                      "safe,auth-x",
                                      "all",
                                      "\xff",
                                      "aabb",
                                      "safe-x",
                                      "epoll",
                                      "U:53,80",
                                      "fd00::1",
                                      "00:11:22:33:44:55",
                                      "http.useragent=x",
                                      "vulns.showall=1,newtargets=1",
                                      "userdb=/etc/passwd"};

/* The name, or something that looks like it. */
static void put_mangled(struct buf *b, const char *name)
{
    size_t n = strlen(name), from = b->len;

    switch (below(8)) {
    case 0:
        buf_add(b, name, n - 1);
        break;
    case 1:
        buf_addf(b, "%s_", name);
        break;
    case 2:
        buf_adds(b, name + (n > 2));
        break;
    case 3:
        buf_addf(b, "-%s", name);
        break;
    case 4:
        buf_addf(b, "%s=", name);
        break;
    case 5:
        buf_adds(b, name);
        b->data[from + below((unsigned)n)] = "_/=-oX \n"[below(8)];
        break;
    case 6:
        buf_adds(b, name);
        b->data[from + below((unsigned)n)] ^= 32;
        break;
    default:
        buf_addf(b, "%s%s", name, ANY_OF(garbage));
    }
}

static void put_value(struct buf *b, const struct tool_option *o)
{
    static const char *const ports[] = {"22", "1-5,80", "T:1-9,U:53", "0-65535", "443,1"};
    static const char *const words[] = {"safe", "default,vuln", "safe-x,auth-x", "brute-x", "dos"};

    if (one_in(5)) {
        buf_adds(b, ANY_OF(garbage));
        return;
    }
    switch (o->value) {
    case TOOL_COUNT:
    case TOOL_RATE:
        buf_addf(b, "%u", below(one_in(3) ? 70000 : 12));
        break;
    case TOOL_TIME:
        buf_addf(b, "%u%s", below(2000), ANY_OF(((const char *const[]){"", "ms", "s", "m", "h"})));
        break;
    case TOOL_PORTS:
    case TOOL_PROTOCOLS:
        buf_adds(b, ANY_OF(ports));
        break;
    case TOOL_SCRIPTS:
        buf_adds(b, ANY_OF(words));
        break;
    default:
        buf_adds(b, garbage[15 + below(ARRAY_LEN(garbage) - 15)]);
    }
}

static const struct tool_option *any_row(void)
{
    static unsigned rows;

    while (tool_nmap.options[rows].name) {
        rows++;
    }
    return &tool_nmap.options[below(rows)];
}

static void put_arguments(struct buf *b)
{
    for (unsigned n = below(WORDS); n > 0; n--) {
        const struct tool_option *o = any_row();

        if (one_in(30)) {
            buf_adds(b, ANY_OF(garbage));
        } else if (one_in(30)) {
            unsigned refusals = 0;

            while (tool_nmap.refusals[refusals].name) {
                refusals++;
            }
            buf_adds(b, tool_nmap.refusals[below(refusals)].name);
        } else if (one_in(20)) {
            put_mangled(b, o->name);
        } else {
            buf_adds(b, o->name);
            if (o->value != TOOL_FLAG && !one_in(20)) {
                buf_adds(b, o->glued || (o->apart && one_in(2)) ? "" : one_in(2) ? "=" : " ");
                put_value(b, o);
            }
        }
        buf_addc(b, ' ');
    }
}

static void put_target(struct buf *b, bool v6)
{
    static const char *const names[] = {
        "www.example.org",          "WWW.Example.org", "localhost", "a.b",
        "metadata.google.internal", "x.internal"};
    static const char *const odd[] = {
        "127.1",
        "0x7f.1",
        "2130706433",
        "010.0.0.1",
        "10.0.0.1/33",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "fe80::1%lo",
        "[::1]",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "*.*.*.*",
        "10.0.0.250-",
        "evil.example/24",
        "10.0.0.-2",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "::",
        "0:0:0:0:0:0:0:1",
        "1.2.3.4.",
        "10.0.0.1\\n8.8.8.8",
        "'10.0.0.1 8.8.8.8'",
        "10.0.0.1,8.8.8.8",
        "-iL",
        "10.0.0.0-10.0.1.255",
        "::ffff:0:0/96",
        "10.0.0,1.1",
        "@targets",
        "0xa000001",
        "10.0.0.256",
    };

    if (one_in(15)) {
        buf_adds(b, ANY_OF(odd));
    } else if (one_in(6)) {
        buf_adds(b, ANY_OF(names));
    } else if (v6) {
        put_ip6(b);
        if (one_in(3)) {
            buf_addf(b, "/%u", 128 - below(12));
        }
    } else {
        put_ip4(b);
        switch (below(6)) {
        case 0:
            buf_addf(b, "/%u", 32 - below(12));
            break;
        case 1:
            buf_addf(b, "-%u", below(256));
            break;
        case 2:
            buf_addf(b, ",%u-%u", below(256), below(256));
            break;
        default:
            break;
        }
    }
}

/* Near an entry of the scope: inside, or just beyond one of its ends. */
static void put_near(struct buf *b, const struct scope *s)
{
    const struct span *near = &s->allow[below((unsigned)s->n_allow)];
    u128 room = near->high - near->low, ip = near->low + (room ? chance() % room : 0);

    ip = one_in(6) ? near->high : ip;
    put_address(b, near->v6, one_in(8) ? ip + 1 : ip);
    if (one_in(3)) {
        buf_addf(b, "/%u", (near->v6 ? 128 : 32) - below(9));
    }
}

static void put_targets(struct buf *b, const struct scope *s)
{
    bool v6 = one_in(4);

    do {
        if (one_in(2)) {
            put_near(b, s);
        } else {
            put_target(b, v6);
        }
        buf_addc(b, ' ');
    } while (one_in(3));
}

/* Members of the `options` object. */
static void push_members(struct strvec *tokens)
{
    for (unsigned n = below(4); n > 0; n--) {
        const struct tool_option *o = any_row();
        auto_buf value = {0};

        put_value(&value, o);
        (void)tool_option_tokens(&tool_nmap, o->field && !one_in(20) ? o->field : ANY_OF(garbage),
                                 o->word && !one_in(9) ? o->word
                                 : o->value == TOOL_FLAG && !one_in(9)
                                     ? NULL
                                     : (value.data ? value.data : ""),
                                 tokens, NULL);
    }
}

/* What a resolver could have answered. */
static void put_pins(const struct target_set *t, struct buf *b)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        buf_addf(b, "%s%s=", i ? "," : "", t->pins[i].name);
        one_in(4) ? put_ip6(b) : put_ip4(b);
        if (one_in(3)) {
            buf_addc(b, '+');
            put_ip4(b);
        }
    }
}

/* ---- one request ---- */

struct tally {
    uint64_t understood, judged, started;
};

static void check_places(const struct scope *s, const struct tool_plan *plan,
                         const struct policy_verdict *v, const char *request)
{
    auto_buf lines = {0}, hosts = {0};
    char *at, *line;
    struct span span;
    bool numeric = one_in(2);

    target_set_lines(&plan->targets, numeric, &lines);
    target_set_hosts(&plan->targets, &hosts);
    buf_adds(&lines, "");
    buf_adds(&hosts, "");
    for (at = lines.data; (line = strsep(&at, "\n")) != NULL;) {
        bool name = strlen(line) > 0 && !read_span(line, &span);

        if (*line && !name && !span_allowed(s, &span)) {
            tap_fail(__FILE__, __LINE__, "target '%s' is outside: %s\n%s", line, request, s->text);
        }
        if (name && (numeric || !strstr(hosts.data, line) || strchr("-/.@", line[0]))) {
            tap_fail(__FILE__, __LINE__, "target '%s' has no place: %s", line, request);
        }
    }
    for (at = hosts.data; (line = strsep(&at, "\n")) != NULL;) {
        char *space = strpbrk(line, " \t");

        if (!*line) {
            continue;
        }
        CHECK(space != NULL);
        *space = '\0';
        if (!read_span(line, &span) || !span_allowed(s, &span)) {
            tap_fail(__FILE__, __LINE__, "host '%s' is outside: %s\n%s", line, request, s->text);
        }
    }
    for (size_t i = 0; i < v->allowed.n; i++) {
        char text[NET_TEXT];

        net_range_text(&v->allowed.v[i], text);
        if (!read_span(text, &span) || !span_allowed(s, &span)) {
            tap_fail(__FILE__, __LINE__, "the filter lets '%s' out: %s\n%s", text, request,
                     s->text);
        }
    }
}

static void check_start(const struct asked *q, const struct tool_plan *plan, const char *request,
                        struct tally *sum)
{
    struct tool_start start = {.program = "/usr/bin/nmap",
                               .raw_sockets = !one_in(3),
                               .user_stack = one_in(5),
                               .rate_pps = one_in(2) ? 1000 : 0,
                               .wall_s = one_in(2) ? 60 : 0};
    auto_strvec argv = {0};
    const char *wrong;

    start.broker = !start.raw_sockets && one_in(2);
    if (tool_nmap.build_argv(plan, &start, &argv, NULL, NULL) < 0) {
        return;
    }
    sum->started++;
    wrong = wrong_word(q, &argv, &start);
    for (size_t i = 1; i < argv.n && !wrong; i++) {
        wrong = argv.v[i][0] == '\0' || strchr("/.~", argv.v[i][0]) ? argv.v[i] : NULL;
    }
    if (wrong) {
        tap_fail(__FILE__, __LINE__, "'%s' reached nmap: %s", wrong, request);
    }
}

static void one_request(const struct nse_db *db, struct tally *sum)
{
    const struct scope *s = &scopes[below(POLICIES)];
    struct asked q = {.old = one_in(4),
                      .unsafe = one_in(4),
                      .advanced = one_in(2),
                      .scripts = (enum script_level)below(4),
                      .script_flags = one_in(2) ? below(32) : 0};
    auto_buf targets = {0}, arguments = {0}, pins = {0};
    auto_strvec tokens = {0};
    auto_plan plan = {0};
    struct policy_verdict verdict = {0};
    struct err e = {0};

    put_targets(&targets, s);
    put_arguments(&arguments);
    buf_adds(&arguments, "");
    if (!q.old && one_in(3) && shell_split(arguments.data, &tokens, NULL) == 0) {
        push_members(&tokens);
    }
    struct tool_request request = {.targets = targets.data,
                                   .ports = one_in(2)   ? NULL
                                            : one_in(6) ? ANY_OF(garbage)
                                                        : "22,80",
                                   .arguments = arguments.data,
                                   .tokens = tokens.n ? &tokens : NULL,
                                   .old = q.old,
                                   .unsafe = q.unsafe,
                                   .advanced = q.advanced,
                                   .scripts = q.scripts,
                                   .script_flags = q.script_flags,
                                   .nse = db};
    auto_free char *said =
        str_fmt("targets \"%s\" arguments \"%s\" old %d unsafe %d advanced %d "
                "scripts %d",
                targets.data, arguments.data, q.old, q.unsafe, q.advanced, q.scripts);

    if (tool_check(&tool_nmap, &request, &plan, &e) < 0) {
        CHECK(e.code == ERR_INVALID || e.code == ERR_SCOPE);
        CHECK(e.msg[0] != '\0');
        return;
    }
    sum->understood++;
    check_start(&q, &plan, said, sum);
    put_pins(&plan.targets, &pins);
    if (plan.targets.n_pins && pins_apply(&plan.targets, pins.data, &e) < 0) {
        return;
    }
    if (policy_judge(s->policy,
                     &(struct policy_ask){.tool = "nmap",
                                          .targets = &plan.targets,
                                          .ports = plan.ports,
                                          .n_ports = plan.n_ports,
                                          .protocols = plan.protocols,
                                          .now_us = INT64_C(1800000000000000)},
                     &verdict, &e) == 0) {
        sum->judged++;
        check_places(s, &plan, &verdict, said);
    }
    policy_verdict_done(&verdict);
}

static void no_request_brings_a_word_or_an_address_that_was_not_allowed(void)
{
    const char *count = getenv("SCANPOD_RANDOM_REQUESTS"), *seed = getenv("SCANPOD_RANDOM_SEED");
    uint64_t n = 1000000;
    struct nse_db *db = NULL;
    struct tally sum = {0};

    CHECK(!count || str_to_u64(count, 1, UINT64_MAX, &n));
    state = (uint64_t)time(NULL) * 1000003 ^ (uint64_t)getpid();
    CHECK(!seed || str_to_u64(seed, 0, UINT64_MAX, &state));
    printf("# SCANPOD_RANDOM_SEED=%" PRIu64 " SCANPOD_RANDOM_REQUESTS=%" PRIu64 "\n", state, n);
    fflush(stdout);
    CHECK_OK(nse_parse(scripts_text, strlen(scripts_text), &db, ERR));
    scopes_open();
    for (uint64_t i = 0; i < n; i++) {
        one_request(db, &sum);
    }
    printf("# %" PRIu64 " understood, %" PRIu64 " started, %" PRIu64 " allowed by the policy\n",
           sum.understood, sum.started, sum.judged);
    for (size_t i = 0; i < POLICIES; i++) {
        policy_unref(scopes[i].policy);
        free(scopes[i].text);
    }
    nse_free(db);
    /* Else the test has tried nothing. */
    CHECK(sum.understood * 10 > n);
    CHECK(sum.started * 10 > n);
    CHECK(sum.judged * 40 > n);
}

TESTS(no_request_brings_a_word_or_an_address_that_was_not_allowed)
