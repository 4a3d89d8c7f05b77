/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "output.h"
#include "text.h"

#define COLUMNS     "%-28.*s %-9s %-28s %-12s %-12s %-16s %7s"
#define KEY_COLUMN  44
#define WHO_SIZE    29 /* with its NUL */
#define NUMBER_SIZE 24

int64_t view_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void view_head(char row[VIEW_ROW_SIZE])
{
    snprintf(row, VIEW_ROW_SIZE, COLUMNS, KEY_COLUMN, "LOCK", "MODE", "HOLDER", "FOR", "TTL LEFT",
             "FENCE", "WAITING");
}

size_t view_rows(const struct holdfast_lock_state *lock)
{
    return lock->holder_count > 0 ? lock->holder_count : 1;
}

static void write_who(const struct holdfast_lock_holder *holder, char who[WHO_SIZE])
{
    if (holder->is_foreign) {
        snprintf(who, WHO_SIZE, "(another program)");
    } else if (holder->is_orphaned || holder->is_closed) {
        char label[WHO_SIZE - 7];
        text_clean(label, sizeof(label), holder->label);
        snprintf(who, WHO_SIZE, "%s (%s)", label, holder->is_closed ? "lost" : "away");
    } else {
        text_clean(who, WHO_SIZE, holder->label[0] != '\0' ? holder->label : "-");
    }
}

static void write_age(int64_t since_ms, int64_t now_ms, char text[OUTPUT_DURATION_SIZE])
{
    if (since_ms <= 0) {
        snprintf(text, OUTPUT_DURATION_SIZE, "-");
        return;
    }
    output_duration(now_ms > since_ms ? now_ms - since_ms : 0, text);
}

static void write_left(int64_t remaining_ms, char text[OUTPUT_DURATION_SIZE])
{
    if (remaining_ms < 0) {
        snprintf(text, OUTPUT_DURATION_SIZE, "no expiry");
        return;
    }
    output_duration(remaining_ms, text);
}

void view_lock(const struct holdfast_lock_state *lock, size_t index, int64_t now_ms,
               char row[VIEW_ROW_SIZE])
{
    char key[TEXT_KEY_SIZE];
    char who[WHO_SIZE] = "-";
    char age[OUTPUT_DURATION_SIZE] = "-";
    char left[OUTPUT_DURATION_SIZE] = "-";
    char fence[NUMBER_SIZE] = "-";
    char waiting[NUMBER_SIZE];
    text_key(key, lock->key);
    snprintf(waiting, sizeof(waiting), "%" PRIu32, lock->waiting);
    if (index < lock->holder_count) {
        const struct holdfast_lock_holder *holder = &lock->holders[index];
        write_who(holder, who);
        write_age(holder->since_ms, now_ms, age);
        write_left(holder->remaining_ms, left);
        if (holder->fence > 0) {
            snprintf(fence, sizeof(fence), "%" PRIu64, holder->fence);
        }
    }
    snprintf(row, VIEW_ROW_SIZE, COLUMNS, KEY_COLUMN, key, output_mode(lock->mode), who, age, left,
             fence, waiting);
}

static json_t *holder_json(const struct holdfast_lock_holder *holder)
{
    json_t *since_ms = holder->since_ms > 0 ? json_integer(holder->since_ms) : json_null();
    json_t *remaining_ms =
        holder->remaining_ms >= 0 ? json_integer(holder->remaining_ms) : json_null();
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:b, s:b}", "label", holder->label, "peer",
                     holder->peer, "since_ms", since_ms, "remaining_ms", remaining_ms, "fence",
                     output_fence_json(holder->fence), "orphaned", holder->is_orphaned, "foreign",
                     holder->is_foreign, "closed", holder->is_closed);
}

json_t *view_lock_json(const struct holdfast_lock_state *lock)
{
    json_t *holders = json_array();
    json_t *waiters = json_array();
    for (size_t i = 0; i < lock->holder_count; i++) {
        json_array_append_new(holders, holder_json(&lock->holders[i]));
    }
    for (size_t i = 0; i < lock->waiter_count; i++) {
        const struct holdfast_lock_waiter *waiter = &lock->waiters[i];
        json_array_append_new(waiters, json_pack("{s:s, s:s, s:s}", "label", waiter->label, "peer",
                                                 waiter->peer, "mode", output_mode(waiter->mode)));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:I}", "key", lock->key, "mode", output_mode(lock->mode),
                     "holders", holders, "waiters", waiters, "waiting", (json_int_t)lock->waiting);
}
