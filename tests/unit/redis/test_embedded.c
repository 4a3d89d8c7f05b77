/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/embedded.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/metrics.h"

#define WAIT_US (20 * CLOCK_US_PER_S)

struct fixture {
    char parent[32];
    struct loop *loop;
    struct metrics metrics;
    struct embedded *embedded;
    int readies, firsts;
};

static void on_ready(void *user, bool is_first)
{
    struct fixture *fixture = user;
    fixture->readies++;
    fixture->firsts += is_first ? 1 : 0;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->parent, sizeof(fixture->parent), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture->parent));
    fixture->loop = loop_create();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    loop_destroy(fixture->loop);
    int error = rmdir(fixture->parent); /* nothing may be left in it */
    free(fixture);
    return error;
}

static struct embedded *create(struct fixture *fixture, const char *program, char *problem)
{
    struct embedded_config config = {
        .program = program,
        .directory = fixture->parent,
        .on_ready = on_ready,
        .user = fixture,
    };
    return embedded_create(&config, fixture->loop, &fixture->metrics, problem);
}

static void wait_ready(struct fixture *fixture, int readies)
{
    int64_t deadline_us = clock_now_us() + WAIT_US;
    while (fixture->readies < readies) {
        assert_true(clock_now_us() < deadline_us);
        loop_turn(fixture->loop, 10 * CLOCK_US_PER_MS);
    }
}

static redisContext *connect_to(const struct embedded *embedded)
{
    redisContext *client = redisConnectUnix(embedded_url(embedded) + strlen("unix://"));
    assert_non_null(client);
    assert_int_equal(client->err, 0);
    return client;
}

static pid_t server_pid(const struct embedded *embedded)
{
    redisContext *client = connect_to(embedded);
    redisReply *reply = redisCommand(client, "INFO server");
    const char *number = strstr(reply->str, "process_id:") + strlen("process_id:");
    pid_t pid = (pid_t)strtol(number, NULL, 10);
    freeReplyObject(reply);
    redisFree(client);
    return pid;
}

static bool config_is(redisContext *client, const char *name, const char *value)
{
    redisReply *reply = redisCommand(client, "CONFIG GET %s", name);
    bool is_same = reply->elements == 2 && strcmp(reply->element[1]->str, value) == 0;
    freeReplyObject(reply);
    return is_same;
}

