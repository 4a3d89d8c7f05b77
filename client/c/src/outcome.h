/* SPDX-License-Identifier: Apache-2.0 */
/* From the server's words to the library's. */
#ifndef HOLDFAST_CLIENT_OUTCOME_H
#define HOLDFAST_CLIENT_OUTCOME_H

#include "holdfast/v1/locks.pb-c.h"
#include "wire/status.h"

#include <holdfast/holdfast.h>

/* What a call that the server ended with `status` came to. */
enum holdfast_result outcome_of_status(enum status status);

/* HOLDFAST_LOSS_CONNECTION for a reason of the future. */
enum holdfast_loss outcome_of_loss(Holdfast__V1__HoldLost__Reason reason);

/* HOLDFAST_EXCLUSIVE for a mode of the future. */
enum holdfast_mode outcome_of_mode(Holdfast__V1__Mode mode);

/* What the server says, with its names of fields as the caller knows them. */
const char *outcome_text(const char *text);

void outcome_take_holder(struct holdfast_holder *to, const Holdfast__V1__Holder *from);

#endif
