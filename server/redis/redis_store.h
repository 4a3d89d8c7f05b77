/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port on Redis: group commit of lease operations. Operations queue up, renewals and
 * releases in front; what arrives while a batch is in flight forms the next, so batches grow
 * exactly when load does. Where Redis is far, and when a whole batch waits, a second one does not
 * wait for the answer to the first. While the connection is down operations wait; those past their
 * give_up_us, and the impatient once no batch has been answered for STORE_PATIENCE_US, are answered
 * UNAVAILABLE.
 *
 * A second connection brings hints: locks given to us, and changes of watched ones (redis/hints.h).
 */
#ifndef HOLDFAST_REDIS_REDIS_STORE_H
#define HOLDFAST_REDIS_REDIS_STORE_H

#include "base/loop.h"
#include "base/metrics.h"
#include "lease/store.h"
#include "redis/url.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_store;
struct scanner;

struct redis_store_config {
    const struct redis_url *url; /* this and all the texts must outlive the store */
    const char *user;            /* overrides the URL's; may be NULL */
    const char *password_file;   /* overrides the URL's; read at every connect; may be NULL */
    const char *key_prefix;      /* "lock:" */
    int64_t connect_timeout_ms;  /* for the transport to stand */
    /* An answer later than this counts as UNKNOWN. More than STORE_LATE_US / 2 counts as that. */
    int64_t ack_timeout_ms;
    int64_t backoff_max_ms;     /* the longest pause between two attempts to connect */
    int64_t recovery_window_ms; /* how long grants wait after Redis forgot (failover-grace) */
    /* ACQUIRE, RESUME and INSPECT that wait or are in flight; more are answered UNAVAILABLE. RENEW
     * and RELEASE, of which there are no more than leases, do not count and are always taken. */
    int64_t operations_max;
    bool requires_noeviction; /* refuse a Redis whose maxmemory-policy may evict locks */
    /* Called from a turn when redis_store_is_up has changed; it is false at first. May be NULL. */
    void (*on_reach)(void *reach_user, bool is_up);
    void *reach_user;
};

struct redis_store *redis_store_create(const struct redis_store_config *config, struct loop *loop,
                                       struct metrics *metrics);

/* Closes the connection and drops every operation unanswered. */
void redis_store_destroy(struct redis_store *store);

/* The port for the lease core; lives as long as the store. */
struct store *redis_store_port(struct redis_store *store);

/* For redis/scan.h. */
struct scanner *redis_store_scanner(struct redis_store *store);

/* Whether operations can be sent now. */
bool redis_store_is_up(const struct redis_store *store);

/* The next connection made is to a Redis that is known to be newly started and empty (the embedded
 * one, for the first time), so no recovery window is opened for it. */
void redis_store_expect_new(struct redis_store *store);

/* Try to connect now instead of at the end of the back-off pause. */
void redis_store_retry_now(struct redis_store *store);

#endif
