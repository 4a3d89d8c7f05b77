/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/tenure.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "lease/inquiry.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/queue.h"

/* Of a burst of grants, one in so long is written through. */
#define WRITE_INTERVAL_US (10 * CLOCK_US_PER_MS)

/* Fences reserved at a time: the register stays close to the clock. */
#define FENCE_BLOCK 128

/* Another program tells nobody when it lets go. */
#define FOREIGN_INTERVAL_US (250 * CLOCK_US_PER_MS)

static const struct store_result late = {.code = STORE_UNAVAILABLE,
                                         .detail = "the answer came too late"};

static void on_operation_done(struct operation *operation, const struct store_result *result,
                              int64_t now_us);

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static bool is_exclusive(const struct tenure *tenure)
{
    return tenure->mode == STORE_EXCLUSIVE;
}

struct lock *tenure_lock(const struct tenure *tenure)
{
    return tenure->lease != NULL ? tenure->lease->lock : tenure->inquiry->lock;
}

static struct lease *leaving_of(const struct tenure *tenure)
{
    return tenure->inquiry == NULL ? NULL : tenure->inquiry->leaving;
}

/* The lease of a tenure that asks nothing. */
static const struct lease *lease_at_rest(const struct tenure *tenure)
{
    CHECK(tenure->inquiry == NULL);
    CHECK(tenure->lease != NULL);
    return tenure->lease;
}

/* The ttl as last sent. */
static int64_t sent_ttl_ms(const struct tenure *tenure)
{
    return tenure->inquiry == NULL ? lease_at_rest(tenure)->ttl_ms : tenure->inquiry->ttl_ms;
}

int64_t tenure_deadline_us(const struct tenure *tenure)
{
    return tenure->inquiry == NULL
               ? tenure->confirmed_us + lease_validity_us(lease_at_rest(tenure)->ttl_ms)
               : tenure->inquiry->deadline_us;
}

/* Of a HELD one. */
static int64_t renewal_us(const struct tenure *tenure)
{
    return lease_renewal_due_us(tenure->confirmed_us, sent_ttl_ms(tenure));
}

/* A tenure counts among the keeper's leases when nothing else does in its place. */
static void recount(struct tenure *tenure)
{
    const bool counts = tenure->lease == NULL && leaving_of(tenure) == NULL;
    if (counts && !tenure->is_counted) {
        keeper_retain(tenure_lock(tenure)->keeper);
    } else if (!counts && tenure->is_counted) {
        keeper_dismiss(tenure_lock(tenure)->keeper);
    }
    tenure->is_counted = counts;
}

static void set_lease(struct tenure *tenure, struct lease *lease)
{
    tenure->lease = lease;
    lease->tenure = tenure;
    recount(tenure);
}

static struct id128 shown_token(const struct tenure *tenure, const struct lease *lease)
{
    return lease_is_resumable(lease) ? lease->token : tenure->id;
}

static void drop_lease(struct tenure *tenure)
{
    struct lease *lease = tenure->lease;
    inquiry_keep_texts(tenure, lease);
    if (tenure->inquiry == NULL) {
        struct store_op *op = inquiry_open(tenure, on_operation_done);
        op->token = shown_token(tenure, lease);
        op->since_ms = lease->since_ms;
    }
    lease->tenure = NULL;
    tenure->lease = NULL;
    recount(tenure);
}

/* The store is not to see more of a lease than there is now, nor a token that must not be resumed.
 */
static struct store_op *fill(struct tenure *tenure, enum store_verb verb)
{
    struct store_op *op = inquiry_open(tenure, on_operation_done);
    const struct lease *lease = tenure->lease;
    op->verb = verb;
    op->fence = tenure->inquiry->fence;
    op->label = NULL;
    op->label_length = 0;
    op->value_length = 0;
    if (lease != NULL) {
        op->token = shown_token(tenure, lease);
        op->since_ms = lease->since_ms;
        tenure->inquiry->ttl_ms = lease->ttl_ms;
        tenure->inquiry->lock_delay_ms = lease_terms(lease)->lock_delay_ms;
        const struct terms *terms = lease_terms(lease);
        op->label = terms_have_texts(terms) ? terms->texts : NULL;
        op->label_length = terms->label_length;
        op->value = terms_have_texts(terms) ? terms->texts + terms->label_length : NULL;
        op->value_length = terms->value_length;
    } else if (verb == STORE_RENEW) {
        op->token = (struct id128){0}; /* nobody may resume what is between two leases */
    }
    op->mode = tenure->mode;
    op->ttl_ms = tenure->inquiry->ttl_ms;
    op->lock_delay_ms = tenure->inquiry->lock_delay_ms;
    return op;
}

