/*
 * The greeting: who we are, which database, and what kind of server it is. All of it leaves at
 * once; the first answer that forbids to go on ends the attempt.
 *
 * A server may quote a command that it does not know with its arguments: of an answer to AUTH only
 * texts that are known to quote nothing are passed on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/redis_inside.h"

static bool is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static bool begins(const redisReply *reply, const char *with)
{
    return reply->str && str_starts(reply->str, with);
}

static void answered(struct redis *r)
{
    if (--r->greetings == 0) {
        redis_ready(r);
    }
}

static void give_up(struct redis *r, const char *why, const redisReply *reply)
{
    redis_lost(r, why, is_error(reply) ? reply->str : NULL);
}

static const char *auth_refused(const struct redis *r, const redisReply *reply)
{
    if (begins(reply, "WRONGPASS") || begins(reply, "ERR invalid password")) {
        return r->url.user ? "the user or the password is wrong" : "the password is wrong";
    }
    if (begins(reply, "ERR AUTH <password> called without") ||
        begins(reply, "ERR Client sent AUTH, but no password")) {
        return "a password is given, but the server has none";
    }
    if (begins(reply, "ERR wrong number of arguments")) {
        return "the server is too old to know users (older than 6.0)";
    }
    return "the server does not accept AUTH";
}

static void on_auth(void *arg, const redisReply *reply)
{
    struct redis *r = arg;

    if (!reply) {
        return;
    }
    if (begins(reply, "ERR max number of clients") || begins(reply, "DENIED")) {
        give_up(r, "the server turns us away", reply);
    } else if (reply->type != REDIS_REPLY_STATUS) {
        redis_lost(r, auth_refused(r, reply), NULL);
    } else {
        answered(r);
    }
}

/* What every answer may be instead of one. True: it is, and the attempt is over. */
static bool turned_away(struct redis *r, const redisReply *reply)
{
    if (!is_error(reply)) {
        return false;
    }
    if (begins(reply, "NOAUTH")) {
        redis_lost(r, "the server asks for a password, and none is given", NULL);
        return true;
    }
    if (begins(reply, "ERR max number of clients") || begins(reply, "DENIED") ||
        begins(reply, "LOADING")) {
        give_up(r, "the server turns us away", reply);
        return true;
    }
    return false;
}

static void on_select(void *arg, const redisReply *reply)
{
    struct redis *r = arg;
    char why[64];

    if (!reply || turned_away(r, reply)) {
        return;
    }
    if (reply->type != REDIS_REPLY_STATUS) {
        snprintf(why, sizeof why, "database %d cannot be used", r->url.db);
        give_up(r, why, reply);
        return;
    }
    answered(r);
}

/* Its answer does not matter, but for one that says why nothing else works. */
static void on_name(void *arg, const redisReply *reply)
{
    if (reply && !turned_away(arg, reply)) {
        answered(arg);
    }
}

/* The value of a line "name:value" in INFO's text; false: there is none, or no room. */
static bool info_value(const char *text, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            size_t len = strcspn(line + n + 1, "\r\n");

            if (len >= size) {
                return false;
            }
            memcpy(out, line + n + 1, len);
            out[len] = '\0';
            return true;
        }
    }
    return false;
}

static void read_info(const char *text, struct redis_server *s)
{
    char word[48];
    char *rest;

    *s = (struct redis_server){.aof = REDIS_NO_AOF};
    if (info_value(text, "redis_version", s->version, sizeof s->version)) {
        s->major = (int)MIN(strtoul(s->version, &rest, 10), 1000);
        s->minor = *rest == '.' ? (int)MIN(strtoul(rest + 1, NULL, 10), 1000) : 0;
    }
    info_value(text, "run_id", s->run_id, sizeof s->run_id);
    s->hidden = !info_value(text, "maxmemory_policy", word, sizeof word);
    s->evicts = !s->hidden && !str_eq(word, "noeviction");
    s->replica = info_value(text, "role", word, sizeof word) && str_eq(word, "slave");
    if (info_value(text, "aof_enabled", word, sizeof word) && str_eq(word, "1")) {
        s->aof = REDIS_AOF_EVERYSEC; /* the server's default, if it does not say */
    }
}

