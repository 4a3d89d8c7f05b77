/* SPDX-License-Identifier: Apache-2.0 */
#include "hold_internal.h"

#include <event2/event.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "holdfast/v1/locks.pb-c.h"
#include "outcome.h"
#include "unary.h"
#include "wire/message.h"

#define EVENT_ARENA_MAX ((size_t)64 << 10)

/* From a grant to our reading of it, where it matters for no more than the name of a loss. */
#define GRANT_DELAY_MAX_US (10 * CLOCK_US_PER_MS)

static int64_t timeout_us(const struct hold *hold)
{
    return (int64_t)hold->client->reach.timeout_ms * CLOCK_US_PER_MS;
}

/* The wait began when the server heard of it first. */
static uint32_t wait_left_ms(struct hold *hold)
{
    if (hold->wait_until_us == 0) {
        hold->wait_until_us = hold->asked_us + (int64_t)hold->ask.wait_ms * CLOCK_US_PER_MS;
    }
    int64_t left_us = hold->wait_until_us - hold->asked_us;
    return left_us > 0 ? (uint32_t)(left_us / CLOCK_US_PER_MS) : 0;
}

static void send_ask(struct channel_call *call)
{
    struct hold *hold = CONTAINER_OF(call, struct hold, call);
    struct channel *channel = &hold->client->channel;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    Holdfast__V1__HoldRequest message = HOLDFAST__V1__HOLD_REQUEST__INIT;
    const struct channel_request opening = {.method = "Hold"};
    message.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    message.ask = &ask;
    hold->asked_us = clock_now_us();
    uint32_t wait_ms = hold->is_resumption ? 0 : wait_left_ms(hold);
    if (hold->is_resumption) {
        ask_fill_resume(&ask, &hold->ask, &hold->token);
    } else {
        ask_fill_hold(&ask, &hold->ask, wait_ms);
    }
    if (wait_ms > 0) {
        request_postpone(hold->request, wait_ms * CLOCK_US_PER_MS + timeout_us(hold));
    }
    channel_send_request(channel, call, &opening);
    channel_send_message(channel, call, &message.base);
}

static bool take_queued(struct hold *hold, const Holdfast__V1__HoldQueued *queued)
{
    if (hold->state != HOLD_ASKING) {
        return false;
    }
    hold->was_queued = true;
    hold->position = queued->position;
    if (hold->ask.events.on_queued == NULL) {
        return true;
    }
    if (hold->ahead == NULL) {
        hold->ahead = memory_alloc(sizeof(*hold->ahead));
    }
    *hold->ahead = (struct holdfast_holder){.is_held = false};
    if (queued->holder != NULL) {
        outcome_take_holder(hold->ahead, queued->holder);
    }
    client_deliver(hold->client, &hold->tell_queued);
    return true;
}

/* The lease of a grant that makes sense, or NULL. */
static struct holdfast_lease *lease_of(const struct hold *hold, const Holdfast__V1__Lease *message)
{
    const char *key = hold->ask.key_count > 0 ? NULL : hold->ask.key;
    struct holdfast_lease *lease =
        lease_create(message, key, hold->asked_us, hold->client->mailbox);
    if (lease == NULL) {
        return NULL;
    }
    bool is_whole = hold->ask.key_count == 0 || lease->lock_count == hold->ask.key_count;
    bool is_right = !hold->is_resumption || id128_equal(&lease->token, &hold->token);
    if (lease->locks[0].fence == 0 || !is_whole || !is_right) {
        lease_let_go(lease);
        return NULL;
    }
    return lease;
}

static void adopt(struct hold *hold, struct holdfast_lease *lease)
{
    const struct holdfast_lease_events *events = &hold->ask.events;
    hold->lease = lease;
    lease->hold = hold;
    lease->has_events = events->on_lost != NULL || events->on_at_risk != NULL;
    client_cancel(hold->client, &hold->tell_queued);
}

/* What ends the lease now, if nothing else does: its server never confirms more than the longest
 * hold leaves, which was `now_us` minus `sent_us` less when we heard of it than when it was
 * counted. */
static void note_max_hold(struct hold *hold, int64_t sent_us, int64_t now_us)
{
    int64_t deadline_us = now_us + lease_left_us(hold->lease, now_us);
    int64_t end_us = hold->granted_us + (int64_t)hold->ask.max_hold_ms * CLOCK_US_PER_MS;
    hold->is_last_term = hold->ask.max_hold_ms != 0 &&
                         deadline_us + (now_us - sent_us) + GRANT_DELAY_MAX_US >= end_us;
}

/* After a wait the grant may be as old as the question, for a process that was frozen reads what
 * came long ago: a ping tells. Where enough is left to go on with, nobody has to wait for its
 * answer. */
