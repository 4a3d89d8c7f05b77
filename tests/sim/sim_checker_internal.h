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

#endif
