/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "lease/errand.h"
#include "service/answers.h"
#include "service/session.h"

#define LOOKS_MAX   ((size_t)32)               /* under way at a time */
#define ARENA_LIMIT ((size_t)64 * 1024 * 1024) /* far above what a step can need */
#define TOKEN_SIZE  21                         /* any uint64 in decimal, with its NUL */
#define LABEL_SIZE  (LEASE_LABEL_MAX + 1)

/* One name that is being inspected. */
struct look {
    LIST_ENTRY(look) link;
    struct fleet *fleet;
    struct errand *errand;
    const struct fleet_name *name;
};

LIST_HEAD(look_list, look);

struct fleet {
    struct call *call;
    void *scan;         /* NULL once its step is there */
    struct arena arena; /* of the names and the answer */
    uint64_t cursor;    /* to go on with */
    struct fleet_name *names;
    size_t count;
    size_t begun; /* names */
    struct look_list looks;
    size_t look_count;
    Holdfast__V1__LockState **states;
    size_t state_count;
};

static const struct services *services_of(const struct fleet *fleet)
{
    return fleet->call->session->services;
}

static void *take(struct fleet *fleet, size_t size)
{
    void *memory = arena_alloc(&fleet->arena, size);
    CHECK(memory != NULL);
    return memory;
}

static char *text_of(struct fleet *fleet, const char *bytes, size_t length, size_t size)
{
    size_t used = 0;
    char *text = take(fleet, size);
    utf8_clean(bytes, length, text, size - 1, &used);
    return text;
}

static void free_look(struct look *look)
{
    LIST_REMOVE(look, link);
    look->fleet->look_count--;
    memory_free(look);
}

/* Lets go of the call, which is still to be answered, and of all that is under way. */
static struct call *end(struct fleet *fleet)
{
    struct call *call = fleet->call;
    const struct services *services = services_of(fleet);
    struct look *look = NULL;
    if (fleet->scan != NULL) {
        services->config.fleet->cancel(fleet->scan);
    }
    while ((look = LIST_FIRST(&fleet->looks)) != NULL) {
        errand_abandon(look->errand, loop_now_us(services->loop));
        free_look(look);
    }
    call->user = NULL;
    call->on_cancel = NULL;
    arena_release(&fleet->arena);
    memory_free(fleet);
    return call;
}

static void reply(struct fleet *fleet)
{
    char token[TOKEN_SIZE];
    Holdfast__V1__ListLocksResponse response = HOLDFAST__V1__LIST_LOCKS_RESPONSE__INIT;
    response.locks = fleet->states;
    response.n_locks = fleet->state_count;
    if (fleet->cursor != 0) {
        snprintf(token, sizeof(token), "%" PRIu64, fleet->cursor);
        response.next_page_token = token;
    }
    fleet->call->user = NULL;
    fleet->call->on_cancel = NULL;
    call_reply(fleet->call, &response.base); /* of what is in the arena */
    arena_release(&fleet->arena);
    memory_free(fleet);
}

static void describe(struct fleet *fleet, const struct fleet_name *name,
                     const struct store_holder *seen)
{
    Holdfast__V1__LockState *state = take(fleet, sizeof(*state));
    Holdfast__V1__LockHolder *holder = take(fleet, sizeof(*holder));
    holdfast__v1__lock_state__init(state);
    holdfast__v1__lock_holder__init(holder);
    holder->label = text_of(fleet, seen->label, seen->label_length, LABEL_SIZE);
    holder->since_ms = seen->since_ms;
    holder->remaining_ms = answer_remaining_ms(seen->remaining_us);
    holder->fence = seen->fence;
    holder->foreign = seen->is_foreign;
    holder->closed = seen->is_closed;
    state->key = text_of(fleet, name->text, name->length, LEASE_KEY_MAX + 1);
    state->mode = answer_mode(seen->mode);
    state->holders = take(fleet, sizeof(void *));
    state->holders[0] = holder;
    state->n_holders = 1;
    state->waiting = seen->waiting;
    fleet->states[fleet->state_count++] = state;
}

static void go_on(struct fleet *fleet, int64_t now_us);

/* A name whose key is of another type is no lock. */
static void on_inspected(void *user, const struct store_result *result, int64_t now_us)
{
    struct look *look = user;
    struct fleet *fleet = look->fleet;
    const struct fleet_name *name = look->name;
    free_look(look);
    if (result->code == STORE_OK && result->holder.is_held) {
        describe(fleet, name, &result->holder);
    } else if (result->code != STORE_OK && result->code != STORE_WRONG_TYPE) {
        answer_store_failure(end(fleet), result, now_us);
        return;
    }
    go_on(fleet, now_us);
}

static bool begin_look(struct fleet *fleet, int64_t now_us)
{
    const struct fleet_name *name = &fleet->names[fleet->begun];
    struct look *look = memory_alloc(sizeof(*look));
    const struct errand_ask ask = {
        .verb = STORE_INSPECT,
        .key = name->text,
        .key_length = name->length,
        .deadline_us = fleet->call->deadline_us,
    };
    look->errand = errand_start(services_of(fleet)->keeper, &ask, on_inspected, look, now_us);
    if (look->errand == NULL) {
        memory_free(look);
        return false;
    }
    look->fleet = fleet;
    look->name = name;
    LIST_INSERT_HEAD(&fleet->looks, look, link);
    fleet->look_count++;
    fleet->begun++;
    return true;
}

static void go_on(struct fleet *fleet, int64_t now_us)
{
    while (fleet->begun < fleet->count && fleet->look_count < LOOKS_MAX) {
        if (!begin_look(fleet, now_us)) {
            answer_leases_limit(end(fleet));
            return;
        }
    }
    if (fleet->look_count == 0) {
        reply(fleet);
    }
}

static void keep_names(struct fleet *fleet, const struct fleet_step *step)
{
    fleet->cursor = step->cursor;
    fleet->count = step->count;
    fleet->names = take(fleet, (step->count + 1) * sizeof(*fleet->names));
    fleet->states = take(fleet, (step->count + 1) * sizeof(struct Holdfast__V1__LockState *));
    for (size_t i = 0; i < step->count; i++) {
        char *text = take(fleet, step->names[i].length + 1);
        memcpy(text, step->names[i].text, step->names[i].length);
        fleet->names[i] = (struct fleet_name){text, step->names[i].length};
    }
}

static void on_step(void *user, const struct fleet_step *step, int64_t now_us)
{
    struct fleet *fleet = user;
    fleet->scan = NULL;
    if (step->problem != NULL) {
        const struct store_result result = {.code = STORE_UNAVAILABLE, .detail = step->problem};
        answer_store_failure(end(fleet), &result, now_us);
        return;
    }
    keep_names(fleet, step);
    go_on(fleet, now_us);
}

static void on_cancel(struct call *call)
{
    end(call->user);
}

void fleet_answer(struct call *call, const Holdfast__V1__ListLocksRequest *request, uint64_t cursor,
                  size_t page_size)
{
    const struct fleet_source *source = call->session->services->config.fleet;
    struct fleet *fleet = memory_alloc(sizeof(*fleet));
    fleet->call = call;
    LIST_INIT(&fleet->looks);
    arena_init(&fleet->arena, ARENA_LIMIT);
    fleet->scan = source->start(source->user, request->prefix, strlen(request->prefix), cursor,
                                page_size, on_step, fleet);
    if (fleet->scan == NULL) {
        session_fail_call(end(fleet), STATUS_RESOURCE_EXHAUSTED,
                          "fleet: too many look into Redis at the same time; try again later");
        return;
    }
    call->user = fleet;
    call->on_cancel = on_cancel;
}
