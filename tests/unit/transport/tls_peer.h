/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, and TLS for the test's end of a connection. */
#ifndef HOLDFAST_TESTS_TLS_PEER_H
#define HOLDFAST_TESTS_TLS_PEER_H

#include "harness.h"

#include <stdbool.h>
#include <stddef.h>

#define PATH_SIZE 128

/* A directory with a server's and a client's certificate, each its own authority. */
struct credentials {
    char directory[64];
    char server_certificate[PATH_SIZE];
    char server_key[PATH_SIZE];
    char client_certificate[PATH_SIZE];
    char client_key[PATH_SIZE];
};

void credentials_create(struct credentials *credentials);
void credentials_destroy(struct credentials *credentials);

/* Writes a new key and a self-signed certificate with this name. A password encrypts the key. */
void credentials_write(const char *certificate, const char *key, const char *name,
                       const char *password);

struct tls_peer_options {
    const struct credentials *credentials;
    bool has_certificate;      /* show the client's */
    int version_max;           /* 0: the newest */
    const unsigned char *alpn; /* in ALPN's wire form; NULL: none */
    size_t alpn_length;
};

/* Makes the harness' end speak TLS and shakes hands. False when that fails, with the reason in
 * tls_peer_problem. */
bool tls_peer_start(struct harness *harness, const struct tls_peer_options *options);

const char *tls_peer_problem(void);

/* The name in the server's certificate. */
void tls_peer_server_name(const struct harness *harness, char name[64]);

/* Ends TLS on the harness' end, without a word to the server. */
void tls_peer_stop(struct harness *harness);

#endif
