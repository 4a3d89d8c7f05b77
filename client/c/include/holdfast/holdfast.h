/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libholdfast: hold a lock for exactly as long as you are alive.
 *
 * Two ways to use it:
 *
 *   holdfast_open ...        blocking and thread-safe. A thread of the library keeps the connection
 *                            and the heartbeats; any of your threads may call any function.
 *   holdfast_async_open ...  asynchronous, on your own libevent event_base; everything, callbacks
 *                            included, runs in the thread that turns that base.
 *
 * A lease is valid until a deadline that only moves while the server confirms it. When the
 * connection to the server drops, its leases are lost at that moment; the library says so
 * (on_lost), reconnects, and never pretends. A lease with a grace stays valid instead, until its
 * deadline and for no longer than the grace; meanwhile the library reconnects and resumes it, and
 * only when that fails is it lost. Check holdfast_lease_valid_for_ms before you act, and hand
 * holdfast_lease_fence to the resource you protect: a lease is not mutual exclusion against a
 * paused process.
 *
 * The library raises no SIGPIPE, takes no signal, and its descriptors close on exec. After fork
 * only the parent may use handles and leases.
 *
 * Times are milliseconds. Strings are UTF-8. Keys have 1 to 512 bytes, labels at most 128,
 * values (any bytes) at most 4096.
 */
#ifndef HOLDFAST_HOLDFAST_H
#define HOLDFAST_HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HOLDFAST_API __attribute__((visibility("default")))
#else
#define HOLDFAST_API
#endif

#define HOLDFAST_TOKEN_SIZE 16
#define HOLDFAST_ERROR_SIZE 256
#define HOLDFAST_KEY_SIZE   513 /* with its NUL */
#define HOLDFAST_LABEL_SIZE 129 /* with its NUL */
#define HOLDFAST_VALUE_MAX  4096
#define HOLDFAST_KEYS_MAX   16       /* of one ask */
#define HOLDFAST_WAIT_MAX   86400000 /* milliseconds: a day */

/* What a request came to. After anything but HOLDFAST_OK nothing is held, with one exception: when
 * a detached acquire with a token of the caller's own comes to HOLDFAST_AWAY, HOLDFAST_TIMEOUT or
 * HOLDFAST_CANCELLED it may have obtained the lock. Ask again with that token, or release it. */
enum holdfast_result {
    HOLDFAST_OK = 0,
    HOLDFAST_BUSY,      /* somebody else holds the lock */
    HOLDFAST_NOT_HELD,  /* the lease is not (any more) yours */
    HOLDFAST_INVALID,   /* an argument is out of bounds, or the server's address is wrong */
    HOLDFAST_AWAY,      /* the server or its Redis cannot be reached */
    HOLDFAST_TIMEOUT,   /* no answer within the timeout */
    HOLDFAST_LIMIT,     /* a limit of the server is reached */
    HOLDFAST_REFUSED,   /* the server refused for another reason; see the error text */
    HOLDFAST_DEADLOCK,  /* waiting would close a circle, which the error text spells out */
    HOLDFAST_CANCELLED, /* taken back with holdfast_async_cancel */
};

/* "busy", "server away": static text. */
HOLDFAST_API const char *holdfast_result_text(enum holdfast_result result);

/* Why a lease ended. */
enum holdfast_loss {
    HOLDFAST_LOSS_EXPIRED = 1, /* no renewal was confirmed before its deadline */
    HOLDFAST_LOSS_TAKEN,       /* Redis says that somebody else has the lock, or deleted it */
    HOLDFAST_LOSS_HEARTBEAT,   /* the server missed our heartbeat */
    HOLDFAST_LOSS_SHUTDOWN,    /* the server shut down */
    HOLDFAST_LOSS_CONNECTION,  /* the connection dropped, and within a grace did not come back */
    HOLDFAST_LOSS_MAX_HOLD,    /* it was held for its max_hold_ms */
    HOLDFAST_LOSS_RESUMED,     /* somebody resumed it with its token */
};

HOLDFAST_API const char *holdfast_loss_text(enum holdfast_loss loss);

/* How a lock is held. */
enum holdfast_mode {
    HOLDFAST_EXCLUSIVE = 0, /* by one holder */
    HOLDFAST_SHARED,        /* by many, up to the limit that each of them gives */
};

