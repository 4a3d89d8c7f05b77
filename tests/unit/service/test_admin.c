/* SPDX-License-Identifier: Apache-2.0 */
#include "service/admin.h"

#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "service/listing.h"

static const Holdfast__V1__ListLocksRequest empty_request = HOLDFAST__V1__LIST_LOCKS_REQUEST__INIT;

static const Holdfast__V1__ListLocksResponse *list(struct fixture *fixture, const char *prefix,
                                                   const char *token, uint32_t page_size)
{
    Holdfast__V1__ListLocksRequest request = empty_request;
    request.prefix = (char *)prefix;
    request.page_token = (char *)token;
    request.page_size = page_size;
    struct fake_call *call = fixture_call(fixture, 0, "ListLocks", &request.base);
    fake_call_expect_end(call, STATUS_OK, "");
    return (const void *)call->reply;
}

/* The names of a page, each with a blank behind. */
static void expect_names(const Holdfast__V1__ListLocksResponse *page, const char *names,
                         const char *next)
{
    char all[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < page->n_locks; i++) {
        length += (size_t)snprintf(all + length, sizeof(all) - length, "%s ", page->locks[i]->key);
    }
    assert_string_equal(all, names);
    assert_string_equal(page->next_page_token, next);
}

static struct fake_call *wait_for(struct fixture *fixture, size_t index, const char *key,
                                  const char *label)
{
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    ask.key = (char *)key;
    ask.label = (char *)label;
    ask.wait_ms = 10000;
    return fixture_hold_with(fixture, index, &ask);
}

static void locks_are_listed_by_name_in_pages(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"m", "b", "z", "a/2", "a/1", "a", "k", "c"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        fixture_acquire(fixture, 0, names[i], i + 1);
    }
    expect_names(list(fixture, "", "", 0), "a a/1 a/2 b c k m z ", "");
    expect_names(list(fixture, "", "", 3), "a a/1 a/2 ", "a/2");
    expect_names(list(fixture, "", "a/2", 3), "b c k ", "k");
    expect_names(list(fixture, "", "k", 3), "m z ", "");
    expect_names(list(fixture, "", "k", 2), "m z ", "");
    expect_names(list(fixture, "a/", "", 1), "a/1 ", "a/1");
    expect_names(list(fixture, "a/", "a/1", 1), "a/2 ", "");
    expect_names(list(fixture, "nothing", "", 1), "", "");
    expect_names(list(fixture, "", "zz", 1), "", "");
}

static void holders_and_waiters_are_described(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    fixture_connect(fixture, 1);
    ask.key = (char *)"a";
    ask.label = (char *)"holder";
    ask.grace_ms = 1000;
    fixture_hold_with(fixture, 1, &ask);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    wait_for(fixture, 0, "a", "first");
    wait_for(fixture, 0, "a", "second");
    const Holdfast__V1__ListLocksResponse *page = list(fixture, "", "", 0);
    assert_int_equal(page->n_locks, 1);
    const Holdfast__V1__LockState *lock = page->locks[0];
    assert_int_equal(lock->mode, HOLDFAST__V1__MODE__MODE_EXCLUSIVE);
    assert_int_equal(lock->n_holders, 1);
    assert_string_equal(lock->holders[0]->label, "holder");
    assert_string_equal(lock->holders[0]->peer, "unix");
    assert_int_equal(lock->holders[0]->fence, 6);
    assert_int_equal(lock->holders[0]->remaining_ms, FIXTURE_TTL_MS - FIXTURE_TTL_MS / 100 - 2);
    assert_false(lock->holders[0]->orphaned);
    assert_int_equal(lock->waiting, 2);
    assert_int_equal(lock->n_waiters, 2);
    assert_string_equal(lock->waiters[0]->label, "first");
    assert_string_equal(lock->waiters[1]->label, "second");
    assert_string_equal(lock->waiters[1]->peer, "unix");
    fixture_drop(fixture, 1);
    page = list(fixture, "", "", 0);
    assert_true(page->locks[0]->holders[0]->orphaned);
    assert_string_equal(page->locks[0]->holders[0]->peer, "");
}

static void a_lock_that_is_only_waited_for_is_listed(void **state)
{
    struct fixture *fixture = *state;
    wait_for(fixture, 0, "a", "me");
    const Holdfast__V1__ListLocksResponse *page = list(fixture, "", "", 0);
    assert_int_equal(page->n_locks, 1);
    assert_int_equal(page->locks[0]->n_holders, 0);
    assert_int_equal(page->locks[0]->waiting, 1);
}

