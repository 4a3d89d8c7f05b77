/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 10000

void fake_failed(const char *condition, const char *file, int line)
{
    dprintf(STDERR_FILENO, "fake server: %s does not hold at %s:%d\n", condition, file, line);
    abort();
}

static void wait_readable(int descriptor)
{
    struct pollfd poll_fd = {.fd = descriptor, .events = POLLIN};
    REQUIRE(poll(&poll_fd, 1, PATIENCE_MS) == 1);
}

static void *run(void *argument)
{
    struct fake_server *server = argument;
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &pipe, NULL) == 0);
    server->script(server, server->argument);
    return NULL;
}

static void start_thread(struct fake_server *server, fake_script *script, void *argument)
{
    server->script = script;
    server->argument = argument;
    REQUIRE(listen(server->listener, 64) == 0);
    REQUIRE(pthread_create(&server->thread, NULL, run, server) == 0);
}

void fake_server_start(struct fake_server *server, fake_script *script, void *argument)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *server = (struct fake_server){.directory = "/tmp/holdfast-test-XXXXXX"};
    REQUIRE(mkdtemp(server->directory) != NULL);
    (void)snprintf(server->path, sizeof(server->path), "%s/s", server->directory);
    (void)snprintf(server->url, sizeof(server->url), "unix://%s", server->path);
    memcpy(address.sun_path, server->path, sizeof(server->path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(server->listener >= 0);
    REQUIRE(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    start_thread(server, script, argument);
}

void fake_server_start_tcp(struct fake_server *server, fake_script *script, void *argument)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    *server = (struct fake_server){.path = ""};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(server->listener >= 0);
    REQUIRE(bind(server->listener, (struct sockaddr *)&address, size) == 0);
    REQUIRE(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    (void)snprintf(server->url, sizeof(server->url), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    start_thread(server, script, argument);
}

void fake_server_finish(struct fake_server *server)
{
    REQUIRE(pthread_join(server->thread, NULL) == 0);
    (void)close(server->listener);
    if (server->path[0] != '\0') {
        (void)unlink(server->path);
        (void)rmdir(server->directory);
    }
}

void fake_stays_open(int connection, int for_ms)
{
    struct pollfd watched = {.fd = connection, .events = POLLRDHUP};
    REQUIRE(poll(&watched, 1, for_ms) == 0);
}

int fake_accept(struct fake_server *server)
{
    wait_readable(server->listener);
    int connection = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(connection >= 0);
    return connection;
}

void fake_drain(int connection)
{
    char bytes[4096];
    ssize_t length;
    do {
        wait_readable(connection);
        length = recv(connection, bytes, sizeof(bytes), 0);
    } while (length > 0);
    (void)close(connection);
}

static bool read_all(int connection, uint8_t *bytes, size_t length)
{
    for (size_t have = 0; have < length;) {
        wait_readable(connection);
        ssize_t more = recv(connection, bytes + have, length - have, 0);
        if (more <= 0) {
            return false;
        }
        have += (size_t)more;
    }
    return true;
}

bool fake_try_read(int connection, struct fake_frame *frame)
{
    uint8_t start[TTRPC_HEADER_SIZE];
    if (!read_all(connection, start, sizeof(start))) {
        return false;
    }
    ttrpc_header_decode(&frame->header, start);
    REQUIRE(frame->header.length <= sizeof(frame->data));
    return read_all(connection, frame->data, frame->header.length);
}

void fake_read(int connection, struct fake_frame *frame)
{
    REQUIRE(fake_try_read(connection, frame));
}

void fake_write(int connection, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        ssize_t sent = send(connection, from, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the client may be gone; what it made of that is the test's question */
        }
        from += sent;
        length -= (size_t)sent;
    }
}

void fake_send(int connection, const struct ttrpc_header *header, const void *data)
{
    uint8_t bytes[TTRPC_HEADER_SIZE + 8192];
    REQUIRE(header->length <= 8192);
    ttrpc_header_encode(header, bytes);
    if (header->length > 0) {
        memcpy(bytes + TTRPC_HEADER_SIZE, data, header->length);
    }
    fake_write(connection, bytes, TTRPC_HEADER_SIZE + header->length);
}

uint32_t fake_take_ask(int connection, struct fake_ask *ask)
{
    struct fake_frame frame;
    Ttrpc__Request *request = fake_read_request(connection, "Hold", &frame);
    uint32_t stream_id = frame.header.stream_id;
    REQUIRE(frame.header.flags == TTRPC_REMOTE_OPEN);
    REQUIRE(request->payload.len == 0);
    REQUIRE(request->timeout_nano == 0);
    ttrpc__request__free_unpacked(request, NULL);
    fake_read(connection, &frame);
    REQUIRE(frame.header.type == TTRPC_DATA);
    REQUIRE(frame.header.flags == 0);
    REQUIRE(frame.header.stream_id == stream_id);
    ask->message = holdfast__v1__hold_request__unpack(NULL, frame.header.length, frame.data);
    REQUIRE(ask->message != NULL);
    REQUIRE(ask->message->message_case == HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK);
    return stream_id;
}

void fake_release_ask(struct fake_ask *ask)
{
    holdfast__v1__hold_request__free_unpacked(ask->message, NULL);
}

uint32_t fake_read_ask(int connection)
{
    struct fake_ask ask;
    uint32_t stream_id = fake_take_ask(connection, &ask);
    REQUIRE(strcmp(ask.message->ask->key, FAKE_KEY) == 0);
    fake_release_ask(&ask);
    return stream_id;
}

static bool is_ping(const struct fake_frame *frame)
{
    Holdfast__V1__HoldRequest *message =
        holdfast__v1__hold_request__unpack(NULL, frame->header.length, frame->data);
    bool is_one =
        message != NULL && message->message_case == HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING;
    holdfast__v1__hold_request__free_unpacked(message, NULL);
    return is_one && frame->header.type == TTRPC_DATA && frame->header.flags == 0;
}

void fake_read_ping(int connection, uint32_t stream_id)
{
    struct fake_frame frame;
    fake_read(connection, &frame);
    REQUIRE(frame.header.stream_id == stream_id);
    REQUIRE(is_ping(&frame));
}

void fake_read_half_close(int connection, uint32_t stream_id)
{
    struct fake_frame frame;
    do {
        fake_read(connection, &frame);
        REQUIRE(frame.header.stream_id == stream_id);
    } while (frame.header.length > 0 && is_ping(&frame));
    REQUIRE(frame.header.type == TTRPC_DATA);
    REQUIRE(frame.header.flags == (TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA));
    REQUIRE(frame.header.length == 0);
}

void fake_send_event(int connection, uint32_t stream_id, const Holdfast__V1__HoldEvent *event)
{
    uint8_t bytes[4096];
    REQUIRE(holdfast__v1__hold_event__get_packed_size(event) <= sizeof(bytes));
    const struct ttrpc_header header = {
        .length = (uint32_t)holdfast__v1__hold_event__pack(event, bytes),
        .stream_id = stream_id,
        .type = TTRPC_DATA,
    };
    fake_send(connection, &header, bytes);
}

void fake_send_granted(int connection, uint32_t stream_id, uint32_t valid_for_ms)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__Lease lease = fake_lease(FAKE_KEY, (const uint8_t *)FAKE_TOKEN, valid_for_ms);
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED;
    event.granted = &lease;
    fake_send_event(connection, stream_id, &event);
}

static char other_label[] = "the other one";

static Holdfast__V1__Holder other_holder(void)
{
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    holder.label = other_label;
    holder.since_ms = 1234567;
    holder.remaining_ms = 89;
    holder.fence = FAKE_FENCE;
    holder.holders = 1;
    return holder;
}

void fake_send_busy(int connection, uint32_t stream_id)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__Holder holder = other_holder();
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY;
    event.busy = &holder;
    fake_send_event(connection, stream_id, &event);
    fake_send_end(connection, stream_id);
}

