/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

#include <event2/event.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "session.h"

#define WIDTH_DEFAULT 80

static int64_t wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The clocks of Redis and of this host may differ; nobody has held anything for less than 0. */
static void write_age(int64_t since_ms, int64_t now_ms, char *text, size_t size)
{
    char age[OUTPUT_DURATION_SIZE];
    text[0] = '\0';
    if (since_ms > 0) {
        const int64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;
        if (age_ms < 60000) {
            snprintf(age, sizeof(age), "%d s", (int)(age_ms / 1000));
        } else {
            output_duration(age_ms, age);
        }
        snprintf(text, size, " for %s", age);
    }
}

void waiting_line(const char *key, uint32_t position, const struct holdfast_holder *holder,
                  int64_t now_ms, char line[WAITING_LINE_SIZE])
{
    char who[OUTPUT_WHO_SIZE];
    char age[OUTPUT_DURATION_SIZE + 8];
    if (holder->is_closed) {
        snprintf(line, WAITING_LINE_SIZE,
                 "waiting for %s: position %" PRIu32 ", closed after its holder was lost", key,
                 position);
        return;
    }
    if (!holder->is_held) {
        snprintf(line, WAITING_LINE_SIZE, "waiting for %s: position %" PRIu32, key, position);
        return;
    }
    output_who(holder, who);
    write_age(holder->since_ms, now_ms, age, sizeof(age));
    snprintf(line, WAITING_LINE_SIZE, "waiting for %s: position %" PRIu32 ", held by %s%s", key,
             position, who, age);
}

static int width_of_terminal(void)
{
    struct winsize size = {.ws_col = 0};
    const bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return is_known ? size.ws_col : WIDTH_DEFAULT;
}

/* A line that wraps could not be rewritten in place; so it is cut short of the last column. */
static void show(struct waiting *waiting)
{
    char line[WAITING_LINE_SIZE];
    char cut[WAITING_LINE_SIZE];
    size_t room = (size_t)width_of_terminal();
    waiting_line(waiting->session->key, waiting->position, &waiting->holder, wall_clock_ms(), line);
    text_clean(cut, room < sizeof(cut) ? room : sizeof(cut), line);
    fprintf(stderr, "\r\033[K%s", cut);
    fflush(stderr);
    waiting->is_shown = true;
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    show((struct waiting *)user);
}

bool waiting_open(struct waiting *waiting, const struct session *session)
{
    const struct arguments *arguments = session->arguments;
    *waiting = (struct waiting){.session = session};
    /* elect says itself who leads. */
    if (arguments->is_json || arguments->is_quiet || arguments->command == COMMAND_ELECT ||
        !isatty(STDERR_FILENO)) {
        return true;
    }
    waiting->timer = event_new(session->base, -1, EV_PERSIST, on_timer, waiting);
    if (waiting->timer == NULL) {
        output_error("Cannot start a timer: out of memory.");
        return false;
    }
    return true;
}

static void print_json(const struct waiting *waiting)
{
    json_t *event =
        json_pack("{s:s, s:s, s:I}", "event", "queued", "key", waiting->session->arguments->key,
                  "position", (json_int_t)waiting->position);
    if (event != NULL) {
        json_object_set_new(event, "holder", output_holder_json(&waiting->holder));
    }
    output_json(event);
}

void waiting_update(struct waiting *waiting, uint32_t position,
                    const struct holdfast_holder *holder)
{
    static const struct timeval second = {.tv_sec = 1};
    waiting->position = position;
    waiting->holder = *holder;
    if (waiting->timer != NULL) {
        show(waiting);
        event_add(waiting->timer, &second);
    } else if (waiting->session->arguments->is_json) {
        print_json(waiting);
    }
}

void waiting_end(struct waiting *waiting)
{
    if (waiting->timer != NULL) {
        event_del(waiting->timer);
    }
    if (waiting->is_shown) {
        waiting->is_shown = false;
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

void waiting_close(struct waiting *waiting)
{
    waiting_end(waiting);
    if (waiting->timer != NULL) {
        event_free(waiting->timer);
        waiting->timer = NULL;
    }
}
