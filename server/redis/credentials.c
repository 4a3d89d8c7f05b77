/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(CREDENTIALS_PASSWORD_MAX == 1024, "a message below says 1024");

static bool refuse(char problem[CREDENTIALS_PROBLEM_SIZE], const char *file, const char *what,
                   const char *reason)
{
    snprintf(problem, CREDENTIALS_PROBLEM_SIZE, "redis-password-file: %s %s%s", file, what, reason);
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
        return refuse(problem, file, "is not a file", "");
    }
    char bytes[CREDENTIALS_PASSWORD_MAX + 3]; /* with a line end, and one to see more */
    ssize_t size = read(fd, bytes, sizeof(bytes));
    if (size < 0) {
        return refuse(problem, file, "cannot be read: ", strerror(errno));
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
        return refuse(problem, file, "must hold 1 to 1024 bytes", "");
    }
    return true;
}

static bool load_file(struct credentials *credentials, const char *file, char *problem)
{
    /* Non-blocking, so that a pipe without a writer cannot stop the loop. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return refuse(problem, file, "cannot be opened: ", strerror(errno));
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
        snprintf(problem, CREDENTIALS_PROBLEM_SIZE, "the password has more than %d bytes",
                 CREDENTIALS_PASSWORD_MAX);
        return false;
    }
    memcpy(credentials->password, password, length + 1);
    credentials->has_password = true;
    return true;
}

void credentials_release(struct credentials *credentials)
{
    explicit_bzero(credentials, sizeof(*credentials));
}