static void start(struct tenure *tenure, int64_t now_us)
{
    operation_start(&tenure->inquiry->operation, 0, now_us);
}

static uint32_t block_for(const struct tenure *tenure, size_t waiters)
{
    return is_exclusive(tenure) && waiters > 0 ? FENCE_BLOCK : 0;
}

static void ask(struct tenure *tenure, enum store_verb verb, int64_t now_us)
{
    const size_t others = queue_count(tenure_lock(tenure)->queue);
    struct store_op *op = fill(tenure, verb);
    tenure->state = TENURE_ASKING;
    tenure->is_hinted = false;
    tenure->is_for_other = false;
    op->fence_block = block_for(tenure, others > 0 ? others - 1 : 0);
    start(tenure, now_us);
}

/*
 * ---- The end ----
 */

/* Nobody cares any more: undoes what may be left in the store, then frees the tenure. */
static void settle(struct tenure *tenure, int64_t now_us)
{
    if (!inquiry_stop(tenure)) {
        return; /* its answer brings us back here */
    }
    struct store_op *op = fill(tenure, STORE_RELEASE);
    op->lock_delay_ms = tenure->inquiry->close_ms;
    op->keeps_lock = tenure->leaves_grant; /* a retry elsewhere has the same id */
    if (!operation_undo(&tenure->inquiry->operation, now_us)) {
        tenure_destroy(tenure);
    }
}

/* Nothing but the end is to come. */
static void begin_end(struct tenure *tenure)
{
    struct lock *lock = tenure_lock(tenure);
    wheel_clear(tenure_lock(tenure)->keeper->wheel, &tenure->timer);
    tenure->state = TENURE_ENDING;
    tenure->is_owned = false;
    if (lock->queue != NULL) {
        lock_post(lock);
    }
}

static void start_release(struct tenure *tenure, int64_t now_us)
{
    struct store_op *op = fill(tenure, STORE_RELEASE);
    op->lock_delay_ms = tenure->inquiry->close_ms;
    start(tenure, now_us);
}

void tenure_end(struct tenure *tenure, int64_t now_us)
{
    CHECK(tenure->lease == NULL);
    begin_end(tenure);
    if (leaving_of(tenure) == NULL) {
        settle(tenure, now_us);
    } else if (inquiry_stop(tenure)) {
        start_release(tenure, now_us);
    }
}

static struct lease *take_leaving(struct tenure *tenure)
{
    struct lease *lease = leaving_of(tenure);
    if (lease != NULL) {
        tenure->inquiry->leaving = NULL;
        lease->tenure = NULL;
    }
    recount(tenure);
    return lease;
}

/* A lock found gone before its deadline was taken from us; after it, it ran out by itself, which is
 * what the holder wanted. */
static void tell_leaving(struct lease *lease, bool is_gone, int64_t deadline_us, int64_t now_us)
{
    if (is_gone && lease->is_overdue) {
        lease_lose(lease, LEASE_LOSS_EXPIRED, now_us);
    } else if (is_gone && now_us < deadline_us) {
        lease_lose(lease, LEASE_LOSS_TAKEN, now_us);
    } else {
        lease_tell_released(lease, now_us);
    }
}

