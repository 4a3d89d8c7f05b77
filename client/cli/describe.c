/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "metadata.h"
#include "output.h"
#include "proto_text.h"
#include "reflect.h"
#include "session.h"
#include "text.h"

/*
 * ---- list ----
 */

static void list_services(struct reflect *reflect)
{
    const Grpc__Reflection__V1__ListServiceResponse *list = reflect_services(reflect);
    for (size_t i = 0; list != NULL && i < list->n_service; i++) {
        char name[REFLECT_NAME_SIZE];
        text_clean(name, sizeof(name), list->service[i]->name);
        output_line("%s", name);
    }
}

static void list_methods_of(const Google__Protobuf__ServiceDescriptorProto *service,
                            const char *name)
{
    for (size_t i = 0; i < service->n_method; i++) {
        char shown[REFLECT_NAME_SIZE];
        text_clean(shown, sizeof(shown), service->method[i]->name);
        output_line("%s.%s", name, shown);
    }
}

static void list_methods(struct reflect *reflect, const char *symbol)
{
    char name[REFLECT_NAME_SIZE];
    if (!reflect_find(reflect, symbol, name)) {
        return;
    }
    for (size_t i = 0; i < reflect->file_count; i++) {
        const Google__Protobuf__FileDescriptorProto *file = reflect->files[i];
        const size_t length = strlen(file->package);
        const char *rest = name + (length > 0 ? length + 1 : 0);
        const bool is_inside = strncmp(name, file->package, length) == 0 && strlen(name) > length;
        for (size_t j = 0; is_inside && j < file->n_service; j++) {
            if (strcmp(file->service[j]->name, rest) == 0) {
                list_methods_of(file->service[j], name);
                return;
            }
        }
    }
    output_error("%s is no service; `holdfast list` shows the services.", reflect->session->key);
    session_end(reflect->session, EXIT_USAGE);
}

/*
 * ---- describe ----
 */

static void describe_one(struct reflect *reflect, const char *symbol)
{
    char name[REFLECT_NAME_SIZE];
    if (!reflect_find(reflect, symbol, name)) {
        return;
    }
    for (size_t i = 0; i < reflect->file_count; i++) {
        if (proto_text_print(reflect->files[i], name)) {
            return;
        }
    }
    output_error("%s: the server's descriptors do not have what it says they have.",
                 reflect->session->key);
    session_end(reflect->session, EXIT_UNEXPECTED);
}

static char **copy_names(const Grpc__Reflection__V1__ListServiceResponse *list)
{
    char **names = memory_take(list->n_service * sizeof(*names));
    for (size_t i = 0; i < list->n_service; i++) {
        const size_t size = strlen(list->service[i]->name) + 1;
        names[i] = memory_take(size);
        memcpy(names[i], list->service[i]->name, size);
    }
    return names;
}

/* The list goes with the next question. */
static void describe_services(struct reflect *reflect)
{
    const Grpc__Reflection__V1__ListServiceResponse *list = reflect_services(reflect);
    if (list == NULL) {
        return;
    }
    const size_t count = list->n_service;
    char **names = copy_names(list);
    for (size_t i = 0; i < count; i++) {
        if (!reflect->session->is_ended) {
            describe_one(reflect, names[i]);
        }
        free(names[i]);
    }
    free(names);
}

static int ask(const struct arguments *arguments, void (*everything)(struct reflect *reflect),
               void (*one)(struct reflect *reflect, const char *symbol))
{
    struct session session;
    if (!session_open(&session, arguments)) {
        return session_close(&session);
    }
    struct reflect reflect;
    struct metadata metadata;
    metadata_init(&metadata, arguments);
    reflect_open(&reflect, &session, metadata.headers, metadata.count);
    if (arguments->key == NULL) {
        everything(&reflect);
    } else {
        one(&reflect, arguments->key);
    }
    session_end(&session, EXIT_OK);
    reflect_close(&reflect);
    metadata_release(&metadata);
    session_flush(&session);
    return session_close(&session);
}

int command_list(const struct arguments *arguments)
{
    return ask(arguments, list_services, list_methods);
}

int command_describe(const struct arguments *arguments)
{
    return ask(arguments, describe_services, describe_one);
}
