/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text: RFC 4648, section 4. */
#ifndef HOLDFAST_CLI_BASE64_H
#define HOLDFAST_CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With padding; the caller frees it. */
char *base64_encode(const uint8_t *bytes, size_t length);

/* Reads the alphabet of section 4 or 5 (URLs), with or without padding. False when `text` is no
 * base64; *bytes is the caller's to free otherwise. */
bool base64_decode(const char *text, uint8_t **bytes, size_t *length);

#endif
