#include "report/formats.h"

#include <string.h>

const struct report_format *const report_formats[] = {
    &report_nmap_xml, &report_grepable, &report_csv, &report_ndjson,
    &report_markdown, &report_html,     NULL,
};

const struct report_format *report_find(const char *name)
{
    for (const struct report_format *const *f = report_formats; *f; f++) {
        if (strcmp((*f)->name, name) == 0) {
            return *f;
        }
    }
    return NULL;
}
