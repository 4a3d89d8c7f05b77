/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where Redis is: redis://[user[:password]@]host[:port][/database] or
 * unix:///path/to/socket[?db=N] (also redis+unix://). User and password are percent-decoded.
 */
#ifndef HOLDFAST_REDIS_URL_H
#define HOLDFAST_REDIS_URL_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define REDIS_URL_PROBLEM_SIZE 160

struct redis_url {
    char *host; /* NULL for a unix socket; an IPv6 address without brackets */
    int port;
    char *socket_path; /* NULL for TCP */
    char *user;        /* NULL: none */
    char *password;    /* NULL: none; never logged */
    int database;
};

/* Parses `text`. False and a sentence in `problem` (never with the password) when it is no such
 * URL; `url` then needs no release. */
NODISCARD bool redis_url_parse(struct redis_url *url, const char *text,
                               char problem[REDIS_URL_PROBLEM_SIZE]);

void redis_url_release(struct redis_url *url);

/* "redis://host:port/db" or "unix:///path?db=N", without user or password: for logs. */
void redis_url_format(const struct redis_url *url, char *text, size_t size);

#endif
