/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/repeat.h"

#include <stdio.h>
#include <string.h>

void repeat_init(struct repeat *repeat)
{
    repeat->text[0] = '\0';
    repeat->said_us = 0;
}

bool repeat_is_news(struct repeat *repeat, const char *text, int64_t now_us)
{
    bool is_same = strncmp(repeat->text, text, sizeof(repeat->text) - 1) == 0;
    if (is_same && now_us - repeat->said_us < REPEAT_INTERVAL_US) {
        return false;
    }
    snprintf(repeat->text, sizeof(repeat->text), "%s", text);
    repeat->said_us = now_us;
    return true;
}