static void take_late_grant(struct hold *hold, int64_t now_us)
{
    hold->state = HOLD_CONFIRMING;
    (void)hold_send_ping(hold, now_us);
    if (lease_left_us(hold->lease, now_us) > 2 * hold_at_risk_us(hold)) {
        hold_settle(hold, now_us);
    } else {
        request_postpone(hold->request, timeout_us(hold));
    }
}

static bool take_granted(struct hold *hold, const Holdfast__V1__Lease *message, int64_t now_us)
{
    struct holdfast_lease *lease = hold->state == HOLD_ASKING ? lease_of(hold, message) : NULL;
    if (lease == NULL) {
        return false;
    }
    adopt(hold, lease);
    hold->granted_us = now_us;
    note_max_hold(hold, hold->asked_us, now_us);
    if (hold->ask.wait_ms > 0 && !hold->is_resumption) {
        take_late_grant(hold, now_us);
    } else if (lease_left_us(lease, now_us) > 0) {
        hold_settle(hold, now_us);
    } else {
        hold_leave_stream(hold);
        hold_finish(hold, HOLDFAST_TIMEOUT, "the lease had expired when its grant was read");
    }
    return true;
}

/* Ours again, with the fence it had: whoever waited for news of it has them. */
static bool take_resumed(struct hold *hold, const Holdfast__V1__Lease *message, int64_t now_us)
{
    struct holdfast_lease *fresh = lease_of(hold, message);
    if (fresh == NULL) {
        return false;
    }
    bool is_same = fresh->locks[0].fence == hold->lease->locks[0].fence;
    if (is_same) {
        lease_confirm(hold->lease, hold->asked_us, message->valid_for_ms);
        atomic_store(&hold->lease->ttl_ms, message->ttl_ms);
        hold->granted_us = hold->asked_us;
        note_max_hold(hold, hold->asked_us, now_us);
    }
    lease_let_go(fresh);
    if (!is_same || !hold_is_in_time(hold, now_us)) {
        return is_same;
    }
    hold->state = HOLD_HELD;
    hold_drop_pings(hold, HOLDFAST_OK, "");
    hold->is_warned = false;
    hold_plan_ping(hold, now_us);
    hold_set_timer(hold, now_us);
    return true;
}

static bool take_busy(struct hold *hold, const Holdfast__V1__Holder *holder)
{
    if (hold->state == HOLD_RELEASING) {
        hold_finish(hold, HOLDFAST_NOT_HELD, "the lease had ended before");
        return true;
    }
    if (hold->state != HOLD_ASKING) {
        return false;
    }
    request_take_holder(hold->request, holder);
    hold_finish(hold, HOLDFAST_BUSY,
                holder->closed ? "the lock is closed for a while after its holder was lost"
                               : "somebody else holds the lock");
    return true;
}

/* Answers come in the order of the pings. An answer that crossed our release says nothing new. */
static bool take_renewed(struct hold *hold, const Holdfast__V1__HoldRenewed *renewed,
                         int64_t now_us)
{
    if (hold->state == HOLD_RELEASING) {
        return true;
    }
    struct ping *ping = TAILQ_FIRST(&hold->pings);
    if ((hold->state != HOLD_HELD && hold->state != HOLD_CONFIRMING) || ping == NULL) {
        return false;
    }
    lease_confirm(hold->lease, ping->sent_us, renewed->valid_for_ms);
    note_max_hold(hold, ping->sent_us, now_us);
    if (hold->state == HOLD_CONFIRMING && lease_left_us(hold->lease, now_us) <= 0) {
        hold_leave_stream(hold);
        hold_finish(hold, HOLDFAST_TIMEOUT, "the lease had expired when its grant was confirmed");
        return true;
    }
    if (!hold_is_in_time(hold, now_us)) {
        return true;
    }
    if (ping->request != NULL) {
        request_answer(ping->request, HOLDFAST_OK, "");
    }
    hold_pop_ping(hold);
    hold->is_warned =
        hold->is_warned && lease_left_us(hold->lease, now_us) <= 2 * hold_at_risk_us(hold);
    if (hold->state == HOLD_CONFIRMING) {
        hold_settle(hold, now_us);
    } else {
        hold_plan_ping(hold, now_us);
        hold_set_timer(hold, now_us);
    }
    return true;
}

static bool take_lost(struct hold *hold, const Holdfast__V1__HoldLost *lost)
{
    switch (hold->state) {
    case HOLD_HELD:
    case HOLD_RESUMING:
        hold_lose(hold, outcome_of_loss(lost->reason));
        return true;
    case HOLD_RELEASING:
        hold_finish(hold, HOLDFAST_NOT_HELD, "the lease was lost before it could be released");
        return true;
    case HOLD_CONFIRMING:
        hold_finish(hold, HOLDFAST_NOT_HELD, "the lease was lost before it could be used");
        return true;
    case HOLD_ASKING:
        if (hold->is_resumption) {
            hold_finish(hold, HOLDFAST_NOT_HELD, "the lease has ended meanwhile");
            return true;
        }
        return false;
    case HOLD_LOST:
        return false;
    }
    return false;
}

