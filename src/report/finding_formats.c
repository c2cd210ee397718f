#include "report/finding_formats.h"

#include "base/buf.h"

const struct findings_format *const findings_formats[] = {
    &findings_sarif, &findings_json, &findings_ndjson, &findings_csv, &findings_markdown,
    &findings_html,  NULL,
};

const struct findings_format *findings_format_find(const char *name)
{
    for (const struct findings_format *const *f = findings_formats; *f; f++) {
        if (str_eq((*f)->name, name)) {
            return *f;
        }
    }
    return NULL;
}
