/*
 * built_in - an engine of our own as a program of its own: `scanpod repo-box --engine NAME`, in a
 * box like every other engine. It reads the files that START_LIST names and writes records
 * (ipc/record.h); progress records carry what it could not read, as "PATH\tREASON".
 */
#pragma once

/* Exit status. */
int built_in_main(const char *name);
