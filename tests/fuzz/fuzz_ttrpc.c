/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that sends anything, in pieces of any size, and hangs up. The connection must be gone
 * then, every call must have ended once, and its answers must be whole frames. The first byte
 * chooses the size of the pieces, its highest bit whether TTRPC is begun in good order.
 */
#include "transport/connection.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "fake_session.h"
#include "wire/ttrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* One for all inputs, as making them costs more than an input does. */
static struct {
    struct connection_host host;
    struct services services;
    struct metrics metrics;
} world;

struct answers {
    uint8_t bytes[65536];
    size_t length;
};

static const uint8_t opening[] = "\x00\x00\x00\x14\x00\x00\x00\x01\x01\x02"
                                 "\x0a\x0ctest.Service\x12\x04"
                                 "Chat";

static void prepare_world(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    world.services.loop = loop_create();
    world.services.metrics = &world.metrics;
    world.services.config.sessions_max = 10;
    world.services.config.message_bytes_max = 2048;
    world.host = (struct connection_host){.loop = world.services.loop,
                                          .services = &world.services,
                                          .metrics = &world.metrics,
                                          .output_max = 65536,
                                          .handshake_timeout_us = 3600 * CLOCK_US_PER_S};
    LIST_INIT(&world.host.connections);
}

/* Takes whole frames off; answers to HTTP are no frames. */
static void check_answers(struct answers *answers)
{
    size_t at = 0;
    struct ttrpc_header header;
    while (answers->length - at >= TTRPC_HEADER_SIZE && answers->bytes[at] == 0) {
        ttrpc_header_decode(&header, answers->bytes + at);
        CHECK(header.length <= TTRPC_DATA_MAX);
        if (answers->length - at < TTRPC_HEADER_SIZE + header.length) {
            break;
        }
        at += TTRPC_HEADER_SIZE + header.length;
    }
    memmove(answers->bytes, answers->bytes + at, answers->length - at);
    answers->length -= at;
}

static void turn(int peer, struct answers *answers)
{
    loop_turn(world.host.loop, 0);
    ssize_t got = recv(peer, answers->bytes + answers->length,
                       sizeof(answers->bytes) - answers->length, MSG_DONTWAIT);
    answers->length += got > 0 ? (size_t)got : 0;
    check_answers(answers);
    CHECK(answers->length < sizeof(answers->bytes));
}

static void talk(int peer, const uint8_t *bytes, size_t length, size_t piece)
{
    struct answers answers = {.length = 0};
    size_t sent = 0;
    while (sent < length && world.host.count > 0) {
        size_t size = length - sent < piece ? length - sent : piece;
        ssize_t result = send(peer, bytes + sent, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        CHECK(result >= 0 || errno == EAGAIN || errno == EPIPE);
        sent += result > 0 ? (size_t)result : 0;
        turn(peer, &answers);
        if (result < 0 && errno == EPIPE) {
            return;
        }
    }
    turn(peer, &answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    int fds[2];
    if (world.host.loop == NULL) {
        prepare_world();
    }
    if (length == 0) {
        return 0;
    }
    fake_reset();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(connection_create(&world.host, fds[1], "fuzz"));
    if ((bytes[0] & 0x80) != 0) {
        talk(fds[0], opening, sizeof(opening) - 1, sizeof(opening));
    }
    talk(fds[0], bytes + 1, length - 1, (bytes[0] & 0x7fU) * 8 + 1);
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
