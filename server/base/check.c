/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *condition, const char *file, int line)
{
    dprintf(STDERR_FILENO, "holdfast: bug: CHECK(%s) failed at %s:%d\n", condition, file, line);
    abort();
}
