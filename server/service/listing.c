/* SPDX-License-Identifier: Apache-2.0 */
#include "service/listing.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "lease/keeper.h"
#include "lease/party.h"
#include "service/answers.h"
#include "service/session.h"

#define ROOM_AT_FIRST ((size_t)4)
#define ARENA_LIMIT   ((size_t)64 * 1024 * 1024) /* far above what a page can need */

/* Leases of one lock; the first of them are kept. */
struct people {
    const struct lease **leases;
    size_t shown;
    size_t room;
    size_t count; /* all of them */
};

struct listed {
    const char *key; /* not NUL-terminated, the lease core's like the leases */
    size_t key_length;
    struct people holders;
    struct people waiters;
};

struct listing {
    const char *prefix;
    size_t prefix_length;
    const char *after;
    size_t after_length;
    struct listed **locks; /* sorted by name */
    size_t count;
    size_t count_max;
    bool has_more;
    const char *visited_key; /* the lock whose leases are being visited */
    struct listed *visited;  /* NULL: it is not on the page */
    struct arena arena;      /* of the answer */
    int64_t now_us;
};

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    if (order != 0) {
        return order;
    }
    return a_length < b_length ? -1 : a_length > b_length;
}

/*
 * ---- Finding the page ----
 */

static void add_person(struct people *people, const struct lease *lease)
{
    people->count++;
    if (people->shown == LISTING_PEOPLE_MAX) {
        return;
    }
    if (people->shown == people->room) {
        people->room = people->room == 0 ? ROOM_AT_FIRST : 2 * people->room;
        people->leases = memory_resize(people->leases, people->room * sizeof(struct lease *));
    }
    people->leases[people->shown++] = lease;
}

static void free_listed(struct listed *listed)
{
    memory_free(listed->holders.leases);
    memory_free(listed->waiters.leases);
    memory_free(listed);
}

static bool is_wanted(const struct listing *listing, const char *key, size_t length)
{
    return length >= listing->prefix_length &&
           memcmp(key, listing->prefix, listing->prefix_length) == 0 &&
           compare(key, length, listing->after, listing->after_length) > 0;
}

