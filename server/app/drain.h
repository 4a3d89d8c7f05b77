/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orderly end of the server. Nobody new is let in and no new lease is given; the others go on,
 * renewed as ever, until their clients have left or the drain timeout has passed. Then holders are
 * told, leases are given up, and what is on its way to Redis gets a moment to arrive.
 */
#ifndef HOLDFAST_APP_DRAIN_H
#define HOLDFAST_APP_DRAIN_H

#include "base/loop.h"
#include "service/services.h"
#include "transport/listener.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drain_config {
    struct listener *const *listeners;
    size_t listener_count;
    int64_t timeout_us;
    void (*on_done)(void *user); /* called once, from a turn */
    void *user;
};

struct drain {
    struct drain_config config;
    struct services *services;
    enum { DRAIN_NOT_BEGUN, DRAIN_WAITING, DRAIN_SETTLING, DRAIN_DONE } state;
    int64_t give_up_us; /* when this state ends at the latest */
    struct timer timer;
};

void drain_init(struct drain *drain, const struct drain_config *config, struct services *services);

void drain_release(struct drain *drain);

/* Begins. Must not have begun. */
void drain_begin(struct drain *drain);

bool drain_has_begun(const struct drain *drain);

#endif
