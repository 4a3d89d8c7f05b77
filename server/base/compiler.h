/* SPDX-License-Identifier: Apache-2.0 */
/* What we ask of the compiler, by name. */
#ifndef HOLDFAST_BASE_COMPILER_H
#define HOLDFAST_BASE_COMPILER_H

#include <stddef.h>

/* The result must not be ignored. */
#define NODISCARD __attribute__((warn_unused_result))

/* The function takes a printf format at argument `at` and its values from `first` on. */
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

/* The struct of `type` whose member `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Elements of a true array. */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
