/* SPDX-License-Identifier: Apache-2.0 */
/* Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, taken apart. */
#ifndef HOLDFAST_TRANSPORT_ADDRESS_H
#define HOLDFAST_TRANSPORT_ADDRESS_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_PROBLEM_SIZE 256
#define ADDRESS_HOST_SIZE    256
#define ADDRESS_PATH_SIZE    108 /* what a socket's address in the kernel has room for */
#define ADDRESS_SUFFIX_MAX   12  /* ".tmp." and a process's number: a socket is bound under this */
#define ADDRESS_PATH_MAX     (ADDRESS_PATH_SIZE - 1 - ADDRESS_SUFFIX_MAX)
#define ADDRESS_TEXT_SIZE    (ADDRESS_HOST_SIZE + 16)

enum address_kind { ADDRESS_TCP, ADDRESS_TLS, ADDRESS_UNIX };

struct address {
    enum address_kind kind;
    char host[ADDRESS_HOST_SIZE]; /* without brackets; "" is every address ("*") */
    uint16_t port;
    char path[ADDRESS_PATH_MAX + 1];
};

/* Takes `url` apart. False and a sentence that shows the right form in `problem` on failure. */
NODISCARD bool address_parse(struct address *address, const char *url,
                             char problem[ADDRESS_PROBLEM_SIZE]);

/* Writes the URL. */
void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE]);

#endif
