/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/first_byte.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/compiler.h"

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct first_byte *first = context;
    (void)fd;
    (void)what;
    loop_post(first->loop, LOOP_INPUT, &first->task);
}

static void run(struct task *task)
{
    struct first_byte *first = CONTAINER_OF(task, struct first_byte, task);
    uint8_t byte = 0;
    ssize_t got = recv(first->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    first_byte_stop(first);
    first->on_byte(first->user, got > 0 ? byte : FIRST_BYTE_NONE);
}

void first_byte_await(struct first_byte *first, void (*on_byte)(void *user, int byte), void *user)
{
    first->on_byte = on_byte;
    first->user = user;
    task_init(&first->task, run);
    first->readable = event_new(loop_event_base(first->loop), first->fd, EV_READ | EV_PERSIST,
                                on_readable, first);
    CHECK(first->readable != NULL);
    /* Where the kernel watches no more sockets, whoever is patient with the peer ends this. */
    event_add(first->readable, NULL);
}

void first_byte_stop(struct first_byte *first)
{
    if (first->readable != NULL) {
        event_free(first->readable);
        first->readable = NULL;
        loop_unpost(first->loop, &first->task);
    }
}
