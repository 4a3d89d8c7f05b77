/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim_mistakes.h"
#include "sim_world.h"

#define BATCH_MAX     4
#define IN_FLIGHT_MAX 2
#define LOOK_US       (400 * WORLD_MS) /* how often who is not told looks whether Redis forgot */

struct command_item {
    struct redis_request request;
    struct store_result result;
    struct store_op *op; /* valid while the command is awaited */
    bool is_unqueued;    /* would have queued up, had hints been heard */
};

/* A batch: one script call. */
struct command {
    TAILQ_ENTRY(command) link;
    struct sim_store *store;
    uint64_t connection;
    uint64_t run_id;       /* of the server it was sent to */
    int64_t sent_us;       /* by the sidecar's clock */
    int64_t held_until_us; /* somewhere in the network, true time */
    int64_t not_after_us;  /* by TIME */
    int64_t window_end_us; /* of the recovery window, by the server's steady clock; 0: none */
    bool was_late;         /* it did nothing */
    bool is_on_the_way;
    bool is_awaited;
    size_t count;
    struct command_item items[BATCH_MAX];
};

static struct world *world_of(const struct sim_store *store)
{
    return store->sidecar->world;
}

static void free_if_done(struct command *command)
{
    if (!command->is_on_the_way && !command->is_awaited) {
        TAILQ_REMOVE(&command->store->commands, command, link);
        memory_free(command);
    }
}

static void leave_the_way(struct command *command)
{
    command->is_on_the_way = false;
    free_if_done(command);
}

static void answer(struct store_op *op, const struct store_result *result, int64_t now_us)
{
    op->state = STORE_OP_IDLE;
    op->on_done(op, result, now_us);
}

/* Hands the answers of a command to those who wait, and forgets it. */
static void answer_all(struct command *command, bool is_unknown)
{
    struct sim_store *store = command->store;
    const int64_t now_us = sidecar_now_us(store->sidecar);
    command->is_awaited = false;
    store->in_flight--;
    for (size_t i = 0; i < command->count; i++) {
        struct command_item *item = &command->items[i];
        if (is_unknown) {
            item->result = (struct store_result){.code = STORE_UNKNOWN};
        }
        item->result.sent_us = command->sent_us;
        if (item->is_unqueued && item->result.code == STORE_BUSY) {
            store->sidecar->hints.owes_subscribed = true;
        }
        mistakes_spoil_result(world_of(store)->config.mistake, item->op, &item->result, now_us);
        answer(item->op, &item->result, now_us);
    }
    free_if_done(command);
}

/* Redis has forgotten, and no connection has told: once per window, which its end tells from
 * others, for it may forget again in a window. */
static void take_window(struct sim_store *store, const struct command *command)
{
    const int64_t now_us = sidecar_now_us(store->sidecar);
    const bool is_deaf = world_of(store)->config.mistake == MISTAKE_ONE_WINDOW &&
                         command->window_end_us < store->window_end_us + REDIS_RECOVERY_WINDOW_US;
    if (command->count == 0 && command->was_late) {
        sim_store_doubt(store);
    }
    if (command->window_end_us > 0 && command->window_end_us != store->window_end_us && !is_deaf) {
        store->window_end_us = command->window_end_us;
        world_trace(world_of(store), "sidecar %u: finds that Redis forgot", store->sidecar->number);
        store->port.listener->on_up(store->port.listener, now_us);
    }
}

static void on_connected(struct world *world, void *user, uint64_t number)
{
    struct sim_store *store = user;
    struct sidecar *sidecar = store->sidecar;
    if (number != store->connection || !sidecar_can_run(sidecar, on_connected, user, number)) {
        return;
    }
    if (world->now_us < world->redis.paused_until_us) {
        agenda_add(&world->agenda, world->redis.paused_until_us, on_connected, user, number);
        return;
    }
    sidecar_begin_turn(sidecar);
    world_trace(world, "sidecar %u: connected", sidecar->number);
    store->is_up = true;
    store->port.listener->on_up(store->port.listener, sidecar_now_us(sidecar));
    sidecar_end_turn(sidecar);
}

