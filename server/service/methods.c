/* SPDX-License-Identifier: Apache-2.0 */
#include "service/methods.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "service/admin.h"
#include "service/health.h"
#include "service/locks.h"
#include "service/reflection.h"

/* clang-format off */
static const struct method rows[] = {
    {.service = "holdfast.v1.Locks", .name = "Acquire", .takes_lease = true,
     .table = &locks_service.base, .index = 0,
     .input = &holdfast__v1__acquire_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Renew",
     .table = &locks_service.base, .index = 1,
     .input = &holdfast__v1__renew_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Release",
     .table = &locks_service.base, .index = 2,
     .input = &holdfast__v1__release_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Resume", .takes_lease = true,
     .table = &locks_service.base, .index = 3,
     .input = &holdfast__v1__resume_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Inspect",
     .table = &locks_service.base, .index = 4,
     .input = &holdfast__v1__inspect_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Watch", .is_server_streaming = true,
     .table = &locks_service.base, .index = 5,
     .input = &holdfast__v1__watch_request__descriptor},
    {.service = "holdfast.v1.Locks", .name = "Hold", .takes_lease = true,
     .is_client_streaming = true, .is_server_streaming = true,
     .table = &locks_service.base, .index = 6,
     .input = &holdfast__v1__hold_request__descriptor},
    {.service = "holdfast.v1.Admin", .name = "ListLocks",
     .table = &admin_service.base, .index = 0,
     .input = &holdfast__v1__list_locks_request__descriptor},
    {.service = "holdfast.v1.Admin", .name = "ListConnections",
     .table = &admin_service.base, .index = 1,
     .input = &holdfast__v1__list_connections_request__descriptor},
    {.service = "grpc.health.v1.Health", .name = "Check", .needs_no_tls = true,
     .table = &health_service.base, .index = 0,
     .input = &grpc__health__v1__health_check_request__descriptor},
    {.service = "grpc.health.v1.Health", .name = "List", .needs_no_tls = true,
     .table = &health_service.base, .index = 1,
     .input = &grpc__health__v1__health_list_request__descriptor},
    {.service = "grpc.health.v1.Health", .name = "Watch", .needs_no_tls = true,
     .is_server_streaming = true,
     .table = &health_service.base, .index = 2,
     .input = &grpc__health__v1__health_check_request__descriptor},
    {.service = "grpc.reflection.v1.ServerReflection", .name = "ServerReflectionInfo",
     .is_client_streaming = true, .is_server_streaming = true,
     .table = &reflection_service.base, .index = 0,
     .input = &grpc__reflection__v1__server_reflection_request__descriptor},
    {.service = "grpc.reflection.v1alpha.ServerReflection", .name = "ServerReflectionInfo",
     .is_client_streaming = true, .is_server_streaming = true, .is_alias = true,
     .table = &reflection_service.base, .index = 0,
     .input = &grpc__reflection__v1__server_reflection_request__descriptor},
};
/* clang-format on */

static const ProtobufCServiceDescriptor *const services[] = {
    &holdfast__v1__locks__descriptor,
    &holdfast__v1__admin__descriptor,
    &grpc__health__v1__health__descriptor,
    &grpc__reflection__v1__server_reflection__descriptor,
};

const struct method_table method_table = {
    .rows = rows,
    .count = COUNT_OF(rows),
    .services = services,
    .service_count = COUNT_OF(services),
};

static bool row_agrees(const struct method *row, char problem[METHODS_PROBLEM_SIZE])
{
    const ProtobufCServiceDescriptor *service = row->table->descriptor;
    if (!row->is_alias && strcmp(row->service, service->name) != 0) {
        snprintf(problem, METHODS_PROBLEM_SIZE, "row %s/%s is served by %s", row->service,
                 row->name, service->name);
        return false;
    }
    if (row->index >= service->n_methods ||
        strcmp(row->name, service->methods[row->index].name) != 0) {
        snprintf(problem, METHODS_PROBLEM_SIZE, "row %s/%s: no such method at index %u",
                 row->service, row->name, row->index);
        return false;
    }
    if (row->input != service->methods[row->index].input) {
        snprintf(problem, METHODS_PROBLEM_SIZE, "row %s/%s: its input is %s", row->service,
                 row->name, service->methods[row->index].input->name);
        return false;
    }
    return true;
}

static bool service_is_covered(const struct method_table *table,
                               const ProtobufCServiceDescriptor *service,
                               char problem[METHODS_PROBLEM_SIZE])
{
    for (unsigned index = 0; index < service->n_methods; index++) {
        size_t found = 0;
        for (size_t i = 0; i < table->count; i++) {
            const struct method *row = &table->rows[i];
            if (!row->is_alias && row->table->descriptor == service && row->index == index) {
                found++;
            }
        }
        if (found != 1) {
            snprintf(problem, METHODS_PROBLEM_SIZE, "method %s/%s has %zu rows", service->name,
                     service->methods[index].name, found);
            return false;
        }
    }
    return true;
}

const struct method *methods_find(const char *service, const char *name, bool *is_service_known)
{
    *is_service_known = false;
    for (size_t i = 0; i < method_table.count; i++) {
        const struct method *row = &method_table.rows[i];
        if (strcmp(row->service, service) == 0) {
            *is_service_known = true;
            if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

void methods_init(void)
{
    char problem[METHODS_PROBLEM_SIZE];
    bool do_agree = methods_agree(&method_table, problem);
    if (!do_agree) {
        fprintf(stderr, "method table: %s\n", problem);
    }
    CHECK(do_agree);
}

bool methods_agree(const struct method_table *table, char problem[METHODS_PROBLEM_SIZE])
{
    problem[0] = '\0';
    for (size_t i = 0; i < table->count; i++) {
        if (!row_agrees(&table->rows[i], problem)) {
            return false;
        }
    }
    for (size_t i = 0; i < table->service_count; i++) {
        if (!service_is_covered(table, table->services[i], problem)) {
            return false;
        }
    }
    return true;
}
