#include "edge/depot_item.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "edge/s3.h"

enum {
    FETCH_MS = 25000,     /* how long a fetch is begun again */
    FETCH_WAIT_MS = 4000, /* at most in between */
    WRONG_MAX = 3,        /* times that a fetched object may be another one */
    PART_TRIES = 10,      /* in a row, before an upload is begun again */
    ABORT_TRIES = 3,
    SLICE = 4 << 20, /* hashed at a time */
    PIECE = 64 << 10,
    UPLOAD_ID_MAX = 2048,
};

/* At the same time: what is held in memory is small for each, and a storage that is slow is not
 * made faster by more. */
static const unsigned places[DEPOT_OPS] = {
    [DEPOT_STORE] = 2, [DEPOT_FETCH] = 2, [DEPOT_REMOVE] = 1, [DEPOT_ABORT] = 2};

enum step { FIRST, HASH, LOOK, PUT, CREATE, PART, COMPLETE, CHECK };

struct item {
    struct item *next;
    struct depot_process *dp;
    unsigned op;
    uint64_t id;
    char *name;
    enum step step;
    int fd;
    uint64_t size, hashed;
    struct sha256 *hash;
    char sha256[65];
    char etag[TAG_SIZE]; /* of the object, as its upload told it */
    char *upload_id;
    struct strvec etags; /* of its parts */
    struct buf text;
    struct transfer *transfer;
    unsigned failures; /* in a row */
    unsigned wrong;
    int64_t not_before_ms, give_up_ms;
    bool placed; /* it holds a place */
    bool over;
};

bool depot_name_valid(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    size_t n = strlen(name);

    if (n == 0 || n > DEPOT_NAME_MAX || strspn(name, letters) != n) {
        return false;
    }
    for (const char *p = name; p;) {
        size_t part = strcspn(p, "/");

        if (part == 0 || p[0] == '.') {
            return false;
        }
        p = p[part] ? p + part + 1 : NULL;
    }
    return true;
}

/* ---- the list ---- */

static struct item *new_item(struct depot_process *dp, unsigned op, uint64_t id, const char *name)
{
    struct item **at = &dp->items;
    struct item *it = xcalloc(1, sizeof *it);

    *it = (struct item){.dp = dp,
                        .op = op,
                        .id = id,
                        .name = xstrdup(name),
                        .fd = -1,
                        .give_up_ms = boot_ms() + FETCH_MS};
    while (*at) {
        at = &(*at)->next;
    }
    *at = it;
    return it;
}

void item_add(struct depot_process *dp, unsigned op, uint64_t id, const char *name)
{
    (void)new_item(dp, op, id, name);
}

static void drop_hash(struct item *it)
{
    uint8_t unused[32];

    if (it->hash) {
        sha256_end(take_ptr(&it->hash), unused);
    }
}

static void release(struct item *it)
{
    if (it->placed) {
        it->placed = false;
        it->dp->busy[it->op]--;
    }
}

static void item_free(struct item *it)
{
    release(it);
    transfer_free(it->transfer);
    drop_hash(it);
    fd_close(&it->fd);
    strvec_done(&it->etags);
    buf_done(&it->text);
    free(it->upload_id);
    free(it->name);
    free(it);
}

/* ---- telling ---- */

static void tell(struct item *it, int rc, const char *why)
{
    auto_buf body = {0};
    bool file = it->op == DEPOT_FETCH && rc == 0;

    if (it->op == DEPOT_ABORT || it->dp->stopping) {
        return;
    }
    wire_u64(&body, it->id);
    wire_i32(&body, rc);
    wire_str(&body, why ? why : "");
    (void)chan_send(&it->dp->chan, (uint16_t)it->op, body.data, body.len, &it->fd, file, NULL);
}

static void finish(struct item *it, int rc, const char *why)
{
    it->over = true;
    release(it);
    tell(it, rc, why);
}

static uint32_t any(struct depot_process *dp)
{
    dp->random = dp->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dp->random >> 33);
}

/* The upload that was begun is not wanted any more. */
static void abandon_upload(struct item *it)
{
    if (it->upload_id) {
        new_item(it->dp, DEPOT_ABORT, 0, it->name)->upload_id = take_ptr(&it->upload_id);
    }
    strvec_done(&it->etags);
}

static void start_over(struct item *it)
{
    abandon_upload(it);
    it->step = FIRST;
}

static uint32_t wait_of(struct item *it, enum s3_means m)
{
    const struct depot_start *s = it->dp->start;
    uint32_t ms = s3_wait_ms(m, it->failures, any(it->dp));

    if (s->retry_max_ms && ms > s->retry_max_ms) {
        ms = s->retry_max_ms;
    }
    return it->op == DEPOT_FETCH && ms > FETCH_WAIT_MS ? FETCH_WAIT_MS : ms;
}

