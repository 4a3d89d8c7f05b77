/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    int64_t ms;
};

/* Largest first: duration_format takes the first that divides. */
static const struct unit units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strcmp(units[i].name, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

bool duration_parse(const char *text, int64_t *ms)
{
    int64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = *at - '0';
        if (number > (INT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    if (at == text) {
        return false;
    }
    if (*at == '\0' && at == text + 1 && number == 0) {
        *ms = 0;
        return true;
    }
    const struct unit *unit = find_unit(at);
    if (unit == NULL || number > INT64_MAX / unit->ms) {
        return false;
    }
    *ms = number * unit->ms;
    return true;
}

void duration_format(int64_t ms, char text[DURATION_TEXT_SIZE])
{
    CHECK(ms >= 0);
    size_t i = 0;
    while (ms % units[i].ms != 0) {
        i++;
    }
    const char *name = ms == 0 ? "" : units[i].name;
    snprintf(text, DURATION_TEXT_SIZE, "%" PRId64 "%s", ms / units[i].ms, name);
}
