/*
 * sort - for processes that may call next to nothing. qsort() asks how much memory the machine has.
 */
#pragma once

#include <stddef.h>

/* Pointers, by what qsort() would hand to cmp: the places that hold them. What is equal keeps its
 * order. */
void sort_pointers(void *v, size_t n, int (*cmp)(const void *a, const void *b));
