/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <holdfast/v1/admin.pb-c.h>
#include <holdfast/v1/locks.pb-c.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 160

/* Made by the build; see CMakeLists.txt. */
extern const unsigned char cli_protoset[];
extern const size_t cli_protoset_size;

static const ProtobufCServiceDescriptor *const services[] = {
    &holdfast__v1__locks__descriptor,
    &holdfast__v1__admin__descriptor,
    &grpc__health__v1__health__descriptor,
    &grpc__reflection__v1__server_reflection__descriptor,
};

#define SERVICE_COUNT (sizeof(services) / sizeof(services[0]))

static bool is_called(const ProtobufCServiceDescriptor *service, const char *name, size_t length)
{
    return (strlen(service->name) == length && strncmp(service->name, name, length) == 0) ||
           (strlen(service->short_name) == length &&
            strncmp(service->short_name, name, length) == 0);
}

/* NULL when there is none, or more than one. */
static const ProtobufCServiceDescriptor *find_service(const char *name, size_t length)
{
    const ProtobufCServiceDescriptor *found = NULL;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        if (is_called(services[i], name, length)) {
            if (found != NULL) {
                return NULL;
            }
            found = services[i];
        }
    }
    return found;
}

/* What the service is called in the .proto file of this package, or NULL. */
static const Google__Protobuf__ServiceDescriptorProto *
service_of(const Google__Protobuf__FileDescriptorProto *file, const char *service)
{
    for (size_t i = 0; i < file->n_service; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof(name), "%s.%s", file->package, file->service[i]->name);
        if (strcmp(name, service) == 0) {
            return file->service[i];
        }
    }
    return NULL;
}

static void take_streaming(struct schema_method *found,
                           const Google__Protobuf__ServiceDescriptorProto *service)
{
    for (size_t i = 0; service != NULL && i < service->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *method = service->method[i];
        if (strcmp(method->name, found->method->name) == 0) {
            found->is_client_streaming = method->client_streaming;
            found->is_server_streaming = method->server_streaming;
        }
    }
}

/* protobuf-c's descriptors do not tell streams; the descriptor set that is built in does. */
static void find_streaming(struct schema_method *found)
{
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, cli_protoset_size, cli_protoset);
    for (size_t i = 0; set != NULL && i < set->n_file; i++) {
        take_streaming(found, service_of(set->file[i], found->service));
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

bool schema_find(const char *name, struct schema_method *found, char problem[SCHEMA_PROBLEM_SIZE])
{
    const char *slash = strchr(name, '/');
    const char *last = slash != NULL ? slash : strrchr(name, '.');
    if (last == NULL) {
        snprintf(problem, SCHEMA_PROBLEM_SIZE,
                 "%.80s: a method is written as SERVICE/METHOD: Locks/Acquire", name);
        return false;
    }
    const ProtobufCServiceDescriptor *service = find_service(name, (size_t)(last - name));
    if (service == NULL) {
        snprintf(problem, SCHEMA_PROBLEM_SIZE,
                 "%.80s: this program knows no such service; `holdfast list` shows the server's",
                 name);
        return false;
    }
    *found = (struct schema_method){
        .service = service->name,
        .method = protobuf_c_service_descriptor_get_method_by_name(service, last + 1),
    };
    if (found->method == NULL) {
        snprintf(problem, SCHEMA_PROBLEM_SIZE,
                 "%.80s: this program knows no such method; `holdfast list %s` shows the server's",
                 name, service->name);
        return false;
    }
    find_streaming(found);
    return true;
}

void schema_visit(void (*visit)(const char *name, void *user), void *user)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        for (unsigned j = 0; j < services[i]->n_methods; j++) {
            char name[NAME_SIZE];
            snprintf(name, sizeof(name), "%s/%s", services[i]->short_name,
                     services[i]->methods[j].name);
            visit(name, user);
        }
    }
}
