/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's end of one HTTP/2 connection: bytes in, requests out; answers in, bytes out. No I/O
 * and no clock. It is the only user of the HTTP/2 library.
 *
 * The events run within http2_receive and http2_produce. They may call everything below but these
 * two and http2_destroy.
 *
 * Source: RFC 9113.
 */
#ifndef HOLDFAST_WIRE_HTTP2_H
#define HOLDFAST_WIRE_HTTP2_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http2;

/* Those codes of RFC 9113 that we send ourselves. */
enum http2_error {
    HTTP2_NO_ERROR = 0x0,
    HTTP2_PROTOCOL_ERROR = 0x1,
    HTTP2_REFUSED_STREAM = 0x7,
    HTTP2_CANCEL = 0x8,
    HTTP2_ENHANCE_YOUR_CALM = 0xb,
};

/* A header field to be sent: the name, in lower case, is static. */
struct http2_field {
    const char *name;
    const char *value;
    size_t length; /* of the value */
};

/* `stream` is what on_open returned, `user` what http2_create was given. */
struct http2_events {
    /* A request begins. What it is to the user, or NULL: it is refused unseen. */
    void *(*on_open)(void *user, int32_t id);
    void (*on_field)(void *user, void *stream, const char *name, size_t name_length,
                     const char *value, size_t value_length);
    /* Its header fields have all been seen; with `is_whole` false some were left out, for together
     * they pass the limit. */
    void (*on_request)(void *user, void *stream, bool is_whole);
    /* The peer's window for this stream grows by what is given to http2_consume. */
    void (*on_data)(void *user, void *stream, const uint8_t *bytes, size_t length);
    void (*on_half_close)(void *user, void *stream);
    /* The end of every opened stream; the pointer is not used any more. */
    void (*on_close)(void *user, void *stream);
    /* Takes the next bytes of an answer: at most `size`; 0 when there are none now. Behind the last
     * ones calls http2_send_trailers and sets *is_last. */
    size_t (*on_pull)(void *user, void *stream, uint8_t *bytes, size_t size, bool *is_last);
};

struct http2_config {
    uint32_t streams_max; /* open at a time; more are refused */
    uint32_t header_list_max;
    uint32_t connection_window; /* of all requests together; a stream's is the protocol's 65535 */
};

/* Both arguments but `user` are used until the end. */
struct http2 *http2_create(const struct http2_config *config, const struct http2_events *events,
                           void *user);

/* Frees it without on_close. */
void http2_destroy(struct http2 *http2);

/* Takes what has arrived. False: the peer speaks no HTTP/2 or abuses it beyond words; close.
 * Offences that can be answered are, and http2_is_over tells when. */
NODISCARD bool http2_receive(struct http2 *http2, const uint8_t *bytes, size_t length);

/* The next piece of output, valid until the next call. 0: there is none now. False: as above. */
NODISCARD bool http2_produce(struct http2 *http2, const uint8_t **bytes, size_t *length);

/* Whether neither side has anything more to say. */
bool http2_is_over(const struct http2 *http2);

/* Whether the peer owes the rest of something: its greeting, or a request's header. */
bool http2_is_awaiting(const struct http2 *http2);

/* Begins, and with `is_all` ends, the answer. Otherwise on_pull is asked for its body. */
void http2_respond(struct http2 *http2, int32_t id, const struct http2_field *fields, size_t count,
                   bool is_all);

/* Ends the answer; from on_pull only. If the peer is still sending, it is told to stop. */
void http2_send_trailers(struct http2 *http2, int32_t id, const struct http2_field *fields,
                         size_t count);

/* on_pull said that there was nothing; now there is. Harmless otherwise. */
void http2_wake(struct http2 *http2, int32_t id);

void http2_reset(struct http2 *http2, int32_t id, enum http2_error error);

/* Bytes of on_data that are done with. */
void http2_consume(struct http2 *http2, int32_t id, size_t length);

void http2_ping(struct http2 *http2);

/* Asks the peer to begin no more requests, of which some may be on their way. */
void http2_announce_end(struct http2 *http2);

/* Tells the peer which request was the last; later ones are ignored. */
void http2_end(struct http2 *http2, enum http2_error error);

/* Frames so far, and those among them that make work and bring none: streams taken back by the
 * peer, and data frames without data. */
uint64_t http2_frames(const struct http2 *http2);
uint64_t http2_idle_frames(const struct http2 *http2);

/* Why the library has given the connection up: static text. NULL: it has not. */
const char *http2_problem(const struct http2 *http2);

#endif
