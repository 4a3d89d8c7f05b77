/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/check.h"

#define RECORD_SIZE  16384
#define PROTOCOL_MAX ((size_t)16)

/* OpenSSL's newest reason, for people. What the system said about a file comes first, and is more
 * to the point. */
static const char *reason(void)
{
    unsigned long first = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(first)) {
        return strerror(ERR_GET_REASON(first));
    }
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "no reason given";
}

static bool load_authorities(struct ssl_ctx_st *context, const struct holdfast_options *options,
                             char error[HOLDFAST_ERROR_SIZE])
{
    if (options->ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(context) == 1) {
            return true;
        }
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "cannot load the system's authorities: %s",
                       reason());
        return false;
    }
    if (SSL_CTX_load_verify_file(context, options->ca_file) == 1) {
        return true;
    }
    (void)snprintf(error, HOLDFAST_ERROR_SIZE, "cannot load authorities from %.150s: %s",
                   options->ca_file, reason());
    return false;
}

static bool load_certificate(struct ssl_ctx_st *context, const struct holdfast_options *options,
                             char error[HOLDFAST_ERROR_SIZE])
{
    if (options->cert_file == NULL && options->key_file == NULL) {
        return true;
    }
    if (options->cert_file == NULL || options->key_file == NULL) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE,
                       "a client certificate needs both cert_file and key_file");
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(context, options->cert_file) != 1) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "cannot load the certificate %.150s: %s",
                       options->cert_file, reason());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, options->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "cannot use the key %.150s: %s",
                       options->key_file, reason());
        return false;
    }
    return true;
}

struct ssl_ctx_st *tls_context_create(const struct holdfast_options *options,
                                      char error[HOLDFAST_ERROR_SIZE])
{
    ERR_clear_error();
    struct ssl_ctx_st *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "cannot set up TLS: %s", reason());
        return NULL;
    }
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Else a write could ask to read first. */
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    if (!load_authorities(context, options, error) || !load_certificate(context, options, error)) {
        tls_context_destroy(context);
        ERR_clear_error();
        return NULL;
    }
    return context;
}

void tls_context_offer(struct ssl_ctx_st *context, const char *protocol)
{
    unsigned char list[PROTOCOL_MAX + 1];
    const size_t length = strlen(protocol);
    CHECK(length <= PROTOCOL_MAX);
    list[0] = (unsigned char)length;
    memcpy(list + 1, protocol, length);
    CHECK(SSL_CTX_set_alpn_protos(context, list, (unsigned)length + 1) == 0);
}

void tls_context_destroy(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}

static bool is_numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* SNI carries names only (RFC 6066); an address is compared with the certificate's addresses. */
static bool expect_host(struct ssl_st *ssl, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    if (is_numeric(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool tls_session_init(struct tls_session *session, struct ssl_ctx_st *context, const char *host)
{
    ERR_clear_error();
    *session = (struct tls_session){.ssl = SSL_new(context)};
    if (session->ssl == NULL) {
        return false;
    }
    session->from_peer = BIO_new(BIO_s_mem());
    session->to_peer = BIO_new(BIO_s_mem());
    if (session->from_peer == NULL || session->to_peer == NULL) {
        BIO_free(session->from_peer);
        BIO_free(session->to_peer);
        return false;
    }
    /* An empty buffer means "more is to come", not the end. */
    (void)BIO_set_mem_eof_return(session->from_peer, -1);
    SSL_set_bio(session->ssl, session->from_peer, session->to_peer);
    SSL_set_connect_state(session->ssl);
    return expect_host(session->ssl, host);
}

void tls_session_release(struct tls_session *session)
{
    SSL_free(session->ssl);
    *session = (struct tls_session){.ssl = NULL};
}

void tls_session_feed(struct tls_session *session, const void *bytes, size_t length)
{
    size_t written = 0;
    CHECK(BIO_write_ex(session->from_peer, bytes, length, &written) == 1);
    CHECK(written == length);
}

static void collect(struct tls_session *session, struct evbuffer *wire)
{
    char *bytes = NULL;
    long length = BIO_get_mem_data(session->to_peer, &bytes);
    if (length > 0) {
        CHECK(evbuffer_add(wire, bytes, (size_t)length) == 0);
        (void)BIO_reset(session->to_peer);
    }
}

/* What to do about it, or "". */
static const char *remedy(long verified)
{
    switch (verified) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "; trust its authority with ca_file";
    default:
        return "";
    }
}

static bool is_not_tls(unsigned long error)
{
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER;
}

static enum tls_step explain(struct tls_session *session, const char *what,
                             char error[HOLDFAST_ERROR_SIZE])
{
    long verified = SSL_get_verify_result(session->ssl);
    if (verified != X509_V_OK) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "%s: the server's certificate: %s%s", what,
                       X509_verify_cert_error_string(verified), remedy(verified));
        return TLS_STEP_UNTRUSTED;
    }
    (void)snprintf(error, HOLDFAST_ERROR_SIZE, "%s: %s%s", what, reason(),
                   is_not_tls(ERR_peek_last_error()) ? TLS_MAYBE_PLAIN : "");
    return TLS_STEP_FAILED;
}

enum tls_step tls_session_handshake(struct tls_session *session, struct evbuffer *wire,
                                    char error[HOLDFAST_ERROR_SIZE])
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    collect(session, wire);
    if (result == 1) {
        return TLS_STEP_DONE;
    }
    if (SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ) {
        return TLS_STEP_MORE;
    }
    return explain(session, "the TLS handshake failed", error);
}

enum tls_step tls_session_receive(struct tls_session *session, struct evbuffer *plain,
                                  struct evbuffer *wire, char error[HOLDFAST_ERROR_SIZE])
{
    char bytes[RECORD_SIZE];
    size_t length = 0;
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, bytes, sizeof(bytes), &length);
    while (result == 1) {
        CHECK(evbuffer_add(plain, bytes, length) == 0);
        result = SSL_read_ex(session->ssl, bytes, sizeof(bytes), &length);
    }
    int kind = SSL_get_error(session->ssl, result);
    collect(session, wire);
    if (kind == SSL_ERROR_WANT_READ) {
        return TLS_STEP_MORE;
    }
    if (kind == SSL_ERROR_ZERO_RETURN) {
        return TLS_STEP_DONE;
    }
    return explain(session, "TLS failed", error);
}

bool tls_session_send(struct tls_session *session, struct evbuffer *plain, struct evbuffer *wire)
{
    ERR_clear_error();
    size_t length = evbuffer_get_contiguous_space(plain);
    while (length > 0) {
        size_t written = 0;
        const unsigned char *bytes = evbuffer_pullup(plain, (ev_ssize_t)length);
        if (bytes == NULL || SSL_write_ex(session->ssl, bytes, length, &written) != 1) {
            return false;
        }
        (void)evbuffer_drain(plain, written);
        length = evbuffer_get_contiguous_space(plain);
    }
    collect(session, wire);
    return true;
}
