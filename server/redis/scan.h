/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which locks there are, step by step, for people who look at the fleet. Each step is one SCAN on
 * the store's connection, one at a time, so that leases hardly notice. As with SCAN itself a name
 * may come twice, and one that comes or goes meanwhile may be missing.
 */
#ifndef HOLDFAST_REDIS_SCAN_H
#define HOLDFAST_REDIS_SCAN_H

#include "base/compiler.h"
#include "base/loop.h"
#include "redis/link.h"

#include <stddef.h>
#include <stdint.h>

/* Steps asked for at one time. */
#define REDIS_SCANS_MAX ((size_t)16)

/* Keys that Redis looks at in one step. */
#define REDIS_SCAN_COUNT_MAX ((size_t)1000)

struct redis_scan;
struct redis_store;
struct scanner;

struct redis_scan_name {
    const char *text; /* without the key prefix; not NUL-terminated */
    size_t length;
};

struct redis_scan_result {
    const char *problem; /* NULL, or a sentence: why there is no answer */
    uint64_t cursor;     /* to go on with; 0: that was the last step */
    const struct redis_scan_name *names;
    size_t count; /* may be 0 before the last step, too */
};

/* Called once, from INPUT or WORK, never from inside redis_scan_start; the scan is gone and another
 * may be started. Everything in `result` is valid only during the call. */
typedef void redis_scan_fn(void *user, const struct redis_scan_result *result, int64_t now_us);

/* Asks for locks whose names begin with `prefix` (up to LEASE_KEY_MAX bytes; copied). `cursor` is 0
 * or what the step before gave, `count` (1 to REDIS_SCAN_COUNT_MAX) how many keys Redis is to look
 * at, most of which may be no such locks. NULL when REDIS_SCANS_MAX is reached. */
NODISCARD struct redis_scan *redis_scan_start(struct redis_store *store, const char *prefix,
                                              size_t prefix_length, uint64_t cursor, size_t count,
                                              redis_scan_fn *on_done, void *user);

/* on_done will not be called; the pointer is dead. */
void redis_scan_cancel(struct redis_scan *scan);

/* For the store: all scans on its link, which outlives them. */
struct scanner *scanner_create(struct link *link, const char *key_prefix, struct loop *loop);

/* Drops every scan unanswered. */
void scanner_destroy(struct scanner *scanner);

/* The link is down: no reply will come for what was sent. */
void scanner_down(struct scanner *scanner);

#endif
