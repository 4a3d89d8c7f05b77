/* SPDX-License-Identifier: Apache-2.0 */
#include "service/binding.h"

#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/table.h"
#include "service/answers.h"

LIST_HEAD(release_wait_list, release_wait);

/* In services->releases, by token. */
struct release {
    struct id128 token;
    struct binding *binding;
    struct release_wait_list waits;
    UT_hash_handle hh;
};

static void leave_session(struct binding *binding)
{
    if (binding->session != NULL) {
        LIST_REMOVE(binding, link);
        binding->session->lease_count--;
        binding->session = NULL;
    }
}

static bool is_awaited(const struct binding *binding)
{
    return binding->release != NULL && !LIST_EMPTY(&binding->release->waits);
}

static void destroy(struct binding *binding)
{
    leave_session(binding);
    if (binding->release != NULL) {
        CHECK(!is_awaited(binding));
        HASH_DEL(binding->services->releases, binding->release);
        memory_free(binding->release);
    }
    memory_free(binding);
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

static struct release *find_release(const struct services *services, const char *key,
                                    const struct id128 *token)
{
    struct release *release = NULL;
    size_t length = 0;
    HASH_FIND(hh, services->releases, token, sizeof(*token), release);
    if (release == NULL) {
        return NULL;
    }
    const char *held = lease_key(release->binding->lease, &length);
    return length == strlen(key) && memcmp(held, key, length) == 0 ? release : NULL;
}

static const char *loss_text(enum lease_loss loss)
{
    return loss == LEASE_LOSS_TAKEN ? "taken" : "expired";
}

static bool is_end(enum lease_event event)
{
    return event == LEASE_EVENT_REFUSED || event == LEASE_EVENT_LOST ||
           event == LEASE_EVENT_RELEASED;
}

static void on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us)
{
    struct binding *binding = CONTAINER_OF(holder, struct binding, holder);
    CHECK(lease == binding->lease);
    if (report->event == LEASE_EVENT_LOST) {
        binding_log_loss(binding, loss_text(report->loss));
    }
    struct call *call = binding->call;
    const struct binding_owner *owner = binding->owner;
    bool is_ended = is_end(report->event);
    if (is_ended) {
        answer_waits(binding, report->event == LEASE_EVENT_RELEASED);
        destroy(binding);
    }
    if (call != NULL) {
        owner->on_event(call, report, now_us);
    }
}

/* Reports a withdrawal to the owner, which ends its call. */
static void dismiss_owner(struct binding *binding, enum binding_withdrawal why)
{
    struct call *call = binding->call;
    binding->call = NULL;
    if (call != NULL) {
        binding->owner->on_withdrawn(call, why);
    }
}

static bool has_room(struct call *call)
{
    const struct session *session = call->session;
    size_t limit = session->services->config.session_leases_max;
    if (session->lease_count < limit) {
        return true;
    }
    session->services->metrics->leases_refused++;
    session_fail_call(call, STATUS_RESOURCE_EXHAUSTED,
                      "max-leases-per-connection: this connection has %zu leases, which is the "
                      "limit; release some, use another connection or raise it",
                      limit);
    return false;
}

struct binding *binding_create(struct call *call, const struct binding_owner *owner,
                               const struct lease_ask *ask, int64_t now_us)
{
    struct session *session = call->session;
    if (!has_room(call)) {
        return NULL;
    }
    struct binding *binding = memory_alloc(sizeof(*binding));
    binding->holder.on_event = on_event;
    binding->lease = keeper_acquire(session->services->keeper, ask, &binding->holder, now_us);
    if (binding->lease == NULL) {
        memory_free(binding);
        answer_leases_limit(call);
        return NULL;
    }
    binding->session = session;
    binding->services = session->services;
    binding->call = call;
    binding->owner = owner;
    LIST_INSERT_HEAD(&session->bindings, binding, link);
    session->lease_count++;
    return binding;
}

struct binding *binding_find(const struct services *services, const char *key,
                             const struct id128 *token)
{
    const struct lease *lease = keeper_find(services->keeper, key, strlen(key), token);
    if (lease != NULL) {
        CHECK(lease->holder->on_event == on_event);
        return CONTAINER_OF(lease->holder, struct binding, holder);
    }
    const struct release *release = find_release(services, key, token);
    return release == NULL ? NULL : release->binding;
}

void binding_forget_call(struct binding *binding)
{
    binding->call = NULL;
}

void binding_release(struct binding *binding, int64_t now_us)
{
    if (binding->release != NULL) {
        return;
    }
    struct release *release = memory_alloc(sizeof(*release));
    release->token = binding->lease->token;
    release->binding = binding;
    LIST_INIT(&release->waits);
    HASH_ADD(hh, binding->services->releases, token, sizeof(release->token), release);
    binding->release = release;
    lease_release(binding->lease, now_us);
}

void binding_revoke(struct binding *binding, int64_t now_us)
{
    binding->call = NULL;
    leave_session(binding);
    if (!is_awaited(binding)) {
        lease_revoke(binding->lease, now_us);
        destroy(binding);
    }
}

void binding_withdraw(struct binding *binding, int64_t now_us)
{
    dismiss_owner(binding, BINDING_SHUT_DOWN);
    binding_revoke(binding, now_us);
}

struct release_wait *binding_await_release(struct binding *binding, struct call *call,
                                           int64_t now_us)
{
    struct release_wait *wait = memory_alloc(sizeof(*wait));
    if (binding->release == NULL) {
        dismiss_owner(binding, BINDING_RELEASED);
        leave_session(binding);
        binding_release(binding, now_us);
    }
    wait->release = binding->release;
    wait->call = call;
    LIST_INSERT_HEAD(&binding->release->waits, wait, link);
    return wait;
}

void binding_stop_waiting(struct release_wait *wait, int64_t now_us)
{
    struct binding *binding = wait->release->binding;
    LIST_REMOVE(wait, link);
    memory_free(wait);
    if (binding->session == NULL && !is_awaited(binding)) {
        lease_revoke(binding->lease, now_us);
        destroy(binding);
    }
}

void binding_log_loss(const struct binding *binding, const char *reason)
{
    size_t length = 0;
    const char *key = lease_key(binding->lease, &length);
    const struct store_op *op = &binding->lease->operation.op;
    LOG_WARN("lease.lost", LOG_MESSAGE("a lease was lost"), LOG_BYTES("key", key, length),
             LOG_BYTES("label", op->label, op->label_length),
             LOG_INTEGER("fence", binding->lease->fence), LOG_TEXT("reason", reason),
             LOG_TEXT("peer", binding->session == NULL ? NULL : binding->session->peer));
}
