/* SPDX-License-Identifier: Apache-2.0 */
/* What protobuf-c's descriptors do not say of a field. */
#ifndef HOLDFAST_CLI_FIELD_H
#define HOLDFAST_CLI_FIELD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define FIELD_NAME_SIZE 128

/* "ttl_ms" is "ttlMs" in JSON. */
void field_json_name(const ProtobufCFieldDescriptor *field, char name[FIELD_NAME_SIZE]);

/* Whether a repeated field of messages is a map: its entries have a type of their own, with the
 * fields key and value. */
bool field_is_map(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field);

/* Whether it is one of several, of which one may be set: see field_case. */
bool field_is_in_oneof(const ProtobufCFieldDescriptor *field);

/* Bytes of one value in a message's struct. */
size_t field_size(const ProtobufCFieldDescriptor *field);

/* Where the value, or the pointer to the values, stands; and how many there are, or which of a
 * oneof is set. */
void *field_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
size_t *field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
uint32_t *field_case(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

#endif