static void connect_again(struct sim_store *store)
{
    struct world *world = world_of(store);
    int64_t delay_us = world_latency_us(world);
    if (!world->is_calm) {
        delay_us += sim_random_between(&world->random, 0, 300 * WORLD_MS);
    }
    store->is_up = false;
    store->connection++;
    world_after(world, delay_us, on_connected, store, store->connection);
}

static void on_reply(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct command *command = user;
    struct sim_store *store = command->store;
    struct sidecar *sidecar = store->sidecar;
    if (!command->is_awaited) {
        leave_the_way(command);
        return;
    }
    if (!sidecar_can_run(sidecar, on_reply, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    command->is_on_the_way = false;
    const int64_t age_us = sidecar_now_us(sidecar) - command->sent_us;
    const bool believes_anything = world_of(store)->config.mistake == MISTAKE_LATE_CREDIT;
    if (!command->is_awaited) {
        free_if_done(command); /* a timer of this turn cut the connection */
    } else if (age_us > REDIS_ACK_US && !believes_anything) {
        sim_store_cut(store);
    } else {
        store->heard_us = sidecar_now_us(sidecar);
        take_window(store, command);
        answer_all(command, false);
    }
    sidecar_end_turn(sidecar);
}

static void execute(struct command *command)
{
    static const char *const verbs[] = {"ACQUIRE", "RENEW", "RELEASE", "RESUME", "INSPECT"};
    static const char *const codes[] = {"OK",         "BUSY",        "QUEUED",
                                        "NOT_HELD",   "RECOVERING",  "EXPIRED",
                                        "WRONG_TYPE", "UNAVAILABLE", "UNKNOWN"};
    struct world *world = world_of(command->store);
    for (size_t i = 0; i < command->count; i++) {
        const struct redis_request *request = &command->items[i].request;
        struct store_result *result = &command->items[i].result;
        sim_redis_execute(&world->redis, request, result);
        world_trace(world, "redis: sidecar %u %s lock %zu tenure %02x%02x fence %llu: %s %llu",
                    request->server, verbs[request->verb], request->lock, request->tenure.bytes[0],
                    request->tenure.bytes[1], (unsigned long long)request->fence,
                    codes[result->code], (unsigned long long)result->fence);
    }
    command->was_late = sim_redis_time_us(&world->redis) > command->not_after_us;
    if (!command->was_late) {
        const int64_t window_end_us = sim_redis_window_end_us(&world->redis);
        command->window_end_us = command->count == 0 ? window_end_us : 0;
    }
}

static void on_arrival(struct world *world, void *user, uint64_t number)
{
    struct command *command = user;
    struct sim_store *store = command->store;
    struct sim_redis *redis = &world->redis;
    if (command->run_id != redis->run_id) {
        leave_the_way(command);
        return;
    }
    const int64_t held_until_us = command->held_until_us > redis->paused_until_us
                                      ? command->held_until_us
                                      : redis->paused_until_us;
    if (world->now_us < held_until_us) {
        agenda_add(&world->agenda, held_until_us, on_arrival, user, number);
        return;
    }
    execute(command);
    const bool is_lost = sim_random_chance(&world->random, world->loss_permille);
    if (is_lost || !command->is_awaited) {
        leave_the_way(command);
        return;
    }
    int64_t at_us = world->now_us + world_latency_us(world);
    at_us = at_us > store->backward_us ? at_us : store->backward_us + 1;
    store->backward_us = at_us;
    agenda_add(&world->agenda, at_us, on_reply, command, 0);
}

static size_t lock_of(const char *key, size_t key_length)
{
    return (size_t)(key[key_length - 1] - '0');
}

static void add_item(struct command *command, struct store_op *op)
{
    const struct sidecar *sidecar = command->store->sidecar;
    const bool wants_queue = op->verb == STORE_ACQUIRE && op->wants_queue;
    op->state = STORE_OP_SENT;
    command->items[command->count++] = (struct command_item){
        .request =
            {
                .verb = op->verb,
                .mode = op->mode,
                .server = sidecar->number,
                .lock = lock_of(op->key, op->key_length),
                .tenure = op->tenure,
                .token = op->token,
                .fence = op->fence,
                .fence_block = op->fence_block,
                .limit = op->limit,
                .wants_queue = op->wants_queue && !(wants_queue && !sidecar->hints.is_subscribed),
                .keeps_lock = op->keeps_lock,
                .since_ms = op->since_ms,
                .ttl_ms = op->ttl_ms,
                .grant_ms = op->ttl_ms < STORE_GRANT_MS ? op->ttl_ms : STORE_GRANT_MS,
                .lock_delay_ms = op->lock_delay_ms,
                .not_after_us = command->not_after_us,
            },
        .op = op,
        .is_unqueued = wants_queue && !sidecar->hints.is_subscribed,
    };
}

static struct store_op *take_next(struct sim_store *store)
{
    struct store_op_list *list = TAILQ_EMPTY(&store->urgent) ? &store->patient : &store->urgent;
    struct store_op *op = TAILQ_FIRST(list);
    if (op != NULL) {
        TAILQ_REMOVE(list, op, link);
    }
    return op;
}

/* An empty one looks whether Redis forgot. */
static void send_batch(struct sim_store *store, bool is_empty, int64_t now_us)
{
    struct world *world = world_of(store);
    /* Our idea of Redis' time may be off by as much as the ack timeout. */
    const int64_t error_us = sim_random_between(&world->random, 0, REDIS_ACK_US);
    struct command *command = memory_alloc(sizeof(*command));
    command->store = store;
    command->connection = store->connection;
    command->run_id = world->redis.run_id;
    command->sent_us = now_us;
    command->not_after_us = sim_redis_time_us(&world->redis) + REDIS_ACK_US + error_us;
    command->is_on_the_way = true;
    command->is_awaited = true;
    const size_t most = is_empty ? 0 : BATCH_MAX;
    struct store_op *op = NULL;
    while (command->count < most && (op = take_next(store)) != NULL) {
        add_item(command, op);
    }
    TAILQ_INSERT_TAIL(&store->commands, command, link);
    store->in_flight++;
    int64_t at_us = world->now_us + world_latency_us(world);
    at_us = at_us > store->forward_us ? at_us : store->forward_us + 1;
    store->forward_us = at_us;
    agenda_add(&world->agenda, at_us, on_arrival, command, 0);
}

/* Whether a hint says that this acquire would be granted. */
static bool is_hinted(const struct sim_store *store, const struct store_op *op)
{
    const struct sim_hints *hints = &store->sidecar->hints;
    const size_t lock = lock_of(op->key, op->key_length);
    return op->verb == STORE_ACQUIRE && hints->last_fence[lock] != 0 &&
           id128_equal(&hints->last_tenure[lock], &op->tenure);
}

static void answer_believed(struct sim_store *store, int64_t now_us)
{
    while (!TAILQ_EMPTY(&store->believed)) {
        struct store_op *op = TAILQ_FIRST(&store->believed);
        const size_t lock = lock_of(op->key, op->key_length);
        const struct store_result result = {
            .code = STORE_OK,
            .sent_us = now_us,
            .fence = store->sidecar->hints.last_fence[lock],
        };
        TAILQ_REMOVE(&store->believed, op, link);
        answer(op, &result, now_us);
    }
}

static void submit(struct store *port, struct store_op *op, int64_t now_us)
{
    struct sim_store *store = CONTAINER_OF(port, struct sim_store, port);
    CHECK(op->state == STORE_OP_IDLE);
    CHECK(op->ttl_ms > 0 || op->verb == STORE_RELEASE || op->verb == STORE_INSPECT);
    op->state = STORE_OP_QUEUED;
    op->queued_us = now_us;
    if (world_of(store)->config.mistake == MISTAKE_BELIEVE_HINT && is_hinted(store, op)) {
        op->state = STORE_OP_SENT;
        TAILQ_INSERT_TAIL(&store->believed, op, link);
        return;
    }
    const bool is_urgent = op->verb == STORE_RENEW || op->verb == STORE_RELEASE;
    TAILQ_INSERT_TAIL(is_urgent ? &store->urgent : &store->patient, op, link);
}

static bool withdraw(struct store *port, struct store_op *op)
{
    struct sim_store *store = CONTAINER_OF(port, struct sim_store, port);
    CHECK(op->state != STORE_OP_IDLE);
    if (op->state == STORE_OP_SENT) {
        return false;
    }
    op->state = STORE_OP_IDLE;
    const bool is_urgent = op->verb == STORE_RENEW || op->verb == STORE_RELEASE;
    TAILQ_REMOVE(is_urgent ? &store->urgent : &store->patient, op, link);
    return true;
}

static void watch(struct store *port, const char *key, size_t key_length)
{
    struct sim_store *store = CONTAINER_OF(port, struct sim_store, port);
    hints_watch(&store->sidecar->hints, lock_of(key, key_length));
}

static void unwatch(struct store *port, const char *key, size_t key_length)
{
    struct sim_store *store = CONTAINER_OF(port, struct sim_store, port);
    hints_unwatch(&store->sidecar->hints, lock_of(key, key_length));
}

static int64_t gives_up_us(const struct sim_store *store, const struct store_op *op)
{
    const int64_t heard_us = op->queued_us > store->heard_us ? op->queued_us : store->heard_us;
    const bool is_sooner = op->is_impatient && op->give_up_us > heard_us + STORE_PATIENCE_US;
    return is_sooner ? heard_us + STORE_PATIENCE_US : op->give_up_us;
}

static struct store_op *find_overdue(const struct sim_store *store,
                                     const struct store_op_list *list, int64_t now_us)
{
    struct store_op *op;
    TAILQ_FOREACH (op, list, link) {
        if (gives_up_us(store, op) <= now_us) {
            return op;
        }
    }
    return NULL;
}

static void give_up(struct sim_store *store, struct store_op_list *list, int64_t now_us)
{
    static const struct store_result away = {.code = STORE_UNAVAILABLE, .detail = "away"};
    for (struct store_op *op = find_overdue(store, list, now_us); op != NULL;
         op = find_overdue(store, list, now_us)) {
        TAILQ_REMOVE(list, op, link);
        answer(op, &away, now_us);
    }
}

static const struct command *first_awaited(const struct sim_store *store)
{
    const struct command *command;
    TAILQ_FOREACH (command, &store->commands, link) {
        if (command->is_awaited) {
            return command;
        }
    }
    return NULL;
}

static int64_t next_give_up_us(const struct sim_store *store, const struct store_op_list *list)
{
    int64_t next_us = CLOCK_NEVER;
    const struct store_op *op;
    TAILQ_FOREACH (op, list, link) {
        const int64_t due_us = gives_up_us(store, op);
        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}

static int64_t patience_us(const struct sim_store *store)
{
    const bool is_patient = world_of(store)->config.mistake == MISTAKE_LATE_CREDIT;
    return is_patient ? 5 * REDIS_ACK_US : REDIS_ACK_US;
}

void sim_store_init(struct sim_store *store, struct sidecar *sidecar)
{
    static const struct store_vtable vtable = {submit, withdraw, watch, unwatch};
    *store = (struct sim_store){.port = {.vtable = &vtable}, .sidecar = sidecar};
    TAILQ_INIT(&store->urgent);
    TAILQ_INIT(&store->patient);
    TAILQ_INIT(&store->believed);
    TAILQ_INIT(&store->commands);
    connect_again(store);
}

void sim_store_drop(struct sim_store *store)
{
    struct command *command = TAILQ_FIRST(&store->commands);
    while (command != NULL) {
        struct command *next = TAILQ_NEXT(command, link);
        command->is_awaited = false;
        free_if_done(command);
        command = next;
    }
    store->connection++;
    store->is_up = false;
}

void sim_store_release(struct sim_store *store)
{
    while (!TAILQ_EMPTY(&store->commands)) {
        struct command *command = TAILQ_FIRST(&store->commands);
        TAILQ_REMOVE(&store->commands, command, link);
        memory_free(command);
    }
}

/* What has not arrived when its connection is cut may be lost, or come late. */
static void delay_or_lose(struct world *world, struct command *command)
{
    if (sim_random_chance(&world->random, 500)) {
        command->run_id = 0;
    } else {
        const bool is_stuck = sim_random_chance(&world->random, 200);
        command->held_until_us =
            world->now_us +
            sim_random_between(&world->random, 0, is_stuck ? 8 * WORLD_S : 3 * WORLD_S / 2);
    }
}

void sim_store_cut(struct sim_store *store)
{
    struct world *world = world_of(store);
    const uint64_t connection = store->connection;
    world_trace(world, "sidecar %u: connection cut", store->sidecar->number);
    connect_again(store);
    struct command *command;
    TAILQ_FOREACH (command, &store->commands, link) {
        if (command->connection == connection) {
            delay_or_lose(world, command);
        }
    }
    for (const struct command *awaited = first_awaited(store); awaited != NULL;
         awaited = first_awaited(store)) {
        CHECK(awaited->connection == connection);
        answer_all((struct command *)(uintptr_t)awaited, true);
    }
}

void sim_store_doubt(struct sim_store *store)
{
    store->look_us = sidecar_now_us(store->sidecar);
}

/* Looks whether Redis forgot: again and again, unless that would be told. */
static void look(struct sim_store *store, int64_t now_us)
{
    const bool is_deaf = world_of(store)->config.mistake == MISTAKE_DEAF_FLUSH;
    store->look_us = hints_hear_flushes(&store->sidecar->hints) ? CLOCK_NEVER : now_us + LOOK_US;
    store->is_look_due = !is_deaf && store->port.listener->has_leases(store->port.listener);
}

void sim_store_tick(struct sim_store *store, int64_t now_us)
{
    const struct command *oldest = first_awaited(store);
    if (oldest != NULL && now_us - oldest->sent_us > patience_us(store)) {
        sim_store_cut(store);
    }
    answer_believed(store, now_us);
    give_up(store, &store->urgent, now_us);
    give_up(store, &store->patient, now_us);
    if (now_us >= store->look_us) {
        look(store, now_us);
    }
}

void sim_store_flush(struct sim_store *store, int64_t now_us)
{
    while (store->is_up && store->in_flight < IN_FLIGHT_MAX &&
           !(TAILQ_EMPTY(&store->urgent) && TAILQ_EMPTY(&store->patient) && !store->is_look_due)) {
        const bool is_look = store->is_look_due;
        store->is_look_due = false;
        send_batch(store, is_look, now_us);
    }
}

int64_t sim_store_next_us(const struct sim_store *store)
{
    const int64_t urgent_us = next_give_up_us(store, &store->urgent);
    int64_t next_us = next_give_up_us(store, &store->patient);
    next_us = urgent_us < next_us ? urgent_us : next_us;
    if (world_of(store)->forgets && !world_of(store)->is_calm) {
        next_us = store->look_us < next_us ? store->look_us : next_us;
    }
    const struct command *oldest = first_awaited(store);
    if (oldest != NULL && oldest->sent_us + patience_us(store) + 1 < next_us) {
        next_us = oldest->sent_us + patience_us(store) + 1;
    }
    return next_us;
}
