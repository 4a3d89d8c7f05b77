/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounds of request fields. A check returns false and writes into `problem` one sentence that
 * names the field and the bound. Strings are UTF-8 without NUL already: wire/message.h saw to it.
 */
#ifndef HOLDFAST_SERVICE_FIELDS_H
#define HOLDFAST_SERVICE_FIELDS_H

#include "base/compiler.h"
#include "base/id128.h"

#include <holdfast/v1/locks.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIELDS_PROBLEM_SIZE 160

#define FIELDS_HEARTBEAT_MIN_MS 100
#define FIELDS_HEARTBEAT_MAX_MS 86400000

#define FIELDS_NAMES_MIN     2 /* of a request with `keys` */
#define FIELDS_PAGE_SIZE_MAX 1000

/* 1 to LEASE_KEY_MAX bytes. */
NODISCARD bool fields_check_key(const char *key, char problem[FIELDS_PROBLEM_SIZE]);

/* At most LEASE_LABEL_MAX bytes. */
NODISCARD bool fields_check_label(const char *label, char problem[FIELDS_PROBLEM_SIZE]);

/* 0 or LEASE_TTL_MIN_MS to LEASE_TTL_MAX_MS. */
NODISCARD bool fields_check_ttl(uint32_t ttl_ms, char problem[FIELDS_PROBLEM_SIZE]);

/* 0 or FIELDS_HEARTBEAT_MIN_MS to FIELDS_HEARTBEAT_MAX_MS. */
NODISCARD bool fields_check_heartbeat(uint32_t heartbeat_ms, char problem[FIELDS_PROBLEM_SIZE]);

/* Either `key` is a name, or it is empty and there are FIELDS_NAMES_MIN to GROUP_SIZE_MAX `keys`,
 * all names and different. */
NODISCARD bool fields_check_names(const char *key, char *const *keys, size_t count,
                                  char problem[FIELDS_PROBLEM_SIZE]);

/* At most LEASE_VALUE_MAX bytes. */
NODISCARD bool fields_check_value(const ProtobufCBinaryData *value,
                                  char problem[FIELDS_PROBLEM_SIZE]);

/* A known mode, and a limit of at most LEASE_LIMIT_MAX with SHARED only. */
NODISCARD bool fields_check_mode(Holdfast__V1__Mode mode, uint32_t limit,
                                 char problem[FIELDS_PROBLEM_SIZE]);

/* At most LEASE_DURATION_MAX_MS. `name` is the field's: "wait_ms". */
NODISCARD bool fields_check_duration(const char *name, uint32_t duration_ms,
                                     char problem[FIELDS_PROBLEM_SIZE]);

/* At most FIELDS_PAGE_SIZE_MAX. */
NODISCARD bool fields_check_page_size(uint32_t page_size, char problem[FIELDS_PROBLEM_SIZE]);

/* Exactly ID128_SIZE bytes, copied into *token. Not all of them 0, for that is who holds a lock
 * that nobody holds. */
NODISCARD bool fields_take_token(const char *name, const ProtobufCBinaryData *bytes,
                                 struct id128 *token, char problem[FIELDS_PROBLEM_SIZE]);

#endif
