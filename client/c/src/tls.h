/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's TLS: 1.2 or newer, the server's name or address always verified. Bytes in, bytes
 * out, no I/O; so the socket is written in one place, which knows how not to raise SIGPIPE.
 */
#ifndef HOLDFAST_CLIENT_TLS_H
#define HOLDFAST_CLIENT_TLS_H

#include "base/compiler.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stddef.h>

/* The end of a sentence about a handshake that came to nothing. */
#define TLS_MAYBE_PLAIN "; is it a Holdfast server, or does it speak tcp:// there?"

struct bio_st;
struct evbuffer;
struct ssl_ctx_st;
struct ssl_st;

/* Loads authorities and certificate. NULL and a sentence in `error` that names the file. Freed with
 * tls_context_destroy. */
NODISCARD struct ssl_ctx_st *tls_context_create(const struct holdfast_options *options,
                                                char error[HOLDFAST_ERROR_SIZE]);

/* Offers one protocol by ALPN, "h2", to every server. Without it none is named. */
void tls_context_offer(struct ssl_ctx_st *context, const char *protocol);

/* NULL is allowed. */
void tls_context_destroy(struct ssl_ctx_st *context);

struct tls_session {
    struct ssl_st *ssl;
    struct bio_st *from_peer;
    struct bio_st *to_peer;
};

enum tls_step {
    TLS_STEP_DONE,
    TLS_STEP_MORE,
    TLS_STEP_FAILED,
    TLS_STEP_UNTRUSTED, /* failed for the peer's certificate: another attempt would, too */
};

/* A session with the server `host`: a DNS name or a numeric address. Released in any case. */
NODISCARD bool tls_session_init(struct tls_session *session, struct ssl_ctx_st *context,
                                const char *host);

void tls_session_release(struct tls_session *session);

/* Hands over bytes from the peer. */
void tls_session_feed(struct tls_session *session, const void *bytes, size_t length);

/* Goes on with the handshake; what must be sent is appended to `wire`. MORE: feed and call again.
 */
NODISCARD enum tls_step tls_session_handshake(struct tls_session *session, struct evbuffer *wire,
                                              char error[HOLDFAST_ERROR_SIZE]);

/* Decrypts what was fed into `plain`. MORE: the session goes on; DONE: the peer ended it. */
NODISCARD enum tls_step tls_session_receive(struct tls_session *session, struct evbuffer *plain,
                                            struct evbuffer *wire, char error[HOLDFAST_ERROR_SIZE]);

/* Encrypts all of `plain` into `wire`. */
NODISCARD bool tls_session_send(struct tls_session *session, struct evbuffer *plain,
                                struct evbuffer *wire);

#endif
