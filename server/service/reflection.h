/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service grpc.reflection.v1.ServerReflection, and under its older name v1alpha: the server
 * describes its own API.
 */
#ifndef HOLDFAST_SERVICE_REFLECTION_H
#define HOLDFAST_SERVICE_REFLECTION_H

#include <grpc/reflection/v1/reflection.pb-c.h>

/* The generated vtable with our handlers; never changes. */
extern Grpc__Reflection__V1__ServerReflection_Service reflection_service;

#endif
