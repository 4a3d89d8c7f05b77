/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf messages as JSON and back, by the rules of proto3
 * (https://protobuf.dev/programming-guides/json/), for any type that protobuf-c describes: fields
 * in lowerCamelCase (read also as the .proto spells them), 64-bit integers as text, bytes as
 * base64, enums by name, maps as objects; null is a field that is not set, and what is not set is
 * left out.
 */
#ifndef HOLDFAST_CLI_MESSAGE_JSON_H
#define HOLDFAST_CLI_MESSAGE_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#define MESSAGE_JSON_PROBLEM_SIZE 256

/* An object, or what stands for one by well_known.h; the caller's. NULL and a sentence in
 * `problem`, which names the field, when a text is not UTF-8, or a time is none. */
json_t *message_to_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE]);

/* To be freed with protobuf_c_message_free_unpacked. NULL and a sentence in `problem`, which names
 * the field, when the JSON does not fit. */
ProtobufCMessage *message_from_json(const ProtobufCMessageDescriptor *descriptor,
                                    const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE]);

#endif
