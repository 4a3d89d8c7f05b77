/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the Admin service. */
#ifndef HOLDFAST_CLIENT_LIST_H
#define HOLDFAST_CLIENT_LIST_H

#include "request.h"

#include <holdfast/holdfast.h>

/* An answer that waits to be delivered. */
struct list;

/* `callback` is a CALLBACK_LOCKS. `list` is copied; NULL: all. */
void list_locks(struct holdfast_async *client, const struct holdfast_list *list,
                const struct callback *callback);

/* `callback` is a CALLBACK_CONNECTIONS. */
void list_connections(struct holdfast_async *client, const struct holdfast_list *list,
                      const struct callback *callback);

/* Call the application back with the request's answer. */
void list_tell_locks(struct request *request);
void list_tell_connections(struct request *request);

/* NULL is allowed. */
void list_destroy(struct list *list);

#endif
