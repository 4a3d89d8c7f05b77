/* SPDX-License-Identifier: Apache-2.0 */
/* Text of other people's making, made fit to show: it cannot steer the terminal, and is UTF-8. */
#ifndef HOLDFAST_CLI_TEXT_H
#define HOLDFAST_CLI_TEXT_H

#include <stddef.h>

#define TEXT_KEY_SIZE 44 /* 40 bytes, "..." and a NUL */

/* Copies what fits; '?' stands for each control character, and for each byte that is not part of
 * valid UTF-8. No character is cut in two. */
void text_clean(char *to, size_t size, const char *from);

/* A key, clean and, when it is long, shortened. */
void text_key(char to[TEXT_KEY_SIZE], const char *key);

#endif
