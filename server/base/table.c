/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <stdbool.h>

#include "base/random.h"
#include "base/siphash.h"

/* Tables must agree on it, and uthash gives a hash function no place to keep it. */
static uint8_t process_key[SIPHASH_KEY_SIZE];
static bool has_key;

uint32_t table_hash(const void *bytes, size_t length)
{
    if (!has_key) {
        random_fill(process_key, sizeof(process_key));
        has_key = true;
    }
    uint64_t hash = siphash_1_3(process_key, bytes, length);
    return (uint32_t)(hash ^ (hash >> 32));
}
