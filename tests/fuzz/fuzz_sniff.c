/* SPDX-License-Identifier: Apache-2.0 */
/* Deciding is final: more bytes never change what was decided, and 16 always decide. */
#include "wire/sniff.h"

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    enum sniff decided = SNIFF_NEED_MORE;
    for (size_t i = 0; i <= length && i <= 64; i++) {
        enum sniff found = sniff(bytes, i);
        CHECK(decided == SNIFF_NEED_MORE || found == decided);
        CHECK(found != SNIFF_NEED_MORE || i < 16);
        decided = found;
    }
    return 0;
}
