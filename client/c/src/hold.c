/* SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include <event2/event.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "holdfast/v1/locks.pb-c.h"
#include "lease.h"
#include "outcome.h"
#include "wire/message.h"

/* Pings the server has not answered. More would not wake it. */
#define PINGS_MAX 64

/* A ping each third of the time that counts leaves two more chances. */
#define PINGS_A_TERM 3

/* Pings come faster while the server confirms little, but not much faster. */
#define PING_HURRY_MAX 8

/* The application is warned when this part of the ttl is left; a healthy lease stays above a third.
 */
#define AT_RISK_PART 6

#define EVENT_ARENA_MAX ((size_t)64 << 10)

struct ping {
    TAILQ_ENTRY(ping) link;
    int64_t sent_us;
    struct request *request; /* who waits for it; may be NULL */
};

TAILQ_HEAD(ping_queue, ping);

enum hold_state {
    HOLD_ASKING,
    HOLD_HELD,
    HOLD_RELEASING,
    HOLD_LOST, /* until on_lost has been called */
};

struct hold {
    LIST_ENTRY(hold) link;
    struct holdfast_async *client;
    enum hold_state state;
    struct channel_call call;
    struct request *request; /* the ask, or the release */

    char *key;
    char *label;
    uint32_t ttl_ms;
    uint32_t heartbeat_ms;
    struct holdfast_lease_events events;

    int64_t asked_us;
    struct holdfast_lease *lease; /* from HOLD_HELD on */
    struct event *timer;
    int64_t ping_due_us;
    struct ping_queue pings; /* not answered yet, oldest first */
    size_t ping_count;
    bool is_warned; /* on_at_risk was called and the lease has not recovered */
    enum holdfast_loss loss;
    struct delivery tell_at_risk;
    struct delivery tell_lost;
};

static void pop_ping(struct hold *hold)
{
    struct ping *ping = TAILQ_FIRST(&hold->pings);
    TAILQ_REMOVE(&hold->pings, ping, link);
    hold->ping_count--;
    memory_free(ping);
}

/* Nobody will answer them any more. */
static void drop_pings(struct hold *hold, enum holdfast_result result, const char *text)
{
    while (!TAILQ_EMPTY(&hold->pings)) {
        struct request *request = TAILQ_FIRST(&hold->pings)->request;
        if (request != NULL) {
            request_answer(request, result, text);
        }
        pop_ping(hold);
    }
}

static void hold_destroy(struct hold *hold)
{
    drop_pings(hold, HOLDFAST_NOT_HELD, "the lease ended");
    CHECK(hold->request == NULL);
    channel_call_forget(&hold->client->channel, &hold->call);
    client_cancel(hold->client, &hold->tell_at_risk);
    client_cancel(hold->client, &hold->tell_lost);
    LIST_REMOVE(hold, link);
    event_free(hold->timer);
    if (hold->lease != NULL) {
        lease_end(hold->lease);
        hold->lease->hold = NULL;
        lease_let_go(hold->lease);
    }
    memory_free(hold->key);
    memory_free(hold->label);
    memory_free(hold);
}

/* Ends the stream towards the server, so that a grant under way is given up, and forgets it. */
static void leave_stream(struct hold *hold)
{
    if (hold->call.state == CALL_ACTIVE && hold->client->channel.is_up) {
        channel_half_close(&hold->client->channel, &hold->call);
    }
    channel_call_forget(&hold->client->channel, &hold->call);
}

/* The answer to whoever waits, and the end of the hold. */
static void finish(struct hold *hold, enum holdfast_result result, const char *text)
{
    struct request *request = hold->request;
    hold->request = NULL;
    if (request != NULL) {
        request_answer(request, result, text);
    }
    hold_destroy(hold);
}

static void deliver_at_risk(struct delivery *delivery)
{
    struct hold *hold = CONTAINER_OF(delivery, struct hold, tell_at_risk);
    struct holdfast_lease *lease = hold->lease;
    if (hold->events.on_at_risk != NULL) {
        hold->events.on_at_risk(lease, holdfast_lease_valid_for_ms(lease), hold->events.user);
    }
}