static void on_ended(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    /* A renewal that was under way when the lease was given back may say that it is gone. */
    const bool is_gone = result->code == STORE_NOT_HELD || result->code == STORE_WRONG_TYPE;
    const bool is_released = tenure->inquiry->operation.op.verb == STORE_RELEASE;
    if (is_released && inquiry_wants_queue(tenure)) {
        lock_restore_entry(tenure_lock(tenure), tenure, now_us);
    }
    if (tenure->inquiry->leaving != NULL && !is_released && !is_gone) {
        start_release(tenure, now_us);
        return;
    }
    struct lease *leaving = take_leaving(tenure);
    const int64_t deadline_us = tenure_deadline_us(tenure);
    settle(tenure, now_us);
    if (leaving != NULL) {
        tell_leaving(leaving, is_gone || result->code != STORE_OK, deadline_us, now_us);
    }
}

static void lose(struct tenure *tenure, enum lease_loss loss, int64_t now_us)
{
    struct lease *lease = tenure->lease;
    struct lease *leaving = take_leaving(tenure);
    const bool is_gone = loss == LEASE_LOSS_TAKEN;
    const int64_t deadline_us = tenure_deadline_us(tenure);
    if (lease != NULL) {
        drop_lease(tenure);
        tenure->inquiry->close_ms = lease_close_ms(lease);
    }
    begin_end(tenure);
    settle(tenure, now_us);
    if (lease != NULL) {
        lease_lose(lease, loss, now_us);
    }
    if (leaving != NULL) {
        tell_leaving(leaving, is_gone, deadline_us, now_us);
    }
}

/*
 * ---- Held ----
 */

static int64_t write_us(const struct tenure *tenure)
{
    return tenure->is_dirty ? tenure->inquiry->written_us + WRITE_INTERVAL_US : CLOCK_NEVER;
}

/* Sets the timer for what comes next in the life of a held tenure. */
static void arm(struct tenure *tenure)
{
    int64_t next_us = tenure_deadline_us(tenure);
    if (tenure->state == TENURE_HELD) {
        next_us = earlier(next_us, earlier(renewal_us(tenure), write_us(tenure)));
    } else if (!tenure->is_at_risk) {
        next_us = earlier(next_us, tenure->inquiry->at_risk_us);
    }
    wheel_set(tenure_lock(tenure)->keeper->wheel, &tenure->timer, next_us);
}

/* The key may live as long as the new ttl from now on, and no longer if that is shorter. */
static void renew(struct tenure *tenure, uint32_t fence_block, int64_t now_us)
{
    const int64_t at_risk_us = tenure->confirmed_us + lease_at_risk_us(sent_ttl_ms(tenure));
    struct store_op *op = fill(tenure, STORE_RENEW);
    struct inquiry *inquiry = tenure->inquiry;
    inquiry->deadline_us = earlier(inquiry->deadline_us, now_us + lease_validity_us(op->ttl_ms));
    inquiry->at_risk_us = earlier(at_risk_us, now_us + lease_at_risk_us(op->ttl_ms));
    tenure->state = TENURE_RENEWING;
    if (tenure->is_dirty) {
        tenure->is_dirty = false;
        inquiry->written_us = now_us;
    }
    op->fence_block = fence_block;
    start(tenure, now_us);
    arm(tenure);
}

static void renew_for_waiters(struct tenure *tenure, int64_t now_us)
{
    renew(tenure, block_for(tenure, queue_count(tenure_lock(tenure)->queue)), now_us);
}

static bool is_due(const struct tenure *tenure, int64_t now_us)
{
    return now_us >= renewal_us(tenure) || now_us >= write_us(tenure);
}

static void on_held_timer(struct tenure *tenure, int64_t now_us)
{
    if (now_us >= tenure_deadline_us(tenure)) {
        lose(tenure, LEASE_LOSS_EXPIRED, now_us);
        return;
    }
    if (tenure->state == TENURE_HELD && is_due(tenure, now_us)) {
        renew_for_waiters(tenure, now_us);
    }
    const bool becomes_at_risk = tenure->state == TENURE_RENEWING && !tenure->is_at_risk &&
                                 now_us >= tenure->inquiry->at_risk_us;
    tenure->is_at_risk = tenure->is_at_risk || becomes_at_risk;
    arm(tenure);
    if (becomes_at_risk && tenure->lease != NULL) {
        const struct lease_report report = {.event = LEASE_EVENT_AT_RISK};
        tenure_lock(tenure)->keeper->metrics->leases_at_risk++;
        lease_tell(tenure->lease, &report, now_us);
    }
}

