/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake-server script that keeps locks in memory: Hold on any key, busy when it is held, released
 * on half-close. One connection; fences rise.
 */
#ifndef HOLDFAST_TESTS_MINI_SERVER_H
#define HOLDFAST_TESTS_MINI_SERVER_H

#include "fake_server.h"

/* Serves one connection until the client closes it. The argument is not used. */
void mini_server(struct fake_server *server, void *argument);

#endif
