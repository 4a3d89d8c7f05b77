/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/server_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

#define SOCKET_FLAGS   (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define KEEPALIVE_LOST 3 /* unanswered probes that end a connection */

static bool PRINTF_LIKE(2, 3)
    fail(char problem[SERVER_SOCKET_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, SERVER_SOCKET_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* The kernel counts keep-alive in seconds. */
static int keepalive_seconds(int64_t ms)
{
    int64_t seconds = (ms + 999) / 1000;
    return (int)(seconds < INT16_MAX ? seconds : INT16_MAX);
}

/* Accepted connections inherit these from the listening socket, so they cost nothing each. */
static bool set_tcp_options(int fd, const struct server_socket_options *options)
{
    int64_t user_timeout = options->user_timeout_ms;
    bool is_set =
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->keepalive_ms > 0) {
        int seconds = keepalive_seconds(options->keepalive_ms);
        is_set = is_set && set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
                 set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds) &&
                 set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds) &&
                 set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_LOST);
    }
    if (user_timeout > 0) {
        is_set = is_set && set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                                      (int)(user_timeout < INT32_MAX ? user_timeout : INT32_MAX));
    }
    return is_set;
}

static void set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    }
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {.v6 = {0}};
    socklen_t length = sizeof(bound);
    CHECK(getsockname(fd, &bound.any, &length) == 0);
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

/* A listening socket, or -1 with errno. */
static int open_tcp(const struct addrinfo *info, const struct server_socket_options *options)
{
    int fd = socket(info->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return -1;
    }
    bool is_open = set_tcp_options(fd, options) &&
                   (info->ai_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
                   bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    if (!is_open) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* A host may have names for address families that it does not have itself. */
static bool is_family_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

static bool fail_to_listen(char problem[SERVER_SOCKET_PROBLEM_SIZE], const struct address *address,
                           int error)
{
    char text[ADDRESS_TEXT_SIZE];
    address_format(address, text);
    if (error == EADDRINUSE) {
        return fail(problem,
                    "%.120s: another program listens there; stop it or choose another --listen",
                    text);
    }
    return fail(problem, "%.120s: cannot listen: %s", text, strerror(error));
}

static bool open_all_tcp(struct server_sockets *sockets, struct address *address,
                         const struct server_socket_options *options, const struct addrinfo *infos,
                         char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    char text[ADDRESS_TEXT_SIZE];
    int missing = 0;
    for (const struct addrinfo *info = infos; info != NULL && sockets->count < SERVER_SOCKETS_MAX;
         info = info->ai_next) {
        set_port(info->ai_addr, address->port);
        int fd = open_tcp(info, options);
        if (fd >= 0) {
            sockets->fds[sockets->count++] = fd;
            address->port = bound_port(fd);
        } else if (is_family_missing(errno)) {
            missing = errno;
        } else {
            return fail_to_listen(problem, address, errno);
        }
    }
    address_format(address, text);
    return sockets->count > 0 ||
           fail(problem, "%.120s: not an address of this host: %s", text, strerror(missing));
}

static bool open_tcp_sockets(struct server_sockets *sockets, struct address *address,
                             const struct server_socket_options *options,
                             char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *infos = NULL;
    const char *host = address->host[0] == '\0' ? NULL : address->host;
    int result = getaddrinfo(host, "0", &hints, &infos);
    if (result != 0) {
        return fail(problem, "%.120s: cannot find this host: %s", address->host,
                    result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
    }
    bool is_open = open_all_tcp(sockets, address, options, infos, problem);
    freeaddrinfo(infos);
    if (!is_open) {
        server_sockets_close(sockets, address);
    }
    return is_open;
}

static struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path) - 1));
    return address;
}

/* Nobody may be listening at `path`, and what stands there may only be a socket. */
static bool is_path_free(const char *path, char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    struct stat found;
    if (lstat(path, &found) != 0) {
        return errno == ENOENT || fail(problem, "unix socket %s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(found.st_mode)) {
        return fail(problem, "unix socket %s: a file that is no socket is in the way; remove it",
                    path);
    }
    struct sockaddr_un address = unix_address(path);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return fail(problem, "unix socket %s: %s", path, strerror(errno));
    }
    int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    int error = result == 0 ? 0 : errno;
    close(fd);
    if (error == ECONNREFUSED || error == ENOENT) {
        return true;
    }
    if (error == 0 || error == EAGAIN) {
        return fail(problem,
                    "unix socket %s: another program listens there; stop it or choose "
                    "another --listen",
                    path);
    }
    return fail(problem, "unix socket %s: cannot tell whether another server listens there: %s",
                path, strerror(error));
}

/* "/" for a file in the root. */
static int directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? 1 : (int)(slash - path);
}

/* Binds under a name that nobody knows and renames it when all is ready, so that clients never meet
 * a socket that refuses them or has the wrong permissions. */
static bool bind_unix(int fd, const struct address *address, int mode,
                      char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    char temporary[ADDRESS_PATH_SIZE];
    const char *path = address->path;
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp.%ld", path, (long)getpid());
    CHECK(length < ADDRESS_PATH_SIZE);
    struct sockaddr_un bound = unix_address(temporary);
    unlink(temporary);
    if (bind(fd, (const struct sockaddr *)&bound, sizeof(bound)) != 0) {
        if (errno == ENOENT) {
            return fail(problem, "unix socket %s: the directory %.*s does not exist; create it",
                        path, directory_length(path), path);
        }
        return fail(problem, "unix socket %s: cannot bind: %s", path, strerror(errno));
    }
    if (chmod(temporary, (mode_t)mode) != 0 || listen(fd, SOMAXCONN) != 0 ||
        rename(temporary, path) != 0) {
        fail(problem, "unix socket %s: cannot listen: %s", path, strerror(errno));
        unlink(temporary);
        return false;
    }
    return true;
}

static bool open_unix_socket(struct server_sockets *sockets, const struct address *address,
                             int mode, char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    struct stat made;
    if (!is_path_free(address->path, problem)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return fail(problem, "unix socket %s: %s", address->path, strerror(errno));
    }
    if (!bind_unix(fd, address, mode, problem)) {
        close(fd);
        return false;
    }
    if (lstat(address->path, &made) == 0) {
        sockets->device = made.st_dev;
        sockets->inode = made.st_ino;
    }
    sockets->fds[sockets->count++] = fd;
    return true;
}

static bool is_file_ours(const struct server_sockets *sockets, const char *path)
{
    struct stat found;
    return sockets->inode != 0 && lstat(path, &found) == 0 && found.st_dev == sockets->device &&
           found.st_ino == sockets->inode;
}

bool server_sockets_open(struct server_sockets *sockets, struct address *address,
                         const struct server_socket_options *options,
                         char problem[SERVER_SOCKET_PROBLEM_SIZE])
{
    *sockets = (struct server_sockets){.count = 0};
    return address->kind == ADDRESS_UNIX
               ? open_unix_socket(sockets, address, options->unix_mode, problem)
               : open_tcp_sockets(sockets, address, options, problem);
}

void server_sockets_close(struct server_sockets *sockets, const struct address *address)
{
    if (address->kind == ADDRESS_UNIX && is_file_ours(sockets, address->path)) {
        unlink(address->path);
    }
    for (size_t i = 0; i < sockets->count; i++) {
        close(sockets->fds[i]);
    }
    sockets->count = 0;
    sockets->inode = 0;
}
