/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/group.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"

/* What only a group of several locks needs. */
struct plan {
    struct keeper *keeper;
    struct lease_ask ask;                    /* its texts are below */
    struct group_name names[GROUP_SIZE_MAX]; /* sorted; likewise */
    struct lease *leases[GROUP_SIZE_MAX];    /* NULL: not asked for yet, or not ours any more */
    size_t count;
    size_t asked;  /* how many have been asked for */
    size_t left;   /* RELEASING: how many have not answered */
    bool was_lost; /* RELEASING: one of them was */
    enum lease_loss loss;
    struct id128 token;
    char texts[];
};

static size_t count_of(const struct group *group)
{
    return group->is_several ? group->plan->count : 1;
}

static struct lease *lease_at(const struct group *group, size_t index)
{
    return group->is_several ? group->plan->leases[index] : group->lease;
}

/* What belongs to the group but not to its owner. */
static void discard(struct group *group)
{
    if (group->is_several) {
        memory_free(group->plan);
    }
}

static void tell(struct group *group, const struct lease_report *report, int64_t now_us)
{
    group->on_event(group, report, now_us);
}

/* The last that the owner hears; it may free the group. */
static void end(struct group *group, const struct lease_report *report, int64_t now_us)
{
    struct plan *plan = group->is_several ? group->plan : NULL;
    group->on_event(group, report, now_us);
    memory_free(plan);
}

/* Forgets a lease that is gone. */
static void forget(struct group *group, const struct lease *lease)
{
    if (!group->is_several) {
        group->lease = group->lease == lease ? NULL : group->lease;
        return;
    }
    for (size_t i = 0; i < group->plan->count; i++) {
        if (group->plan->leases[i] == lease) {
            group->plan->leases[i] = NULL;
        }
    }
}

/* Gives up what is left. Nobody has worked under a group that was not granted: no lock delay. */
static void give_up(struct group *group, int64_t now_us)
{
    for (size_t i = 0; i < count_of(group); i++) {
        struct lease *lease = lease_at(group, i);
        if (lease == NULL) {
            continue;
        }
        if (!group->is_granted) {
            lease->is_unused = true;
        }
        forget(group, lease);
        lease_revoke(lease, now_us);
    }
}

static void refuse(struct group *group, const struct lease *lease,
                   const struct store_result *result, const struct keeper_problem *problem,
                   int64_t now_us)
{
    const struct lease_report report = {
        .event = LEASE_EVENT_REFUSED, .result = result, .problem = problem, .lease = lease};
    give_up(group, now_us);
    end(group, &report, now_us);
}

/* The limits that a later lock of the group may hit. */
static void refuse_for_problem(struct group *group, const struct keeper_problem *problem,
                               int64_t now_us)
{
    struct store_result result = {.code = STORE_UNAVAILABLE, .is_limit = true};
    switch (problem->refusal) {
    case KEEPER_LEASES_MAX:
        result.detail = "max-leases: no room for another lease; release some or raise it";
        break;
    case KEEPER_WAITERS_MAX:
        result.detail = "max-waiters: too many wait for one of the locks; try again later";
        break;
    case KEEPER_DEADLOCK:
        result.is_limit = false;
        result.detail = problem->text;
        break;
    }
    refuse(group, NULL, &result, problem, now_us);
}

/* Asks for the next lock of several. How long they may be held counts from when all are. */
static bool ask_next(struct group *group, struct keeper_problem *problem, int64_t now_us)
{
    struct plan *plan = group->plan;
    struct lease_ask ask = plan->ask;
    const size_t next = plan->asked;
    ask.key = plan->names[next].key;
    ask.key_length = plan->names[next].key_length;
    ask.token = &plan->token;
    ask.max_hold_ms = 0;
    plan->asked++;
    plan->leases[next] = keeper_acquire(plan->keeper, &ask, &group->holder, problem, now_us);
    return plan->leases[next] != NULL;
}

/* Whether one of its leases is at risk, or over though nobody has said so yet. */
static bool is_in_danger(const struct group *group, int64_t now_us)
{
    for (size_t i = 0; i < count_of(group); i++) {
        const struct lease *lease = lease_at(group, i);
        if (lease->tenure->is_at_risk || !lease_is_valid(lease, now_us)) {
            return true;
        }
    }
    return false;
}

/* Nobody shall be granted what may be lost at once: a RENEWED or LOST that is near comes first. */
static void grant(struct group *group, int64_t now_us)
{
    const struct lease_report report = {.event = LEASE_EVENT_GRANTED};
    if (is_in_danger(group, now_us)) {
        return;
    }
    for (size_t i = 0; group->is_several && i < group->plan->count; i++) {
        lease_bound_hold(group->plan->leases[i], group->plan->ask.max_hold_ms, now_us);
    }
    group->is_granted = true;
    tell(group, &report, now_us);
}

