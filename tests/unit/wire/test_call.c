/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <holdfast/v1/locks.pb-c.h>

#include "base/clock.h"

struct recorder {
    struct call call;
    int sends;
    int finishes;
    int cancels;
    const ProtobufCMessage *message;
    const ProtobufCMessage *reply;
    enum status status;
    char text[1024];
};

static void on_send(struct call *call, const ProtobufCMessage *message)
{
    struct recorder *recorder = CONTAINER_OF(call, struct recorder, call);
    assert_false(call->is_finished);
    recorder->sends++;
    recorder->message = message;
}

static void on_finish(struct call *call, const ProtobufCMessage *reply, enum status status,
                      const char *text)
{
    struct recorder *recorder = CONTAINER_OF(call, struct recorder, call);
    assert_true(call->is_finished);
    recorder->finishes++;
    recorder->reply = reply;
    recorder->status = status;
    snprintf(recorder->text, sizeof(recorder->text), "%s", text);
}

static void on_cancel(struct call *call)
{
    struct recorder *recorder = CONTAINER_OF(call, struct recorder, call);
    assert_true(call->is_finished);
    recorder->cancels++;
}

static const struct call_transport transport = {.send = on_send, .finish = on_finish};

static int set_up(void **state)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    call_init(&recorder->call, &transport, 4096);
    recorder->call.on_cancel = on_cancel;
    *state = recorder;
    return 0;
}

static int tear_down(void **state)
{
    struct recorder *recorder = *state;
    call_release(&recorder->call);
    free(recorder);
    return 0;
}

static void a_new_call_has_no_deadline(void **state)
{
    struct recorder *recorder = *state;
    assert_int_equal(recorder->call.deadline_us, CLOCK_NEVER);
    assert_false(timer_is_set(&recorder->call.deadline));
    assert_false(recorder->call.is_finished);
}

static void messages_and_the_reply_reach_the_transport(void **state)
{
    struct recorder *recorder = *state;
    Holdfast__V1__Free message = HOLDFAST__V1__FREE__INIT;
    call_send(&recorder->call, &message.base);
    assert_ptr_equal(recorder->message, &message);
    call_reply(&recorder->call, &message.base);
    assert_int_equal(recorder->sends, 1);
    assert_int_equal(recorder->finishes, 1);
    assert_ptr_equal(recorder->reply, &message);
    assert_int_equal(recorder->status, STATUS_OK);
    assert_string_equal(recorder->text, "");
    assert_int_equal(recorder->cancels, 0);
}

static void a_failure_has_its_text(void **state)
{
    struct recorder *recorder = *state;
    call_finish(&recorder->call, STATUS_NOT_FOUND, "no %s; make %d", "thing", 1);
    assert_int_equal(recorder->status, STATUS_NOT_FOUND);
    assert_string_equal(recorder->text, "no thing; make 1");
    assert_null(recorder->reply);
    assert_int_equal(recorder->cancels, 0);
}

static void success_has_no_text(void **state)
{
    struct recorder *recorder = *state;
    call_finish(&recorder->call, STATUS_OK, "%s", "ignored");
    assert_string_equal(recorder->text, "");
}

/* Protobuf's strings must be UTF-8, whatever was quoted and wherever it was cut. */
static void texts_are_valid_utf8(void **state)
{
    struct recorder *recorder = *state;
    char long_text[2000] = "x";
    for (size_t i = 1; i + 2 < sizeof(long_text); i += 2) {
        memcpy(long_text + i, "\xc3\xa4", 2);
    }
    call_finish(&recorder->call, STATUS_INTERNAL, "%s", long_text);
    size_t length = strlen(recorder->text);
    assert_true(length > 400 && length < 512);
    bool ends_whole = memcmp(recorder->text + length - 2, "\xc3\xa4", 2) == 0 ||
                      memcmp(recorder->text + length - 3, "\xef\xbf\xbd", 3) == 0;
    assert_true(ends_whole);
}

static void broken_bytes_in_a_text_are_replaced(void **state)
{
    struct recorder *recorder = *state;
    call_finish(&recorder->call, STATUS_INTERNAL, "a%sb", "\xff");
    assert_string_equal(recorder->text, "a\xef\xbf\xbd"
                                        "b");
}

static void cancelling_tells_the_service_once_and_not_the_transport(void **state)
{
    struct recorder *recorder = *state;
    call_cancel(&recorder->call);
    assert_true(recorder->call.is_finished);
    assert_int_equal(recorder->cancels, 1);
    assert_int_equal(recorder->finishes, 0);
    assert_null(recorder->call.on_cancel);
    assert_null(recorder->call.on_half_close);
}

static void a_call_without_a_listener_can_be_cancelled(void **state)
{
    struct recorder *recorder = *state;
    recorder->call.on_cancel = NULL;
    call_cancel(&recorder->call);
    assert_true(recorder->call.is_finished);
}

static void reply_twice(struct recorder *recorder)
{
    call_reply(&recorder->call, NULL);
}

static void finish_again(struct recorder *recorder)
{
    call_finish(&recorder->call, STATUS_OK, "%s", "");
}

static void cancel_again(struct recorder *recorder)
{
    call_cancel(&recorder->call);
}

static void send_again(struct recorder *recorder)
{
    call_send(&recorder->call, NULL);
}

static bool aborts(void (*act)(struct recorder *), struct recorder *recorder)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        act(recorder);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == 6;
}

static void a_second_end_is_a_bug(void **state)
{
    struct recorder *recorder = *state;
    call_finish(&recorder->call, STATUS_OK, "%s", "");
    assert_true(aborts(reply_twice, recorder));
    assert_true(aborts(finish_again, recorder));
    assert_true(aborts(cancel_again, recorder));
    assert_true(aborts(send_again, recorder));
}

static void the_arena_has_its_limit(void **state)
{
    struct recorder *recorder = *state;
    assert_non_null(arena_alloc(&recorder->call.arena, 2000));
    assert_null(arena_alloc(&recorder->call.arena, 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_call_has_no_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_and_the_reply_reach_the_transport, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failure_has_its_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(success_has_no_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_are_valid_utf8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_bytes_in_a_text_are_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelling_tells_the_service_once_and_not_the_transport,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_call_without_a_listener_can_be_cancelled, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_end_is_a_bug, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_arena_has_its_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
