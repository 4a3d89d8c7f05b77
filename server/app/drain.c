/* SPDX-License-Identifier: Apache-2.0 */
#include "app/drain.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"

#define INTERVAL_US (20 * CLOCK_US_PER_MS)
#define SETTLING_US (2 * CLOCK_US_PER_S)

static size_t connections(const struct drain *drain)
{
    size_t count = 0;
    for (size_t i = 0; i < drain->config.listener_count; i++) {
        count += listener_connections(drain->config.listeners[i]);
    }
    return count;
}

static void for_each_listener(const struct drain *drain, void (*act)(struct listener *listener))
{
    for (size_t i = 0; i < drain->config.listener_count; i++) {
        act(drain->config.listeners[i]);
    }
}

static void arm(struct drain *drain)
{
    struct loop *loop = drain->services->loop;
    wheel_set(loop_wheel(loop), &drain->timer, loop_now_us(loop) + INTERVAL_US);
}

static void finish(struct drain *drain)
{
    drain->state = DRAIN_DONE;
    LOG_INFO("drain.done", LOG_MESSAGE("drained"), LOG_INTEGER("connections", connections(drain)),
             LOG_INTEGER("leases", keeper_count(drain->services->keeper)));
    drain->config.on_done(drain->config.user);
}

static void settle(struct drain *drain, int64_t now_us)
{
    LOG_INFO("drain.end", LOG_MESSAGE("ending what clients still hold"),
             LOG_INTEGER("connections", connections(drain)),
             LOG_INTEGER("leases", keeper_count(drain->services->keeper)));
    drain->state = DRAIN_SETTLING;
    drain->give_up_us = now_us + SETTLING_US;
    for_each_listener(drain, listener_shut_down);
}

static void count_orphan(void *user, const struct lease *lease)
{
    size_t *orphans = user;
    *orphans += lease_state(lease) == LEASE_ORPHANED;
}

/* Leases that wait for their owners stay in the store: those come back to another server. */
static bool is_settled(const struct drain *drain)
{
    const struct keeper *keeper = drain->services->keeper;
    size_t orphans = 0;
    if (connections(drain) > 0) {
        return false;
    }
    keeper_visit(keeper, count_orphan, &orphans);
    return keeper_count(keeper) == orphans;
}

static void on_due(struct timer *timer, int64_t now_us)
{
    struct drain *drain = CONTAINER_OF(timer, struct drain, timer);
    bool is_over = now_us >= drain->give_up_us;
    arm(drain);
    if (drain->state == DRAIN_WAITING) {
        for_each_listener(drain, listener_close_idle);
        if (is_over || connections(drain) == 0) {
            settle(drain, now_us);
        }
        return;
    }
    if (is_over || is_settled(drain)) {
        wheel_clear(loop_wheel(drain->services->loop), &drain->timer);
        finish(drain);
    }
}

void drain_init(struct drain *drain, const struct drain_config *config, struct services *services)
{
    *drain = (struct drain){.config = *config, .services = services};
    timer_init(&drain->timer, on_due);
}

void drain_release(struct drain *drain)
{
    wheel_clear(loop_wheel(drain->services->loop), &drain->timer);
}

void drain_begin(struct drain *drain)
{
    struct loop *loop = drain->services->loop;
    CHECK(drain->state == DRAIN_NOT_BEGUN);
    LOG_INFO("drain.begin", LOG_MESSAGE("draining: no new connections and leases"),
             LOG_INTEGER("connections", connections(drain)),
             LOG_INTEGER("timeout_ms", drain->config.timeout_us / CLOCK_US_PER_MS));
    drain->state = DRAIN_WAITING;
    drain->give_up_us = loop_now_us(loop) + drain->config.timeout_us;
    services_drain(drain->services);
    for_each_listener(drain, listener_stop);
    for_each_listener(drain, listener_close_idle);
    /* The first look comes in the next turn: with nobody there the end should not wait. */
    wheel_set(loop_wheel(loop), &drain->timer, loop_now_us(loop));
}

bool drain_has_begun(const struct drain *drain)
{
    return drain->state != DRAIN_NOT_BEGUN;
}
