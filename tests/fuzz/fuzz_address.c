/* SPDX-License-Identifier: Apache-2.0 */
/* What parses formats, and that parses to the same. */
#include "transport/address.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char url[512] = "";
    char text[ADDRESS_TEXT_SIZE];
    char problem[ADDRESS_PROBLEM_SIZE] = "";
    struct address address;
    struct address again;
    memcpy(url, bytes, length < sizeof(url) ? length : sizeof(url) - 1);
    if (!address_parse(&address, url, problem)) {
        CHECK(problem[0] != '\0');
        return 0;
    }
    address_format(&address, text);
    CHECK(address_parse(&again, text, problem));
    CHECK(again.kind == address.kind);
    CHECK(again.port == address.port);
    CHECK(strcmp(again.host, address.host) == 0);
    CHECK(strcmp(again.path, address.path) == 0);
    return 0;
}
