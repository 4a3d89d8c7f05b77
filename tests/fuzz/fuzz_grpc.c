/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As fuzz_ttrpc, for a peer that begins as an HTTP/2 client: after the greeting it sends anything,
 * in pieces of any size, and hangs up. The connection must be gone then, and every call must have
 * ended once. The first byte chooses the size of the pieces; its highest bit, whether a stream is
 * opened first; the second byte, whether the window for answers is closed, and whether answers are
 * read.
 */
#include "transport/connection.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "fake_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* One for all inputs, as making them costs more than an input does. */
static struct {
    struct connection_host host;
    struct services services;
    struct metrics metrics;
} world;

static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\0\0\0\4\0\0\0\0\0";

/* SETTINGS with INITIAL_WINDOW_SIZE 0. */
static const uint8_t no_window[] = "\0\0\6\4\0\0\0\0\0\0\4\0\0\0\0";

/* POST /test.Service/Chat, and a message on it. */
static const uint8_t opening[] = "\0\0\x2e\1\4\0\0\0\1"
                                 "\x83\x86\x41\4test\x44\x12/test.Service/Chat"
                                 "\x5f\x10"
                                 "application/grpc"
                                 "\0\0\7\0\0\0\0\0\1\0\0\0\0\2hi";

static void prepare_world(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    world.services.loop = loop_create();
    world.services.metrics = &world.metrics;
    world.services.config.sessions_max = 10;
    world.services.config.session_calls_max = 20;
    world.services.config.message_bytes_max = 2048;
    world.host = (struct connection_host){.loop = world.services.loop,
                                          .services = &world.services,
                                          .metrics = &world.metrics,
                                          .output_max = 65536,
                                          .handshake_timeout_us = 3600 * CLOCK_US_PER_S,
                                          .ping_after_us = 3600 * CLOCK_US_PER_S};
    LIST_INIT(&world.host.connections);
}

static void turn(int peer, bool is_reading)
{
    uint8_t scratch[65536];
    loop_turn(world.host.loop, 0);
    while (is_reading && recv(peer, scratch, sizeof(scratch), MSG_DONTWAIT) > 0) {
    }
}

/* Until all is sent, or the server takes no more. */
static void talk(int peer, const uint8_t *bytes, size_t length, size_t piece, bool is_reading)
{
    size_t sent = 0;
    for (int stuck = 0; sent < length && world.host.count > 0 && stuck < 10;) {
        size_t size = length - sent < piece ? length - sent : piece;
        ssize_t result = send(peer, bytes + sent, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        CHECK(result >= 0 || errno == EAGAIN || errno == EPIPE);
        sent += result > 0 ? (size_t)result : 0;
        stuck = result > 0 ? 0 : stuck + 1;
        turn(peer, is_reading);
    }
    turn(peer, is_reading);
}

static void open_up(int peer, uint8_t first, uint8_t second)
{
    talk(peer, greeting, sizeof(greeting) - 1, sizeof(greeting), true);
    if ((second & 1) != 0) {
        talk(peer, no_window, sizeof(no_window) - 1, sizeof(no_window), true);
    }
    if ((first & 0x80) != 0) {
        talk(peer, opening, sizeof(opening) - 1, sizeof(opening), true);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    int fds[2];
    if (world.host.loop == NULL) {
        prepare_world();
    }
    if (length < 2) {
        return 0;
    }
    fake_reset();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(connection_create(&world.host, fds[1], "fuzz"));
    open_up(fds[0], bytes[0], bytes[1]);
    talk(fds[0], bytes + 2, length - 2, (bytes[0] & 0x7fU) * 8 + 1, (bytes[1] & 2) == 0);
    close(fds[0]);
    for (int i = 0; world.host.count > 0; i++) {
        CHECK(i < 1000);
        loop_turn(world.host.loop, 0);
    }
    loop_turn(world.host.loop, 0);
    CHECK(fake.sessions == fake.destroyed);
    CHECK(fake.started == fake.answered + fake.cancelled);
    CHECK(world.services.sessions == 0);
    return 0;
}
