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

void lease_answer_init(struct lease_answer *answer, const struct lease *lease, int64_t now_us)
{
    size_t length = 0;
    const char *key = lease_key(lease, &length);
    CHECK(length <= LEASE_KEY_MAX);
    memcpy(answer->key, key, length);
    answer->key[length] = '\0';
    answer->token = lease->token;
    holdfast__v1__lease__init(&answer->message);
    answer->message.key = answer->key;
    answer->message.token.data = answer->token.bytes;
    answer->message.token.len = ID128_SIZE;
    answer->message.fence = lease->fence;
    answer->message.ttl_ms = (uint32_t)lease_ttl_ms(lease);
    answer->message.valid_for_ms = answer_valid_for_ms(lease_deadline_us(lease), now_us);
}

void holder_answer_init(struct holder_answer *answer, const struct store_holder *holder)
{
    holdfast__v1__holder__init(&answer->message);
    copy_text(answer->label, sizeof(answer->label), holder->label, holder->label_length);
    answer->message.label = answer->label;
    answer->message.since_ms = holder->since_ms;
    answer->message.remaining_ms = -1;
    if (holder->remaining_us >= 0) {
        answer->message.remaining_ms =
            holder->remaining_us / CLOCK_US_PER_MS + (holder->remaining_us % CLOCK_US_PER_MS != 0);
    }
    answer->message.fence = holder->fence;
    answer->message.foreign = holder->is_foreign;
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

void answer_leases_limit(struct call *call)
{
    size_t limit = call->session->services->config.leases_max;
    session_fail_call(call, STATUS_RESOURCE_EXHAUSTED,
                      "max-leases: this server keeps %zu leases, which is the limit; release some "
                      "or raise it",
                      limit);
}
