/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program that needs the library; its own names must not clash with the library's. */
#include <holdfast/holdfast.h>

#include <stdio.h>
#include <string.h>

int clock_now_us(void);
int memory_alloc(void);
int stream_open(void);

int clock_now_us(void)
{
    return 1;
}

int memory_alloc(void)
{
    return 2;
}

int stream_open(void)
{
    return 3;
}

int main(void)
{
    char error[HOLDFAST_ERROR_SIZE];
    const struct holdfast_options options = {.server = "unix:///nonexistent/socket"};
    if (holdfast_open(&options, error) != NULL || strstr(error, "No such file") == NULL) {
        return 1;
    }
    printf("%s\n", holdfast_version());
    return clock_now_us() + memory_alloc() + stream_open() == 6 ? 0 : 1;
}
