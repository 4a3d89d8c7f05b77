/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a trouble that lasts from filling the log: it is news when it is new or has been going on
 * for a while without a word. */
#ifndef HOLDFAST_REDIS_REPEAT_H
#define HOLDFAST_REDIS_REPEAT_H

#include <stdbool.h>
#include <stdint.h>

#define REPEAT_TEXT_SIZE   256
#define REPEAT_INTERVAL_US ((int64_t)10000000)

struct repeat {
    char text[REPEAT_TEXT_SIZE]; /* empty: nothing was said yet */
    int64_t said_us;
};

/* Nothing was said yet. */
void repeat_init(struct repeat *repeat);

/* Whether `text` should be logged now; the answer yes is taken as having logged it. */
bool repeat_is_news(struct repeat *repeat, const char *text, int64_t now_us);

#endif
