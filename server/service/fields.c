/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lease/group.h"
#include "lease/lease.h"

/* Formats and returns false, so that a check can end with it. */
static bool PRINTF_LIKE(2, 3) refuse(char problem[FIELDS_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, FIELDS_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

bool fields_check_key(const char *key, char problem[FIELDS_PROBLEM_SIZE])
{
    size_t length = strlen(key);
    if (length == 0) {
        return refuse(problem, "key: missing; 1 to %d bytes are required", LEASE_KEY_MAX);
    }
    if (length > LEASE_KEY_MAX) {
        return refuse(problem, "key: %zu bytes are too many; at most %d", length, LEASE_KEY_MAX);
    }
    return true;
}

bool fields_check_label(const char *label, char problem[FIELDS_PROBLEM_SIZE])
{
    size_t length = strlen(label);
    if (length > LEASE_LABEL_MAX) {
        return refuse(problem, "label: %zu bytes are too many; at most %d", length,
                      LEASE_LABEL_MAX);
    }
    return true;
}

bool fields_check_ttl(uint32_t ttl_ms, char problem[FIELDS_PROBLEM_SIZE])
{
    if (ttl_ms != 0 && (ttl_ms < LEASE_TTL_MIN_MS || ttl_ms > LEASE_TTL_MAX_MS)) {
        return refuse(problem, "ttl_ms: %" PRIu32 " is out of bounds; 0 (default) or %d to %d",
                      ttl_ms, LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS);
    }
    return true;
}

bool fields_check_heartbeat(uint32_t heartbeat_ms, char problem[FIELDS_PROBLEM_SIZE])
{
    if (heartbeat_ms != 0 &&
        (heartbeat_ms < FIELDS_HEARTBEAT_MIN_MS || heartbeat_ms > FIELDS_HEARTBEAT_MAX_MS)) {
        return refuse(problem, "heartbeat_ms: %" PRIu32 " is out of bounds; 0 (none) or %d to %d",
                      heartbeat_ms, FIELDS_HEARTBEAT_MIN_MS, FIELDS_HEARTBEAT_MAX_MS);
    }
    return true;
}

static bool check_listed_name(const char *key, size_t index, char problem[FIELDS_PROBLEM_SIZE])
{
    size_t length = strlen(key);
    if (length == 0) {
        return refuse(problem, "keys[%zu]: empty; 1 to %d bytes are required", index,
                      LEASE_KEY_MAX);
    }
    if (length > LEASE_KEY_MAX) {
        return refuse(problem, "keys[%zu]: %zu bytes are too many; at most %d", index, length,
                      LEASE_KEY_MAX);
    }
    return true;
}

static bool check_listed_names(char *const *keys, size_t count, char problem[FIELDS_PROBLEM_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        if (!check_listed_name(keys[i], i, problem)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(keys[i], keys[j]) == 0) {
                return refuse(problem, "keys[%zu]: the same name as keys[%zu]; they must differ", i,
                              j);
            }
        }
    }
    return true;
}

bool fields_check_names(const char *key, char *const *keys, size_t count,
                        char problem[FIELDS_PROBLEM_SIZE])
{
    if (count == 0) {
        return fields_check_key(key, problem);
    }
    if (key[0] != '\0') {
        return refuse(problem, "key: must be empty where keys are given");
    }
    if (count < FIELDS_NAMES_MIN || count > GROUP_SIZE_MAX) {
        return refuse(problem, "keys: %zu names; %d to %zu are allowed, or key for one", count,
                      FIELDS_NAMES_MIN, GROUP_SIZE_MAX);
    }
    return check_listed_names(keys, count, problem);
}

bool fields_check_value(const ProtobufCBinaryData *value, char problem[FIELDS_PROBLEM_SIZE])
{
    if (value->len > LEASE_VALUE_MAX) {
        return refuse(problem, "value: %zu bytes are too many; at most %d", value->len,
                      LEASE_VALUE_MAX);
    }
    return true;
}

bool fields_check_mode(Holdfast__V1__Mode mode, uint32_t limit, char problem[FIELDS_PROBLEM_SIZE])
{
    switch (mode) {
    case HOLDFAST__V1__MODE__MODE_UNSPECIFIED:
    case HOLDFAST__V1__MODE__MODE_EXCLUSIVE:
        return limit == 0 || refuse(problem, "limit: only with mode SHARED; otherwise 0");
    case HOLDFAST__V1__MODE__MODE_SHARED:
        return limit <= LEASE_LIMIT_MAX ||
               refuse(problem, "limit: %" PRIu32 " is out of bounds; 0 (any number) or 1 to %d",
                      limit, LEASE_LIMIT_MAX);
    default:
        return refuse(problem, "mode: %d is unknown; 1 (EXCLUSIVE) or 2 (SHARED)", (int)mode);
    }
}

bool fields_check_duration(const char *name, uint32_t duration_ms,
                           char problem[FIELDS_PROBLEM_SIZE])
{
    if (duration_ms > LEASE_DURATION_MAX_MS) {
        return refuse(problem, "%s: %" PRIu32 " is out of bounds; at most %d", name, duration_ms,
                      LEASE_DURATION_MAX_MS);
    }
    return true;
}

bool fields_check_page_size(uint32_t page_size, char problem[FIELDS_PROBLEM_SIZE])
{
    if (page_size > FIELDS_PAGE_SIZE_MAX) {
        return refuse(problem, "page_size: %" PRIu32 " is out of bounds; 0 (default) or 1 to %d",
                      page_size, FIELDS_PAGE_SIZE_MAX);
    }
    return true;
}

bool fields_take_token(const char *name, const ProtobufCBinaryData *bytes, struct id128 *token,
                       char problem[FIELDS_PROBLEM_SIZE])
{
    static const struct id128 nobody;
    if (!id128_from_bytes(token, bytes->data, bytes->len)) {
        return refuse(problem, "%s: %zu bytes; exactly %zu are required", name, bytes->len,
                      ID128_SIZE);
    }
    if (id128_equal(token, &nobody)) {
        return refuse(problem, "%s: all bytes are 0; random ones are required", name);
    }
    return true;
}
