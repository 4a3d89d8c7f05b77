/* SPDX-License-Identifier: Apache-2.0 */
/* The service holdfast.v1.Admin: what people who operate a server want to see. */
#ifndef HOLDFAST_SERVICE_ADMIN_H
#define HOLDFAST_SERVICE_ADMIN_H

#include <holdfast/v1/admin.pb-c.h>

/* The generated vtable with our handlers; never changes. */
extern Holdfast__V1__Admin_Service admin_service;

#endif
