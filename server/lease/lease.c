/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lease.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "lease/inquiry.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/party.h"
#include "lease/queue.h"
#include "lease/tenure.h"

#define SAFETY_US ((int64_t)2000) /* taken off every deadline, besides 1 % of drift */

#define NO_COUNTER      SIZE_MAX
#define COUNTER(member) offsetof(struct metrics, member)

enum move {
    MOVE_GRANT,
    MOVE_BUSY,
    MOVE_REFUSE,
    MOVE_CANCEL,
    MOVE_RELEASE,
    MOVE_RELEASED,
    MOVE_REVOKE,
    MOVE_ORPHAN,
    MOVE_LOSE,
};

/* What happens to leases, for people. */
static const struct {
    const char *event;
    size_t counter;
} moves[] = {
    [MOVE_GRANT] = {"lease.granted", COUNTER(leases_granted)},
    [MOVE_BUSY] = {"lease.busy", COUNTER(leases_busy)},
    [MOVE_REFUSE] = {"lease.refused", NO_COUNTER},
    [MOVE_CANCEL] = {"lease.cancelled", NO_COUNTER},
    [MOVE_RELEASE] = {"lease.releasing", COUNTER(leases_released)},
    [MOVE_RELEASED] = {"lease.released", NO_COUNTER},
    [MOVE_REVOKE] = {"lease.revoked", COUNTER(leases_revoked)},
    [MOVE_ORPHAN] = {"lease.orphaned", COUNTER(leases_orphaned)},
    [MOVE_LOSE] = {"lease.lost", COUNTER(leases_lost)},
};

static void note(const struct lease *lease, enum move move)
{
    if (moves[move].counter != NO_COUNTER) {
        char *const metrics = (char *)lease->lock->keeper->metrics;
        ++*(uint64_t *)(void *)(metrics + moves[move].counter);
    }
    LOG_DEBUG(moves[move].event, LOG_MESSAGE("a lease changed"),
              LOG_BYTES("key", lease->lock->key, lease->lock->key_length),
              LOG_INTEGER("fence", lease->fence));
}

const struct terms *lease_terms(const struct lease *lease)
{
    static const struct terms none;
    return lease->terms == NULL ? &none : lease->terms;
}

struct place *lease_place(const struct lease *lease)
{
    return lease_terms(lease)->place;
}

bool lease_is_resumable(const struct lease *lease)
{
    return lease_terms(lease)->grace_ms > 0 || lease->is_resume || lease->is_detached ||
           lease->mode == STORE_SHARED;
}

uint32_t lease_close_ms(const struct lease *lease)
{
    return lease->is_unused ? 0 : lease_terms(lease)->lock_delay_ms;
}

bool lease_is_reader(const struct lease *lease)
{
    return lease->mode == STORE_SHARED && lease_terms(lease)->limit == 0 && !lease->is_detached;
}

static bool is_held(const struct lease *lease)
{
    return lease->state == LEASE_HELD || lease->state == LEASE_ORPHANED;
}

void lease_tell(struct lease *lease, const struct lease_report *report, int64_t now_us)
{
    if (lease->holder != NULL) {
        lease->holder->on_event(lease->holder, lease, report, now_us);
    }
}

struct lease_party *lease_party(const struct lease *lease)
{
    return lease->is_of_party ? lease->holder->party : NULL;
}

static void join_party(struct lease *lease, struct lease_party *party)
{
    lease->holder->party = party;
    if (party != NULL) {
        lease->is_of_party = true;
        party->leases++;
    }
}

static void leave_party(struct lease *lease)
{
    if (lease->is_of_party) {
        lease->holder->party->leases--;
        lease->is_of_party = false;
    }
}

void lease_leave_holder(struct lease *lease)
{
    leave_party(lease);
    lease->holder = NULL;
}

static void drop_bound(struct lease *lease)
{
    if (lease->terms != NULL && lease->terms->bound != NULL) {
        wheel_clear(lease->lock->keeper->wheel, &lease->terms->bound->timer);
        memory_free(lease->terms->bound);
        lease->terms->bound = NULL;
    }
}

