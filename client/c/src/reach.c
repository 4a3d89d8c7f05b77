/* SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include <stdio.h>
#include <stdlib.h>

#include "tls.h"

#define DEFAULT_TIMEOUT_MS 5000

static const char *server_of(const struct holdfast_options *options)
{
    const char *from_environment = getenv("HOLDFAST_SERVER");
    if (options->server != NULL) {
        return options->server;
    }
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment
                                                                   : ADDRESS_DEFAULT;
}

bool reach_init(struct reach *reach, const struct holdfast_options *options,
                char error[HOLDFAST_ERROR_SIZE])
{
    *reach = (struct reach){.tls = NULL};
    if (!address_parse(&reach->address, server_of(options), error)) {
        return false;
    }
    reach->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    if (reach->address.kind == ADDRESS_TLS) {
        reach->tls = tls_context_create(options, error);
        return reach->tls != NULL;
    }
    if (options->ca_file != NULL || options->cert_file != NULL || options->key_file != NULL) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE,
                       "certificates are given, but the server address %.100s is not tls://",
                       reach->address.text);
        return false;
    }
    return true;
}

void reach_release(struct reach *reach)
{
    tls_context_destroy(reach->tls);
}
