/* SPDX-License-Identifier: Apache-2.0 */
#include "service/health.h"

#include <string.h>

#include "base/memory.h"
#include "service/methods.h"
#include "service/session.h"

#define NAMES_MAX 32 /* services, and "" */

/* The generated names are long. */
enum serving {
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    SERVICE_UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

struct health_watch {
    LIST_ENTRY(health_watch) link;
    struct call *call;
    bool is_known; /* the service exists */
    enum serving told;
};

static enum serving status_now(const struct health *health)
{
    return health->is_store_up && !health->is_draining ? SERVING : NOT_SERVING;
}

static bool is_known(const char *service)
{
    bool is_service_known = false;
    (void)methods_find(service, "", &is_service_known);
    return service[0] == '\0' || is_service_known;
}

static Grpc__Health__V1__HealthCheckResponse response_of(enum serving status)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return response;
}

/*
 * ---- Check, List ----
 */

static void health_check(Grpc__Health__V1__Health_Service *service,
                         const Grpc__Health__V1__HealthCheckRequest *request,
                         Grpc__Health__V1__HealthCheckResponse_Closure closure, void *user)
{
    struct call *call = user;
    (void)service;
    (void)closure;
    if (!is_known(request->service)) {
        session_fail_call(call, STATUS_NOT_FOUND,
                          "service: there is no \"%.80s\" here; \"\" is the server as a whole",
                          request->service);
        return;
    }
    Grpc__Health__V1__HealthCheckResponse response =
        response_of(status_now(&call->session->services->health));
    call_reply(call, &response.base);
}

/* The names that have a status, each once; rows of one service stand together. */
static size_t gather_names(const char *names[NAMES_MAX])
{
    size_t count = 0;
    names[count++] = "";
    for (size_t i = 0; i < method_table.count && count < NAMES_MAX; i++) {
        const char *name = method_table.rows[i].service;
        if (strcmp(names[count - 1], name) != 0) {
            names[count++] = name;
        }
    }
    return count;
}

static void health_list(Grpc__Health__V1__Health_Service *service,
                        const Grpc__Health__V1__HealthListRequest *request,
                        Grpc__Health__V1__HealthListResponse_Closure closure, void *user)
{
    struct call *call = user;
    const char *names[NAMES_MAX];
    Grpc__Health__V1__HealthListResponse__StatusesEntry entries[NAMES_MAX];
    Grpc__Health__V1__HealthListResponse__StatusesEntry *pointers[NAMES_MAX];
    Grpc__Health__V1__HealthListResponse response = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    Grpc__Health__V1__HealthCheckResponse status =
        response_of(status_now(&call->session->services->health));
    (void)service;
    (void)request;
    (void)closure;
    response.n_statuses = gather_names(names);
    response.statuses = pointers;
    for (size_t i = 0; i < response.n_statuses; i++) {
        grpc__health__v1__health_list_response__statuses_entry__init(&entries[i]);
        entries[i].key = (char *)names[i]; /* protobuf-c only reads it */
        entries[i].value = &status;
        pointers[i] = &entries[i];
    }
    call_reply(call, &response.base);
}

/*
 * ---- Watch ----
 */

static void tell(struct health_watch *watch, enum serving status)
{
    Grpc__Health__V1__HealthCheckResponse response = response_of(status);
    watch->told = status;
    call_send(watch->call, &response.base);
}

/* Lets go of the call, which is still to be finished. */
static struct call *end(struct health_watch *watch)
{
    struct call *call = watch->call;
    LIST_REMOVE(watch, link);
    call->user = NULL;
    call->on_cancel = NULL;
    memory_free(watch);
    return call;
}

static void on_cancel(struct call *call)
{
    end(call->user);
}

static void end_for_shutdown(struct call *call)
{
    session_fail_call(call, STATUS_UNAVAILABLE, "the server is shutting down; ask another one");
}

/* A half-close is the end of the request and nothing more: clients send it right behind. */
static void health_watch(Grpc__Health__V1__Health_Service *service,
                         const Grpc__Health__V1__HealthCheckRequest *request,
                         Grpc__Health__V1__HealthCheckResponse_Closure closure, void *user)
{
    struct call *call = user;
    struct health *health = &call->session->services->health;
    struct health_watch *watch = memory_alloc(sizeof(*watch));
    (void)service;
    (void)closure;
    watch->call = call;
    watch->is_known = is_known(request->service);
    LIST_INSERT_HEAD(&health->watches, watch, link);
    call->user = watch;
    call->on_cancel = on_cancel;
    tell(watch, watch->is_known ? status_now(health) : SERVICE_UNKNOWN);
    if (health->is_draining) {
        end_for_shutdown(end(watch));
    }
}

static void tell_all(struct health *health)
{
    struct health_watch *watch = NULL;
    LIST_FOREACH (watch, &health->watches, link) {
        if (watch->is_known && watch->told != status_now(health)) {
            tell(watch, status_now(health));
        }
    }
}

void health_init(struct health *health)
{
    *health = (struct health){.is_store_up = false};
    LIST_INIT(&health->watches);
}

void health_set_store(struct health *health, bool is_up)
{
    health->is_store_up = is_up;
    tell_all(health);
}

void health_set_draining(struct health *health)
{
    struct health_watch *watch = NULL;
    health->is_draining = true;
    tell_all(health);
    while ((watch = LIST_FIRST(&health->watches)) != NULL) {
        end_for_shutdown(end(watch));
    }
}

Grpc__Health__V1__Health_Service health_service = GRPC__HEALTH__V1__HEALTH__INIT(health_);
