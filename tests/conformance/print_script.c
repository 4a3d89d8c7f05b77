/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the batch script byte for byte as the server sends it, for tests that drive it. */
#include <stdio.h>

#include "redis/script.h"

int main(void)
{
    struct script script;
    script_init(&script);
    size_t written = fwrite(script.text, 1, script.length, stdout);
    return written == script.length && fflush(stdout) == 0 ? 0 : 1;
}
