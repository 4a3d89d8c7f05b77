/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness, from OpenSSL's generator. */
#ifndef HOLDFAST_BASE_RANDOM_H
#define HOLDFAST_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `bytes`. Ends the process if the system has no randomness. */
void random_fill(void *bytes, size_t length);

/* A number from 0 to `bound` - 1, uniformly. `bound` is not 0. */
uint64_t random_below(uint64_t bound);

#endif
