/* SPDX-License-Identifier: Apache-2.0 */
#include "service/descriptors.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

#define FILES_MAX 64
#define NAME_SIZE 256 /* of a full name; ours are shorter */

/* Made by the build; see CMakeLists.txt. */
extern const unsigned char protoset[];
extern const size_t protoset_size;

struct file {
    char *name;
    uint8_t *bytes;
    size_t length;
    size_t *imports; /* indices */
    size_t import_count;
};

struct symbol {
    char *name;
    size_t file;
};

struct descriptors {
    struct file files[FILES_MAX];
    size_t file_count;
    struct symbol *symbols;
    size_t symbol_count;
    size_t symbol_room;
};

/* What gathers the names of one file. */
struct scope {
    struct descriptors *descriptors;
    size_t file;
    char name[NAME_SIZE]; /* of what encloses: a package, a message, a service; may be "" */
};

/* The full name of `name` in `scope` becomes a symbol, and the scope of what is inside. */
static struct scope add(const struct scope *scope, const char *name)
{
    struct descriptors *descriptors = scope->descriptors;
    struct scope inner = {.descriptors = descriptors, .file = scope->file};
    int length = snprintf(inner.name, sizeof(inner.name), "%s%s%s", scope->name,
                          scope->name[0] == '\0' ? "" : ".", name);
    CHECK(length > 0 && length < NAME_SIZE);
    if (descriptors->symbol_count == descriptors->symbol_room) {
        descriptors->symbol_room = 2 * descriptors->symbol_room + 64;
        descriptors->symbols = memory_resize(
            descriptors->symbols, descriptors->symbol_room * sizeof(*descriptors->symbols));
    }
    descriptors->symbols[descriptors->symbol_count++] =
        (struct symbol){.name = memory_copy_string(inner.name), .file = scope->file};
    return inner;
}

/* Values stand beside their enum, not inside it. */
static void add_enum(const struct scope *scope, const Google__Protobuf__EnumDescriptorProto *type)
{
    (void)add(scope, type->name);
    for (size_t i = 0; i < type->n_value; i++) {
        (void)add(scope, type->value[i]->name);
    }
}

/* Recurs as deep as our own .proto files nest messages. */
static void add_message(const struct scope *scope, const Google__Protobuf__DescriptorProto *type)
{
    const struct scope inner = add(scope, type->name);
    for (size_t i = 0; i < type->n_field; i++) {
        (void)add(&inner, type->field[i]->name);
    }
    for (size_t i = 0; i < type->n_nested_type; i++) {
        add_message(&inner, type->nested_type[i]);
    }
    for (size_t i = 0; i < type->n_enum_type; i++) {
        add_enum(&inner, type->enum_type[i]);
    }
}

static void add_service(const struct scope *scope,
                        const Google__Protobuf__ServiceDescriptorProto *service)
{
    const struct scope inner = add(scope, service->name);
    for (size_t i = 0; i < service->n_method; i++) {
        (void)add(&inner, service->method[i]->name);
    }
}

static void add_symbols(struct descriptors *descriptors, size_t index,
                        const Google__Protobuf__FileDescriptorProto *from)
{
    struct scope scope = {.descriptors = descriptors, .file = index};
    snprintf(scope.name, sizeof(scope.name), "%s", from->package);
    for (size_t i = 0; i < from->n_message_type; i++) {
        add_message(&scope, from->message_type[i]);
    }
    for (size_t i = 0; i < from->n_enum_type; i++) {
        add_enum(&scope, from->enum_type[i]);
    }
    for (size_t i = 0; i < from->n_service; i++) {
        add_service(&scope, from->service[i]);
    }
}

/* In a descriptor set a file stands behind all that it imports. */
static void add_file(struct descriptors *descriptors,
                     const Google__Protobuf__FileDescriptorProto *from)
{
    CHECK(descriptors->file_count < FILES_MAX);
    const size_t index = descriptors->file_count;
    struct file *file = &descriptors->files[index];
    file->name = memory_copy_string(from->name);
    file->length = protobuf_c_message_get_packed_size(&from->base);
    file->bytes = memory_alloc(file->length + 1);
    protobuf_c_message_pack(&from->base, file->bytes);
    file->imports = memory_alloc((from->n_dependency + 1) * sizeof(*file->imports));
    for (size_t i = 0; i < from->n_dependency; i++) {
        file->imports[i] = descriptors_find_file(descriptors, from->dependency[i]);
        CHECK(file->imports[i] != DESCRIPTORS_NONE);
    }
    file->import_count = from->n_dependency;
    descriptors->file_count++;
    add_symbols(descriptors, index, from);
}

struct descriptors *descriptors_create(void)
{
    struct descriptors *descriptors = memory_alloc(sizeof(*descriptors));
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, protoset_size, protoset);
    CHECK(set != NULL);
    for (size_t i = 0; i < set->n_file; i++) {
        add_file(descriptors, set->file[i]);
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
    return descriptors;
}

void descriptors_destroy(struct descriptors *descriptors)
{
    for (size_t i = 0; i < descriptors->file_count; i++) {
        memory_free(descriptors->files[i].name);
        memory_free(descriptors->files[i].bytes);
        memory_free(descriptors->files[i].imports);
    }
    for (size_t i = 0; i < descriptors->symbol_count; i++) {
        memory_free(descriptors->symbols[i].name);
    }
    memory_free(descriptors->symbols);
    memory_free(descriptors);
}

size_t descriptors_find_file(const struct descriptors *descriptors, const char *name)
{
    for (size_t i = 0; i < descriptors->file_count; i++) {
        if (strcmp(descriptors->files[i].name, name) == 0) {
            return i;
        }
    }
    return DESCRIPTORS_NONE;
}

size_t descriptors_find_symbol(const struct descriptors *descriptors, const char *name)
{
    for (size_t i = 0; i < descriptors->symbol_count; i++) {
        if (strcmp(descriptors->symbols[i].name, name) == 0) {
            return descriptors->symbols[i].file;
        }
    }
    return DESCRIPTORS_NONE;
}

size_t descriptors_count(const struct descriptors *descriptors)
{
    return descriptors->file_count;
}

size_t descriptors_gather(const struct descriptors *descriptors, size_t index,
                          struct descriptors_file *files)
{
    bool is_wanted[FILES_MAX] = {false};
    size_t count = 0;
    is_wanted[index] = true;
    /* Imports have lower indices, so each is known to be wanted when its turn comes. */
    for (size_t i = index + 1; i-- > 0;) {
        const struct file *file = &descriptors->files[i];
        for (size_t j = 0; is_wanted[i] && j < file->import_count; j++) {
            is_wanted[file->imports[j]] = true;
        }
        if (is_wanted[i]) {
            files[count++] =
                (struct descriptors_file){.bytes = file->bytes, .length = file->length};
        }
    }
    return count;
}