static void a_page_is_limited_in_bytes(void **state)
{
    struct fixture *fixture = *state;
    size_t listed = 0;
    char token[LEASE_KEY_MAX + 1] = "";
    fixture->services.config.session_leases_max = 1000;
    for (int i = 0; i < 700; i++) {
        char key[LEASE_KEY_MAX + 16];
        snprintf(key, sizeof(key), "%04d%0508d", i, 0);
        Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
        request.key = key;
        struct fake_call *call = fixture_call(fixture, 0, "Acquire", &request.base);
        fake_store_ok(&fixture->store, STORE_ACQUIRE, 1);
        fake_call_destroy(call); /* so many calls the fixture does not keep */
        fixture->call_count--;
    }
    do {
        const Holdfast__V1__ListLocksResponse *page = list(fixture, "", token, 1000);
        assert_in_range(protobuf_c_message_get_packed_size(&page->base), 1,
                        LISTING_BYTES_MAX + 4096);
        listed += page->n_locks;
        snprintf(token, sizeof(token), "%s", page->next_page_token);
    } while (token[0] != '\0');
    assert_int_equal(listed, 700);
}

static void requests_are_checked(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__ListLocksRequest request = empty_request;
    Holdfast__V1__ListConnectionsRequest connections = HOLDFAST__V1__LIST_CONNECTIONS_REQUEST__INIT;
    char text[LEASE_KEY_MAX + 2];
    memset(text, 'x', LEASE_KEY_MAX + 1);
    text[LEASE_KEY_MAX + 1] = '\0';
    request.page_size = 1001;
    fake_call_expect_end(fixture_call(fixture, 0, "ListLocks", &request.base),
                         STATUS_INVALID_ARGUMENT, "page_size: 1001");
    request.page_size = 0;
    request.prefix = text;
    fake_call_expect_end(fixture_call(fixture, 0, "ListLocks", &request.base),
                         STATUS_INVALID_ARGUMENT, "prefix: 513 bytes");
    request.prefix = (char *)"";
    request.page_token = text;
    fake_call_expect_end(fixture_call(fixture, 0, "ListLocks", &request.base),
                         STATUS_INVALID_ARGUMENT, "page_token: 513 bytes");
    request.page_token = (char *)"";
    request.fleet = true;
    fake_call_expect_end(fixture_call(fixture, 0, "ListLocks", &request.base), STATUS_UNIMPLEMENTED,
                         "fleet: ");
    connections.page_token = (char *)"-1";
    fake_call_expect_end(fixture_call(fixture, 0, "ListConnections", &connections.base),
                         STATUS_INVALID_ARGUMENT, "page_token: ");
    connections.page_token = (char *)"99999999999999999999";
    fake_call_expect_end(fixture_call(fixture, 0, "ListConnections", &connections.base),
                         STATUS_INVALID_ARGUMENT, "page_token: ");
}

static const Holdfast__V1__ListConnectionsResponse *
connections(struct fixture *fixture, const char *token, uint32_t page_size)
{
    Holdfast__V1__ListConnectionsRequest request = HOLDFAST__V1__LIST_CONNECTIONS_REQUEST__INIT;
    request.page_token = (char *)token;
    request.page_size = page_size;
    struct fake_call *call = fixture_call(fixture, 0, "ListConnections", &request.base);
    fake_call_expect_end(call, STATUS_OK, "");
    return (const void *)call->reply;
}

static void connections_are_listed_by_age(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    fixture_connect(fixture, 2);
    fixture_drop(fixture, 1);
    fixture_connect(fixture, 1);
    fixture_acquire(fixture, 0, "a", 1);
    fixture_hold(fixture, 0, "b", 0);
    fixture_advance_ms(fixture, 10);
    const Holdfast__V1__ListConnectionsResponse *page = connections(fixture, "", 0);
    assert_int_equal(page->n_connections, 3);
    assert_string_equal(page->next_page_token, "");
    assert_int_equal(page->connections[0]->id, 1);
    assert_string_equal(page->connections[0]->peer, "unix");
    assert_int_equal(page->connections[0]->age_ms, 11);
    assert_int_equal(page->connections[0]->calls, 2);
    assert_int_equal(page->connections[0]->leases, 2);
    assert_int_equal(page->connections[1]->id, 3);
    assert_int_equal(page->connections[2]->id, 4);
    page = connections(fixture, "", 2);
    assert_int_equal(page->n_connections, 2);
    assert_string_equal(page->next_page_token, "3");
    page = connections(fixture, "3", 2);
    assert_int_equal(page->n_connections, 1);
    assert_string_equal(page->next_page_token, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(locks_are_listed_by_name_in_pages),
        FIXTURE_TEST(holders_and_waiters_are_described),
        FIXTURE_TEST(a_lock_that_is_only_waited_for_is_listed),
        FIXTURE_TEST(a_page_is_limited_in_bytes),
        FIXTURE_TEST(requests_are_checked),
        FIXTURE_TEST(connections_are_listed_by_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