/* Who holds a lock. */
struct holdfast_holder {
    bool is_held;                    /* somebody has it */
    bool is_foreign;                 /* another program's key */
    bool is_closed;                  /* nobody has it, but its lock_delay_ms is not over */
    char label[HOLDFAST_LABEL_SIZE]; /* "" when there is none */
    int64_t since_ms;                /* since 1970; 0 when unknown */
    int64_t remaining_ms;            /* until Redis lets go unless renewed; -1: never */
    uint64_t fence;                  /* 0 when foreign */
    enum holdfast_mode mode;
    uint32_t holders;            /* how many hold it; the rest tells of one of them */
    char key[HOLDFAST_KEY_SIZE]; /* which lock, where several were asked for; else "" */
    size_t value_length;         /* of the holder's value; only inspect and watch tell it */
    unsigned char value[HOLDFAST_VALUE_MAX];
};

/* How to reach the server. Zero-initialise, then set what you need. Over tls:// the server must
 * show a certificate for the name or address in its URL. Naming files for another kind of server is
 * an error. */
struct holdfast_options {
    const char *server;    /* "unix:///path", "tcp://host:port", "tls://host:port"; NULL:
                              $HOLDFAST_SERVER, else tcp://127.0.0.1:7420 */
    const char *ca_file;   /* tls: PEM of the authorities to trust; NULL: the system's */
    const char *cert_file; /* tls: our certificate, if the server asks; PEM */
    const char *key_file;  /* tls: its key */
    uint32_t timeout_ms;   /* for connecting and for each request; 0: 5000 */
};

struct holdfast_lease;

/* What a holder may want to hear. All may be NULL. */
struct holdfast_lease_events {
    /* The server could not confirm the lease for two thirds of its ttl, or we heard nothing until a
     * sixth was left. Prepare to stop. Once, and again after a recovery. */
    void (*on_at_risk)(struct holdfast_lease *lease, int64_t valid_for_ms, void *user);
    /* The request waits: 1 is the next among those who wait at this server. `holder` is who is in
     * the way, as far as the server knows. Again when the position changes, about twice a second at
     * most; never after the answer. Not for detached leases. */
    void (*on_queued)(uint32_t position, const struct holdfast_holder *holder, void *user);
    /* Once, and never after a release. The lease stays readable until it is freed. */
    void (*on_lost)(struct holdfast_lease *lease, enum holdfast_loss loss, void *user);
    void *user;
};

/* What to hold, and how. Zero-initialise, then set what you need. All of it is copied. */
struct holdfast_ask {
    const char *key;   /* required, unless `keys` are given */
    const char *label; /* who is asking, for people; may be NULL */
    uint32_t ttl_ms;   /* 0: the server's default */
    /* The server revokes the lease if it hears nothing from this process for that long; 0: a third
     * of the ttl is used for pings, without revoking. */
    uint32_t heartbeat_ms;
    /* How long to wait for a lock that is not to be had, up to HOLDFAST_WAIT_MAX; 0: not at all.
     * The timeout for an answer counts on top of it. When the connection drops while this waits, it
     * asks again, at the end of the queue, with what is left. */
    uint32_t wait_ms;
    enum holdfast_mode mode;
    uint32_t limit;    /* HOLDFAST_SHARED: at most so many holders; 0: any number */
    const void *value; /* bytes shown to whoever inspects or watches the lock; may be NULL */
    size_t value_length;
    /* When the connection drops the server keeps the lease for that long, and the library resumes
     * it; 0: it is lost with the connection. Not with `keys`, not for detached leases. */
    uint32_t grace_ms;
    uint32_t lock_delay_ms; /* how long the lock stays closed after an unclean loss */
    uint32_t max_hold_ms;   /* the lease is lost at the latest that long after its grant; 0: no such
                               bound. Not for detached leases */
    /* Several locks instead of `key`, all or none: 2 to HOLDFAST_KEYS_MAX different names, taken in
     * the order of their names. Not for detached leases. */
    const char *const *keys;
    size_t key_count;
    struct holdfast_lease_events events;
};

/*
 * ---- Blocking ----
 */

struct holdfast;

/* Starts the library's thread and connects. On failure returns NULL with a sentence in `error`
 * (HOLDFAST_ERROR_SIZE bytes; may be NULL). Reconnects by itself later on. */
