/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_random.h"

#include <string.h>

#include "base/random.h"

static struct sim_random core;

void sim_random_init(struct sim_random *random, uint64_t seed)
{
    random->state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
}

/* SplitMix64. Source: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014. */
uint64_t sim_random_next(struct sim_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t sim_random_between(struct sim_random *random, int64_t low, int64_t high)
{
    const uint64_t span = (uint64_t)(high - low) + 1;
    return low + (int64_t)(sim_random_next(random) % span);
}

bool sim_random_chance(struct sim_random *random, int permille)
{
    return sim_random_between(random, 0, 999) < permille;
}

void sim_random_seed_core(uint64_t seed)
{
    sim_random_init(&core, ~seed);
}

void random_fill(void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        const uint64_t drawn = sim_random_next(&core);
        const size_t left = length - done;
        const size_t part = left < sizeof(drawn) ? left : sizeof(drawn);
        memcpy((char *)bytes + done, &drawn, part);
        done += part;
    }
}

uint64_t random_below(uint64_t bound)
{
    return sim_random_next(&core) % bound;
}
