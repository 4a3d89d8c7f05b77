/* SPDX-License-Identifier: Apache-2.0 */
#include "election.h"

#include <event2/event.h>

#include "ask.h"
#include "base/check.h"
#include "base/memory.h"

/* Between two attempts when the first cannot be made or is refused for now. */
static const struct timeval pause_after_trouble = {.tv_sec = 1};

struct holdfast_election {
    LIST_ENTRY(holdfast_election) link; /* while the client is there */
    struct holdfast_async *client;      /* NULL: closed */
    struct holdfast_ask ask;
    struct holdfast_lease_events told; /* what the application wants to hear of each hold */
    struct holdfast_election_events events;
    uint64_t request; /* the hold that is asked for; 0: none */
    struct holdfast_lease *lease;
    struct event *timer;
    bool is_ended; /* the application has ended it; the answer to `request` frees it */
};

static void stand(struct holdfast_election *election);

static void election_destroy(struct holdfast_election *election)
{
    ask_release(&election->ask);
    memory_free(election);
}

/* Forgets the client. */
static void detach(struct holdfast_election *election)
{
    LIST_REMOVE(election, link);
    event_free(election->timer);
    election->client = NULL;
}

/* Telling comes last, for the application may end the election then. */
static void take_trouble(struct holdfast_election *election, enum holdfast_result result,
                         const char *error)
{
    const bool is_for_good = result == HOLDFAST_INVALID || result == HOLDFAST_REFUSED;
    if (!is_for_good) {
        CHECK(evtimer_add(election->timer, &pause_after_trouble) == 0);
    }
    if (election->events.on_trouble != NULL) {
        election->events.on_trouble(election, result, error, election->events.user);
    }
}

static void on_held(enum holdfast_result result, struct holdfast_lease *lease,
                    const struct holdfast_holder *holder, const char *error, void *user)
{
    struct holdfast_election *election = user;
    (void)holder;
    election->request = 0;
    if (election->is_ended) {
        holdfast_lease_free(lease);
        election_destroy(election);
    } else if (election->client == NULL) {
        holdfast_lease_free(lease);
    } else if (lease != NULL) {
        election->lease = lease;
        election->events.on_elected(election, lease, election->events.user);
    } else if (result == HOLDFAST_BUSY) {
        stand(election);
    } else {
        take_trouble(election, result, error);
    }
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct holdfast_election *election = user;
    CHECK(lease == election->lease);
    election->lease = NULL;
    holdfast_lease_free(lease);
    stand(election);
    election->events.on_deposed(election, loss, election->events.user);
}

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    const struct holdfast_election *election = user;
    election->told.on_at_risk(lease, valid_for_ms, election->told.user);
}

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    const struct holdfast_election *election = user;
    election->told.on_queued(position, holder, election->told.user);
}

static void stand(struct holdfast_election *election)
{
    election->request = holdfast_async_hold(election->client, &election->ask, on_held, election);
}

static void on_pause_over(int descriptor, short what, void *user)
{
    (void)descriptor;
    (void)what;
    stand(user);
}

struct holdfast_election *election_start(struct holdfast_async *client,
                                         const struct holdfast_ask *ask,
                                         const struct holdfast_election_events *events)
{
    struct holdfast_election *election = memory_alloc(sizeof(*election));
    election->client = client;
    election->events = *events;
    election->told = ask->events;
    ask_copy(&election->ask, ask);
    election->ask.wait_ms = HOLDFAST_WAIT_MAX;
    election->ask.events = (struct holdfast_lease_events){
        .on_at_risk = ask->events.on_at_risk != NULL ? on_at_risk : NULL,
        .on_queued = ask->events.on_queued != NULL ? on_queued : NULL,
        .on_lost = on_lost,
        .user = election,
    };
    election->timer = evtimer_new(client->base, on_pause_over, election);
    CHECK(election->timer != NULL);
    LIST_INSERT_HEAD(&client->elections, election, link);
    stand(election);
    return election;
}

void holdfast_election_end(struct holdfast_election *election)
{
    if (election == NULL) {
        return;
    }
    struct holdfast_async *client = election->client;
    if (client != NULL) {
        detach(election);
    }
    holdfast_lease_free(election->lease);
    election->lease = NULL;
    if (election->request == 0) {
        election_destroy(election);
        return;
    }
    election->is_ended = true;
    (void)holdfast_async_cancel(client, election->request);
}

void election_close_all(struct holdfast_async *client)
{
    struct holdfast_election *election;
    while ((election = LIST_FIRST(&client->elections)) != NULL) {
        detach(election);
    }
}
