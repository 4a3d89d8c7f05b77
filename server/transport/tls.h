/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for listeners: TLS 1.2 or newer, by OpenSSL. */
#ifndef HOLDFAST_TRANSPORT_TLS_H
#define HOLDFAST_TRANSPORT_TLS_H

#include "base/compiler.h"

#include <stdbool.h>

#define TLS_PROBLEM_SIZE 256

struct ssl_st;
struct tls;

struct tls_config {
    const char *certificate_file; /* PEM, with its chain; both must outlive the tls */
    const char *key_file;         /* PEM */
    const char *client_ca_file;   /* PEM; NULL: clients are not asked for certificates */
};

/* Loads the files. NULL and a sentence in `problem` that names the file on failure. */
NODISCARD struct tls *tls_create(const struct tls_config *config, char problem[TLS_PROBLEM_SIZE]);

void tls_destroy(struct tls *tls);

/* Loads the files again; connections made from now on use them. On failure the old ones stay in
 * use. */
NODISCARD bool tls_reload(struct tls *tls, char problem[TLS_PROBLEM_SIZE]);

/* An SSL object in accept state for one connection; the caller owns it. */
struct ssl_st *tls_accept(struct tls *tls);

#endif