/* The application may free the lease in on_lost; so the hold goes first. */
static void deliver_lost(struct delivery *delivery)
{
    struct hold *hold = CONTAINER_OF(delivery, struct hold, tell_lost);
    struct holdfast_lease *lease = hold->lease;
    struct holdfast_lease_events events = hold->events;
    enum holdfast_loss loss = hold->loss;
    lease_hold(lease);
    hold_destroy(hold);
    if (events.on_lost != NULL) {
        events.on_lost(lease, loss, events.user);
    }
    lease_let_go(lease);
}

static void warn(struct hold *hold)
{
    if (!hold->is_warned) {
        hold->is_warned = true;
        client_deliver(hold->client, &hold->tell_at_risk);
    }
}

static void lose(struct hold *hold, enum holdfast_loss loss)
{
    lease_end(hold->lease);
    (void)event_del(hold->timer);
    leave_stream(hold);
    drop_pings(hold, HOLDFAST_NOT_HELD, "the lease was lost");
    client_cancel(hold->client, &hold->tell_at_risk);
    hold->state = HOLD_LOST;
    hold->loss = loss;
    client_deliver(hold->client, &hold->tell_lost);
}

/* Returns false when the lease was held and its time has run out. */
static bool is_in_time(struct hold *hold, int64_t now_us)
{
    if (hold->state != HOLD_HELD || lease_left_us(hold->lease, now_us) > 0) {
        return true;
    }
    lose(hold, HOLDFAST_LOSS_EXPIRED);
    return false;
}

static int64_t term_us(const struct hold *hold)
{
    uint32_t term_ms = holdfast_lease_ttl_ms(hold->lease);
    if (hold->heartbeat_ms != 0 && hold->heartbeat_ms < term_ms) {
        term_ms = hold->heartbeat_ms;
    }
    return (int64_t)term_ms * CLOCK_US_PER_MS;
}

static int64_t at_risk_us(const struct hold *hold)
{
    return (int64_t)holdfast_lease_ttl_ms(hold->lease) * CLOCK_US_PER_MS / AT_RISK_PART;
}

