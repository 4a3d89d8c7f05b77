/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"

#define KEY_MAX   ((size_t)HOLDFAST_KEY_SIZE - 1)
#define LABEL_MAX ((size_t)HOLDFAST_LABEL_SIZE - 1)

_Static_assert(KEY_MAX == 512 && LABEL_MAX == 128, "what the messages below say");

const char *ask_key_problem(const char *key)
{
    if (key == NULL || key[0] == '\0') {
        return "key: required";
    }
    return strnlen(key, KEY_MAX + 1) > KEY_MAX ? "key: longer than 512 bytes" : NULL;
}

static const char *keys_problem(const struct holdfast_ask *ask)
{
    if (ask->key_count == 0) {
        return ask_key_problem(ask->key);
    }
    if (ask->key != NULL && ask->key[0] != '\0') {
        return "keys: not together with key";
    }
    if (ask->key_count < 2 || ask->key_count > HOLDFAST_KEYS_MAX) {
        return "keys: 2 to 16 are allowed";
    }
    const char *problem = NULL;
    for (size_t i = 0; i < ask->key_count && problem == NULL; i++) {
        problem = ask_key_problem(ask->keys[i]);
    }
    return problem;
}

static const char *detached_problem(const struct holdfast_ask *ask)
{
    if (ask->key_count > 0) {
        return "keys: not for detached leases";
    }
    if (ask->grace_ms != 0) {
        return "grace_ms: not for detached leases, which outlive their connection anyway";
    }
    return ask->max_hold_ms != 0 ? "max_hold_ms: not for detached leases" : NULL;
}

static const char *own_problem(const struct holdfast_ask *ask, enum ask_kind kind)
{
    switch (kind) {
    case ASK_HOLD:
        return ask->key_count > 0 && ask->grace_ms != 0 ? "grace_ms: not with several keys" : NULL;
    case ASK_RESUME:
        return ask->key_count > 0 ? "keys: a lease on several locks cannot be resumed" : NULL;
    case ASK_DETACHED:
        return detached_problem(ask);
    }
    return NULL;
}

const char *ask_problem(const struct holdfast_ask *ask, enum ask_kind kind)
{
    const char *problem = keys_problem(ask);
    if (problem != NULL) {
        return problem;
    }
    if (ask->label != NULL && strnlen(ask->label, LABEL_MAX + 1) > LABEL_MAX) {
        return "label: longer than 128 bytes";
    }
    if (ask->value_length > HOLDFAST_VALUE_MAX) {
        return "value: longer than 4096 bytes";
    }
    if (ask->wait_ms > HOLDFAST_WAIT_MAX) {
        return "wait_ms: at most 86400000, a day";
    }
    return own_problem(ask, kind);
}

static char *copy_or_empty(const char *text)
{
    return memory_copy_string(text != NULL ? text : "");
}

static const char *const *copy_keys(const struct holdfast_ask *from)
{
    if (from->key_count == 0) {
        return NULL;
    }
    const char **keys = memory_alloc(from->key_count * sizeof(*keys));
    for (size_t i = 0; i < from->key_count; i++) {
        keys[i] = memory_copy_string(from->keys[i]);
    }
    return keys;
}

void ask_copy(struct holdfast_ask *to, const struct holdfast_ask *from)
{
    *to = *from;
    to->key = copy_or_empty(from->key);
    to->label = copy_or_empty(from->label);
    to->value = memory_copy(from->value, from->value_length);
    to->keys = copy_keys(from);
}

/* The copy is ours to free, though the application's type says const. */
static void free_const(const void *block)
{
    memory_free((void *)(uintptr_t)block);
}

void ask_release(struct holdfast_ask *ask)
{
    free_const(ask->key);
    free_const(ask->label);
    free_const(ask->value);
    for (size_t i = 0; i < ask->key_count; i++) {
        free_const(ask->keys[i]);
    }
    free_const(ask->keys);
}

/* protobuf-c only reads what these point to. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static ProtobufCBinaryData bytes_of(const void *bytes, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)bytes};
}

static Holdfast__V1__Mode mode_of(const struct holdfast_ask *ask)
{
    return ask->mode == HOLDFAST_SHARED ? HOLDFAST__V1__MODE__MODE_SHARED
                                        : HOLDFAST__V1__MODE__MODE_UNSPECIFIED;
}

/* What a resumption and a new lease have in common. */
static void fill_lease(Holdfast__V1__HoldAsk *to, const struct holdfast_ask *ask)
{
    to->key = text_of(ask->key);
    to->ttl_ms = ask->ttl_ms;
    to->heartbeat_ms = ask->heartbeat_ms;
    to->grace_ms = ask->grace_ms;
    to->lock_delay_ms = ask->lock_delay_ms;
    to->max_hold_ms = ask->max_hold_ms;
}

void ask_fill_hold(Holdfast__V1__HoldAsk *to, const struct holdfast_ask *ask, uint32_t wait_ms)
{
    fill_lease(to, ask);
    to->label = text_of(ask->label);
    to->wait_ms = wait_ms;
    to->mode = mode_of(ask);
    to->limit = ask->limit;
    to->value = bytes_of(ask->value, ask->value_length);
    to->n_keys = ask->key_count;
    to->keys = (char **)(uintptr_t)ask->keys;
}

void ask_fill_resume(Holdfast__V1__HoldAsk *to, const struct holdfast_ask *ask,
                     const struct id128 *token)
{
    fill_lease(to, ask);
    to->resume_token = bytes_of(token->bytes, ID128_SIZE);
}

void ask_fill_detached(Holdfast__V1__AcquireRequest *to, const struct holdfast_ask *ask,
                       const struct id128 *token, uint32_t wait_ms)
{
    to->key = text_of(ask->key);
    to->label = text_of(ask->label);
    to->ttl_ms = ask->ttl_ms;
    to->detached = true;
    to->token = bytes_of(token->bytes, ID128_SIZE);
    to->wait_ms = wait_ms;
    to->mode = mode_of(ask);
    to->limit = ask->limit;
    to->value = bytes_of(ask->value, ask->value_length);
    to->lock_delay_ms = ask->lock_delay_ms;
}
