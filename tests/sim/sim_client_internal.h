/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a client, for its own files. */
#ifndef SIM_CLIENT_INTERNAL_H
#define SIM_CLIENT_INTERNAL_H

struct client;
struct sidecar;

/* sim_client_lease.c: asks for a lease. */
void client_start_lease(struct client *client, struct sidecar *sidecar);

/* The sidecar is being killed. */
void client_disown_lease(struct client *client);

/* sim_client_errand.c: asks through errands. */
void client_start_detached(struct client *client);
void client_start_inspect(struct client *client);

/* The sidecar is being killed. */
void client_disown_errand(struct client *client);

/* The client has all its answers. */
void client_finish(struct client *client);

#endif
