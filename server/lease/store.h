/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: all that the lease core knows of the world. A store takes operations and answers
 * each exactly once. Redis is one store, the simulator's model another.
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

enum store_verb {
    STORE_ACQUIRE, /* take the lock if it is free, or already ours by tenure (so it may be repeated)
                    */
    STORE_RENEW,   /* restore the ttl if the lock is ours; in a recovery window re-create it */
    STORE_RELEASE, /* free the lock if it is ours */
    STORE_INSPECT, /* read who holds it */
};

/* What one operation came to. Only the first three tell what the lock is. */
enum store_code {
    STORE_OK,          /* done; INSPECT: `holder` tells the state */
    STORE_BUSY,        /* ACQUIRE: somebody else holds it, see `holder` */
    STORE_NOT_HELD,    /* RENEW, RELEASE: the lock is not ours by tenure */
    STORE_RECOVERING,  /* ACQUIRE: the store forgot data; ask again after `retry_after_us` */
    STORE_EXPIRED,     /* reached the store too late and did nothing; ask again if still wanted */
    STORE_WRONG_TYPE,  /* the key holds another type of value, named in `detail`; left alone */
    STORE_UNAVAILABLE, /* certainly not done: never sent, or refused; `detail` says why */
    STORE_UNKNOWN,     /* sent, and no answer in time: it may or may not have happened, or happen */
};

/* Who holds a lock. */
struct store_holder {
    bool is_held;
    bool is_foreign;      /* another program's key */
    int64_t remaining_us; /* -1: for ever */
    int64_t since_ms;     /* since 1970, by the store's clock; 0 when unknown */
    uint64_t fence;       /* 0 when foreign */
    const char *label;    /* not NUL-terminated; valid only during the callback */
    size_t label_length;
};

struct store_result {
    enum store_code code;
    int64_t sent_us;  /* when the operation left (CLOCK_BOOTTIME); deadlines count from here */
    uint64_t fence;   /* ACQUIRE OK, and RENEW OK where op->fence is 0: the grant's fence */
    int64_t since_ms; /* ACQUIRE OK: when the grant began, by the store's clock */
    int64_t retry_after_us;     /* RECOVERING */
    struct store_holder holder; /* BUSY, INSPECT OK */
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
    int64_t queued_us;                                            /* written by the store */
    const char *key;
    size_t key_length;
    struct id128 tenure; /* what the store compares */
    struct id128 token;
    uint64_t fence;   /* RENEW: what to re-create with; 0: not known, then it never is */
    int64_t since_ms; /* RENEW: likewise */
    const char *label;
    size_t label_length;
    int64_t ttl_ms;
    int64_t give_up_us; /* not sent by then: answered STORE_UNAVAILABLE; CLOCK_NEVER to wait */
    store_done_fn *on_done;
};

TAILQ_HEAD(store_op_list, store_op);

struct store_vtable {
    void (*submit)(struct store *store, struct store_op *op, int64_t now_us);
    bool (*withdraw)(struct store *store, struct store_op *op);
};

/* A listener hears when the store can be reached again after it could not, and when it is found to
 * have forgotten, so that every lease is renewed before anything else. */
struct store_listener {
    /* May submit operations. */
    void (*on_up)(struct store_listener *listener, int64_t now_us);
    /* Whether there is anything that a store which forgets would cost. */
    bool (*has_leases)(const struct store_listener *listener);
};

struct store {
    const struct store_vtable *vtable;
    struct store_listener *listener; /* set by the lease core; may be NULL */
};

/* Queues an idle operation. RENEW and RELEASE go in front of ACQUIRE and INSPECT. While the store
 * cannot be reached, operations wait. */
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

#endif
