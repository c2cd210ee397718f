/*
 * logging - where events go, by the settings: form, level, and a log server.
 */
#pragma once

#include "base/option.h"
#include "daemon/resolver.h"
#include "event/loop.h"
#include "event/syslog.h"

/* log-level, log-format. Early. */
void logging_set_up(const struct option_set *o);
/* log-file: only as the service user. It is rotated by that user, and a directory that the user may
 * write to must not choose by a link which file root appends to. */
int logging_to_file(const struct option_set *o, struct err *e);
/* log-endpoint. *out is NULL where it is not set; else the caller syslog_stop()s it before the
 * resolver goes. */
int logging_ship(struct loop *l, const struct option_set *o, struct resolver *r,
                 struct syslog **out, struct err *e);