static bool take_released(struct hold *hold)
{
    if (hold->state != HOLD_RELEASING) {
        return false;
    }
    hold_finish(hold, HOLDFAST_OK, "");
    return true;
}

static bool take_event(struct hold *hold, const Holdfast__V1__HoldEvent *event)
{
    int64_t now_us = clock_now_us();
    if (!hold_is_in_time(hold, now_us)) {
        return true;
    }
    switch (event->event_case) {
    case HOLDFAST__V1__HOLD_EVENT__EVENT_QUEUED:
        return take_queued(hold, event->queued);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED:
        if (hold->state == HOLD_RELEASING) {
            return true; /* resumed just when we gave it up */
        }
        return hold->state == HOLD_RESUMING ? take_resumed(hold, event->granted, now_us)
                                            : take_granted(hold, event->granted, now_us);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY:
        return take_busy(hold, event->busy);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_RENEWED:
        return take_renewed(hold, event->renewed, now_us);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_AT_RISK:
        if (hold->state == HOLD_HELD) {
            hold_warn(hold);
        }
        return true;
    case HOLDFAST__V1__HOLD_EVENT__EVENT_LOST:
        return take_lost(hold, event->lost);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED:
        return take_released(hold);
    default:
        return true; /* an event of the future */
    }
}

static bool on_message(struct channel_call *call, const uint8_t *bytes, size_t length)
{
    struct hold *hold = CONTAINER_OF(call, struct hold, call);
    char problem[MESSAGE_PROBLEM_SIZE];
    struct arena arena;
    arena_init(&arena, EVENT_ARENA_MAX);
    const Holdfast__V1__HoldEvent *event = (const Holdfast__V1__HoldEvent *)message_unpack(
        &holdfast__v1__hold_event__descriptor, bytes, length, &arena, problem);
    bool is_understood = event != NULL && take_event(hold, event);
    arena_release(&arena);
    return is_understood;
}

/* Nothing is held, so whoever waits may ask anew with what is left of the wait. */
static bool asks_again(struct hold *hold)
{
    if (hold->state != HOLD_ASKING || !hold->was_queued || clock_now_us() >= hold->wait_until_us) {
        return false;
    }
    client_cancel(hold->client, &hold->tell_queued);
    request_postpone(hold->request, timeout_us(hold));
    channel_call_start(&hold->client->channel, &hold->call);
    return true;
}

/* A lease with a grace outlives the connection, also one that the application never saw. */
static void give_up_unseen(struct hold *hold)
{
    const struct callback nobody = {.kind = CALLBACK_DONE};
    if (hold->state == HOLD_CONFIRMING && hold->ask.grace_ms > 0 && !hold->client->is_closing) {
        const struct unary_lease of = {.key = hold->ask.key, .token = hold->lease->token.bytes};
        unary_release(hold->client, &of, NULL, &nobody);
    }
}

static void end_request(struct hold *hold, const struct channel_end *end)
{
    if (end->is_disconnected) {
        if (!asks_again(hold)) {
            give_up_unseen(hold);
            hold_finish(hold, HOLDFAST_AWAY, hold->client->down);
        }
    } else if (end->status == STATUS_OK) {
        hold_finish(hold, HOLDFAST_REFUSED, "the server ended the stream without an answer");
    } else {
        hold_finish(hold, outcome_of_status(end->status), outcome_text(end->text));
    }
}

static bool is_passing(enum status status)
{
    return status == STATUS_UNAVAILABLE || status == STATUS_RESOURCE_EXHAUSTED ||
           status == STATUS_DEADLINE_EXCEEDED || status == STATUS_OK;
}

/* All leases of a lost connection end here, before the first application hears of its own. */
static void on_end(struct channel_call *call, const struct channel_end *end)
{
    struct hold *hold = CONTAINER_OF(call, struct hold, call);
    int64_t now_us = clock_now_us();
    if (hold->state != HOLD_HELD && hold->state != HOLD_RESUMING) {
        end_request(hold, end);
    } else if (!hold_is_in_time(hold, now_us)) {
        return;
    } else if (end->is_disconnected && hold->ask.grace_ms > 0) {
        hold_begin_resuming(hold, now_us);
    } else if (hold->state == HOLD_RESUMING && is_passing(end->status)) {
        hold_resume_later(hold, now_us);
    } else {
        hold_lose(hold, HOLDFAST_LOSS_CONNECTION);
    }
}

const struct channel_call_events hold_call_events = {
    .on_ready = send_ask,
    .on_message = on_message,
    .on_end = on_end,
};
