/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_session.h"
#include "harness.h"
#include "tls_peer.h"
#include "transport/address.h"
#include "transport/tls.h"

struct fixture {
    struct harness *harness; /* its loop, services and metrics; its end is the client's */
    struct listener *listener;
    struct listener_config config;
    char directory[64];
    char path[PATH_SIZE];
    char url[PATH_SIZE + 8];
    char problem[LISTENER_PROBLEM_SIZE];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    void *harness = NULL;
    harness_set_up(&harness);
    fixture->harness = harness;
    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/holdfast-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof(fixture->path), "%s/server.sock", fixture->directory);
    snprintf(fixture->url, sizeof(fixture->url), "unix://%s", fixture->path);
    fixture->config = (struct listener_config){
        .url = fixture->url,
        .unix_mode = 0660,
        .output_max = HARNESS_OUTPUT_MAX,
        .keepalive_ms = 1500,
        .user_timeout_ms = 2500,
        .handshake_timeout_ms = 10000,
    };
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    void *harness = fixture->harness;
    harness_hang_up(fixture->harness);
    if (fixture->listener != NULL) {
        listener_destroy(fixture->listener);
    }
    harness_turn(fixture->harness);
    harness_tear_down(&harness);
    unlink(fixture->path);
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

static bool try_listen(struct fixture *fixture, const char *url)
{
    fixture->config.url = url;
    fixture->listener =
        listener_create(&fixture->config, fixture->harness->loop, &fixture->harness->services,
                        &fixture->harness->metrics, fixture->problem);
    if (fixture->listener != NULL) {
        listener_start(fixture->listener);
    }
    return fixture->listener != NULL;
}

static void listen_on(struct fixture *fixture, const char *url)
{
    if (!try_listen(fixture, url)) {
        print_error("%s\n", fixture->problem);
        fail();
    }
}

static void assert_refused(struct fixture *fixture, const char *url, const char *reason)
{
    assert_false(try_listen(fixture, url));
    if (strstr(fixture->problem, reason) == NULL) {
        print_error("%s\n", fixture->problem);
    }
    assert_non_null(strstr(fixture->problem, reason));
}

static struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int bind_unix(const char *path, bool is_listening)
{
    struct sockaddr_un address = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (is_listening) {
        assert_int_equal(listen(fd, 5), 0);
    }
    return fd;
}

static uint16_t port_of(const struct fixture *fixture)
{
    const char *colon = strrchr(listener_address(fixture->listener), ':');
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static int connect_v4(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void adopt(struct fixture *fixture, int fd)
{
    assert_true(fd >= 0);
    harness_hang_up(fixture->harness);
    fixture->harness->peer = fd;
    fixture->harness->is_ended = false;
    fixture->harness->length = 0;
}

/* TCP */

static void tcp_is_served_on_a_free_port(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, "tcp://127.0.0.1:0");
    assert_true(port_of(fixture) > 0);
    assert_memory_equal(listener_address(fixture->listener), "tcp://127.0.0.1:", 16);
    adopt(fixture, connect_v4(port_of(fixture)));
    harness_expect_service(fixture->harness, 1);
    assert_memory_equal(fake_session()->peer, "127.0.0.1:", 10);
    assert_int_equal(listener_connections(fixture->listener), 1);
    assert_int_equal(fixture->harness->metrics.connections_accepted, 1);
}

static void a_name_is_served_on_its_addresses(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, "tcp://localhost:0");
    assert_memory_equal(listener_address(fixture->listener), "tcp://localhost:", 16);
    adopt(fixture, connect_v4(port_of(fixture)));
    harness_expect_service(fixture->harness, 1);
}

static void a_star_is_every_address(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, "tcp://*:0");
    adopt(fixture, connect_v4(port_of(fixture)));
    harness_expect_service(fixture->harness, 1);
}

static void ipv6_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (probe < 0 || bind(probe, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(probe);
        skip();
    }
    close(probe);
    listen_on(fixture, "tcp://[::1]:0");
    address.sin6_port = htons(port_of(fixture));
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    adopt(fixture, fd);
    harness_expect_service(fixture->harness, 1);
    assert_memory_equal(fake_session()->peer, "[::1]:", 6);
    assert_memory_equal(listener_address(fixture->listener), "tcp://[::1]:", 12);
}

static int get_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

