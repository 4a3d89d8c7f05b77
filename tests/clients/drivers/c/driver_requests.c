/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const loss_words[] = {
    [HOLDFAST_LOSS_EXPIRED] = "expired",       [HOLDFAST_LOSS_TAKEN] = "taken",
    [HOLDFAST_LOSS_HEARTBEAT] = "heartbeat",   [HOLDFAST_LOSS_SHUTDOWN] = "shutdown",
    [HOLDFAST_LOSS_CONNECTION] = "connection", [HOLDFAST_LOSS_MAX_HOLD] = "max_hold",
    [HOLDFAST_LOSS_RESUMED] = "resumed",
};

struct driver_health {
    json_int_t id;
    struct holdfast_call *call;
    bool is_serving;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static _Noreturn void refuse(const char *what, const char *which)
{
    fprintf(stderr, "driver: %s: %s\n", what, which != NULL ? which : "missing");
    exit(EXIT_FAILURE);
}

const char *driver_text(const json_t *request, const char *name)
{
    return json_string_value(json_object_get(request, name));
}

static uint32_t number(const json_t *request, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(request, name));
}

static json_int_t id_of(const json_t *request)
{
    return json_integer_value(json_object_get(request, "id"));
}

static struct driver_request *new_request(struct driver *driver, const json_t *request)
{
    struct driver_request *made = allocate(sizeof(*made));
    made->driver = driver;
    made->id = id_of(request);
    LIST_INSERT_HEAD(&driver->requests, made, link);
    return made;
}

static void free_request(struct driver_request *request)
{
    LIST_REMOVE(request, link);
    free(request);
}

static struct driver_lease *find_lease(struct driver *driver, const json_t *request)
{
    const char *name = driver_text(request, "lease");
    struct driver_lease *lease;
    LIST_FOREACH (lease, &driver->leases, link) {
        if (name != NULL && strcmp(lease->name, name) == 0) {
            return lease;
        }
    }
    refuse("no such lease", name);
}

static struct driver_lease *new_lease(struct driver *driver, const json_t *request)
{
    const char *name = driver_text(request, "lease");
    struct driver_lease *lease = allocate(sizeof(*lease));
    if (name == NULL) {
        refuse("lease", NULL);
    }
    lease->driver = driver;
    lease->asked_by = id_of(request);
    lease->name = strdup(name);
    LIST_INSERT_HEAD(&driver->leases, lease, link);
    return lease;
}

/* Tokens, as text. */

static json_t *hex_of(const unsigned char token[HOLDFAST_TOKEN_SIZE])
{
    char text[2 * HOLDFAST_TOKEN_SIZE + 1];
    for (size_t i = 0; i < HOLDFAST_TOKEN_SIZE; i++) {
        snprintf(text + 2 * i, 3, "%02x", token[i]);
    }
    return json_string(text);
}

/* False when the request gives none. */
static bool token_of(const json_t *request, unsigned char token[HOLDFAST_TOKEN_SIZE])
{
    const char *text = driver_text(request, "token");
    if (text == NULL) {
        return false;
    }
    if (strlen(text) != (size_t)2 * HOLDFAST_TOKEN_SIZE) {
        refuse("token", text);
    }
    for (size_t i = 0; i < HOLDFAST_TOKEN_SIZE; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        token[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return true;
}

/* What the library says */

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    const struct driver_lease *named = user;
    (void)lease;
    driver_say(json_pack("{ss ss sI}", "event", "at_risk", "lease", named->name, "valid_for_ms",
                         (json_int_t)valid_for_ms));
}

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    const struct driver_lease *named = user;
    driver_say(json_pack("{ss sI sI so}", "event", "queued", "id", named->asked_by, "position",
                         (json_int_t)position, "holder", driver_holder(holder)));
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    const struct driver_lease *named = user;
    (void)lease;
    driver_say(
        json_pack("{ss ss ss}", "event", "lost", "lease", named->name, "reason", loss_words[loss]));
}

static json_t *lease_fields(const struct holdfast_lease *lease)
{
    json_t *fences = json_object();
    for (size_t i = 0; i < holdfast_lease_key_count(lease); i++) {
        const char *key = holdfast_lease_key_at(lease, i);
        json_object_set_new(fences, key,
                            json_integer((json_int_t)holdfast_lease_fence_of(lease, key)));
    }
    return json_pack("{sI so sI so}", "fence", (json_int_t)holdfast_lease_fence(lease), "fences",
                     fences, "valid_for_ms", (json_int_t)holdfast_lease_valid_for_ms(lease),
                     "token", hex_of(holdfast_lease_token(lease)));
}

