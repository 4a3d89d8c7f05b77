/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says of itself with INFO, and whether Holdfast can work with it. */
#ifndef HOLDFAST_REDIS_SERVER_INFO_H
#define HOLDFAST_REDIS_SERVER_INFO_H

#include <stdbool.h>
#include <stddef.h>

#define SERVER_INFO_RUN_ID_SIZE ((size_t)65)
#define SERVER_INFO_WORD_SIZE   ((size_t)32)

struct server_info {
    char run_id[SERVER_INFO_RUN_ID_SIZE]; /* a new one with each start */
    char version[SERVER_INFO_WORD_SIZE];  /* of Redis; Valkey tells the one it is compatible with */
    char mode[SERVER_INFO_WORD_SIZE];     /* standalone, cluster, sentinel */
    char role[SERVER_INFO_WORD_SIZE];     /* master, slave */
    char loading[SERVER_INFO_WORD_SIZE];  /* 0, 1 */
    char maxmemory_policy[SERVER_INFO_WORD_SIZE];
};

/* Nothing was said. */
void server_info_init(struct server_info *info);

/* Takes the fields above from one reply to INFO (any section); others are left as they are. */
void server_info_read(struct server_info *info, const char *text, size_t length);

/* Whether keys may be evicted, locks among them. */
bool server_info_may_evict(const struct server_info *info);

/* Why Holdfast cannot use the server: static text, or NULL when it can. */
const char *server_info_refusal(const struct server_info *info, bool requires_noeviction);

#endif
