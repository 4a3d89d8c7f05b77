/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types of google.protobuf that have a form of their own in proto3's JSON
 * (https://protobuf.dev/programming-guides/json/). Any is not among them: what is in it would have
 * to be known.
 */
#ifndef HOLDFAST_CLI_WELL_KNOWN_H
#define HOLDFAST_CLI_WELL_KNOWN_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define WELL_KNOWN_TEXT_SIZE 48

enum well_known {
    WELL_KNOWN_NONE,
    WELL_KNOWN_TIMESTAMP, /* "1972-01-01T10:00:20.021Z" */
    WELL_KNOWN_DURATION,  /* "1.500s" */
    WELL_KNOWN_WRAPPER,   /* the value of its only field */
    WELL_KNOWN_STRUCT,    /* an object of any values: its map */
    WELL_KNOWN_LIST,      /* a list of any values: its list */
    WELL_KNOWN_VALUE,     /* any value: that field of a oneof which is set */
};

/* The fields of an enum well_known's Value. */
enum {
    WELL_KNOWN_NULL = 1,
    WELL_KNOWN_NUMBER,
    WELL_KNOWN_TEXT,
    WELL_KNOWN_BOOL,
    WELL_KNOWN_OBJECT,
    WELL_KNOWN_ARRAY
};

/* By its name, if its fields are what they should be. */
enum well_known well_known_of(const ProtobufCMessageDescriptor *descriptor);

/* Of a timestamp or a duration. False: out of range. */
bool well_known_write(const ProtobufCMessage *message, char text[WELL_KNOWN_TEXT_SIZE]);

/* Into one. False: not written as it should be. */
bool well_known_read(ProtobufCMessage *message, const char *text);

#endif
