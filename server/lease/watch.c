/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/watch.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/table.h"
#include "lease/errand.h"
#include "lease/keeper_internal.h"

/* How soon to look again where the store could not be asked. */
#define RETRY_US CLOCK_US_PER_S

LIST_HEAD(watch_list, watch);

struct watch {
    LIST_ENTRY(watch) link;
    struct watched *watched;
    watch_fn *on_state;
    void *user;
    uint64_t told; /* the number of the state it was told last; 0: none */
};

/* A lock that somebody watches, and how it was seen last. */
struct watched {
    struct keeper *keeper;
    struct watch_list watches;
    struct watch *cursor;  /* the next to be told, while they are */
    struct errand *errand; /* a look under way */
    bool is_stale;         /* it began before the last hint came */
    bool is_telling;
    struct timer timer; /* to look again */
    uint64_t state;     /* counts the states seen */
    struct store_result seen;
    char *texts; /* the label and value of `seen` */
    UT_hash_handle hh;
    char key[];
};

static void look(struct watched *watched, int64_t now_us);

static bool same_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

/* Whether there is nothing to tell: time that passes and waiters that come are no news. */
static bool same_state(const struct store_result *a, const struct store_result *b)
{
    const struct store_holder *x = &a->holder;
    const struct store_holder *y = &b->holder;
    return a->code == b->code && x->is_held == y->is_held && x->is_foreign == y->is_foreign &&
           x->is_closed == y->is_closed && x->mode == y->mode && x->holders == y->holders &&
           x->fence == y->fence && x->since_ms == y->since_ms &&
           same_text(x->label, x->label_length, y->label, y->label_length) &&
           same_text(x->value, x->value_length, y->value, y->value_length);
}

static void keep(struct watched *watched, const struct store_result *result)
{
    struct store_holder *holder = &watched->seen.holder;
    char *texts = memory_alloc(result->holder.label_length + result->holder.value_length + 1);
    watched->seen = *result;
    watched->seen.detail = NULL;
    if (holder->label_length > 0) {
        memcpy(texts, holder->label, holder->label_length);
    }
    if (holder->value_length > 0) {
        memcpy(texts + holder->label_length, holder->value, holder->value_length);
    }
    holder->label = texts;
    holder->value = texts + holder->label_length;
    memory_free(watched->texts);
    watched->texts = texts;
    watched->state++;
}

static void destroy_if_unused(struct watched *watched)
{
    struct keeper *keeper = watched->keeper;
    if (!LIST_EMPTY(&watched->watches) || watched->is_telling) {
        return;
    }
    store_unwatch(keeper->store, watched->key, watched->hh.keylen);
    if (watched->errand != NULL) {
        errand_abandon(watched->errand, 0);
    }
    wheel_clear(keeper->wheel, &watched->timer);
    HASH_DELETE(hh, keeper->watched, watched);
    memory_free(watched->texts);
    memory_free(watched);
}

/* Whoever is told may end its watch, and others. */
static void tell(struct watched *watched, const struct store_result *result, int64_t now_us)
{
    struct watch *watch = NULL;
    watched->is_telling = true;
    watched->cursor = LIST_FIRST(&watched->watches);
    while ((watch = watched->cursor) != NULL) {
        watched->cursor = LIST_NEXT(watch, link);
        if (watch->told != watched->state) {
            watch->told = watched->state;
            watch->on_state(watch->user, result, now_us);
        }
    }
    watched->is_telling = false;
    destroy_if_unused(watched);
}

static void look_again_at(struct watched *watched, const struct store_holder *holder,
                          int64_t now_us)
{
    int64_t again_us = CLOCK_NEVER;
    if ((holder->is_held || holder->is_closed) && holder->remaining_us >= 0) {
        again_us = now_us + holder->remaining_us + CLOCK_US_PER_MS;
    }
    wheel_set(watched->keeper->wheel, &watched->timer, again_us);
}

static void on_seen(void *user, const struct store_result *result, int64_t now_us)
{
    struct watched *watched = user;
    watched->errand = NULL;
    if (result->code != STORE_OK && result->code != STORE_WRONG_TYPE) {
        wheel_set(watched->keeper->wheel, &watched->timer, now_us + RETRY_US);
        return;
    }
    look_again_at(watched, &result->holder, now_us);
    if (watched->state == 0 || !same_state(&watched->seen, result)) {
        keep(watched, result);
    }
    if (watched->is_stale) {
        look(watched, now_us);
    }
    tell(watched, result, now_us);
}

static void look(struct watched *watched, int64_t now_us)
{
    const struct errand_ask ask = {
        .verb = STORE_INSPECT,
        .key = watched->key,
        .key_length = watched->hh.keylen,
        .deadline_us = CLOCK_NEVER,
    };
    watched->is_stale = watched->errand != NULL;
    if (watched->errand != NULL) {
        return;
    }
    watched->errand = errand_start(watched->keeper, &ask, on_seen, watched, now_us);
    if (watched->errand == NULL) {
        wheel_set(watched->keeper->wheel, &watched->timer, now_us + RETRY_US);
    }
}

static void on_timer(struct timer *timer, int64_t now_us)
{
    look(CONTAINER_OF(timer, struct watched, timer), now_us);
}

static struct watched *find(const struct keeper *keeper, const char *key, size_t key_length)
{
    struct watched *watched = NULL;
    HASH_FIND(hh, keeper->watched, key, key_length, watched);
    return watched;
}

static struct watched *obtain(struct keeper *keeper, const char *key, size_t key_length)
{
    struct watched *watched = find(keeper, key, key_length);
    if (watched == NULL) {
        watched = memory_alloc(sizeof(*watched) + key_length);
        watched->keeper = keeper;
        LIST_INIT(&watched->watches);
        timer_init(&watched->timer, on_timer);
        memcpy(watched->key, key, key_length);
        HASH_ADD_KEYPTR(hh, keeper->watched, watched->key, key_length, watched);
        store_watch(keeper->store, watched->key, key_length);
    }
    return watched;
}

struct watch *watch_start(struct keeper *keeper, const char *key, size_t key_length,
                          watch_fn *on_state, void *user, int64_t now_us)
{
    CHECK(key_length >= 1 && key_length <= LEASE_KEY_MAX);
    if (!keeper_admit(keeper)) {
        return NULL;
    }
    struct watch *watch = memory_alloc(sizeof(*watch));
    watch->watched = obtain(keeper, key, key_length);
    watch->on_state = on_state;
    watch->user = user;
    LIST_INSERT_HEAD(&watch->watched->watches, watch, link);
    look(watch->watched, now_us);
    return watch;
}

void watch_end(struct watch *watch, int64_t now_us)
{
    struct watched *watched = watch->watched;
    (void)now_us;
    if (watched->cursor == watch) {
        watched->cursor = LIST_NEXT(watch, link);
    }
    LIST_REMOVE(watch, link);
    memory_free(watch);
    keeper_dismiss(watched->keeper);
    destroy_if_unused(watched);
}

void watch_on_changed(struct keeper *keeper, const char *key, size_t key_length, int64_t now_us)
{
    struct watched *watched = find(keeper, key, key_length);
    if (watched != NULL) {
        look(watched, now_us);
    }
}

void watch_on_subscribed(struct keeper *keeper, int64_t now_us)
{
    for (struct watched *watched = keeper->watched; watched != NULL; watched = watched->hh.next) {
        look(watched, now_us);
    }
}
