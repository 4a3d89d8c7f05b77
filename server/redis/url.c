/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/url.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/memory.h"

#define PORT_DEFAULT 6379
#define PORT_MAX     65535
#define HOST_MAX     255
#define DATABASE_MAX 1000000

#define SOCKET_PATH_MAX 107

_Static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == SOCKET_PATH_MAX + 1,
               "a path and its NUL fill the address");

/* The value of a macro, for a message. */
#define DIGITS(number)  DIGITS_(number)
#define DIGITS_(number) #number

/* A part of the text; not NUL-terminated. */
struct span {
    const char *start;
    size_t length;
};

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static struct span span_between(const char *start, const char *end)
{
    return (struct span){start, (size_t)(end - start)};
}

/* Cuts `prefix` off; false when the span does not begin with it. */
static bool span_skip(struct span *span, const char *prefix)
{
    size_t length = strlen(prefix);
    if (span->length < length || memcmp(span->start, prefix, length) != 0) {
        return false;
    }
    span->start += length;
    span->length -= length;
    return true;
}

static const char *span_find(struct span span, char wanted)
{
    return span.length > 0 ? memchr(span.start, wanted, span.length) : NULL;
}

static bool refuse(char problem[REDIS_URL_PROBLEM_SIZE], const char *sentence)
{
    snprintf(problem, REDIS_URL_PROBLEM_SIZE, "%s", sentence);
    return false;
}

