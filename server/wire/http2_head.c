/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http2_head.h"

#include <string.h>
#include <strings.h>

#include "base/compiler.h"

/* Bits of `seen`, in this order. */
static const char *const pseudo_names[] = {":method", ":scheme", ":path", ":authority"};

#define ALL_BUT_AUTHORITY 0x7U
#define AUTHORITY         3

/* Of one connection, which HTTP/2 manages itself. */
static const char *const connection_names[] = {"connection", "keep-alive", "proxy-connection",
                                               "transfer-encoding", "upgrade"};

static bool is_named(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

/* The place in a list of names, or `count`. */
static size_t find(const char *const *names, size_t count, const char *name, size_t length)
{
    size_t i = 0;
    while (i < count && !is_named(name, length, names[i])) {
        i++;
    }
    return i;
}

/* A character of a token (RFC 9110, 5.6.2), in lower case. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_token_char(name[i])) {
            return false;
        }
    }
    return length > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_value(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return length == 0 || (!is_blank(value[0]) && !is_blank(value[length - 1]));
}

static bool is_number(const char *value, size_t length)
{
    size_t digits = 0;
    while (digits < length && value[digits] >= '0' && value[digits] <= '9') {
        digits++;
    }
    return length > 0 && digits == length;
}

/* Known, once, and before the others. */
static bool take_pseudo(struct http2_head *head, const char *name, size_t name_length,
                        size_t value_length)
{
    size_t index = find(pseudo_names, COUNT_OF(pseudo_names), name, name_length);
    bool is_fit = head->is_request && !head->has_regular && index < COUNT_OF(pseudo_names) &&
                  (head->seen & 1U << index) == 0 && (value_length > 0 || index == AUTHORITY);
    head->seen |= 1U << index;
    return is_fit;
}

static bool take_regular(struct http2_head *head, const char *name, size_t name_length,
                         const char *value, size_t value_length)
{
    static const char trailers[] = "trailers";
    head->has_regular = true;
    if (is_named(name, name_length, "te")) {
        return value_length == strlen(trailers) && strncasecmp(value, trailers, value_length) == 0;
    }
    if (is_named(name, name_length, "content-length")) {
        bool is_fit = !head->has_length && is_number(value, value_length);
        head->has_length = true;
        return is_fit;
    }
    return is_token(name, name_length) && find(connection_names, COUNT_OF(connection_names), name,
                                               name_length) == COUNT_OF(connection_names);
}

void http2_head_begin(struct http2_head *head, bool is_request)
{
    *head = (struct http2_head){.is_request = is_request};
}

void http2_head_field(struct http2_head *head, const char *name, size_t name_length,
                      const char *value, size_t value_length)
{
    bool is_pseudo = name_length > 0 && name[0] == ':';
    bool is_fit = is_pseudo ? take_pseudo(head, name, name_length, value_length)
                            : take_regular(head, name, name_length, value, value_length);
    head->is_malformed = head->is_malformed || !is_fit || !is_value(value, value_length);
}

bool http2_head_is_well_formed(const struct http2_head *head)
{
    bool is_whole = !head->is_request || (head->seen & ALL_BUT_AUTHORITY) == ALL_BUT_AUTHORITY;
    return is_whole && !head->is_malformed;
}
