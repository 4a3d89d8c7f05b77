/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

/* Each power of two from 2^8 on has HALF slots of equal width; below they are one wide. */
#define HALF ((uint64_t)1 << HISTOGRAM_HALF_BITS)

static int top_bit(uint64_t value)
{
    return 63 - __builtin_clzll(value);
}

static size_t slot_of(uint64_t us)
{
    if (us < 2 * HALF) {
        return (size_t)us;
    }
    const int shift = top_bit(us) - HISTOGRAM_HALF_BITS;
    return (size_t)((uint64_t)shift * HALF + (us >> shift));
}

/* The longest duration that falls into the slot. */
static int64_t end_of(size_t slot)
{
    if (slot < 2 * HALF) {
        return (int64_t)slot;
    }
    const uint64_t shift = slot / HALF - 1;
    const uint64_t step = slot - shift * HALF;
    return (int64_t)(((step + 1) << shift) - 1);
}

void histogram_add(struct histogram *histogram, int64_t us)
{
    const int64_t longest = ((int64_t)1 << HISTOGRAM_TOP_BITS) - 1;
    const int64_t clamped = us < 0 ? 0 : us > longest ? longest : us;
    histogram->slots[slot_of((uint64_t)clamped)]++;
    histogram->count++;
    histogram->sum_us += clamped;
    if (clamped > histogram->max_us) {
        histogram->max_us = clamped;
    }
}

int64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    /* Rounded up, but not for what is only an error of the multiplication. */
    const double exact = percent / 100 * (double)histogram->count - 1e-6;
    const uint64_t wanted = exact <= 0 ? 1 : (uint64_t)exact + 1;
    uint64_t seen = 0;
    for (size_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += histogram->slots[slot];
        if (seen >= wanted) {
            const int64_t end_us = end_of(slot);
            return end_us < histogram->max_us ? end_us : histogram->max_us;
        }
    }
    return histogram->max_us;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? (double)histogram->sum_us / (double)histogram->count : 0;
}
