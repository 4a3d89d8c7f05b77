/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that may be text, made fit to show. */
#ifndef HOLDFAST_BASE_UTF8_H
#define HOLDFAST_BASE_UTF8_H

#include <stddef.h>

/* Copies `bytes` to `clean` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
 * Stops before a character that would pass `limit` bytes of output. Stores the bytes written in
 * *used and returns the bytes taken from the input. Adds no NUL. */
size_t utf8_clean(const char *bytes, size_t length, char *clean, size_t limit, size_t *used);

#endif
