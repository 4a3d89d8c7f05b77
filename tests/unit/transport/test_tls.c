/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "fake_session.h"
#include "grpc_peer.h"
#include "harness.h"
#include "tls_peer.h"

#define BURST      4000
#define BURST_SIZE ((size_t)512 * 1024)

struct fixture {
    struct harness *harness;
    struct credentials credentials;
    struct tls_config config;
    struct tls *tls;
    char problem[TLS_PROBLEM_SIZE];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    void *harness = NULL;
    harness_set_up(&harness);
    fixture->harness = harness;
    credentials_create(&fixture->credentials);
    fixture->config.certificate_file = fixture->credentials.server_certificate;
    fixture->config.key_file = fixture->credentials.server_key;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    void *harness = fixture->harness;
    harness_tear_down(&harness);
    if (fixture->tls != NULL) {
        tls_destroy(fixture->tls);
    }
    credentials_destroy(&fixture->credentials);
    free(fixture);
    return 0;
}

static void serve(struct fixture *fixture)
{
    fixture->tls = tls_create(&fixture->config, fixture->problem);
    assert_non_null(fixture->tls);
    fixture->harness->host.tls = fixture->tls;
}

static bool shake_hands(struct fixture *fixture, struct tls_peer_options options)
{
    options.credentials = &fixture->credentials;
    harness_connect(fixture->harness);
    return tls_peer_start(fixture->harness, &options);
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    fclose(out);
}

static void assert_refused(struct fixture *fixture, const char *file, const char *reason)
{
    assert_null(tls_create(&fixture->config, fixture->problem));
    assert_non_null(strstr(fixture->problem, file));
    if (strstr(fixture->problem, reason) == NULL) {
        print_error("%s\n", fixture->problem);
    }
    assert_non_null(strstr(fixture->problem, reason));
}

/* Files */

static void a_missing_certificate_is_named(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.certificate_file = "/nowhere/server.pem";
    assert_refused(fixture, "/nowhere/server.pem", "No such file");
}

static void a_missing_key_is_named(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.key_file = "/nowhere/server.key";
    assert_refused(fixture, "/nowhere/server.key", "No such file");
}

static void a_missing_client_ca_is_named(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.client_ca_file = "/nowhere/ca.pem";
    assert_refused(fixture, "/nowhere/ca.pem", "No such file");
}

static void garbage_is_no_certificate(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->credentials.server_certificate, "not a certificate\n");
    assert_refused(fixture, "server.pem", "no start line");
}

static void garbage_is_no_key(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->credentials.server_key, "not a key\n");
    assert_refused(fixture, "server.key", "must be a PEM file");
}

static void garbage_is_no_client_ca(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->credentials.client_certificate, "not a certificate\n");
    fixture->config.client_ca_file = fixture->credentials.client_certificate;
    assert_refused(fixture, "client.pem", "must be a PEM file");
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.key_file = fixture->credentials.client_key;
    assert_refused(fixture, "client.key", "key values mismatch");
}

/* It must not ask on the terminal either. */
static void a_key_with_a_password_is_refused(void **state)
{
    struct fixture *fixture = *state;
    credentials_write(fixture->credentials.server_certificate, fixture->credentials.server_key,
                      "locked", "secret");
    assert_refused(fixture, "server.key", "without a password");
}

/* Handshakes */

static void calls_go_through(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    assert_string_equal(SSL_get_version(fixture->harness->ssl), "TLSv1.3");
    harness_expect_service(fixture->harness, 1);
    harness_send_request(fixture->harness, 3, "Big", "1000000", 0);
    harness_expect_reply(fixture->harness, 3, NULL);
    harness_send_request(fixture->harness, 5, "Chat", "hello", TTRPC_REMOTE_OPEN);
    harness_expect_data(fixture->harness, 5, "hello");
    harness_hang_up(fixture->harness);
    HARNESS_WAIT(fixture->harness, fixture->harness->host.count == 0);
    assert_int_equal(fake.cancelled, 1);
}

static void tls_1_2_is_served(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){.version_max = TLS1_2_VERSION}));
    assert_string_equal(SSL_get_version(fixture->harness->ssl), "TLSv1.2");
    harness_expect_service(fixture->harness, 1);
}

static void tls_1_1_is_refused(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    assert_false(shake_hands(fixture, (struct tls_peer_options){.version_max = TLS1_1_VERSION}));
    assert_non_null(strstr(tls_peer_problem(), "protocol version"));
    HARNESS_WAIT(fixture->harness, fixture->harness->host.count == 0);
    assert_int_equal(fixture->harness->metrics.protocol_errors, 1);
}

