/* SPDX-License-Identifier: Apache-2.0 */
#include "app/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    /* systemd compares this with its own CLOCK_MONOTONIC, which base/clock.h does not offer. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_us);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}
