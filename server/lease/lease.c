/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lease.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"

#define SAFETY_US ((int64_t)2000) /* taken off every deadline, besides 1 % of drift */

#define NO_COUNTER      SIZE_MAX
#define COUNTER(member) offsetof(struct metrics, member)
#define IN(state)       (1U << (state))

enum move {
    MOVE_GRANT,
    MOVE_BUSY,
    MOVE_REFUSE,
    MOVE_CANCEL,
    MOVE_RENEW,
    MOVE_AT_RISK,
    MOVE_CONFIRM,
    MOVE_RELEASE,
    MOVE_REVOKE,
    MOVE_EXPIRE,
    MOVE_TAKEN,
};

/* Every way in which a lease may change. */
static const struct {
    const char *event;
    unsigned from; /* states, as bits */
    enum lease_state to;
    size_t counter;
} moves[] = {
    [MOVE_GRANT] = {"lease.granted", IN(LEASE_ACQUIRING), LEASE_HELD, COUNTER(leases_granted)},
    [MOVE_BUSY] = {"lease.busy", IN(LEASE_ACQUIRING), LEASE_RELEASED, COUNTER(leases_busy)},
    [MOVE_REFUSE] = {"lease.refused", IN(LEASE_ACQUIRING), LEASE_RELEASED, NO_COUNTER},
    [MOVE_CANCEL] = {"lease.cancelled", IN(LEASE_ACQUIRING), LEASE_RELEASED, NO_COUNTER},
    [MOVE_RENEW] = {"lease.renewing", IN(LEASE_HELD), LEASE_RENEWING, NO_COUNTER},
    [MOVE_AT_RISK] = {"lease.at_risk", IN(LEASE_RENEWING), LEASE_RENEWING, COUNTER(leases_at_risk)},
    [MOVE_CONFIRM] = {"lease.renewed", IN(LEASE_RENEWING), LEASE_HELD, COUNTER(renewals_confirmed)},
    [MOVE_RELEASE] = {"lease.released", IN(LEASE_HELD) | IN(LEASE_RENEWING), LEASE_RELEASED,
                      COUNTER(leases_released)},
    [MOVE_REVOKE] = {"lease.revoked", IN(LEASE_HELD) | IN(LEASE_RENEWING), LEASE_RELEASED,
                     COUNTER(leases_revoked)},
    [MOVE_EXPIRE] = {"lease.expired", IN(LEASE_HELD) | IN(LEASE_RENEWING) | IN(LEASE_RELEASED),
                     LEASE_LOST, COUNTER(leases_lost)},
    [MOVE_TAKEN] = {"lease.taken", IN(LEASE_RENEWING) | IN(LEASE_RELEASED), LEASE_LOST,
                    COUNTER(leases_lost)},
};

static bool is_held(const struct lease *lease)
{
    return lease->state == LEASE_HELD || lease->state == LEASE_RENEWING;
}

/* The only place where a lease changes its state. */
static void change_state(struct lease *lease, enum move move)
{
    CHECK((moves[move].from & IN(lease->state)) != 0);
    lease->state = moves[move].to;
    if (!is_held(lease)) {
        wheel_clear(lease->keeper->wheel, &lease->timer);
    }
    if (moves[move].counter != NO_COUNTER) {
        char *const metrics = (char *)lease->keeper->metrics;
        ++*(uint64_t *)(void *)(metrics + moves[move].counter);
    }
    LOG_DEBUG(moves[move].event, LOG_MESSAGE("a lease changed"),
              LOG_BYTES("key", lease->lock->key, lock_key_length(lease->lock)),
              LOG_INTEGER("fence", lease->fence));
}

/* Nothing of the lease may be touched afterwards, for the holder may revoke it. */
static void tell(struct lease *lease, enum lease_event event, int64_t now_us)
{
    const struct lease_report report = {.event = event};
    lease->holder->on_event(lease->holder, lease, &report, now_us);
}

/* The last that the holder hears. */
static void tell_end(struct lease *lease, const struct lease_report *report, int64_t now_us)
{
    struct lease_holder *holder = lease->holder;
    lease->holder = NULL;
    holder->on_event(holder, lease, report, now_us);
}

/* Nobody sees the lease any more: frees the lock and then the lease. */
static void settle(struct lease *lease, int64_t now_us)
{
    if (!operation_stop(&lease->operation)) {
        return; /* its answer brings us back here */
    }
    if (!operation_undo(&lease->operation, now_us)) {
        lease_destroy(lease);
    }
}

static void refuse(struct lease *lease, const struct store_result *result, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_REFUSED, .result = result};
    change_state(lease, result->code == STORE_BUSY ? MOVE_BUSY : MOVE_REFUSE);
    tell_end(lease, &report, now_us);
    settle(lease, now_us);
}

