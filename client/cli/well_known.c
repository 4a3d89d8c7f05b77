/* SPDX-License-Identifier: Apache-2.0 */
#include "well_known.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "field.h"

#define PACKAGE         "google.protobuf."
#define NANOS           1000000000
#define SECONDS_FIRST   INT64_C(-62135596800) /* the year 1 */
#define SECONDS_LAST    INT64_C(253402300799) /* the end of 9999 */
#define DURATION_MAX    INT64_C(315576000000) /* ten thousand years */
#define FRACTION_DIGITS 9
#define SECONDS_DIGITS  12

/*
 * ---- Which it is ----
 */

static bool is_field(const ProtobufCMessageDescriptor *descriptor, unsigned index, uint32_t id,
                     ProtobufCType type)
{
    return index < descriptor->n_fields && descriptor->fields[index].id == id &&
           descriptor->fields[index].type == type;
}

static bool is_single(const ProtobufCMessageDescriptor *descriptor, unsigned index)
{
    return descriptor->fields[index].label != PROTOBUF_C_LABEL_REPEATED &&
           !field_is_in_oneof(&descriptor->fields[index]);
}

static bool is_time(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 2 && is_field(descriptor, 0, 1, PROTOBUF_C_TYPE_INT64) &&
           is_field(descriptor, 1, 2, PROTOBUF_C_TYPE_INT32) && is_single(descriptor, 0) &&
           is_single(descriptor, 1);
}

static bool is_wrapper(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 1 && descriptor->fields[0].id == 1 &&
           descriptor->fields[0].type != PROTOBUF_C_TYPE_MESSAGE && is_single(descriptor, 0);
}

static bool is_struct(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 1 && field_is_map(descriptor, &descriptor->fields[0]);
}

static bool is_list(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor->n_fields == 1 && is_field(descriptor, 0, 1, PROTOBUF_C_TYPE_MESSAGE) &&
           descriptor->fields[0].label == PROTOBUF_C_LABEL_REPEATED;
}

/* What it holds must be another type, or reading one would have no end. */
static bool is_value(const ProtobufCMessageDescriptor *descriptor)
{
    static const ProtobufCType types[] = {PROTOBUF_C_TYPE_ENUM,    PROTOBUF_C_TYPE_DOUBLE,
                                          PROTOBUF_C_TYPE_STRING,  PROTOBUF_C_TYPE_BOOL,
                                          PROTOBUF_C_TYPE_MESSAGE, PROTOBUF_C_TYPE_MESSAGE};
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!is_field(descriptor, i, i + 1, types[i]) ||
            !field_is_in_oneof(&descriptor->fields[i])) {
            return false;
        }
    }
    return descriptor->n_fields == sizeof(types) / sizeof(types[0]) &&
           well_known_of(descriptor->fields[WELL_KNOWN_OBJECT - 1].descriptor) ==
               WELL_KNOWN_STRUCT &&
           well_known_of(descriptor->fields[WELL_KNOWN_ARRAY - 1].descriptor) == WELL_KNOWN_LIST;
}

static const struct {
    const char *name;
    enum well_known kind;
    bool (*is_sound)(const ProtobufCMessageDescriptor *descriptor);
} known[] = {
    {"Timestamp", WELL_KNOWN_TIMESTAMP, is_time},
    {"Duration", WELL_KNOWN_DURATION, is_time},
    {"DoubleValue", WELL_KNOWN_WRAPPER, is_wrapper},
    {"FloatValue", WELL_KNOWN_WRAPPER, is_wrapper},
    {"Int64Value", WELL_KNOWN_WRAPPER, is_wrapper},
    {"UInt64Value", WELL_KNOWN_WRAPPER, is_wrapper},
    {"Int32Value", WELL_KNOWN_WRAPPER, is_wrapper},
    {"UInt32Value", WELL_KNOWN_WRAPPER, is_wrapper},
    {"BoolValue", WELL_KNOWN_WRAPPER, is_wrapper},
    {"StringValue", WELL_KNOWN_WRAPPER, is_wrapper},
    {"BytesValue", WELL_KNOWN_WRAPPER, is_wrapper},
    {"Struct", WELL_KNOWN_STRUCT, is_struct},
    {"ListValue", WELL_KNOWN_LIST, is_list},
    {"Value", WELL_KNOWN_VALUE, is_value},
};

enum well_known well_known_of(const ProtobufCMessageDescriptor *descriptor)
{
    if (strncmp(descriptor->name, PACKAGE, strlen(PACKAGE)) != 0) {
        return WELL_KNOWN_NONE;
    }
    const char *name = descriptor->name + strlen(PACKAGE);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].is_sound(descriptor) ? known[i].kind : WELL_KNOWN_NONE;
        }
    }
    return WELL_KNOWN_NONE;
}

/*
 * ---- Times as text ----
 */

static int64_t *seconds_of(const ProtobufCMessage *message)
{
    return field_value(message, &message->descriptor->fields[0]);
}

static int32_t *nanos_of(const ProtobufCMessage *message)
{
    return field_value(message, &message->descriptor->fields[1]);
}

/* ".021", in three digits, or six, or nine; nothing at all for 0. */
static void write_fraction(char text[FRACTION_DIGITS + 2], int32_t nanos)
{
    size_t length = FRACTION_DIGITS + 1;
    snprintf(text, FRACTION_DIGITS + 2, ".%09" PRId32, nanos);
    while (length > 1 && strncmp(text + length - 3, "000", 3) == 0) {
        length -= 3;
    }
    text[length > 1 ? length : 0] = '\0';
}

