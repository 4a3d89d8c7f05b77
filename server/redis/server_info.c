/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/server_info.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

#define VERSION_MAJOR_MIN 6
#define VERSION_MINOR_MIN 2

/* Copies the value of `name` when `line` ("name:value") is about it. One too long for any use is
 * left out. */
static void take_field(const char *line, size_t length, const char *name, char *value, size_t size)
{
    size_t name_length = strlen(name);
    if (length <= name_length || memcmp(line, name, name_length) != 0 || line[name_length] != ':') {
        return;
    }
    size_t value_length = length - name_length - 1;
    if (value_length < size) {
        memcpy(value, line + name_length + 1, value_length);
        value[value_length] = '\0';
    }
}

static void read_line(struct server_info *info, const char *line, size_t length)
{
    const struct {
        const char *name;
        char *value;
        size_t size;
    } fields[] = {
        {"run_id", info->run_id, sizeof(info->run_id)},
        {"redis_version", info->version, sizeof(info->version)},
        {"redis_mode", info->mode, sizeof(info->mode)},
        {"role", info->role, sizeof(info->role)},
        {"loading", info->loading, sizeof(info->loading)},
        {"maxmemory_policy", info->maxmemory_policy, sizeof(info->maxmemory_policy)},
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        take_field(line, length, fields[i].name, fields[i].value, fields[i].size);
    }
}

static bool is_too_old(const char *version)
{
    int major = 0;
    int minor = 0;
    if (sscanf(version, "%4d.%4d", &major, &minor) != 2) {
        return true;
    }
    return major < VERSION_MAJOR_MIN || (major == VERSION_MAJOR_MIN && minor < VERSION_MINOR_MIN);
}

void server_info_init(struct server_info *info)
{
    memset(info, 0, sizeof(*info));
}

void server_info_read(struct server_info *info, const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', length - at);
        size_t line_length = end != NULL ? (size_t)(end - line) : length - at;
        at += line_length + 1;
        if (line_length > 0 && line[line_length - 1] == '\r') {
            line_length--;
        }
        read_line(info, line, line_length);
    }
}

bool server_info_may_evict(const struct server_info *info)
{
    return info->maxmemory_policy[0] != '\0' && strcmp(info->maxmemory_policy, "noeviction") != 0;
}

const char *server_info_refusal(const struct server_info *info, bool requires_noeviction)
{
    if (info->run_id[0] == '\0' || info->version[0] == '\0' || info->role[0] == '\0') {
        return "INFO does not tell run_id, redis_version and role; is this Redis or Valkey?";
    }
    if (strcmp(info->mode, "sentinel") == 0) {
        return "this is a Sentinel; give the address of the Redis it watches";
    }
    if (strcmp(info->mode, "cluster") == 0) {
        return "this Redis runs in cluster mode, which is not supported; use a single server";
    }
    if (is_too_old(info->version)) {
        return "this Redis is too old; use Redis 6.2 or newer, or Valkey 7.2 or newer";
    }
    if (strcmp(info->role, "master") != 0) {
        return "this Redis is a replica; give the address of its master";
    }
    if (strcmp(info->loading, "1") == 0) {
        return "Redis is loading its data";
    }
    if (requires_noeviction && server_info_may_evict(info)) {
        return "the maxmemory-policy of this Redis may evict locks; set it to noeviction";
    }
    return NULL;
}