static void lose(struct lease *lease, enum lease_loss loss, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_LOST, .loss = loss};
    change_state(lease, loss == LEASE_LOSS_TAKEN ? MOVE_TAKEN : MOVE_EXPIRE);
    tell_end(lease, &report, now_us);
    settle(lease, now_us);
}

/* Sets the timer for what comes next in the life of a held lease. */
static void arm(struct lease *lease)
{
    const int64_t ttl_ms = lease->operation.op.ttl_ms;
    int64_t next_us = lease_validity_us(ttl_ms);
    if (lease->state == LEASE_HELD) {
        next_us = lease_renewal_us(ttl_ms);
    } else if (!lease->is_at_risk) {
        next_us = lease_at_risk_us(ttl_ms);
    }
    wheel_set(lease->keeper->wheel, &lease->timer, lease->confirmed_us + next_us);
}

static void renew(struct lease *lease, int64_t now_us)
{
    change_state(lease, MOVE_RENEW);
    lease->operation.op.verb = STORE_RENEW;
    operation_start(&lease->operation, 0, now_us);
}

static void on_timer(struct timer *timer, int64_t now_us)
{
    struct lease *lease = CONTAINER_OF(timer, struct lease, timer);
    if (now_us >= lease_deadline_us(lease)) {
        lose(lease, LEASE_LOSS_EXPIRED, now_us);
        return;
    }
    if (lease->state == LEASE_HELD) {
        renew(lease, now_us);
    }
    const int64_t at_risk_us = lease->confirmed_us + lease_at_risk_us(lease_ttl_ms(lease));
    const bool becomes_at_risk = !lease->is_at_risk && now_us >= at_risk_us;
    if (becomes_at_risk) {
        lease->is_at_risk = true;
        change_state(lease, MOVE_AT_RISK);
    }
    arm(lease);
    if (becomes_at_risk) {
        tell(lease, LEASE_EVENT_AT_RISK, now_us);
    }
}

static void on_granted(struct lease *lease, const struct store_result *result, int64_t now_us)
{
    struct operation *operation = &lease->operation;
    CHECK(result->sent_us <= now_us);
    if (now_us >= result->sent_us + lease_validity_us(operation->op.ttl_ms)) {
        const struct store_result late = {.code = STORE_UNAVAILABLE,
                                          .detail = "the answer came too late"};
        refuse(lease, &late, now_us);
        return;
    }
    lease->fence = result->fence;
    lease->confirmed_us = result->sent_us;
    operation->op.fence = result->fence;
    operation->op.since_ms = result->since_ms;
    operation->deadline_us = CLOCK_NEVER;
    change_state(lease, MOVE_GRANT);
    arm(lease);
    tell(lease, LEASE_EVENT_GRANTED, now_us);
}

static void on_renewed(struct lease *lease, const struct store_result *result, int64_t now_us)
{
    if (now_us >= lease_deadline_us(lease)) {
        lose(lease, LEASE_LOSS_EXPIRED, now_us);
        return;
    }
    if (result->code != STORE_OK) {
        lose(lease, LEASE_LOSS_TAKEN, now_us);
        return;
    }
    CHECK(result->sent_us <= now_us);
    if (result->sent_us > lease->confirmed_us) {
        lease->confirmed_us = result->sent_us;
    }
    const bool was_at_risk = lease->is_at_risk;
    lease->is_at_risk = false;
    change_state(lease, MOVE_CONFIRM);
    arm(lease);
    if (was_at_risk) {
        tell(lease, LEASE_EVENT_RENEWED, now_us);
    }
}

static void start_release(struct lease *lease, int64_t now_us)
{
    lease->operation.op.verb = STORE_RELEASE;
    operation_start(&lease->operation, 0, now_us);
}

/* The end of lease_release. A lock found gone before its deadline was taken from us; after it, it
 * ran out by itself, which is what the holder wanted. */
static void on_released(struct lease *lease, const struct store_result *result, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_RELEASED};
    const bool is_gone = result->code != STORE_OK;
    if (is_gone && lease->is_overdue) {
        lose(lease, LEASE_LOSS_EXPIRED, now_us);
    } else if (is_gone && now_us < lease_deadline_us(lease)) {
        lose(lease, LEASE_LOSS_TAKEN, now_us);
    } else {
        tell_end(lease, &report, now_us);
        settle(lease, now_us);
    }
}

