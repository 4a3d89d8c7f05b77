/* SPDX-License-Identifier: Apache-2.0 */
#include "service/binding.h"

#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/table.h"
#include "service/answers.h"

LIST_HEAD(release_wait_list, release_wait);

/* In services->releases, by token. */
struct release {
    struct id128 token;
    struct services *services;
    struct binding *binding;
    const struct binding_owner *owner; /* the binding's */
    struct release_wait_list waits;
    UT_hash_handle hh;
    char names[]; /* each with a NUL; an empty one ends them */
};

/* The session that the binding is in; NULL once only Release calls care. */
static struct session *session_of(const struct binding *binding)
{
    struct lease_party *party = binding->group.holder.party;
    return binding->link.le_prev == NULL ? NULL : CONTAINER_OF(party, struct session, party);
}

static struct services *services_of(const struct binding *binding)
{
    const struct session *session = session_of(binding);
    return session != NULL ? session->services : binding->release->services;
}

static const struct binding_owner *owner_of(const struct binding *binding)
{
    return group_is_releasing(&binding->group) ? binding->release->owner : binding->owner;
}

static void leave_session(struct binding *binding)
{
    struct session *session = session_of(binding);
    if (session != NULL) {
        LIST_REMOVE(binding, link);
        binding->link.le_prev = NULL;
        session->lease_count -= group_size(&binding->group);
    }
}

static bool is_awaited(const struct binding *binding)
{
    return group_is_releasing(&binding->group) && !LIST_EMPTY(&binding->release->waits);
}

/* It cannot be found any more, but is still there. */
static void detach(struct binding *binding)
{
    leave_session(binding);
    if (group_is_releasing(&binding->group)) {
        CHECK(!is_awaited(binding));
        HASH_DEL(binding->release->services->releases, binding->release);
        memory_free(binding->release);
    }
}

static void destroy(struct binding *binding, struct services *services)
{
    detach(binding);
    pool_free(services->bindings, binding, sizeof(*binding));
}

static void answer_waits(struct binding *binding, bool was_released)
{
    struct release_wait *wait = NULL;
    while (is_awaited(binding)) {
        wait = LIST_FIRST(&binding->release->waits);
        struct call *call = wait->call;
        LIST_REMOVE(wait, link);
        memory_free(wait);
        answer_release(call, was_released);
    }
}

static bool names_lock(const struct release *release, const char *key)
{
    for (const char *name = release->names; name[0] != '\0'; name += strlen(name) + 1) {
        if (strcmp(name, key) == 0) {
            return true;
        }
    }
    return false;
}

static struct release *find_release(const struct services *services, const char *key,
                                    const struct id128 *token)
{
    struct release *release = NULL;
    HASH_FIND(hh, services->releases, token, sizeof(*token), release);
    return release != NULL && names_lock(release, key) ? release : NULL;
}

/* The names must outlive the leases, which go one by one. */
static struct release *create_release(const struct group *group)
{
    size_t size = 1;
    size_t length = 0;
    for (size_t i = 0; i < group_size(group); i++) {
        lease_key(group_lease(group, i), &length);
        size += length + 1;
    }
    struct release *release = memory_alloc(sizeof(*release) + size);
    char *end = release->names;
    for (size_t i = 0; i < group_size(group); i++) {
        const char *key = lease_key(group_lease(group, i), &length);
        memcpy(end, key, length);
        end += length + 1;
    }
    release->token = *group_token(group);
    LIST_INIT(&release->waits);
    return release;
}

static const char *loss_text(enum lease_loss loss)
{
    static const char *const texts[] = {
        [LEASE_LOSS_EXPIRED] = "expired",
        [LEASE_LOSS_TAKEN] = "taken",
        [LEASE_LOSS_MAX_HOLD] = "max_hold",
        [LEASE_LOSS_RESUMED] = "resumed",
    };
    CHECK(loss < COUNT_OF(texts));
    return texts[loss];
}

static bool is_end(enum lease_event event)
{
    return event == LEASE_EVENT_REFUSED || event == LEASE_EVENT_LOST ||
           event == LEASE_EVENT_RELEASED;
}

static void on_event(struct group *group, const struct lease_report *report, int64_t now_us)
{
    struct binding *binding = CONTAINER_OF(group, struct binding, group);
    if (report->event == LEASE_EVENT_LOST) {
        binding_log_loss(binding, report->lease, loss_text(report->loss));
    }
    struct call *call = binding->call;
    const struct binding_owner *owner = owner_of(binding);
    struct services *services = services_of(binding);
    const bool is_over = is_end(report->event);
    if (is_over) {
        answer_waits(binding, report->event == LEASE_EVENT_RELEASED);
        detach(binding);
    }
    if (call != NULL) {
        owner->on_event(call, group, report, now_us);
    }
    if (is_over) {
        pool_free(services->bindings, binding, sizeof(*binding));
    }
}

/* Reports a withdrawal to the owner, which ends its call. */
static void dismiss_owner(struct binding *binding, enum binding_withdrawal why)
{
    struct call *call = binding->call;
    binding->call = NULL;
    if (call != NULL) {
        owner_of(binding)->on_withdrawn(call, why);
    }
}