static void fail(struct item *it, enum s3_means m, const char *why)
{
    uint32_t ms;

    it->failures++;
    ms = wait_of(it, m);
    release(it);
    it->not_before_ms = boot_ms() + ms;
    if (it->op == DEPOT_FETCH &&
        (m == S3_REFUSED || it->wrong >= WRONG_MAX || it->not_before_ms > it->give_up_ms)) {
        finish(it, ERR_IO, why);
    } else if (it->op == DEPOT_ABORT && it->failures >= ABORT_TRIES) {
        finish(it, ERR_IO, why);
    } else if (it->op != DEPOT_FETCH) {
        tell(it, ERR_IO, why);
    }
    if (m == S3_LOST) {
        free(take_ptr(&it->upload_id));
        strvec_done(&it->etags);
        it->step = FIRST;
    } else if (m == S3_REFUSED || it->failures % PART_TRIES == 0) {
        start_over(it);
    }
}

/* It answers again: nobody has to wait out the time that an outage made long. */
static void wake_others(struct depot_process *dp)
{
    int64_t now = boot_ms();

    for (struct item *it = dp->items; it; it = it->next) {
        if (it->not_before_ms > now + S3_RETRY_MS) {
            it->not_before_ms = now + any(dp) % S3_RETRY_MS;
        }
    }
}

static void done(struct item *it)
{
    finish(it, 0, NULL);
    wake_others(it->dp);
}

/* ---- files ---- */

