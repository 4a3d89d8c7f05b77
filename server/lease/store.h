/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: all that the lease core knows of the world. A store takes operations and answers
 * each exactly once. Redis is one store, the simulator's model another.
 *
 * A lock is held in one mode: EXCLUSIVE by one tenure, or SHARED by any number of tenures or up to
 * a limit that each of them brings. Beside it stands a queue of the servers that wait for it, in
 * order of arrival, at most one entry a server: its channel, the tenure that the lock is to be
 * given to, and that tenure's mode and limit. A lock that is freed goes to the first in the queue
 * whose server is there to hear of it (on_granted), for STORE_GRANT_MS; that server then makes it
 * its own by an ACQUIRE of that tenure, and believes from that send on.
 */
#ifndef HOLDFAST_LEASE_STORE_H
#define HOLDFAST_LEASE_STORE_H

#include "base/id128.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct store;
struct store_op;

/* The latest that an operation may still take effect, counted from its `sent_us`. A store must
 * refuse (STORE_EXPIRED) what arrives later. The Redis store refuses by Redis time what runs later
 * than its ack timeout, about 1 s; its estimate of that time may be off by as much again. */
#define STORE_LATE_US ((int64_t)3000000)

/* For how long an impatient operation waits for a store that answers nothing. One that answers, but
 * has much to do, is waited for. */
#define STORE_PATIENCE_US ((int64_t)1000000)

/* For how long the store gives a lock to who waited for it, who must confirm it by then. */
#define STORE_GRANT_MS ((int64_t)1000)

/* A queue entry may outlive the holder it was made behind by this much, and that holder's remaining
 * life is taken to be no longer than STORE_QUEUE_LIFE_MAX_MS. Who waits asks again before. */
#define STORE_QUEUE_LINGER_MS   ((int64_t)60000)
#define STORE_QUEUE_LIFE_MAX_MS ((int64_t)3600000)

enum store_verb {
    STORE_ACQUIRE, /* take the lock if it may be had, or is already ours by tenure (so it may be
                      repeated); else queue up if `wants_queue` */
    STORE_RENEW,   /* restore the ttl if the lock is ours, and write the grant through if its fence
                      is above the stored one; in a recovery window re-create it */
    STORE_RELEASE, /* give the lock up if it is ours, unless `keeps_lock`, and leave the queue if
                      `wants_queue` */
    STORE_RESUME,  /* make a lock that is held under `token` ours: from now on `tenure` owns it */
    STORE_INSPECT, /* read who holds it */
};

enum store_mode {
    STORE_EXCLUSIVE,
    STORE_SHARED,
    STORE_ANY_MODE, /* RENEW, RELEASE of a detached lease, RESUME: the store finds out */
};

/* What one operation came to. Only the first four tell what the lock is. */
enum store_code {
    STORE_OK,          /* done; INSPECT: `holder` tells the state */
    STORE_BUSY,        /* ACQUIRE: not to be had, see `holder`; and we are not in the queue */
    STORE_QUEUED,      /* ACQUIRE: likewise, and our entry is in the queue under this tenure */
    STORE_NOT_HELD,    /* RENEW, RELEASE: the lock is not ours by tenure; RESUME: by token */
    STORE_RECOVERING,  /* ACQUIRE, RESUME: the store forgot data; ask again after
                          `retry_after_us` */
    STORE_EXPIRED,     /* reached the store too late and did nothing; ask again if still wanted */
    STORE_WRONG_TYPE,  /* the key holds another type of value, named in `detail`; left alone */
    STORE_UNAVAILABLE, /* certainly not done: never sent, or refused; `detail` says why */
    STORE_UNKNOWN,     /* sent, and no answer in time: it may or may not have happened, or happen */
};

/* Who holds a lock. */
struct store_holder {
    bool is_held;
    bool is_foreign; /* another program's key */
    bool is_closed;  /* held by nobody: a lock delay is running */
    enum store_mode mode;
    uint32_t holders;     /* SHARED: how many; else 1 */
    uint32_t waiting;     /* servers in the queue; INSPECT only */
    int64_t remaining_us; /* -1: for ever; SHARED: of the holder that ends first */
    int64_t since_ms;     /* since 1970, by the store's clock; 0 when unknown */
    uint64_t fence;       /* 0 when foreign */
    const char *label;    /* not NUL-terminated; valid only during the callback */
    size_t label_length;
    const char *value; /* INSPECT and RESUME only; likewise */
    size_t value_length;
};

struct store_result {
    enum store_code code;
    int64_t sent_us;    /* when the operation left (CLOCK_BOOTTIME); deadlines count from here */
    uint64_t fence;     /* ACQUIRE OK, RESUME OK, and RENEW OK where op->fence is 0: the grant's */
    uint64_t fence_end; /* ACQUIRE OK, RENEW OK: fences above the grant's up to here are reserved
                           for us; 0: none are */
    uint32_t waiting;   /* ACQUIRE OK, RENEW OK, where op->fence_block is not 0: other servers in
                           the queue */
    int64_t since_ms;   /* ACQUIRE OK, RESUME OK: when the grant began, by the store's clock */
    int64_t retry_after_us;     /* RECOVERING */
    struct store_holder holder; /* BUSY, QUEUED, INSPECT OK; RESUME OK: mode, label, value */
    const char *detail;         /* WRONG_TYPE, UNAVAILABLE: a word or sentence; valid only during
                                   the callback */
    bool is_limit;              /* UNAVAILABLE: a limit of the store's own, named in `detail` */
};

