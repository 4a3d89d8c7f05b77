/* SPDX-License-Identifier: Apache-2.0 */
#include "app/fleet_scan.h"

#include "base/memory.h"
#include "redis/scan.h"

struct fleet_scan {
    struct redis_scan *scan;
    fleet_step_fn *on_step;
    void *user;
};

static void on_done(void *user, const struct redis_scan_result *result, int64_t now_us)
{
    struct fleet_scan scan = *(struct fleet_scan *)user;
    struct fleet_name *names = memory_alloc((result->count + 1) * sizeof(*names));
    const struct fleet_step step = {
        .problem = result->problem,
        .cursor = result->cursor,
        .names = names,
        .count = result->count,
    };
    for (size_t i = 0; i < result->count; i++) {
        names[i] = (struct fleet_name){result->names[i].text, result->names[i].length};
    }
    memory_free(user);
    scan.on_step(scan.user, &step, now_us);
    memory_free(names);
}

static void *start(void *store, const char *prefix, size_t prefix_length, uint64_t cursor,
                   size_t count, fleet_step_fn *on_step, void *step_user)
{
    struct fleet_scan *scan = memory_alloc(sizeof(*scan));
    scan->on_step = on_step;
    scan->user = step_user;
    scan->scan = redis_scan_start(store, prefix, prefix_length, cursor, count, on_done, scan);
    if (scan->scan == NULL) {
        memory_free(scan);
        return NULL;
    }
    return scan;
}

static void cancel(void *user)
{
    struct fleet_scan *scan = user;
    redis_scan_cancel(scan->scan);
    memory_free(scan);
}

void fleet_scan_init(struct fleet_source *source, struct redis_store *store)
{
    *source = (struct fleet_source){.start = start, .cancel = cancel, .user = store};
}
