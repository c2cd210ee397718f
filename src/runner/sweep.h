/* sweep - removes a directory whatever is in it, without following links. Private to runner/. */
#pragma once

/* `name` below dir_fd. 0, or -1 with errno. Bounded memory and descriptors at any depth. */
int sweep_tree(int dir_fd, const char *name);
/* Every entry of dir_fd whose name is a number: what runs of a former runner left. */
void sweep_numbers(int dir_fd);