static void on_timer(struct timer *timer, int64_t now_us)
{
    struct tenure *tenure = CONTAINER_OF(timer, struct tenure, timer);
    if (tenure->state == TENURE_QUEUED) {
        ask(tenure, STORE_ACQUIRE, now_us);
    } else {
        on_held_timer(tenure, now_us);
    }
}

static void take_reserved(struct inquiry *inquiry, const struct store_result *result)
{
    if (result->fence_end > inquiry->fence_end) {
        inquiry->fence_end = result->fence_end;
    }
    if (inquiry->operation.op.fence_block > 0) {
        inquiry->waiting = result->waiting;
    }
}

static void confirm(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    struct inquiry *inquiry = tenure->inquiry;
    CHECK(result->sent_us <= now_us);
    if (result->sent_us > tenure->confirmed_us) {
        tenure->confirmed_us = result->sent_us;
        inquiry->deadline_us = result->sent_us + lease_validity_us(inquiry->ttl_ms);
    }
    tenure->state = TENURE_HELD;
    take_reserved(inquiry, result);
}

static void on_renewed(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    if (now_us >= tenure_deadline_us(tenure)) {
        lose(tenure, LEASE_LOSS_EXPIRED, now_us);
        return;
    }
    if (result->code != STORE_OK) {
        lose(tenure, LEASE_LOSS_TAKEN, now_us);
        return;
    }
    const bool was_at_risk = tenure->is_at_risk;
    tenure->is_at_risk = false;
    tenure_lock(tenure)->keeper->metrics->renewals_confirmed++;
    confirm(tenure, result, now_us);
    inquiry_rest(tenure, now_us);
    arm(tenure);
    if (tenure->lease == NULL) {
        lock_settle(tenure_lock(tenure), now_us);
    } else if (was_at_risk) {
        const struct lease_report report = {.event = LEASE_EVENT_RENEWED};
        lease_tell(tenure->lease, &report, now_us);
    }
}

/*
 * ---- Handing on ----
 */

static void grant(struct tenure *tenure, struct lease *lease, int64_t since_ms, int64_t now_us)
{
    struct lock *lock = tenure_lock(tenure);
    const uint64_t fence = tenure->inquiry->fence;
    if (lease_place(lease) != NULL) {
        queue_remove(lock, lease);
    }
    set_lease(tenure, lease);
    tenure->inquiry->grants++;
    inquiry_rest(tenure, now_us);
    arm(tenure);
    if (lock->queue != NULL && lock_owned(lock) == NULL) {
        lock_post(lock); /* the next may ask */
    }
    lease_grant(lease, fence, since_ms, now_us);
}

/* The next waiter if it can take over what this server holds. */
static struct lease *next_taker(const struct tenure *tenure)
{
    struct lease *lease = queue_first(tenure_lock(tenure)->queue);
    const bool can_take = lease != NULL && is_exclusive(tenure) && lease->mode == STORE_EXCLUSIVE &&
                          !lease->is_detached && lease->tenure == NULL;
    return can_take ? lease : NULL;
}

static void sync(struct tenure *tenure, int64_t now_us)
{
    if (tenure->state == TENURE_RENEWING) {
        return;
    }
    if (tenure->is_synced) {
        tenure_end(tenure, now_us); /* the store gives neither fences nor time */
        return;
    }
    tenure->is_synced = true;
    renew_for_waiters(tenure, now_us);
}

/* What comes next in a row of grants here. */
static void grant_next(struct tenure *tenure, struct lease *lease, int64_t now_us)
{
    struct inquiry *inquiry = tenure->inquiry;
    inquiry->fence++;
    tenure->is_dirty = true;
    tenure->is_synced = false;
    tenure->is_at_risk = false; /* the next one has yet to hear of it */
    inquiry->deadline_us = earlier(inquiry->deadline_us, now_us + lease_validity_us(lease->ttl_ms));
    if (lease_terms(lease)->grace_ms > 0 || lease_terms(lease)->value_length > 0) {
        inquiry->written_us = now_us - WRITE_INTERVAL_US; /* others are to see it at once */
    }
    tenure_lock(tenure)->keeper->metrics->leases_handed_on++;
    grant(tenure, lease, tenure_lock(tenure)->keeper->ahead_ms + now_us / CLOCK_US_PER_MS, now_us);
}