static void test_start_and_stop(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    struct embedded *embedded = create(fixture, NULL, problem);
    assert_non_null(embedded);
    assert_int_equal(fixture->readies, 0);
    wait_ready(fixture, 1);
    assert_int_equal(fixture->firsts, 1);
    struct stat status;
    assert_int_equal(stat(embedded_url(embedded) + strlen("unix://"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    redisContext *client = connect_to(embedded);
    assert_true(config_is(client, "port", "0"));
    assert_true(config_is(client, "save", ""));
    assert_true(config_is(client, "appendonly", "no"));
    assert_true(config_is(client, "maxmemory-policy", "noeviction"));
    redisFree(client);
    pid_t pid = server_pid(embedded);
    embedded_destroy(embedded);
    assert_int_equal(kill(pid, 0), -1);
}

static void test_started_again_when_it_dies(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    struct embedded *embedded = create(fixture, NULL, problem);
    wait_ready(fixture, 1);
    char url[128];
    snprintf(url, sizeof(url), "%s", embedded_url(embedded));
    for (int i = 2; i <= 3; i++) {
        kill(server_pid(embedded), SIGKILL);
        wait_ready(fixture, i);
    }
    assert_int_equal(fixture->firsts, 1);
    assert_int_equal(fixture->metrics.embedded_restarts, 2);
    assert_string_equal(embedded_url(embedded), url);
    embedded_destroy(embedded);
}

static void test_stopped_before_it_is_ready(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    for (int turns = 0; turns < 5; turns++) {
        struct embedded *embedded = create(fixture, NULL, problem);
        for (int turn = 0; turn < turns; turn++) {
            loop_turn(fixture->loop, 2 * CLOCK_US_PER_MS);
        }
        embedded_destroy(embedded);
    }
}

static void test_one_that_ignores_the_request_to_end(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    struct embedded *embedded = create(fixture, NULL, problem);
    wait_ready(fixture, 1);
    pid_t pid = server_pid(embedded);
    kill(pid, SIGSTOP);
    int64_t before_us = clock_now_us();
    embedded_destroy(embedded);
    assert_true(clock_now_us() - before_us >= 2 * CLOCK_US_PER_S);
    assert_int_equal(kill(pid, 0), -1);
}

static void test_missing_program(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    assert_null(create(fixture, "/nonexistent/redis-server", problem));
    assert_non_null(strstr(problem, "/nonexistent/redis-server"));
    assert_null(create(fixture, "no-such-redis-server", problem));
    assert_non_null(strstr(problem, "no-such-redis-server"));
    assert_null(create(fixture, "/tmp", problem));
    assert_non_null(strstr(problem, "/tmp cannot be found or executed"));
    const char *before = getenv("PATH");
    char path[4096];
    snprintf(path, sizeof(path), "%s", before != NULL ? before : "");
    setenv("PATH", "/nonexistent", 1);
    assert_null(create(fixture, NULL, problem));
    assert_non_null(strstr(problem, "install the package"));
    setenv("PATH", path, 1);
}

static void test_program_that_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    struct embedded *embedded = create(fixture, "true", problem);
    assert_non_null(embedded);
    int64_t deadline_us = clock_now_us() + WAIT_US;
    while (fixture->metrics.embedded_restarts < 3) {
        assert_true(clock_now_us() < deadline_us);
        loop_turn(fixture->loop, 10 * CLOCK_US_PER_MS);
    }
    assert_int_equal(fixture->readies, 0);
    embedded_destroy(embedded);
}

static void test_directory_too_long_for_a_socket(void **state)
{
    struct fixture *fixture = *state;
    char problem[EMBEDDED_PROBLEM_SIZE];
    char directory[160];
    snprintf(directory, sizeof(directory), "%s/%090d", fixture->parent, 0);
    assert_int_equal(mkdir(directory, 0700), 0);
    struct embedded_config config = {.directory = directory, .on_ready = on_ready, .user = fixture};
    assert_null(embedded_create(&config, fixture->loop, &fixture->metrics, problem));
    assert_non_null(strstr(problem, "too long"));
    assert_int_equal(rmdir(directory), 0);
}

/* A parent that is killed takes the server with it. */
static void test_gone_with_its_parent(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    pid_t server = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char problem[EMBEDDED_PROBLEM_SIZE];
        struct loop *loop = loop_create();
        loop_destroy(fixture->loop);
        fixture->loop = loop;
        struct embedded *embedded = create(fixture, NULL, problem);
        wait_ready(fixture, 1);
        server = server_pid(embedded);
        ssize_t written = write(ends[1], &server, sizeof(server));
        poll(NULL, 0, written > 0 ? -1 : 0);
        _exit(1);
    }
    assert_int_equal(read(ends[0], &server, sizeof(server)), sizeof(server));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    int64_t deadline_us = clock_now_us() + WAIT_US;
    char status_path[64];
    char status[64] = "";
    snprintf(status_path, sizeof(status_path), "/proc/%d/cmdline", (int)server);
    for (;;) {
        /* Dead, whether or not somebody has reaped it. */
        int fd = open(status_path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd >= 0 ? read(fd, status, sizeof(status)) : 0;
        if (fd >= 0) {
            close(fd);
        }
        if (size <= 0) {
            break;
        }
        assert_true(clock_now_us() < deadline_us);
        poll(NULL, 0, 1);
    }
    /* The next one to come cleans up. */
    char problem[EMBEDDED_PROBLEM_SIZE];
    struct embedded *embedded = create(fixture, NULL, problem);
    assert_non_null(embedded);
    embedded_destroy(embedded);
}

#define EMBEDDED_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMBEDDED_TEST(test_start_and_stop),
        EMBEDDED_TEST(test_started_again_when_it_dies),
        EMBEDDED_TEST(test_stopped_before_it_is_ready),
        EMBEDDED_TEST(test_one_that_ignores_the_request_to_end),
        EMBEDDED_TEST(test_missing_program),
        EMBEDDED_TEST(test_program_that_ends_at_once),
        EMBEDDED_TEST(test_directory_too_long_for_a_socket),
        EMBEDDED_TEST(test_gone_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
