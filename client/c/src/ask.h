/* SPDX-License-Identifier: Apache-2.0 */
/* What the application asks for: checked, copied, and put into messages. */
#ifndef HOLDFAST_CLIENT_ASK_H
#define HOLDFAST_CLIENT_ASK_H

#include "base/id128.h"

#include "holdfast/v1/locks.pb-c.h"

#include <holdfast/holdfast.h>
#include <stdint.h>

enum ask_kind { ASK_HOLD, ASK_RESUME, ASK_DETACHED };

/* NULL, or what is wrong with a key: static text. The rest is the server's to judge. */
const char *ask_key_problem(const char *key);

/* NULL, or what is wrong: static text. */
const char *ask_problem(const struct holdfast_ask *ask, enum ask_kind kind);

/* Copies all that `from` points to; texts that are NULL become "". */
void ask_copy(struct holdfast_ask *to, const struct holdfast_ask *from);

/* Frees what ask_copy has made. */
void ask_release(struct holdfast_ask *ask);

/* The same as a message that points into `ask`; it still waits for `wait_ms`. */
void ask_fill_hold(Holdfast__V1__HoldAsk *to, const struct holdfast_ask *ask, uint32_t wait_ms);
void ask_fill_resume(Holdfast__V1__HoldAsk *to, const struct holdfast_ask *ask,
                     const struct id128 *token);
void ask_fill_detached(Holdfast__V1__AcquireRequest *to, const struct holdfast_ask *ask,
                       const struct id128 *token, uint32_t wait_ms);

#endif