void tenure_hand_on(struct tenure *tenure, int64_t now_us)
{
    CHECK(tenure->lease == NULL);
    if (now_us >= tenure_deadline_us(tenure)) {
        lose(tenure, LEASE_LOSS_EXPIRED, now_us);
        return;
    }
    if (next_taker(tenure) == NULL || inquiry_ends_run(tenure->inquiry, now_us)) {
        tenure_end(tenure, now_us);
        return;
    }
    if (inquiry_needs_sync(tenure->inquiry, now_us)) {
        sync(tenure, now_us);
        return;
    }
    struct lease *leaving = take_leaving(tenure);
    if (leaving != NULL) {
        lease_tell_released(leaving, now_us); /* who hears it may take the next one back */
    }
    struct lease *next = next_taker(tenure);
    if (next == NULL) {
        tenure_end(tenure, now_us);
        return;
    }
    grant_next(tenure, next, now_us);
}

/*
 * ---- Asking ----
 */

static void refuse(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    struct lease *lease = tenure->lease;
    struct lock *lock = tenure_lock(tenure);
    if (lease_place(lease) != NULL) {
        queue_remove(lock, lease);
    }
    drop_lease(tenure);
    begin_end(tenure);
    settle(tenure, now_us);
    lease_refuse(lease, result, now_us);
}

/* A reader that asked out of turn waits on like all the others. */
static void withdraw_follower(struct tenure *tenure, int64_t now_us)
{
    tenure->lease->terms->place->was_refused = true;
    drop_lease(tenure);
    begin_end(tenure);
    settle(tenure, now_us);
}

static int64_t ask_again_us(const struct store_holder *holder, int64_t now_us)
{
    int64_t wait_us = STORE_QUEUE_LIFE_MAX_MS * CLOCK_US_PER_MS;
    if (holder->remaining_us >= 0) {
        wait_us = earlier(wait_us, holder->remaining_us + CLOCK_US_PER_MS);
    }
    if (holder->is_foreign) {
        wait_us = earlier(wait_us, FOREIGN_INTERVAL_US);
    }
    return now_us + wait_us;
}

static void on_blocked(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    if (lease_place(tenure->lease) == NULL) {
        refuse(tenure, result, now_us);
    } else if (!inquiry_wants_queue(tenure)) {
        withdraw_follower(tenure, now_us);
    } else if (tenure->is_hinted) {
        ask(tenure, STORE_ACQUIRE, now_us);
    } else {
        tenure->state = TENURE_QUEUED;
        wheel_set(tenure_lock(tenure)->keeper->wheel, &tenure->timer,
                  ask_again_us(&result->holder, now_us));
        queue_note_holder(tenure_lock(tenure)->queue, &result->holder, now_us);
    }
}

/* What a resumed lease is, only the store knows. */
static void take_resumed(struct tenure *tenure, const struct store_result *result)
{
    struct lease *lease = tenure->lease;
    tenure->mode = result->holder.mode;
    lease->mode = result->holder.mode;
    lease_take_texts(lease, &result->holder);
    tenure_lock(tenure)->keeper->metrics->leases_resumed++;
}

static void on_owned(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    struct lease *lease = tenure->lease;
    struct inquiry *inquiry = tenure->inquiry;
    inquiry->fence = result->fence;
    inquiry->held_us = now_us;
    inquiry->grants = 0;
    inquiry->operation.deadline_us = CLOCK_NEVER; /* the asking had one; renewals have not */
    confirm(tenure, result, now_us);
    if (inquiry->operation.op.verb == STORE_RESUME) {
        take_resumed(tenure, result);
    } else {
        tenure_lock(tenure)->keeper->ahead_ms = result->since_ms - now_us / CLOCK_US_PER_MS;
    }
    if (is_exclusive(tenure) && !lease->is_detached) {
        lock_own(tenure_lock(tenure), tenure);
    }
    if (!tenure->is_for_other) {
        grant(tenure, lease, result->since_ms, now_us);
        return;
    }
    /* The store names a lease that is gone: the next one gets a grant of its own. */
    inquiry->grants = 1;
    drop_lease(tenure);
    arm(tenure);
    lock_settle(tenure_lock(tenure), now_us);
}

