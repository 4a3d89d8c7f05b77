/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that describes a type as it likes, and then sends a message of that type: two bytes tell
 * how long the description is. What comes out of it as JSON must be taken back.
 */
#include "types.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message_json.h"
#include "proto_file.h"
#include "untrusted.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void go_round(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t length)
{
    char problem[MESSAGE_JSON_PROBLEM_SIZE];
    ProtobufCMessage *message = untrusted_unpack(type, bytes, length);
    json_t *json = message == NULL ? NULL : message_to_json(message, problem);
    ProtobufCMessage *again = json == NULL ? NULL : message_from_json(type, json, problem);
    if (again != NULL) {
        const size_t size = protobuf_c_message_get_packed_size(again);
        uint8_t *packed = malloc(size + 1);
        protobuf_c_message_pack(again, packed);
        free(packed);
        protobuf_c_message_free_unpacked(again, NULL);
    }
    json_decref(json);
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

/* The first of the file. */
static const ProtobufCMessageDescriptor *make(struct types *types,
                                              const Google__Protobuf__FileDescriptorProto *file)
{
    char problem[SCHEMA_PROBLEM_SIZE];
    char name[256];
    if (file == NULL || file->n_message_type == 0) {
        return NULL;
    }
    snprintf(name, sizeof(name), "%.100s%s%.100s", file->package,
             file->package[0] == '\0' ? "" : ".", file->message_type[0]->name);
    return types_find_message(types, name, problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct types types;
    const size_t described = length < 2 ? 0 : (size_t)bytes[0] << 8 | bytes[1];
    if (length < 2 || described > length - 2) {
        return 0;
    }
    Google__Protobuf__FileDescriptorProto *file = proto_file_unpack(bytes + 2, described);
    types_init(&types);
    if (file != NULL && types_add(&types, "", file)) {
        const ProtobufCMessageDescriptor *type = make(&types, file);
        if (type != NULL) {
            go_round(type, bytes + 2 + described, length - 2 - described);
        }
    }
    types_release(&types);
    return 0;
}
