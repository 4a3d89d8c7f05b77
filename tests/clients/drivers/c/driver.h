/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes libholdfast do what the lines on stdin say; ../README.md is the language. One object here
 * is one named lease, watch, election or request that waits.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <holdfast/holdfast.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct driver;

/* A request that was sent to the library; freed by its answer. */
struct driver_request {
    LIST_ENTRY(driver_request) link;
    struct driver *driver;
    json_int_t id;
    uint64_t number; /* for holdfast_async_cancel; 0: it cannot be */
    struct driver_lease *lease;
};

/* A lease by the name that its request gave; it lives until the driver ends. */
struct driver_lease {
    LIST_ENTRY(driver_lease) link;
    struct driver *driver;
    char *name;
    json_int_t asked_by; /* the id of the request */
    struct holdfast_lease *lease;
};

struct driver_watch {
    LIST_ENTRY(driver_watch) link;
    struct driver *driver;
    char *name;
    struct holdfast_watch *watch;
};

struct driver_election {
    LIST_ENTRY(driver_election) link;
    char *name;
    struct holdfast_election *election;
};

struct driver {
    struct event_base *base;
    struct holdfast_async *holdfast;
    LIST_HEAD(, driver_request) requests;
    LIST_HEAD(, driver_lease) leases;
    LIST_HEAD(, driver_watch) watches;
    LIST_HEAD(, driver_election) elections;
};

/* Writes one line; takes the object over. */
void driver_say(json_t *line);

/* Answers request `id`; `extra` (may be NULL) is taken over and added. */
void driver_answer(json_int_t id, enum holdfast_result result, const char *error, json_t *extra);

/* NULL for a lock that is free. */
json_t *driver_holder(const struct holdfast_holder *holder);

/* Does one request. A request that makes no sense ends the program. */
void driver_do(struct driver *driver, const json_t *request);

/* The text of a field, NULL when it is not there. */
const char *driver_text(const json_t *request, const char *name);

/* Closes the client, then frees what it was asked for. */
void driver_release(struct driver *driver);

#endif
