/*
 * parse_scan - how fast output of masscan and zmap is read: parse_scan [RECORDS].
 *
 * A million findings of random addresses and a few ports, in random order, as both tools write
 * them, made here. Two readers of the same bytes, in turn, median of five: a search for line ends,
 * which no reader can do without; and the parser, with a sink that takes everything and does
 * nothing. Both get 64 KiB at a time. Processor time counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "parse/parse.h"

enum { ROUNDS = 5, SLICE = 64 * 1024, WANTED = 200 };

struct record {
    uint32_t address;
    unsigned port, closed;
    long time;
};

static const unsigned ports[] = {80, 443, 22, 8080, 21, 25, 3306, 3389, 53, 5900};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct record random_record(uint64_t *state)
{
    uint64_t v = next(state);

    return (struct record){.address = (uint32_t)v,
                           .port = ports[(v >> 32) % ARRAY_LEN(ports)],
                           .closed = (v >> 40) % 8 == 0,
                           .time = 1795299519 + (long)((v >> 44) % 600)};
}

#define QUAD(r) \
    (r)->address >> 24, (r)->address >> 16 & 255, (r)->address >> 8 & 255, (r)->address & 255

static void masscan_json(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(
        b,
        "%s{   \"ip\": \"%u.%u.%u.%u\",   \"timestamp\": \"%ld\", \"ports\": [ {\"port\": %u, "
        "\"proto\": \"tcp\", \"status\": \"open\", \"reason\": \"syn-ack\", \"ttl\": 64} ] }\n",
        i ? ",\n" : "[\n", QUAD(r), r->time, r->port);
}

static void masscan_ndjson(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b,
             "{\"ip\":\"%u.%u.%u.%u\",\"timestamp\":\"%ld\",\"port\":%u,\"proto\":\"tcp\","
             "\"rec_type\":\"status\",\"data\":{\"status\":\"open\",\"reason\":\"syn-ack\",\"ttl\":"
             "64}}\n",
             QUAD(r), r->time, r->port);
}

static void masscan_list(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b, "%sopen tcp %u %u.%u.%u.%u %ld\n", i ? "" : "#masscan\n", r->port, QUAD(r),
             r->time);
}

static void zmap_csv(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b, "%s%u.%u.%u.%u,%u,%s,%d,64,%ld\n",
             i ? "" : "saddr,sport,classification,success,ttl,timestamp_ts\n", QUAD(r), r->port,
             r->closed ? "rst" : "synack", !r->closed, r->time);
}

static void zmap_csv_all(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b,
             "%s%u.%u.%u.%u,%u,10.77.0.2,33574154,0,64,%u,58278,3146823152,1002062647,64240,1460,"
             "1024,1,,,%s,%d,,,,,0,0,2026-11-21T22:23:54.707+0000,%ld,707728\n",
             i ? ""
               : "saddr,saddr_raw,daddr,daddr_raw,ipid,ttl,sport,dport,seqnum,acknum,window,"
                 "tcpopt_mss,tcpopt_wscale,tcpopt_sack_perm,tcpopt_ts_val,tcpopt_ts_ecr,"
                 "classification,success,icmp_responder,icmp_type,icmp_code,icmp_unreach_str,"
                 "repeat,cooldown,timestamp_str,timestamp_ts,timestamp_us\n",
             QUAD(r), r->address, r->port, r->closed ? "rst" : "synack", !r->closed, r->time);
}

static void zmap_json(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b,
             "{\"saddr\":\"%u.%u.%u.%u\",\"ttl\":64,\"sport\":%u,\"classification\":\"%s\","
             "\"success\":%s,\"repeat\":false,\"timestamp_ts\":%ld}\n",
             QUAD(r), r->port, r->closed ? "rst" : "synack", r->closed ? "false" : "true", r->time);
}

static void zmap_list(struct buf *b, const struct record *r, size_t i)
{
    buf_addf(b, "%u.%u.%u.%u\n", QUAD(r));
}

static const struct {
    const char *name, *end;
    const struct parser *parser;
    void (*add)(struct buf *b, const struct record *r, size_t i);
    bool bound; /* this one must reach WANTED */
} files[] = {
    {"masscan JSON", "]\n", &parser_masscan, masscan_json, true},
    {"masscan ndjson", "", &parser_masscan, masscan_ndjson, false},
    {"masscan list", "# end\n", &parser_masscan, masscan_list, false},
    {"zmap CSV", "", &parser_zmap, zmap_csv, true},
    {"zmap CSV, all fields", "", &parser_zmap, zmap_csv_all, false},
    {"zmap JSON", "", &parser_zmap, zmap_json, false},
    {"zmap addresses", "", &parser_zmap, zmap_list, false},
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "parse_scan: %s\n", what);
        exit(1);
    }
}

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t lines;