static bool has_room(struct call *call, size_t count)
{
    const struct session *session = call->session;
    size_t limit = session->services->config.session_leases_max;
    if (session->lease_count <= limit && count <= limit - session->lease_count) {
        return true;
    }
    session->services->metrics->leases_refused++;
    session_fail_call(call, STATUS_RESOURCE_EXHAUSTED,
                      "max-leases-per-connection: this connection has %zu leases, which is the "
                      "limit; release some, use another connection or raise it",
                      limit);
    return false;
}

static bool ask_keeper(struct group *group, struct keeper *keeper, const struct ask *ask,
                       struct keeper_problem *problem, int64_t now_us)
{
    if (ask->is_resume) {
        return group_resume(group, keeper, &ask->lease, problem, now_us);
    }
    return group_acquire(group, keeper, ask->names, ask->count, &ask->lease, problem, now_us);
}

struct binding *binding_create(struct call *call, const struct binding_owner *owner,
                               const struct ask *ask, int64_t now_us)
{
    struct session *session = call->session;
    struct keeper_problem problem;
    CHECK(ask->lease.party == &session->party);
    if (!has_room(call, ask->count)) {
        return NULL;
    }
    struct pool *pool = session->services->bindings;
    struct binding *binding = pool_alloc(pool, sizeof(*binding));
    group_init(&binding->group, on_event);
    if (!ask_keeper(&binding->group, session->services->keeper, ask, &problem, now_us)) {
        pool_free(pool, binding, sizeof(*binding));
        answer_problem(call, &problem);
        return NULL;
    }
    binding->call = call;
    binding->owner = owner;
    LIST_INSERT_HEAD(&session->bindings, binding, link);
    session->lease_count += ask->count;
    return binding;
}

struct binding *binding_find(const struct services *services, const char *key,
                             const struct id128 *token)
{
    struct group *group = group_find(services->keeper, key, strlen(key), token);
    if (group != NULL) {
        CHECK(group->on_event == on_event);
        return CONTAINER_OF(group, struct binding, group);
    }
    const struct release *release = find_release(services, key, token);
    return release == NULL ? NULL : release->binding;
}

void binding_forget_call(struct binding *binding)
{
    binding->call = NULL;
}

static void release(struct binding *binding, struct services *services, int64_t now_us)
{
    struct release *release = create_release(&binding->group);
    release->services = services;
    release->binding = binding;
    release->owner = binding->owner;
    HASH_ADD(hh, services->releases, token, sizeof(release->token), release);
    binding->release = release;
    group_release(&binding->group, now_us);
}

void binding_release(struct binding *binding, int64_t now_us)
{
    if (!group_is_releasing(&binding->group)) {
        release(binding, services_of(binding), now_us);
    }
}

void binding_abandon(struct binding *binding, int64_t now_us)
{
    struct services *services = services_of(binding);
    binding->call = NULL;
    leave_session(binding);
    if (!is_awaited(binding)) {
        group_abandon(&binding->group, now_us);
        destroy(binding, services);
    }
}

void binding_revoke(struct binding *binding, int64_t now_us)
{
    struct services *services = services_of(binding);
    binding->call = NULL;
    leave_session(binding);
    if (!is_awaited(binding)) {
        group_revoke(&binding->group, now_us);
        destroy(binding, services);
    }
}

void binding_leave(struct binding *binding, const struct call *call, int64_t now_us)
{
    if (now_us >= call->deadline_us) {
        binding_revoke(binding, now_us);
    } else {
        binding_abandon(binding, now_us);
    }
}

void binding_withdraw(struct binding *binding, int64_t now_us)
{
    dismiss_owner(binding, BINDING_SHUT_DOWN);
    binding_abandon(binding, now_us);
}

struct release_wait *binding_await_release(struct binding *binding, struct call *call,
                                           int64_t now_us)
{
    struct release_wait *wait = memory_alloc(sizeof(*wait));
    if (!group_is_releasing(&binding->group)) {
        dismiss_owner(binding, BINDING_RELEASED);
        leave_session(binding);
        release(binding, call->session->services, now_us);
    }
    wait->release = binding->release;
    wait->call = call;
    LIST_INSERT_HEAD(&binding->release->waits, wait, link);
    return wait;
}

void binding_stop_waiting(struct release_wait *wait, int64_t now_us)
{
    struct binding *binding = wait->release->binding;
    struct services *services = wait->release->services;
    LIST_REMOVE(wait, link);
    memory_free(wait);
    if (session_of(binding) == NULL && !is_awaited(binding)) {
        group_revoke(&binding->group, now_us);
        destroy(binding, services);
    }
}

void binding_log_loss(const struct binding *binding, const struct lease *lease, const char *reason)
{
    size_t key_length = 0;
    size_t label_length = 0;
    const char *key = lease_key(lease, &key_length);
    const char *label = lease_label(lease, &label_length);
    const struct session *session = session_of(binding);
    LOG_WARN("lease.lost", LOG_MESSAGE("a lease was lost"), LOG_BYTES("key", key, key_length),
             LOG_BYTES("label", label, label_length), LOG_INTEGER("fence", lease_fence(lease)),
             LOG_TEXT("reason", reason), LOG_TEXT("peer", session == NULL ? NULL : session->peer));
}