static void on_operation_done(struct operation *operation, const struct store_result *result,
                              int64_t now_us)
{
    struct lease *lease = CONTAINER_OF(operation, struct lease, operation);
    if (lease->holder == NULL) {
        settle(lease, now_us);
        return;
    }
    switch (lease->state) {
    case LEASE_ACQUIRING:
        if (result->code == STORE_OK) {
            on_granted(lease, result, now_us);
        } else {
            refuse(lease, result, now_us);
        }
        break;
    case LEASE_RENEWING:
        on_renewed(lease, result, now_us);
        break;
    case LEASE_RELEASED: {
        /* A renewal that was under way when the lease was given back may say that it is gone. */
        const bool is_gone = result->code == STORE_NOT_HELD || result->code == STORE_WRONG_TYPE;
        if (operation->op.verb == STORE_RELEASE || is_gone) {
            on_released(lease, result, now_us);
        } else {
            start_release(lease, now_us);
        }
        break;
    }
    case LEASE_HELD:
    case LEASE_LOST:
        check_failed("an idle lease is not answered", __FILE__, __LINE__);
    }
}

const char *lease_state_name(enum lease_state state)
{
    static const char *const names[] = {
        [LEASE_ACQUIRING] = "ACQUIRING", [LEASE_HELD] = "HELD",
        [LEASE_RENEWING] = "RENEWING",   [LEASE_LOST] = "LOST",
        [LEASE_RELEASED] = "RELEASED",
    };
    CHECK(state < COUNT_OF(names));
    return names[state];
}

int64_t lease_validity_us(int64_t ttl_ms)
{
    const int64_t ttl_us = ttl_ms * CLOCK_US_PER_MS;
    const int64_t validity_us = ttl_us - ttl_us / 100 - SAFETY_US;
    return validity_us > 0 ? validity_us : 0;
}

int64_t lease_renewal_us(int64_t ttl_ms)
{
    return ttl_ms * CLOCK_US_PER_MS / 3;
}

int64_t lease_at_risk_us(int64_t ttl_ms)
{
    return 2 * ttl_ms * CLOCK_US_PER_MS / 3;
}

int64_t lease_deadline_us(const struct lease *lease)
{
    return lease->confirmed_us + lease_validity_us(lease_ttl_ms(lease));
}

bool lease_is_valid(const struct lease *lease, int64_t now_us)
{
    return is_held(lease) && now_us < lease_deadline_us(lease);
}

void lease_release(struct lease *lease, int64_t now_us)
{
    CHECK(lease->holder != NULL);
    lease->is_overdue = now_us >= lease_deadline_us(lease);
    change_state(lease, MOVE_RELEASE);
    if (operation_stop(&lease->operation)) {
        start_release(lease, now_us);
    }
}

void lease_revoke(struct lease *lease, int64_t now_us)
{
    CHECK(lease->holder != NULL);
    lease->holder = NULL;
    if (lease->state == LEASE_RELEASED) {
        return; /* already on its way back */
    }
    change_state(lease, lease->state == LEASE_ACQUIRING ? MOVE_CANCEL : MOVE_REVOKE);
    settle(lease, now_us);
}

const char *lease_key(const struct lease *lease, size_t *length)
{
    *length = lock_key_length(lease->lock);
    return lease->lock->key;
}

int64_t lease_ttl_ms(const struct lease *lease)
{
    return lease->operation.op.ttl_ms;
}

struct lease *lease_create(struct keeper *keeper, const struct lease_ask *ask,
                           struct lease_holder *holder, int64_t now_us)
{
    struct lease *lease = memory_alloc(sizeof(*lease) + ask->label_length);
    char *label = (char *)(lease + 1);
    if (ask->label_length > 0) {
        memcpy(label, ask->label, ask->label_length);
    }
    lease->keeper = keeper;
    lease->lock = lock_obtain(&keeper->locks, ask->key, ask->key_length);
    LIST_INSERT_HEAD(&lease->lock->leases, lease, link);
    lease->holder = holder;
    lease->state = LEASE_ACQUIRING;
    lease->token = id128_random();
    timer_init(&lease->timer, on_timer);
    operation_init(&lease->operation, keeper->store, keeper->wheel, on_operation_done);
    lease->operation.deadline_us = ask->deadline_us;
    lease->operation.op = (struct store_op){
        .verb = STORE_ACQUIRE,
        .key = lease->lock->key,
        .key_length = ask->key_length,
        .tenure = id128_random(),
        .token = lease->token,
        .label = label,
        .label_length = ask->label_length,
        .ttl_ms = ask->ttl_ms,
    };
    operation_start(&lease->operation, 0, now_us);
    return lease;
}

void lease_destroy(struct lease *lease)
{
    struct keeper *keeper = lease->keeper;
    wheel_clear(keeper->wheel, &lease->timer);
    wheel_clear(keeper->wheel, &lease->operation.retry);
    LIST_REMOVE(lease, link);
    lock_discard_unused(&keeper->locks, lease->lock);
    memory_free(lease);
    keeper_dismiss(keeper);
}

void lease_renew_early(struct lease *lease, int64_t now_us)
{
    if (lease->state == LEASE_HELD && lease_is_valid(lease, now_us)) {
        renew(lease, now_us);
        arm(lease);
    }
}
