/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/party.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/utf8.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/queue.h"

#define DEPTH_MAX  16    /* links of a circle */
#define LEASES_MAX 10000 /* looked at in one search */
#define SHOWN_MAX  64    /* bytes of a name in the text */

/* One link: somebody waits for this lock, because of this party. */
struct link {
    const struct lock *lock;
    const struct lease_party *blocker;
    bool holds; /* else it only waits before us */
};

struct search {
    const struct lease_party *origin;
    uint64_t visit;
    size_t leases_left;
    struct link links[DEPTH_MAX];
    size_t depth;
};

/* One wait: of a lease in the queue (those before it matter), or of one still to come. */
struct wait {
    const struct lock *lock;
    const struct lease *lease; /* NULL: behind all of them */
    enum store_mode mode;
    uint32_t limit;
    bool is_detached;
};

static bool search_wait(struct search *search, const struct wait *wait);

static bool search_party(struct search *search, struct lease_party *party)
{
    const struct lease *lease = NULL;
    if (party->visit == search->visit) {
        return false;
    }
    party->visit = search->visit;
    LIST_FOREACH (lease, &party->waits, terms->place->of_party) {
        const struct wait wait = {.lock = lease->lock,
                                  .lease = lease,
                                  .mode = lease->mode,
                                  .limit = lease_terms(lease)->limit,
                                  .is_detached = lease->is_detached};
        if (search_wait(search, &wait)) {
            return true;
        }
    }
    return false;
}

/* Whether the circle closes through this blocker: it must be one of the origin's that holds a lock,
 * for another that only waits gets along without it; and only a party in between makes a circle. */
static bool search_blocker(struct search *search, const struct wait *wait,
                           const struct lease *blocker, bool holds)
{
    struct lease_party *party = lease_party(blocker);
    if (party == NULL || search->leases_left == 0 || search->depth == DEPTH_MAX) {
        return false;
    }
    search->leases_left--;
    search->links[search->depth] = (struct link){wait->lock, party, holds};
    search->depth++;
    const bool is_closed = party == search->origin;
    const bool is_found = is_closed ? holds && search->depth > 1 : search_party(search, party);
    if (!is_found) {
        search->depth--;
    }
    return is_found;
}

/* Readers do not wait for readers that have the lock, whatever limit these asked for. */
static bool keeps_out(const struct wait *wait, const struct lease *holder)
{
    return wait->mode == STORE_EXCLUSIVE || holder->mode == STORE_EXCLUSIVE || wait->limit > 0;
}

/* Nor for those before them in the queue, as long as both ask along with the first one there. */
static bool goes_before(const struct wait *wait, const struct lease *waiter)
{
    return keeps_out(wait, waiter) || wait->is_detached || !lease_is_reader(waiter);
}

static bool search_wait(struct search *search, const struct wait *wait)
{
    const struct tenure *tenure = NULL;
    const struct lease *lease = NULL;
    LIST_FOREACH (tenure, &wait->lock->tenures, link) {
        lease = tenure->lease;
        if (lease != NULL && tenure_is_held(tenure) && keeps_out(wait, lease) &&
            search_blocker(search, wait, lease, true)) {
            return true;
        }
    }
    if (wait->lock->queue == NULL) {
        return false;
    }
    TAILQ_FOREACH (lease, &wait->lock->queue->waiters, terms->place->link) {
        if (lease == wait->lease || search->leases_left == 0) {
            break;
        }
        if (goes_before(wait, lease) && search_blocker(search, wait, lease, false)) {
            return true;
        }
    }
    return false;
}

static void PRINTF_LIKE(4, 5) append(char *text, size_t size, size_t *used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text + *used, size - *used, format, arguments);
    va_end(arguments);
    *used = length < 0 || (size_t)length >= size - *used ? size - 1 : *used + (size_t)length;
}

static void append_lock(char *text, size_t size, size_t *used, const struct lock *lock)
{
    char shown[SHOWN_MAX + 1];
    size_t length = 0;
    utf8_clean(lock->key, lock->key_length, shown, SHOWN_MAX, &length);
    shown[length] = '\0';
    append(text, size, used, "%s", shown);
}

static void spell_out(const struct search *search, char *text, size_t size)
{
    size_t used = 0;
    append(text, size, &used, "waiting would never end: %s would wait for ", search->origin->name);
    for (size_t i = 0; i < search->depth; i++) {
        const struct link *link = &search->links[i];
        if (i > 0) {
            append(text, size, &used, ", which waits for ");
        }
        append_lock(text, size, &used, link->lock);
        append(text, size, &used, link->holds ? ", held by %s" : ", for which waits before it %s",
               link->blocker->name);
    }
}

void party_init(struct lease_party *party, const char *name)
{
    *party = (struct lease_party){.name = name};
    LIST_INIT(&party->waits);
}

void party_release(struct lease_party *party)
{
    CHECK(party->leases == 0);
    CHECK(LIST_EMPTY(&party->waits));
}

bool party_would_deadlock(struct lease_party *party, const struct lock *lock,
                          const struct lease_ask *ask, char *text, size_t size)
{
    static uint64_t visits;
    if (party->leases == 0) {
        return false; /* nobody can wait for it */
    }
    struct search search = {.origin = party, .visit = ++visits, .leases_left = LEASES_MAX};
    const struct wait wait = {
        .lock = lock, .mode = ask->mode, .limit = ask->limit, .is_detached = ask->is_detached};
    if (!search_wait(&search, &wait)) {
        return false;
    }
    spell_out(&search, text, size);
    return true;
}
