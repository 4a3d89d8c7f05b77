/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges, declared once. Components get a pointer at creation and count with
 * `metrics->leases_granted++`. One thread, so plain integers.
 */
#ifndef HOLDFAST_BASE_METRICS_H
#define HOLDFAST_BASE_METRICS_H

#include <stdint.h>

struct log_field;

/* X(name, help). Names ending in _now are gauges, the others only rise. */
#define METRICS(X)                                                                                 \
    X(connections_now, "client connections open")                                                  \
    X(connections_accepted, "client connections accepted")                                         \
    X(connections_refused, "client connections refused because a limit was reached")               \
    X(accept_backoffs, "times accepting paused because descriptors ran out")                       \
    X(protocol_errors, "connections closed because their bytes made no sense")                     \
    X(slow_clients_closed, "connections closed because their output passed its limit")             \
    X(calls_now, "calls being worked on")                                                          \
    X(calls_started, "calls started")                                                              \
    X(calls_failed, "calls answered with a status other than OK")                                  \
    X(calls_refused, "calls refused because a limit was reached")                                  \
    X(calls_deadline_exceeded, "calls whose deadline passed")                                      \
    X(leases_now, "leases held or being settled")                                                  \
    X(leases_waiting_now, "acquires waiting for their lock")                                       \
    X(leases_granted, "leases granted")                                                            \
    X(leases_handed_on, "leases granted in memory to the next waiter")                             \
    X(leases_orphaned, "leases kept for a while after their connection dropped")                   \
    X(leases_resumed, "leases taken over by their token")                                          \
    X(deadlocks_found, "acquires refused because they would have waited in a circle")              \
    X(leases_busy, "acquires that found the lock held")                                            \
    X(leases_released, "leases released by their holder")                                          \
    X(leases_revoked, "leases given up because their holder went away")                            \
    X(leases_lost, "leases lost")                                                                  \
    X(leases_at_risk, "times a lease became at risk")                                              \
    X(leases_refused, "acquires refused because a limit was reached")                              \
    X(renewals_confirmed, "renewals confirmed by Redis")                                           \
    X(redis_connects, "connections to Redis made")                                                 \
    X(redis_disconnects, "connections to Redis lost or given up")                                  \
    X(redis_batches, "batches sent to Redis")                                                      \
    X(redis_operations, "lease operations sent to Redis")                                          \
    X(redis_unknown, "lease operations whose answer was lost or late")                             \
    X(redis_script_reloads, "batches sent again in full because Redis had forgotten the script")   \
    X(redis_subscribes, "times this server began to hear messages from Redis")                     \
    X(redis_unsubscribes, "times it ceased to")                                                    \
    X(redis_messages, "messages from Redis")                                                       \
    X(redis_messages_ignored, "messages from Redis that were too long or made no sense")           \
    X(redis_watches_now, "locks whose changes this server hears of")                               \
    X(redis_watches_refused, "locks whose changes it does not, because a limit was reached")       \
    X(redis_operations_now, "lease operations waiting or in flight")                               \
    X(embedded_restarts, "times the embedded Redis was started again")

struct metrics {
#define X(name, help) uint64_t name;
    METRICS(X)
#undef X
};

/* Writes one "metrics" event with every value to the log. */
void metrics_log(const struct metrics *metrics);

#endif
