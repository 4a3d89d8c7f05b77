/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a client, for its own files and bundles. */
#ifndef SIM_CLIENT_INTERNAL_H
#define SIM_CLIENT_INTERNAL_H

#include "sim_client.h"

/* sim_client_lease.c: asks for a lease, or for a detached one, `delay_us` from now. */
void client_start_lease(struct client *client, int64_t delay_us);

/* The sidecar is being killed. */
void client_disown_lease(struct client *client);

/* What a client asks for, by its sidecar's clock. */
struct lease_ask client_ask(struct client *client, int64_t now_us);

/* Whoever its lease reports to. */
void client_on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us);

/* sim_client_hold.c: it has been granted its lease, for how long it will. */
void client_start_holding(struct client *client);

/* Gives the lease up without a word, in any state. Within a turn of its sidecar. */
void client_drop(struct client *client);

/* It lost its connection but has a grace: comes back later, or never. */
void client_go_away(struct client *client, int64_t deadline_us);

/* sim_client_errand.c: asks through errands. */
void client_start_inspect(struct client *client);

/* A detached lease was granted: renews it for a while, then releases it. */
void client_hold_detached(struct client *client, int64_t deadline_us);

/* The sidecar is being killed. */
void client_disown_errand(struct client *client);

/* Moves to another state, which is not DONE. */
void client_change_state(struct client *client, enum client_state state);

/* The client has all its answers. */
void client_finish(struct client *client);

#endif