/* Answers an operation: once per submit, never from inside submit or withdraw. The operation is the
 * caller's again before this is called, so it may be submitted anew or freed here. */
typedef void store_done_fn(struct store_op *op, const struct store_result *result, int64_t now_us);

/* One operation. The caller owns it and all it points at; both must stay until it is answered or
 * withdrawn. */
struct store_op {
    TAILQ_ENTRY(store_op) link; /* the store's, while submitted */
    enum store_verb verb;
    enum { STORE_OP_IDLE, STORE_OP_QUEUED, STORE_OP_SENT } state; /* written by the store */
    enum store_mode mode;
    int64_t queued_us; /* written by the store */
    const char *key;
    size_t key_length;
    struct id128 tenure; /* what the store compares */
    struct id128 token;
    uint64_t fence;   /* RENEW: what to write or re-create with; 0: not known, then it never is */
    int64_t since_ms; /* RENEW: likewise */
    uint32_t fence_block; /* ACQUIRE, RENEW: how many fences to reserve; EXCLUSIVE only */
    uint32_t limit;       /* ACQUIRE, SHARED: at most so many holders; 0: any number */
    bool wants_queue;     /* ACQUIRE: queue up if it is not to be had. RELEASE: we may have */
    bool keeps_lock;      /* RELEASE: only leave the queue; always OK */
    const char *label;
    const char *value;
    uint16_t label_length;
    uint16_t value_length;
    int64_t ttl_ms;
    uint32_t lock_delay_ms; /* the key outlives the ttl by this much; RELEASE: close the lock for
                               so long instead of freeing it */
    int64_t give_up_us;     /* not sent by then: answered STORE_UNAVAILABLE; CLOCK_NEVER to wait */
    bool is_impatient;      /* likewise once it has waited for STORE_PATIENCE_US and the store has
                               answered nothing for so long */
    store_done_fn *on_done;
};

TAILQ_HEAD(store_op_list, store_op);

struct store_vtable {
    void (*submit)(struct store *store, struct store_op *op, int64_t now_us);
    bool (*withdraw)(struct store *store, struct store_op *op);
    void (*watch)(struct store *store, const char *key, size_t key_length);
    void (*unwatch)(struct store *store, const char *key, size_t key_length);
};

/* A listener hears what no operation answers. Never called from inside a store_ function. */
struct store_listener {
    /* The store can be reached again after it could not, or is found to have forgotten: every lease
     * is to be renewed before anything else, then whoever waits asks again. May submit. */
    void (*on_up)(struct store_listener *listener, int64_t now_us);
    /* Whether there is anything that a store which forgets would cost. */
    bool (*has_leases)(const struct store_listener *listener);
    /* Somebody gave the lock to `tenure`, which was ours in the queue. Only a hint: to be confirmed
     * by an ACQUIRE of that tenure. */
    void (*on_granted)(struct store_listener *listener, const char *key, size_t key_length,
                       const struct id128 *tenure, int64_t now_us);
    /* Hints may have been missed, but none will be from now on: whoever waits asks again, and
     * whoever watches looks again. */
    void (*on_subscribed)(struct store_listener *listener, int64_t now_us);
    /* A watched lock has changed hands. */
    void (*on_changed)(struct store_listener *listener, const char *key, size_t key_length,
                       int64_t now_us);
};

struct store {
    const struct store_vtable *vtable;
    struct store_listener *listener; /* set by the lease core; may be NULL */
};

/* Queues an idle operation. RENEW and RELEASE go in front of the others, and operations of one
 * verb keep their order. While the store cannot be reached, operations wait. While hints cannot be
 * heard, an ACQUIRE that wants to queue is BUSY instead, and on_subscribed follows. */
static inline void store_submit(struct store *store, struct store_op *op, int64_t now_us)
{
    store->vtable->submit(store, op, now_us);
}

/* Takes an operation back. True: it was never sent, will never be, and is not answered. False: it
 * has been sent and will be answered. */
static inline bool store_withdraw(struct store *store, struct store_op *op)
{
    return store->vtable->withdraw(store, op);
}

/* From now on on_changed tells of changes to the lock, once that is confirmed by on_changed itself;
 * until store_unwatch, once for each. Several watches of one lock are the caller's to join. */
static inline void store_watch(struct store *store, const char *key, size_t key_length)
{
    store->vtable->watch(store, key, key_length);
}

static inline void store_unwatch(struct store *store, const char *key, size_t key_length)
{
    store->vtable->unwatch(store, key, key_length);
}

#endif
