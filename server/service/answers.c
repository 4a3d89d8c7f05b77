/* SPDX-License-Identifier: Apache-2.0 */
#include "service/answers.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "service/session.h"

#define DETAIL_SIZE 160

/* Copies what may be text as UTF-8, cut at a whole character if it is too long. */
static void copy_text(char *text, size_t size, const char *bytes, size_t length)
{
    size_t used = 0;
    utf8_clean(bytes, length, text, size - 1, &used);
    text[used] = '\0';
}

static void copy_key(char copy[LEASE_KEY_MAX + 1], const struct lease *lease)
{
    size_t length = 0;
    const char *key = lease_key(lease, &length);
    CHECK(length <= LEASE_KEY_MAX);
    memcpy(copy, key, length);
    copy[length] = '\0';
}

void lease_answer_init_one(struct lease_answer *answer, const struct lease *lease, int64_t now_us)
{
    answer->token = *lease_token(lease);
    holdfast__v1__lease__init(&answer->message);
    copy_key(answer->keys[0], lease);
    answer->message.key = answer->keys[0];
    answer->message.token.data = answer->token.bytes;
    answer->message.token.len = ID128_SIZE;
    answer->message.fence = lease_fence(lease);
    answer->message.ttl_ms = (uint32_t)lease_ttl_ms(lease);
    answer->message.valid_for_ms = answer_valid_for_ms(lease_deadline_us(lease), now_us);
    answer->message.mode = answer_mode(lease_mode(lease));
}

void lease_answer_init(struct lease_answer *answer, const struct group *group, int64_t now_us)
{
    const size_t count = group_size(group);
    lease_answer_init_one(answer, group_lease(group, 0), now_us);
    if (count == 1) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct lease *lease = group_lease(group, i);
        copy_key(answer->keys[i], lease);
        holdfast__v1__lock_fence__init(&answer->locks[i]);
        answer->locks[i].key = answer->keys[i];
        answer->locks[i].fence = lease_fence(lease);
        answer->lock_pointers[i] = &answer->locks[i];
    }
    answer->message.valid_for_ms = answer_valid_for_ms(group_deadline_us(group), now_us);
    answer->message.locks = answer->lock_pointers;
    answer->message.n_locks = count;
}

void holder_answer_init(struct holder_answer *answer, const struct store_holder *holder)
{
    Holdfast__V1__Holder *message = &answer->message;
    holdfast__v1__holder__init(message);
    copy_text(answer->label, sizeof(answer->label), holder->label, holder->label_length);
    message->label = answer->label;
    message->since_ms = holder->since_ms;
    message->remaining_ms = answer_remaining_ms(holder->remaining_us);
    message->fence = holder->fence;
    message->foreign = holder->is_foreign;
    message->closed = holder->is_closed;
    message->mode = answer_mode(holder->mode);
    message->holders = holder->holders;
    if (holder->value_length > 0) {
        message->value.data = (uint8_t *)(uintptr_t)holder->value;
        message->value.len =
            holder->value_length > LEASE_VALUE_MAX ? LEASE_VALUE_MAX : holder->value_length;
    }
}

void holder_answer_init_for(struct holder_answer *answer, const struct lease_report *report,
                            const struct group *group)
{
    size_t length = 0;
    holder_answer_init(answer, &report->result->holder);
    if (group_size(group) > 1) {
        const char *key = lease_key(report->lease, &length);
        copy_text(answer->key, sizeof(answer->key), key, length);
        answer->message.key = answer->key;
    }
}

Holdfast__V1__Mode answer_mode(enum store_mode mode)
{
    switch (mode) {
    case STORE_EXCLUSIVE:
        return HOLDFAST__V1__MODE__MODE_EXCLUSIVE;
    case STORE_SHARED:
        return HOLDFAST__V1__MODE__MODE_SHARED;
    case STORE_ANY_MODE:
        break;
    }
    return HOLDFAST__V1__MODE__MODE_UNSPECIFIED;
}

int64_t answer_remaining_ms(int64_t remaining_us)
{
    if (remaining_us < 0) {
        return -1;
    }
    return remaining_us / CLOCK_US_PER_MS + (remaining_us % CLOCK_US_PER_MS != 0);
}

uint32_t answer_valid_for_ms(int64_t deadline_us, int64_t now_us)
{
    if (deadline_us <= now_us) {
        return 0;
    }
    int64_t valid_for_ms = (deadline_us - now_us) / CLOCK_US_PER_MS;
    return valid_for_ms > LEASE_TTL_MAX_MS ? LEASE_TTL_MAX_MS : (uint32_t)valid_for_ms;
}

void answer_release(struct call *call, bool was_released)
{
    Holdfast__V1__ReleaseResponse response = HOLDFAST__V1__RELEASE_RESPONSE__INIT;
    response.outcome = was_released ? HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED
                                    : HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_NOT_HELD;
    call->user = NULL;
    call->on_cancel = NULL;
    call_reply(call, &response.base);
}

void answer_store_failure(struct call *call, const struct store_result *result, int64_t now_us)
{
    char detail[DETAIL_SIZE];
    const char *given = result->detail == NULL ? "" : result->detail;
    copy_text(detail, sizeof(detail), given, strlen(given));
    if (result->code == STORE_WRONG_TYPE) {
        session_fail_call(call, STATUS_FAILED_PRECONDITION,
                          "key: the Redis key of this lock holds another type of value (%s) and "
                          "is left alone; use another lock name or key-prefix",
                          detail);
        return;
    }
    CHECK(result->code == STORE_UNAVAILABLE);
    if (now_us >= call->deadline_us) {
        session_expire_call(call);
        return;
    }
    if (result->is_limit) {
        session_fail_call(call, STATUS_RESOURCE_EXHAUSTED, "%s", detail);
        return;
    }
    session_fail_call(call, STATUS_UNAVAILABLE, "Redis cannot serve this now (%s); try again later",
                      detail);
}

void answer_refusal(struct call *call, const struct lease_report *report, int64_t now_us)
{
    if (report->problem != NULL) {
        answer_problem(call, report->problem);
    } else {
        answer_store_failure(call, report->result, now_us);
    }
}

static void answer_waiters_limit(struct call *call)
{
    size_t limit = call->session->services->config.waiters_max;
    session_fail_call(call, STATUS_RESOURCE_EXHAUSTED,
                      "max-waiters: %zu wait for this lock at this server, which is the limit; try "
                      "again later or raise it",
                      limit);
}

void answer_problem(struct call *call, const struct keeper_problem *problem)
{
    switch (problem->refusal) {
    case KEEPER_LEASES_MAX:
        answer_leases_limit(call);
        break;
    case KEEPER_WAITERS_MAX:
        answer_waiters_limit(call);
        break;
    case KEEPER_DEADLOCK:
        session_fail_call(call, STATUS_ABORTED, "%s", problem->text);
        break;
    }
}

bool answer_is_busy(const struct lease_report *report)
{
    return report->problem == NULL && report->result->code == STORE_BUSY;
}

void answer_leases_limit(struct call *call)
{
    size_t limit = call->session->services->config.leases_max;
    session_fail_call(call, STATUS_RESOURCE_EXHAUSTED,
                      "max-leases: this server keeps %zu leases, which is the limit; release some "
                      "or raise it",
                      limit);
}
