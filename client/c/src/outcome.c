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
    case STATUS_ABORTED:
        return HOLDFAST_DEADLOCK;
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
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_MAX_HOLD:
        return HOLDFAST_LOSS_MAX_HOLD;
    case HOLDFAST__V1__HOLD_LOST__REASON__REASON_RESUMED:
        return HOLDFAST_LOSS_RESUMED;
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

enum holdfast_mode outcome_of_mode(Holdfast__V1__Mode mode)
{
    return mode == HOLDFAST__V1__MODE__MODE_SHARED ? HOLDFAST_SHARED : HOLDFAST_EXCLUSIVE;
}

static void take_value(struct holdfast_holder *to, const ProtobufCBinaryData *value)
{
    to->value_length = value->len < sizeof(to->value) ? value->len : sizeof(to->value);
    if (to->value_length > 0) {
        memcpy(to->value, value->data, to->value_length);
    }
}

void outcome_take_holder(struct holdfast_holder *to, const Holdfast__V1__Holder *from)
{
    *to = (struct holdfast_holder){
        .is_held = !from->closed,
        .is_foreign = from->foreign,
        .is_closed = from->closed,
        .mode = outcome_of_mode(from->mode),
        .holders = from->holders,
        .since_ms = from->since_ms,
        .remaining_ms = from->remaining_ms,
        .fence = from->fence,
    };
    (void)snprintf(to->label, sizeof(to->label), "%s", from->label);
    (void)snprintf(to->key, sizeof(to->key), "%s", from->key);
    take_value(to, &from->value);
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
    case HOLDFAST_DEADLOCK:
        return "deadlock";
    case HOLDFAST_CANCELLED:
        return "cancelled";
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
    case HOLDFAST_LOSS_MAX_HOLD:
        return "held for its maximum";
    case HOLDFAST_LOSS_RESUMED:
        return "resumed by somebody else";
    }
    return "unknown loss";
}

const char *holdfast_version(void)
{
    return HOLDFAST_VERSION;
}