static bool still_there(const struct item *it)
{
    return faccessat(it->dp->dir_fd, it->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static void file_gone(struct item *it)
{
    abandon_upload(it);
    finish(it, ERR_NOT_FOUND, "the file is gone");
}

static bool open_file(struct item *it)
{
    struct stat st;

    fd_close(&it->fd);
    it->fd = openat(it->dp->dir_fd, it->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (it->fd < 0 && errno == ENOENT) {
        file_gone(it);
        return false;
    }
    if (it->fd < 0 || fstat(it->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        fail(it, S3_REFUSED, "the file cannot be read");
        return false;
    }
    it->size = (uint64_t)st.st_size;
    it->hashed = 0;
    drop_hash(it);
    it->hash = sha256_new();
    return true;
}

/* Adds at most n bytes from `at` on; false: told already. */
static bool hash_some(struct item *it, struct sha256 *h, uint64_t at, uint64_t n)
{
    char piece[PIECE];

    while (n > 0) {
        ssize_t k = pread(it->fd, piece, MIN(n, sizeof piece), (off_t)at);

        if (k <= 0) {
            if (k < 0 && errno == EINTR) {
                continue;
            }
            fail(it, S3_REFUSED, "the file cannot be read to its end");
            start_over(it);
            return false;
        }
        sha256_add(h, piece, (size_t)k);
        at += (uint64_t)k;
        n -= (uint64_t)k;
    }
    return true;
}

/* A slice of it; the step changes when the whole is hashed. */
static void hash_file(struct item *it)
{
    uint64_t n = MIN(it->size - it->hashed, (uint64_t)SLICE);
    uint8_t hash[32];

    if (!hash_some(it, it->hash, it->hashed, n)) {
        return;
    }
    it->hashed += n;
    if (it->hashed == it->size) {
        sha256_end(take_ptr(&it->hash), hash);
        sha256_hex(hash, it->sha256);
        it->step = it->size > S3_WHOLE_MAX ? LOOK : PUT;
    }
}

/* Without a name from the beginning, where the file system can do that. */
static int make_temporary(const struct depot_process *dp)
{
    auto_free char *path = str_fmt("%s/fetch.XXXXXX", dp->start->dir);
    int fd = openat(dp->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (fd = mkostemp(path, O_CLOEXEC)) >= 0) {
        unlink(path);
    }
    return fd;
}

/* ---- requests ---- */

static void send_call(struct item *it, struct s3_call *c)
{
    c->name = it->name;
    c->in_fd = it->fd;
    c->out_fd = it->fd;
    it->transfer = transfer_start(&it->dp->http, c, it);
    if (!it->transfer) {
        fail(it, S3_AGAIN, "libcurl takes no request");
    }
}

static void send_simple(struct item *it, const char *method, const char *query)
{
    struct s3_call c = {.method = method, .query = query};

    send_call(it, &c);
}

static void send_part(struct item *it)
{
    uint64_t part = s3_part_size(it->size);
    uint64_t at = part * it->etags.n;
    uint64_t n = MIN(part, it->size - at);
    struct sha256 *h = sha256_new();
    bool read = hash_some(it, h, at, n);
    uint8_t hash[32];
    char hex[65];

    sha256_end(h, hash);
    if (read) {
        auto_free char *query = s3_query_part((unsigned)it->etags.n + 1, it->upload_id);
        struct s3_call c = {.method = "PUT", .query = query, .sha256 = hex, .at = at, .size = n};

        sha256_hex(hash, hex);
        send_call(it, &c);
    }
}

static void send_complete(struct item *it)
{
    auto_free char *query = s3_query_part(0, it->upload_id);
    struct s3_call c = {.method = "POST", .query = query, .text = &it->text};
    uint8_t hash[32];
    char hex[65];

    buf_reset(&it->text);
    s3_complete_body(&it->text, &it->etags);
    sha256_of(it->text.data, it->text.len, hash);
    sha256_hex(hash, hex);
    c.sha256 = hex;
    send_call(it, &c);
}

static void step_store(struct item *it)
{
    struct s3_call put = {.method = "PUT", .sha256 = it->sha256, .meta = it->sha256};
    struct s3_call create = {.method = "POST", .query = "uploads=", .meta = it->sha256};

    if (it->step > HASH && it->step < COMPLETE && !still_there(it)) {
        file_gone(it);
        return;
    }
    switch (it->step) {
    case FIRST:
        if (open_file(it)) {
            it->step = HASH;
        }
        break;
    case HASH:
        hash_file(it);
        break;
    case LOOK:
    case CHECK:
        send_simple(it, "HEAD", NULL);
        break;
    case PUT:
        put.size = it->size;
        send_call(it, &put);
        break;
    case CREATE:
        send_call(it, &create);
        break;
    case PART:
        send_part(it);
        break;
    case COMPLETE:
        send_complete(it);
        break;
    }
}

static void step_fetch(struct item *it)
{
    fd_close(&it->fd);
    it->fd = make_temporary(it->dp);
    if (it->fd < 0) {
        finish(it, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO,
               "there is no file to fetch it into");
        return;
    }
    send_simple(it, "GET", NULL);
}

static void step_abort(struct item *it)
{
    auto_free char *query = s3_query_part(0, it->upload_id);

    send_simple(it, "DELETE", query);
}

static void take_step(struct item *it)
{
    switch (it->op) {
    case DEPOT_STORE:
        step_store(it);
        break;
    case DEPOT_FETCH:
        step_fetch(it);
        break;
    case DEPOT_REMOVE:
        send_simple(it, "DELETE", NULL);
        break;
    default:
        step_abort(it);
    }
}

/* ---- answers ---- */

/* What the storage has is what was to be stored. */
static bool same(const struct item *it, const struct transfer *t, char *why, size_t size)
{
    bool right = false;

    if (t->length != (int64_t)it->size) {
        snprintf(why, size, "the storage has %" PRId64 " of %" PRIu64 " bytes", t->length,
                 it->size);
    } else if (!str_eq(t->meta, it->sha256)) {
        snprintf(why, size, "the storage has another sha256");
    } else if (it->step == CHECK && it->etag[0] && t->etag[0] && !str_eq(t->etag, it->etag)) {
        snprintf(why, size, "the storage has another ETag than it told");
    } else {
        right = true;
    }
    return right;
}

static void compare(struct item *it, const struct transfer *t)
{
    char why[128];

    if (same(it, t, why, sizeof why)) {
        done(it);
    } else if (it->step == LOOK) {
        it->step = CREATE;
    } else {
        it->step = FIRST;
        fail(it, S3_AGAIN, why);
    }
}

static void created(struct item *it, const struct transfer *t)
{
    char id[UPLOAD_ID_MAX];

    if (!t->text.data || !s3_xml_text(t->text.data, "UploadId", id, sizeof id)) {
        fail(it, S3_AGAIN, "the storage names no upload");
        return;
    }
    it->upload_id = xstrdup(id);
    it->step = PART;
}

static void part_sent(struct item *it, const struct transfer *t)
{
    if (!t->etag[0]) {
        fail(it, S3_AGAIN, "the storage names no ETag of a part");
        return;
    }
    strvec_push(&it->etags, t->etag);
    if (it->etags.n == s3_parts(it->size)) {
        it->step = COMPLETE;
    }
}

static void completed(struct item *it, const struct transfer *t)
{
    if (!t->text.data || !s3_xml_text(t->text.data, "ETag", it->etag, sizeof it->etag)) {
        it->etag[0] = '\0';
    }
    free(take_ptr(&it->upload_id));
    strvec_done(&it->etags);
    it->step = CHECK;
}

static void went_well(struct item *it, struct transfer *t)
{
    switch (it->step) {
    case PUT:
        snprintf(it->etag, sizeof it->etag, "%s", t->etag);
        it->step = CHECK;
        break;
    case CREATE:
        created(it, t);
        break;
    case PART:
        it->failures = 0;
        part_sent(it, t);
        break;
    case COMPLETE:
        completed(it, t);
        break;
    default:
        compare(it, t);
    }
}

static void fetched(struct item *it, struct transfer *t)
{
    uint8_t hash[32];
    char hex[65];

    sha256_end(take_ptr(&t->hash), hash);
    sha256_hex(hash, hex);
    if ((t->length >= 0 && (uint64_t)t->length != t->got) || !str_eq(hex, t->meta)) {
        it->wrong++;
        fail(it, S3_AGAIN, "the object is not what was stored");
    } else if (lseek(it->fd, 0, SEEK_SET) != 0) {
        fail(it, S3_AGAIN, "the file cannot be read");
    } else {
        done(it);
    }
}

/* Why a request did not do what it should. */
static void went_wrong(struct item *it, const struct transfer *t, enum s3_means m, const char *code)
{
    char why[CURL_ERROR_SIZE + 32];

    if (t->status == 0) {
        snprintf(why, sizeof why, "%s", t->why);
    } else if (*code) {
        snprintf(why, sizeof why, "%s (%ld)", code, t->status);
    } else {
        snprintf(why, sizeof why, "status %ld", t->status);
    }
    if (t->disk) {
        finish(it, ERR_FULL, t->why);
    } else {
        fail(it, m, why);
    }
}

static bool is_missing(struct item *it, enum s3_means m)
{
    if (m != S3_ABSENT && m != S3_LOST) {
        return false;
    }
    switch (it->op) {
    case DEPOT_REMOVE:
        done(it);
        return true;
    case DEPOT_ABORT:
        finish(it, 0, NULL);
        return true;
    case DEPOT_FETCH:
        finish(it, ERR_NOT_FOUND, "the storage does not have it");
        return true;
    default:
        if (it->step == LOOK) {
            it->step = CREATE;
            return true;
        }
        return false;
    }
}

void item_answered(struct transfer *t)
{
    struct item *it = t->owner;
    char code[S3_CODE_SIZE];
    enum s3_means m = s3_answer(t->status, t->text.data, code);

    it->transfer = NULL;
    if (m == S3_OK) {
        if (it->op == DEPOT_FETCH) {
            fetched(it, t);
        } else if (it->op == DEPOT_STORE) {
            went_well(it, t);
        } else {
            done(it);
        }
    } else if (is_missing(it, m)) {
        ;
    } else if (m == S3_ABSENT && it->step == CHECK) { /* what was stored is not there */
        it->step = FIRST;
        went_wrong(it, t, S3_AGAIN, code);
    } else {
        went_wrong(it, t, m == S3_ABSENT ? S3_REFUSED : m, code);
    }
    transfer_free(t);
}

/* ---- turns ---- */

static bool may_step(struct item *it, int64_t now)
{
    if (it->over || it->transfer || it->not_before_ms > now) {
        return false;
    }
    if (it->dp->stopping && it->op != DEPOT_ABORT) {
        return false;
    }
    if (!it->placed && it->dp->busy[it->op] < places[it->op]) {
        it->placed = true;
        it->dp->busy[it->op]++;
    }
    return it->placed;
}

static void sweep(struct depot_process *dp)
{
    for (struct item **at = &dp->items; *at;) {
        struct item *it = *at;

        if (it->over) {
            *at = it->next;
            item_free(it);
        } else {
            at = &it->next;
        }
    }
}

int items_step(struct depot_process *dp, int most_ms)
{
    int64_t now = boot_ms();
    int wait = most_ms;

    for (struct item *it = dp->items; it; it = it->next) {
        if (may_step(it, now)) {
            take_step(it);
        }
    }
    sweep(dp);
    for (const struct item *it = dp->items; it; it = it->next) {
        bool free_place = it->placed || dp->busy[it->op] < places[it->op];

        if (!it->transfer && free_place && (!dp->stopping || it->op == DEPOT_ABORT)) {
            wait = (int)MIN((int64_t)wait, MAX(it->not_before_ms - now, 0));
        }
    }
    return wait;
}

void items_stop(struct depot_process *dp)
{
    dp->stopping = true;
    for (struct item *it = dp->items; it; it = it->next) {
        if (it->op != DEPOT_ABORT) {
            transfer_free(take_ptr(&it->transfer));
            abandon_upload(it);
            it->over = true;
        } else {
            it->not_before_ms = 0;
        }
    }
    sweep(dp);
}

bool items_idle(const struct depot_process *dp)
{
    return dp->items == NULL;
}
