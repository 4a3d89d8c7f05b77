/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of one HTTP/2 connection: bytes in, answers out; requests in, bytes out. No I/O
 * and no clock. What arrives is taken for consumed once its event has returned.
 *
 * The events run within http2_client_receive and http2_client_produce. They may call everything
 * below but these two and http2_client_destroy.
 *
 * Source: RFC 9113.
 */
#ifndef HOLDFAST_GRPC_HTTP2_CLIENT_H
#define HOLDFAST_GRPC_HTTP2_CLIENT_H

#include "base/compiler.h"
#include "wire/http2.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one list of header fields, as RFC 9113 (6.5.2) counts it. */
#define HTTP2_CLIENT_HEADER_LIST_MAX ((size_t)65536)

struct http2_client;

struct http2_client_events {
    void (*on_field)(void *user, int32_t id, const char *name, size_t name_length,
                     const char *value, size_t value_length);
    /* The list of fields is complete: interim, final or trailers. With `is_whole` false some were
     * left out, for together they pass the limit. */
    void (*on_head)(void *user, int32_t id, bool is_whole);
    void (*on_data)(void *user, int32_t id, const uint8_t *bytes, size_t length);
    /* The answer is complete. */
    void (*on_end)(void *user, int32_t id);
    /* The stream is gone, or was never begun; `error` is a code of RFC 9113. */
    void (*on_close)(void *user, int32_t id, uint32_t error);
    /* Takes the next bytes of a request: at most `size`; 0 when there are none now. Sets *is_last
     * with the last ones, which may be none. */
    size_t (*on_pull)(void *user, int32_t id, uint8_t *bytes, size_t size, bool *is_last);
};

/* `events` and `user` are used until the end. */
struct http2_client *http2_client_create(const struct http2_client_events *events, void *user);

/* Frees it without on_close. */
void http2_client_destroy(struct http2_client *http2);

/* Takes what has arrived. False: the peer speaks no HTTP/2; close. */
NODISCARD bool http2_client_receive(struct http2_client *http2, const uint8_t *bytes,
                                    size_t length);

/* The next piece of output, valid until the next call. 0: there is none now. False: as above. */
NODISCARD bool http2_client_produce(struct http2_client *http2, const uint8_t **bytes,
                                    size_t *length);

/* Whether neither side has anything more to say. */
bool http2_client_is_over(const struct http2_client *http2);

/* Begins a request, whose body is asked for by on_pull; its stream's id. 0: this connection has no
 * ids left. The fields are copied. */
int32_t http2_client_request(struct http2_client *http2, const struct http2_field *fields,
                             size_t count);

/* on_pull said that there was nothing; now there is. Harmless otherwise. */
void http2_client_wake(struct http2_client *http2, int32_t id);

void http2_client_reset(struct http2_client *http2, int32_t id, enum http2_error error);

/* "CANCEL"; static text. */
const char *http2_client_error_name(uint32_t error);

/* Why the connection is given up, if it is not the peer's doing: static text. */
const char *http2_client_problem(const struct http2_client *http2);

/* The code with which the peer said that it goes away; -1: it has not. */
int64_t http2_client_farewell(const struct http2_client *http2);

#endif
