/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translates messages, a line each, for a test that compares with another implementation:
 *
 *   json TYPE BASE64   a serialized message: answered with its JSON
 *   proto TYPE JSON    answered with the message in base64
 *
 * What cannot be translated is answered with "! " and why. With the paths of descriptor sets as
 * arguments the types are made of these, as of another server's; without they are those built in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/health/v1/health.pb-c.h>
#include <holdfast/v1/admin.pb-c.h>
#include <holdfast/v1/locks.pb-c.h>
#include <kinds.pb-c.h>

#include "base64.h"
#include "json_reader.h"
#include "message_json.h"
#include "proto_file.h"
#include "types.h"
#include "untrusted.h"

static const ProtobufCMessageDescriptor *const built[] = {
    &kinds__everything__descriptor,
    &holdfast__v1__acquire_request__descriptor,
    &holdfast__v1__hold_request__descriptor,
    &holdfast__v1__hold_event__descriptor,
    &holdfast__v1__list_locks_response__descriptor,
    &grpc__health__v1__health_list_response__descriptor,
};

static struct types types;

static const ProtobufCMessageDescriptor *find(const char *name)
{
    char problem[SCHEMA_PROBLEM_SIZE] = "no such type";
    for (size_t i = 0; types.file_count == 0 && i < sizeof(built) / sizeof(built[0]); i++) {
        if (strcmp(built[i]->name, name) == 0) {
            return built[i];
        }
    }
    const ProtobufCMessageDescriptor *made =
        types.file_count == 0 ? NULL : types_find_message(&types, name, problem);
    if (made == NULL) {
        fprintf(stderr, "transcoder: %s: %s\n", name, problem);
        exit(1);
    }
    return made;
}

static void add_file(const Google__Protobuf__FileDescriptorProto *from)
{
    const size_t length = protobuf_c_message_get_packed_size(&from->base);
    uint8_t *bytes = malloc(length + 1);
    protobuf_c_message_pack(&from->base, bytes);
    Google__Protobuf__FileDescriptorProto *file = proto_file_unpack(bytes, length);
    free(bytes);
    if (file == NULL || !types_add(&types, file->name, file)) {
        fprintf(stderr, "transcoder: %s is refused\n", from->name);
        exit(1);
    }
}

static void add_set(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rbe");
    const size_t length = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, length, bytes);
    if (file == NULL || set == NULL || set->n_file == 0) {
        fprintf(stderr, "transcoder: %s: no descriptor set\n", path);
        exit(1);
    }
    fclose(file);
    for (size_t i = 0; i < set->n_file; i++) {
        add_file(set->file[i]);
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

static void write_json(const ProtobufCMessageDescriptor *type, const char *base64)
{
    char problem[MESSAGE_JSON_PROBLEM_SIZE];
    uint8_t *bytes = NULL;
    size_t length = 0;
    if (!base64_decode(base64, &bytes, &length)) {
        puts("! not base64");
        return;
    }
    ProtobufCMessage *message = untrusted_unpack(type, bytes, length);
    free(bytes);
    if (message == NULL) {
        puts("! not a message");
        return;
    }
    json_t *json = message_to_json(message, problem);
    if (json == NULL) {
        printf("! %s\n", problem);
    } else {
        char *text = json_dumps(json, JSON_COMPACT);
        puts(text);
        free(text);
    }
    json_decref(json);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void write_message(const ProtobufCMessage *message)
{
    const size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(length + 1);
    protobuf_c_message_pack(message, bytes);
    char *base64 = base64_encode(bytes, length);
    puts(base64);
    free(base64);
    free(bytes);
}

static void write_proto(const ProtobufCMessageDescriptor *type, const char *text)
{
    char problem[JSON_READER_PROBLEM_SIZE] = "not an object";
    struct json_reader reader = {.bytes = NULL};
    json_t *json = NULL;
    json_reader_feed(&reader, text, strlen(text));
    if (json_reader_next(&reader, &json, problem) != JSON_READER_OBJECT) {
        printf("! %s\n", problem);
        json_reader_release(&reader);
        return;
    }
    ProtobufCMessage *message = message_from_json(type, json, problem);
    json_decref(json);
    json_reader_release(&reader);
    if (message == NULL) {
        printf("! %s\n", problem);
        return;
    }
    write_message(message);
    protobuf_c_message_free_unpacked(message, NULL);
}

int main(int argc, char **argv)
{
    types_init(&types);
    for (int i = 1; i < argc; i++) {
        add_set(argv[i]);
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length = 0;
    while ((length = getline(&line, &room, stdin)) > 0) {
        line[length - 1] = '\0'; /* the end of the line */
        char *type = strchr(line, ' ');
        char *rest = type == NULL ? NULL : strchr(type + 1, ' ');
        if (rest == NULL) {
            return 1;
        }
        *type = *rest = '\0';
        (strcmp(line, "json") == 0 ? write_json : write_proto)(find(type + 1), rest + 1);
        fflush(stdout);
    }
    free(line);
    types_release(&types);
    return 0;
}
