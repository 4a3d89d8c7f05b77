/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translates messages, a line each, for a test that compares with another implementation:
 *
 *   json TYPE BASE64   a serialized message: answered with its JSON
 *   proto TYPE JSON    answered with the message in base64
 *
 * What cannot be translated is answered with "! " and why.
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

static const ProtobufCMessageDescriptor *const types[] = {
    &kinds__everything__descriptor,
    &holdfast__v1__acquire_request__descriptor,
    &holdfast__v1__hold_request__descriptor,
    &holdfast__v1__hold_event__descriptor,
    &holdfast__v1__list_locks_response__descriptor,
    &grpc__health__v1__health_list_response__descriptor,
};

static const ProtobufCMessageDescriptor *find(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i]->name, name) == 0) {
            return types[i];
        }
    }
    fprintf(stderr, "transcoder: no type %s\n", name);
    exit(1);
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
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, bytes);
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

int main(void)
{
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
    return 0;
}
