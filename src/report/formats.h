/* formats - the writers that report_formats[] lists. */
#pragma once

#include "report/report.h"

extern const struct report_format report_nmap_xml, report_grepable, report_csv, report_ndjson,
    report_markdown, report_html;