/* The last that the holder hears. */
static void end(struct lease *lease, const struct lease_report *report, int64_t now_us)
{
    struct lease_holder *holder = lease->holder;
    lease_leave_holder(lease);
    drop_bound(lease);
    if (holder != NULL) {
        holder->on_event(holder, lease, report, now_us);
    }
    lease_destroy(lease);
}

void lease_refuse(struct lease *lease, const struct store_result *result, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_REFUSED, .result = result};
    note(lease, result->code == STORE_BUSY ? MOVE_BUSY : MOVE_REFUSE);
    end(lease, &report, now_us);
}

void lease_lose(struct lease *lease, enum lease_loss loss, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_LOST, .loss = loss};
    note(lease, MOVE_LOSE);
    end(lease, &report, now_us);
}

void lease_tell_released(struct lease *lease, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_RELEASED};
    note(lease, MOVE_RELEASED);
    end(lease, &report, now_us);
}

static int64_t hold_until_us(const struct lease *lease)
{
    const struct bound *bound = lease_terms(lease)->bound;
    return bound == NULL ? CLOCK_NEVER : bound->hold_until_us;
}

static void on_hold_over(struct timer *timer, int64_t now_us);

/* The bound of a lease with terms, made if there is none. */
static struct bound *open_bound(struct lease *lease)
{
    struct bound *bound = lease->terms->bound;
    if (bound == NULL) {
        bound = memory_alloc(sizeof(*bound));
        *bound = (struct bound){lease, CLOCK_NEVER, CLOCK_NEVER, {.on_due = NULL}};
        timer_init(&bound->timer, on_hold_over);
        lease->terms->bound = bound;
    }
    return bound;
}

static void arm(struct bound *bound)
{
    const int64_t next_us =
        bound->hold_until_us < bound->grace_until_us ? bound->hold_until_us : bound->grace_until_us;
    wheel_set(bound->lease->lock->keeper->wheel, &bound->timer, next_us);
}

/* Its time begins. */
static void bound_hold(struct lease *lease, int64_t now_us)
{
    const uint32_t max_hold_ms = lease_terms(lease)->max_hold_ms;
    if (max_hold_ms > 0) {
        open_bound(lease)->hold_until_us = now_us + max_hold_ms * CLOCK_US_PER_MS;
        arm(lease->terms->bound);
    }
}

void lease_bound_hold(struct lease *lease, uint32_t max_hold_ms, int64_t now_us)
{
    CHECK(lease->state == LEASE_HELD);
    if (max_hold_ms > 0) {
        if (lease->terms == NULL) {
            lease->terms = memory_alloc(sizeof(*lease->terms));
        }
        lease->terms->max_hold_ms = max_hold_ms;
        bound_hold(lease, now_us);
    }
}

/* Kept for a while for its owner to come back. */
static void orphan(struct lease *lease, int64_t now_us)
{
    lease->state = LEASE_ORPHANED;
    open_bound(lease)->grace_until_us = now_us + lease->terms->grace_ms * CLOCK_US_PER_MS;
    arm(lease->terms->bound);
    note(lease, MOVE_ORPHAN);
}

/* The tenure goes on in the store alone. */
static void end_granted_detached(struct lease *lease, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_GRANTED};
    struct lease_holder *holder = lease->holder;
    lease_leave_holder(lease);
    holder->on_event(holder, lease, &report, now_us);
    tenure_forget(lease->tenure);
    lease_destroy(lease);
}

void lease_grant(struct lease *lease, uint64_t fence, int64_t since_ms, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_GRANTED};
    lease->state = LEASE_HELD;
    lease->fence = fence;
    lease->since_ms = since_ms;
    bound_hold(lease, now_us);
    note(lease, MOVE_GRANT);
    if (lease->is_detached) {
        end_granted_detached(lease, now_us);
    } else if (lease->holder == NULL) {
        orphan(lease, now_us); /* who was coming back has gone again */
    } else {
        lease_tell(lease, &report, now_us);
    }
}

/* Takes a lease that waits out of everything. */
static void cancel(struct lease *lease, int64_t now_us)
{
    if (lease_place(lease) != NULL) {
        queue_remove(lease->lock, lease);
    }
    if (lease->tenure != NULL) {
        tenure_take_back(lease->tenure, now_us);
        lock_ask(lease->lock, now_us);
    }
}