/* The descriptor of this process whose peer is our `client`. */
static int server_side_of(int client)
{
    struct sockaddr_in mine = {0};
    socklen_t length = sizeof(mine);
    assert_int_equal(getsockname(client, (struct sockaddr *)&mine, &length), 0);
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in theirs = {0};
        length = sizeof(theirs);
        if (getpeername(fd, (struct sockaddr *)&theirs, &length) == 0 &&
            theirs.sin_family == AF_INET && theirs.sin_port == mine.sin_port) {
            return fd;
        }
    }
    fail();
    return -1;
}

/* They are set once, on the listening socket. */
static void accepted_sockets_inherit_their_options(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, "tcp://127.0.0.1:0");
    adopt(fixture, connect_v4(port_of(fixture)));
    harness_expect_service(fixture->harness, 1);
    int fd = server_side_of(fixture->harness->peer);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 2);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 2);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 2500);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void a_port_in_use_is_named(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    listen_on(fixture, "tcp://127.0.0.1:0");
    struct listener *first = fixture->listener;
    snprintf(url, sizeof(url), "%s", listener_address(first));
    assert_refused(fixture, url, "another program listens there");
    assert_non_null(strstr(fixture->problem, url));
    fixture->listener = first;
}

static void unusable_addresses_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "tcp://192.0.2.1:0", "not an address of this host");
    assert_refused(fixture, "tcp://no.such.host.invalid:0", "cannot find this host");
    assert_refused(fixture, "gopher://x", "not an address to listen on");
    assert_refused(fixture, "tls://127.0.0.1:0", "tls-cert");
}

/* Unix sockets */

static void a_unix_socket_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct stat made;
    fixture->config.unix_mode = 0640;
    listen_on(fixture, fixture->url);
    assert_string_equal(listener_address(fixture->listener), fixture->url);
    assert_int_equal(stat(fixture->path, &made), 0);
    assert_true(S_ISSOCK(made.st_mode));
    assert_int_equal(made.st_mode & 07777, 0640);
    adopt(fixture, connect_unix(fixture->path));
    harness_expect_service(fixture->harness, 1);
    assert_string_equal(fake_session()->peer, "unix");
}

static void the_mode_does_not_depend_on_the_umask(void **state)
{
    struct fixture *fixture = *state;
    struct stat made;
    mode_t old = umask(0077);
    fixture->config.unix_mode = 0666;
    listen_on(fixture, fixture->url);
    umask(old);
    assert_int_equal(stat(fixture->path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0666);
}

static void nothing_but_the_socket_is_left_in_its_directory(void **state)
{
    struct fixture *fixture = *state;
    int entries = 0;
    listen_on(fixture, fixture->url);
    DIR *directory = opendir(fixture->directory);
    for (const struct dirent *entry = NULL; (entry = readdir(directory)) != NULL;) {
        entries += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(directory);
    assert_int_equal(entries, 1);
    listener_stop(fixture->listener);
    assert_int_not_equal(access(fixture->path, F_OK), 0);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    close(bind_unix(fixture->path, true));
    assert_int_equal(access(fixture->path, F_OK), 0);
    listen_on(fixture, fixture->url);
    adopt(fixture, connect_unix(fixture->path));
    harness_expect_service(fixture->harness, 1);
}

static void a_live_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    int other = bind_unix(fixture->path, true);
    assert_refused(fixture, fixture->url, "listens there; stop it");
    assert_non_null(strstr(fixture->problem, fixture->path));
    int client = connect_unix(fixture->path);
    assert_true(client >= 0);
    close(client);
    close(other);
}

static void a_live_socket_with_a_full_backlog_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    int clients[64];
    size_t count = 0;
    int other = bind_unix(fixture->path, true);
    while (count < 64 && (clients[count] = connect_unix(fixture->path)) >= 0) {
        count++;
    }
    assert_true(count < 64);
    assert_refused(fixture, fixture->url, "listens there; stop it");
    while (count > 0) {
        close(clients[--count]);
    }
    close(other);
}

static void other_files_are_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char content[16] = {0};
    FILE *file = fopen(fixture->path, "w+");
    assert_true(fputs("precious", file) >= 0);
    fflush(file);
    assert_refused(fixture, fixture->url, "no socket is in the way");
    rewind(file);
    assert_non_null(fgets(content, sizeof(content), file));
    assert_string_equal(content, "precious");
    fclose(file);
}

/* Renaming would replace the link, not what it points to; but a link is no socket. */
static void a_link_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(symlink("/nowhere", fixture->path), 0);
    assert_refused(fixture, fixture->url, "no socket is in the way");
}