HOLDFAST_API struct holdfast *holdfast_open(const struct holdfast_options *options, char *error);

/* Ends the connection and the thread. Leases still held are lost without on_lost; free them before
 * or after. Requests that other threads wait for end with HOLDFAST_AWAY; after that no thread may
 * use the handle. Not from a callback. */
HOLDFAST_API void holdfast_close(struct holdfast *holdfast);

/* The text of this thread's last failure on any handle; "" when there was none. */
HOLDFAST_API const char *holdfast_last_error(void);

/* Holds a lock (the server's Hold stream): kept alive by the library's thread until released, lost,
 * or the process dies. HOLDFAST_OK: *lease is yours and must be freed. HOLDFAST_BUSY: `busy`, when
 * not NULL, tells who has it. Callbacks of `ask->events` run in the library's thread: they must not
 * block nor call blocking functions of this library. */
HOLDFAST_API enum holdfast_result holdfast_hold(struct holdfast *holdfast,
                                                const struct holdfast_ask *ask,
                                                struct holdfast_lease **lease,
                                                struct holdfast_holder *busy);

/* Takes over a lease by its token, within its grace, at the same server or another: it is held by
 * this connection from now on, with the fence it had, and whoever held it has lost it
 * (HOLDFAST_LOSS_RESUMED). Of `ask` counts the key, the ttl, the heartbeat, the grace, the lock
 * delay, the longest hold and the events; the rest is not used. HOLDFAST_NOT_HELD: it has ended. */
HOLDFAST_API enum holdfast_result holdfast_resume(struct holdfast *holdfast,
                                                  const struct holdfast_ask *ask,
                                                  const unsigned char *token,
                                                  struct holdfast_lease **lease);

/* Acquires a detached lease: bound to nothing but its ttl; renew and release it with its key and
 * token from anywhere. `token`: NULL, or HOLDFAST_TOKEN_SIZE random bytes of yours, which make a
 * retry the same acquire: ask again, or release it by its token, when the result is HOLDFAST_AWAY
 * or HOLDFAST_TIMEOUT, for the lock may have been obtained. With NULL the library does that itself.
 * heartbeat_ms and events are not used. */
HOLDFAST_API enum holdfast_result holdfast_acquire_detached(struct holdfast *holdfast,
                                                            const struct holdfast_ask *ask,
                                                            const unsigned char *token,
                                                            struct holdfast_lease **lease,
                                                            struct holdfast_holder *busy);

/* Releases a lease; returns when the lock is free. HOLDFAST_NOT_HELD: it was lost before. After
 * any result but HOLDFAST_INVALID and HOLDFAST_LIMIT the lease is not valid any more; a detached
 * one may be released again. */
HOLDFAST_API enum holdfast_result holdfast_release(struct holdfast *holdfast,
                                                   struct holdfast_lease *lease);

/* Extends a detached lease to `ttl_ms` from now (0: the server's default); it never cuts the lock
 * short. On a held lease, asks
 * the server and refreshes its validity; `ttl_ms` must be 0. */
HOLDFAST_API enum holdfast_result holdfast_renew(struct holdfast *holdfast,
                                                 struct holdfast_lease *lease, uint32_t ttl_ms);

/* Releases by key and token: what `holdfast_release` does for a lease of another process. */
HOLDFAST_API enum holdfast_result holdfast_release_token(struct holdfast *holdfast, const char *key,
                                                         const unsigned char *token);

/* Extends a detached lease by key and token: what `holdfast_renew` does for a lease of another
 * process. HOLDFAST_OK: *lease tells its validity, and its fence unless that is 0; it must be
 * freed. */
HOLDFAST_API enum holdfast_result holdfast_renew_token(struct holdfast *holdfast, const char *key,
                                                       const unsigned char *token, uint32_t ttl_ms,
                                                       struct holdfast_lease **lease);

/* Tells who holds a lock. */
HOLDFAST_API enum holdfast_result holdfast_inspect(struct holdfast *holdfast, const char *key,
                                                   struct holdfast_holder *holder);

struct holdfast_watch;

/* Who holds the watched lock. HOLDFAST_OK: `holder` tells the state now; changes that follow each
 * other within milliseconds may be told as one. HOLDFAST_AWAY: the state is not known, `error` says
 * why; told once, and the watch goes on by itself. Any other result: the watch is over. */
