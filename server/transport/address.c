/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/address.h"

#include <stdio.h>
#include <string.h>

#define FORMS "use tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH"

static bool fail(char problem[ADDRESS_PROBLEM_SIZE], const char *url, const char *what)
{
    snprintf(problem, ADDRESS_PROBLEM_SIZE, "%.100s: %s; " FORMS, url, what);
    return false;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* One to five digits up to 65535. */
static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* "host:port", "[v6]:port" or "*:port". */
static bool parse_host_and_port(struct address *address, const char *url, const char *rest,
                                char problem[ADDRESS_PROBLEM_SIZE])
{
    bool is_bracketed = rest[0] == '[';
    const char *host = is_bracketed ? rest + 1 : rest;
    const char *end = is_bracketed ? strchr(host, ']') : strchr(host, ':');
    const char *colon = end != NULL && is_bracketed ? end + 1 : end;
    if (colon == NULL || *colon != ':') {
        return fail(problem, url, "the port is missing");
    }
    if (!is_bracketed && strchr(colon + 1, ':') != NULL) {
        return fail(problem, url, "an IPv6 address needs brackets, as in tcp://[::1]:7420");
    }
    size_t length = (size_t)(end - host);
    if (length == 0) {
        return fail(problem, url, "the host is missing (\"*\" is every address)");
    }
    if (strcspn(host, "[]/") < length) {
        return fail(problem, url, "the host has a character that no host has");
    }
    if (length >= sizeof(address->host)) {
        return fail(problem, url, "the host is too long");
    }
    if (!parse_port(colon + 1, &address->port)) {
        return fail(problem, url, "the port must be a number from 0 to 65535");
    }
    bool is_every = length == 1 && host[0] == '*';
    memcpy(address->host, host, is_every ? 0 : length);
    return true;
}

static bool parse_path(struct address *address, const char *url, const char *path,
                       char problem[ADDRESS_PROBLEM_SIZE])
{
    size_t length = strlen(path);
    if (path[0] != '/' || length == 1) {
        return fail(problem, url, "the path must be absolute");
    }
    if (length >= sizeof(address->path)) {
        snprintf(problem, ADDRESS_PROBLEM_SIZE,
                 "%.100s...: the path has %zu bytes; at most %d are allowed", url, length,
                 ADDRESS_PATH_MAX);
        return false;
    }
    memcpy(address->path, path, length);
    return true;
}

bool address_parse(struct address *address, const char *url, char problem[ADDRESS_PROBLEM_SIZE])
{
    *address = (struct address){0};
    if (starts_with(url, "unix://")) {
        address->kind = ADDRESS_UNIX;
        return parse_path(address, url, url + strlen("unix://"), problem);
    }
    if (!starts_with(url, "tcp://") && !starts_with(url, "tls://")) {
        return fail(problem, url, "not an address to listen on");
    }
    address->kind = starts_with(url, "tls://") ? ADDRESS_TLS : ADDRESS_TCP;
    return parse_host_and_port(address, url, url + strlen("tcp://"), problem);
}

void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    if (address->kind == ADDRESS_UNIX) {
        snprintf(text, ADDRESS_TEXT_SIZE, "unix://%s", address->path);
        return;
    }
    bool is_v6 = strchr(address->host, ':') != NULL;
    snprintf(text, ADDRESS_TEXT_SIZE, "%s://%s%s%s:%u",
             address->kind == ADDRESS_TLS ? "tls" : "tcp", is_v6 ? "[" : "",
             address->host[0] == '\0' ? "*" : address->host, is_v6 ? "]" : "",
             (unsigned)address->port);
}
