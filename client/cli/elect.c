/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election is a lock with a value: whoever holds it leads, and shows where it can be
 * reached. Each term is one of `run`; a watch beside it tells who leads meanwhile.
 */
#include "commands.h"

#include <time.h>

#include "output.h"
#include "session.h"
#include "term.h"

/* Between two candidacies that a server which is away makes impossible. */
static const struct timespec away_pause = {.tv_sec = 1};

struct elect {
    const struct arguments *arguments;
    char key[SESSION_KEY_SIZE];
    struct holdfast_watch *watch;
    bool has_heard;     /* of the server, at least once */
    bool has_told;      /* who leads */
    uint64_t own_fence; /* of the current or the last term */
    uint64_t fence;     /* of the leader told last; 0: nobody, or no fence */
};

static void tell(const struct elect *elect, const struct holdfast_holder *holder)
{
    char who[OUTPUT_WHO_SIZE];
    char value[OUTPUT_TEXT_SIZE];
    if (elect->arguments->is_quiet) {
        return;
    }
    if (!holder->is_held) {
        output_error("%s: nobody leads.", elect->key);
        return;
    }
    output_who(holder, who);
    output_value(holder, value);
    output_error("%s: %s leads, fence %llu%s.", elect->key, who, (unsigned long long)holder->fence,
                 value);
}

/* What is told again after a reconnect, and what we know ourselves, is no news. */
static void on_state(enum holdfast_result result, const struct holdfast_holder *holder,
                     const char *error, void *user)
{
    struct elect *elect = (struct elect *)user;
    (void)error; /* standing for the lock reports what is wrong */
    if (result != HOLDFAST_OK) {
        return;
    }
    const uint64_t fence = holder->is_held ? holder->fence : 0;
    const bool is_news = !elect->has_told || fence != elect->fence;
    elect->has_heard = true;
    elect->has_told = true;
    elect->fence = fence;
    if (is_news && (fence == 0 || fence != elect->own_fence)) {
        tell(elect, holder);
    }
}

static void on_open(struct session *session, void *user)
{
    struct elect *elect = (struct elect *)user;
    elect->watch = holdfast_async_watch(session->async, elect->arguments->key, on_state, elect);
}

static void on_close(void *user)
{
    struct elect *elect = (struct elect *)user;
    holdfast_watch_stop(elect->watch);
    elect->watch = NULL;
}

static void on_granted(const struct holdfast_lease *lease, void *user)
{
    struct elect *elect = (struct elect *)user;
    elect->has_heard = true;
    elect->own_fence = holdfast_lease_fence(lease);
    if (!elect->arguments->is_quiet) {
        output_error("%s: leading, fence %llu.", elect->key, (unsigned long long)elect->own_fence);
    }
}

/* A server that was there will be there again; one that never was is probably a wrong address. */
static bool stands_again(const struct elect *elect, const struct term_end *end, int exit_code)
{
    if (end->has_ended_itself || end->was_interrupted) {
        return false;
    }
    if (exit_code == EXIT_AWAY && elect->has_heard) {
        nanosleep(&away_pause, NULL);
        return true;
    }
    return exit_code == EXIT_LOST || exit_code == EXIT_BUSY;
}

int command_elect(const struct arguments *arguments)
{
    struct elect elect = {.arguments = arguments};
    const struct term_events events = {
        .on_open = on_open, .on_granted = on_granted, .on_close = on_close, .user = &elect};
    struct term_end end;
    int exit_code;
    text_key(elect.key, arguments->key);
    do {
        exit_code = term_run(arguments, &events, &end);
    } while (stands_again(&elect, &end, exit_code));
    return exit_code;
}