typedef void holdfast_watch_fn(enum holdfast_result result, const struct holdfast_holder *holder,
                               const char *error, void *user);

/* Watches a lock: `on_state` runs in the library's thread, first with the current state, then
 * whenever it changes. What callbacks of leases must not do, it must not do either. NULL when the
 * handle was closed. */
HOLDFAST_API struct holdfast_watch *holdfast_watch(struct holdfast *holdfast, const char *key,
                                                   holdfast_watch_fn *on_state, void *user);

/* Ends a watch and frees it; required for every watch, before or after its handle is closed. Once
 * this has returned its callback runs no more: so do not call it with a mutex locked that the
 * callback locks. From a callback it is allowed. NULL is, too. */
HOLDFAST_API void holdfast_watch_stop(struct holdfast_watch *watch);

/*
 * ---- A lease: readable from any thread until it is freed ----
 */

/* With several keys: the first in the order of their names. */
HOLDFAST_API const char *holdfast_lease_key(const struct holdfast_lease *lease);

/* Rises with every grant of the lock; for the protected resource to compare. With several keys:
 * that of holdfast_lease_key. */
HOLDFAST_API uint64_t holdfast_lease_fence(const struct holdfast_lease *lease);

/* How many locks the lease holds. */
HOLDFAST_API size_t holdfast_lease_key_count(const struct holdfast_lease *lease);

/* The name of the lock at `index`, which is below the count, in the order of names. */
HOLDFAST_API const char *holdfast_lease_key_at(const struct holdfast_lease *lease, size_t index);

/* The fence of that lock; 0 when the lease does not hold it. */
HOLDFAST_API uint64_t holdfast_lease_fence_of(const struct holdfast_lease *lease, const char *key);

/* HOLDFAST_TOKEN_SIZE bytes. A secret: whoever has it can release the lease. */
HOLDFAST_API const unsigned char *holdfast_lease_token(const struct holdfast_lease *lease);

HOLDFAST_API uint32_t holdfast_lease_ttl_ms(const struct holdfast_lease *lease);

/* Milliseconds for which the lease is certainly valid; 0 when it is not (lost, released, expired).
 * Reads the clock: ask right before you act. */
HOLDFAST_API int64_t holdfast_lease_valid_for_ms(const struct holdfast_lease *lease);

/* Frees the memory. A lease still held is released in the background first; a detached one stays
 * until it is released or its ttl ends. Once this has returned, no callback of the lease runs
 * any more: so do not call it with a mutex locked that your callbacks lock. From a callback it is
 * allowed. NULL is, too. */
HOLDFAST_API void holdfast_lease_free(struct holdfast_lease *lease);

/*
 * ---- Asynchronous, on the caller's event_base ----
 */

struct event_base;
struct holdfast_async;

/* Connects in the background, and again whenever the connection drops. Requests made while there is
 * no connection wait for one until their timeout; but when the server's certificate is not trusted
 * they end at once with HOLDFAST_AWAY. NULL with a sentence in `error` when the options
 * make no sense. `base` outlives the result. */
HOLDFAST_API struct holdfast_async *
holdfast_async_open(struct event_base *base, const struct holdfast_options *options, char *error);

/* Ends everything. Pending callbacks run with HOLDFAST_AWAY before this returns; on_lost does not.
 * Not from a callback. */
HOLDFAST_API void holdfast_async_close(struct holdfast_async *async);

/* Each request's callback runs exactly once, never before the request function returns. `error` is
 * "" on success; `lease` is NULL unless OK and then the caller's to free; `holder` is NULL unless
 * it has something to say. Both texts are valid only during the callback. A holdfast_done_fn may be
 * NULL. */
typedef void holdfast_lease_fn(enum holdfast_result result, struct holdfast_lease *lease,
                               const struct holdfast_holder *holder, const char *error, void *user);
typedef void holdfast_done_fn(enum holdfast_result result, const char *error, void *user);
typedef void holdfast_inspect_fn(enum holdfast_result result, const struct holdfast_holder *holder,
                                 const char *error, void *user);

/* These three return a number for holdfast_async_cancel, which is never 0. */
HOLDFAST_API uint64_t holdfast_async_hold(struct holdfast_async *async,
                                          const struct holdfast_ask *ask,
                                          holdfast_lease_fn *on_done, void *user);
