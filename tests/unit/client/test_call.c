/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of any method with the application's own messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "fake_server.h"
#include "wire/status.h"

#define SERVICE "holdfast.v1.Service"

/* What a call was told. */
struct record {
    int messages;
    int ends;
    int status;
    char last[64]; /* the last message */
    char text[HOLDFAST_ERROR_SIZE];
    struct holdfast_call *call; /* freed by the first callback when set */
};

static void free_if_asked(struct record *record)
{
    holdfast_call_free(record->call);
    record->call = NULL;
}

static void on_message(const void *bytes, size_t length, void *user)
{
    struct record *record = user;
    assert_in_range(length, 0, sizeof(record->last) - 1);
    memset(record->last, 0, sizeof(record->last));
    memcpy(record->last, bytes, length);
    record->messages++;
    free_if_asked(record);
}

static void on_end(int status, const char *text, void *user)
{
    struct record *record = user;
    record->ends++;
    record->status = status;
    (void)snprintf(record->text, sizeof(record->text), "%s", text);
    free_if_asked(record);
}

static struct holdfast_call *begin(struct async_loop *loop, struct record *record,
                                   const struct holdfast_call_ask *ask)
{
    const struct holdfast_call_events events = {
        .on_message = on_message, .on_end = on_end, .user = record};
    struct holdfast_call *call = holdfast_async_call(loop->async, ask, &events);
    assert_non_null(call);
    assert_int_equal(record->messages + record->ends, 0);
    return call;
}

static struct holdfast_call_ask ask_for(const char *method)
{
    return (struct holdfast_call_ask){.service = SERVICE, .method = method};
}

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

static void send_data(int connection, uint32_t stream_id, const char *text)
{
    const struct ttrpc_header header = {
        .length = (uint32_t)strlen(text), .stream_id = stream_id, .type = TTRPC_DATA};
    fake_send(connection, &header, text);
}

/* The payload of the reply is `text`. */
static void respond_text(int connection, uint32_t stream_id, const char *text)
{
    uint8_t bytes[256];
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    response.payload.data = (uint8_t *)(uintptr_t)text;
    response.payload.len = strlen(text);
    const struct ttrpc_header header = {
        .length = (uint32_t)ttrpc__response__pack(&response, bytes),
        .stream_id = stream_id,
        .type = TTRPC_RESPONSE,
    };
    fake_send(connection, &header, bytes);
}

static void answer_unary(struct fake_server *server, void *argument)
{
    struct fake_frame frame;
    int connection = fake_accept(server);
    Ttrpc__Request *request = fake_read_request(connection, "Service.Echo", &frame);
    REQUIRE(frame.header.flags == 0);
    REQUIRE(request->payload.len == 2 && memcmp(request->payload.data, "hi", 2) == 0);
    REQUIRE(request->n_metadata == 2);
    REQUIRE(strcmp(request->metadata[1]->key, "b") == 0);
    REQUIRE(strcmp(request->metadata[1]->value, "2") == 0);
    REQUIRE(request->timeout_nano > 0 && request->timeout_nano <= 3000000000);
    respond_text(connection, frame.header.stream_id, argument);
    ttrpc__request__free_unpacked(request, NULL);
    fake_drain(connection);
}

static void unary(const char *reply)
{
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    char message[] = "hi";
    const struct holdfast_header headers[] = {{"a", "1"}, {"b", "2"}};
    struct holdfast_call_ask ask = ask_for("Echo");
    ask.message = message;
    ask.message_length = 2;
    ask.headers = headers;
    ask.header_count = 2;
    ask.deadline_ms = 3000;
    fake_server_start(&server, answer_unary, (void *)(uintptr_t)reply);
    async_loop_open_url(&loop, server.url, 5000);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    message[0] = '?'; /* it was copied */
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.messages, 1);
    assert_string_equal(record.last, reply);
    assert_int_equal(record.status, STATUS_OK);
    holdfast_call_free(call);
    finish(&loop, &server);
}

static void test_a_unary_call(void **state)
{
    (void)state;
    unary("there");
    unary(""); /* an empty message is a message */
}

static void refuse(struct fake_server *server, void *argument)
{
    struct fake_frame frame;
    (void)argument;
    int connection = fake_accept(server);
    Ttrpc__Request *request = fake_read_request(connection, "Service.Echo", &frame);
    REQUIRE(request->timeout_nano == 0);
    fake_respond_status(connection, frame.header.stream_id, 99, "a status of the future");
    ttrpc__request__free_unpacked(request, NULL);
    fake_drain(connection);
}

static void test_the_status_is_the_servers(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    const struct holdfast_call_ask ask = ask_for("Echo");
    fake_server_start(&server, refuse, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    record.call = begin(&loop, &record, &ask); /* freed by on_end */
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.messages, 0);
    assert_int_equal(record.status, 99);
    assert_string_equal(record.text, "a status of the future");
    finish(&loop, &server);
}

static void chat(struct fake_server *server, void *argument)
{
    struct fake_frame frame;
    (void)argument;
    int connection = fake_accept(server);
    Ttrpc__Request *request = fake_read_request(connection, "Service.Chat", &frame);
    const uint32_t stream_id = frame.header.stream_id;
    REQUIRE(frame.header.flags == TTRPC_REMOTE_OPEN);
    REQUIRE(request->payload.len == 0);
    ttrpc__request__free_unpacked(request, NULL);
    for (fake_read(connection, &frame); frame.header.flags == 0; fake_read(connection, &frame)) {
        char text[64] = "";
        REQUIRE(frame.header.type == TTRPC_DATA && frame.header.stream_id == stream_id);
        memcpy(text, frame.data, frame.header.length);
        send_data(connection, stream_id, text);
    }
    REQUIRE(frame.header.flags == (TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA));
    fake_send_end(connection, stream_id);
    fake_drain(connection);
}