void fake_send_queued(int connection, uint32_t stream_id, uint32_t position)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__HoldQueued queued = HOLDFAST__V1__HOLD_QUEUED__INIT;
    Holdfast__V1__Holder holder = other_holder();
    queued.position = position;
    queued.holder = &holder;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_QUEUED;
    event.queued = &queued;
    fake_send_event(connection, stream_id, &event);
}

void fake_send_renewed(int connection, uint32_t stream_id, uint32_t valid_for_ms)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__HoldRenewed renewed = HOLDFAST__V1__HOLD_RENEWED__INIT;
    renewed.valid_for_ms = valid_for_ms;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_RENEWED;
    event.renewed = &renewed;
    fake_send_event(connection, stream_id, &event);
}

void fake_send_at_risk(int connection, uint32_t stream_id)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__HoldAtRisk at_risk = HOLDFAST__V1__HOLD_AT_RISK__INIT;
    at_risk.valid_for_ms = 1;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_AT_RISK;
    event.at_risk = &at_risk;
    fake_send_event(connection, stream_id, &event);
}

void fake_send_lost(int connection, uint32_t stream_id, Holdfast__V1__HoldLost__Reason reason)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__HoldLost lost = HOLDFAST__V1__HOLD_LOST__INIT;
    lost.reason = reason;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_LOST;
    event.lost = &lost;
    fake_send_event(connection, stream_id, &event);
    fake_send_end(connection, stream_id);
}

