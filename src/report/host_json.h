/*
 * host_json - hosts and ports as the JSON of the API and of NDJSON. Members that the tool did not
 * speak of are left out.
 */
#pragma once

#include "base/json.h"
#include "model/host.h"

/* What comes behind `seq` and `address`, and the beginning of `ports`, which stays open. */
void host_json_members(struct json *j, const struct host *h);
/* A port as an element of `ports`. nameless: what stands for a service that has no name. */
void port_json(struct json *j, const struct port *p, const char *nameless);