/* The tenure here of the lease that this one has resumed; NULL when there is none. */
static struct tenure *find_same_token(const struct tenure *tenure)
{
    const struct store_op *op = &tenure->inquiry->operation.op;
    struct tenure *other = NULL;
    if (op->verb != STORE_RESUME) {
        return NULL;
    }
    LIST_FOREACH (other, &tenure_lock(tenure)->tenures, link) {
        if (other != tenure && other->lease != NULL && tenure_is_held(other) &&
            id128_equal(&other->lease->token, &op->token)) {
            return other;
        }
    }
    return NULL;
}

/* Another tenure of ours that still counts as held cannot be so: says so before anybody else hears
 * that the lock is granted. False: who hears of that has taken the question back. */
static bool supersede(struct tenure *tenure, int64_t now_us)
{
    struct tenure *same = NULL;
    while ((same = find_same_token(tenure)) != NULL) {
        lose(same, LEASE_LOSS_RESUMED, now_us);
    }
    struct tenure *before = lock_owned(tenure_lock(tenure));
    if (before != NULL && is_exclusive(tenure)) {
        lose(before, now_us < tenure_deadline_us(before) ? LEASE_LOSS_TAKEN : LEASE_LOSS_EXPIRED,
             now_us);
    }
    return tenure->state == TENURE_ASKING;
}

static void on_asked(struct tenure *tenure, const struct store_result *result, int64_t now_us)
{
    switch (result->code) {
    case STORE_OK:
        if (now_us < result->sent_us + lease_validity_us(tenure->inquiry->ttl_ms)) {
            if (supersede(tenure, now_us)) {
                on_owned(tenure, result, now_us);
            }
        } else if (lease_place(tenure->lease) != NULL) {
            ask(tenure, STORE_ACQUIRE, now_us);
        } else {
            refuse(tenure, &late, now_us);
        }
        break;
    case STORE_BUSY:
    case STORE_QUEUED:
        on_blocked(tenure, result, now_us);
        break;
    case STORE_UNAVAILABLE:
        if (lease_place(tenure->lease) == NULL) {
            refuse(tenure, result, now_us);
        } else if (inquiry_wants_queue(tenure)) {
            ask(tenure, STORE_ACQUIRE, now_us); /* nothing that was sent is in force any more */
        } else {
            withdraw_follower(tenure, now_us);
        }
        break;
    case STORE_NOT_HELD:
    case STORE_WRONG_TYPE:
    case STORE_RECOVERING:
    case STORE_EXPIRED:
    case STORE_UNKNOWN:
        refuse(tenure, result, now_us);
        break;
    }
}

static void on_operation_done(struct operation *operation, const struct store_result *result,
                              int64_t now_us)
{
    struct inquiry *inquiry = CONTAINER_OF(operation, struct inquiry, operation);
    struct tenure *tenure = inquiry->tenure;
    terms_destroy(inquiry->kept_terms);
    inquiry->kept_terms = NULL;
    switch (tenure->state) {
    case TENURE_ASKING:
        on_asked(tenure, result, now_us);
        break;
    case TENURE_RENEWING:
        on_renewed(tenure, result, now_us);
        break;
    case TENURE_ENDING:
        on_ended(tenure, result, now_us);
        break;
    case TENURE_QUEUED:
    case TENURE_HELD:
        check_failed("an idle tenure is not answered", __FILE__, __LINE__);
    }
}

