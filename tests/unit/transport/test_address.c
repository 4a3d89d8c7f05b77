/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void good_urls_are_taken_apart(void **state)
{
    static const struct {
        const char *url;
        struct address address;
    } samples[] = {
        {"tcp://127.0.0.1:7420", {.kind = ADDRESS_TCP, .host = "127.0.0.1", .port = 7420}},
        {"tcp://localhost:0", {.kind = ADDRESS_TCP, .host = "localhost"}},
        {"tcp://*:65535", {.kind = ADDRESS_TCP, .port = 65535}},
        {"tls://lock.example.org:1", {.kind = ADDRESS_TLS, .host = "lock.example.org", .port = 1}},
        {"tls://[::1]:00080", {.kind = ADDRESS_TLS, .host = "::1", .port = 80}},
        {"tcp://[fe80::1%eth0]:9", {.kind = ADDRESS_TCP, .host = "fe80::1%eth0", .port = 9}},
        {"unix:///run/holdfast.sock", {.kind = ADDRESS_UNIX, .path = "/run/holdfast.sock"}},
        {"unix:///a", {.kind = ADDRESS_UNIX, .path = "/a"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct address address;
        char problem[ADDRESS_PROBLEM_SIZE];
        assert_true(address_parse(&address, samples[i].url, problem));
        assert_int_equal(address.kind, samples[i].address.kind);
        assert_string_equal(address.host, samples[i].address.host);
        assert_int_equal(address.port, samples[i].address.port);
        assert_string_equal(address.path, samples[i].address.path);
    }
}

static void bad_urls_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *url;
        const char *reason;
    } samples[] = {
        {"", "tcp://HOST:PORT"},
        {"127.0.0.1:7420", "not an address to listen on"},
        {"ftp://127.0.0.1:1", "not an address to listen on"},
        {"TCP://127.0.0.1:1", "not an address to listen on"},
        {"tcp:127.0.0.1:1", "not an address to listen on"},
        {"tcp://", "the port is missing"},
        {"tcp://127.0.0.1", "the port is missing"},
        {"tcp://[::1]", "the port is missing"},
        {"tcp://[::1", "the port is missing"},
        {"tcp://[::1]7420", "the port is missing"},
        {"tcp://::1:7420", "needs brackets"},
        {"tcp://:7420", "the host is missing"},
        {"tcp://[]:7420", "the host is missing"},
        {"tcp://[[::1]:1", "no host has"},
        {"tcp://h]:1", "no host has"},
        {"tcp://a/b:1", "no host has"},
        {"tcp://h:", "a number from 0 to 65535"},
        {"tcp://h:x", "a number from 0 to 65535"},
        {"tcp://h:-1", "a number from 0 to 65535"},
        {"tcp://h: 1", "a number from 0 to 65535"},
        {"tcp://h:1/", "a number from 0 to 65535"},
        {"tcp://h:65536", "a number from 0 to 65535"},
        {"tcp://h:123456", "a number from 0 to 65535"},
        {"unix://", "must be absolute"},
        {"unix:///", "must be absolute"},
        {"unix://run/x.sock", "must be absolute"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct address address;
        char problem[ADDRESS_PROBLEM_SIZE];
        assert_false(address_parse(&address, samples[i].url, problem));
        assert_non_null(strstr(problem, samples[i].reason));
        assert_non_null(strstr(problem, samples[i].url));
    }
}

static void lengths_have_exact_limits(void **state)
{
    struct address address;
    char problem[ADDRESS_PROBLEM_SIZE];
    char url[400];
    (void)state;
    snprintf(url, sizeof(url), "unix:///%0*d", ADDRESS_PATH_MAX - 1, 0);
    assert_true(address_parse(&address, url, problem));
    assert_int_equal(strlen(address.path), ADDRESS_PATH_MAX);
    snprintf(url, sizeof(url), "unix:///%0*d", ADDRESS_PATH_MAX, 0);
    assert_false(address_parse(&address, url, problem));
    assert_non_null(strstr(problem, "96 bytes; at most 95 are allowed"));
    snprintf(url, sizeof(url), "tcp://%0*d:1", ADDRESS_HOST_SIZE - 1, 0);
    assert_true(address_parse(&address, url, problem));
    snprintf(url, sizeof(url), "tcp://%0*d:1", ADDRESS_HOST_SIZE, 0);
    assert_false(address_parse(&address, url, problem));
    assert_non_null(strstr(problem, "too long"));
}

static void urls_come_back(void **state)
{
    static const char *const urls[] = {"tcp://127.0.0.1:7420", "tls://[::1]:1", "tcp://*:65535",
                                       "tls://localhost:80", "unix:///run/holdfast.sock"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct address address;
        char problem[ADDRESS_PROBLEM_SIZE];
        char text[ADDRESS_TEXT_SIZE];
        assert_true(address_parse(&address, urls[i], problem));
        address_format(&address, text);
        assert_string_equal(text, urls[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_with_the_reason),
        cmocka_unit_test(lengths_have_exact_limits),
        cmocka_unit_test(urls_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
