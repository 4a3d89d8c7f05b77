/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of a call with one request and one answer (unary.c), for the files that say what is
 * asked and what the answer means (unary_lease.c, list.c).
 */
#ifndef HOLDFAST_CLIENT_UNARY_INTERNAL_H
#define HOLDFAST_CLIENT_UNARY_INTERNAL_H

#include "ask.h"
#include "base/id128.h"
#include "request.h"
#include "unary.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unary;

/* What differs between the methods. */
struct unary_method {
    const char *service; /* NULL: holdfast.v1.Locks */
    const char *name;
    const ProtobufCMessageDescriptor *answer;
    void (*send)(struct unary *unary, struct channel_request *request);
    /* Takes the server's message: answers the request, or goes on with another call; false when the
     * message makes no sense. */
    bool (*take)(struct unary *unary, const ProtobufCMessage *message);
    /* Instead of `answer` and `take`: takes the bytes. */
    bool (*take_bytes)(struct unary *unary, const uint8_t *bytes, size_t length);
    bool is_retried; /* after a connection lost on the way: it is safe to ask twice */
};

struct unary {
    const struct unary_method *method;
    struct holdfast_async *client;
    struct request *request; /* NULL once it is answered */
    struct channel_call call;
    int64_t sent_us;
    bool was_sent;
    bool is_late; /* past our deadline, within the head start */

    char *key;
    struct holdfast_ask ask; /* of an acquire; empty otherwise */
    bool has_ask;
    int64_t wait_until_us; /* 0: not sent yet */
    uint32_t ttl_ms;
    struct id128 token;
    bool is_token_ours;           /* the library's: nobody else can use it */
    struct holdfast_lease *lease; /* renewed, or to be confirmed; with a reference; or NULL */
    unsigned int releases;        /* of that lease when the renewal began */

    /* of a list; `key` is the prefix */
    char *page;
    uint32_t page_size;
    bool fleet;
};

/* A call that is not started. `key` is copied. */
struct unary *unary_create(const struct unary_method *method, struct request *request,
                           const char *key);

void unary_start(struct unary *unary);

/* To be called by `take`: makes another call for the same request. */
void unary_go_on(struct unary *unary, const struct unary_method *method);

/* To be called by `send`. */
void unary_send(struct unary *unary, struct channel_request *request,
                const ProtobufCMessage *message);

/* To be called by `take`. */
void unary_answer(struct unary *unary, enum holdfast_result result, const char *text);

/* Releases in the background what an acquire that nobody waits for may obtain. */
void unary_give_up(struct unary *unary);

#endif
