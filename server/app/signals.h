/* SPDX-License-Identifier: Apache-2.0 */
/* The process' signals, brought into the turn. */
#ifndef HOLDFAST_APP_SIGNALS_H
#define HOLDFAST_APP_SIGNALS_H

#include "base/loop.h"

#include <stddef.h>

struct signals;

/* Called in the WORK phase, once per signal received (the system may merge some that come at the
 * same time). */
typedef void signals_fn(void *user, int number);

/* Takes over the `count` signals in `numbers`. Ignores SIGPIPE. */
struct signals *signals_create(struct loop *loop, const int *numbers, size_t count,
                               signals_fn *on_signal, void *user);

/* Gives the signals back. */
void signals_destroy(struct signals *signals);

#endif
