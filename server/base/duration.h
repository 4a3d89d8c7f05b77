/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as people write them: a whole number and a unit, "250ms", "3s", "5m", "2h". */
#ifndef HOLDFAST_BASE_DURATION_H
#define HOLDFAST_BASE_DURATION_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* Room for any duration with its NUL. */
#define DURATION_TEXT_SIZE 32

/* Parses `text` into milliseconds; false (and *ms untouched) unless it is digits followed by ms, s,
 * m or h that fit in 63 bits. A bare "0" is allowed. */
NODISCARD bool duration_parse(const char *text, int64_t *ms);

/* Writes the shortest exact form: 1500 -> "1500ms", 60000 -> "1m". `ms` is not negative. */
void duration_format(int64_t ms, char text[DURATION_TEXT_SIZE]);

#endif
