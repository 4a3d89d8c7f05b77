/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the checker, for its own files. */
#ifndef SIM_CHECKER_INTERNAL_H
#define SIM_CHECKER_INTERNAL_H

#include "sim_checker.h"

#include <stdbool.h>

/* How long what faults have stirred up may last once they have stopped. */
#define CHECKER_CALM_US (6 * WORLD_S)

/* Whether an operator deleted this lock lately. */
bool checker_is_excused(const struct world *world, size_t lock);

/* Granted when no fault was at work any more. */
bool checker_is_undisturbed(const struct client *client);

/* Whether the store still shows the lock as this client's. */
bool checker_is_still_held(struct world *world, const struct client *client);

/* Bundles, and circles of connections that have asked, after every turn; and all circles. */
void checker_step_bundles(struct world *world);
void checker_step_circles(struct world *world);
void checker_patrol_circles(struct world *world);

/* A bundle was refused because of the circle that `text` spells out. */
void checker_told_circle(const struct bundle *bundle, const char *text);

#endif
