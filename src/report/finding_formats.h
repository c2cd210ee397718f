/* finding_formats - the writers that findings_formats[] lists. */
#pragma once

#include "report/findings.h"

extern const struct findings_format findings_sarif, findings_json, findings_ndjson, findings_csv,
    findings_markdown, findings_html;
