/* SPDX-License-Identifier: Apache-2.0 */
/* What a call asks for, kept for as long as the call lives, whatever protocol carries it. */
#ifndef HOLDFAST_CLIENT_CALL_ASK_H
#define HOLDFAST_CLIENT_CALL_ASK_H

#include <holdfast/holdfast.h>

/* Copies all that `from` points to but for the message, which is then empty. */
void call_ask_copy(struct holdfast_call_ask *to, const struct holdfast_call_ask *from);

/* Frees what call_ask_copy has made, and the message if one was put in its place by memory_copy.
 * One that is all zero has nothing to free. */
void call_ask_release(struct holdfast_call_ask *ask);

#endif
