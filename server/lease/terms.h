/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms of a lease: what few ask for beyond a lock and a ttl. Most leases have none. For the
 * lease core's own files.
 */
#ifndef HOLDFAST_LEASE_TERMS_H
#define HOLDFAST_LEASE_TERMS_H

#include "base/wheel.h"
#include "lease/lease.h"

#include <stdbool.h>
#include <stdint.h>

/* When a held lease is over whatever its tenure says. */
struct bound {
    struct lease *lease;
    int64_t hold_until_us;  /* max_hold_ms after the grant; CLOCK_NEVER without */
    int64_t grace_until_us; /* ORPHANED; else CLOCK_NEVER */
    struct timer timer;     /* at the earlier one */
};

struct place;

struct terms {
    uint32_t limit; /* as in lease_ask, like these: */
    uint32_t grace_ms;
    uint32_t lock_delay_ms;
    uint32_t max_hold_ms;
    struct place *place; /* in its lock's queue; NULL: it is not in there */
    struct bound *bound; /* NULL while there is none */
    uint16_t label_length;
    uint16_t value_length;
    char texts[]; /* the label, then the value */
};

/* Those of an ask; NULL when it has none, nor wants to wait. */
struct terms *terms_create(const struct lease_ask *ask);

bool terms_have_texts(const struct terms *terms);

/* `terms`, which may be NULL and are freed, with these texts instead of none. */
struct terms *terms_with_texts(struct terms *terms, const struct store_holder *holder);

/* A copy, which takes the place and the bound over. */
struct terms *terms_move(struct terms *terms);

/* `terms` if there is anything in them; else frees them and returns NULL. */
struct terms *terms_trim(struct terms *terms);

/* Frees them, which have no place and no bound; NULL is allowed. */
void terms_destroy(struct terms *terms);

#endif
