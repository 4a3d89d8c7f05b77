/* SPDX-License-Identifier: Apache-2.0 */
#include "hold_internal.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "holdfast/v1/locks.pb-c.h"

/* Pings the server has not answered. More would not wake it. */
#define PINGS_MAX 64

/* A ping each third of the time that counts leaves two more chances. */
#define PINGS_A_TERM 3

/* Pings come faster while the server confirms little, but not much faster. */
#define PING_HURRY_MAX 8

/* The application is warned when this part of the ttl is left; a healthy lease stays above a third.
 */
#define AT_RISK_PART 6

/* Between two attempts to resume that the server answers with "not now". */
#define RESUME_PAUSE_US (100 * CLOCK_US_PER_MS)

void hold_pop_ping(struct hold *hold)
{
    struct ping *ping = TAILQ_FIRST(&hold->pings);
    TAILQ_REMOVE(&hold->pings, ping, link);
    hold->ping_count--;
    memory_free(ping);
}

void hold_drop_pings(struct hold *hold, enum holdfast_result result, const char *text)
{
    while (!TAILQ_EMPTY(&hold->pings)) {
        struct request *request = TAILQ_FIRST(&hold->pings)->request;
        if (request != NULL) {
            request_answer(request, result, text);
        }
        hold_pop_ping(hold);
    }
}

static int64_t term_us(const struct hold *hold)
{
    uint32_t term_ms = holdfast_lease_ttl_ms(hold->lease);
    if (hold->ask.heartbeat_ms != 0 && hold->ask.heartbeat_ms < term_ms) {
        term_ms = hold->ask.heartbeat_ms;
    }
    return (int64_t)term_ms * CLOCK_US_PER_MS;
}

int64_t hold_at_risk_us(const struct hold *hold)
{
    return (int64_t)holdfast_lease_ttl_ms(hold->lease) * CLOCK_US_PER_MS / AT_RISK_PART;
}

/* Ping or resume, warn, or end. */
void hold_set_timer(struct hold *hold, int64_t now_us)
{
    int64_t left_us = lease_left_us(hold->lease, now_us);
    int64_t delay_us = hold->is_warned ? left_us : left_us - hold_at_risk_us(hold);
    if (hold->due_us - now_us < delay_us) {
        delay_us = hold->due_us - now_us;
    }
    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timeval delay = {.tv_sec = (time_t)(delay_us / CLOCK_US_PER_S),
                            .tv_usec = (suseconds_t)(delay_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(hold->timer, &delay) == 0);
}

/* Halfway to the end at the latest: what is left may be less than the ttl. */
void hold_plan_ping(struct hold *hold, int64_t now_us)
{
    int64_t interval_us = term_us(hold) / PINGS_A_TERM;
    int64_t half_us = lease_left_us(hold->lease, now_us) / 2;
    int64_t shortest_us = interval_us / PING_HURRY_MAX;
    if (half_us < interval_us) {
        interval_us = half_us > shortest_us ? half_us : shortest_us;
    }
    hold->due_us = now_us + interval_us;
}

static void write_ping(struct hold *hold)
{
    Holdfast__V1__HoldPing ping_message = HOLDFAST__V1__HOLD_PING__INIT;
    Holdfast__V1__HoldRequest message = HOLDFAST__V1__HOLD_REQUEST__INIT;
    message.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING;
    message.ping = &ping_message;
    channel_send_message(&hold->client->channel, &hold->call, &message.base);
}

struct ping *hold_send_ping(struct hold *hold, int64_t now_us)
{
    if (hold->ping_count >= PINGS_MAX || channel_is_congested(&hold->client->channel)) {
        return NULL;
    }
    struct ping *ping = memory_alloc(sizeof(*ping));
    ping->sent_us = now_us;
    TAILQ_INSERT_TAIL(&hold->pings, ping, link);
    hold->ping_count++;
    if (hold->state != HOLD_RESUMING) {
        write_ping(hold);
    }
    return ping;
}

static void try_to_resume(struct hold *hold, int64_t now_us)
{
    hold->due_us = now_us + RESUME_PAUSE_US;
    if (hold->call.state == CALL_IDLE) {
        channel_call_start(&hold->client->channel, &hold->call);
    }
}

/* Timers run on a clock that stands still while the machine is suspended, and may be early. */
void hold_on_timer(int descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct hold *hold = argument;
    int64_t now_us = clock_now_us();
    if (!hold_is_in_time(hold, now_us)) {
        return;
    }
    if (lease_left_us(hold->lease, now_us) <= hold_at_risk_us(hold)) {
        hold_warn(hold);
    }
    if (now_us >= hold->due_us && hold->state == HOLD_RESUMING) {
        try_to_resume(hold, now_us);
    } else if (now_us >= hold->due_us) {
        (void)hold_send_ping(hold, now_us);
        hold_plan_ping(hold, now_us);
    }
    hold_set_timer(hold, now_us);
}

/* Pings that somebody waits for wait on: coming back answers them as well. */
static void drop_idle_pings(struct hold *hold)
{
    struct ping *next = NULL;
    for (struct ping *ping = TAILQ_FIRST(&hold->pings); ping != NULL; ping = next) {
        next = TAILQ_NEXT(ping, link);
        if (ping->request == NULL) {
            TAILQ_REMOVE(&hold->pings, ping, link);
            hold->ping_count--;
            memory_free(ping);
        }
    }
}

/* The server began to count the grace when it noticed, which may have been before us; but it cannot
 * have let the lock go before the deadline that it confirmed itself, unless the grace is shorter.
 */
void hold_begin_resuming(struct hold *hold, int64_t now_us)
{
    hold->state = HOLD_RESUMING;
    hold->is_resumption = true;
    hold->token = hold->lease->token;
    lease_limit(hold->lease, now_us + (int64_t)hold->ask.grace_ms * CLOCK_US_PER_MS);
    drop_idle_pings(hold);
    try_to_resume(hold, now_us);
    hold_set_timer(hold, now_us);
}

void hold_resume_later(struct hold *hold, int64_t now_us)
{
    hold->due_us = now_us + RESUME_PAUSE_US;
    hold_set_timer(hold, now_us);
}
