/* SPDX-License-Identifier: Apache-2.0 */
/* The service holdfast.v1.Locks: checks the requests and hands them to whoever serves them. */
#ifndef HOLDFAST_SERVICE_LOCKS_H
#define HOLDFAST_SERVICE_LOCKS_H

#include <holdfast/v1/locks.pb-c.h>

/* The generated vtable with our handlers; never changes. */
extern Holdfast__V1__Locks_Service locks_service;

#endif