/* Messages from before there is a connection come first. */
static void test_a_stream_both_ways(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    struct holdfast_call_ask ask = ask_for("Chat");
    ask.is_client_streaming = ask.is_server_streaming = true;
    fake_server_start(&server, chat, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    assert_true(holdfast_call_send(call, "one", 3));
    assert_true(holdfast_call_send(call, NULL, 0));
    async_loop_run_until(&loop, &record.messages, 2);
    assert_string_equal(record.last, "");
    assert_true(holdfast_call_send(call, "three", 5));
    async_loop_run_until(&loop, &record.messages, 3);
    assert_string_equal(record.last, "three");
    assert_int_equal(record.ends, 0);
    holdfast_call_half_close(call);
    holdfast_call_half_close(call);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.status, STATUS_OK);
    assert_int_equal(record.messages, 3);
    assert_true(holdfast_call_send(call, "nobody hears", 12));
    holdfast_call_free(call);
    finish(&loop, &server);
}

/* All of it is said before the connection stands. */
static void test_a_stream_that_is_complete_at_once(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    struct holdfast_call_ask ask = ask_for("Chat");
    ask.is_client_streaming = ask.is_server_streaming = true;
    fake_server_start(&server, chat, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    assert_true(holdfast_call_send(call, "one", 3));
    holdfast_call_half_close(call);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.messages, 1);
    assert_string_equal(record.last, "one");
    holdfast_call_free(call);
    finish(&loop, &server);
}

static void test_a_callback_may_free_the_call(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    struct holdfast_call_ask ask = ask_for("Chat");
    ask.is_client_streaming = ask.is_server_streaming = true;
    fake_server_start(&server, chat, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    record.call = begin(&loop, &record, &ask);
    assert_true(holdfast_call_send(record.call, "one", 3));
    assert_true(holdfast_call_send(record.call, "two", 3));
    async_loop_run_until(&loop, &record.messages, 1);
    async_loop_run_for(&loop, 20);
    assert_int_equal(record.messages, 1);
    assert_int_equal(record.ends, 0);
    finish(&loop, &server);
}

static void hang_up(struct fake_server *server, void *argument)
{
    struct fake_frame frame;
    (void)argument;
    int connection = fake_accept(server);
    ttrpc__request__free_unpacked(fake_read_request(connection, "Service.Echo", &frame), NULL);
    close(connection);
}

static void test_a_dropped_connection_ends_it(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    const struct holdfast_call_ask ask = ask_for("Echo");
    fake_server_start(&server, hang_up, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.status, STATUS_UNAVAILABLE);
    assert_non_null(strstr(record.text, server.url));
    holdfast_call_free(call);
    finish(&loop, &server);
}

static void say_nothing(struct fake_server *server, void *argument)
{
    (void)argument;
    fake_drain(fake_accept(server));
}

static void test_the_deadline_passes(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct record record = {.messages = 0};
    struct holdfast_call_ask ask = ask_for("Echo");
    ask.deadline_ms = 50;
    fake_server_start(&server, say_nothing, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.status, STATUS_DEADLINE_EXCEEDED);
    holdfast_call_free(call);
    finish(&loop, &server);
}

static void test_there_is_no_server(void **state)
{
    (void)state;
    struct async_loop loop;
    struct record record = {.messages = 0};
    const struct holdfast_call_ask ask = ask_for("Echo");
    async_loop_open_url(&loop, "unix:///nonexistent/holdfast.sock", 60);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.status, STATUS_UNAVAILABLE);
    assert_non_null(strstr(record.text, "/nonexistent/holdfast.sock"));
    async_loop_close(&loop);
    holdfast_call_free(call); /* after its handle */
}

static void test_what_cannot_be_sent(void **state)
{
    (void)state;
    struct async_loop loop;
    struct record record = {.messages = 0};
    struct holdfast_call_ask ask = ask_for("Echo");
    char *message = calloc(1, HOLDFAST_MESSAGE_MAX + 1);
    ask.message = message;
    ask.message_length = HOLDFAST_MESSAGE_MAX;
    async_loop_open_url(&loop, "unix:///nonexistent/holdfast.sock", 60);
    struct holdfast_call *call = begin(&loop, &record, &ask);
    async_loop_run_until(&loop, &record.ends, 1);
    assert_int_equal(record.status, STATUS_INVALID_ARGUMENT);
    holdfast_call_free(call);
    record = (struct record){.messages = 0};
    ask.message_length = 0;
    ask.is_client_streaming = true;
    call = begin(&loop, &record, &ask);
    assert_false(holdfast_call_send(call, message, HOLDFAST_MESSAGE_MAX + 1));
    int sent = 0;
    while (sent < 100 && holdfast_call_send(call, message, HOLDFAST_MESSAGE_MAX)) {
        sent++;
    }
    assert_in_range(sent, 1, 5); /* it does not take what nobody reads without bound */
    holdfast_call_free(call);
    free(message);
    async_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_unary_call),
        cmocka_unit_test(test_the_status_is_the_servers),
        cmocka_unit_test(test_a_stream_both_ways),
        cmocka_unit_test(test_a_stream_that_is_complete_at_once),
        cmocka_unit_test(test_a_callback_may_free_the_call),
        cmocka_unit_test(test_a_dropped_connection_ends_it),
        cmocka_unit_test(test_the_deadline_passes),
        cmocka_unit_test(test_there_is_no_server),
        cmocka_unit_test(test_what_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
