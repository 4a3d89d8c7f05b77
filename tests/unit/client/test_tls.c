/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: whom the client trusts, and whom it does not. Keys are made afresh for each run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "async_loop.h"
#include "fake_server.h"

/* A key, its certificate, and the files they are in. */
struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char key_file[96];
    char certificate_file[96];
};

static struct {
    char directory[64];
    struct identity authority;
    struct identity server;   /* for localhost and 127.0.0.1 */
    struct identity stranger; /* for elsewhere.example only */
    struct identity client;
    struct identity outsider; /* an authority that signed nothing */
} files;

static void add_extension(X509 *certificate, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, id, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                                0),
                     1);
    return certificate;
}

static void save(struct identity *identity, const char *name)
{
    (void)snprintf(identity->key_file, sizeof(identity->key_file), "%s/%s.key", files.directory,
                   name);
    (void)snprintf(identity->certificate_file, sizeof(identity->certificate_file), "%s/%s.pem",
                   files.directory, name);
    FILE *file = fopen(identity->key_file, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    file = fopen(identity->certificate_file, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, identity->certificate), 1);
    assert_int_equal(fclose(file), 0);
}

/* Signed by `issuer`, or by itself when that is NULL; `names` are its alternative names. */
static void make_identity(struct identity *identity, const char *name, const char *names,
                          const struct identity *issuer)
{
    identity->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert_non_null(identity->key);
    identity->certificate = make_certificate(identity->key, name);
    const struct identity *signer = issuer != NULL ? issuer : identity;
    assert_int_equal(
        X509_set_issuer_name(identity->certificate, X509_get_subject_name(signer->certificate)), 1);
    if (issuer == NULL) {
        add_extension(identity->certificate, NID_basic_constraints, "critical,CA:TRUE");
    }
    if (names != NULL) {
        add_extension(identity->certificate, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(identity->certificate, signer->key, EVP_sha256()) > 0);
    save(identity, name);
}

static void drop_identity(struct identity *identity)
{
    (void)unlink(identity->key_file);
    (void)unlink(identity->certificate_file);
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

static int make_files(void **state)
{
    (void)state;
    (void)snprintf(files.directory, sizeof(files.directory), "/tmp/holdfast-tls-XXXXXX");
    assert_non_null(mkdtemp(files.directory));
    make_identity(&files.authority, "authority", NULL, NULL);
    make_identity(&files.outsider, "outsider", NULL, NULL);
    make_identity(&files.server, "server", "DNS:localhost,IP:127.0.0.1", &files.authority);
    make_identity(&files.stranger, "stranger", "DNS:elsewhere.example", &files.authority);
    make_identity(&files.client, "client", NULL, &files.authority);
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    drop_identity(&files.authority);
    drop_identity(&files.outsider);
    drop_identity(&files.server);
    drop_identity(&files.stranger);
    drop_identity(&files.client);
    return rmdir(files.directory);
}

/* How the server behaves. */
struct side {
    const struct identity *identity;
    bool asks_for_certificate;
    bool expects_hold;
    int newest_version; /* 0: the newest there is */
    char seen_name[64]; /* SNI */
};

static SSL_CTX *server_context(const struct side *side)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    REQUIRE(SSL_CTX_use_certificate(context, side->identity->certificate) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context, side->identity->key) == 1);
    REQUIRE(SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1);
    REQUIRE(SSL_CTX_set_max_proto_version(context, side->newest_version) == 1);
    SSL_CTX_set_security_level(context, 0);
    if (side->asks_for_certificate) {
        REQUIRE(SSL_CTX_load_verify_file(context, files.authority.certificate_file) == 1);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

static bool read_tls(SSL *ssl, uint8_t *bytes, size_t length)
{
    for (size_t have = 0; have < length;) {
        int more = SSL_read(ssl, bytes + have, (int)(length - have));
        if (more <= 0) {
            return false;
        }
        have += (size_t)more;
    }
    return true;
}

static bool read_frame(SSL *ssl, struct fake_frame *frame)
{
    uint8_t start[TTRPC_HEADER_SIZE];
    if (!read_tls(ssl, start, sizeof(start))) {
        return false;
    }
    ttrpc_header_decode(&frame->header, start);
    REQUIRE(frame->header.length <= sizeof(frame->data));
    return read_tls(ssl, frame->data, frame->header.length);
}

/* Sends what the fake server's functions have written into the other end of `pair`. */
static void forward(int pair, SSL *ssl)
{
    char bytes[4096];
    ssize_t length = recv(pair, bytes, sizeof(bytes), 0);
    REQUIRE(length > 0);
    REQUIRE(SSL_write(ssl, bytes, (int)length) == length);
}

/* Grants one hold and confirms its release. */
static void serve_hold(SSL *ssl)
{
    struct fake_frame frame;
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    REQUIRE(read_frame(ssl, &frame)); /* the request that opens the stream */
    REQUIRE(read_frame(ssl, &frame)); /* the ask */
    fake_send_granted(pair[0], frame.header.stream_id, 8900);
    forward(pair[1], ssl);
    REQUIRE(read_frame(ssl, &frame));
    REQUIRE(frame.header.flags == (TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA));
    fake_send_released(pair[0], frame.header.stream_id);
    forward(pair[1], ssl);
    (void)SSL_shutdown(ssl);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* One connection; what the handshake comes to is the test's question. */
static void serve(struct fake_server *server, void *argument)
{
    struct side *side = argument;
    SSL_CTX *context = server_context(side);
    int connection = fake_accept(server);
    SSL *ssl = SSL_new(context);
    REQUIRE(SSL_set_fd(ssl, connection) == 1);
    if (SSL_accept(ssl) == 1) {
        struct fake_frame frame;
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        (void)snprintf(side->seen_name, sizeof(side->seen_name), "%s", name != NULL ? name : "");
        if (side->expects_hold) {
            serve_hold(ssl);
        }
        while (read_frame(ssl, &frame)) {
        }
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(connection);
}

static void start(struct fake_server *server, struct side *side, char url[128], const char *host)
{
    fake_server_start_tcp(server, serve, side);
    (void)snprintf(url, 128, "tls://%s%s", host, strrchr(server->url, ':'));
}

static void check_hold(struct async_loop *loop)
{
    struct news news;
    struct answer held;
    struct answer released = {.count = 0};
    async_hold(loop, &news, &held);
    assert_string_equal(held.error, "");
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_async_release(loop->async, held.lease, async_on_done, &released);
    async_loop_run_until(loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
}

static void check_works(struct side *side, const char *host, const char *expected_name)
{
    struct fake_server server;
    struct async_loop loop;
    char url[128];
    side->expects_hold = true;
    start(&server, side, url, host);
    const struct holdfast_options options = {
        .server = url,
        .ca_file = files.authority.certificate_file,
        .cert_file = side->asks_for_certificate ? files.client.certificate_file : NULL,
        .key_file = side->asks_for_certificate ? files.client.key_file : NULL,
    };
    async_loop_open(&loop, &options);
    check_hold(&loop);
    async_loop_close(&loop);
    fake_server_finish(&server);
    assert_string_equal(side->seen_name, expected_name);
}

static void test_works_by_address_and_by_name(void **state)
{
    (void)state;
    struct side side = {.identity = &files.server};
    check_works(&side, "127.0.0.1", "");
    check_works(&side, "localhost", "localhost");
}

static void test_works_with_tls_1_2(void **state)
{
    (void)state;
    struct side side = {.identity = &files.server, .newest_version = TLS1_2_VERSION};
    check_works(&side, "127.0.0.1", "");
}

static void test_shows_its_certificate(void **state)
{
    (void)state;
    struct side side = {.identity = &files.server, .asks_for_certificate = true};
    check_works(&side, "127.0.0.1", "");
}

/* The blocking call fails at once, without a retry, and says why. */
static void check_fails(struct side *side, const char *host, const char *ca_file, const char *why)
{
    struct fake_server server;
    char error[HOLDFAST_ERROR_SIZE] = "";
    char url[128];
    start(&server, side, url, host);
    const struct holdfast_options options = {.server = url, .ca_file = ca_file};
    assert_null(holdfast_open(&options, error));
    fake_server_finish(&server);
    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error, why);
    }
}

static void test_refuses_another_name(void **state)
{
    (void)state;
    struct side side = {.identity = &files.stranger};
    const char *ca_file = files.authority.certificate_file;
    check_fails(&side, "127.0.0.1", ca_file, "IP address mismatch");
    check_fails(&side, "localhost", ca_file, "hostname mismatch");
}

static void test_refuses_an_unknown_authority(void **state)
{
    (void)state;
    struct side side = {.identity = &files.server};
    check_fails(&side, "127.0.0.1", files.outsider.certificate_file, "issuer certificate");
    check_fails(&side, "127.0.0.1", NULL, "issuer certificate");
}

static void test_tells_what_to_do_about_a_self_signed_certificate(void **state)
{
    (void)state;
    struct side side = {.identity = &files.outsider};
    check_fails(&side, "127.0.0.1", files.authority.certificate_file,
                "self-signed certificate; trust its authority with ca_file");
}

/* Long before the timeout, which is longer than async_loop_run_until waits. */
static void test_requests_do_not_wait_for_trust(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct side side = {.identity = &files.server};
    struct news news;
    struct answer held = {.count = 0};
    struct answer detached = {.count = 0};
    struct answer seen = {.count = 0};
    char url[128];
    start(&server, &side, url, "127.0.0.1");
    const struct holdfast_options options = {
        .server = url, .ca_file = files.outsider.certificate_file, .timeout_ms = 60000};
    async_loop_open(&loop, &options);
    const struct holdfast_ask ask = async_ask(&news);
    holdfast_async_acquire_detached(loop.async, &ask, NULL, async_on_lease, &detached);
    holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &seen);
    async_hold(&loop, &news, &held);
    async_loop_run_until(&loop, &detached.count, 1);
    async_loop_run_until(&loop, &seen.count, 1);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    assert_int_equal(detached.result, HOLDFAST_AWAY);
    assert_int_equal(seen.result, HOLDFAST_AWAY);
    assert_non_null(strstr(held.error, "certificate"));
    assert_non_null(strstr(detached.error, "certificate"));
    async_loop_close(&loop);
    fake_server_finish(&server);
}

static void check_cannot_load(const struct holdfast_options *options, const char *why)
{
    char error[HOLDFAST_ERROR_SIZE] = "";
    assert_null(holdfast_open(options, error));
    assert_string_equal(error, why);
}

static void test_tells_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    const struct holdfast_options no_authorities = {.server = "tls://127.0.0.1:1",
                                                    .ca_file = "/nonexistent/ca"};
    check_cannot_load(&no_authorities, "cannot load authorities from /nonexistent/ca: No such file "
                                       "or directory");
    const struct holdfast_options no_certificate = {.server = "tls://127.0.0.1:1",
                                                    .cert_file = "/nonexistent/cert",
                                                    .key_file = files.client.key_file};
    check_cannot_load(&no_certificate, "cannot load the certificate /nonexistent/cert: No such "
                                       "file or directory");
    const struct holdfast_options no_key = {.server = "tls://127.0.0.1:1",
                                            .cert_file = files.client.certificate_file,
                                            .key_file = "/nonexistent/key"};
    check_cannot_load(&no_key, "cannot use the key /nonexistent/key: No such file or directory");
}

static void test_refuses_old_tls(void **state)
{
    (void)state;
    struct side side = {.identity = &files.server, .newest_version = TLS1_1_VERSION};
    check_fails(&side, "127.0.0.1", files.authority.certificate_file, "handshake failed");
}

/* A plain server behind a tls:// address: the client never falls back. */
static void talk_plain(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_end(connection, 1);
    fake_drain(connection);
}

static void test_never_talks_plain(void **state)
{
    (void)state;
    struct fake_server server;
    char error[HOLDFAST_ERROR_SIZE] = "";
    char url[128];
    fake_server_start_tcp(&server, talk_plain, NULL);
    (void)snprintf(url, sizeof(url), "tls://127.0.0.1%s", strrchr(server.url, ':'));
    const struct holdfast_options options = {.server = url,
                                             .ca_file = files.authority.certificate_file};
    assert_null(holdfast_open(&options, error));
    assert_non_null(strstr(error, "handshake failed"));
    assert_non_null(strstr(error, "does it speak tcp:// there?"));
    fake_server_finish(&server);
}

static void hang_up(struct fake_server *server, void *argument)
{
    char hello[4096];
    (void)argument;
    int connection = fake_accept(server);
    REQUIRE(recv(connection, hello, sizeof(hello), 0) > 0);
    (void)close(connection);
}

static void test_tells_that_a_server_may_be_plain(void **state)
{
    (void)state;
    struct fake_server server;
    char error[HOLDFAST_ERROR_SIZE] = "";
    char url[128];
    fake_server_start_tcp(&server, hang_up, NULL);
    (void)snprintf(url, sizeof(url), "tls://127.0.0.1%s", strrchr(server.url, ':'));
    const struct holdfast_options options = {.server = url};
    assert_null(holdfast_open(&options, error));
    assert_non_null(strstr(error, "does it speak tcp:// there?"));
    fake_server_finish(&server);
}

static void send_alert(struct fake_server *server, void *argument)
{
    static const unsigned char alert[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46};
    (void)argument;
    int connection = fake_accept(server);
    REQUIRE(send(connection, alert, sizeof(alert), MSG_NOSIGNAL) == (ssize_t)sizeof(alert));
    fake_drain(connection);
}

/* A plain client at a TLS server: told by the alert, or else by the silence. */
static void check_plain_client(void (*play)(struct fake_server *, void *), const char *why)
{
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct side side = {.identity = &files.server};
    fake_server_start_tcp(&server, play, &side);
    async_loop_open_url(&loop, server.url, 5000);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    if (strstr(held.error, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", held.error, why);
    }
    async_loop_close(&loop);
    fake_server_finish(&server);
}

static void test_tells_a_plain_client_of_tls(void **state)
{
    (void)state;
    check_plain_client(send_alert, "use tls:// instead of tcp://");
    check_plain_client(serve, "does it speak tls:// there?");
    check_plain_client(hang_up, "does it speak tls:// there?");
}

/* Accepts, reads the client's hello and says nothing. */
static void say_nothing(struct fake_server *server, void *argument)
{
    (void)argument;
    fake_drain(fake_accept(server));
}

static void test_a_silent_handshake_times_out(void **state)
{
    (void)state;
    struct fake_server server;
    char error[HOLDFAST_ERROR_SIZE] = "";
    char url[128];
    fake_server_start_tcp(&server, say_nothing, NULL);
    (void)snprintf(url, sizeof(url), "tls://127.0.0.1%s", strrchr(server.url, ':'));
    const struct holdfast_options options = {
        .server = url, .ca_file = files.authority.certificate_file, .timeout_ms = 100};
    assert_null(holdfast_open(&options, error));
    assert_non_null(strstr(error, "100 ms"));
    fake_server_finish(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_by_address_and_by_name),
        cmocka_unit_test(test_works_with_tls_1_2),
        cmocka_unit_test(test_shows_its_certificate),
        cmocka_unit_test(test_refuses_another_name),
        cmocka_unit_test(test_refuses_an_unknown_authority),
        cmocka_unit_test(test_tells_what_to_do_about_a_self_signed_certificate),
        cmocka_unit_test(test_requests_do_not_wait_for_trust),
        cmocka_unit_test(test_tells_what_is_wrong_with_a_file),
        cmocka_unit_test(test_tells_that_a_server_may_be_plain),
        cmocka_unit_test(test_tells_a_plain_client_of_tls),
        cmocka_unit_test(test_refuses_old_tls),
        cmocka_unit_test(test_never_talks_plain),
        cmocka_unit_test(test_a_silent_handshake_times_out),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
