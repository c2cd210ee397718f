/*
 * rules_secret - whether what stands where a secret would stand looks like one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * How random the text looks, 0 to 100: its Shannon entropy, of the most that its kind of characters
 * (digits, hexadecimal digits, letters and digits, any) and its length allow. Keys have 85 and
 * more, words and identifiers less, as they repeat letters and use few kinds.
 */
int secret_randomness(const char *s, size_t n);

/*
 * Stands for a secret that is filled in later, or was taken out: "changeme", "<token>", "${TOKEN}",
 * "{{ token }}", "xxxxxxxx", "process.env.TOKEN", one character over and over, "1234567890".
 * `formed`: the text has the form of one vendor's tokens, where short words come up by chance: only
 * what cannot be chance counts.
 */
bool secret_is_placeholder(const char *s, size_t n, bool formed);

/* A token ends with the CRC-32 of what stands between its first '_' and its last six characters, in
 * base 62: GitHub's and npm's do. */
bool secret_sum_right(const char *s, size_t n);

/* "AWS access key: AKIA... (20 characters)". Caller frees. */
char *secret_shown(const char *kind, const char *s, size_t n);
