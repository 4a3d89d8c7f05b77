/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service grpc.health.v1.Health: whether the server serves. The app says what it knows of the
 * store and of shutting down; whoever watches hears of each change. All services have one status,
 * since all need the store.
 */
#ifndef HOLDFAST_SERVICE_HEALTH_H
#define HOLDFAST_SERVICE_HEALTH_H

#include <grpc/health/v1/health.pb-c.h>
#include <stdbool.h>
#include <sys/queue.h>

struct health_watch;
LIST_HEAD(health_watch_list, health_watch);

struct health {
    bool is_store_up;
    bool is_draining;
    struct health_watch_list watches;
};

/* The store is away until health_set_store says otherwise. */
void health_init(struct health *health);

/* The store can be reached, or cannot any more. */
void health_set_store(struct health *health, bool is_up);

/* The server shuts down: those who watch are told so and their calls ended, as they would keep a
 * drain waiting. There is no way back. */
void health_set_draining(struct health *health);

/* The generated vtable with our handlers; never changes. */
extern Grpc__Health__V1__Health_Service health_service;

#endif