static void a_missing_directory_is_named(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "unix:///nowhere/at/all.sock", "/nowhere/at/all.sock");
    assert_non_null(strstr(fixture->problem, "does not exist; create it"));
}

static void a_path_without_room_for_its_suffix_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char url[200];
    int length = snprintf(url, sizeof(url), "unix://%s/%0*d", fixture->directory,
                          (int)(ADDRESS_PATH_MAX - strlen(fixture->directory)), 0);
    assert_refused(fixture, url, "at most 95 are allowed");
    url[length - 1] = '\0';
    listen_on(fixture, url);
}

static void a_socket_that_was_replaced_is_not_removed(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, fixture->url);
    assert_int_equal(unlink(fixture->path), 0);
    int other = bind_unix(fixture->path, true);
    listener_stop(fixture->listener);
    assert_int_equal(access(fixture->path, F_OK), 0);
    close(other);
}

/* Limits */

static void past_the_limit_connections_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    harness->services.config.sessions_max = 1;
    listen_on(fixture, fixture->url);
    int first = connect_unix(fixture->path);
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 1);
    adopt(fixture, connect_unix(fixture->path));
    HARNESS_WAIT(harness, harness->is_ended);
    assert_int_equal(harness->metrics.connections_refused, 1);
    adopt(fixture, first);
    harness_expect_service(harness, 1);
}

static void many_connections_are_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    int clients[300];
    harness->services.config.sessions_max = 1000;
    listen_on(fixture, fixture->url);
    for (size_t i = 0; i < 300; i++) {
        clients[i] = connect_unix(fixture->path);
        assert_true(clients[i] >= 0);
    }
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 300);
    for (size_t i = 0; i < 300; i++) {
        close(clients[i]);
    }
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 0);
}

static void use_up_descriptors(struct rlimit *old)
{
    struct rlimit limit;
    int lowest = open("/dev/null", O_RDONLY);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
    limit = *old;
    limit.rlim_cur = (rlim_t)lowest;
    close(lowest);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(open("/dev/null", O_RDONLY), -1);
    assert_int_equal(errno, EMFILE);
}

static void without_descriptors_accepting_pauses(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    struct rlimit old;
    listen_on(fixture, fixture->url);
    int first = connect_unix(fixture->path);
    int second = connect_unix(fixture->path);
    use_up_descriptors(&old);
    adopt(fixture, first);
    HARNESS_WAIT(harness, harness->is_ended); /* an answer, by the spare descriptor */
    assert_int_equal(harness->metrics.accept_backoffs, 1);
    assert_int_equal(harness->metrics.connections_refused, 2);
    adopt(fixture, second);
    HARNESS_WAIT(harness, harness->is_ended);
    int turns = 0;
    for (int64_t until_us = clock_now_us() + 60 * CLOCK_US_PER_MS; clock_now_us() < until_us;) {
        loop_turn(harness->loop, 60 * CLOCK_US_PER_MS);
        turns++;
    }
    assert_true(turns < 10); /* it does not spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    adopt(fixture, connect_unix(fixture->path));
    harness_expect_service(harness, 1);
    assert_int_equal(harness->metrics.accept_backoffs, 1);
}

static void the_pause_goes_on_while_descriptors_are_missing(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    struct rlimit old;
    int clients[3];
    listen_on(fixture, fixture->url);
    for (size_t i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    }
    use_up_descriptors(&old);
    for (size_t i = 0; i < 3; i++) {
        struct sockaddr_un address = unix_address(fixture->path);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
        HARNESS_WAIT(harness, harness->metrics.accept_backoffs == i + 1);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
    }
    adopt(fixture, connect_unix(fixture->path));
    harness_expect_service(harness, 1);
}

/* The end */

static void stopping_leaves_connections_alone(void **state)
{
    struct fixture *fixture = *state;
    listen_on(fixture, fixture->url);
    adopt(fixture, connect_unix(fixture->path));
    harness_expect_service(fixture->harness, 1);
    listener_stop(fixture->listener);
    listener_stop(fixture->listener);
    assert_int_equal(connect_unix(fixture->path), -1);
    harness_expect_service(fixture->harness, 3);
}

static void shutting_down_tells_everybody(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    listen_on(fixture, fixture->url);
    int other = connect_unix(fixture->path);
    adopt(fixture, connect_unix(fixture->path));
    harness_send_request(harness, 1, "Silent", "", 0);
    HARNESS_WAIT(harness, fake.started == 1 && listener_connections(fixture->listener) == 2);
    listener_shut_down(fixture->listener);
    assert_int_equal(fake.shut_downs, 2);
    harness_expect_failure(harness, 1, STATUS_UNAVAILABLE, "shutting down");
    HARNESS_WAIT(harness, harness->is_ended);
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 0);
    close(other);
}