static void on_lease(enum holdfast_result result, struct holdfast_lease *lease,
                     const struct holdfast_holder *holder, const char *error, void *user)
{
    struct driver_request *request = user;
    json_t *extra = NULL;
    if (lease != NULL) {
        request->lease->lease = lease;
        extra = lease_fields(lease);
    } else if (holder != NULL) {
        extra = json_pack("{so}", "holder", driver_holder(holder));
    }
    driver_answer(request->id, result, error, extra);
    free_request(request);
}

static void on_renewed_token(enum holdfast_result result, struct holdfast_lease *lease,
                             const struct holdfast_holder *holder, const char *error, void *user)
{
    struct driver_request *request = user;
    (void)holder;
    driver_answer(request->id, result, error,
                  lease == NULL ? NULL
                                : json_pack("{sI}", "valid_for_ms",
                                            (json_int_t)holdfast_lease_valid_for_ms(lease)));
    holdfast_lease_free(lease);
    free_request(request);
}

static void on_done(enum holdfast_result result, const char *error, void *user)
{
    struct driver_request *request = user;
    driver_answer(request->id, result, error, NULL);
    free_request(request);
}

static void on_renewed(enum holdfast_result result, const char *error, void *user)
{
    struct driver_request *request = user;
    driver_answer(request->id, result, error,
                  json_pack("{sI}", "valid_for_ms",
                            (json_int_t)holdfast_lease_valid_for_ms(request->lease->lease)));
    free_request(request);
}

static void on_inspected(enum holdfast_result result, const struct holdfast_holder *holder,
                         const char *error, void *user)
{
    struct driver_request *request = user;
    driver_answer(request->id, result, error,
                  holder == NULL ? NULL : json_pack("{so}", "holder", driver_holder(holder)));
    free_request(request);
}

static void on_state(enum holdfast_result result, const struct holdfast_holder *holder,
                     const char *error, void *user)
{
    const struct driver_watch *watch = user;
    (void)error;
    if (result != HOLDFAST_OK) {
        driver_say(json_pack("{ss ss sb}", "event", "state", "watch", watch->name, "unknown", 1));
        return;
    }
    driver_say(json_pack("{ss ss so}", "event", "state", "watch", watch->name, "holder",
                         driver_holder(holder)));
}

/* What it is asked */

static void ask_init(struct holdfast_ask *ask, const json_t *request, struct driver_lease *lease,
                     const char *keys[HOLDFAST_KEYS_MAX])
{
    const json_t *several = json_object_get(request, "keys");
    const char *mode = driver_text(request, "mode");
    *ask = (struct holdfast_ask){
        .key = driver_text(request, "key"),
        .label = driver_text(request, "label"),
        .ttl_ms = number(request, "ttl_ms"),
        .heartbeat_ms = number(request, "heartbeat_ms"),
        .wait_ms = number(request, "wait_ms"),
        .mode = mode != NULL && strcmp(mode, "shared") == 0 ? HOLDFAST_SHARED : HOLDFAST_EXCLUSIVE,
        .limit = number(request, "limit"),
        .value = driver_text(request, "value"),
        .value_length = json_string_length(json_object_get(request, "value")),
        .grace_ms = number(request, "grace_ms"),
        .lock_delay_ms = number(request, "lock_delay_ms"),
        .max_hold_ms = number(request, "max_hold_ms"),
        .events = {on_at_risk, on_queued, on_lost, lease},
    };
    if (several != NULL) {
        ask->keys = keys;
        ask->key_count = json_array_size(several);
        for (size_t i = 0; i < ask->key_count && i < HOLDFAST_KEYS_MAX; i++) {
            keys[i] = json_string_value(json_array_get(several, i));
        }
    }
}

static void do_open(struct driver *driver, const json_t *request)
{
    char error[HOLDFAST_ERROR_SIZE] = "";
    const struct holdfast_options options = {
        .server = driver_text(request, "server"),
        .ca_file = driver_text(request, "ca_file"),
        .timeout_ms = number(request, "timeout_ms"),
    };
    driver->holdfast = holdfast_async_open(driver->base, &options, error);
    driver_answer(id_of(request), driver->holdfast != NULL ? HOLDFAST_OK : HOLDFAST_INVALID, error,
                  NULL);
}

