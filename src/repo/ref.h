/* ref - more words of a request that git will see, checked. Private to repo/; repo_ref_check() is
 * in repo/spec.h. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum { REPO_SUBDIR_MAX = 1024 };

bool repo_is_commit(const char *s);                  /* 40 or 64 digits, lower case */
int repo_commit_check(const char *s, struct err *e); /* of either case */
int repo_subdir_check(const char *s, struct err *e);
