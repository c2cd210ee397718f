/*
 * A repository scan: one box of ours in which git and the engines run in boxes of their own
 * (repo/box.h). What it is to do comes as a spec, not as options.
 */
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

/* "progress TASK PERCENT": the line of standard error that says how far it is. */
static bool repo_read_status(const char *line, struct progress *out)
{
    static const char word[] = "progress ";
    static char task[64]; /* borrowed by the caller until the next line */
    const char *name = line + strlen(word);
    size_t n;
    char *end;
    long percent;

    if (strncmp(line, word, strlen(word)) != 0) {
        return false;
    }
    n = strcspn(name, " ");
    if (n == 0 || n >= sizeof task || name[n] != ' ') {
        return false;
    }
    percent = strtol(name + n + 1, &end, 10);
    if (end == name + n + 1 || percent < 0 || percent > 100) {
        return false;
    }
    memcpy(task, name, n);
    task[n] = '\0';
    out->task = task;
    out->percent_x100 = (int32_t)percent * 100;
    return true;
}

const struct tool tool_repo = {
    .name = "repo",
    .summary = "engines over the files of a git repository",
    .parser = &parser_repo,
    .read_status = repo_read_status,
    /* Of the whole box: engines have their own. Memory is bounded by those, and the tree by disk_mb
     * and inodes, which follow from the settings. */
    .limits = {.processes = 4096, .file_mb = 4096, .output_mb = 1024},
};
