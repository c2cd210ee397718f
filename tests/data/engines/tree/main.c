#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/part.h"

static char *copy(const char *from)
{
    char *to = malloc(16);

    strcpy(to, from); /* Flawfinder: ignore */
    return to;
}

int main(int argc, char **argv)
{
    char line[64];
    char *name = NULL;
    int *numbers = malloc(4 * sizeof *numbers);

    if (argc > 1) {
        name = copy(argv[1]);
    }
    gets(line);
    printf(line);
    sprintf(line, "echo %s, \"%s\"", name, argv[1]);
    system(line);
    numbers[4] = atoi(argv[1]);
    chmod(argv[1], 0777);
    if (access(argv[1], R_OK) == 0) {
        FILE *f = fopen(argv[1], "r");

        fscanf(f, "%s", line);
    }
    srand(1);
    free(name);
    printf("%c\n", name[0]);
    return part(numbers[0]);
}