static bool write_timestamp(const ProtobufCMessage *message, char text[WELL_KNOWN_TEXT_SIZE])
{
    const time_t seconds = (time_t)*seconds_of(message);
    const int32_t nanos = *nanos_of(message);
    char fraction[FRACTION_DIGITS + 2];
    struct tm at;
    if (seconds < SECONDS_FIRST || seconds > SECONDS_LAST || nanos < 0 || nanos >= NANOS ||
        gmtime_r(&seconds, &at) == NULL) {
        return false;
    }
    write_fraction(fraction, nanos);
    snprintf(text, WELL_KNOWN_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", at.tm_year + 1900,
             at.tm_mon + 1, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec, fraction);
    return true;
}

static bool write_duration(const ProtobufCMessage *message, char text[WELL_KNOWN_TEXT_SIZE])
{
    const int64_t seconds = *seconds_of(message);
    const int32_t nanos = *nanos_of(message);
    const bool is_negative = seconds < 0 || nanos < 0;
    char fraction[FRACTION_DIGITS + 2];
    if (seconds < -DURATION_MAX || seconds > DURATION_MAX || nanos <= -NANOS || nanos >= NANOS ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0)) {
        return false;
    }
    write_fraction(fraction, abs(nanos));
    snprintf(text, WELL_KNOWN_TEXT_SIZE, "%s%" PRId64 "%ss", is_negative ? "-" : "",
             seconds < 0 ? -seconds : seconds, fraction);
    return true;
}

bool well_known_write(const ProtobufCMessage *message, char text[WELL_KNOWN_TEXT_SIZE])
{
    return well_known_of(message->descriptor) == WELL_KNOWN_TIMESTAMP
               ? write_timestamp(message, text)
               : write_duration(message, text);
}

/*
 * ---- And back ----
 */

/* From `least` to `most` digits. */
static bool take_number(const char **at, size_t least, size_t most, int64_t *number)
{
    size_t digits = 0;
    for (*number = 0; digits < most && **at >= '0' && **at <= '9'; digits++) {
        *number = *number * 10 + (*(*at)++ - '0');
    }
    return digits >= least && (**at < '0' || **at > '9' || least == most);
}

static bool take(const char **at, char wanted)
{
    const bool is_there = **at == wanted;
    *at += is_there;
    return is_there;
}

/* What stands behind the point; 0 without one. */
static bool take_fraction(const char **at, int32_t *nanos)
{
    int64_t number = 0;
    *nanos = 0;
    if (!take(at, '.')) {
        return true;
    }
    const char *start = *at;
    if (!take_number(at, 1, FRACTION_DIGITS, &number)) {
        return false;
    }
    for (size_t digits = (size_t)(*at - start); digits < FRACTION_DIGITS; digits++) {
        number *= 10;
    }
    *nanos = (int32_t)number;
    return true;
}

/* "Z", or "+01:00". */
static bool take_zone(const char **at, int64_t *offset)
{
    int64_t hours = 0;
    int64_t minutes = 0;
    *offset = 0;
    if (take(at, 'Z')) {
        return true;
    }
    const bool is_west = **at == '-';
    if (!(is_west ? take(at, '-') : take(at, '+')) || !take_number(at, 2, 2, &hours) ||
        !take(at, ':') || !take_number(at, 2, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *offset = (is_west ? -60 : 60) * (hours * 60 + minutes);
    return true;
}

static bool read_timestamp(ProtobufCMessage *message, const char *text)
{
    int64_t part[6];
    static const char behind[] = {'-', '-', 'T', ':', ':', '\0'};
    int64_t offset = 0;
    for (size_t i = 0; i < sizeof(behind); i++) {
        if (!take_number(&text, i == 0 ? 4 : 2, i == 0 ? 4 : 2, &part[i]) ||
            (behind[i] != '\0' && !take(&text, behind[i]))) {
            return false;
        }
    }
    struct tm at = {.tm_year = (int)part[0] - 1900,
                    .tm_mon = (int)part[1] - 1,
                    .tm_mday = (int)part[2],
                    .tm_hour = (int)part[3],
                    .tm_min = (int)part[4],
                    .tm_sec = (int)part[5]};
    const struct tm written = at;
    if (!take_fraction(&text, nanos_of(message)) || !take_zone(&text, &offset) || *text != '\0') {
        return false;
    }
    const int64_t seconds = (int64_t)timegm(&at);
    *seconds_of(message) = seconds - offset;
    /* There is no 30th of February, which timegm takes for a day in March. */
    return at.tm_mon == written.tm_mon && at.tm_mday == written.tm_mday &&
           at.tm_hour == written.tm_hour && at.tm_min == written.tm_min &&
           at.tm_sec == written.tm_sec && seconds - offset >= SECONDS_FIRST &&
           seconds - offset <= SECONDS_LAST;
}

static bool read_duration(ProtobufCMessage *message, const char *text)
{
    int64_t *seconds = seconds_of(message);
    int32_t *nanos = nanos_of(message);
    const bool is_negative = take(&text, '-');
    if (!take_number(&text, 1, SECONDS_DIGITS, seconds) || !take_fraction(&text, nanos) ||
        !take(&text, 's') || *text != '\0' || *seconds > DURATION_MAX) {
        return false;
    }
    *seconds = is_negative ? -*seconds : *seconds;
    *nanos = is_negative ? -*nanos : *nanos;
    return true;
}

bool well_known_read(ProtobufCMessage *message, const char *text)
{
    return well_known_of(message->descriptor) == WELL_KNOWN_TIMESTAMP
               ? read_timestamp(message, text)
               : read_duration(message, text);
}
