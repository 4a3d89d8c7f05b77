/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes, which are gRPC's (https://grpc.io/docs/guides/status-codes/). ttRPC uses the same.
 */
#ifndef HOLDFAST_WIRE_STATUS_H
#define HOLDFAST_WIRE_STATUS_H

/* X(name, code) */
#define STATUSES(X)                                                                                \
    X(OK, 0)                                                                                       \
    X(CANCELLED, 1)                                                                                \
    X(UNKNOWN, 2)                                                                                  \
    X(INVALID_ARGUMENT, 3)                                                                         \
    X(DEADLINE_EXCEEDED, 4)                                                                        \
    X(NOT_FOUND, 5)                                                                                \
    X(ALREADY_EXISTS, 6)                                                                           \
    X(PERMISSION_DENIED, 7)                                                                        \
    X(RESOURCE_EXHAUSTED, 8)                                                                       \
    X(FAILED_PRECONDITION, 9)                                                                      \
    X(ABORTED, 10)                                                                                 \
    X(OUT_OF_RANGE, 11)                                                                            \
    X(UNIMPLEMENTED, 12)                                                                           \
    X(INTERNAL, 13)                                                                                \
    X(UNAVAILABLE, 14)                                                                             \
    X(DATA_LOSS, 15)                                                                               \
    X(UNAUTHENTICATED, 16)

enum status {
#define X(name, code) STATUS_##name = (code),
    STATUSES(X)
#undef X
};

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is no status. Static text. */
const char *status_name(int code);

#endif
