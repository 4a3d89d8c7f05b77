/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_clock.h"

#include "base/clock.h"

static int64_t fake_now_us;

int64_t clock_now_us(void)
{
    return fake_now_us;
}

int64_t clock_wall_ms(void)
{
    return 1700000000000;
}

void fake_clock_set(int64_t now_us)
{
    fake_now_us = now_us;
}
