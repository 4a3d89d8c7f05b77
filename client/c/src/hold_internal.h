/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a hold share: hold.c begins and ends it, hold_event.c takes what the server
 * says, hold_timer.c keeps it alive.
 *
 *     ASKING -> HELD -> RELEASING                    asked, answered, given up
 *     ASKING -> CONFIRMING -> HELD                   granted so long after the question that a
 *                                                    ping must tell whether it still counts
 *     HELD <-> RESUMING                              the connection dropped, within the grace
 *     HELD, RESUMING -> LOST                         until on_lost has been called
 */
#ifndef HOLDFAST_CLIENT_HOLD_INTERNAL_H
#define HOLDFAST_CLIENT_HOLD_INTERNAL_H

#include "base/compiler.h"
#include "base/id128.h"
#include "hold.h"
#include "lease.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HOLD_NO_ANSWER "the server did not answer in time"

struct ping {
    TAILQ_ENTRY(ping) link;
    int64_t sent_us;
    struct request *request; /* who waits for it; may be NULL */
};

TAILQ_HEAD(ping_queue, ping);

enum hold_state {
    HOLD_ASKING,
    HOLD_CONFIRMING,
    HOLD_HELD,
    HOLD_RESUMING,
    HOLD_RELEASING,
    HOLD_LOST,
};

struct hold {
    LIST_ENTRY(hold) link;
    struct holdfast_async *client;
    enum hold_state state;
    struct channel_call call;
    struct request *request; /* the ask, or the release */

    struct holdfast_ask ask;
    bool is_resumption; /* the ask is for the lease of `token` */
    struct id128 token;

    int64_t asked_us;      /* when the ask was sent last */
    int64_t wait_until_us; /* 0: never sent yet */
    int64_t granted_us;    /* when we read of the grant */
    bool was_queued;
    bool is_last_term;            /* the lease's deadline is that of its longest hold */
    struct holdfast_lease *lease; /* from HOLD_CONFIRMING on */
    struct event *timer;
    int64_t due_us;          /* of the next ping; of the next attempt to resume */
    struct ping_queue pings; /* not answered yet, oldest first */
    size_t ping_count;
    bool is_warned; /* on_at_risk was called and the lease has not recovered */
    enum holdfast_loss loss;

    uint32_t position; /* told by on_queued, with: */
    struct holdfast_holder *ahead;
    struct delivery tell_queued;
    struct delivery tell_at_risk;
    struct delivery tell_lost;
};

/* hold.c */

/* The answer to whoever waits, and the end of the hold. */
void hold_finish(struct hold *hold, enum holdfast_result result, const char *text);

/* Ends the stream towards the server, so that a grant under way is given up, and forgets it. */
void hold_leave_stream(struct hold *hold);

/* The lease is gone: tells the application. */
void hold_lose(struct hold *hold, enum holdfast_loss loss);

/* Tells the application that the lease is at risk, unless it knows. */
void hold_warn(struct hold *hold);

/* Returns false when the lease was held and its time has run out; it is lost then. */
bool hold_is_in_time(struct hold *hold, int64_t now_us);

/* The lease is the application's. */
void hold_settle(struct hold *hold, int64_t now_us);

/* hold_event.c */

extern const struct channel_call_events hold_call_events;

/* hold_timer.c */

void hold_on_timer(int descriptor, short what, void *argument);

/* Sets the one timer to the next thing to do. */
void hold_set_timer(struct hold *hold, int64_t now_us);

void hold_plan_ping(struct hold *hold, int64_t now_us);

/* Returns NULL when too many are not answered yet. While the connection is away the ping only waits
 * for it. */
struct ping *hold_send_ping(struct hold *hold, int64_t now_us);

/* Forgets the oldest ping, whose request must have been answered. */
void hold_pop_ping(struct hold *hold);

/* Nobody will answer them any more. */
void hold_drop_pings(struct hold *hold, enum holdfast_result result, const char *text);

/* The lease is at risk when less than this is left. */
int64_t hold_at_risk_us(const struct hold *hold);

/* The connection dropped: keeps the lease for its grace and asks to resume it. */
void hold_begin_resuming(struct hold *hold, int64_t now_us);

/* The attempt to resume came to nothing; another follows shortly. */
void hold_resume_later(struct hold *hold, int64_t now_us);

#endif