static void do_close(struct driver *driver, const json_t *request)
{
    driver_release(driver);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

/* hold, acquire_detached, resume */
static void do_hold(struct driver *driver, const json_t *request)
{
    const char *what = driver_text(request, "do");
    const char *keys[HOLDFAST_KEYS_MAX] = {NULL};
    unsigned char token[HOLDFAST_TOKEN_SIZE];
    const bool has_token = token_of(request, token);
    struct driver_request *made = new_request(driver, request);
    struct holdfast_ask ask;
    made->lease = new_lease(driver, request);
    ask_init(&ask, request, made->lease, keys);
    if (strcmp(what, "hold") == 0) {
        made->number = holdfast_async_hold(driver->holdfast, &ask, on_lease, made);
    } else if (strcmp(what, "resume") == 0) {
        made->number = holdfast_async_resume(driver->holdfast, &ask, token, on_lease, made);
    } else {
        made->number = holdfast_async_acquire_detached(driver->holdfast, &ask,
                                                       has_token ? token : NULL, on_lease, made);
    }
}

static void do_cancel(struct driver *driver, const json_t *request)
{
    const json_int_t id = json_integer_value(json_object_get(request, "request"));
    struct driver_request *waiting;
    LIST_FOREACH (waiting, &driver->requests, link) {
        if (waiting->id == id) {
            holdfast_async_cancel(driver->holdfast, waiting->number);
            break;
        }
    }
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

static void do_release(struct driver *driver, const json_t *request)
{
    struct driver_request *made = new_request(driver, request);
    made->lease = find_lease(driver, request);
    holdfast_async_release(driver->holdfast, made->lease->lease, on_done, made);
}

static void do_renew(struct driver *driver, const json_t *request)
{
    struct driver_request *made = new_request(driver, request);
    made->lease = find_lease(driver, request);
    holdfast_async_renew(driver->holdfast, made->lease->lease, number(request, "ttl_ms"),
                         on_renewed, made);
}

static void do_release_token(struct driver *driver, const json_t *request)
{
    unsigned char token[HOLDFAST_TOKEN_SIZE];
    struct driver_request *made = new_request(driver, request);
    token_of(request, token);
    holdfast_async_release_token(driver->holdfast, driver_text(request, "key"), token, on_done,
                                 made);
}

static void do_renew_token(struct driver *driver, const json_t *request)
{
    unsigned char token[HOLDFAST_TOKEN_SIZE];
    struct driver_request *made = new_request(driver, request);
    token_of(request, token);
    holdfast_async_renew_token(driver->holdfast, driver_text(request, "key"), token,
                               number(request, "ttl_ms"), on_renewed_token, made);
}

static void do_lease(struct driver *driver, const json_t *request)
{
    const struct driver_lease *lease = find_lease(driver, request);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, lease_fields(lease->lease));
}

static void do_inspect(struct driver *driver, const json_t *request)
{
    holdfast_async_inspect(driver->holdfast, driver_text(request, "key"), on_inspected,
                           new_request(driver, request));
}

static void do_watch(struct driver *driver, const json_t *request)
{
    struct driver_watch *watch = allocate(sizeof(*watch));
    watch->driver = driver;
    watch->name = strdup(driver_text(request, "watch"));
    LIST_INSERT_HEAD(&driver->watches, watch, link);
    watch->watch =
        holdfast_async_watch(driver->holdfast, driver_text(request, "key"), on_state, watch);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

static void end_watch(struct driver_watch *watch)
{
    holdfast_watch_stop(watch->watch);
    LIST_REMOVE(watch, link);
    free(watch->name);
    free(watch);
}

static void do_unwatch(struct driver *driver, const json_t *request)
{
    struct driver_watch *watch = LIST_FIRST(&driver->watches);
    while (watch != NULL && strcmp(watch->name, driver_text(request, "watch")) != 0) {
        watch = LIST_NEXT(watch, link);
    }
    if (watch == NULL) {
        refuse("no such watch", driver_text(request, "watch"));
    }
    end_watch(watch);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

static void on_elected(struct holdfast_election *election, struct holdfast_lease *lease, void *user)
{
    const struct driver_election *named = user;
    (void)election;
    driver_say(json_pack("{ss ss sI}", "event", "elected", "election", named->name, "fence",
                         (json_int_t)holdfast_lease_fence(lease)));
}

static void on_deposed(struct holdfast_election *election, enum holdfast_loss loss, void *user)
{
    const struct driver_election *named = user;
    (void)election;
    driver_say(json_pack("{ss ss ss}", "event", "deposed", "election", named->name, "reason",
                         loss_words[loss]));
}

static void do_elect(struct driver *driver, const json_t *request)
{
    struct driver_election *named = allocate(sizeof(*named));
    const struct holdfast_election_events events = {
        .on_elected = on_elected, .on_deposed = on_deposed, .user = named};
    struct holdfast_ask ask;
    ask_init(&ask, request, NULL, NULL);
    ask.events = (struct holdfast_lease_events){.on_lost = NULL};
    named->name = strdup(driver_text(request, "election"));
    LIST_INSERT_HEAD(&driver->elections, named, link);
    named->election = holdfast_async_elect(driver->holdfast, &ask, &events);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

static void end_election(struct driver_election *named)
{
    holdfast_election_end(named->election);
    LIST_REMOVE(named, link);
    free(named->name);
    free(named);
}

static void do_resign(struct driver *driver, const json_t *request)
{
    struct driver_election *named = LIST_FIRST(&driver->elections);
    while (named != NULL && strcmp(named->name, driver_text(request, "election")) != 0) {
        named = LIST_NEXT(named, link);
    }
    if (named == NULL) {
        refuse("no such election", driver_text(request, "election"));
    }
    end_election(named);
    driver_answer(id_of(request), HOLDFAST_OK, NULL, NULL);
}

/* A HealthCheckResponse is one enum, whose second value is SERVING: 08 01. */
static void on_health(const void *bytes, size_t length, void *user)
{
    struct driver_health *health = user;
    health->is_serving = length == 2 && memcmp(bytes, "\x08\x01", 2) == 0;
}

static void on_health_end(int status, const char *text, void *user)
{
    struct driver_health *health = user;
    const bool is_well = status == 0 && health->is_serving;
    driver_answer(health->id, is_well ? HOLDFAST_OK : HOLDFAST_AWAY, text, NULL);
    holdfast_call_free(health->call);
    free(health);
}

static void do_health(struct driver *driver, const json_t *request)
{
    struct driver_health *health = allocate(sizeof(*health));
    const struct holdfast_call_ask ask = {.service = "grpc.health.v1.Health", .method = "Check"};
    const struct holdfast_call_events events = {on_health, on_health_end, health};
    health->id = id_of(request);
    health->call = holdfast_async_call(driver->holdfast, &ask, &events);
}

void driver_do(struct driver *driver, const json_t *request)
{
    static const struct {
        const char *name;
        void (*run)(struct driver *driver, const json_t *request);
    } table[] = {
        {"open", do_open},
        {"close", do_close},
        {"hold", do_hold},
        {"resume", do_hold},
        {"acquire_detached", do_hold},
        {"cancel", do_cancel},
        {"release", do_release},
        {"renew", do_renew},
        {"release_token", do_release_token},
        {"renew_token", do_renew_token},
        {"lease", do_lease},
        {"inspect", do_inspect},
        {"watch", do_watch},
        {"unwatch", do_unwatch},
        {"elect", do_elect},
        {"resign", do_resign},
        {"health", do_health},
    };
    const char *what = driver_text(request, "do");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (what != NULL && strcmp(what, table[i].name) == 0) {
            table[i].run(driver, request);
            return;
        }
    }
    refuse("cannot do", what);
}

void driver_release(struct driver *driver)
{
    struct driver_election *election;
    struct driver_watch *watch;
    struct driver_lease *lease;
    while ((election = LIST_FIRST(&driver->elections)) != NULL) {
        end_election(election);
    }
    while ((watch = LIST_FIRST(&driver->watches)) != NULL) {
        end_watch(watch);
    }
    if (driver->holdfast != NULL) {
        holdfast_async_close(driver->holdfast);
        driver->holdfast = NULL;
    }
    while ((lease = LIST_FIRST(&driver->leases)) != NULL) {
        LIST_REMOVE(lease, link);
        holdfast_lease_free(lease->lease);
        free(lease->name);
        free(lease);
    }
}
