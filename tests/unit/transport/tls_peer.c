/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/clock.h"

static char problem[256];

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(certificate, subject);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

void credentials_write(const char *certificate, const char *key, const char *name,
                       const char *password)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *made = make_certificate(pair, name);
    FILE *out = fopen(certificate, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, made), 1);
    fclose(out);
    out = fopen(key, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_PKCS8PrivateKey(out, pair,
                                               password == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0,
                                               NULL, (void *)(uintptr_t)password),
                     1);
    fclose(out);
    X509_free(made);
    EVP_PKEY_free(pair);
}

void credentials_create(struct credentials *credentials)
{
    snprintf(credentials->directory, sizeof(credentials->directory), "/tmp/holdfast-XXXXXX");
    assert_non_null(mkdtemp(credentials->directory));
    const char *directory = credentials->directory;
    snprintf(credentials->server_certificate, PATH_SIZE, "%s/server.pem", directory);
    snprintf(credentials->server_key, PATH_SIZE, "%s/server.key", directory);
    snprintf(credentials->client_certificate, PATH_SIZE, "%s/client.pem", directory);
    snprintf(credentials->client_key, PATH_SIZE, "%s/client.key", directory);
    credentials_write(credentials->server_certificate, credentials->server_key, "first", NULL);
    credentials_write(credentials->client_certificate, credentials->client_key, "client", NULL);
}

void credentials_destroy(struct credentials *credentials)
{
    unlink(credentials->server_certificate);
    unlink(credentials->server_key);
    unlink(credentials->client_certificate);
    unlink(credentials->client_key);
    rmdir(credentials->directory);
}

static SSL *make_ssl(const struct tls_peer_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    if (options->version_max != 0) {
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, options->version_max);
    }
    if (options->has_certificate) {
        const struct credentials *credentials = options->credentials;
        assert_int_equal(SSL_CTX_use_certificate_file(context, credentials->client_certificate,
                                                      SSL_FILETYPE_PEM),
                         1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(context, credentials->client_key, SSL_FILETYPE_PEM), 1);
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->alpn != NULL) {
        SSL_CTX_set_alpn_protos(context, options->alpn, (unsigned)options->alpn_length);
    }
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    return ssl;
}

bool tls_peer_start(struct harness *harness, const struct tls_peer_options *options)
{
    SSL *ssl = make_ssl(options);
    int64_t deadline_us = clock_now_us() + HARNESS_DEADLINE_US;
    ERR_clear_error();
    SSL_set_fd(ssl, harness->peer);
    harness->is_deaf = true; /* the bytes are OpenSSL's */
    int result = SSL_connect(ssl);
    while (result != 1 && (SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ||
                           SSL_get_error(ssl, result) == SSL_ERROR_WANT_WRITE)) {
        assert_true(clock_now_us() < deadline_us);
        harness_turn(harness);
        result = SSL_connect(ssl);
    }
    harness->is_deaf = false;
    if (result != 1) {
        ERR_error_string_n(ERR_get_error(), problem, sizeof(problem));
        SSL_free(ssl);
        return false;
    }
    harness->ssl = ssl;
    return true;
}

const char *tls_peer_problem(void)
{
    return problem;
}

void tls_peer_server_name(const struct harness *harness, char name[64])
{
    X509 *certificate = SSL_get1_peer_certificate(harness->ssl);
    assert_non_null(certificate);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, 64);
    X509_free(certificate);
}

void tls_peer_stop(struct harness *harness)
{
    SSL_free(harness->ssl);
    harness->ssl = NULL;
}
