/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file, flags or the environment, by the first byte: 'f', 'a', or any other. Flags
 * and variables stand one a line. What is taken lies within its bounds; what is not comes with an
 * error, and leaves nothing behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "options_fixture.h"

#define WORDS_MAX 64
#define TEXT_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_values(const struct values *values)
{
    CHECK(values->port >= 1 && values->port <= 65535);
    CHECK(values->ttl_ms >= 100 && values->ttl_ms <= 3600000);
    CHECK(values->age_ms >= 0);
    CHECK(values->level >= 0 && levels[values->level] != NULL);
    CHECK(values->redis != NULL);
    for (size_t i = 0; i < values->listen.count; i++) {
        CHECK(values->listen.items[i] != NULL);
    }
}

static void read_layers(const char *const *argv, const char *const *environment)
{
    static const struct values zeroed;
    struct values values = zeroed;
    struct option_origin origins[ROWS];
    char error[OPTIONS_ERROR_SIZE] = "";
    if (read_table(&values, argv, environment, origins, error)) {
        check_values(&values);
    } else {
        CHECK(error[0] != '\0');
        CHECK(memchr(error, '\0', sizeof(error)) != NULL);
    }
    options_release(table, &values);
}

static void read_file(const uint8_t *bytes, size_t length)
{
    char path[64];
    const int fd = memfd_create("options", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, bytes, length) == (ssize_t)length);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const char *argv[] = {"holdfastd", "--config", path, NULL};
    read_layers(argv, NULL);
    close(fd);
}

/* The lines of `text` behind the words that are there already; a NULL ends them. */
static void split(char *text, const char **words, size_t count)
{
    char *rest = text;
    while (count < WORDS_MAX && rest != NULL) {
        words[count++] = strsep(&rest, "\n");
    }
    words[count] = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char text[TEXT_SIZE] = "";
    const char *words[WORDS_MAX + 1] = {"holdfastd"};
    if (length == 0) {
        return 0;
    }
    if (bytes[0] == 'f') {
        read_file(bytes + 1, length - 1);
        return 0;
    }
    memcpy(text, bytes + 1, length - 1 < sizeof(text) ? length - 1 : sizeof(text) - 1);
    const char *program[] = {"holdfastd", NULL};
    if (bytes[0] == 'a') {
        split(text, words, 1);
        read_layers(words, NULL);
    } else {
        split(text, words, 0);
        read_layers(program, words);
    }
    return 0;
}
