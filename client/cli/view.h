/* SPDX-License-Identifier: Apache-2.0 */
/* Locks as rows of a table, for `ls` and `top`. */
#ifndef HOLDFAST_CLI_VIEW_H
#define HOLDFAST_CLI_VIEW_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/holdfast.h>

#define VIEW_ROW_SIZE 512

/* The table's head. */
void view_head(char row[VIEW_ROW_SIZE]);

/* The row of the lock's holder at `index`; 0 is allowed where there is none: then it shows that
 * nobody has it. `now_ms` is since 1970. */
void view_lock(const struct holdfast_lock_state *lock, size_t index, int64_t now_ms,
               char row[VIEW_ROW_SIZE]);

/* How many rows a lock has: 1 or more. */
size_t view_rows(const struct holdfast_lock_state *lock);

/* {"key", "mode", "holders": [...], "waiters": [...], "waiting"} */
json_t *view_lock_json(const struct holdfast_lock_state *lock);

/* Now, since 1970. */
int64_t view_now_ms(void);

#endif
