/* SPDX-License-Identifier: Apache-2.0 */
/* Where a server listens, as users write it. */
#ifndef HOLDFAST_CLIENT_ADDRESS_H
#define HOLDFAST_CLIENT_ADDRESS_H

#include "base/compiler.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>

#define ADDRESS_DEFAULT      "tcp://127.0.0.1:7420"
#define ADDRESS_DEFAULT_PORT "7420"
#define ADDRESS_PATH_SIZE    108 /* what sockaddr_un takes, with its NUL */
#define ADDRESS_HOST_SIZE    256
#define ADDRESS_TEXT_SIZE    (ADDRESS_HOST_SIZE + 32)

enum address_kind { ADDRESS_UNIX, ADDRESS_TCP, ADDRESS_TLS };

struct address {
    enum address_kind kind;
    char path[ADDRESS_PATH_SIZE]; /* ADDRESS_UNIX */
    char host[ADDRESS_HOST_SIZE]; /* a name or a number, without brackets */
    char port[6];
    char text[ADDRESS_TEXT_SIZE]; /* for messages */
};

/* Parses "unix:///path", "tcp://host:port" or "tls://host:port"; an IPv6 address stands in
 * brackets, the port may be missing. False and a sentence in `error` when it is none of them. */
NODISCARD bool address_parse(struct address *address, const char *url,
                             char error[HOLDFAST_ERROR_SIZE]);

#endif
