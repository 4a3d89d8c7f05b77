/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness of the process, in place of base/random.c: the same in every run, for what the lease
 * core draws (the key of its table of names, tenures, tokens) must not tell two runs of a seed
 * apart.
 */
#include "base/random.h"

#include <string.h>

/* Source: S. Vigna, "splitmix64", 2015. */
static uint64_t next(void)
{
    static uint64_t state;
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

void random_fill(void *bytes, size_t length)
{
    uint8_t *end = bytes;
    while (length > 0) {
        const uint64_t bits = next();
        const size_t part = length < sizeof(bits) ? length : sizeof(bits);
        memcpy(end, &bits, part);
        end += part;
        length -= part;
    }
}

uint64_t random_below(uint64_t bound)
{
    return next() % bound;
}