static void on_granted(struct group *group, int64_t now_us)
{
    struct keeper_problem problem;
    if (!group->is_several || group->plan->asked == group->plan->count) {
        grant(group, now_us);
    } else if (!ask_next(group, &problem, now_us)) {
        refuse_for_problem(group, &problem, now_us);
    }
}

static void on_at_risk(struct group *group, const struct lease_report *report, int64_t now_us)
{
    if (group->is_granted && !group->is_at_risk) {
        group->is_at_risk = true;
        tell(group, report, now_us);
    }
}

static bool has_all(const struct group *group)
{
    for (size_t i = 0; i < count_of(group); i++) {
        const struct lease *lease = lease_at(group, i);
        if (lease == NULL || lease_state(lease) != LEASE_HELD) {
            return false;
        }
    }
    return true;
}

static void on_renewed(struct group *group, const struct lease_report *report, int64_t now_us)
{
    if (!group->is_granted) {
        if (has_all(group)) {
            grant(group, now_us);
        }
    } else if (group->is_at_risk && !is_in_danger(group, now_us)) {
        group->is_at_risk = false;
        tell(group, report, now_us);
    }
}

static void on_lost(struct group *group, const struct lease_report *report, int64_t now_us)
{
    static const struct store_result failed = {
        .code = STORE_UNAVAILABLE,
        .detail = "a lock that was had already was lost while waiting for the next"};
    if (!group->is_granted) {
        refuse(group, report->lease, &failed, NULL, now_us);
        return;
    }
    give_up(group, now_us);
    end(group, report, now_us);
}

/* All that was given back is waited for; one lost is all lost. */
static void on_given_back(struct group *group, const struct lease_report *report, int64_t now_us)
{
    struct plan *plan = group->is_several ? group->plan : NULL;
    struct lease_report all = *report;
    if (plan != NULL && plan->left > 0) {
        plan->left--;
        if (report->event == LEASE_EVENT_LOST) {
            plan->was_lost = true;
            plan->loss = report->loss;
        }
        if (plan->left > 0) {
            return;
        }
        all.event = plan->was_lost ? LEASE_EVENT_LOST : LEASE_EVENT_RELEASED;
        all.loss = plan->loss;
    }
    end(group, &all, now_us);
}

static void on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *told, int64_t now_us)
{
    struct group *group = CONTAINER_OF(holder, struct group, holder);
    const bool is_leaving = lease_state(lease) == LEASE_RELEASING;
    struct lease_report own = *told;
    const struct lease_report *report = &own;
    own.lease = lease;
    switch (report->event) {
    case LEASE_EVENT_GRANTED:
        on_granted(group, now_us);
        break;
    case LEASE_EVENT_REFUSED:
        forget(group, lease);
        refuse(group, lease, report->result, NULL, now_us);
        break;
    case LEASE_EVENT_LOST:
        forget(group, lease);
        if (is_leaving) {
            on_given_back(group, report, now_us);
        } else {
            on_lost(group, report, now_us);
        }
        break;
    case LEASE_EVENT_RELEASED:
        forget(group, lease);
        on_given_back(group, report, now_us);
        break;
    case LEASE_EVENT_AT_RISK:
        on_at_risk(group, report, now_us);
        break;
    case LEASE_EVENT_RENEWED:
        on_renewed(group, report, now_us);
        break;
    case LEASE_EVENT_QUEUED:
        tell(group, report, now_us);
        break;
    }
}

void group_init(struct group *group, group_event_fn *on_event_of_group)
{
    *group = (struct group){.holder = {.on_event = on_event}, .on_event = on_event_of_group};
}

static int compare_names(const struct group_name *a, const struct group_name *b)
{
    const size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    const int order = memcmp(a->key, b->key, shorter);
    if (order != 0) {
        return order;
    }
    return a->key_length < b->key_length ? -1 : a->key_length > b->key_length;
}

/* Inserts a name in its place, copying it to *text. */
static void insert_name(struct plan *plan, const struct group_name *name, char **text)
{
    size_t at = plan->count;
    const struct group_name copy = {*text, name->key_length};
    memcpy(*text, name->key, name->key_length);
    *text += name->key_length;
    while (at > 0 && compare_names(&plan->names[at - 1], &copy) > 0) {
        plan->names[at] = plan->names[at - 1];
        at--;
    }
    CHECK(at == 0 || compare_names(&plan->names[at - 1], &copy) != 0);
    plan->names[at] = copy;
    plan->count++;
}