static void assert_alpn(struct fixture *fixture, const char *offered, const char *expected)
{
    const unsigned char *chosen = NULL;
    unsigned length = 0;
    assert_true(
        shake_hands(fixture, (struct tls_peer_options){.alpn = (const unsigned char *)offered,
                                                       .alpn_length = strlen(offered)}));
    SSL_get0_alpn_selected(fixture->harness->ssl, &chosen, &length);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(chosen, expected, length);
}

static void alpn_chooses_what_is_served(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    assert_alpn(fixture, "\x08http/1.1\x02h2", "h2");
    assert_alpn(fixture, "\x05ttrpc\x02h2", "h2");
    assert_alpn(fixture,
                "\x03"
                "foo\x05ttrpc",
                "ttrpc");
    harness_expect_service(fixture->harness, 1);
}

static void alpn_without_them_chooses_nothing(void **state)
{
    static const unsigned char offered[] = "\x03h2c\x08http/1.1";
    struct fixture *fixture = *state;
    const unsigned char *chosen = NULL;
    unsigned length = 0;
    serve(fixture);
    assert_true(shake_hands(
        fixture, (struct tls_peer_options){.alpn = offered, .alpn_length = sizeof(offered) - 1}));
    SSL_get0_alpn_selected(fixture->harness->ssl, &chosen, &length);
    assert_int_equal(length, 0);
    harness_send(fixture->harness, "GET / HTTP/1.1\r\n\r\n", 18);
    HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
    assert_memory_equal(fixture->harness->received, "HTTP/1.1 426 ", 13);
}

static void a_client_certificate_is_required_with_a_ca(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.client_ca_file = fixture->credentials.client_certificate;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){.has_certificate = true}));
    harness_expect_service(fixture->harness, 1);
    /* With TLS 1.3 the client learns only afterwards that it was refused. */
    if (shake_hands(fixture, (struct tls_peer_options){0})) {
        HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
    }
    assert_int_equal(fixture->harness->metrics.protocol_errors, 1);
}

static void a_client_of_another_authority_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.client_ca_file = fixture->credentials.client_certificate;
    serve(fixture);
    credentials_write(fixture->credentials.client_certificate, fixture->credentials.client_key,
                      "stranger", NULL);
    if (shake_hands(fixture, (struct tls_peer_options){.has_certificate = true})) {
        HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
    }
    assert_int_equal(fixture->harness->metrics.protocol_errors, 1);
}

static void plain_bytes_on_a_tls_port_are_closed(void **state)
{
    struct fixture *fixture = *state;
    size_t errors = 0;
    static const char *const openings[] = {"GET / HTTP/1.1\r\n\r\n", "hello there, server"};
    serve(fixture);
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        harness_connect(fixture->harness);
        harness_send(fixture->harness, openings[i], strlen(openings[i]));
        HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
        errors++;
        assert_int_equal(fixture->harness->metrics.protocol_errors, errors);
    }
    harness_connect(fixture->harness);
    harness_send_request(fixture->harness, 1, "Echo", "plain ttRPC", 0);
    HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
    assert_int_equal(fake.started, 0);
}

/* The session sees to it that those reach only what may be reached without TLS. */
static void plain_http2_on_a_tls_port_is_let_in(void **state)
{
    struct fixture *fixture = *state;
    struct grpc_peer *peer = malloc(sizeof(*peer));
    serve(fixture);
    grpc_peer_start(peer, fixture->harness);
    grpc_peer_expect_service(peer);
    assert_true(fake_session()->is_unsecured);
    grpc_peer_stop(peer);
    free(peer);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    harness_expect_service(fixture->harness, 1);
    assert_false(fake_session()->is_unsecured);
}

static void who_says_nothing_on_a_tls_port_is_closed_in_time(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    fixture->harness->host.handshake_timeout_us = 50 * CLOCK_US_PER_MS;
    harness_connect(fixture->harness);
    assert_true(connection_is_idle(LIST_FIRST(&fixture->harness->host.connections)));
    HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
    harness_connect(fixture->harness);
    harness_turn(fixture->harness);
    harness_hang_up(fixture->harness);
    HARNESS_WAIT(fixture->harness, fixture->harness->host.count == 0);
    harness_connect(fixture->harness);
    connection_shut_down(LIST_FIRST(&fixture->harness->host.connections));
    HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
}

static void half_a_handshake_is_closed_in_time(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    fixture->harness->host.handshake_timeout_us = 50 * CLOCK_US_PER_MS;
    harness_connect(fixture->harness);
    harness_send(fixture->harness, "\x16\x03\x01", 3);
    HARNESS_WAIT(fixture->harness, fixture->harness->is_ended);
}

/* Connections */