/* Sets the one timer to the next thing to do: ping, warn, or end. */
static void set_timer(struct hold *hold, int64_t now_us)
{
    int64_t left_us = lease_left_us(hold->lease, now_us);
    int64_t delay_us = hold->is_warned ? left_us : left_us - at_risk_us(hold);
    if (hold->ping_due_us - now_us < delay_us) {
        delay_us = hold->ping_due_us - now_us;
    }
    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timeval delay = {.tv_sec = (time_t)(delay_us / CLOCK_US_PER_S),
                            .tv_usec = (suseconds_t)(delay_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(hold->timer, &delay) == 0);
}

/* Halfway to the end at the latest: what is left may be less than the ttl. */
static void plan_ping(struct hold *hold, int64_t now_us)
{
    int64_t interval_us = term_us(hold) / PINGS_A_TERM;
    int64_t half_us = lease_left_us(hold->lease, now_us) / 2;
    int64_t shortest_us = interval_us / PING_HURRY_MAX;
    if (half_us < interval_us) {
        interval_us = half_us > shortest_us ? half_us : shortest_us;
    }
    hold->ping_due_us = now_us + interval_us;
}

/* Returns NULL when too many are not answered yet. */
static struct ping *send_ping(struct hold *hold, int64_t now_us)
{
    struct channel *channel = &hold->client->channel;
    if (hold->ping_count >= PINGS_MAX || channel_is_congested(channel)) {
        return NULL;
    }
    Holdfast__V1__HoldPing ping_message = HOLDFAST__V1__HOLD_PING__INIT;
    Holdfast__V1__HoldRequest message = HOLDFAST__V1__HOLD_REQUEST__INIT;
    message.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING;
    message.ping = &ping_message;
    struct ping *ping = memory_alloc(sizeof(*ping));
    ping->sent_us = now_us;
    TAILQ_INSERT_TAIL(&hold->pings, ping, link);
    hold->ping_count++;
    channel_send_message(channel, &hold->call, &message.base);
    return ping;
}

/* Timers run on a clock that stands still while the machine is suspended, and may be early. */
static void on_timer(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct hold *hold = argument;
    int64_t now_us = clock_now_us();
    if (!is_in_time(hold, now_us)) {
        return;
    }
    if (lease_left_us(hold->lease, now_us) <= at_risk_us(hold)) {
        warn(hold);
    }
    if (now_us >= hold->ping_due_us) {
        (void)send_ping(hold, now_us);
        plan_ping(hold, now_us);
    }
    set_timer(hold, now_us);
}

static void send_ask(struct channel_call *call)
{
    struct hold *hold = CONTAINER_OF(call, struct hold, call);
    struct channel *channel = &hold->client->channel;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    Holdfast__V1__HoldRequest message = HOLDFAST__V1__HOLD_REQUEST__INIT;
    const struct channel_request opening = {.method = "Hold"};
    ask.key = hold->key;
    ask.label = hold->label;
    ask.ttl_ms = hold->ttl_ms;
    ask.heartbeat_ms = hold->heartbeat_ms;
    message.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    message.ask = &ask;
    hold->asked_us = clock_now_us();
    channel_send_request(channel, call, &opening);
    channel_send_message(channel, call, &message.base);
}

static bool take_granted(struct hold *hold, const Holdfast__V1__Lease *message, int64_t now_us)
{
    struct holdfast_lease *lease =
        lease_create(message, hold->key, hold->asked_us, hold->client->mailbox);
    if (hold->state != HOLD_ASKING || lease == NULL || lease->fence == 0) {
        if (lease != NULL) {
            lease_let_go(lease);
        }
        return false;
    }
    hold->lease = lease;
    lease->hold = hold;
    lease->has_events = hold->events.on_lost != NULL || hold->events.on_at_risk != NULL;
    if (lease_left_us(lease, now_us) <= 0) {
        leave_stream(hold);
        finish(hold, HOLDFAST_TIMEOUT, "the lease had expired when its grant was read");
        return true;
    }
    struct request *request = hold->request;
    lease_hold(lease);
    request->lease = lease;
    hold->request = NULL;
    hold->state = HOLD_HELD;
    request_answer(request, HOLDFAST_OK, "");
    plan_ping(hold, now_us);
    set_timer(hold, now_us);
    return true;
}

static bool take_busy(struct hold *hold, const Holdfast__V1__Holder *holder)
{
    if (hold->state != HOLD_ASKING) {
        return false;
    }
    outcome_take_holder(&hold->request->holder, holder);
    hold->request->has_holder = true;
    finish(hold, HOLDFAST_BUSY, "somebody else holds the lock");
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
    if (hold->state != HOLD_HELD || ping == NULL) {
        return false;
    }
    lease_confirm(hold->lease, ping->sent_us, renewed->valid_for_ms);
    if (!is_in_time(hold, now_us)) {
        return true;
    }
    if (ping->request != NULL) {
        request_answer(ping->request, HOLDFAST_OK, "");
    }
    pop_ping(hold);
    hold->is_warned = hold->is_warned && lease_left_us(hold->lease, now_us) <= 2 * at_risk_us(hold);
    plan_ping(hold, now_us);
    set_timer(hold, now_us);
    return true;
}

static bool take_lost(struct hold *hold, const Holdfast__V1__HoldLost *lost)
{
    if (hold->state == HOLD_HELD) {
        lose(hold, outcome_of_loss(lost->reason));
        return true;
    }
    if (hold->state == HOLD_RELEASING) {
        finish(hold, HOLDFAST_NOT_HELD, "the lease was lost before it could be released");
        return true;
    }
    return false;
}

static bool take_event(struct hold *hold, const Holdfast__V1__HoldEvent *event)
{
    int64_t now_us = clock_now_us();
    if (!is_in_time(hold, now_us)) {
        return true;
    }
    switch (event->event_case) {
    case HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED:
        return take_granted(hold, event->granted, now_us);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY:
        return take_busy(hold, event->busy);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_RENEWED:
        return take_renewed(hold, event->renewed, now_us);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_AT_RISK:
        if (hold->state == HOLD_HELD) {
            warn(hold);
        }
        return true;
    case HOLDFAST__V1__HOLD_EVENT__EVENT_LOST:
        return take_lost(hold, event->lost);
    case HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED:
        if (hold->state != HOLD_RELEASING) {
            return false;
        }
        finish(hold, HOLDFAST_OK, "");
        return true;
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

static void end_request(struct hold *hold, const struct channel_end *end)
{
    if (end->is_disconnected) {
        finish(hold, HOLDFAST_AWAY, hold->client->down);
    } else if (end->status == STATUS_OK) {
        finish(hold, HOLDFAST_REFUSED, "the server ended the stream without an answer");
    } else {
        finish(hold, outcome_of_status(end->status), outcome_text(end->text));
    }
}

/* All leases of a lost connection end here, before the first application hears of its own. */
static void on_end(struct channel_call *call, const struct channel_end *end)
{
    struct hold *hold = CONTAINER_OF(call, struct hold, call);
    if (hold->state == HOLD_HELD) {
        if (is_in_time(hold, clock_now_us())) {
            lose(hold, HOLDFAST_LOSS_CONNECTION);
        }
    } else {
        end_request(hold, end);
    }
}

static const struct channel_call_events call_events = {
    .on_ready = send_ask,
    .on_message = on_message,
    .on_end = on_end,
};

/* Of the ask and of the release. */
static void on_request_timeout(struct request *request)
{
    struct hold *hold = request->owner;
    if (hold->client->is_closing) {
        finish(hold, HOLDFAST_AWAY, REQUEST_CLOSED);
    } else if (hold->call.state == CALL_WAITING) {
        finish(hold, HOLDFAST_AWAY, hold->client->down);
    } else {
        leave_stream(hold);
        finish(hold, HOLDFAST_TIMEOUT, "the server did not answer in time");
    }
}

static void on_renew_timeout(struct request *request)
{
    struct ping *ping = request->owner;
    ping->request = NULL;
    request_answer(request, HOLDFAST_TIMEOUT, "the server did not answer in time");
}

static char *copy_or_empty(const char *text)
{
    return memory_copy_string(text != NULL ? text : "");
}

void hold_start(struct holdfast_async *client, const struct holdfast_ask *ask,
                const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    struct hold *hold = memory_alloc(sizeof(*hold));
    hold->client = client;
    hold->call.events = &call_events;
    hold->request = request;
    request->owner = hold;
    request->on_timeout = on_request_timeout;
    hold->key = memory_copy_string(ask->key);
    hold->label = copy_or_empty(ask->label);
    hold->ttl_ms = ask->ttl_ms;
    hold->heartbeat_ms = ask->heartbeat_ms;
    hold->events = ask->events;
    hold->tell_at_risk.run = deliver_at_risk;
    hold->tell_lost.run = deliver_lost;
    TAILQ_INIT(&hold->pings);
    hold->timer = evtimer_new(client->base, on_timer, hold);
    CHECK(hold->timer != NULL);
    LIST_INSERT_HEAD(&client->holds, hold, link);
    channel_call_start(&client->channel, &hold->call);
}

void hold_release(struct hold *hold, const struct callback *callback)
{
    struct request *request = request_create(hold->client, callback);
    if (request == NULL) {
        return;
    }
    if (hold->state != HOLD_HELD || !is_in_time(hold, clock_now_us())) {
        request_answer(request, HOLDFAST_NOT_HELD, "the lease was lost or released before");
        if (hold->state == HOLD_LOST) {
            hold_destroy(hold);
        }
        return;
    }
    hold->state = HOLD_RELEASING;
    hold->request = request;
    request->owner = hold;
    request->on_timeout = on_request_timeout;
    lease_end(hold->lease);
    (void)event_del(hold->timer);
    drop_pings(hold, HOLDFAST_NOT_HELD, "the lease is being released");
    client_cancel(hold->client, &hold->tell_at_risk);
    channel_half_close(&hold->client->channel, &hold->call);
}

void hold_renew(struct hold *hold, const struct callback *callback)
{
    int64_t now_us = clock_now_us();
    struct request *request = request_create(hold->client, callback);
    if (request == NULL) {
        return;
    }
    if (hold->state != HOLD_HELD || !is_in_time(hold, now_us)) {
        request_answer(request, HOLDFAST_NOT_HELD, "the lease was lost or released before");
        return;
    }
    struct ping *ping = send_ping(hold, now_us);
    if (ping == NULL) {
        request_answer(request, HOLDFAST_LIMIT, "too many renewals wait for the server");
        return;
    }
    ping->request = request;
    request->owner = ping;
    request->on_timeout = on_renew_timeout;
}

void hold_abandon(struct hold *hold)
{
    if (hold->state == HOLD_RELEASING) {
        return;
    }
    leave_stream(hold);
    hold_destroy(hold);
}

void hold_close_all(struct holdfast_async *client)
{
    while (!LIST_EMPTY(&client->holds)) {
        finish(LIST_FIRST(&client->holds), HOLDFAST_AWAY, REQUEST_CLOSED);
    }
}
