/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of the locks that this server's clients hold or wait for, in the order of their names.
 * Only the page is kept while all leases are looked at.
 */
#ifndef HOLDFAST_SERVICE_LISTING_H
#define HOLDFAST_SERVICE_LISTING_H

#include "wire/call.h"

#include <holdfast/v1/admin.pb-c.h>
#include <stddef.h>

/* Holders, and waiters, of one lock that are shown. */
#define LISTING_PEOPLE_MAX ((size_t)100)

/* A page ends early when it has this many bytes, so that it fits any client's output limit. */
#define LISTING_BYTES_MAX ((size_t)256 * 1024)

/* Ends the call with the page of at most `page_size` locks behind the name `request->page_token`.
 * The request is checked. */
void listing_answer(struct call *call, const Holdfast__V1__ListLocksRequest *request,
                    size_t page_size);

#endif