static void a_peer_that_does_not_read_is_not_read_either(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    harness->is_deaf = true;
    for (uint32_t i = 0; i < 100; i++) {
        harness_send_request(harness, 2 * i + 1, "Big", "30000", 0);
    }
    harness_calm_down(harness);
    assert_true(fake.answered < 60);
    harness->is_deaf = false;
    for (uint32_t i = 0; i < 100; i++) {
        harness_expect_reply(harness, 2 * i + 1, NULL);
    }
    assert_int_equal(harness->metrics.slow_clients_closed, 0);
}

/* More than is taken in a turn, and more than is kept of the rest: nothing of it is forgotten. */
static void a_burst_is_worked_off(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    uint8_t *burst = malloc(BURST_SIZE);
    size_t length = 0;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    for (uint32_t i = 0; i < BURST; i++) {
        size_t size = 0;
        uint8_t *frame = harness_request(2 * i + 1, "Echo", "one of very many", 0, &size);
        assert_true(length + size <= BURST_SIZE);
        memcpy(burst + length, frame, size);
        length += size;
        free(frame);
    }
    assert_true(length > (size_t)2 * 64 * 1024);
    harness_send(harness, burst, length);
    free(burst);
    for (uint32_t i = 0; i < BURST; i++) {
        harness_expect_reply(harness, 2 * i + 1, "one of very many");
    }
}

static void output_past_its_limit_closes(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    char *text = calloc(1, 60001);
    memset(text, 'x', 60000);
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_expect_service(harness, 3);
    harness->is_deaf = true;
    for (int i = 0; i < 40 && harness->host.count > 0; i++) {
        fake_send(fake_session(), text);
        harness_turn(harness);
    }
    assert_int_equal(harness->metrics.slow_clients_closed, 1);
    free(text);
}

/* The last answers come, and then a proper end: close_notify. */
static void shutting_down_says_good_bye(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_expect_service(harness, 3);
    connection_shut_down(LIST_FIRST(&harness->host.connections));
    harness_expect_failure(harness, 1, STATUS_UNAVAILABLE, "shutting down");
    HARNESS_WAIT(harness, harness->is_ended);
    assert_true((SSL_get_shutdown(harness->ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
}

static void a_peer_that_vanishes_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_expect_service(harness, 3);
    tls_peer_stop(harness); /* no close_notify */
    harness_hang_up(harness);
    HARNESS_WAIT(harness, harness->host.count == 0);
    assert_int_equal(fake.cancelled, 1);
    assert_int_equal(harness->metrics.protocol_errors, 0);
}

/* New files */

static void a_reload_serves_the_new_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    char name[64];
    serve(fixture);
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    tls_peer_server_name(harness, name);
    assert_string_equal(name, "first");
    credentials_write(fixture->credentials.server_certificate, fixture->credentials.server_key,
                      "second", NULL);
    assert_true(tls_reload(fixture->tls, fixture->problem));
    harness_expect_service(harness, 1); /* the old connection goes on */
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    tls_peer_server_name(harness, name);
    assert_string_equal(name, "second");
    harness_expect_service(harness, 1);
}

static void a_broken_reload_keeps_the_old_certificate(void **state)
{
    struct fixture *fixture = *state;
    char name[64];
    serve(fixture);
    write_file(fixture->credentials.server_certificate, "not a certificate\n");
    assert_false(tls_reload(fixture->tls, fixture->problem));
    assert_non_null(strstr(fixture->problem, "server.pem"));
    assert_true(shake_hands(fixture, (struct tls_peer_options){0}));
    tls_peer_server_name(fixture->harness, name);
    assert_string_equal(name, "first");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_certificate_is_named),
        TEST(a_missing_key_is_named),
        TEST(a_missing_client_ca_is_named),
        TEST(garbage_is_no_certificate),
        TEST(garbage_is_no_key),
        TEST(garbage_is_no_client_ca),
        TEST(a_key_of_another_certificate_is_refused),
        TEST(a_key_with_a_password_is_refused),
        TEST(calls_go_through),
        TEST(tls_1_2_is_served),
        TEST(tls_1_1_is_refused),
        TEST(alpn_chooses_what_is_served),
        TEST(alpn_without_them_chooses_nothing),
        TEST(a_client_certificate_is_required_with_a_ca),
        TEST(a_client_of_another_authority_is_refused),
        TEST(plain_bytes_on_a_tls_port_are_closed),
        TEST(plain_http2_on_a_tls_port_is_let_in),
        TEST(who_says_nothing_on_a_tls_port_is_closed_in_time),
        TEST(half_a_handshake_is_closed_in_time),
        TEST(a_peer_that_does_not_read_is_not_read_either),
        TEST(a_burst_is_worked_off),
        TEST(output_past_its_limit_closes),
        TEST(shutting_down_says_good_bye),
        TEST(a_peer_that_vanishes_is_gone),
        TEST(a_reload_serves_the_new_certificate),
        TEST(a_broken_reload_keeps_the_old_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
