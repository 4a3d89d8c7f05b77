/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"

#include <stdio.h>
#include <string.h>

enum holdfast_result outcome_of_status(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return HOLDFAST_OK;
    case STATUS_INVALID_ARGUMENT:
        return HOLDFAST_INVALID;
    case STATUS_UNAVAILABLE:
        return HOLDFAST_AWAY;
    case STATUS_DEADLINE_EXCEEDED:
        return HOLDFAST_TIMEOUT;
    case STATUS_RESOURCE_EXHAUSTED:
        return HOLDFAST_LIMIT;
    default:
        return HOLDFAST_REFUSED;
    }
}

enum holdfast_loss outcome_of_loss(Holdfast__V1__HoldLost__Reason reason)
{
    switch (reason) {
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_EXPIRED:
        return HOLDFAST_LOSS_EXPIRED;
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN:
        return HOLDFAST_LOSS_TAKEN;
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_HEARTBEAT_MISSED:
        return HOLDFAST_LOSS_HEARTBEAT;
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_SHUTDOWN:
        return HOLDFAST_LOSS_SHUTDOWN;
    default:
        return HOLDFAST_LOSS_CONNECTION;
    }
}

const char *outcome_text(const char *text)
{
    static const char wrapper[] = "ask.";
    size_t length = sizeof(wrapper) - 1;
    return strncmp(text, wrapper, length) == 0 ? text + length : text;
}

void outcome_take_holder(struct holdfast_holder *to, const Holdfast__V1__Holder *from)
{
    *to = (struct holdfast_holder){
        .is_held = true,
        .is_foreign = from->foreign,
        .since_ms = from->since_ms,
        .remaining_ms = from->remaining_ms,
        .fence = from->fence,
    };
    (void)snprintf(to->label, sizeof(to->label), "%s", from->label);
}

const char *holdfast_result_text(enum holdfast_result result)
{
    switch (result) {
    case HOLDFAST_OK:
        return "ok";
    case HOLDFAST_BUSY:
        return "busy";
    case HOLDFAST_NOT_HELD:
        return "not held";
    case HOLDFAST_INVALID:
        return "invalid argument";
    case HOLDFAST_AWAY:
        return "server away";
    case HOLDFAST_TIMEOUT:
        return "timeout";
    case HOLDFAST_LIMIT:
        return "limit reached";
    case HOLDFAST_REFUSED:
        return "refused";
    }
    return "unknown result";
}

const char *holdfast_loss_text(enum holdfast_loss loss)
{
    switch (loss) {
    case HOLDFAST_LOSS_EXPIRED:
        return "expired";
    case HOLDFAST_LOSS_TAKEN:
        return "taken";
    case HOLDFAST_LOSS_HEARTBEAT:
        return "heartbeat missed";
    case HOLDFAST_LOSS_SHUTDOWN:
        return "server shut down";
    case HOLDFAST_LOSS_CONNECTION:
        return "connection lost";
    }
    return "unknown loss";
}

const char *holdfast_version(void)
{
    return HOLDFAST_VERSION;
}
