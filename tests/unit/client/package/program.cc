// SPDX-License-Identifier: Apache-2.0
// The header is C++ as well.
#include <holdfast/holdfast.h>

int main()
{
    return holdfast_version() != nullptr ? 0 : 1;
}
