/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary directory of our own, "holdfast-XXXXXX". It holds a file "lock" that stays locked as
 * long as we live, so one that was left behind can be told from one in use and is removed by the
 * next to come.
 */
#ifndef HOLDFAST_REDIS_SCRATCH_H
#define HOLDFAST_REDIS_SCRATCH_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define SCRATCH_PROBLEM_SIZE 256

struct scratch {
    char *path;
    int lock_fd;
};

/* Removes what dead owners (of our user) left in `parent`, then makes a directory there that only
 * our user may enter. False and a sentence in `problem` on failure. */
NODISCARD bool scratch_init(struct scratch *scratch, const char *parent,
                            char problem[SCRATCH_PROBLEM_SIZE]);

/* Removes the directory and the files in it. */
void scratch_release(struct scratch *scratch);

#endif
