/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for base/clock.c: time is what the test says. */
#ifndef HOLDFAST_TESTS_SERVICE_FAKE_CLOCK_H
#define HOLDFAST_TESTS_SERVICE_FAKE_CLOCK_H

#include <stdint.h>

void fake_clock_set(int64_t now_us);

#endif
