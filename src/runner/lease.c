#include "runner/lease.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { BYTES = LEASES * (int)sizeof(int64_t) };

/* It neither shrinks under who reads it, nor can it be mapped for writing any more. */
static const int SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;

int leases_make(struct leases *s, int *fd, struct err *e)
{
    auto_fd int made = memfd_create("scanpod-leases", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *page;

    if (made < 0 || ftruncate(made, BYTES) < 0) {
        return err_errno(e, "make memory for leases");
    }
    page = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (page == MAP_FAILED) {
        return err_errno(e, "map memory for leases");
    }
    if (fcntl(made, F_ADD_SEALS, SEALS) < 0) {
        err_errno(e, "seal memory for leases");
        (void)munmap(page, BYTES);
        return ERR_IO;
    }
    *s = (struct leases){.page = page};
    *fd = take_fd(&made);
    return 0;
}

static void put(struct leases *s, uint32_t slot, int64_t until_ms)
{
    __atomic_store_n(&s->page[slot], until_ms, __ATOMIC_RELEASE);
}

void leases_done(struct leases *s)
{
    for (uint32_t i = 0; s->page && i < LEASES; i++) {
        if (s->page[i] != 0) {
            put(s, i, 0);
        }
    }
    if (s->page) {
        (void)munmap(s->page, BYTES);
    }
    *s = (struct leases){0};
}

int lease_take(struct leases *s, int64_t until_ms, uint32_t *slot, struct err *e)
{
    for (uint32_t i = 0; i < LEASES; i++) {
        uint32_t at = (s->next + i) % LEASES;

        if (s->page[at] == 0) {
            put(s, at, until_ms);
            s->next = at + 1;
            *slot = at;
            return 0;
        }
    }
    return err_set(e, ERR_LIMIT, "%d runs with a lease are the most", LEASES);
}

void lease_give(struct leases *s, uint32_t slot)
{
    if (s->page && slot != NO_LEASE) {
        put(s, slot, 0);
    }
}

void lease_move(struct leases *s, uint32_t slot, int64_t until_ms)
{
    assert(slot == NO_LEASE || s->page);
    if (slot != NO_LEASE && until_ms > s->page[slot]) {
        put(s, slot, until_ms);
    }
}

const int64_t *leases_map(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    void *page;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size != BYTES) {
        return NULL;
    }
    page = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}
