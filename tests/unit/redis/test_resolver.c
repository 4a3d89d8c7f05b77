/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct outcome {
    int answers;
    struct resolver_addresses addresses;
};

static void on_done(void *user, const struct resolver_addresses *addresses, int64_t now_us)
{
    struct outcome *outcome = user;
    assert_true(now_us > 0);
    outcome->answers++;
    outcome->addresses = *addresses;
}

static void test_numeric(void **state)
{
    (void)state;
    assert_true(resolver_is_numeric("127.0.0.1"));
    assert_true(resolver_is_numeric("::1"));
    assert_true(resolver_is_numeric("2001:db8::5"));
    assert_false(resolver_is_numeric("localhost"));
    assert_false(resolver_is_numeric("127.0.0"));
    assert_false(resolver_is_numeric("1.2.3.4.5"));
    assert_false(resolver_is_numeric(""));
}

static void test_localhost_comes_from_the_hosts_file(void **state)
{
    (void)state;
    struct loop *loop = loop_create();
    struct outcome outcome = {.answers = 0};
    resolver_start(loop, "localhost", on_done, &outcome);
    assert_int_equal(outcome.answers, 0);
    int64_t deadline_us = clock_now_us() + 10 * CLOCK_US_PER_S;
    while (outcome.answers == 0) {
        assert_true(clock_now_us() < deadline_us);
        loop_turn(loop, 10 * CLOCK_US_PER_MS);
    }
    bool is_found = false;
    for (size_t i = 0; i < outcome.addresses.count; i++) {
        const char *ip = outcome.addresses.ip[i];
        is_found = is_found || strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0;
    }
    assert_true(is_found);
    assert_int_equal(outcome.answers, 1);
    loop_destroy(loop);
}

static void test_cancel(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "no-such-host.invalid"};
    struct loop *loop = loop_create();
    struct outcome outcome = {.answers = 0};
    for (int turns = 0; turns < 3; turns++) {
        for (size_t i = 0; i < 2; i++) {
            struct resolver *resolver = resolver_start(loop, names[i], on_done, &outcome);
            for (int turn = 0; turn < turns && outcome.answers == 0 && i == 1; turn++) {
                loop_turn(loop, 0);
            }
            if (outcome.answers == 0) {
                resolver_cancel(resolver);
                loop_turn(loop, 0);
                assert_int_equal(outcome.answers, 0);
            }
            outcome.answers = 0;
        }
    }
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_localhost_comes_from_the_hosts_file),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
