/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(char problem[CREDENTIALS_PROBLEM_SIZE], const char *format, ...)
    PRINTF_LIKE(2, 3);

static bool refuse(char problem[CREDENTIALS_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, CREDENTIALS_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

static size_t without_newline(const char *text, size_t length)
{
    if (length > 0 && text[length - 1] == '\n') {
        length--;
    }
    if (length > 0 && text[length - 1] == '\r') {
        length--;
    }
    return length;
}

static bool read_password(struct credentials *credentials, int fd, const char *file, char *problem)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode)) {
        return refuse(problem, "the password file %s is not a file", file);
    }
    char bytes[CREDENTIALS_PASSWORD_MAX + 3]; /* with a line end, and one to see more */
    ssize_t size = read(fd, bytes, sizeof(bytes));
    if (size < 0) {
        return refuse(problem, "cannot read the password file %s: %s", file, strerror(errno));
    }
    size_t length = without_newline(bytes, (size_t)size);
    bool fits = length > 0 && length <= CREDENTIALS_PASSWORD_MAX;
    if (fits) {
        memcpy(credentials->password, bytes, length);
        credentials->password[length] = '\0';
        credentials->has_password = true;
    }
    explicit_bzero(bytes, sizeof(bytes));
    if (!fits) {
        return refuse(problem, "the password file %s must hold 1 to %d bytes", file,
                      CREDENTIALS_PASSWORD_MAX);
    }
    return true;
}

static bool load_file(struct credentials *credentials, const char *file, char *problem)
{
    /* Non-blocking, so that a pipe without a writer cannot stop the loop. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return refuse(problem, "cannot open the password file %s: %s", file, strerror(errno));
    }
    bool is_read = read_password(credentials, fd, file, problem);
    close(fd);
    return is_read;
}

bool credentials_load(struct credentials *credentials, const char *user, const char *password,
                      const char *file, char problem[CREDENTIALS_PROBLEM_SIZE])
{
    *credentials = (struct credentials){.user = user};
    if (file != NULL) {
        return load_file(credentials, file, problem);
    }
    if (password == NULL) {
        return true;
    }
    size_t length = strlen(password);
    if (length > CREDENTIALS_PASSWORD_MAX) {
        return refuse(problem, "the password has more than %d bytes", CREDENTIALS_PASSWORD_MAX);
    }
    memcpy(credentials->password, password, length + 1);
    credentials->has_password = true;
    return true;
}

void credentials_release(struct credentials *credentials)
{
    explicit_bzero(credentials, sizeof(*credentials));
}
