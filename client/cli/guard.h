/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When `run` must act on the program it protects, by how long its lease is still valid. Arithmetic
 * only:
 *
 *     ttl ........... refresh_at ......... stop_at ........ kill_at . 0
 *     fine            ask the server       SIGTERM          SIGKILL
 *
 * A lease is renewed at a third of its ttl, and what we know of it is at most another third old;
 * so below a good third the server is asked before anything is concluded.
 */
#ifndef HOLDFAST_CLI_GUARD_H
#define HOLDFAST_CLI_GUARD_H

#include <stdint.h>

struct guard {
    int64_t refresh_at_ms;
    int64_t stop_at_ms;
    int64_t kill_at_ms;
    int64_t tick_ms;    /* how often to look, at least */
    int64_t silence_ms; /* how long the server certainly hears nothing amiss; 0: no heartbeat */
};

enum guard_verdict { GUARD_FINE, GUARD_REFRESH, GUARD_STOP, GUARD_KILL };

/* `heartbeat_ms` is 0 when the server expects none. */
void guard_init(struct guard *guard, int64_t ttl_ms, int64_t heartbeat_ms);

enum guard_verdict guard_judge(const struct guard *guard, int64_t valid_for_ms);

/* How long to wait before judging again: the next tick, or the next border if that comes first. */
int64_t guard_wait_ms(const struct guard *guard, int64_t valid_for_ms);

/* When the program must be dead if nothing more is heard. `valid_for_ms` was read after `now_us`.
 */
int64_t guard_deadline_us(const struct guard *guard, int64_t now_us, int64_t valid_for_ms);

/* CLOCK_BOOTTIME, which goes on while the machine sleeps. */
int64_t guard_now_us(void);

#endif