static void run_floor(const char *text, size_t n)
{
    lines = 0;
    for (size_t at = 0; at < n; at += SLICE) {
        const char *s = text + at;
        const char *end = s + MIN((size_t)SLICE, n - at);

        while ((s = memchr(s, '\n', (size_t)(end - s)))) {
            s++;
            lines++;
        }
    }
}

struct counts {
    size_t hosts, ports;
};

static int count_host(void *arg, const struct host *h, struct err *e)
{
    struct counts *c = arg;

    c->hosts++;
    c->ports += h->n_ports;
    return 0;
}

static struct counts run_parser(const struct parser *parser, const char *text, size_t n)
{
    struct counts c = {0};
    const struct parse_sink sink = {.host = count_host, .arg = &c};
    void *p = parser->new (&sink);
    struct err e;

    for (size_t at = 0; at < n; at += SLICE) {
        must(parser->feed(p, text + at, MIN((size_t)SLICE, n - at), &e) == 0, e.msg);
    }
    must(parser->finish(p, &e) == 0, e.msg);
    parser->free(p);
    return c;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool measure(size_t i, size_t records)
{
    double rate[2][ROUNDS];
    struct buf text = {0};
    struct counts c = {0};
    uint64_t state = UINT64_C(88172645463325252);
    double floor_rate, ours;

    for (size_t k = 0; k < records; k++) {
        struct record r = random_record(&state);

        files[i].add(&text, &r, k);
    }
    buf_adds(&text, files[i].end);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double begin = cpu_us();

        run_floor(text.data, text.len);
        rate[0][round] = (double)text.len / (cpu_us() - begin);
        begin = cpu_us();
        c = run_parser(files[i].parser, text.data, text.len);
        rate[1][round] = (double)text.len / (cpu_us() - begin);
    }
    qsort(rate[0], ROUNDS, sizeof rate[0][0], by_value);
    qsort(rate[1], ROUNDS, sizeof rate[1][0], by_value);
    floor_rate = rate[0][ROUNDS / 2];
    ours = rate[1][ROUNDS / 2];
    printf("%-22s %6.1f MB  line ends %8.1f MB/s  parser %7.1f MB/s  %5.1f ns a record  %zu hosts, "
           "%zu open%s\n",
           files[i].name, (double)text.len / 1e6, floor_rate, ours,
           (double)text.len / (double)records / ours * 1e3, c.hosts, c.ports,
           files[i].bound && ours < WANTED ? "  TOO SLOW" : "");
    buf_done(&text);
    return !files[i].bound || ours >= WANTED;
}

/* What the parser needs beside its input, which is thrown away piece by piece here. */
static void measure_memory(size_t records)
{
    struct counts c = {0};
    const struct parse_sink sink = {.host = count_host, .arg = &c};
    void *p = parser_zmap.new(&sink);
    struct buf piece = {0};
    uint64_t state = UINT64_C(88172645463325252);
    struct rusage use;
    struct err e;

    for (size_t k = 0; k < records; k++) {
        struct record r = random_record(&state);

        zmap_csv(&piece, &r, k);
        if (piece.len > SLICE) {
            must(parser_zmap.feed(p, piece.data, piece.len, &e) == 0, e.msg);
            buf_reset(&piece);
        }
    }
    must(parser_zmap.feed(p, piece.data, piece.len, &e) == 0, e.msg);
    must(parser_zmap.finish(p, &e) == 0, e.msg);
    parser_zmap.free(p);
    buf_done(&piece);
    getrusage(RUSAGE_SELF, &use);
    printf("memory of the process  %6.1f MiB with %zu records\n", (double)use.ru_maxrss / 1024,
           records);
}

int main(int argc, char **argv)
{
    uint64_t records = 1000000;
    bool ok = true;

    must(argc < 3 && (argc == 1 || str_to_u64(argv[1], 1, 100000000, &records)),
         "usage: parse_scan [RECORDS]");
    measure_memory(records / 10 + 1);
    measure_memory(records);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        ok &= measure(i, records);
    }
    return ok ? 0 : 1;
}