static bool parse_number(struct span span, int max, int *number)
{
    if (span.length == 0 || span.length > 7) {
        return false;
    }
    int value = 0;
    for (size_t i = 0; i < span.length; i++) {
        if (span.start[i] < '0' || span.start[i] > '9') {
            return false;
        }
        value = value * 10 + (span.start[i] - '0');
    }
    *number = value;
    return value <= max;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

/* A decoded copy, or NULL when an escape is broken or stands for NUL. */
static char *percent_decode(struct span span)
{
    char *decoded = memory_alloc(span.length + 1);
    size_t used = 0;
    for (size_t i = 0; i < span.length; i++) {
        char byte = span.start[i];
        if (byte == '%') {
            bool is_whole = span.length - i > 2;
            int high = is_whole ? hex_digit(span.start[i + 1]) : -1;
            int low = is_whole ? hex_digit(span.start[i + 2]) : -1;
            if (high < 0 || low < 0 || high * 16 + low == 0) {
                memory_free(decoded);
                return NULL;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        decoded[used++] = byte;
    }
    return decoded;
}

/* "user:password", "user" or ":password". */
static bool parse_credentials(struct redis_url *url, struct span span, char *problem)
{
    struct span user = span;
    const char *colon = span_find(span, ':');
    if (colon != NULL) {
        user = span_between(span.start, colon);
        url->password = percent_decode(span_between(colon + 1, span.start + span.length));
        if (url->password == NULL) {
            return refuse(problem, "the password has a broken %-escape; write '%' as %25");
        }
    }
    if (user.length > 0) {
        url->user = percent_decode(user);
        if (url->user == NULL) {
            return refuse(problem, "the user name has a broken %-escape; write '%' as %25");
        }
    }
    return true;
}

/* "host", "host:port", "[v6]" or "[v6]:port". */
static bool parse_address(struct redis_url *url, struct span span, char *problem)
{
    struct span host = span;
    struct span port = {NULL, 0};
    bool has_port = false;
    const bool is_v6 = span_skip(&host, "[");
    if (is_v6) {
        const char *end = span_find(host, ']');
        if (end == NULL) {
            return refuse(problem, "an IPv6 address must stand in brackets: redis://[::1]:6379");
        }
        host = span_between(host.start, end);
        port = span_between(end + 1, span.start + span.length);
        has_port = port.length > 0;
        if (has_port && !span_skip(&port, ":")) {
            return refuse(problem, "after ']' only ':' and a port may follow");
        }
    } else if (span_find(span, ':') != NULL) {
        const char *colon = span_find(span, ':');
        host = span_between(span.start, colon);
        port = span_between(colon + 1, span.start + span.length);
        has_port = true;
    }
    if (is_v6 != (span_find(host, ':') != NULL) || span_find(host, '[') != NULL ||
        span_find(host, ']') != NULL) {
        return refuse(problem, "brackets stand around an IPv6 address only: redis://[::1]:6379");
    }
    url->port = PORT_DEFAULT;
    if (has_port && (!parse_number(port, PORT_MAX, &url->port) || url->port == 0)) {
        return refuse(problem, "the port must be a number from 1 to " DIGITS(PORT_MAX));
    }
    if (host.length == 0 || host.length > HOST_MAX) {
        return refuse(problem, "the host must have 1 to " DIGITS(HOST_MAX) " characters");
    }
    url->host = memory_copy(host.start, host.length);
    return true;
}

static bool parse_database(struct redis_url *url, struct span span, char *problem)
{
    if (!parse_number(span, DATABASE_MAX, &url->database)) {
        return refuse(problem, "the database must be a number from 0 to " DIGITS(DATABASE_MAX));
    }
    return true;
}

static bool parse_tcp(struct redis_url *url, struct span rest, char *problem)
{
    if (span_find(rest, '?') != NULL || span_find(rest, '#') != NULL) {
        return refuse(problem, "redis:// takes no '?' or '#'; write them as %3F and %23 in a "
                               "user name or password");
    }
    struct span authority = rest;
    const char *slash = span_find(rest, '/');
    if (slash != NULL) {
        authority = span_between(rest.start, slash);
        struct span database = span_between(slash + 1, rest.start + rest.length);
        if (database.length > 0 && !parse_database(url, database, problem)) {
            return false;
        }
    }
    const char *at = authority.length > 0 ? memrchr(authority.start, '@', authority.length) : NULL;
    if (at != NULL) {
        if (!parse_credentials(url, span_between(authority.start, at), problem)) {
            return false;
        }
        authority = span_between(at + 1, authority.start + authority.length);
    }
    return parse_address(url, authority, problem);
}

static bool parse_unix(struct redis_url *url, struct span rest, char *problem)
{
    struct span path = rest;
    const char *question = span_find(rest, '?');
    if (question != NULL) {
        path = span_between(rest.start, question);
        struct span query = span_between(question + 1, rest.start + rest.length);
        if (!span_skip(&query, "db=")) {
            return refuse(problem, "a unix socket takes only ?db=N");
        }
        if (!parse_database(url, query, problem)) {
            return false;
        }
    }
    if (path.length == 0 || path.start[0] != '/') {
        return refuse(problem, "the path of the socket must be absolute: unix:///path/to/socket");
    }
    if (path.length > SOCKET_PATH_MAX) {
        return refuse(problem,
                      "the path of a socket has at most " DIGITS(SOCKET_PATH_MAX) " bytes");
    }
    url->socket_path = memory_copy(path.start, path.length);
    return true;
}

bool redis_url_parse(struct redis_url *url, const char *text, char problem[REDIS_URL_PROBLEM_SIZE])
{
    *url = (struct redis_url){.host = NULL};
    struct span rest = span_of(text);
    bool is_parsed = false;
    if (span_skip(&rest, "redis://")) {
        is_parsed = parse_tcp(url, rest, problem);
    } else if (span_skip(&rest, "unix://") || span_skip(&rest, "redis+unix://")) {
        is_parsed = parse_unix(url, rest, problem);
    } else {
        refuse(problem, "a Redis URL is redis://[user[:password]@]host[:port][/database] or "
                        "unix:///path/to/socket[?db=N]");
    }
    if (!is_parsed) {
        redis_url_release(url);
    }
    return is_parsed;
}

void redis_url_release(struct redis_url *url)
{
    memory_free(url->host);
    memory_free(url->socket_path);
    memory_free(url->user);
    memory_free(url->password);
    *url = (struct redis_url){.host = NULL};
}

void redis_url_format(const struct redis_url *url, char *text, size_t size)
{
    if (url->socket_path != NULL) {
        snprintf(text, size, "unix://%s?db=%d", url->socket_path, url->database);
        return;
    }
    bool is_v6 = strchr(url->host, ':') != NULL;
    snprintf(text, size, "redis://%s%s%s:%d/%d", is_v6 ? "[" : "", url->host, is_v6 ? "]" : "",
             url->port, url->database);
}
