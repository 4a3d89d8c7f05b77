/* SPDX-License-Identifier: Apache-2.0 */
#include "list.h"

#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "holdfast/v1/admin.pb-c.h"
#include "outcome.h"
#include "unary_internal.h"

#define SERVICE "holdfast.v1.Admin"

/* Of one page: the largest frame, unpacked. */
#define LIST_ARENA_MAX ((size_t)64 << 20)

/* What the server gives to go on with is a key, in some writing of it. */
#define PAGE_MAX 2048

struct list {
    struct arena arena; /* of all that follows */
    const struct holdfast_lock_state *locks;
    const struct holdfast_connection *connections;
    size_t count;
    const char *next;
};

static void *take_memory(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void leave_memory(void *arena, void *block)
{
    (void)arena;
    (void)block;
}

/* Longer than what message_unpack takes from strangers, but no deeper than these messages are. */
static const ProtobufCMessage *unpack(struct list *list,
                                      const ProtobufCMessageDescriptor *descriptor,
                                      const uint8_t *bytes, size_t length)
{
    ProtobufCAllocator allocator = {
        .alloc = take_memory, .free = leave_memory, .allocator_data = &list->arena};
    return protobuf_c_message_unpack(descriptor, &allocator, length, bytes);
}

static const struct holdfast_lock_holder *holders_of(struct arena *arena,
                                                     const Holdfast__V1__LockState *from)
{
    struct holdfast_lock_holder *holders =
        arena_alloc(arena, (from->n_holders + 1) * sizeof(*holders));
    for (size_t i = 0; holders != NULL && i < from->n_holders; i++) {
        const Holdfast__V1__LockHolder *holder = from->holders[i];
        holders[i] = (struct holdfast_lock_holder){
            .label = holder->label,
            .peer = holder->peer,
            .since_ms = holder->since_ms,
            .remaining_ms = holder->remaining_ms,
            .fence = holder->fence,
            .is_orphaned = holder->orphaned,
            .is_foreign = holder->foreign,
            .is_closed = holder->closed,
        };
    }
    return holders;
}

static const struct holdfast_lock_waiter *waiters_of(struct arena *arena,
                                                     const Holdfast__V1__LockState *from)
{
    struct holdfast_lock_waiter *waiters =
        arena_alloc(arena, (from->n_waiters + 1) * sizeof(*waiters));
    for (size_t i = 0; waiters != NULL && i < from->n_waiters; i++) {
        const Holdfast__V1__LockWaiter *waiter = from->waiters[i];
        waiters[i] = (struct holdfast_lock_waiter){
            .label = waiter->label, .peer = waiter->peer, .mode = outcome_of_mode(waiter->mode)};
    }
    return waiters;
}

static bool take_lock(struct arena *arena, const Holdfast__V1__LockState *from,
                      struct holdfast_lock_state *to)
{
    *to = (struct holdfast_lock_state){
        .key = from->key,
        .mode = outcome_of_mode(from->mode),
        .holders = holders_of(arena, from),
        .holder_count = from->n_holders,
        .waiters = waiters_of(arena, from),
        .waiter_count = from->n_waiters,
        .waiting = from->waiting,
    };
    return to->holders != NULL && to->waiters != NULL;
}

static struct list *list_create(void)
{
    struct list *list = memory_alloc(sizeof(*list));
    arena_init(&list->arena, LIST_ARENA_MAX);
    return list;
}

void list_destroy(struct list *list)
{
    if (list != NULL) {
        arena_release(&list->arena);
        memory_free(list);
    }
}

/* False when the answer made no sense and there is no list. */
static bool answer(struct unary *unary, struct list *list, bool is_whole)
{
    if (!is_whole) {
        list_destroy(list);
        return false;
    }
    unary->request->list = list;
    unary_answer(unary, HOLDFAST_OK, "");
    return true;
}

static bool take_locks(struct unary *unary, const uint8_t *bytes, size_t length)
{
    struct list *list = list_create();
    const Holdfast__V1__ListLocksResponse *from = (const Holdfast__V1__ListLocksResponse *)unpack(
        list, &holdfast__v1__list_locks_response__descriptor, bytes, length);
    if (from == NULL) {
        return answer(unary, list, false);
    }
    struct holdfast_lock_state *locks =
        arena_alloc(&list->arena, (from->n_locks + 1) * sizeof(*locks));
    bool is_whole = locks != NULL;
    for (size_t i = 0; i < from->n_locks && is_whole; i++) {
        is_whole = take_lock(&list->arena, from->locks[i], &locks[i]);
    }
    list->locks = locks;
    list->count = from->n_locks;
    list->next = from->next_page_token;
    return answer(unary, list, is_whole);
}

static bool take_connections(struct unary *unary, const uint8_t *bytes, size_t length)
{
    struct list *list = list_create();
    const Holdfast__V1__ListConnectionsResponse *from =
        (const Holdfast__V1__ListConnectionsResponse *)unpack(
            list, &holdfast__v1__list_connections_response__descriptor, bytes, length);
    if (from == NULL) {
        return answer(unary, list, false);
    }
    struct holdfast_connection *connections =
        arena_alloc(&list->arena, (from->n_connections + 1) * sizeof(*connections));
    for (size_t i = 0; connections != NULL && i < from->n_connections; i++) {
        const Holdfast__V1__Connection *connection = from->connections[i];
        connections[i] = (struct holdfast_connection){.id = connection->id,
                                                      .peer = connection->peer,
                                                      .age_ms = connection->age_ms,
                                                      .calls = connection->calls,
                                                      .leases = connection->leases};
    }
    list->connections = connections;
    list->count = from->n_connections;
    list->next = from->next_page_token;
    return answer(unary, list, connections != NULL);
}

static void send_list_locks(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__ListLocksRequest message = HOLDFAST__V1__LIST_LOCKS_REQUEST__INIT;
    message.prefix = unary->key;
    message.page_size = unary->page_size;
    message.page_token = unary->page;
    message.fleet = unary->fleet;
    unary_send(unary, request, &message.base);
}

static void send_list_connections(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__ListConnectionsRequest message = HOLDFAST__V1__LIST_CONNECTIONS_REQUEST__INIT;
    message.page_size = unary->page_size;
    message.page_token = unary->page;
    unary_send(unary, request, &message.base);
}

static const struct unary_method locks_method = {
    .service = SERVICE,
    .name = "ListLocks",
    .send = send_list_locks,
    .take_bytes = take_locks,
    .is_retried = true,
};

static const struct unary_method connections_method = {
    .service = SERVICE,
    .name = "ListConnections",
    .send = send_list_connections,
    .take_bytes = take_connections,
    .is_retried = true,
};

/* Longer ones than a key and the server's own tokens cannot be right, nor sent. */
static const char *problem_of(const struct holdfast_list *list)
{
    if (strnlen(list->prefix != NULL ? list->prefix : "", HOLDFAST_KEY_SIZE) == HOLDFAST_KEY_SIZE) {
        return "prefix: longer than 512 bytes";
    }
    if (strnlen(list->page != NULL ? list->page : "", PAGE_MAX + 1) > PAGE_MAX) {
        return "page: longer than 2048 bytes";
    }
    return NULL;
}

static void start(struct holdfast_async *client, const struct unary_method *method,
                  const struct holdfast_list *list, const struct callback *callback)
{
    const struct holdfast_list all = {.prefix = NULL};
    const struct holdfast_list *wanted = list != NULL ? list : &all;
    const char *problem = problem_of(wanted);
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    if (problem != NULL) {
        request_answer(request, HOLDFAST_INVALID, problem);
        return;
    }
    struct unary *unary =
        unary_create(method, request, wanted->prefix != NULL ? wanted->prefix : "");
    unary->page = memory_copy_string(wanted->page != NULL ? wanted->page : "");
    unary->page_size = wanted->page_size;
    unary->fleet = wanted->fleet;
    unary_start(unary);
}

void list_locks(struct holdfast_async *client, const struct holdfast_list *list,
                const struct callback *callback)
{
    start(client, &locks_method, list, callback);
}

void list_connections(struct holdfast_async *client, const struct holdfast_list *list,
                      const struct callback *callback)
{
    start(client, &connections_method, list, callback);
}

void list_tell_locks(struct request *request)
{
    const struct list none = {.next = ""};
    const struct list *list = request->list != NULL ? request->list : &none;
    request->callback.on_locks(request->result, list->locks, list->count, list->next,
                               request->error, request->callback.user);
}

void list_tell_connections(struct request *request)
{
    const struct list none = {.next = ""};
    const struct list *list = request->list != NULL ? request->list : &none;
    request->callback.on_connections(request->result, list->connections, list->count, list->next,
                                     request->error, request->callback.user);
}
