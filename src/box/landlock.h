/* landlock - what guards files where a box has no view of its own. Private to box/. */
#pragma once

#include "box/init.h"

/* Version of the kernel's interface; 0: none. */
int landlock_abi(void);
/* In init: read and execute the system and the binds, write the working directory (the current
 * one) and what is bound for writing. */
const char *landlock_make(const struct box_spec *spec, int *out_fd);
/* In the tool's first steps: adds its own /proc, and obeys from now on. */
bool landlock_enter(int fd);
