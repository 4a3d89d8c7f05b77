/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "type.h"

static char *join(const char *scope, const char *name)
{
    const size_t size = strlen(scope) + strlen(name) + 2;
    char *joined = memory_take(size);
    snprintf(joined, size, "%s%s%s", scope, scope[0] == '\0' ? "" : ".", name);
    return joined;
}

static struct type *add_type(struct types *types, const char *scope, const char *name,
                             const Google__Protobuf__FileDescriptorProto *file)
{
    struct type *type = memory_take(sizeof(*type));
    type->name = join(scope, name);
    type->file = file;
    STAILQ_INSERT_TAIL(&types->known, type, link);
    return type;
}

static void add_enums(struct types *types, const char *scope,
                      const Google__Protobuf__FileDescriptorProto *file, size_t count,
                      Google__Protobuf__EnumDescriptorProto *const *enums)
{
    for (size_t i = 0; i < count; i++) {
        add_type(types, scope, enums[i]->name, file)->enumeration = enums[i];
    }
}

/* Messages stand within messages, to the depth that untrusted_unpack has let pass. */
static void add_messages(struct types *types, const char *scope,
                         const Google__Protobuf__FileDescriptorProto *file, size_t count,
                         Google__Protobuf__DescriptorProto *const *messages)
{
    for (size_t i = 0; i < count; i++) {
        const Google__Protobuf__DescriptorProto *message = messages[i];
        struct type *type = add_type(types, scope, message->name, file);
        type->message = message;
        add_messages(types, type->name, file, message->n_nested_type, message->nested_type);
        add_enums(types, type->name, file, message->n_enum_type, message->enum_type);
    }
}

void types_init(struct types *types)
{
    *types = (struct types){.files = NULL};
    STAILQ_INIT(&types->known);
    STAILQ_INIT(&types->wanted);
}

void types_release(struct types *types)
{
    struct type *type = NULL;
    while ((type = STAILQ_FIRST(&types->known)) != NULL) {
        STAILQ_REMOVE_HEAD(&types->known, link);
        type_destroy(type);
    }
    for (size_t i = 0; i < types->file_count; i++) {
        google__protobuf__file_descriptor_proto__free_unpacked(types->files[i], NULL);
        free(types->file_names[i]);
    }
    free(types->files);
    free(types->file_names);
    free(types->service);
}

static bool has_file(const struct types *types, const char *name)
{
    for (size_t i = 0; i < types->file_count; i++) {
        if (strcmp(types->file_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool types_add(struct types *types, const char *name, Google__Protobuf__FileDescriptorProto *file)
{
    const bool is_known = has_file(types, name);
    if (is_known || types->file_count == TYPES_FILES_MAX) {
        google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
        return is_known;
    }
    const size_t count = types->file_count++;
    types->files = memory_grow(types->files, (count + 1) * sizeof(void *));
    types->file_names = memory_grow(types->file_names, (count + 1) * sizeof(void *));
    types->files[count] = file;
    types->file_names[count] = join("", name);
    if (file != NULL) {
        add_messages(types, file->package, file, file->n_message_type, file->message_type);
        add_enums(types, file->package, file, file->n_enum_type, file->enum_type);
    }
    return true;
}

const char *types_missing(const struct types *types)
{
    for (size_t i = 0; i < types->file_count; i++) {
        const Google__Protobuf__FileDescriptorProto *file = types->files[i];
        for (size_t j = 0; file != NULL && j < file->n_dependency; j++) {
            if (!has_file(types, file->dependency[j])) {
                return file->dependency[j];
            }
        }
    }
    return NULL;
}

/* By the full name, in front of which a dot stands; it will be made. NULL: there is none. */
static struct type *want(struct types *types, const char *name)
{
    struct type *type = NULL;
    const char *plain = name[0] == '.' ? name + 1 : name;
    STAILQ_FOREACH (type, &types->known, link) {
        if (strcmp(type->name, plain) == 0) {
            break;
        }
    }
    if (type != NULL && !type->is_wanted) {
        type->is_wanted = true;
        STAILQ_INSERT_TAIL(&types->wanted, type, wanted);
    }
    return type;
}

/* Each may want others. */
static bool make_wanted(struct types *types, const char **wrong)
{
    struct type *type = NULL;
    while ((type = STAILQ_FIRST(&types->wanted)) != NULL) {
        STAILQ_REMOVE_HEAD(&types->wanted, wanted);
        if (!type_make(type, want, types, wrong)) {
            return false;
        }
    }
    return true;
}

const ProtobufCMessageDescriptor *types_find_message(struct types *types, const char *name,
                                                     char problem[SCHEMA_PROBLEM_SIZE])
{
    const char *wrong = name;
    const struct type *type = want(types, name);
    if (type == NULL || type->message == NULL || !make_wanted(types, &wrong)) {
        snprintf(problem, SCHEMA_PROBLEM_SIZE, "%.200s: the server does not describe this type",
                 wrong[0] == '.' ? wrong + 1 : wrong);
        return NULL;
    }
    return &type->made_message;
}

static const Google__Protobuf__MethodDescriptorProto *
find_in_service(const Google__Protobuf__ServiceDescriptorProto *service, const char *method)
{
    for (size_t i = 0; i < service->n_method; i++) {
        if (strcmp(service->method[i]->name, method) == 0) {
            return service->method[i];
        }
    }
    return NULL;
}

static const Google__Protobuf__MethodDescriptorProto *
find_in_file(const Google__Protobuf__FileDescriptorProto *file, const char *service,
             const char *method)
{
    const Google__Protobuf__MethodDescriptorProto *found = NULL;
    for (size_t i = 0; file != NULL && found == NULL && i < file->n_service; i++) {
        char *name = join(file->package, file->service[i]->name);
        if (strcmp(name, service) == 0) {
            found = find_in_service(file->service[i], method);
        }
        free(name);
    }
    return found;
}

bool types_find_method(struct types *types, const char *service, const char *method,
                       struct schema_method *found, char problem[SCHEMA_PROBLEM_SIZE])
{
    const Google__Protobuf__MethodDescriptorProto *from = NULL;
    for (size_t i = 0; from == NULL && i < types->file_count; i++) {
        from = find_in_file(types->files[i], service, method);
    }
    if (from == NULL) {
        snprintf(problem, SCHEMA_PROBLEM_SIZE,
                 "%.80s: %.80s has no such method; `holdfast list %.80s` shows them", method,
                 service, service);
        return false;
    }
    types->service = join("", service);
    types->method.name = from->name;
    types->method.input = types_find_message(types, from->input_type, problem);
    types->method.output =
        types->method.input == NULL ? NULL : types_find_message(types, from->output_type, problem);
    *found = (struct schema_method){
        .service = types->service,
        .method = &types->method,
        .is_client_streaming = from->client_streaming,
        .is_server_streaming = from->server_streaming,
    };
    return types->method.output != NULL;
}
