/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations in microseconds, in slots that grow with the value: exact below 256, from
 * there on to within 1/128. So percentiles of any number of durations cost the same memory, and
 * nothing is sampled away.
 */
#ifndef HOLDFAST_CLI_HISTOGRAM_H
#define HOLDFAST_CLI_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_HALF_BITS 7
#define HISTOGRAM_TOP_BITS                                                                         \
    40 /* two weeks in microseconds; longer durations count as the longest                         \
        */
#define HISTOGRAM_SLOTS                                                                            \
    ((size_t)(HISTOGRAM_TOP_BITS - HISTOGRAM_HALF_BITS + 1) << HISTOGRAM_HALF_BITS)

/* Zero-initialised it is empty. */
struct histogram {
    uint64_t slots[HISTOGRAM_SLOTS];
    uint64_t count;
    int64_t sum_us;
    int64_t max_us;
};

/* Below 0 counts as 0. */
void histogram_add(struct histogram *histogram, int64_t us);

/* The duration that `percent` (0 to 100) of all do not exceed, rounded up to the end of its slot
 * but never above the longest; 0 when there are none. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);

/* 0 when there are none. */
double histogram_mean(const struct histogram *histogram);

#endif