static struct tenure *create(struct lease *lease, enum store_verb verb, bool wants_queue,
                             int64_t deadline_us, int64_t now_us)
{
    struct tenure *tenure = pool_alloc(lease->lock->keeper->pool, sizeof(*tenure));
    set_lease(tenure, lease);
    lock_enlist(lease->lock, tenure);
    timer_init(&tenure->timer, on_timer);
    tenure->id = lease->is_detached ? lease->token : id128_random();
    tenure->mode = STORE_ANY_MODE;
    if (verb != STORE_RESUME) {
        tenure->mode = lease->mode;
    }
    struct store_op *op = inquiry_open(tenure, on_operation_done);
    op->limit = lease_terms(lease)->limit;
    op->wants_queue = wants_queue;
    tenure->inquiry->operation.deadline_us = deadline_us;
    ask(tenure, verb, now_us);
    return tenure;
}

struct tenure *tenure_create(struct lease *lease, enum store_verb verb, int64_t deadline_us,
                             int64_t now_us)
{
    return create(lease, verb, false, deadline_us, now_us);
}

struct tenure *tenure_create_queued(struct lease *lease, int64_t now_us)
{
    return create(lease, STORE_ACQUIRE, true, CLOCK_NEVER, now_us);
}

void tenure_destroy(struct tenure *tenure)
{
    struct lock *lock = tenure_lock(tenure);
    struct keeper *keeper = lock->keeper;
    CHECK(tenure->lease == NULL);
    CHECK(leaving_of(tenure) == NULL);
    wheel_clear(keeper->wheel, &tenure->timer);
    inquiry_close(tenure);
    LIST_REMOVE(tenure, link);
    if (tenure->is_counted) {
        keeper_dismiss(keeper);
    }
    pool_free(keeper->pool, tenure, sizeof(*tenure));
    lock_discard_unused(lock);
}

bool tenure_is_held(const struct tenure *tenure)
{
    return tenure->state == TENURE_HELD || tenure->state == TENURE_RENEWING;
}

void tenure_give_back(struct tenure *tenure, struct lease *leaving, bool is_unclean, int64_t now_us)
{
    struct lease *lease = tenure->lease;
    CHECK(tenure_is_held(tenure));
    const bool is_for_the_store =
        lease_is_resumable(lease); /* only it knows whether that has happened */
    drop_lease(tenure);
    struct inquiry *inquiry = tenure->inquiry;
    inquiry->close_ms = is_unclean ? lease_close_ms(lease) : 0;
    if (leaving != NULL) {
        CHECK(inquiry->leaving == NULL);
        inquiry->leaving = leaving;
        leaving->tenure = tenure;
        recount(tenure);
    }
    if (tenure->is_owned && tenure_lock(tenure)->queue != NULL && inquiry->close_ms == 0 &&
        !is_for_the_store) {
        lock_post(tenure_lock(tenure));
    } else {
        tenure_end(tenure, now_us);
    }
}

void tenure_leave(struct tenure *tenure)
{
    take_leaving(tenure);
}

void tenure_forget(struct tenure *tenure)
{
    drop_lease(tenure);
    tenure_destroy(tenure);
}

void tenure_take_back(struct tenure *tenure, int64_t now_us)
{
    const bool is_detached = tenure->lease->is_detached;
    tenure->leaves_grant = tenure->lease->may_be_retried;
    drop_lease(tenure);
    struct lease *next = next_taker(tenure);
    if (next != NULL && inquiry_wants_queue(tenure) && !is_detached) {
        tenure->is_for_other = true;
        set_lease(tenure, next);
        return;
    }
    begin_end(tenure);
    settle(tenure, now_us);
}

void tenure_refresh(struct tenure *tenure, int64_t now_us)
{
    if (tenure->state == TENURE_HELD && now_us < tenure_deadline_us(tenure)) {
        renew_for_waiters(tenure, now_us);
    } else {
        tenure_ask_again(tenure, now_us);
    }
}

void tenure_ask_again(struct tenure *tenure, int64_t now_us)
{
    if (tenure->state == TENURE_QUEUED) {
        wheel_clear(tenure_lock(tenure)->keeper->wheel, &tenure->timer);
        ask(tenure, STORE_ACQUIRE, now_us);
    } else if (tenure->state == TENURE_ASKING) {
        tenure->is_hinted = true;
    }
}
