#include "netd/netd.h"
