/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/check.h"

void random_fill(void *bytes, size_t length)
{
    CHECK(length <= INT_MAX);
    if (RAND_bytes(bytes, (int)length) != 1) {
        dprintf(STDERR_FILENO, "holdfast: OpenSSL's random generator failed; does the system "
                               "offer getrandom(2) or /dev/urandom?\n");
        abort();
    }
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
