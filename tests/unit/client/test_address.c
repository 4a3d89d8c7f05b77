/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "base/compiler.h"

static void test_takes_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum address_kind kind;
        const char *path;
        const char *host;
        const char *port;
    } rows[] = {
        {"unix:///run/holdfast/s", ADDRESS_UNIX, "/run/holdfast/s", "", ""},
        {"tcp://127.0.0.1:7420", ADDRESS_TCP, "", "127.0.0.1", "7420"},
        {"tcp://locks.example", ADDRESS_TCP, "", "locks.example", "7420"},
        {"tls://locks.example:1", ADDRESS_TLS, "", "locks.example", "1"},
        {"tls://[::1]:65535", ADDRESS_TLS, "", "::1", "65535"},
        {"tcp://[fe80::1]", ADDRESS_TCP, "", "fe80::1", "7420"},
        {ADDRESS_DEFAULT, ADDRESS_TCP, "", "127.0.0.1", "7420"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct address address;
        char error[HOLDFAST_ERROR_SIZE];
        assert_true(address_parse(&address, rows[i].url, error));
        assert_int_equal(address.kind, rows[i].kind);
        assert_string_equal(address.path, rows[i].path);
        assert_string_equal(address.host, rows[i].host);
        assert_string_equal(address.port, rows[i].port);
        assert_string_equal(address.text, rows[i].url);
    }
}

static void test_refuses_the_rest_and_names_it(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "localhost:7420",
        "http://localhost:7420",
        "TCP://localhost:7420",
        "unix://",
        "unix:///",
        "unix://relative/path",
        "tcp://",
        "tcp://:7420",
        "tcp://host:",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://host:123456",
        "tcp://host:-1",
        "tcp://host:+1",
        "tcp://host: 1",
        "tcp://host:74x0",
        "tcp://host:7420/path",
        "tcp://user@host:7420",
        "tcp://::1:7420",
        "tcp://[::1",
        "tcp://[]:7420",
        "tcp://[::1]7420",
        "tcp://[::1]:",
    };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct address address;
        char error[HOLDFAST_ERROR_SIZE] = "";
        if (address_parse(&address, urls[i], error)) {
            fail_msg("accepted: %s", urls[i]);
        }
        assert_non_null(strstr(error, urls[i]));
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct address address;
    char error[HOLDFAST_ERROR_SIZE];
    char url[600];
    char name[500];
    memset(name, 'a', sizeof(name));
    (void)snprintf(url, sizeof(url), "unix:///%.106s", name);
    assert_true(address_parse(&address, url, error));
    assert_int_equal(strlen(address.path), 107);
    (void)snprintf(url, sizeof(url), "unix:///%.107s", name);
    assert_false(address_parse(&address, url, error));
    (void)snprintf(url, sizeof(url), "tcp://%.255s:7420", name);
    assert_true(address_parse(&address, url, error));
    (void)snprintf(url, sizeof(url), "tcp://%.256s:7420", name);
    assert_false(address_parse(&address, url, error));
    assert_in_range(strlen(error), 1, HOLDFAST_ERROR_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_each_form),
        cmocka_unit_test(test_refuses_the_rest_and_names_it),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
