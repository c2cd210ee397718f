/* json_seed - for processes that may open nothing: jansson would look for random numbers in a file
 * when it makes its first object. */
#pragma once

void json_seed(void); /* once, before the filter */
