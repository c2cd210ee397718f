/* hard - ranges that nothing but an entry inside them opens: hard denials. */
#pragma once

#include <stdbool.h>

#include "base/netset.h"

/* Ends with why NULL. */
struct hard_row {
    struct net_range range;
    const char *why; /* "link local and metadata addresses" */
};
const struct hard_row *hard_rows(void);
/* The row that has ip; NULL: none. */
const struct hard_row *hard_row_of(const struct net_ip *ip);
/* Does the entry's range lift the hard denial of ip? True too if there is none. */
bool hard_lifted(const struct net_range *source, const struct net_ip *ip);
