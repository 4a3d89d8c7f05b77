/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch tells who holds a lock now, and again whenever that changes: by a hint of the store, and
 * when the holder's time has run out. Changes that follow each other quickly are told as one.
 */
#ifndef HOLDFAST_LEASE_WATCH_H
#define HOLDFAST_LEASE_WATCH_H

#include "base/compiler.h"
#include "lease/keeper.h"
#include "lease/store.h"

#include <stddef.h>
#include <stdint.h>

struct watch;

/* `result` is OK with `holder`, or WRONG_TYPE, after which nothing more is told. First the state as
 * it is, then each that differs from the one told before (in holder, fence, label or value). The
 * watch may be ended here. While the store is away nothing is told. */
typedef void watch_fn(void *user, const struct store_result *result, int64_t now_us);

/* Starts a watch; the keeper owns it until watch_end. on_state is never called from inside. NULL
 * when the keeper's limit of leases is reached (a watch counts as one). */
NODISCARD struct watch *watch_start(struct keeper *keeper, const char *key, size_t key_length,
                                    watch_fn *on_state, void *user, int64_t now_us);

/* The pointer is dead when this returns. */
void watch_end(struct watch *watch, int64_t now_us);

#endif
