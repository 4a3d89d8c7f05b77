/* SPDX-License-Identifier: Apache-2.0 */
/* The calls with one request and one answer: detached leases, and questions about locks. */
#ifndef HOLDFAST_CLIENT_UNARY_H
#define HOLDFAST_CLIENT_UNARY_H

#include "client.h"
#include "request.h"

#include <holdfast/holdfast.h>
#include <stdint.h>

/* A detached lease, by what proves it: HOLDFAST_TOKEN_SIZE bytes. */
struct unary_lease {
    const char *key;
    const unsigned char *token;
};

/* Arguments of these functions are within their bounds. */

/* `token`: NULL, or the application's. `callback` is a CALLBACK_LEASE. Returns the request's id. */
uint64_t unary_acquire(struct holdfast_async *client, const struct holdfast_ask *ask,
                       const unsigned char *token, const struct callback *callback);

/* Extends a detached lease. `callback` is a CALLBACK_DONE. */
void unary_renew(struct holdfast_async *client, struct holdfast_lease *lease, uint32_t ttl_ms,
                 const struct callback *callback);

/* Extends a lease that somebody else acquired. `callback` is a CALLBACK_LEASE. */
void unary_renew_token(struct holdfast_async *client, const struct unary_lease *of, uint32_t ttl_ms,
                       const struct callback *callback);

/* `lease`: NULL, or the lease that ends with it. `callback` is a CALLBACK_DONE. */
void unary_release(struct holdfast_async *client, const struct unary_lease *of,
                   struct holdfast_lease *lease, const struct callback *callback);

/* `callback` is a CALLBACK_INSPECT. */
void unary_inspect(struct holdfast_async *client, const char *key, const struct callback *callback);

#endif
