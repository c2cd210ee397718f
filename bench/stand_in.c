/*
 * stand_in - an instant nmap: prints NAME.xml, where NAME is the path it was started by, and ends.
 * `-V` and `--version` print the line that wrappers around nmap look for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int copy_out(int fd)
{
    static char part[1 << 16];
    ssize_t n;

    while ((n = read(fd, part, sizeof part)) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(STDOUT_FILENO, part + done, (size_t)(n - done));

            if (w < 0 && errno != EINTR) {
                return 1;
            }
            done += w > 0 ? w : 0;
        }
    }
    return n < 0;
}

int main(int argc, char **argv)
{
    const char *self = (const char *)getauxval(AT_EXECFN); /* argv[0] may lack the directory */
    char path[4096];
    int fd;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
            puts("Nmap version 7.93 ( https://nmap.org )");
            return 0;
        }
    }
    snprintf(path, sizeof path, "%s.xml", self ? self : argv[0]);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    return copy_out(fd);
}
