/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions that stay on: a bug crashes, an operating error is returned. */
#ifndef HOLDFAST_BASE_CHECK_H
#define HOLDFAST_BASE_CHECK_H

/* Ends the process with a message when `condition` does not hold. One condition per CHECK. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failed(#condition, __FILE__, __LINE__);                                          \
        }                                                                                          \
    } while (0)

/* Prints one line on stderr and aborts. Never returns. */
void check_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
