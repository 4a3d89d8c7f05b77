/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

struct expectation {
    const char *text;
    const char *host;
    int port;
    int database;
    const char *socket_path;
    const char *user;
    const char *password;
    const char *formatted;
};

static void assert_text(const char *got, const char *wanted)
{
    if (wanted == NULL) {
        assert_null(got);
    } else {
        assert_non_null(got);
        assert_string_equal(got, wanted);
    }
}

static const struct expectation accepted[] = {
    {"redis://a", "a", 6379, 0, NULL, NULL, NULL, "redis://a:6379/0"},
    {"redis://a/", "a", 6379, 0, NULL, NULL, NULL, "redis://a:6379/0"},
    {"redis://a:1", "a", 1, 0, NULL, NULL, NULL, "redis://a:1/0"},
    {"redis://a:65535/15", "a", 65535, 15, NULL, NULL, NULL, "redis://a:65535/15"},
    {"redis://10.0.0.1:7000/3", "10.0.0.1", 7000, 3, NULL, NULL, NULL, "redis://10.0.0.1:7000/3"},
    {"redis://[::1]", "::1", 6379, 0, NULL, NULL, NULL, "redis://[::1]:6379/0"},
    {"redis://[fe80::1]:70/2", "fe80::1", 70, 2, NULL, NULL, NULL, "redis://[fe80::1]:70/2"},
    {"redis://:secret@a", "a", 6379, 0, NULL, NULL, "secret", "redis://a:6379/0"},
    {"redis://u@a", "a", 6379, 0, NULL, "u", NULL, "redis://a:6379/0"},
    {"redis://u:@a", "a", 6379, 0, NULL, "u", "", "redis://a:6379/0"},
    {"redis://u:p@a:9", "a", 9, 0, NULL, "u", "p", "redis://a:9/0"},
    {"redis://u:p@ss@a", "a", 6379, 0, NULL, "u", "p@ss", "redis://a:6379/0"},
    {"redis://u:p:q@[::1]:9", "::1", 9, 0, NULL, "u", "p:q", "redis://[::1]:9/0"},
    {"redis://%75%3A:%2f%40%25@a", "a", 6379, 0, NULL, "u:", "/@%", "redis://a:6379/0"},
    {"unix:///s", NULL, 0, 0, "/s", NULL, NULL, "unix:///s?db=0"},
    {"unix:///a/b.sock?db=4", NULL, 0, 4, "/a/b.sock", NULL, NULL, "unix:///a/b.sock?db=4"},
    {"redis+unix:///s?db=0", NULL, 0, 0, "/s", NULL, NULL, "unix:///s?db=0"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(accepted); i++) {
        const struct expectation *wanted = &accepted[i];
        struct redis_url url;
        char problem[REDIS_URL_PROBLEM_SIZE];
        char text[256];
        assert_true(redis_url_parse(&url, wanted->text, problem));
        assert_text(url.host, wanted->host);
        assert_text(url.socket_path, wanted->socket_path);
        assert_text(url.user, wanted->user);
        assert_text(url.password, wanted->password);
        assert_int_equal(url.port, wanted->port);
        assert_int_equal(url.database, wanted->database);
        redis_url_format(&url, text, sizeof(text));
        assert_string_equal(text, wanted->formatted);
        redis_url_release(&url);
    }
}

static const char *const refused[] = {
    "",
    "localhost:6379",
    "http://a",
    "rediss://a",
    "redis:/a",
    "redis://",
    "redis://:hunter2@",
    "redis://u:hunter2@/3",
    "redis://a:",
    "redis://a:0",
    "redis://u:hunter2@a:65536",
    "redis://u:hunter2@a:6379x",
    "redis://a:-1",
    "redis://a:99999999999999999999",
    "redis://u:hunter2@a/x",
    "redis://a/-1",
    "redis://a/1/2",
    "redis://a/1000001",
    "redis://a?db=1",
    "redis://u:hunter2@a#x",
    "redis://u:hunter2%@a",
    "redis://u:hunter2%4@a",
    "redis://u:hunter2%zz@a",
    "redis://u:hunter2%00@a",
    "redis://%00:hunter2@a",
    "redis://[::1",
    "redis://[::1]x",
    "redis://[::1]:",
    "redis://[]",
    "redis://[host]",
    "redis://[[::1]",
    "redis://u:hunter2@a]",
    "redis://a[b]:1",
    "redis://::1",
    "unix://s",
    "unix://",
    "unix:///s?",
    "unix:///s?db=",
    "unix:///s?db=x",
    "unix:///s?database=1",
};

static void test_refused_without_telling_the_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct redis_url url;
        char problem[REDIS_URL_PROBLEM_SIZE] = "";
        assert_false(redis_url_parse(&url, refused[i], problem));
        assert_true(strlen(problem) > 10);
        assert_null(strstr(problem, "hunter"));
    }
}

static void test_lengths(void **state)
{
    (void)state;
    char host[300];
    char text[400];
    char problem[REDIS_URL_PROBLEM_SIZE];
    struct redis_url url;
    for (size_t length = 254; length <= 256; length++) {
        memset(host, 'h', length);
        host[length] = '\0';
        snprintf(text, sizeof(text), "redis://%s", host);
        bool is_parsed = redis_url_parse(&url, text, problem);
        assert_int_equal(is_parsed, length <= 255);
        redis_url_release(&url);
    }
    for (size_t length = 106; length <= 109; length++) {
        memset(host, 'p', length);
        host[0] = '/';
        host[length] = '\0';
        snprintf(text, sizeof(text), "unix://%s", host);
        bool is_parsed = redis_url_parse(&url, text, problem);
        assert_int_equal(is_parsed, length <= 107);
        redis_url_release(&url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused_without_telling_the_password),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
