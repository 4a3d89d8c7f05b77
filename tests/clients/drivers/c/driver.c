/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 << 10)

struct input {
    struct driver *driver;
    char bytes[LINE_MAX_BYTES];
    size_t used;
};

static const char *const result_words[] = {
    [HOLDFAST_OK] = "ok",
    [HOLDFAST_BUSY] = "busy",
    [HOLDFAST_NOT_HELD] = "not_held",
    [HOLDFAST_INVALID] = "invalid",
    [HOLDFAST_AWAY] = "away",
    [HOLDFAST_TIMEOUT] = "timeout",
    [HOLDFAST_LIMIT] = "limit",
    [HOLDFAST_REFUSED] = "refused",
    [HOLDFAST_DEADLOCK] = "deadlock",
    [HOLDFAST_CANCELLED] = "cancelled",
};

void driver_say(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

void driver_answer(json_int_t id, enum holdfast_result result, const char *error, json_t *extra)
{
    json_t *line = json_pack("{sI ss}", "id", id, "result", result_words[result]);
    if (error != NULL && *error != '\0') {
        json_object_set_new(line, "error", json_string(error));
    }
    if (extra != NULL) {
        json_object_update(line, extra);
        json_decref(extra);
    }
    driver_say(line);
}

json_t *driver_holder(const struct holdfast_holder *holder)
{
    if (!holder->is_held && !holder->is_closed) {
        return json_null();
    }
    return json_pack("{ss sI ss sI sb sb ss%}", "label", holder->label, "fence",
                     (json_int_t)holder->fence, "mode",
                     holder->mode == HOLDFAST_SHARED ? "shared" : "exclusive", "holders",
                     (json_int_t)holder->holders, "foreign", holder->is_foreign, "closed",
                     holder->is_closed, "value", (const char *)holder->value, holder->value_length);
}

static void take_lines(struct input *input)
{
    char *end;
    while ((end = memchr(input->bytes, '\n', input->used)) != NULL) {
        const size_t length = (size_t)(end - input->bytes);
        json_error_t error;
        json_t *request = json_loadb(input->bytes, length, 0, &error);
        if (request == NULL) {
            fprintf(stderr, "driver: not JSON: %s\n", error.text);
            exit(EXIT_FAILURE);
        }
        driver_do(input->driver, request);
        json_decref(request);
        input->used -= length + 1;
        memmove(input->bytes, end + 1, input->used);
    }
}

static void on_readable(evutil_socket_t descriptor, short what, void *user)
{
    struct input *input = user;
    const ssize_t size =
        read(descriptor, input->bytes + input->used, sizeof(input->bytes) - input->used);
    (void)what;
    if (size <= 0) {
        event_base_loopbreak(input->driver->base);
        return;
    }
    input->used += (size_t)size;
    take_lines(input);
}

int main(void)
{
    static struct input input;
    struct driver driver = {.base = event_base_new()};
    struct event *readable;
    char library[32];
    LIST_INIT(&driver.requests);
    LIST_INIT(&driver.leases);
    LIST_INIT(&driver.watches);
    LIST_INIT(&driver.elections);
    input.driver = &driver;
    readable = event_new(driver.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_readable, &input);
    event_add(readable, NULL);
    snprintf(library, sizeof(library), "c %s", holdfast_version());
    driver_say(json_pack("{ss ss s[ss]}", "event", "ready", "library", library, "features",
                         "election", "health"));
    event_base_dispatch(driver.base);
    driver_release(&driver);
    event_free(readable);
    event_base_free(driver.base);
    return EXIT_SUCCESS;
}