/* Where in the page the name belongs. */
static size_t find_place(const struct listing *listing, const char *key, size_t length)
{
    size_t low = 0;
    size_t high = listing->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct listed *listed = listing->locks[middle];
        if (compare(listed->key, listed->key_length, key, length) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* A place on the page for the lock, from which the last name may have to go. NULL when it has none.
 */
static struct listed *list_lock(struct listing *listing, const char *key, size_t length)
{
    const size_t place = find_place(listing, key, length);
    if (listing->count == listing->count_max) {
        listing->has_more = true;
        if (place == listing->count) {
            return NULL;
        }
        free_listed(listing->locks[--listing->count]);
    }
    struct listed *listed = memory_alloc(sizeof(*listed));
    listed->key = key;
    listed->key_length = length;
    memmove(&listing->locks[place + 1], &listing->locks[place],
            (listing->count - place) * sizeof(struct listed *));
    listing->locks[place] = listed;
    listing->count++;
    return listed;
}

/* Leases come lock by lock. */
static void on_lease(void *user, const struct lease *lease)
{
    struct listing *listing = user;
    size_t length = 0;
    const char *key = lease_key(lease, &length);
    if (key != listing->visited_key) {
        listing->visited_key = key;
        listing->visited = is_wanted(listing, key, length) ? list_lock(listing, key, length) : NULL;
    }
    if (listing->visited != NULL) {
        const bool is_waiting = lease_state(lease) == LEASE_WAITING;
        add_person(is_waiting ? &listing->visited->waiters : &listing->visited->holders, lease);
    }
}

/*
 * ---- Describing it ----
 */

static void *take(struct listing *listing, size_t size)
{
    void *memory = arena_alloc(&listing->arena, size);
    CHECK(memory != NULL);
    return memory;
}

static char *text_of(struct listing *listing, const char *bytes, size_t length)
{
    size_t used = 0;
    char *text = take(listing, length + 1);
    utf8_clean(bytes, length, text, length, &used);
    return text;
}

static char *label_of(struct listing *listing, const struct lease *lease)
{
    size_t length = 0;
    const char *label = lease_label(lease, &length);
    return length == 0 ? (char *)(uintptr_t) "" : text_of(listing, label, length);
}

static char *peer_of(const struct lease *lease)
{
    const struct lease_party *party = lease_party(lease);
    return (char *)(uintptr_t)(party == NULL ? "" : party->name);
}

static Holdfast__V1__LockHolder *describe_holder(struct listing *listing, const struct lease *lease)
{
    Holdfast__V1__LockHolder *holder = take(listing, sizeof(*holder));
    holdfast__v1__lock_holder__init(holder);
    holder->label = label_of(listing, lease);
    holder->since_ms = lease_since_ms(lease);
    holder->remaining_ms = answer_valid_for_ms(lease_deadline_us(lease), listing->now_us);
    holder->fence = lease_fence(lease);
    holder->peer = peer_of(lease);
    holder->orphaned = lease_state(lease) == LEASE_ORPHANED;
    return holder;
}

static Holdfast__V1__LockWaiter *describe_waiter(struct listing *listing, const struct lease *lease)
{
    Holdfast__V1__LockWaiter *waiter = take(listing, sizeof(*waiter));
    holdfast__v1__lock_waiter__init(waiter);
    waiter->label = label_of(listing, lease);
    waiter->peer = peer_of(lease);
    waiter->mode = answer_mode(lease_mode(lease));
    return waiter;
}

static Holdfast__V1__LockState *describe(struct listing *listing, const struct listed *listed)
{
    const struct people *holders = &listed->holders;
    const struct people *waiters = &listed->waiters;
    const struct lease *any = holders->shown > 0 ? holders->leases[0] : waiters->leases[0];
    Holdfast__V1__LockState *state = take(listing, sizeof(*state));
    holdfast__v1__lock_state__init(state);
    state->key = text_of(listing, listed->key, listed->key_length);
    state->mode = answer_mode(lease_mode(any));
    state->n_holders = holders->shown;
    state->holders = take(listing, (holders->shown + 1) * sizeof(void *));
    for (size_t i = 0; i < holders->shown; i++) {
        state->holders[i] = describe_holder(listing, holders->leases[i]);
    }
    state->n_waiters = waiters->shown;
    state->waiters = take(listing, (waiters->shown + 1) * sizeof(void *));
    for (size_t i = 0; i < waiters->shown; i++) {
        state->waiters[i] = describe_waiter(listing, waiters->leases[i]);
    }
    state->waiting = (uint32_t)waiters->count;
    return state;
}

static void reply(struct call *call, struct listing *listing)
{
    Holdfast__V1__ListLocksResponse response = HOLDFAST__V1__LIST_LOCKS_RESPONSE__INIT;
    size_t bytes = 0;
    response.locks = take(listing, (listing->count + 1) * sizeof(void *));
    while (response.n_locks < listing->count && bytes < LISTING_BYTES_MAX) {
        Holdfast__V1__LockState *state = describe(listing, listing->locks[response.n_locks]);
        response.locks[response.n_locks++] = state;
        bytes += protobuf_c_message_get_packed_size(&state->base);
    }
    if (response.n_locks > 0 && (listing->has_more || response.n_locks < listing->count)) {
        response.next_page_token = response.locks[response.n_locks - 1]->key;
    }
    call_reply(call, &response.base);
}

void listing_answer(struct call *call, const Holdfast__V1__ListLocksRequest *request,
                    size_t page_size)
{
    const struct services *services = call->session->services;
    struct listing listing = {
        .prefix = request->prefix,
        .prefix_length = strlen(request->prefix),
        .after = request->page_token,
        .after_length = strlen(request->page_token),
        .count_max = page_size,
        .now_us = loop_now_us(services->loop),
    };
    listing.locks = memory_alloc((page_size + 1) * sizeof(struct listed *));
    arena_init(&listing.arena, ARENA_LIMIT);
    keeper_visit(services->keeper, on_lease, &listing);
    reply(call, &listing);
    arena_release(&listing.arena);
    while (listing.count > 0) {
        free_listed(listing.locks[--listing.count]);
    }
    memory_free(listing.locks);
}
