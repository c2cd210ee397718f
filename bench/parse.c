/*
 * parse - how fast nmap XML is read: parse FILE.
 *
 * Three readers of the same bytes in one process, in turn, median of five: expat with handlers
 * that do nothing; expat with a plain struct for each host and port and strings copied into an
 * arena; the parser with a sink that takes everything and does nothing. All get 64 KiB at a time.
 * Processor time counts, so that other work on the machine disturbs less.
 */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "parse/parse.h"

enum { ROUNDS = 5, SLICE = 64 * 1024 };

struct counts {
    size_t hosts, ports;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "parse: %s\n", what);
        exit(1);
    }
}

static void expat_run(XML_Parser xml, const char *text, size_t n)
{
    for (size_t at = 0; at < n; at += SLICE) {
        size_t k = MIN((size_t)SLICE, n - at);

        must(XML_Parse(xml, text + at, (int)k, at + k == n) == XML_STATUS_OK, "expat failed");
    }
    XML_ParserFree(xml);
}

/* --- expat alone --- */

static void empty_start(void *arg, const char *name, const char **atts)
{
}

static void empty_end(void *arg, const char *name)
{
}

static void run_empty(const char *text, size_t n, struct counts *c)
{
    XML_Parser xml = XML_ParserCreate(NULL);

    XML_SetElementHandler(xml, empty_start, empty_end);
    expat_run(xml, text, n);
}

/* --- expat with plain structs: what one would write first --- */

struct plain_port {
    int number;
    const char *protocol, *state, *reason, *name, *product, *version, *extra, *method;
};

struct plain {
    struct counts *counts;
    struct arena *arena;
    const char *address, *state, *hostname;
    struct plain_port ports[1024];
    size_t n;
};

static const char *copy(struct plain *p, const char *s)
{
    return arena_strn(p->arena, s, strlen(s));
}

static void plain_start(void *arg, const char *name, const char **atts)
{
    struct plain *p = arg;
    struct plain_port *port = &p->ports[p->n ? p->n - 1 : 0];

    if (strcmp(name, "host") == 0) {
        arena_reset(p->arena);
        p->n = 0;
    } else if (strcmp(name, "port") == 0) {
        must(p->n < ARRAY_LEN(p->ports), "too many ports");
        port = &p->ports[p->n++];
        *port = (struct plain_port){0};
        for (; *atts; atts += 2) {
            if (strcmp(*atts, "portid") == 0) {
                port->number = (int)strtol(atts[1], NULL, 10);
            } else if (strcmp(*atts, "protocol") == 0) {
                port->protocol = copy(p, atts[1]);
            }
        }
    } else if (strcmp(name, "state") == 0) {
        for (; *atts; atts += 2) {
            if (strcmp(*atts, "state") == 0) {
                port->state = copy(p, atts[1]);
            } else if (strcmp(*atts, "reason") == 0) {
                port->reason = copy(p, atts[1]);
            }
        }
    } else if (strcmp(name, "service") == 0) {
        for (; *atts; atts += 2) {
            const char **to = strcmp(*atts, "name") == 0        ? &port->name
                              : strcmp(*atts, "product") == 0   ? &port->product
                              : strcmp(*atts, "version") == 0   ? &port->version
                              : strcmp(*atts, "extrainfo") == 0 ? &port->extra
                              : strcmp(*atts, "method") == 0    ? &port->method
                                                                : NULL;

            if (to) {
                *to = copy(p, atts[1]);
            }
        }
    } else if (strcmp(name, "address") == 0) {
        p->address = copy(p, atts[1]);
    } else if (strcmp(name, "status") == 0) {
        p->state = copy(p, atts[1]);
    } else if (strcmp(name, "hostname") == 0) {
        p->hostname = copy(p, atts[1]);
    }
}

static void plain_end(void *arg, const char *name)
{
    struct plain *p = arg;

    if (strcmp(name, "host") == 0) {
        p->counts->hosts++;
        p->counts->ports += p->n;
    }
}

static void run_plain(const char *text, size_t n, struct counts *c)
{
    static struct plain p;
    XML_Parser xml = XML_ParserCreate(NULL);

    p = (struct plain){.counts = c, .arena = arena_new()};
    XML_SetUserData(xml, &p);
    XML_SetElementHandler(xml, plain_start, plain_end);
    expat_run(xml, text, n);
    arena_free(p.arena);
}

/* --- ours --- */

static int count_host(void *arg, const struct host *h, struct err *e)
{
    struct counts *c = arg;

    c->hosts++;
    c->ports += h->n_ports;
    return 0;
}

static void run_ours(const char *text, size_t n, struct counts *c)
{
    const struct parse_sink sink = {.host = count_host, .arg = c};
    void *p = parser_nmap_xml.new(&sink);
    struct err e;

    for (size_t at = 0; at < n; at += SLICE) {
        must(parser_nmap_xml.feed(p, text + at, MIN((size_t)SLICE, n - at), &e) == 0, e.msg);
    }
    must(parser_nmap_xml.finish(p, &e) == 0, e.msg);
    parser_nmap_xml.free(p);
}

static const struct {
    const char *name;
    void (*run)(const char *text, size_t n, struct counts *c);
} readers[] = {
    {"expat, empty handlers", run_empty},
    {"expat, plain structs", run_plain},
    {"scanpod", run_ours},
};

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    double rate[ARRAY_LEN(readers)][ROUNDS];
    struct counts counts[ARRAY_LEN(readers)] = {0};
    struct rusage use;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    char *text;
    size_t n;

    must(f, "usage: parse FILE (see bench/gen_nmap_xml.py)");
    fseek(f, 0, SEEK_END);
    n = (size_t)ftell(f);
    rewind(f);
    text = xmalloc(n);
    must(fread(text, 1, n, f) == n, "cannot read the file");
    fclose(f);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
            double begin = cpu_us();

            counts[i] = (struct counts){0};
            readers[i].run(text, n, &counts[i]);
            rate[i][round] = (double)n / (cpu_us() - begin);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        qsort(rate[i], ROUNDS, sizeof rate[i][0], by_value);
        printf("%-22s %8.1f MB/s   %zu hosts, %zu ports\n", readers[i].name, rate[i][ROUNDS / 2],
               counts[i].hosts, counts[i].ports);
    }
    printf("scanpod / empty handlers %6.2f\n", rate[2][ROUNDS / 2] / rate[0][ROUNDS / 2]);
    printf("scanpod / plain structs  %6.2f\n", rate[2][ROUNDS / 2] / rate[1][ROUNDS / 2]);
    getrusage(RUSAGE_SELF, &use);
    printf("memory beside the text   %6.1f MiB\n",
           (double)use.ru_maxrss / 1024 - (double)n / (1 << 20));
    free(text);
    return 0;
}
