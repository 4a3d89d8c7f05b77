/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/check.h"

/* Drawn ahead, for a call of the generator costs the same for a token as for so many bytes. What
 * has been given out is wiped here. */
static _Thread_local struct {
    uint8_t bytes[512];
    size_t left; /* at the end */
} pool;

/* What a parent has drawn is not its child's. Only the forking thread lives on there. */
static void forget_pool(void)
{
    pool.left = 0;
}

static void watch_forks(void)
{
    CHECK(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

static void draw(void *bytes, size_t length)
{
    CHECK(length <= INT_MAX);
    if (RAND_bytes(bytes, (int)length) != 1) {
        dprintf(STDERR_FILENO, "holdfast: OpenSSL's random generator failed; does the system "
                               "offer getrandom(2) or /dev/urandom?\n");
        abort();
    }
}

void random_fill(void *bytes, size_t length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (length > sizeof(pool.bytes) / 4) {
        draw(bytes, length);
        return;
    }
    if (length > pool.left) {
        CHECK(pthread_once(&once, watch_forks) == 0);
        draw(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
    }
    uint8_t *taken = pool.bytes + sizeof(pool.bytes) - pool.left;
    memcpy(bytes, taken, length);
    explicit_bzero(taken, length);
    pool.left -= length;
}

uint64_t random_below(uint64_t bound)
{
    CHECK(bound > 0);
    /* Numbers under 2^64 mod bound are drawn again: they would make small results likelier. */
    uint64_t threshold = (UINT64_MAX - bound + 1) % bound;
    uint64_t number;
    do {
        random_fill(&number, sizeof(number));
    } while (number < threshold);
    return number % bound;
}
