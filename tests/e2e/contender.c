/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contender SERVER DIRECTORY NUMBER LOCKS TTL_MS HOLD_US LIMIT: takes random locks for as long as
 * it lives, counts in the file that each protects, and writes what it believed to
 * DIRECTORY/NUMBER.log, one line an event, times in microseconds of CLOCK_MONOTONIC:
 *
 *   G lock fence time   granted, and still valid just after this time
 *   R lock fence time   still valid just after this time, when it is given back
 *   L lock fence time   found lost or not valid any more
 *   C lock fence time   its count reached the file
 *
 * The file is the protected resource: "fence count", where a holder's first look makes its fence
 * the one to beat, and a write with a lower fence than the file's is refused. With a LIMIT other
 * than 0 the locks are semaphores of so many permits, and nothing is counted.
 */
#include <fcntl.h>
#include <holdfast/holdfast.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define RETRY_US 20000

struct resource {
    uint64_t fence;
    uint64_t count;
};

static FILE *history;

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One write, so that a kill leaves whole lines. */
static void note(char event, unsigned lock, uint64_t fence, int64_t at_us)
{
    (void)fprintf(history, "%c %u %" PRIu64 " %" PRId64 "\n", event, lock, fence, at_us);
    (void)fflush(history);
}

static int open_resource(const char *directory, unsigned lock)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/resource%u", directory, lock);
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        perror(path);
        exit(1);
    }
    return file;
}

static struct resource read_resource(int file)
{
    struct resource resource = {0};
    if (pread(file, &resource, sizeof(resource), 0) != (ssize_t)sizeof(resource)) {
        resource = (struct resource){0};
    }
    return resource;
}

/* What the resource does by itself, atomically: it knows no lock but compares fences. False: the
 * fence is too low. */
static bool apply(int file, uint64_t fence, bool is_write, uint64_t *count)
{
    (void)flock(file, LOCK_EX);
    struct resource resource = read_resource(file);
    const bool is_taken = fence >= resource.fence;
    if (is_taken) {
        resource.fence = fence;
        if (is_write) {
            resource.count = *count;
        }
        *count = resource.count;
        if (pwrite(file, &resource, sizeof(resource), 0) != (ssize_t)sizeof(resource)) {
            perror("resource");
            exit(1);
        }
    }
    (void)flock(file, LOCK_UN);
    return is_taken;
}

/* What a holder does takes time. */
static void work_for(unsigned us)
{
    const struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    (void)ppoll(NULL, 0, &pause, NULL);
}

static void use(const struct holdfast_lease *lease, int file, unsigned lock, unsigned hold_us)
{
    const uint64_t fence = holdfast_lease_fence(lease);
    uint64_t count = 0;
    if (!apply(file, fence, false, &count)) {
        return;
    }
    work_for(hold_us);
    count++;
    if (apply(file, fence, true, &count)) {
        note('C', lock, fence, now_us());
    }
}

/* The time is taken before the validity is asked for: what was valid later was so then. */
static void contend(struct holdfast *holdfast, int file, unsigned lock, struct holdfast_ask ask,
                    unsigned hold_us)
{
    char key[32];
    struct holdfast_lease *lease = NULL;
    (void)snprintf(key, sizeof(key), "lock%u", lock);
    ask.key = key;
    if (holdfast_hold(holdfast, &ask, &lease, NULL) != HOLDFAST_OK) {
        work_for(RETRY_US);
        return;
    }
    const uint64_t fence = holdfast_lease_fence(lease);
    const int64_t start_us = now_us();
    if (holdfast_lease_valid_for_ms(lease) > 0) {
        note('G', lock, fence, start_us);
        if (ask.mode == HOLDFAST_SHARED) {
            work_for(hold_us);
        } else {
            use(lease, file, lock, hold_us);
        }
        const int64_t end_us = now_us();
        note(holdfast_lease_valid_for_ms(lease) > 0 ? 'R' : 'L', lock, fence, end_us);
    }
    (void)holdfast_release(holdfast, lease);
    holdfast_lease_free(lease);
}

static unsigned number_of(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int count, char **arguments)
{
    char path[512];
    char error[HOLDFAST_ERROR_SIZE];
    if (count != 8) {
        (void)fprintf(stderr,
                      "usage: contender SERVER DIRECTORY NUMBER LOCKS TTL_MS HOLD_US LIMIT\n");
        return 64;
    }
    const struct holdfast_options options = {.server = arguments[1]};
    const unsigned locks = number_of(arguments[4]);
    (void)snprintf(path, sizeof(path), "%s/%s.log", arguments[2], arguments[3]);
    history = fopen(path, "ae");
    struct holdfast *holdfast = NULL;
    while (holdfast == NULL) { /* its server may be down just now */
        holdfast = holdfast_open(&options, error);
        if (holdfast == NULL) {
            work_for(RETRY_US);
        }
    }
    int files[64];
    for (unsigned lock = 0; lock < locks && lock < 64; lock++) {
        files[lock] = open_resource(arguments[2], lock);
    }
    const struct holdfast_ask ask = {
        .ttl_ms = number_of(arguments[5]),
        .wait_ms = 30000,
        .limit = number_of(arguments[7]),
        .mode = number_of(arguments[7]) > 0 ? HOLDFAST_SHARED : HOLDFAST_EXCLUSIVE,
    };
    unsigned seed = number_of(arguments[3]) * 2654435761U;
    for (;;) {
        const unsigned lock = (unsigned)rand_r(&seed) % locks;
        contend(holdfast, files[lock], lock, ask, number_of(arguments[6]));
    }
}
