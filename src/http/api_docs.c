/*
 * The description of the interface, embedded by the build, and a page that leads to it.
 */
#include <string.h>

#include "http/api_docs.h"
#include "http/api_priv.h"

void api_openapi(struct http_req *r, void *app)
{
    http_not_stored(r);
    http_reply(r, 200, "application/json", openapi_json, openapi_json_len);
}

static const char page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<title>ScanPod</title>\n"
    "<h1>ScanPod</h1>\n"
    "<p>The interface is described in <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).\n"
    "<p>New clients use <code>/api/v1</code>; <code>/scans</code> and <code>/health</code> are "
    "the routes of the older service.\n"
    "</html>\n";

void api_docs(struct http_req *r, void *app)
{
    http_not_stored(r);
    http_add_header(r, "Content-Security-Policy", "default-src 'none'");
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    http_reply(r, 200, "text/html; charset=utf-8", page, sizeof page - 1);
}
