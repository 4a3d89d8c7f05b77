/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/status.h"

const char *status_name(int code)
{
    switch (code) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        STATUSES(X)
#undef X
    default:
        return "UNKNOWN";
    }
}
