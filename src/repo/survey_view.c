/* What others see of a survey: one file, the record, the tree without what is an agent's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/survey.h"

static int by_path(const void *key, const void *file)
{
    return strcmp(key, ((const struct survey_file *)file)->file.path);
}

const struct survey_file *survey_find(const struct survey *s, const char *path)
{
    return s->n ? bsearch(path, s->files, s->n, sizeof *s->files, by_path) : NULL;
}

/* ---- what belongs to agents ---- */

/* Directories, wherever they are, and files in any directory; the last three are those by which a
 * tree hides from an agent's search what is in it. */
static const char *const agent_dirs[] = {
    ".claude",     ".cursor", ".windsurf", ".gemini", ".codex", ".continue",
    ".clinerules", ".roo",    ".amazonq",  ".junie",  ".aider", NULL,
};
static const char *const agent_files[] = {
    "CLAUDE.md",       "CLAUDE.local.md", "AGENTS.md",   "AGENTS.override.md",
    "AGENT.md",        "GEMINI.md",       ".mcp.json",   "mcp.json",
    ".cursorrules",    ".windsurfrules",  ".clinerules", ".roorules",
    ".aider.conf.yml", ".claude.json",    ".rules",      "copilot-instructions.md",
    ".claudeignore",   ".cursorignore",   ".goosehints", ".gitignore",
    ".ignore",         ".rgignore",       NULL,
};

static bool in_list(const char *const *list, const char *name, size_t n)
{
    for (; *list; list++) {
        if (strlen(*list) == n && strncasecmp(*list, name, n) == 0) {
            return true;
        }
    }
    return false;
}

bool survey_is_agents(const char *path)
{
    for (const char *p = path;;) {
        size_t n = strcspn(p, "/");
        bool last = p[n] == '\0';

        if (in_list(last ? agent_files : agent_dirs, p, n)) {
            return true;
        }
        if (last) {
            return false;
        }
        if (n == strlen(".github") && strncasecmp(p, ".github", n) == 0 &&
            strncasecmp(p + n, "/instructions/", strlen("/instructions/")) == 0) {
            return true;
        }
        p += n + 1;
    }
}

int survey_make_parents(int dir_fd, const char *file, struct err *e)
{
    auto_free char *path = xstrdup(file);

    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        int rc;

        *slash = '\0';
        rc = mkdirat(dir_fd, path, 0700);
        *slash = '/';
        if (rc < 0 && errno != EEXIST) {
            return err_errno(e, "make the agent's tree");
        }
    }
    return 0;
}

static int link_file(int from, int to, const char *path, struct err *e)
{
    if (linkat(from, path, to, path, 0) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return err_errno(e, "make the agent's tree");
    }
    if (survey_make_parents(to, path, e) != 0) {
        return e->code;
    }
    return linkat(from, path, to, path, 0) == 0 ? 0 : err_errno(e, "make the agent's tree");
}

int survey_agent_tree(const struct survey *s, const char *dir, const char *to, struct err *e)
{
    auto_fd int from_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int to_fd = -1;
    int rc = 0;

    if (from_fd < 0 || mkdir(to, 0700) < 0) {
        return err_errno(e, "make the agent's tree");
    }
    to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to_fd < 0) {
        return err_errno(e, "make the agent's tree");
    }
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        if (!s->files[i].agent) {
            rc = link_file(from_fd, to_fd, s->files[i].file.path, e);
        }
    }
    return rc;
}

/* ---- the record ---- */

void survey_json(const struct survey *s, struct json *j, const char *key)
{
    static const char *const names[SURVEY_LANGUAGES] = {"c", "c++", "python", "shell", "other"};

    json_obj_in(j, key);
    json_int(j, "total", (int64_t)s->total);
    json_int(j, "text", (int64_t)s->n);
    json_int(j, "bytes", (int64_t)s->bytes);
    json_obj_in(j, "languages");
    for (size_t i = 0; i < SURVEY_LANGUAGES; i++) {
        if (s->languages[i]) {
            json_int(j, names[i], (int64_t)s->languages[i]);
        }
    }
    json_end(j);
    json_arr_in(j, "skipped");
    for (size_t i = 0; i < s->n_left; i++) {
        json_obj(j);
        json_str(j, "path", s->left[i].path);
        json_str(j, "why", s->left[i].why);
        json_end(j);
    }
    json_end(j);
    json_int(j, "skipped_more", (int64_t)s->left_more);
    json_end(j);
}