static void shutting_down_does_not_wait_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    listen_on(fixture, fixture->url);
    adopt(fixture, connect_unix(fixture->path));
    harness->is_deaf = true;
    harness_send_request(harness, 1, "Big", "1000000", 0);
    HARNESS_WAIT(harness, fake.answered == 1);
    listener_shut_down(fixture->listener);
    assert_int_equal(listener_connections(fixture->listener), 1);
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 0);
}

static void only_idle_connections_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    listen_on(fixture, fixture->url);
    int idle = connect_unix(fixture->path);
    adopt(fixture, connect_unix(fixture->path));
    harness_send_request(harness, 1, "Silent", "", 0);
    HARNESS_WAIT(harness, fake.started == 1 && listener_connections(fixture->listener) == 2);
    struct session *busy = fake_session();
    listener_close_idle(fixture->listener);
    HARNESS_WAIT(harness, listener_connections(fixture->listener) == 1);
    fake_answer_silent(busy, "done");
    harness_expect_reply(harness, 1, "done");
    adopt(fixture, idle);
    HARNESS_WAIT(harness, harness->is_ended);
}

static void destroying_closes_everything_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = fixture->harness;
    listen_on(fixture, fixture->url);
    adopt(fixture, connect_unix(fixture->path));
    harness_send_request(harness, 1, "Silent", "", 0);
    HARNESS_WAIT(harness, fake.started == 1);
    listener_destroy(fixture->listener);
    fixture->listener = NULL;
    assert_int_equal(fake.cancelled, 1);
    assert_int_equal(fake.destroyed, 1);
    HARNESS_WAIT(harness, harness->is_ended);
}

static void a_tls_listener_serves_tls(void **state)
{
    struct fixture *fixture = *state;
    struct credentials credentials;
    char problem[TLS_PROBLEM_SIZE];
    credentials_create(&credentials);
    struct tls_config config = {.certificate_file = credentials.server_certificate,
                                .key_file = credentials.server_key};
    struct tls *tls = tls_create(&config, problem);
    assert_non_null(tls);
    fixture->config.tls = tls;
    listen_on(fixture, "tls://127.0.0.1:0");
    assert_memory_equal(listener_address(fixture->listener), "tls://127.0.0.1:", 16);
    adopt(fixture, connect_v4(port_of(fixture)));
    assert_true(
        tls_peer_start(fixture->harness, &(struct tls_peer_options){.credentials = &credentials}));
    harness_expect_service(fixture->harness, 1);
    listener_destroy(fixture->listener);
    fixture->listener = NULL;
    tls_destroy(tls);
    credentials_destroy(&credentials);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tcp_is_served_on_a_free_port),
        TEST(a_name_is_served_on_its_addresses),
        TEST(a_star_is_every_address),
        TEST(ipv6_is_served),
        TEST(accepted_sockets_inherit_their_options),
        TEST(a_port_in_use_is_named),
        TEST(unusable_addresses_are_refused),
        TEST(a_unix_socket_is_served),
        TEST(the_mode_does_not_depend_on_the_umask),
        TEST(nothing_but_the_socket_is_left_in_its_directory),
        TEST(a_stale_socket_is_replaced),
        TEST(a_live_socket_is_left_alone),
        TEST(a_live_socket_with_a_full_backlog_is_left_alone),
        TEST(other_files_are_left_alone),
        TEST(a_link_is_left_alone),
        TEST(a_missing_directory_is_named),
        TEST(a_path_without_room_for_its_suffix_is_refused),
        TEST(a_socket_that_was_replaced_is_not_removed),
        TEST(past_the_limit_connections_are_closed),
        TEST(many_connections_are_accepted),
        TEST(without_descriptors_accepting_pauses),
        TEST(the_pause_goes_on_while_descriptors_are_missing),
        TEST(stopping_leaves_connections_alone),
        TEST(shutting_down_tells_everybody),
        TEST(shutting_down_does_not_wait_for_ever),
        TEST(only_idle_connections_are_closed),
        TEST(destroying_closes_everything_at_once),
        TEST(a_tls_listener_serves_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
