/* SPDX-License-Identifier: Apache-2.0 */
/* The user name and password for one attempt to connect. */
#ifndef HOLDFAST_REDIS_CREDENTIALS_H
#define HOLDFAST_REDIS_CREDENTIALS_H

#include "base/compiler.h"

#include <stdbool.h>

#define CREDENTIALS_PASSWORD_MAX 1024 /* bytes */
#define CREDENTIALS_PROBLEM_SIZE 256

struct credentials {
    const char *user; /* NULL: none */
    char password[CREDENTIALS_PASSWORD_MAX + 1];
    bool has_password;
};

/* Reads the password from `file`, without the newline at its end, or takes `password` when `file`
 * is NULL; `user` and `password` may be NULL. The file is read each time, so a changed password
 * counts at the next attempt. False and a sentence in `problem` when the file cannot be used. */
NODISCARD bool credentials_load(struct credentials *credentials, const char *user,
                                const char *password, const char *file,
                                char problem[CREDENTIALS_PROBLEM_SIZE]);

/* Wipes the password from memory. */
void credentials_release(struct credentials *credentials);

#endif
