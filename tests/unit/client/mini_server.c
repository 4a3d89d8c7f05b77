/* SPDX-License-Identifier: Apache-2.0 */
#include "mini_server.h"

#include <string.h>
#include <unistd.h>

#define LOCKS_MAX 32

struct lock {
    char key[32];
    uint32_t stream_id; /* 0: free */
};

struct mini {
    int connection;
    uint64_t fence;
    struct lock locks[LOCKS_MAX];
};

/* The lock, made if need be. */
static struct lock *find_lock(struct mini *mini, const char *key)
{
    for (size_t i = 0; i < LOCKS_MAX; i++) {
        struct lock *lock = &mini->locks[i];
        if (lock->key[0] == '\0') {
            REQUIRE(strlen(key) < sizeof(lock->key));
            memcpy(lock->key, key, strlen(key) + 1);
        }
        if (strcmp(lock->key, key) == 0) {
            return lock;
        }
    }
    fake_failed("a free lock", __FILE__, __LINE__);
}

static void grant(struct mini *mini, uint32_t stream_id, struct lock *lock)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__Lease lease = fake_lease(lock->key, (const uint8_t *)FAKE_TOKEN, 8900);
    lock->stream_id = stream_id;
    lease.fence = ++mini->fence;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED;
    event.granted = &lease;
    fake_send_event(mini->connection, stream_id, &event);
}

static void take_message(struct mini *mini, const struct fake_frame *frame)
{
    Holdfast__V1__HoldRequest *message =
        holdfast__v1__hold_request__unpack(NULL, frame->header.length, frame->data);
    REQUIRE(message != NULL);
    if (message->message_case == HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING) {
        fake_send_renewed(mini->connection, frame->header.stream_id, 8900);
    } else {
        struct lock *lock = find_lock(mini, message->ask->key);
        if (lock->stream_id != 0) {
            fake_send_busy(mini->connection, frame->header.stream_id);
        } else {
            grant(mini, frame->header.stream_id, lock);
        }
    }
    holdfast__v1__hold_request__free_unpacked(message, NULL);
}

static void take_half_close(struct mini *mini, uint32_t stream_id)
{
    for (size_t i = 0; i < LOCKS_MAX; i++) {
        if (mini->locks[i].stream_id == stream_id) {
            mini->locks[i].stream_id = 0;
            fake_send_released(mini->connection, stream_id);
            return;
        }
    }
    fake_failed("a held lock", __FILE__, __LINE__);
}

void mini_server(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    struct mini mini = {.connection = fake_accept(server)};
    while (fake_try_read(mini.connection, &frame)) {
        if (frame.header.type == TTRPC_REQUEST) {
            continue;
        }
        if ((frame.header.flags & TTRPC_REMOTE_CLOSED) != 0) {
            take_half_close(&mini, frame.header.stream_id);
        } else {
            take_message(&mini, &frame);
        }
    }
    (void)close(mini.connection);
}