void fake_send_released(int connection, uint32_t stream_id)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__HoldReleased released = HOLDFAST__V1__HOLD_RELEASED__INIT;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED;
    event.released = &released;
    fake_send_event(connection, stream_id, &event);
    fake_send_end(connection, stream_id);
}

void fake_send_end(int connection, uint32_t stream_id)
{
    const struct ttrpc_header header = {
        .stream_id = stream_id,
        .type = TTRPC_DATA,
        .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA,
    };
    fake_send(connection, &header, NULL);
}

Ttrpc__Request *fake_read_request(int connection, const char *method, struct fake_frame *frame)
{
    fake_read(connection, frame);
    REQUIRE(frame->header.type == TTRPC_REQUEST);
    REQUIRE(frame->header.stream_id % 2 == 1);
    Ttrpc__Request *request = ttrpc__request__unpack(NULL, frame->header.length, frame->data);
    REQUIRE(request != NULL);
    const char *dot = strchr(method, '.');
    char service[64] = "holdfast.v1.Locks";
    if (dot != NULL) {
        (void)snprintf(service, sizeof(service), "holdfast.v1.%.*s", (int)(dot - method), method);
    }
    REQUIRE(strcmp(request->service, service) == 0);
    REQUIRE(strcmp(request->method, dot != NULL ? dot + 1 : method) == 0);
    return request;
}

static void send_response(int connection, uint32_t stream_id, const Ttrpc__Response *response)
{
    uint8_t bytes[4096];
    REQUIRE(ttrpc__response__get_packed_size(response) <= sizeof(bytes));
    const struct ttrpc_header header = {
        .length = (uint32_t)ttrpc__response__pack(response, bytes),
        .stream_id = stream_id,
        .type = TTRPC_RESPONSE,
    };
    fake_send(connection, &header, bytes);
}

void fake_respond(int connection, uint32_t stream_id, const ProtobufCMessage *message)
{
    uint8_t bytes[4096];
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    REQUIRE(protobuf_c_message_get_packed_size(message) <= sizeof(bytes));
    response.payload.len = protobuf_c_message_pack(message, bytes);
    response.payload.data = bytes;
    send_response(connection, stream_id, &response);
}

void fake_respond_large(int connection, uint32_t stream_id, const ProtobufCMessage *message)
{
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    uint8_t *payload = malloc(protobuf_c_message_get_packed_size(message) + 1);
    REQUIRE(payload != NULL);
    response.payload.len = protobuf_c_message_pack(message, payload);
    response.payload.data = payload;
    size_t length = ttrpc__response__get_packed_size(&response);
    uint8_t *bytes = malloc(TTRPC_HEADER_SIZE + length);
    REQUIRE(bytes != NULL);
    const struct ttrpc_header header = {
        .length = (uint32_t)length, .stream_id = stream_id, .type = TTRPC_RESPONSE};
    ttrpc_header_encode(&header, bytes);
    (void)ttrpc__response__pack(&response, bytes + TTRPC_HEADER_SIZE);
    fake_write(connection, bytes, TTRPC_HEADER_SIZE + length);
    free(payload);
    free(bytes);
}

void fake_respond_status(int connection, uint32_t stream_id, int code, const char *text)
{
    char copy[512];
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    Ttrpc__Status status = TTRPC__STATUS__INIT;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    status.code = code;
    status.message = copy;
    response.status = &status;
    send_response(connection, stream_id, &response);
}

Holdfast__V1__Lease fake_lease(const char *key, const uint8_t *token, uint32_t valid_for_ms)
{
    Holdfast__V1__Lease lease = HOLDFAST__V1__LEASE__INIT;
    /* Only packed, so never written through. */
    lease.key = (char *)(uintptr_t)key;
    lease.token.data = (uint8_t *)(uintptr_t)token;
    lease.token.len = 16;
    lease.fence = FAKE_FENCE;
    lease.ttl_ms = FAKE_TTL_MS;
    lease.valid_for_ms = valid_for_ms;
    return lease;
}