HOLDFAST_API uint64_t holdfast_async_resume(struct holdfast_async *async,
                                            const struct holdfast_ask *ask,
                                            const unsigned char *token, holdfast_lease_fn *on_done,
                                            void *user);
HOLDFAST_API uint64_t holdfast_async_acquire_detached(struct holdfast_async *async,
                                                      const struct holdfast_ask *ask,
                                                      const unsigned char *token,
                                                      holdfast_lease_fn *on_done, void *user);

/* Takes a request back: it is answered with HOLDFAST_CANCELLED, and what it may still obtain is
 * given up. False, and nothing changes, when it is answered already (its callback may not have run
 * yet).
 */
HOLDFAST_API bool holdfast_async_cancel(struct holdfast_async *async, uint64_t request);

HOLDFAST_API void holdfast_async_release(struct holdfast_async *async, struct holdfast_lease *lease,
                                         holdfast_done_fn *on_done, void *user);
HOLDFAST_API void holdfast_async_renew(struct holdfast_async *async, struct holdfast_lease *lease,
                                       uint32_t ttl_ms, holdfast_done_fn *on_done, void *user);
HOLDFAST_API void holdfast_async_release_token(struct holdfast_async *async, const char *key,
                                               const unsigned char *token,
                                               holdfast_done_fn *on_done, void *user);
HOLDFAST_API void holdfast_async_renew_token(struct holdfast_async *async, const char *key,
                                             const unsigned char *token, uint32_t ttl_ms,
                                             holdfast_lease_fn *on_done, void *user);
HOLDFAST_API void holdfast_async_inspect(struct holdfast_async *async, const char *key,
                                         holdfast_inspect_fn *on_done, void *user);

/* As holdfast_watch, on the caller's base; never NULL. End it with holdfast_watch_stop. */
HOLDFAST_API struct holdfast_watch *holdfast_async_watch(struct holdfast_async *async,
                                                         const char *key,
                                                         holdfast_watch_fn *on_state, void *user);

/*
 * ---- Leader election (asynchronous only) ----
 *
 * A leader holds a lock, whose value tells where it can be reached: holdfast_watch finds it.
 */

struct holdfast_election;

/* Each may end the election. Nothing is told before holdfast_async_elect returns. */
struct holdfast_election_events {
    /* We lead. The lease is the election's: read it until on_deposed, and neither release nor free
     * it. */
    void (*on_elected)(struct holdfast_election *election, struct holdfast_lease *lease,
                       void *user);
    /* We do not lead any more, and stand again already. */
    void (*on_deposed)(struct holdfast_election *election, enum holdfast_loss loss, void *user);
    /* We could not stand: again in a second, but after HOLDFAST_INVALID and HOLDFAST_REFUSED never.
     * May be NULL. */
    void (*on_trouble)(struct holdfast_election *election, enum holdfast_result result,
                       const char *error, void *user);
    void *user;
};

/* Stands for a lock until it is ended. Of `ask` all counts but wait_ms and on_lost. Never NULL. */
HOLDFAST_API struct holdfast_election *
holdfast_async_elect(struct holdfast_async *async, const struct holdfast_ask *ask,
                     const struct holdfast_election_events *events);

/* Ends and frees it, and gives the lock up in the background; required for every election, before
 * or after its handle is closed. Nothing is told any more. NULL is allowed. */
HOLDFAST_API void holdfast_election_end(struct holdfast_election *election);

/*
 * ---- For people who operate a server (asynchronous only) ----
 */

struct holdfast_lock_holder {
    const char *label;
    const char
        *peer; /* "unix", "127.0.0.1:51234"; "" when it is not this server's client, or gone */
    int64_t since_ms; /* since 1970; 0 when unknown */
    int64_t remaining_ms;
    uint64_t fence;
    bool is_orphaned; /* its connection has dropped, and it may still be resumed */
    bool is_foreign;  /* another program's key */
    bool is_closed;   /* it was lost, and its lock_delay_ms is not over */
};

struct holdfast_lock_waiter {
    const char *label;
    const char *peer;
    enum holdfast_mode mode;
};

struct holdfast_lock_state {
    const char *key;
    enum holdfast_mode mode;
    const struct holdfast_lock_holder *holders;
    size_t holder_count;
    const struct holdfast_lock_waiter *waiters; /* the next one first; not all of a long queue */
    size_t waiter_count;
    uint32_t
        waiting; /* how many wait: clients of this server, or servers if `fleet` was asked for */
};

