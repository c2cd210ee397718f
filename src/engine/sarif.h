/*
 * sarif - engines that the configuration declares: any program that writes SARIF 2.1.0.
 *
 * A file (YAML, setting `engines-file`, docs/engines.md):
 *
 *     version: 1
 *     engines:
 *       - name: semgrep                     # [a-z][a-z0-9-]{0,30}, not a built-in one
 *         summary: patterns of many languages
 *         program: /usr/local/bin/semgrep   # absolute
 *         arguments: [scan, --config, /opt/rules, --sarif, "--output={output}", "{tree}"]
 *         output: file                      # stdout | file: {output} in arguments
 *         ok_exit: [0, 1]                   # default [0]
 *         languages: [any]                  # c, c++, python, shell, any; default [any]
 *         paths: [/opt/rules]               # shown read-only beside /usr
 *         env: {SEMGREP_SEND_METRICS: "off"}
 *         confidence: 0.6                   # default: what its rules say, else 0.5
 *         default: true                     # run when nobody names engines; default false
 *         limits: {wall_s: 600, memory_mb: 2048}
 *
 * {tree} is the tree, {list} a file with the names of the files, {output} the file to write: in an
 * argument or as one. {files} stands for the files: an argument of its own, repeated. No shell
 * reads it.
 */
#pragma once

#include "engine/engine.h"

struct sarif_engine; /* one row */
struct sarif_engines;

/* ERR_INVALID: "FILE:LINE:COLUMN: what is wrong and how to mend". path NULL: none. */
int sarif_engines_load(const char *path, struct sarif_engines **out, struct err *e);
void sarif_engines_free(struct sarif_engines *s);
size_t sarif_engines_count(const struct sarif_engines *s);
/* As an engine like the others; lives as long as `s`. */
const struct engine *sarif_engines_at(const struct sarif_engines *s, size_t i);
const struct engine *sarif_engines_find(const struct sarif_engines *s, const char *name);
/* Its row; NULL: it is none of these. */
const struct sarif_engine *sarif_engine_of(const struct engine *en);
/* Paths to be shown inside, and from the row's JSON to a row again: how it travels into the box. */
const char *const *sarif_engine_paths(const struct engine *en); /* NULL-terminated */
void sarif_engines_json(const struct sarif_engines *s, struct json *j, const char *key);
int sarif_engines_read(const char *json, struct sarif_engines **out, struct err *e);
