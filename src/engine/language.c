/*
 * Which language a file is in: by its name where that says so, else by its first line. Engines are
 * handed what they read, so a file that hides behind a wrong name is still text for the rules.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "engine/engine.h"

struct name_row {
    const char *name;
    unsigned language;
};

/* Endings. Case says something in two of them. */
static const struct name_row exact[] = {{"C", LANG_CXX}, {"H", LANG_CXX}};
static const struct name_row endings[] = {
    {"c", LANG_C},         {"h", LANG_C},         {"cc", LANG_CXX},     {"cpp", LANG_CXX},
    {"cxx", LANG_CXX},     {"c++", LANG_CXX},     {"cp", LANG_CXX},     {"hh", LANG_CXX},
    {"hpp", LANG_CXX},     {"hxx", LANG_CXX},     {"h++", LANG_CXX},    {"inl", LANG_CXX},
    {"ipp", LANG_CXX},     {"tpp", LANG_CXX},     {"tcc", LANG_CXX},    {"txx", LANG_CXX},
    {"cppm", LANG_CXX},    {"ixx", LANG_CXX},     {"py", LANG_PYTHON},  {"pyw", LANG_PYTHON},
    {"pyi", LANG_PYTHON},  {"wsgi", LANG_PYTHON}, {"sh", LANG_SHELL},   {"bash", LANG_SHELL},
    {"dash", LANG_SHELL},  {"ksh", LANG_SHELL},   {"bats", LANG_SHELL}, {"ebuild", LANG_SHELL},
    {"eclass", LANG_SHELL}};
static const struct name_row whole_names[] = {
    {".bashrc", LANG_SHELL},      {".bash_profile", LANG_SHELL}, {".bash_login", LANG_SHELL},
    {".bash_logout", LANG_SHELL}, {".bash_aliases", LANG_SHELL}, {".profile", LANG_SHELL},
    {".kshrc", LANG_SHELL},       {".envrc", LANG_SHELL},        {"PKGBUILD", LANG_SHELL},
    {"APKBUILD", LANG_SHELL},     {"SConstruct", LANG_PYTHON},   {"SConscript", LANG_PYTHON},
    {"wscript", LANG_PYTHON}};
/* Interpreters; a number may follow: python3.11. */
static const struct name_row interpreters[] = {
    {"sh", LANG_SHELL},  {"bash", LANG_SHELL},    {"dash", LANG_SHELL},  {"ash", LANG_SHELL},
    {"ksh", LANG_SHELL}, {"python", LANG_PYTHON}, {"pypy", LANG_PYTHON},
};

enum { FIRST_LINE_MAX = 256 };

static unsigned find(const struct name_row *rows, size_t n, const char *name, bool any_case)
{
    for (size_t i = 0; i < n; i++) {
        if ((any_case ? strcasecmp : strcmp)(rows[i].name, name) == 0) {
            return rows[i].language;
        }
    }
    return 0;
}

static unsigned by_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    unsigned l = find(whole_names, ARRAY_LEN(whole_names), base, false);

    if (l || !dot || dot == base) {
        return l;
    }
    l = find(exact, ARRAY_LEN(exact), dot + 1, false);
    return l ? l : find(endings, ARRAY_LEN(endings), dot + 1, true);
}

static unsigned by_interpreter(const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *base = slash ? slash + 1 : word;

    for (size_t i = 0; i < ARRAY_LEN(interpreters); i++) {
        size_t n = strlen(interpreters[i].name);

        if (strncmp(base, interpreters[i].name, n) == 0 &&
            base[n + strspn(base + n, "0123456789.")] == '\0') {
            return interpreters[i].language;
        }
    }
    return 0;
}

/* "#!/bin/sh -e", "#!/usr/bin/env -S python3 -u", "#! /bin/busybox sh": the interpreter is the
 * first word, or behind one that only starts others. */
static unsigned by_first_line(const char *head, size_t n)
{
    char line[FIRST_LINE_MAX];
    char *save = NULL;
    size_t len = 0;

    if (n < 3 || head[0] != '#' || head[1] != '!') {
        return 0;
    }
    for (; len + 2 < n && len + 1 < sizeof line; len++) {
        char c = head[len + 2];

        if (c == '\n' || c == '\r' || c == '\0') {
            break;
        }
        line[len] = c;
    }
    line[len] = '\0';
    for (char *word = strtok_r(line, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        const char *slash = strrchr(word, '/');
        const char *base = slash ? slash + 1 : word;
        bool starts_others = strcmp(base, "env") == 0 || strcmp(base, "busybox") == 0 ||
                             word[0] == '-' || strchr(word, '=');

        if (!starts_others) {
            return by_interpreter(word);
        }
    }
    return 0;
}

unsigned language_of(const char *path, const char *head, size_t n)
{
    unsigned l;

    if (n > 0 && memchr(head, '\0', n)) {
        return 0;
    }
    l = by_name(path);
    l = l ? l : by_first_line(head, n);
    return l ? l : LANG_OTHER_TEXT;
}