/* Who is in the way. Between two leases of this server that is nobody who has a name. */
static bool find_holder(const struct lock *lock, struct store_holder *holder, int64_t now_us)
{
    const struct tenure *owned = lock_owned(lock);
    if (owned == NULL || owned->lease != NULL) {
        return queue_find_holder(lock, holder, now_us);
    }
    const int64_t left_us = tenure_deadline_us(owned) - now_us;
    *holder = (struct store_holder){
        .is_held = true,
        .mode = STORE_EXCLUSIVE,
        .holders = 1,
        .remaining_us = left_us > 0 ? left_us : 0,
        .fence = owned->inquiry->fence,
    };
    return true;
}

static void on_wait_over(struct timer *timer, int64_t now_us)
{
    struct lease *lease = CONTAINER_OF(timer, struct place, timer)->lease;
    struct store_result result = {.code = STORE_BUSY};
    char label[LEASE_LABEL_MAX];
    if (!find_holder(lease->lock, &result.holder, now_us)) {
        result.code = STORE_UNAVAILABLE;
        result.detail = "the store could not be reached in time";
    } else if (result.holder.label_length > 0) {
        memcpy(label, result.holder.label, result.holder.label_length);
        result.holder.label = label;
    }
    cancel(lease, now_us);
    lease_refuse(lease, &result, now_us);
}

/* Whoever held it may still be at work, so this is no release. */
static void on_hold_over(struct timer *timer, int64_t now_us)
{
    struct lease *lease = CONTAINER_OF(timer, struct bound, timer)->lease;
    const bool is_over = now_us >= hold_until_us(lease);
    drop_bound(lease);
    tenure_give_back(lease->tenure, NULL, true, now_us);
    if (is_over) {
        lease_lose(lease, LEASE_LOSS_MAX_HOLD, now_us);
    } else {
        note(lease, MOVE_REVOKE);
        lease_destroy(lease);
    }
}

