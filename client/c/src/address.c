/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_SCHEME "unix://"
#define TCP_SCHEME  "tcp://"
#define TLS_SCHEME  "tls://"

static bool refuse(char error[HOLDFAST_ERROR_SIZE], const char *url, const char *why)
{
    (void)snprintf(error, HOLDFAST_ERROR_SIZE, "server address \"%.100s\": %s", url, why);
    return false;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool take_path(struct address *address, const char *path)
{
    size_t length = strlen(path);
    if (path[0] != '/' || length < 2 || length >= sizeof(address->path)) {
        return false;
    }
    memcpy(address->path, path, length + 1);
    return true;
}

static bool take_port(struct address *address, const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof(address->port) || strspn(text, "0123456789") != length) {
        return false;
    }
    long number = strtol(text, NULL, 10);
    if (number < 1 || number > 65535) {
        return false;
    }
    memcpy(address->port, text, length + 1);
    return true;
}

static bool take_host(struct address *address, const char *start, size_t length)
{
    if (length == 0 || length >= sizeof(address->host) || memchr(start, '/', length) != NULL ||
        memchr(start, '@', length) != NULL) {
        return false;
    }
    memcpy(address->host, start, length);
    address->host[length] = '\0';
    return true;
}

/* "host", "host:port", "[::1]", "[::1]:port". */
static bool take_authority(struct address *address, const char *text)
{
    bool has_brackets = text[0] == '[';
    const char *start = has_brackets ? text + 1 : text;
    size_t length = strcspn(start, has_brackets ? "]" : ":");
    const char *rest = start + length;
    if (has_brackets) {
        if (*rest != ']') {
            return false;
        }
        rest++;
    }
    if (!take_host(address, start, length)) {
        return false;
    }
    if (*rest == '\0') {
        return take_port(address, ADDRESS_DEFAULT_PORT);
    }
    return *rest == ':' && take_port(address, rest + 1);
}

bool address_parse(struct address *address, const char *url, char error[HOLDFAST_ERROR_SIZE])
{
    *address = (struct address){.kind = ADDRESS_UNIX};
    (void)snprintf(address->text, sizeof(address->text), "%s", url);
    if (starts_with(url, UNIX_SCHEME)) {
        return take_path(address, url + strlen(UNIX_SCHEME)) ||
               refuse(error, url, "after unix:// comes an absolute path of at most 107 bytes");
    }
    const char *authority = NULL;
    if (starts_with(url, TCP_SCHEME)) {
        address->kind = ADDRESS_TCP;
        authority = url + strlen(TCP_SCHEME);
    } else if (starts_with(url, TLS_SCHEME)) {
        address->kind = ADDRESS_TLS;
        authority = url + strlen(TLS_SCHEME);
    } else {
        return refuse(error, url, "it must start with unix://, tcp:// or tls://");
    }
    return take_authority(address, authority) ||
           refuse(error, url, "expected HOST:PORT, with an IPv6 address in brackets");
}
