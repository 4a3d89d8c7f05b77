/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/memory.h"

/* ALPN's wire form, a length and the name: what is preferred comes first. It is a promise only;
 * what is spoken is found out as on a plain connection. */
static const unsigned char served_alpn[] = {2, 'h', '2', 5, 't', 't', 'r', 'p', 'c'};

struct tls {
    struct tls_config config;
    SSL_CTX *context; /* of connections made from now on; older ones keep theirs alive */
};

static void PRINTF_LIKE(2, 3) explain(char problem[TLS_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, TLS_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
}

/* The first error that OpenSSL recorded is the cause, the later ones are its consequences. */
static const char *openssl_reason(void)
{
    unsigned long error = ERR_get_error();
    ERR_clear_error();
    if (ERR_SYSTEM_ERROR(error)) {
        return strerror(ERR_GET_REASON(error));
    }
    const char *reason = ERR_reason_error_string(error);
    return reason == NULL ? "unknown error" : reason;
}

/* Without this OpenSSL would ask for a password on the terminal. */
static int refuse_password(char *buffer, int size, int is_writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

static int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned int offered_length, void *user)
{
    unsigned char *match = NULL;
    (void)ssl;
    (void)user;
    if (SSL_select_next_proto(&match, chosen_length, served_alpn, sizeof(served_alpn), offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

static bool load_certificate(SSL_CTX *context, const struct tls_config *config,
                             char problem[TLS_PROBLEM_SIZE])
{
    if (SSL_CTX_use_certificate_chain_file(context, config->certificate_file) != 1) {
        explain(problem, "tls-cert %s: %s; it must be a PEM file", config->certificate_file,
                openssl_reason());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, config->key_file, SSL_FILETYPE_PEM) != 1) {
        explain(problem,
                "tls-key %s: %s; it must be a PEM file without a password that belongs to "
                "the certificate %s",
                config->key_file, openssl_reason(), config->certificate_file);
        return false;
    }
    return true;
}

static bool load_client_ca(SSL_CTX *context, const char *file, char problem[TLS_PROBLEM_SIZE])
{
    if (file == NULL) {
        return true;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (names == NULL || SSL_CTX_load_verify_locations(context, file, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        explain(problem, "tls-client-ca %s: %s; it must be a PEM file", file, openssl_reason());
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static void configure(SSL_CTX *context)
{
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    /* Connections live long, so resumption would gain nothing; and a resumed session would not be
     * verified against a client CA that was changed since. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(context, refuse_password);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
}

static SSL_CTX *load(const struct tls_config *config, char problem[TLS_PROBLEM_SIZE])
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        explain(problem, "TLS: OpenSSL cannot start: %s", openssl_reason());
        return NULL;
    }
    configure(context);
    if (!load_certificate(context, config, problem) ||
        !load_client_ca(context, config->client_ca_file, problem)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

struct tls *tls_create(const struct tls_config *config, char problem[TLS_PROBLEM_SIZE])
{
    SSL_CTX *context = load(config, problem);
    if (context == NULL) {
        return NULL;
    }
    struct tls *tls = memory_alloc(sizeof(*tls));
    *tls = (struct tls){.config = *config, .context = context};
    return tls;
}

void tls_destroy(struct tls *tls)
{
    SSL_CTX_free(tls->context);
    memory_free(tls);
}

bool tls_reload(struct tls *tls, char problem[TLS_PROBLEM_SIZE])
{
    SSL_CTX *context = load(&tls->config, problem);
    if (context == NULL) {
        return false;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    return true;
}

struct ssl_st *tls_accept(struct tls *tls)
{
    SSL *ssl = SSL_new(tls->context);
    CHECK(ssl != NULL);
    SSL_set_accept_state(ssl);
    return ssl;
}
