/*
 * Read first by clang-tidy, never by a compiler: what err.h promises in words. An analyser that
 * sees one file at a time cannot know that these never return 0.
 */
#include "base/err.h"

#define err_set(e, code, ...)    (err_set((e), (code), __VA_ARGS__), (code))
#define err_errno(e, ...)        (err_errno((e), __VA_ARGS__), ERR_IO)
#define err_prefix(e, code, ...) (err_prefix((e), (code), __VA_ARGS__), (code))
