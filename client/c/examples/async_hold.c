/* SPDX-License-Identifier: Apache-2.0 */
/* async_hold KEY: holds a lock for a second, on the program's own event loop.
 * cc async_hold.c $(pkg-config --cflags --libs holdfast libevent_core) */
#include <holdfast/holdfast.h>

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>

struct program {
    struct event_base *base;
    struct holdfast_async *holdfast;
    struct holdfast_lease *lease;
    struct event *timer;
    int exit_code;
};

static void stop(struct program *program, int exit_code)
{
    program->exit_code = exit_code;
    event_base_loopbreak(program->base);
}

static int exit_code_of(enum holdfast_result result)
{
    switch (result) {
    case HOLDFAST_OK:
        return 0;
    case HOLDFAST_BUSY:
        return 75;
    case HOLDFAST_NOT_HELD:
        return 76;
    case HOLDFAST_AWAY:
    case HOLDFAST_TIMEOUT:
    case HOLDFAST_LIMIT:
        return 69;
    default:
        return 70;
    }
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    fprintf(stderr, "%s is lost: %s\n", holdfast_lease_key(lease), holdfast_loss_text(loss));
    stop(user, 76);
}

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    if (result == HOLDFAST_OK) {
        printf("released\n");
    } else {
        fprintf(stderr, "release: %s\n", *error != '\0' ? error : holdfast_result_text(result));
    }
    stop(user, exit_code_of(result));
}

static void on_second(evutil_socket_t descriptor, short what, void *user)
{
    struct program *program = user;
    (void)descriptor;
    (void)what;
    holdfast_async_release(program->holdfast, program->lease, on_released, program);
}

static void on_held(enum holdfast_result result, struct holdfast_lease *lease,
                    const struct holdfast_holder *holder, const char *error, void *user)
{
    struct program *program = user;
    const struct timeval second = {.tv_sec = 1};
    if (result != HOLDFAST_OK) {
        if (holder != NULL) {
            const char *label = holder->label[0] != '\0' ? holder->label : "somebody";
            fprintf(stderr, "busy: %s holds the lock\n", label);
        } else {
            fprintf(stderr, "%s: %s\n", holdfast_result_text(result), error);
        }
        stop(program, exit_code_of(result));
        return;
    }
    printf("held, fence %" PRIu64 "\n", holdfast_lease_fence(lease));
    program->lease = lease;
    evtimer_add(program->timer, &second);
}

int main(int argc, char **argv)
{
    char error[HOLDFAST_ERROR_SIZE];
    struct program program = {.base = event_base_new()};
    program.timer = evtimer_new(program.base, on_second, &program);
    program.holdfast = holdfast_async_open(program.base, NULL, error);
    if (program.holdfast == NULL) {
        fprintf(stderr, "%s\n", error);
        return 64;
    }
    struct holdfast_ask ask = {
        .key = argc > 1 ? argv[1] : "example",
        .label = "the async_hold example",
        .events = {.on_lost = on_lost, .user = &program},
    };
    holdfast_async_hold(program.holdfast, &ask, on_held, &program);
    event_base_dispatch(program.base);
    holdfast_lease_free(program.lease);
    holdfast_async_close(program.holdfast);
    event_free(program.timer);
    event_base_free(program.base);
    return program.exit_code;
}