static const char *copy_text(char **text, const char *bytes, size_t length)
{
    const char *copy = *text;
    if (length > 0) {
        memcpy(*text, bytes, length);
    }
    *text += length;
    return copy;
}

static struct plan *create_plan(struct keeper *keeper, const struct group_name *names, size_t count,
                                const struct lease_ask *ask)
{
    size_t size = ask->label_length + ask->value_length;
    for (size_t i = 0; i < count; i++) {
        size += names[i].key_length;
    }
    struct plan *plan = memory_alloc(sizeof(*plan) + size);
    char *text = plan->texts;
    plan->keeper = keeper;
    plan->ask = *ask;
    plan->ask.label = copy_text(&text, ask->label, ask->label_length);
    plan->ask.value = copy_text(&text, ask->value, ask->value_length);
    for (size_t i = 0; i < count; i++) {
        insert_name(plan, &names[i], &text);
    }
    plan->token = id128_random();
    return plan;
}

static bool acquire_one(struct group *group, struct keeper *keeper, const struct group_name *name,
                        const struct lease_ask *ask, struct keeper_problem *problem, int64_t now_us)
{
    struct lease_ask one = *ask;
    one.key = name->key;
    one.key_length = name->key_length;
    one.token = NULL;
    group->lease = keeper_acquire(keeper, &one, &group->holder, problem, now_us);
    return group->lease != NULL;
}

bool group_acquire(struct group *group, struct keeper *keeper, const struct group_name *names,
                   size_t count, const struct lease_ask *ask, struct keeper_problem *problem,
                   int64_t now_us)
{
    CHECK(count >= 1 && count <= GROUP_SIZE_MAX);
    CHECK(!ask->is_detached);
    if (count == 1) {
        return acquire_one(group, keeper, names, ask, problem, now_us);
    }
    group->is_several = true;
    group->plan = create_plan(keeper, names, count, ask);
    if (!ask_next(group, problem, now_us)) {
        discard(group);
        return false;
    }
    return true;
}

bool group_resume(struct group *group, struct keeper *keeper, const struct lease_ask *ask,
                  struct keeper_problem *problem, int64_t now_us)
{
    group->lease = keeper_resume(keeper, ask, &group->holder, problem, now_us);
    return group->lease != NULL;
}

void group_release(struct group *group, int64_t now_us)
{
    const size_t count = count_of(group);
    CHECK(group->is_granted);
    group->is_releasing = true;
    if (count > 1) {
        group->plan->left = count;
    }
    for (size_t i = 0; i < count; i++) {
        lease_release(lease_at(group, i), now_us);
    }
}

void group_revoke(struct group *group, int64_t now_us)
{
    give_up(group, now_us);
    discard(group);
}

void group_abandon(struct group *group, int64_t now_us)
{
    struct lease *lease = count_of(group) == 1 ? group->lease : NULL;
    if (lease != NULL) {
        forget(group, lease);
        lease_abandon(lease, now_us);
    }
    group_revoke(group, now_us);
}

int64_t group_deadline_us(const struct group *group)
{
    int64_t deadline_us = CLOCK_NEVER;
    for (size_t i = 0; i < count_of(group); i++) {
        const struct lease *lease = lease_at(group, i);
        const int64_t lease_us = lease == NULL ? 0 : lease_deadline_us(lease);
        deadline_us = lease_us < deadline_us ? lease_us : deadline_us;
    }
    return deadline_us;
}

bool group_is_valid(const struct group *group, int64_t now_us)
{
    bool is_valid = group->is_granted;
    for (size_t i = 0; i < count_of(group); i++) {
        const struct lease *lease = lease_at(group, i);
        is_valid = is_valid && lease != NULL && lease_is_valid(lease, now_us);
    }
    return is_valid;
}

struct group *group_find(const struct keeper *keeper, const char *key, size_t key_length,
                         const struct id128 *token)
{
    struct lease *lease = keeper_find(keeper, key, key_length, token);
    if (lease == NULL || lease->holder == NULL || lease->holder->on_event != on_event) {
        return NULL;
    }
    struct group *group = CONTAINER_OF(lease->holder, struct group, holder);
    return group->is_granted ? group : NULL;
}

size_t group_size(const struct group *group)
{
    return count_of(group);
}

const struct lease *group_lease(const struct group *group, size_t index)
{
    CHECK(index < count_of(group));
    return lease_at(group, index);
}

const struct id128 *group_token(const struct group *group)
{
    return lease_token(lease_at(group, 0));
}

int64_t group_ttl_ms(const struct group *group)
{
    return lease_ttl_ms(lease_at(group, 0));
}

bool group_is_granted(const struct group *group)
{
    return group->is_granted;
}

bool group_is_releasing(const struct group *group)
{
    return group->is_releasing;
}