const char *lease_state_name(enum lease_state state)
{
    static const char *const names[] = {
        [LEASE_WAITING] = "WAITING",
        [LEASE_HELD] = "HELD",
        [LEASE_ORPHANED] = "ORPHANED",
        [LEASE_RELEASING] = "RELEASING",
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

int64_t lease_renewal_due_us(int64_t sent_us, int64_t ttl_ms)
{
    const int64_t due_us = sent_us + lease_renewal_us(ttl_ms);
    return due_us - due_us % LEASE_RENEWAL_GRID_US;
}

int64_t lease_at_risk_us(int64_t ttl_ms)
{
    return 2 * ttl_ms * CLOCK_US_PER_MS / 3;
}

int64_t lease_deadline_us(const struct lease *lease)
{
    CHECK(lease->tenure != NULL);
    const int64_t deadline_us = tenure_deadline_us(lease->tenure);
    const int64_t over_us = hold_until_us(lease);
    return deadline_us < over_us ? deadline_us : over_us;
}

bool lease_is_valid(const struct lease *lease, int64_t now_us)
{
    return is_held(lease) && now_us < lease_deadline_us(lease);
}

void lease_release(struct lease *lease, int64_t now_us)
{
    CHECK(lease->holder != NULL);
    CHECK(lease->state == LEASE_HELD);
    note(lease, MOVE_RELEASE);
    lease->is_overdue = now_us >= lease_deadline_us(lease);
    drop_bound(lease);
    lease->state = LEASE_RELEASING;
    leave_party(lease); /* the release may outlive it */
    tenure_give_back(lease->tenure, lease, false, now_us);
}

void lease_revoke(struct lease *lease, int64_t now_us)
{
    lease_leave_holder(lease);
    switch (lease->state) {
    case LEASE_WAITING:
        note(lease, MOVE_CANCEL);
        cancel(lease, now_us);
        break;
    case LEASE_HELD:
    case LEASE_ORPHANED:
        note(lease, MOVE_REVOKE);
        drop_bound(lease);
        tenure_give_back(lease->tenure, NULL, true, now_us);
        break;
    case LEASE_RELEASING:
        tenure_leave(lease->tenure);
        break;
    }
    lease_destroy(lease);
}

void lease_abandon(struct lease *lease, int64_t now_us)
{
    const bool is_coming_back = lease->state == LEASE_WAITING && lease->is_resume;
    if ((lease->state != LEASE_HELD && !is_coming_back) || lease_terms(lease)->grace_ms == 0) {
        lease_revoke(lease, now_us);
        return;
    }
    lease_leave_holder(lease);
    if (!is_coming_back) {
        orphan(lease, now_us);
    }
}

const char *lease_key(const struct lease *lease, size_t *length)
{
    *length = lease->lock->key_length;
    return lease->lock->key;
}

const char *lease_label(const struct lease *lease, size_t *length)
{
    *length = lease_terms(lease)->label_length;
    return lease_terms(lease)->texts;
}

const char *lease_value(const struct lease *lease, size_t *length)
{
    *length = lease_terms(lease)->value_length;
    return lease_terms(lease)->texts + lease_terms(lease)->label_length;
}

enum lease_state lease_state(const struct lease *lease)
{
    return lease->state;
}

enum store_mode lease_mode(const struct lease *lease)
{
    return lease->mode;
}

uint32_t lease_limit(const struct lease *lease)
{
    return lease_terms(lease)->limit;
}

int64_t lease_ttl_ms(const struct lease *lease)
{
    return lease->ttl_ms;
}

uint64_t lease_fence(const struct lease *lease)
{
    return lease->fence;
}

int64_t lease_since_ms(const struct lease *lease)
{
    return lease->since_ms;
}

const struct id128 *lease_token(const struct lease *lease)
{
    return &lease->token;
}

struct lease_holder *lease_holder(const struct lease *lease)
{
    return lease->holder;
}

void lease_take_texts(struct lease *lease, const struct store_holder *holder)
{
    lease->terms = terms_with_texts(lease->terms, holder);
}

/* Sends the question on its way, or into the queue. */
static void start(struct lease *lease, const struct lease_ask *ask, enum store_verb verb,
                  int64_t now_us)
{
    struct lock *lock = lease->lock;
    if (verb == STORE_ACQUIRE && ask->wait_until_us != 0) {
        queue_push(lock, lease);
        struct place *place = lease->terms->place;
        place->deadline_us = ask->deadline_us;
        timer_init(&place->timer, on_wait_over);
        wheel_set(lock->keeper->wheel, &place->timer, ask->wait_until_us);
        lock_ask(lock, now_us);
    } else {
        tenure_create(lease, verb, ask->deadline_us, now_us);
    }
}

static struct terms *create_terms(const struct lease_ask *ask, enum store_verb verb)
{
    struct lease_ask own = *ask;
    if (verb == STORE_RESUME) {
        own.label_length = 0; /* its texts come from the store */
        own.value_length = 0;
        own.wait_until_us = 0;
    }
    return terms_create(&own);
}

struct lease *lease_create(struct keeper *keeper, const struct lease_ask *ask,
                           struct lease_holder *holder, enum store_verb verb, int64_t now_us)
{
    struct lease *lease = pool_alloc(keeper->pool, sizeof(*lease));
    lease->lock = lock_obtain(keeper, ask->key, ask->key_length);
    lease->lock->leases++;
    lease->holder = holder;
    lease->state = LEASE_WAITING;
    lease->mode = ask->mode;
    lease->is_detached = ask->is_detached;
    lease->is_resume = verb == STORE_RESUME;
    lease->may_be_retried = ask->may_be_retried;
    lease->terms = create_terms(ask, verb);
    lease->ttl_ms = (uint32_t)ask->ttl_ms;
    lease->token = ask->token != NULL ? *ask->token : id128_random();
    join_party(lease, ask->party);
    start(lease, ask, verb, now_us);
    return lease;
}

void lease_destroy(struct lease *lease)
{
    struct keeper *keeper = lease->lock->keeper;
    struct lock *lock = lease->lock;
    CHECK(lease->tenure == NULL);
    CHECK(lease_place(lease) == NULL);
    drop_bound(lease);
    CHECK(!lease->is_of_party);
    terms_destroy(lease->terms);
    pool_free(keeper->pool, lease, sizeof(*lease));
    keeper_dismiss(keeper);
    CHECK(lock->leases > 0);
    lock->leases--;
    lock_discard_unused(lock);
}
