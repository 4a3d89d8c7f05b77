/* SPDX-License-Identifier: Apache-2.0 */
/* The one source of chance in a simulation, so that a seed is the whole story. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

void sim_random_init(struct sim_random *random, uint64_t seed);

uint64_t sim_random_next(struct sim_random *random);

/* From `low` to `high`, both included. */
int64_t sim_random_between(struct sim_random *random, int64_t low, int64_t high);

/* True `permille` times in a thousand. */
bool sim_random_chance(struct sim_random *random, int permille);

#endif
