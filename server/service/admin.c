/* SPDX-License-Identifier: Apache-2.0 */
#include "service/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lease/lease.h"
#include "service/fields.h"
#include "service/fleet.h"
#include "service/listing.h"
#include "service/session.h"

#define PAGE_SIZE_DEFAULT ((size_t)100)
#define TOKEN_SIZE        21 /* any uint64 in decimal, with its NUL */

static void refuse(struct call *call, const char *problem)
{
    session_fail_call(call, STATUS_INVALID_ARGUMENT, "%s", problem);
}

static size_t size_or_default(uint32_t page_size)
{
    return page_size == 0 ? PAGE_SIZE_DEFAULT : page_size;
}

/* Numbers are written by us; what is none is not from an answer of ours. "" is 0. */
static bool take_number(const char *page_token, uint64_t *number, char problem[FIELDS_PROBLEM_SIZE])
{
    char *end = NULL;
    *number = 0;
    if (page_token[0] == '\0') {
        return true;
    }
    errno = 0;
    *number = strtoull(page_token, &end, 10);
    if (errno != 0 || *end != '\0' || page_token[0] < '0' || page_token[0] > '9') {
        snprintf(problem, FIELDS_PROBLEM_SIZE,
                 "page_token: not one that this list gave; empty to start");
        return false;
    }
    return true;
}

static bool check_name_part(const char *field, const char *text, char problem[FIELDS_PROBLEM_SIZE])
{
    size_t length = strlen(text);
    if (length > LEASE_KEY_MAX) {
        snprintf(problem, FIELDS_PROBLEM_SIZE, "%s: %zu bytes are too many; at most %d", field,
                 length, LEASE_KEY_MAX);
        return false;
    }
    return true;
}

static void list_fleet(struct call *call, const Holdfast__V1__ListLocksRequest *request)
{
    uint64_t cursor = 0;
    char problem[FIELDS_PROBLEM_SIZE];
    if (call->session->services->config.fleet == NULL) {
        session_fail_call(call, STATUS_UNIMPLEMENTED,
                          "fleet: this server cannot look into its store");
    } else if (!take_number(request->page_token, &cursor, problem)) {
        refuse(call, problem);
    } else {
        fleet_answer(call, request, cursor, size_or_default(request->page_size));
    }
}

static void admin_list_locks(Holdfast__V1__Admin_Service *service,
                             const Holdfast__V1__ListLocksRequest *request,
                             Holdfast__V1__ListLocksResponse_Closure closure, void *user)
{
    struct call *call = user;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_page_size(request->page_size, problem) ||
        !check_name_part("prefix", request->prefix, problem) ||
        !check_name_part("page_token", request->page_token, problem)) {
        refuse(call, problem);
    } else if (request->fleet) {
        list_fleet(call, request);
    } else {
        listing_answer(call, request, size_or_default(request->page_size));
    }
}

static void describe(Holdfast__V1__Connection *row, const struct session *session, int64_t now_us)
{
    holdfast__v1__connection__init(row);
    row->id = session->id;
    row->peer = session->peer;
    row->age_ms = (now_us - session->created_us) / CLOCK_US_PER_MS;
    row->calls = (uint32_t)session->call_count;
    row->leases = (uint32_t)session->lease_count;
}

/* Ids rise along the list. */
static void answer_connections(struct call *call, uint64_t after, size_t page_size)
{
    const struct services *services = call->session->services;
    const struct session *session = NULL;
    char token[TOKEN_SIZE];
    Holdfast__V1__ListConnectionsResponse response = HOLDFAST__V1__LIST_CONNECTIONS_RESPONSE__INIT;
    Holdfast__V1__Connection *rows = memory_alloc(page_size * sizeof(*rows));
    response.connections = memory_alloc(page_size * sizeof(void *));
    TAILQ_FOREACH (session, &services->session_list, link) {
        if (session->id <= after) {
            continue;
        }
        if (response.n_connections == page_size) {
            snprintf(token, sizeof(token), "%" PRIu64, rows[page_size - 1].id);
            response.next_page_token = token;
            break;
        }
        Holdfast__V1__Connection *row = &rows[response.n_connections];
        describe(row, session, loop_now_us(services->loop));
        response.connections[response.n_connections++] = row;
    }
    call_reply(call, &response.base);
    memory_free(response.connections);
    memory_free(rows);
}

static void admin_list_connections(Holdfast__V1__Admin_Service *service,
                                   const Holdfast__V1__ListConnectionsRequest *request,
                                   Holdfast__V1__ListConnectionsResponse_Closure closure,
                                   void *user)
{
    struct call *call = user;
    uint64_t after = 0;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_page_size(request->page_size, problem) ||
        !take_number(request->page_token, &after, problem)) {
        refuse(call, problem);
        return;
    }
    answer_connections(call, after, size_or_default(request->page_size));
}

Holdfast__V1__Admin_Service admin_service = HOLDFAST__V1__ADMIN__INIT(admin_);