static void on_info(void *arg, const redisReply *reply)
{
    struct redis *r = arg;
    char loading[8];

    if (!reply || turned_away(r, reply)) {
        return;
    }
    if (is_error(reply) && begins(reply, "NOPERM")) {
        redis_lost(r, "the user may not run INFO: allow it, by ACL SETUSER ... +info", NULL);
        return;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        give_up(r, "the server does not answer INFO", reply);
        return;
    }
    if (info_value(reply->str, "loading", loading, sizeof loading) && str_eq(loading, "1")) {
        redis_lost(r, "the server is loading its data", NULL);
        return;
    }
    read_info(reply->str, &r->server);
    answered(r);
}

static bool pair(const redisReply *reply, const char **value)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        return false;
    }
    *value = reply->element[1]->str;
    return true;
}

static void on_fsync(void *arg, const redisReply *reply)
{
    struct redis *r = arg;
    struct redis_server *s = &r->server;
    const char *value;

    if (!reply || turned_away(r, reply)) {
        return;
    }
    if (!pair(reply, &value)) {
        s->hidden = true;
    } else if (s->aof != REDIS_NO_AOF) {
        s->aof = str_eq(value, "always") ? REDIS_AOF_ALWAYS
                 : str_eq(value, "no")   ? REDIS_AOF_NO
                                         : REDIS_AOF_EVERYSEC;
    }
    answered(r);
}

static void ask(struct redis *r, redis_fn fn, const char *a, const char *b, const char *c)
{
    const char *argv[] = {a, b, c};

    r->greetings++;
    redis_push(r, fn, r, c ? 3 : b ? 2 : 1, argv, NULL);
}

void redis_greet(struct redis *r)
{
    char db[16];

    r->greetings = 0;
    r->server = (struct redis_server){0};
    if (r->url.password) {
        const char *user = r->url.user;

        ask(r, on_auth, "AUTH", user ? user : r->url.password, user ? r->url.password : NULL);
    }
    if (r->url.db != 0) {
        snprintf(db, sizeof db, "%d", r->url.db);
        ask(r, on_select, "SELECT", db, NULL);
    }
    ask(r, on_name, "CLIENT", "SETNAME", "scanpod");
    ask(r, on_info, "INFO", NULL, NULL);
    ask(r, on_fsync, "CONFIG", "GET", "appendfsync");
}

/* ---- is it fit? ---- */

int redis_server_check(const struct redis_server *s, char **warn, struct err *e)
{
    auto_buf w = {0};

    if (s->major < 6 || (s->major == 6 && s->minor < 2)) {
        return err_set(e, ERR_SCOPE,
                       "the Redis server is version %s, and tasks need 6.2 or newer: upgrade it",
                       s->version[0] ? s->version : "unknown");
    }
    if (s->evicts) {
        return err_set(e, ERR_SCOPE,
                       "the Redis server may throw tasks away when its memory is full: set "
                       "maxmemory-policy to noeviction there (CONFIG SET maxmemory-policy "
                       "noeviction, and in its redis.conf)");
    }
    if (s->replica) {
        return err_set(e, ERR_SCOPE,
                       "the Redis server is a replica, which takes no tasks: name its master");
    }
    if (s->aof == REDIS_NO_AOF) {
        buf_adds(&w, "the Redis server keeps no append-only file: when it restarts, tasks on their "
                     "way are lost and run again after their leases; set appendonly to yes there");
    } else if (s->aof == REDIS_AOF_NO) {
        buf_adds(&w, "the Redis server does not sync its append-only file (appendfsync no): when "
                     "its machine fails, tasks on their way are lost and run again after their "
                     "leases; set appendfsync to everysec there");
    }
    if (s->hidden) {
        buf_addf(&w,
                 "%sthe Redis server does not tell all of its settings (CONFIG GET is not "
                 "allowed): make sure that maxmemory-policy is noeviction there, and appendfsync "
                 "everysec or always",
                 w.len > 0 ? "; " : "");
    }
    *warn = w.len > 0 ? buf_take(&w) : NULL;
    return 0;
}
