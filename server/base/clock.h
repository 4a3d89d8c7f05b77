/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that reads clocks. Everything below the app takes `now_us` as a parameter, which
 * is CLOCK_BOOTTIME in microseconds: it never jumps and it counts the time a machine was suspended.
 */
#ifndef HOLDFAST_BASE_CLOCK_H
#define HOLDFAST_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US_PER_MS ((int64_t)1000)
#define CLOCK_US_PER_S  ((int64_t)1000000)

/* A moment that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Microseconds since boot, suspend included. Never fails. */
int64_t clock_now_us(void);

/* Milliseconds since 1970, for people only (logs); it may jump. */
int64_t clock_wall_ms(void);

#endif
