/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a host's name into addresses without blocking: /etc/hosts, then DNS. */
#ifndef HOLDFAST_REDIS_RESOLVER_H
#define HOLDFAST_REDIS_RESOLVER_H

#include "base/loop.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More addresses than these are not looked at. */
#define RESOLVER_ADDRESSES_MAX ((size_t)8)

struct resolver;

struct resolver_addresses {
    char ip[RESOLVER_ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t count;
    const char *problem; /* why there is none; static text */
};

/* Called once, from INPUT, unless cancelled; the resolver is gone when it returns. */
typedef void resolver_done_fn(void *user, const struct resolver_addresses *addresses,
                              int64_t now_us);

/* Whether `host` is a numeric address, which needs no resolver. */
bool resolver_is_numeric(const char *host);

/* Starts to look `host` up. Never calls back before it returns. */
struct resolver *resolver_start(struct loop *loop, const char *host, resolver_done_fn *on_done,
                                void *user);

/* on_done will not be called; the pointer is dead. */
void resolver_cancel(struct resolver *resolver);

#endif
