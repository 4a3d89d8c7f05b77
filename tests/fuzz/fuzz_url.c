/* SPDX-License-Identifier: Apache-2.0 */
/* What parses formats, without user and password, and that parses to the same place. */
#include "redis/url.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

#define TEXT_SIZE 2048

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static bool are_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void check_round_trip(const struct redis_url *url)
{
    char text[TEXT_SIZE];
    char problem[REDIS_URL_PROBLEM_SIZE] = "";
    struct redis_url again;
    redis_url_format(url, text, sizeof(text));
    CHECK(redis_url_parse(&again, text, problem));
    CHECK(are_equal(again.host, url->host));
    CHECK(are_equal(again.socket_path, url->socket_path));
    CHECK(again.port == url->port);
    CHECK(again.database == url->database);
    CHECK(again.user == NULL && again.password == NULL);
    redis_url_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char text[512] = "";
    char problem[REDIS_URL_PROBLEM_SIZE] = "";
    struct redis_url url;
    memcpy(text, bytes, length < sizeof(text) ? length : sizeof(text) - 1);
    if (!redis_url_parse(&url, text, problem)) {
        CHECK(problem[0] != '\0');
        CHECK(memchr(problem, '\0', sizeof(problem)) != NULL);
        return 0;
    }
    CHECK((url.host == NULL) != (url.socket_path == NULL));
    check_round_trip(&url);
    redis_url_release(&url);
    return 0;
}
