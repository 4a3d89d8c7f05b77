/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool fields_take_token(const ProtobufCBinaryData *bytes, struct id128 *token,
                       char problem[FIELDS_PROBLEM_SIZE])
{
    if (!id128_from_bytes(token, bytes->data, bytes->len)) {
        return refuse(problem, "token: %zu bytes; exactly %zu are required", bytes->len,
                      ID128_SIZE);
    }
    return true;
}
