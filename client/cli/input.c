/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

/* A background job may not read from its terminal; asked again after this long, for it may come to
 * the foreground. */
static const struct timeval background_pause = {.tv_usec = 250000};

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct input *input = (struct input *)user;
    char bytes[4096];
    (void)what;
    const ssize_t count = read(fd, bytes, sizeof(bytes));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (count < 0 && errno == EIO && isatty(fd)) {
        event_del(input->readable);
        event_add(input->retry, &background_pause);
        return;
    }
    if (count <= 0) {
        input_stop(input);
        input->on_end(input->user);
    } else if (input->on_bytes != NULL) {
        input->on_bytes(bytes, (size_t)count, input->user);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    event_add(((struct input *)user)->readable, NULL);
}

bool input_open(struct input *input, struct event_base *base)
{
    signal(SIGTTIN, SIG_IGN);
    input->readable = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_readable, input);
    input->retry = event_new(base, -1, 0, on_retry, input);
    return input->readable != NULL && input->retry != NULL;
}

bool input_start(struct input *input)
{
    return event_add(input->readable, NULL) == 0;
}

void input_stop(struct input *input)
{
    event_del(input->readable);
    event_del(input->retry);
}

void input_close(struct input *input)
{
    if (input->readable != NULL) {
        event_free(input->readable);
    }
    if (input->retry != NULL) {
        event_free(input->retry);
    }
}
