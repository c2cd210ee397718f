#include "base/buf.h"
#include "cli/cli.h"
#include "repo/box.h"

int main(int argc, char **argv)
{
    /* What the runner starts inside a repository scan's box; no command for people. */
    if (argc > 1 && str_eq(argv[1], "repo-box")) {
        return repo_box_main(argc, argv);
    }
    return cli_main(argc, argv);
}
