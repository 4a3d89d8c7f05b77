/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the services' view of the fleet (service/fleet.h) to the scan of Redis. */
#ifndef HOLDFAST_APP_FLEET_SCAN_H
#define HOLDFAST_APP_FLEET_SCAN_H

#include "redis/redis_store.h"
#include "service/fleet.h"

/* A source of the names that `store` has, which outlives it. */
void fleet_scan_init(struct fleet_source *source, struct redis_store *store);

#endif
