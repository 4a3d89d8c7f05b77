/* SPDX-License-Identifier: Apache-2.0 */
/* How to reach a server, as the options and the environment have it. */
#ifndef HOLDFAST_CLIENT_REACH_H
#define HOLDFAST_CLIENT_REACH_H

#include "address.h"
#include "base/compiler.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

struct ssl_ctx_st;

struct reach {
    struct address address;
    struct ssl_ctx_st *tls; /* NULL unless the address is tls:// */
    uint32_t timeout_ms;
};

/* False and a sentence in `error` when the options make no sense; then there is nothing to
 * release. */
NODISCARD bool reach_init(struct reach *reach, const struct holdfast_options *options,
                          char error[HOLDFAST_ERROR_SIZE]);

void reach_release(struct reach *reach);

#endif