/* Which locks to list. Zero-initialise, then set what you need. */
struct holdfast_list {
    const char *prefix; /* of their names; NULL: all */
    uint32_t page_size; /* at most so many in one answer; 0: the server's default */
    const char *page;   /* `next` of the answer before; NULL: from the start */
    bool fleet; /* what Redis has, in no order, instead of what this server's clients hold */
};

/* The locks are valid only during the callback, like all they point to. `next` is "" on the last
 * page; a page may be empty and not the last. */
typedef void holdfast_locks_fn(enum holdfast_result result, const struct holdfast_lock_state *locks,
                               size_t count, const char *next, const char *error, void *user);

/* One page of locks. */
HOLDFAST_API void holdfast_async_list_locks(struct holdfast_async *async,
                                            const struct holdfast_list *list,
                                            holdfast_locks_fn *on_done, void *user);

struct holdfast_connection {
    uint64_t id;
    const char *peer; /* "unix", "127.0.0.1:51234" */
    int64_t age_ms;
    uint32_t calls;
    uint32_t leases; /* held, or waited for */
};

/* As holdfast_locks_fn. */
typedef void holdfast_connections_fn(enum holdfast_result result,
                                     const struct holdfast_connection *connections, size_t count,
                                     const char *next, const char *error, void *user);

/* One page of the connections of this server's clients, oldest first. Of `list` counts the page. */
HOLDFAST_API void holdfast_async_list_connections(struct holdfast_async *async,
                                                  const struct holdfast_list *list,
                                                  holdfast_connections_fn *on_done, void *user);

/*
 * ---- Any method, for those who bring messages of their own (asynchronous only) ----
 */

#define HOLDFAST_MESSAGE_MAX 4194304 /* bytes, with the headers */
#define HOLDFAST_HEADERS_MAX 64

struct holdfast_header {
    const char *name;
    const char *value;
};

/* What to call. Zero-initialise, then set what you need. All of it is copied. */
struct holdfast_call_ask {
    const char *service;      /* "holdfast.v1.Locks" */
    const char *method;       /* "Acquire" */
    bool is_client_streaming; /* the request's messages follow by holdfast_call_send */
    bool is_server_streaming;
    const void *message; /* else: the request, a serialized protobuf message; NULL if it is empty */
    size_t message_length;
    const struct holdfast_header *headers; /* metadata; may be NULL */
    size_t header_count;
    uint32_t deadline_ms; /* of the whole call; 0: none, but the timeout counts for connecting */
};

/* What the caller hears, never before the function that made the call returns. */
struct holdfast_call_events {
    /* A message of the answer, serialized. */
    void (*on_message)(const void *bytes, size_t length, void *user);
    /* Once and last: a gRPC status code, and with another than 0 a sentence. What did not come from
     * the server: 14 (UNAVAILABLE) without a connection, 4 (DEADLINE_EXCEEDED), and 3
     * (INVALID_ARGUMENT) or 8 (RESOURCE_EXHAUSTED) for what was not sent. */
    void (*on_end)(int status, const char *text, void *user);
    void *user;
};

struct holdfast_call;

/* Never NULL; free it with holdfast_call_free. A call is not made again when its connection drops.
 */
HOLDFAST_API struct holdfast_call *holdfast_async_call(struct holdfast_async *async,
                                                       const struct holdfast_call_ask *ask,
                                                       const struct holdfast_call_events *events);

/* Sends one more message of the request, which is copied; not after holdfast_call_half_close.
 * False, and it is not sent: it is longer than HOLDFAST_MESSAGE_MAX, or more waits to be sent than
 * the server takes. True when the call is over: there is nobody to send it to. */
HOLDFAST_API bool holdfast_call_send(struct holdfast_call *call, const void *message,
                                     size_t length);

/* No more messages come. Harmless when it was said before. */
HOLDFAST_API void holdfast_call_half_close(struct holdfast_call *call);

/* Takes the call back unless it is over, and frees it. Before or after the handle is closed, and
 * from its callbacks. NULL is allowed. */
HOLDFAST_API void holdfast_call_free(struct holdfast_call *call);

/* "1.2.3" */
HOLDFAST_API const char *holdfast_version(void);

#ifdef __cplusplus
}
#endif

#endif
