/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one source of chance in a simulation, so that a seed is the whole story: the tokens and
 * tenures that the lease core draws come from here as well, for base/random.h is replaced in this
 * program.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

void sim_random_init(struct sim_random *random, uint64_t seed);

uint64_t sim_random_next(struct sim_random *random);

/* What the core draws from now on follows from `seed`. */
void sim_random_seed_core(uint64_t seed);

/* From `low` to `high`, both included. */
int64_t sim_random_between(struct sim_random *random, int64_t low, int64_t high);

/* True `permille` times in a thousand. */
bool sim_random_chance(struct sim_random *random, int permille);

#endif
