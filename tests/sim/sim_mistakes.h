/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mistakes to plant, to see that the checker catches them: in the model of Redis, in its clients'
 * store, or between that and the lease core, where they look like mistakes of the core itself.
 */
#ifndef SIM_MISTAKES_H
#define SIM_MISTAKES_H

#include "lease/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum mistake {
    MISTAKE_NONE,
    MISTAKE_LATE_CREDIT,      /* late answers count as if sent now */
    MISTAKE_NO_OWNER,         /* release and renew do not compare the owner */
    MISTAKE_NO_RECOVERY,      /* no recovery window */
    MISTAKE_RECREATE_ALL,     /* renewals re-create what was seen to end, too */
    MISTAKE_LOW_FENCE,        /* fences from the register alone */
    MISTAKE_LATE_COMMAND,     /* a command that comes too late is not refused */
    MISTAKE_DOUBLE_PASS,      /* a lock that is freed is passed to two in the queue */
    MISTAKE_STALE_WRITE,      /* an older grant is written over a newer one */
    MISTAKE_SHORTER_LIFE,     /* a late command of an older grant may shorten the ttl */
    MISTAKE_EARLY_RESUME,     /* what a stale replica has may be resumed in a recovery window */
    MISTAKE_SILENT_QUEUE,     /* who becomes first in the queue is not told */
    MISTAKE_ONE_WINDOW,       /* data lost again within a recovery window goes unnoticed */
    MISTAKE_LOST_RESUBSCRIBE, /* nobody hears that the subscription was made again */
    MISTAKE_BELIEVE_HINT,     /* a hint is believed, not confirmed */
    MISTAKE_UNRESERVED_FENCE, /* fences are used that nobody reserved */
    MISTAKE_EARLY_SENT,       /* deadlines count from the answer, not from the sending */
    MISTAKE_DEAF_FLUSH,       /* nobody asks Redis whether it forgot */
    MISTAKE_SILENT_WINDOW,    /* whoever opens the recovery window does not tell the others */
    MISTAKE_DEAF_RENEWAL,     /* a renewal that finds the lock taken counts as a success */
};

/* False when there is no such mistake. */
bool mistakes_parse(const char *name, enum mistake *mistake);

/* The names of all of them, on one line. */
void mistakes_print(FILE *file);

/* Changes a result on its way to the core, if that is the mistake to make. */
void mistakes_spoil_result(enum mistake mistake, const struct store_op *op,
                           struct store_result *result, int64_t now_us);

#endif
